/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same load by fio(1), for reference. */
#pragma once

#include "tools/bench/load.h"

/* NULL: fio is not installed; otherwise its path, g_free(). */
char *fio_find(void);

/* Runs it on the plan's file with its io_uring engine; fills *round but for the counters. False
 * with *error. Blocks; Ctrl-C ends fio, too. */
bool fio_run(const char *fio, const Plan *plan, const Workload *workload, AioMode mode,
             Round *round, GError **error);

/* Understands what fio printed (--output-format=json+). */
bool fio_parse(const char *json, Round *round, GError **error);
