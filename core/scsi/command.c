/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of the command table, and what can be said of a CDB by its row alone. */
#include "core/scsi/command.h"

#include "core/base/bytes.h"
#include "core/scsi/alua.h"
#include "core/scsi/atomics.h"
#include "core/scsi/capacity.h"
#include "core/scsi/control.h"
#include "core/scsi/copy.h"
#include "core/scsi/copy_results.h"
#include "core/scsi/diagnostic.h"
#include "core/scsi/disk.h"
#include "core/scsi/format.h"
#include "core/scsi/inquiry.h"
#include "core/scsi/log_sense.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/medium.h"
#include "core/scsi/mode.h"
#include "core/scsi/prefetch.h"
#include "core/scsi/provisioning.h"
#include "core/scsi/report_luns.h"
#include "core/scsi/report_opcodes.h"
#include "core/scsi/reserve.h"
#include "core/scsi/sanitize.h"
#include "core/scsi/verify.h"

#include <glib.h>

/* clang-format off */
#define FF2 0xff, 0xff
#define FF4 FF2, FF2
#define FF8 FF4, FF4
/* Byte 1, then LBA and length where READ and WRITE have them; the group number means nothing here but
 * is allowed, control is 0. */
#define RANGE_6            {0, 0x1f, FF2, 0xff, 0}
#define RANGE_10(byte1)    {0, byte1, FF4, 0x1f, FF2, 0}
#define RANGE_12(byte1)    {0, byte1, FF4, FF4, 0x1f, 0}
#define RANGE_16(byte1)    {0, byte1, FF8, FF4, 0x1f, 0}
#define RESERVE_IN  {0, 0, 0, 0, 0, 0, 0, FF2, 0}
#define RESERVE_OUT {0, 0, 0xff, 0, 0, FF4, 0}

/* List identifier, allocation length. */
#define RECEIVE_COPY       {0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, FF4, 0, 0}

enum {
    DPO = 0x10, FUA = 0x08, BYTCHK = 0x06, IMMED = 0x02, SYNC_NV = 0x04, UNMAP = 0x08, NDOB = 0x01,
    D = COMMAND_ON_RANGE, /* touches data */
    W = COMMAND_WRITES,
    X = COMMAND_EXCLUSIVE,
    C = COMMAND_CONFLICTS,
    R = COMMAND_PASSES_RESERVATION,
    STANDBY = COMMAND_IN_STANDBY,
    UNREADY = COMMAND_WHEN_NOT_READY,
    CORRUPT = COMMAND_WHEN_CORRUPT | COMMAND_WHEN_NOT_SANITIZED,
    DURING = COMMAND_DURING_SANITIZE,
    SANITIZES = W | CORRUPT | COMMAND_NEEDS_OVERWRITE | COMMAND_AT_ONCE,
    ALWAYS = R | STANDBY | UNREADY | DURING | COMMAND_WHEN_UNAVAILABLE,
    ANYWHERE = COMMAND_ANY_LUN | COMMAND_PASSES_ATTENTION | ALWAYS | COMMAND_DURING_FORMAT |
               COMMAND_AT_ONCE,
};

const Command commands[] = {
    {0x00, false, 0, 6, R, COMMAND_OTHER, "TEST UNIT READY",
     {0}, test_unit_ready_run},
    {0x03, false, 0, 6, ANYWHERE, COMMAND_OTHER, "REQUEST SENSE",
     {0, 0x01, 0, 0, 0xff, 0}, request_sense_run},
    {0x04, false, 0, 6, W | COMMAND_WHEN_CORRUPT, COMMAND_OTHER, "FORMAT UNIT",
     {0, 0x3f, 0, 0, 0, 0}, format_unit_run},
    {0x08, false, 0, 6, D, COMMAND_READ, "READ (6)",
     RANGE_6, disk_read},
    {0x0a, false, 0, 6, D | W, COMMAND_WRITE, "WRITE (6)",
     RANGE_6, disk_write},
    {0x12, false, 0, 6, ANYWHERE, COMMAND_OTHER, "INQUIRY",
     {0, 0x01, 0xff, FF2, 0}, inquiry_run},
    {0x15, false, 0, 6, C | STANDBY, COMMAND_OTHER, "MODE SELECT (6)",
     {0, 0x11, 0, 0, 0xff, 0}, mode_select_6_run},
    {0x16, false, 0, 6, R | UNREADY, COMMAND_OTHER, "RESERVE (6)",
     {0, 0, 0, 0, 0, 0}, reserve_6_run},
    {0x17, false, 0, 6, R | UNREADY, COMMAND_OTHER, "RELEASE (6)",
     {0, 0, 0, 0, 0, 0}, release_6_run},
    {0x1a, false, 0, 6, STANDBY | UNREADY, COMMAND_OTHER, "MODE SENSE (6)",
     {0, 0x08, 0xff, 0xff, 0xff, 0}, mode_sense_6_run},
    {0x1b, false, 0, 6, C | UNREADY, COMMAND_OTHER, "START STOP UNIT",
     {0, 0x01, 0, 0, 0xf7, 0}, start_stop_unit_run},
    {0x1d, false, 0, 6, C, COMMAND_OTHER, "SEND DIAGNOSTIC",
     {0, 0x17, 0, FF2, 0}, send_diagnostic_run},
    {0x1e, false, 0, 6, C | UNREADY, COMMAND_OTHER, "PREVENT ALLOW MEDIUM REMOVAL",
     {0, 0, 0, 0, 0x01, 0}, prevent_allow_run},
    {0x25, false, 0, 10, R | CORRUPT, COMMAND_OTHER, "READ CAPACITY (10)",
     {0, 0, FF4, 0, 0, 0x01, 0}, read_capacity_10_run},
    {0x28, false, 0, 10, D, COMMAND_READ, "READ (10)",
     RANGE_10(DPO | FUA), disk_read},
    {0x2a, false, 0, 10, D | W, COMMAND_WRITE, "WRITE (10)",
     RANGE_10(DPO | FUA), disk_write},
    {0x2e, false, 0, 10, D | W, COMMAND_WRITE, "WRITE AND VERIFY (10)",
     RANGE_10(DPO | BYTCHK), write_and_verify_run},
    {0x2f, false, 0, 10, D, COMMAND_OTHER, "VERIFY (10)",
     RANGE_10(DPO | BYTCHK), verify_run},
    {0x34, false, 0, 10, 0, COMMAND_OTHER, "PRE-FETCH (10)",
     RANGE_10(IMMED), pre_fetch_run},
    {0x35, false, 0, 10, C, COMMAND_FLUSH, "SYNCHRONIZE CACHE (10)",
     RANGE_10(SYNC_NV | IMMED), synchronize_cache_run},
    {0x37, false, 0, 10, 0, COMMAND_OTHER, "READ DEFECT DATA (10)",
     {0, 0, 0x1f, 0, 0, 0, 0, FF2, 0}, read_defect_data_10_run},
    {0x41, false, 0, 10, D | W, COMMAND_WRITE, "WRITE SAME (10)",
     RANGE_10(UNMAP), write_same_10_run},
    {0x42, false, 0, 10, W | COMMAND_ON_MEDIUM | COMMAND_NEEDS_THIN, COMMAND_UNMAP, "UNMAP",
     {0, 0, 0, 0, 0, 0, 0x1f, FF2, 0}, unmap_run},
    {0x48, true, 0x01, 10, SANITIZES, COMMAND_OTHER, "SANITIZE (OVERWRITE)",
     {0, 0xa0, 0, 0, 0, 0, 0, FF2, 0}, sanitize_overwrite_run},
    {0x48, true, 0x1f, 10, SANITIZES, COMMAND_OTHER, "SANITIZE (EXIT FAILURE MODE)",
     {0, 0xa0, 0, 0, 0, 0, 0, FF2, 0}, sanitize_exit_failure_run},
    {0x4c, false, 0, 10, C | STANDBY | UNREADY, COMMAND_OTHER, "LOG SELECT",
     {0, 0x02, 0xff, 0xff, 0, 0, 0, FF2, 0}, log_select_run},
    {0x4d, false, 0, 10, R | STANDBY | UNREADY | DURING, COMMAND_OTHER, "LOG SENSE",
     {0, 0, 0xff, 0xff, 0, FF2, FF2, 0}, log_sense_run},
    {0x55, false, 0, 10, C | STANDBY, COMMAND_OTHER, "MODE SELECT (10)",
     {0, 0x11, 0, 0, 0, 0, 0, FF2, 0}, mode_select_10_run},
    {0x5a, false, 0, 10, STANDBY | UNREADY, COMMAND_OTHER, "MODE SENSE (10)",
     {0, 0x18, 0xff, 0xff, 0, 0, 0, FF2, 0}, mode_sense_10_run},
    {0x5e, true, 0x00, 10, R | STANDBY | UNREADY, COMMAND_OTHER, "PERSISTENT RESERVE IN, READ KEYS",
     RESERVE_IN, read_keys_run},
    {0x5e, true, 0x01, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE IN, READ RESERVATION", RESERVE_IN, read_reservation_run},
    {0x5e, true, 0x02, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE IN, REPORT CAPABILITIES", RESERVE_IN, report_capabilities_run},
    {0x5e, true, 0x03, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE IN, READ FULL STATUS", RESERVE_IN, read_full_status_run},
    {0x5f, true, PR_REGISTER, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE OUT, REGISTER", RESERVE_OUT, reserve_out_run},
    {0x5f, true, PR_RESERVE, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE OUT, RESERVE", RESERVE_OUT, reserve_out_run},
    {0x5f, true, PR_RELEASE, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE OUT, RELEASE", RESERVE_OUT, reserve_out_run},
    {0x5f, true, PR_CLEAR, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE OUT, CLEAR", RESERVE_OUT, reserve_out_run},
    {0x5f, true, PR_PREEMPT, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE OUT, PREEMPT", RESERVE_OUT, reserve_out_run},
    {0x5f, true, PR_PREEMPT_AND_ABORT, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE OUT, PREEMPT AND ABORT", RESERVE_OUT, reserve_out_run},
    {0x5f, true, PR_REGISTER_AND_IGNORE, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY", RESERVE_OUT, reserve_out_run},
    {0x5f, true, PR_REGISTER_AND_MOVE, 10, R | STANDBY | UNREADY, COMMAND_OTHER,
     "PERSISTENT RESERVE OUT, REGISTER AND MOVE", RESERVE_OUT, reserve_out_run},
    {0x83, true, 0x00, 16, C, COMMAND_OTHER, "EXTENDED COPY (LID1)",
     {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, FF4, 0, 0}, extended_copy_run},
    {0x84, true, 0x00, 16, R, COMMAND_OTHER, "RECEIVE COPY STATUS (LID1)",
     RECEIVE_COPY, receive_copy_status_run},
    {0x84, true, 0x01, 16, R, COMMAND_OTHER, "RECEIVE COPY DATA (LID1)",
     RECEIVE_COPY, receive_copy_data_run},
    {0x84, true, 0x03, 16, R, COMMAND_OTHER, "RECEIVE COPY OPERATING PARAMETERS",
     RECEIVE_COPY, receive_copy_parameters_run},
    {0x84, true, 0x04, 16, R, COMMAND_OTHER, "RECEIVE COPY FAILURE DETAILS (LID1)",
     RECEIVE_COPY, receive_copy_failure_run},
    {0x88, false, 0, 16, D, COMMAND_READ, "READ (16)",
     RANGE_16(DPO | FUA), disk_read},
    {0x89, false, 0, 16, D | W | X, COMMAND_WRITE, "COMPARE AND WRITE",
     {0, DPO | FUA, FF8, 0, 0, 0, 0xff, 0x1f, 0}, compare_and_write_run},
    {0x8a, false, 0, 16, D | W, COMMAND_WRITE, "WRITE (16)",
     RANGE_16(DPO | FUA), disk_write},
    {0x8b, false, 0, 16, D | W | X, COMMAND_WRITE, "ORWRITE (16)",
     RANGE_16(DPO | FUA), orwrite_run},
    {0x8e, false, 0, 16, D | W, COMMAND_WRITE, "WRITE AND VERIFY (16)",
     RANGE_16(DPO | BYTCHK), write_and_verify_run},
    {0x8f, false, 0, 16, D, COMMAND_OTHER, "VERIFY (16)",
     RANGE_16(DPO | BYTCHK), verify_run},
    {0x90, false, 0, 16, 0, COMMAND_OTHER, "PRE-FETCH (16)",
     RANGE_16(IMMED), pre_fetch_run},
    {0x91, false, 0, 16, C, COMMAND_FLUSH, "SYNCHRONIZE CACHE (16)",
     RANGE_16(SYNC_NV | IMMED), synchronize_cache_run},
    {0x93, false, 0, 16, D | W, COMMAND_WRITE, "WRITE SAME (16)",
     RANGE_16(UNMAP | NDOB), write_same_16_run},
    {0x9c, false, 0, 16, D | W | X | COMMAND_NEEDS_ATOMIC, COMMAND_WRITE, "WRITE ATOMIC (16)",
     {0, DPO | FUA, FF8, 0, 0, FF2, 0x1f, 0}, write_atomic_run},
    {0x9e, true, 0x10, 16, R | CORRUPT, COMMAND_OTHER, "READ CAPACITY (16)",
     {0, 0, FF8, FF4, 0x01, 0}, read_capacity_16_run},
    {0x9e, true, 0x12, 16, COMMAND_NEEDS_THIN, COMMAND_OTHER, "GET LBA STATUS",
     {0, 0, FF8, FF4, 0, 0}, get_lba_status_run},
    {0xa0, false, 0, 12, ANYWHERE, COMMAND_OTHER, "REPORT LUNS",
     {0, 0, 0xff, 0, 0, 0, FF4, 0, 0}, report_luns_run},
    {0xa3, true, 0x0a, 12, ALWAYS, COMMAND_OTHER, "REPORT TARGET PORT GROUPS",
     {0, 0xe0, 0, 0, 0, 0, FF4, 0, 0}, report_target_port_groups_run},
    {0xa3, true, 0x0c, 12, ALWAYS & ~R, COMMAND_OTHER, "REPORT SUPPORTED OPERATION CODES",
     {0, 0, 0x87, 0xff, FF2, FF4, 0, 0}, report_opcodes_run},
    {0xa3, true, 0x0d, 12, ALWAYS & ~R, COMMAND_OTHER, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
     {0, 0, 0x80, 0, 0, 0, FF4, 0, 0}, report_tmfs_run},
    {0xa4, true, 0x0a, 12,
     C | STANDBY | UNREADY | COMMAND_WHEN_UNAVAILABLE | COMMAND_NEEDS_EXPLICIT_ALUA, COMMAND_OTHER,
     "SET TARGET PORT GROUPS",
     {0, 0, 0, 0, 0, 0, FF4, 0, 0}, set_target_port_groups_run},
    {0xa8, false, 0, 12, D, COMMAND_READ, "READ (12)",
     RANGE_12(DPO | FUA), disk_read},
    {0xaa, false, 0, 12, D | W, COMMAND_WRITE, "WRITE (12)",
     RANGE_12(DPO | FUA), disk_write},
    {0xae, false, 0, 12, D | W, COMMAND_WRITE, "WRITE AND VERIFY (12)",
     RANGE_12(DPO | BYTCHK), write_and_verify_run},
    {0xaf, false, 0, 12, D, COMMAND_OTHER, "VERIFY (12)",
     RANGE_12(DPO | BYTCHK), verify_run},
    {0xb7, false, 0, 12, 0, COMMAND_OTHER, "READ DEFECT DATA (12)",
     {0, 0x1f, FF4, FF4, 0, 0}, read_defect_data_12_run},
};
/* clang-format on */
const unsigned commands_count = G_N_ELEMENTS(commands);

static uint8_t first_row[256]; /* of an opcode, plus 1; 0: none */

__attribute__((constructor)) static void index_commands(void)
{
    for (unsigned i = commands_count; i-- > 0;)
        first_row[commands[i].opcode] = (uint8_t)(i + 1);
}

const Command *command_find(const uint8_t *cdb)
{
    unsigned row = first_row[cdb[0]];
    if (row == 0)
        return NULL;
    const Command *command = &commands[row - 1], *end = commands + commands_count;
    if (!command->has_action)
        return command;
    for (; command < end && command->opcode == cdb[0]; command++)
        if (command->action == (cdb[1] & 0x1f))
            return command;
    return NULL;
}

/* Whether no reserved bit is set, for most commands: eight bytes at a time, of which some twice. */
static bool fits_usage(const Command *command, const uint8_t *cdb)
{
    const uint8_t *usage = command->usage;
    unsigned last = command->cdb_len - 8;
    return command->cdb_len > 8 && command->cdb_len <= 16 && !command->has_action &&
           !(get_be64(cdb + 1) & ~get_be64(usage + 1)) &&
           !(get_be64(cdb + last) & ~get_be64(usage + last));
}

int command_check_cdb(const Command *command, const uint8_t *cdb, unsigned cdb_len)
{
    if (cdb_len < command->cdb_len)
        return (int)cdb_len * 8 + 7;
    if (G_LIKELY(fits_usage(command, cdb)))
        return -1;
    for (unsigned i = 1; i < command->cdb_len; i++) {
        uint8_t allowed = command->usage[i] | (i == 1 && command->has_action ? 0x1f : 0);
        uint8_t bad = cdb[i] & (uint8_t)~allowed;
        if (G_UNLIKELY(bad))
            return (int)i * 8 + 31 - __builtin_clz(bad);
    }
    return -1;
}

bool command_offered(const Command *command, const Lun *lun)
{
    if (G_LIKELY(!(command->flags & COMMAND_NOT_EVERYWHERE)))
        return true;
    if (command->flags & COMMAND_NEEDS_THIN)
        return lun->thin;
    if (command->flags & COMMAND_NEEDS_EXPLICIT_ALUA)
        return alua_is_explicit(lun->alua);
    return command->flags & COMMAND_NEEDS_ATOMIC ? lun_atomic_blocks(lun) > 0
                                                 : sanitize_possible(lun);
}

const Command *command_of_opcode(uint8_t opcode)
{
    return first_row[opcode] ? &commands[first_row[opcode] - 1] : NULL;
}

uint64_t cdb_lba(const uint8_t *cdb)
{
    switch (cdb[0] >> 5) {
    case 0:
        return get_be24(cdb + 1) & 0x1fffff;
    case 4:
        return get_be64(cdb + 2);
    default:
        return get_be32(cdb + 2);
    }
}

uint32_t cdb_blocks(const uint8_t *cdb)
{
    switch (cdb[0] >> 5) {
    case 0:
        return cdb[4];
    case 4:
        return get_be32(cdb + 10);
    case 5:
        return get_be32(cdb + 6);
    default:
        return get_be16(cdb + 7);
    }
}
