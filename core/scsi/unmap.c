/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UNMAP: a list of ranges to deallocate. */
#include "core/scsi/provisioning.h"

#include "core/base/bytes.h"
#include "core/scsi/disk.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

enum { HEADER = 8, DESCRIPTOR = 16 };

/* Discards the ranges one after the other; task->position is where in the list we are. */
static void next_range(Transfer *t)
{
    Task *task = t->task;
    while (task->position < task->end) {
        const uint8_t *d = parameter_data(t) + task->position;
        uint64_t lba = get_be64(d), blocks = get_be32(d + 8);
        unsigned shift = task->itl->shard->block_shift;
        task->position += DESCRIPTOR;
        if (blocks > 0) {
            transfer_store(t, AIO_DISCARD, 0, lba << shift, blocks << shift, NULL, 0, next_range);
            return;
        }
    }
    transfer_end(t);
    task_complete(task, NULL);
}

static bool check_ranges(Task *task, const uint8_t *list, unsigned count)
{
    uint64_t total = 0;
    if (count > UNMAP_MAX_DESCRIPTORS) {
        task_fail_parameter(task, 2, 7);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *d = list + HEADER + i * DESCRIPTOR;
        if (!disk_check_range(task, get_be64(d), get_be32(d + 8)))
            return false;
        total += get_be32(d + 8);
    }
    if (total > UNMAP_MAX_BLOCKS) {
        task_fail_parameter(task, HEADER + 8, 7);
        return false;
    }
    return true;
}

static void unmap_fetched(Transfer *t)
{
    Task *task = t->task;
    const uint8_t *list = parameter_data(t);
    if (t->len < HEADER) {
        task_fail(task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    unsigned count = MIN(get_be16(list + 2), t->len - HEADER) / DESCRIPTOR;
    if (!check_ranges(task, list, count))
        return;
    task->position = HEADER;
    task->end = HEADER + count * DESCRIPTOR;
    next_range(t);
}

void unmap_run(Task *task)
{
    uint32_t length = get_be16(task->cdb + 7);
    if (length == 0)
        task_complete(task, NULL);
    else
        parameter_fetch(task, length, unmap_fetched);
}
