/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reservations of a logical unit, persistent ones (SPC-4 5.13) and those of RESERVE (6) (SPC-2
 * 5.5), and which commands they refuse. Shared by all loops; the lock is Lun.lock, which is held
 * for short only: changes that are saved first are made on a copy, see reserve_out.c. */
#pragma once

#include "core/base/state_dir.h"
#include "core/scsi/reserve_action.h"
#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

typedef struct {
    ReserveState state;       /* lock */
    const Nexus *reserved_by; /* by RESERVE (6); NULL: nobody; lock */
    /* 0: nothing is reserved, nothing can conflict. Else a number that was not there before the
     * last change. Written under the lock, read relaxed by every command. */
    unsigned stamp;
    unsigned changes;   /* lock */
    bool out_busy;      /* a PERSISTENT RESERVE OUT is being carried out; lock */
    GQueue out_waiting; /* those after it, in order; lock */
    bool doubtful;      /* a save failed: what the file holds is not known; lock */
    char *file;         /* in the state directory; constant */
} Reservations;

/* What a nexus may do; valid as long as the stamp stays the same. In Itl, of its home loop. */
typedef enum {
    RESERVE_ACCESS_ALL,
    RESERVE_ACCESS_READ, /* somebody else has write exclusive access */
    RESERVE_ACCESS_NONE, /* somebody else has exclusive access */
    RESERVE_ACCESS_SPC2, /* somebody else has RESERVE (6) */
} ReserveAccess;
typedef struct {
    unsigned stamp;
    ReserveAccess access;
} ReserveVerdict;

/* --- of a LUN, on loop 0 ---------------------------------------------------------------------- */

/* Restores what was saved. False with error when that cannot be read: then the LUN must not be
 * used, for the reservation is what keeps others from writing to it. Blocks. */
bool reserve_open(Lun *lun, GError **error);
void reserve_close(Lun *lun);
/* True where the LUN can keep reservations over a loss of power. */
bool reserve_can_persist(const Lun *lun);

/* For people. Strings are owned by the caller; holders and registrations are NULL-terminated lists
 * of initiator ports, the holders being all registrations for a type of all registrants. MT-SAFE.
 */
typedef struct {
    const char *type; /* reserve_type_text(), "reserve-6", or "" */
    bool persists;    /* over a loss of power */
    uint32_t generation;
    char **holders;
    GArray *registrations; /* Registration */
} ReserveReport;
void reserve_report(Lun *lun, ReserveReport *report);
void reserve_report_clear(ReserveReport *report);

/* --- of a command, on its home loop ----------------------------------------------------------- */

/* True when a reservation refuses the command: it is answered. One relaxed load when there is no
 * reservation. */
bool reserve_refuses(Task *task);
/* True when a reservation keeps the nexus from reading, or writing, the LUN by other means than its
 * own commands, as copies do. MT-SAFE. */
bool reserve_denies(Lun *lun, const Nexus *nexus, bool write);
/* Ends the task with status RESERVATION CONFLICT. */
void reserve_conflict(Task *task);
/* A RESERVE (6) is in force, whose ever: SPC-2 5.5.1. MT-SAFE. */
bool reserve_is_reserved_6(Lun *lun);
/* Makes the draft the state, and the attentions known; takes the draft. MT-SAFE. */
void reserve_commit(Lun *lun, ReserveState *draft, const ReserveEffect *effect);

/* --- what ends a RESERVE (6); MT-SAFE --------------------------------------------------------- */

void reserve_forget_nexus(Lun *lun, const Nexus *nexus); /* I_T nexus loss */
void reserve_reset(Lun *lun);                            /* logical unit reset */

/* --- commands --------------------------------------------------------------------------------- */

void reserve_6_run(Task *task);
void release_6_run(Task *task);
void read_keys_run(Task *task);
void read_reservation_run(Task *task);
void report_capabilities_run(Task *task);
void read_full_status_run(Task *task);
void reserve_out_run(Task *task);
