/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must outlive the daemon, of one LUN: keyfiles in the state directory, lun-NAA.KIND. */
#pragma once

#include "core/base/state_dir.h"

typedef struct Lun Lun; /* lun.h */

/* *file is what was saved, or NULL where nothing was, or there is no state directory. False with
 * error, which names the file. Blocks. */
bool lun_state_load(const Lun *lun, const char *kind, GKeyFile **file, GError **error);

/* Saves the file, or forgets what was saved where it is NULL; done comes once, on `loop`, with
 * error where it failed, which is logged by then. Only with a state directory. Any loop. */
void lun_state_save(const Lun *lun, const char *kind, GKeyFile *file, Loop *loop, StateSaved done,
                    void *arg);
