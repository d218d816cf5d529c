/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mode parameters that can be changed, as they are now, by default, and as they were saved in
 * the state directory for the next start (SPC-4 5.12). */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

typedef struct {
    bool write_cache;            /* WCE */
    bool descriptor_sense;       /* D_SENSE */
    bool software_write_protect; /* SWP */
} ModeValues;

typedef enum { MODE_CURRENT, MODE_CHANGEABLE, MODE_DEFAULT, MODE_SAVED } ModeControl;

/* MT-SAFE; not for MODE_CHANGEABLE. Where nothing was saved, MODE_SAVED is MODE_DEFAULT. */
ModeValues mode_values(const Lun *lun, ModeControl control);
bool mode_values_equal(ModeValues a, ModeValues b);

/* False where there is no state directory. */
bool mode_can_save(const Lun *lun);
/* Makes what was saved true; loop 0, before the LUN is shown. Blocks. False with error where it
 * cannot be told what was saved: write protection would be lost. */
bool mode_load_saved(Lun *lun, GError **error);
/* After a reset the saved values are the current ones (SPC-4 5.12). Every nexus is told of a
 * change. True when this has turned the write cache off: what it holds is to be flushed then.
 * MT-SAFE. */
bool mode_restore_saved(Lun *lun);
/* Saves the current values, and then ends the task. */
void mode_save_and_complete(Task *task);
