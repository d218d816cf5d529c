/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files that must outlive a crash, in one directory: reservations, saved mode pages. A file
 * is always what one save made it, whole. */
#pragma once

#include "core/base/loop.h"

typedef struct StateDir StateDir;

/* Makes the directory (mode 0700) where there is none. Blocks. NULL with error. */
StateDir *state_dir_open(const char *path, GError **error);
/* Waits for every save; their done() may come later. NULL is allowed. Blocks. */
void state_dir_close(StateDir *dir);

/* The bytes of a file; NULL with error, NULL without error where there is no such file. `name` is
 * of [A-Za-z0-9._-]. Blocks; it does not see saves that have not ended. MT-SAFE. */
GBytes *state_dir_load(StateDir *dir, const char *name, GError **error);

/* error is NULL when the file is on stable storage; else the old one may stand or the new. */
typedef void (*StateSaved)(const GError *error, void *arg);
/* Replaces the file; removes it where bytes is NULL. Never blocks: a thread of the directory's own
 * does it, in the order of the calls, and done(error, arg) comes once, on the loop. Takes a
 * reference of bytes. MT-SAFE. */
void state_dir_save(StateDir *dir, const char *name, GBytes *bytes, Loop *loop, StateSaved done,
                    void *arg);
