/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The null engine: no storage behind it; what remains is the cost of everything else. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "aio/engines.h"
#include "aio/file_impl.h"
#include "aio/request.h"

typedef struct {
    AioCtx base;
    unsigned depth, in_flight;
    AioReqList finished;
} NullCtx;

static const char *const null_options[] = {"depth", NULL};

static int null_accepts(const AioFile *file, const AioParams *params, const char **why)
{
    (void)params;
    if (aio_file_is_null(file))
        return 0;
    *why = "the null engine serves only LUNs without a path";
    return -EOPNOTSUPP;
}

static int null_open(const AioParams *params, AioCtx **ctx)
{
    NullCtx *made = g_new0(NullCtx, 1);
    made->base.engine = &aio_engine_null;
    made->depth = params->depth;
    *ctx = &made->base;
    return 0;
}

static int null_event_fd(AioCtx *ctx)
{
    (void)ctx;
    return -1;
}

/* Zeros are written for real: the buffer may hold what another command left in it. */
static void null_read(const AioReq *req)
{
    for (int i = 0; i < req->iovcnt; i++)
        memset(req->iov[i].iov_base, 0, req->iov[i].iov_len);
}

static bool null_queue(AioCtx *base, AioReq *req)
{
    NullCtx *ctx = (NullCtx *)base;

    if (ctx->in_flight >= ctx->depth)
        return false;
    ctx->in_flight++;
    aio_count(&base->counters.submitted, 1);
    int res = aio_req_admit(req);
    if (res == 0 && req->op == AIO_READ)
        null_read(req);
    if (res == 0 && (req->op == AIO_EXTENT || req->op == AIO_PREFETCH))
        req->moved = req->len;
    aio_req_finish(req, res);
    aio_reqs_push(&ctx->finished, req);
    return true;
}

static void null_flush(AioCtx *ctx)
{
    (void)ctx;
}

static unsigned null_reap(AioCtx *base, unsigned max)
{
    NullCtx *ctx = (NullCtx *)base;
    unsigned count = 0;

    for (AioReq *req; count < max && (req = aio_reqs_pop(&ctx->finished)); count++) {
        ctx->in_flight--;
        aio_req_deliver(req, &base->counters);
    }
    return count;
}

static void null_close(AioCtx *base)
{
    NullCtx *ctx = (NullCtx *)base;
    g_assert(!ctx->in_flight);
    g_free(ctx);
}

const AioEngine aio_engine_null = {
    .name = "null",
    .summary = "no storage: reads zeros, drops writes",
    .options = null_options,
    .accepts = null_accepts,
    .open = null_open,
    .event_fd = null_event_fd,
    .queue = null_queue,
    .flush = null_flush,
    .reap = null_reap,
    .add_memory = aio_ignore_memory,
    .close = null_close,
};
