/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker threads of one context: they perform requests with blocking calls and hand them back
 * on a list. The context's thread calls everything here. */
#pragma once

#include "aio/aio.h"
#include "aio/request.h"

typedef struct AioWorkers AioWorkers;

typedef struct {
    unsigned threads; /* most of them; they are started on demand */
    bool coalesce;    /* false: a wake-up per request and an event per completion, as in 2008 */
    unsigned idle_ms; /* how long a worker waits for work before it retires; the last one stays */
    void (*perform)(AioReq *req, AioCounters *counters); /* aio_blocking_perform */
} AioWorkersConfig;

void aio_workers_config_init(AioWorkersConfig *config, const AioParams *params);

/* 0 and *workers, or -errno. Starts no thread yet. */
int aio_workers_open(const AioWorkersConfig *config, AioCounters *counters, AioWorkers **workers);
void aio_workers_close(AioWorkers *workers); /* joins; nothing may be out. NULL is allowed */

/* Becomes readable when a finished request is put on the empty list. */
int aio_workers_event_fd(const AioWorkers *workers);

/* Queues a request; it starts at the latest with kick. */
void aio_workers_push(AioWorkers *workers, AioReq *req);
void aio_workers_kick(AioWorkers *workers);

/* Moves the finished requests to `done`, oldest first; how many. Does not touch the event fd. */
unsigned aio_workers_collect(AioWorkers *workers, AioReqList *done);

/* Reads the event fd where a sign is pending for requests already collected. True: signs of later
 * ones may have been swallowed with it, collect again. `others` is the number of signs that came
 * from elsewhere (libaio's completions) since the last call. */
bool aio_workers_clear(AioWorkers *workers, uint64_t others);

/* Threads that exist, and those of them that sleep for want of work. MT-SAFE. */
unsigned aio_workers_alive(AioWorkers *workers);
unsigned aio_workers_idle(AioWorkers *workers);
