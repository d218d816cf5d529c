/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is kept of a background operation in the state directory, until it has ended well. */
#pragma once

#include "core/base/state_dir.h"
#include "core/scsi/operation.h"

typedef struct {
    OperationSpec spec; /* the pattern is owned */
    unsigned pass;      /* those before it are on stable storage */
    bool failed;        /* it is not to be gone on with */
} OperationRecord;

void operation_record_clear(OperationRecord *record);

/* *record is NULL where there is none. One that is damaged, or of a kind that cannot be gone on
 * with, comes as failed. Blocks. False with error. */
bool operation_record_load(const Lun *lun, OperationRecord **record, GError **error);
/* As lun_state_save(), but done() comes inside where there is no state directory. */
void operation_record_save(const Lun *lun, const OperationRecord *record, Loop *loop,
                           StateSaved done, void *arg);
/* The same, and there is none any more. */
void operation_record_forget(const Lun *lun, Loop *loop, StateSaved done, void *arg);
