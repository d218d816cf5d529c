/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file under test: made if asked, opened once and shared by all contenders. */
#pragma once

#include "tools/bench/plan.h"

typedef struct {
    AioFile *modes[2]; /* by AioMode */
    AioFile *null;     /* of the same size, for the null engine */
} Store;

/* Opens what the plan's contenders need and gives each its file. A contender whose engine does not
 * take it is named on stderr and removed. False with *error. */
bool store_open(Store *store, Plan *plan, GError **error);
void store_close(Store *store);

/* Reads the whole file once, so that buffered rounds measure the engine and not the disk. */
void store_warm(const Plan *plan);
