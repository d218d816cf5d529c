/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file, read again and applied while sessions run. On loop 0. */
#pragma once

#include "core/daemon/manager.h"

/* Applies how the file differs from the running state: targets and LUNs that came or went, engines
 * of LUNs, sizes (of null stores; those of others are asked for again). All of it or nothing: what
 * cannot be changed at run time is named, each key on a line, and then nothing is. What was added
 * online and not saved goes. done comes once, possibly inside; MANAGER_ERROR. */
typedef void (*ReloadDone)(const GError *error, void *arg);
void reload_start(Manager *manager, ReloadDone done, void *arg);
