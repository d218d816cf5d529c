/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blocking system calls in queue(), done() from reap(). */
#include "tests/fuzz/inline_engine.h"

#include "aio/blocking.h"
#include "aio/engines.h"
#include "aio/request.h"

#include <glib.h>

#define DEPTH 16u

typedef struct {
    AioCtx base;
    unsigned in_flight;
    AioReqList finished;
} InlineCtx;

static int inline_accepts(const AioFile *file, const AioParams *params, const char **why)
{
    (void)file, (void)params, (void)why;
    return 0;
}

static int inline_open(const AioParams *params, AioCtx **ctx)
{
    (void)params;
    InlineCtx *made = g_new0(InlineCtx, 1);
    made->base.engine = &inline_engine;
    *ctx = &made->base;
    return 0;
}

static int inline_event_fd(AioCtx *ctx)
{
    (void)ctx;
    return -1;
}

static bool inline_queue(AioCtx *base, AioReq *req)
{
    InlineCtx *ctx = (InlineCtx *)base;
    if (ctx->in_flight == DEPTH)
        return false;
    ctx->in_flight++;
    base->counters.submitted++;
    int res = aio_req_admit(req);
    if (res < 0)
        aio_req_finish(req, res);
    else
        aio_blocking_perform(req, &base->counters);
    aio_reqs_push(&ctx->finished, req);
    return true;
}

static void inline_flush(AioCtx *ctx)
{
    (void)ctx;
}

static unsigned inline_reap(AioCtx *base, unsigned max)
{
    InlineCtx *ctx = (InlineCtx *)base;
    unsigned count = 0;
    for (AioReq *req; count < max && (req = aio_reqs_pop(&ctx->finished)); count++) {
        ctx->in_flight--;
        aio_req_deliver(req, &base->counters);
    }
    return count;
}

static void inline_close(AioCtx *base)
{
    g_assert_cmpuint(((InlineCtx *)base)->in_flight, ==, 0);
    g_free(base);
}

static const char *const no_options[] = {NULL};

const AioEngine inline_engine = {
    .name = "inline",
    .summary = "for fuzzers",
    .options = no_options,
    .accepts = inline_accepts,
    .open = inline_open,
    .event_fd = inline_event_fd,
    .queue = inline_queue,
    .flush = inline_flush,
    .reap = inline_reap,
    .add_memory = aio_ignore_memory,
    .close = inline_close,
};
