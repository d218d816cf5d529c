/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The running state, written back to the configuration file. On loop 0. */
#pragma once

#include "core/daemon/manager.h"

/* Writes targets and LUNs as they are now into the file that the daemon was started with: lines
 * that are still true stay, comments all. The file is replaced as a whole, durably, with its mode.
 * Blocks. MANAGER_ERROR. */
bool save_settings(Manager *manager, GError **error);
