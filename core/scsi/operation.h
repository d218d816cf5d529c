/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The background operation of a LUN: FORMAT UNIT and SANITIZE write all of the medium in pieces,
 * through the engine like any command, while other commands are told to wait. At most one at a time
 * per LUN; on the loop of the command that asked for it. What resets and aborts end is the command,
 * not the operation (SBC-3 4.11): nobody can see or write the medium before its end anyway. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

typedef enum {
    MEDIUM_GOOD,
    MEDIUM_FORMATTING,
    MEDIUM_SANITIZING,
    MEDIUM_FORMAT_CORRUPT, /* the format failed, or was interrupted by the end of the daemon */
    MEDIUM_NOT_SANITIZED,  /* SBC-3 4.11.4, sanitize failure mode */
} MediumCondition;

/* Member of Lun. */
typedef struct {
    MediumCondition condition; /* atomic, changed under Lun.lock */
    uint32_t progress;         /* of 65536; atomic */
    bool unrestricted;         /* AUSE of the last sanitize; lock */
    bool stop;                 /* atomic: the LUN is going */
    Operation *interrupted; /* by the end of an earlier daemon; loop 0, until it is gone on with */
    unsigned running;       /* Operation and flushes that have not ended altogether; lock */
} LunOperation;

typedef enum { OPERATION_FORMAT, OPERATION_SANITIZE } OperationKind;

typedef struct {
    OperationKind kind;
    const uint8_t *pattern; /* of every block, repeated to its end; NULL: zeros */
    uint32_t pattern_len;   /* bytes, at most a block */
    unsigned passes;        /* over the whole medium, each on stable storage before the next */
    bool invert;            /* every other pass, so that the last is not */
    bool unrestricted;      /* AUSE */
} OperationSpec;

MediumCondition operation_condition(const Lun *lun); /* MT-SAFE */
uint16_t operation_progress(const Lun *lun);         /* of 65536; MT-SAFE */

/* Begins, and ends the task: when the operation is recorded in the state directory and cannot be
 * lost (immediate), or when it has ended. The task has no transfer under way. */
void operation_begin(Task *task, const OperationSpec *spec, bool immediate);

/* Flushes the store for something that is no task; the closing of the LUN waits for it. On the
 * shard's loop, as is done(). */
void operation_flush(LunShard *shard, void (*done)(int res, void *arg), void *arg);

/* The same for requests of others: the closing of the LUN waits from one to the other. On the
 * shard's loop. */
void operation_hold_on(LunShard *shard);
void operation_let_go(LunShard *shard);

/* Leaves sanitize failure mode where the failed operation allows it; false where it does not. */
bool operation_exit_failure(Task *task);

const char *operation_name(OperationKind kind);

/* Notes what a daemon before this one did not bring to its end; loop 0, before the LUN is shown. A
 * format is of no use then and has to be asked for anew; a sanitize goes on with the pass that was
 * interrupted (SBC-3 4.11.2: after a power cycle, too). Blocks. False with error. */
bool operation_load(Lun *lun, GError **error);
/* Goes on with it, once the LUN has its shards; loop 0. */
void operation_resume(Lun *lun);
void operation_free(Operation *operation); /* one that is not under way, or NULL */

/* Ends the operation soon, unfinished, because the LUN goes; lun_operation_ended() follows. */
void operation_stop(Lun *lun);
bool operation_running(Lun *lun); /* MT-SAFE */
