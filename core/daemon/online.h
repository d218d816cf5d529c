/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes of targets and LUNs at an administrator's word, while sessions run: initiators see them
 * by unit attentions, without logging in again. Settings are those of the keyfile, and pass the
 * same checks. All on loop 0; errors are MANAGER_ERROR. */
#pragma once

#include "core/daemon/manager.h"

/* error NULL: done. Otherwise nothing was changed, but for what the function says. */
typedef void (*OnlineDone)(const GError *error, void *arg);

/* Opens the store and shows the LUN. Blocks while the store is opened. NULL with error. */
ExportLun *online_add_lun(Manager *manager, Export *export, unsigned number,
                          const ConfigSettings *settings, GError **error);
/* Withdraws the LUN at once; commands in it run to their end. done comes when the store is closed;
 * with MANAGER_ERROR_BUSY when that takes too long: the LUN is gone for initiators, and its store
 * is closed when the last command has ended. */
void online_remove_lun(Manager *manager, ExportLun *lun, OnlineDone done, void *arg);
/* Gives a file, or a null store, `size` bytes; 0: asks the store for the size that it has now,
 * which is all that can be done for a block device. A shorter one only with `shrink`: what lies
 * behind the new end is lost. */
void online_resize_lun(Manager *manager, ExportLun *lun, uint64_t size, bool shrink,
                       OnlineDone done, void *arg);

/* Gives the LUN a cache of this size; 0: none. Larger than the arena can spare: an error. */
void online_set_cache(Manager *manager, ExportLun *lun, uint64_t size, OnlineDone done, void *arg);

/* Sets the state of a target port group, by its word in the keyfile: an implicit transition. False
 * with error. */
bool online_set_group_state(Manager *manager, Export *export, unsigned group, const char *state,
                            GError **error);

/* A target without LUNs. Blocks. NULL with error. */
Export *online_add_target(Manager *manager, const char *name, const ConfigSettings *settings,
                          GError **error);
/* Logs its sessions out, and closes its LUNs; done as for a LUN. */
void online_remove_target(Manager *manager, Export *export, OnlineDone done, void *arg);

/* How long a removal is waited for; milliseconds. For tests. */
extern unsigned online_timeout_ms;
