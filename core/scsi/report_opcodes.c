/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command table, told to the initiator. */
#include "core/scsi/report_opcodes.h"

#include "core/base/bytes.h"
#include "core/scsi/command.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"

#define TIMEOUTS_LEN 12
#define ENTRY_MAX    (8 + TIMEOUTS_LEN)

enum { REPORT_ALL = 0, REPORT_OPCODE = 1, REPORT_ACTION = 2, REPORT_EITHER = 3 };
enum { RCTD = 0x80, REPD = 0x80 };

/* A command timeouts descriptor that names no time: how long a disk takes is the disk's affair. */
static unsigned put_timeouts(const Task *task, uint8_t *p)
{
    if (!(task->cdb[2] & RCTD))
        return 0;
    put_be16(p, TIMEOUTS_LEN - 2);
    return TIMEOUTS_LEN;
}

static unsigned put_entry(const Task *task, const Command *command, uint8_t *p)
{
    p[0] = command->opcode;
    put_be16(p + 2, command->action);
    p[5] = (task->cdb[2] & RCTD ? 0x02 : 0) | (command->has_action ? 0x01 : 0);
    put_be16(p + 6, command->cdb_len);
    return 8 + put_timeouts(task, p + 8);
}

static unsigned all_commands(Task *task, uint8_t *p)
{
    unsigned n = 4;
    for (unsigned i = 0; i < commands_count; i++)
        if (command_offered(&commands[i], task_lun(task)))
            n += put_entry(task, &commands[i], p + n);
    put_be32(p, n - 4);
    return n;
}

static const Command *asked_for(const Task *task)
{
    const uint8_t *cdb = task->cdb;
    const uint8_t wanted[2] = {cdb[3], cdb[5] & 0x1f};
    const Command *command = command_find(wanted);
    if (!command || !command_offered(command, task_lun(task)))
        return NULL;
    unsigned action = get_be16(cdb + 4);
    return command->action == action ? command : NULL;
}

static unsigned one_command(Task *task, uint8_t *p)
{
    const Command *command = asked_for(task);
    if (!command) {
        p[1] = 0x01; /* not supported */
        return 4;
    }
    p[1] = 0x03 | (task->cdb[2] & RCTD ? 0x80 : 0); /* supported as the standard says */
    put_be16(p + 2, command->cdb_len);
    memcpy(p + 4, command->usage, command->cdb_len);
    p[4] = command->opcode;
    p[5] |= command->action;
    unsigned n = 4 + command->cdb_len;
    return n + put_timeouts(task, p + n);
}

/* 1: the opcode has service actions, 0: it has none, -1: there is no such opcode. */
static int opcode_has_actions(uint8_t opcode)
{
    for (unsigned i = 0; i < commands_count; i++)
        if (commands[i].opcode == opcode)
            return commands[i].has_action;
    return -1;
}

void report_opcodes_run(Task *task)
{
    const uint8_t *cdb = task->cdb;
    unsigned option = cdb[2] & 7;
    int has_actions = opcode_has_actions(cdb[3]);
    uint32_t allocation_length = get_be32(cdb + 6);
    if (option > REPORT_EITHER)
        task_fail_cdb(task, 2, 2);
    else if ((option == REPORT_OPCODE && has_actions == 1) ||
             (option == REPORT_ACTION && has_actions == 0))
        task_fail_cdb(task, 4, 7);
    else if (option == REPORT_ALL)
        reply(task, 4 + commands_count * ENTRY_MAX, allocation_length, all_commands);
    else
        reply(task, 4 + COMMAND_CDB_MAX + TIMEOUTS_LEN, allocation_length, one_command);
}

static unsigned supported_tmfs(Task *task, uint8_t *p)
{
    p[0] =
        0xde; /* ABORT TASK (SET), CLEAR TASK SET, LOGICAL UNIT RESET, QUERY TASK, TARGET RESET */
    p[1] = 0x03; /* QUERY TASK SET, I_T NEXUS RESET */
    if (!(task->cdb[2] & REPD))
        return 4;
    p[3] = 12;
    return 16;
}

void report_tmfs_run(Task *task)
{
    uint32_t allocation_length = get_be32(task->cdb + 6);
    if (allocation_length < 4)
        task_fail_cdb(task, 6, 7);
    else
        reply(task, 16, allocation_length, supported_tmfs);
}
