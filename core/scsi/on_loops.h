/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Doing something on every I/O loop and waiting for it: for control paths of loop 0. */
#pragma once

#include "core/base/loop.h"

/* Runs fn(loop, arg) on every loop, on all of them at the same time, and returns when all have; on
 * the calling thread itself where that is one of them. Blocks; no I/O loop may call it, for two
 * that did would wait for each other. */
void on_loops(Loop *const *loops, unsigned nloops, void (*fn)(Loop *loop, void *arg), void *arg);
