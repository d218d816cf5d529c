/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the daemon's messages go: standard error, with the priorities of sd-daemon(3) where that is
 * the journal. */
#pragma once

#include <stdbool.h>

/* From now on g_warning() and the like write there. verbose: info and debug too. Once, before any
 * other thread. */
void log_start(bool verbose);
