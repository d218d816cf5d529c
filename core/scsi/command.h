/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of commands: one row per operation code, or per service action where the operation
 * code has them. REPORT SUPPORTED OPERATION CODES is generated from it. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

#define COMMAND_CDB_MAX 16

enum {
    COMMAND_WRITES = 1u << 0,           /* may change the medium */
    COMMAND_ANY_LUN = 1u << 1,          /* answered where there is no logical unit, too */
    COMMAND_PASSES_ATTENTION = 1u << 2, /* unit attentions are not reported in its place */
    COMMAND_NEEDS_THIN = 1u << 3,       /* not there on fully provisioned LUNs */
    /* Allowed to everybody whoever holds a reservation (SPC-4 table 65, SBC-3 table 13). Of the
     * others, those with COMMAND_WRITES or COMMAND_CONFLICTS are refused by every reservation of
     * somebody else, the rest by exclusive access only. */
    COMMAND_PASSES_RESERVATION = 1u << 4,
    COMMAND_CONFLICTS = 1u << 5,
    /* Allowed in the asymmetric access states Standby, Unavailable (SPC-4 5.15.2.4). */
    COMMAND_IN_STANDBY = 1u << 6,
    COMMAND_WHEN_UNAVAILABLE = 1u << 7,
    COMMAND_WHEN_NOT_READY = 1u << 8, /* stopped, ejected, or where a format or sanitize failed */
    /* Which blocks it reads or changes: those of the LBA and length in its CDB, or any. Of neither
     * kind is a command that makes claims (claim.h) of its own. */
    COMMAND_ON_RANGE = 1u << 9,
    COMMAND_ON_MEDIUM = 1u << 10,
    COMMAND_EXCLUSIVE = 1u << 11,       /* no other command touches them meanwhile, see claim.h */
    COMMAND_NEEDS_ATOMIC = 1u << 12,    /* not there where the store cannot write atomically */
    COMMAND_NEEDS_OVERWRITE = 1u << 13, /* not there where blocks are not overwritten in place */
    COMMAND_NEEDS_EXPLICIT_ALUA = 1u << 14, /* not there where states change implicitly only */
    COMMAND_NOT_EVERYWHERE = COMMAND_NEEDS_THIN | COMMAND_NEEDS_ATOMIC | COMMAND_NEEDS_OVERWRITE |
                             COMMAND_NEEDS_EXPLICIT_ALUA,
    COMMAND_DURING_FORMAT = 1u << 15,      /* SBC-3 5.3.1 */
    COMMAND_DURING_SANITIZE = 1u << 18,    /* SBC-4 4.11.2 */
    COMMAND_WHEN_CORRUPT = 1u << 16,       /* where a format failed */
    COMMAND_WHEN_NOT_SANITIZED = 1u << 17, /* where a sanitize failed */
    /* Never waits for others, but lets them start: head of queue without what that says of those
     * behind it (SAM-5 8.7, SBC-3 5.31). So an ordered SANITIZE can be asked how far it is. */
    COMMAND_AT_ONCE = 1u << 19,
};

/* What it counts as in the statistics. */
typedef enum {
    COMMAND_OTHER,
    COMMAND_READ,
    COMMAND_WRITE,
    COMMAND_FLUSH,
    COMMAND_UNMAP,
} CommandKind;

struct Command {
    uint8_t opcode;
    bool has_action; /* service action, in byte 1 bits 4..0 */
    uint8_t action;
    uint8_t cdb_len;
    uint32_t flags;
    CommandKind kind;
    const char *name;
    /* CDB usage data (SPC-4 6.35.3): a bit that is clear must be clear in the CDB. Bytes 0 and the
     * service action are filled in by REPORT SUPPORTED OPERATION CODES. */
    uint8_t usage[COMMAND_CDB_MAX];
    /* Called with the CDB checked against `usage`, on a running task. */
    void (*run)(Task *task);
};

extern const Command commands[]; /* by opcode, then service action */
extern const unsigned commands_count;

/* The row for a CDB, whose operation code and service action are looked at; NULL: not supported. */
const Command *command_find(const uint8_t *cdb);
/* Where the CDB has a bit that it must not have: byte * 8 + bit; or is too short; -1: nowhere. */
int command_check_cdb(const Command *command, const uint8_t *cdb, unsigned cdb_len);
/* True where the LUN has the command. */
bool command_offered(const Command *command, const Lun *lun);
/* The first row of the operation code, whatever the service action; NULL: none. */
const Command *command_of_opcode(uint8_t opcode);

/* LBA and length, which CDBs of READ / WRITE form have in the same places (SBC-3 5.8 ff.). */
uint64_t cdb_lba(const uint8_t *cdb);
uint32_t cdb_blocks(const uint8_t *cdb); /* as it stands: READ (6)'s 0 is 0 */
