/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A context of the device and its asynchronous events. */
#pragma once

#include "tools/softverbs/sv.h"

struct sv_async {
    struct sv_async *next;
    struct ibv_async_event ev;
    uint32_t *delivered;
};

struct sv_ctx {
    struct sv_ctx *next;
    struct sv_async *first, **last;
    pthread_mutex_t lock;
    struct verbs_context v; /* last, as the ABI wants it */
};

static inline struct sv_ctx *sv_to_ctx(struct ibv_context *c)
{
    return container_of(c, struct sv_ctx, v.context);
}

/* A new context, or NULL with errno. */
struct sv_ctx *sv_open(void);
/* Queues an event; delivered counts those of its object that were fetched. MT-SAFE. */
void sv_async_event(struct ibv_context *c, enum ibv_event_type t, void *obj, uint32_t *delivered);
/* Before an object goes: drops what nobody fetched, waits for what was not acknowledged. */
void sv_async_purge(struct ibv_context *c, uint32_t *delivered, pthread_mutex_t *m,
                    pthread_cond_t *cond, uint32_t *completed);
/* The fault devgone-after: everything is flushed, and there is no device any more. */
void sv_device_gone(void);
