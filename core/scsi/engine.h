/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An engine context at work on one loop: polled by the loop, flushed once a round, shared by all
 * LUNs that use the same engine with the same parameters. */
#pragma once

#include "aio/aio.h"
#include "core/base/loop.h"
#include "core/mem/arena.h"

typedef struct Engine Engine;

/* The loop's context of this engine and parameters, made on first use; a reference. NULL with
 * error. `arena` chunks become fixed buffers where the engine has them. On the loop. */
Engine *engine_get(Loop *loop, Arena *arena, const AioEngine *engine, const AioParams *params,
                   GError **error);
void engine_put(Engine *engine); /* on the loop; the last one closes the context */

/* Starts the request at the end of the round, in order; waits in a FIFO while the context is full.
 * done() is called on the loop, never inside. */
void engine_submit(Engine *engine, AioReq *req);

/* Takes back a request that waits in that FIFO; false: it does not. */
bool engine_withdraw(Engine *engine, AioReq *req);

const AioEngine *engine_type(const Engine *engine);
const AioParams *engine_params(const Engine *engine);
void engine_get_counters(const Engine *engine, AioCounters *out); /* MT-SAFE while held */
