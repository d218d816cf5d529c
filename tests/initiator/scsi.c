/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CDBs and sense. */
#include "tests/initiator/scsi.h"

#include <gio/gio.h>
#include <string.h>

#define READY_ROUNDS    20
#define READY_TIMEOUT   30000
#define CAPACITY_LENGTH 32

static void set_command(Task *task, uint64_t lun, uint8_t opcode, uint8_t *memory, uint32_t len,
                        bool write)
{
    memset(task->cdb, 0, sizeof(task->cdb));
    task->cdb[0] = opcode;
    task->lun = lun;
    task->attribute = 1;
    task->read = len && !write;
    task->write = len && write;
    task->buffer = (PduBuffer){.base = memory, .len = len};
}

void scsi_test_unit_ready(Task *task, uint64_t lun)
{
    set_command(task, lun, 0x00, NULL, 0, false);
}

void scsi_inquiry(Task *task, uint64_t lun, uint8_t *memory, uint16_t len)
{
    set_command(task, lun, 0x12, memory, len, false);
    put_be16(task->cdb + 3, len);
}

void scsi_read_capacity16(Task *task, uint64_t lun, uint8_t *memory, uint32_t len)
{
    set_command(task, lun, 0x9e, memory, len, false);
    task->cdb[1] = 0x10;
    put_be32(task->cdb + 10, len);
}

void scsi_synchronize_cache(Task *task, uint64_t lun)
{
    set_command(task, lun, 0x35, NULL, 0, false);
}

void scsi_transfer(Task *task, uint64_t lun, bool write, uint64_t lba, uint32_t blocks,
                   uint32_t block_size, bool fua, uint8_t *memory)
{
    bool ten = blocks <= UINT16_MAX && lba <= UINT32_MAX;

    set_command(task, lun, ten ? (write ? 0x2a : 0x28) : (write ? 0x8a : 0x88), memory,
                blocks * block_size, write);
    task->cdb[1] = fua ? 0x08 : 0;
    if (ten) {
        put_be32(task->cdb + 2, (uint32_t)lba);
        put_be16(task->cdb + 7, (uint16_t)blocks);
    } else {
        put_be64(task->cdb + 2, lba);
        put_be32(task->cdb + 10, blocks);
    }
}

uint32_t scsi_sense(const Task *task)
{
    const uint8_t *sense = task->sense;

    if (task->sense_len >= 14 && (sense[0] & 0x7e) == 0x70)
        return (uint32_t)(sense[2] & 0xf) << 16 | (uint32_t)sense[12] << 8 | sense[13];
    if (task->sense_len >= 4 && (sense[0] & 0x7e) == 0x72)
        return (uint32_t)(sense[1] & 0xf) << 16 | (uint32_t)sense[2] << 8 | sense[3];
    return 0;
}

static bool not_ready(const Nexus *nexus, const Task *task, const char *what, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s, status %02x, sense %06x", what,
                nexus->error ? nexus->error->message : "failed", task->status, scsi_sense(task));
    return false;
}

bool scsi_clear_attentions(Nexus *nexus, uint64_t lun, GError **error)
{
    Task task = {0};
    int round = 0;

    do {
        scsi_test_unit_ready(&task, lun);
        if (!nexus_run(nexus, &task, READY_TIMEOUT) || ++round == READY_ROUNDS)
            return not_ready(nexus, &task, "TEST UNIT READY", error);
    } while (task.status == SCSI_CHECK_CONDITION && scsi_sense(&task) >> 16 == 6);
    return task.status == SCSI_GOOD || not_ready(nexus, &task, "TEST UNIT READY", error);
}

bool scsi_wait_ready(Nexus *nexus, uint64_t lun, ScsiCapacity *capacity, GError **error)
{
    uint8_t *memory = nexus_memory(nexus);
    Task task = {0};

    if (!scsi_clear_attentions(nexus, lun, error))
        return false;
    scsi_read_capacity16(&task, lun, memory, CAPACITY_LENGTH);
    if (!nexus_run(nexus, &task, READY_TIMEOUT) || task.status != SCSI_GOOD)
        return not_ready(nexus, &task, "READ CAPACITY (16)", error);
    capacity->blocks = get_be64(memory) + 1;
    capacity->block_size = get_be32(memory + 8);
    return true;
}

void scsi_put_lun(uint8_t *p, uint64_t lun)
{
    memset(p, 0, 8);
    put_be16(p, (uint16_t)(lun < 256 ? lun : 0x4000 | lun));
}
