/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The syslet engine: a read whose data is cached is done on the spot, everything that would block
 * moves to a worker thread. */
#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <unistd.h>

#include "aio/engines.h"
#include "aio/file_impl.h"
#include "aio/request.h"
#include "aio/sys.h"
#include "aio/workers.h"

#define WINDOW      256 /* probes over which the hits are judged */
#define WINDOW_RARE 32  /* the same while only one read in RARE_STEP is probed */
#define RARE_STEP   16

typedef struct {
    AioCtx base;
    AioParams params;
    AioWorkers *workers;
    AioReqList finished;
    unsigned in_flight, handed_off;
} SysletCtx;

static const char *const syslet_options[] = {"threads",    "depth",    "inline",
                                             "inline-max", "coalesce", NULL};

static int syslet_accepts(const AioFile *file, const AioParams *params, const char **why)
{
    (void)params;
    if (!aio_file_is_null(file))
        return 0;
    *why = "a LUN without a path is served by the null engine only";
    return -EOPNOTSUPP;
}

static int syslet_open(const AioParams *params, AioCtx **ctx)
{
    SysletCtx *made = g_new0(SysletCtx, 1);
    AioWorkersConfig config;

    made->base.engine = &aio_engine_syslet;
    made->params = *params;
    aio_workers_config_init(&config, params);
    int res = aio_workers_open(&config, &made->base.counters, &made->workers);
    if (res < 0) {
        g_free(made);
        return res;
    }
    *ctx = &made->base;
    return 0;
}

static int syslet_event_fd(AioCtx *base)
{
    return aio_workers_event_fd(((SysletCtx *)base)->workers);
}

#define GET(field)        __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define SET(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

/* A file that is never cached costs a system call in vain for every read: probe it rarely then. */
static bool nowait_worth_it(AioNowait *nowait)
{
    if (!GET(nowait->rare))
        return true;
    unsigned skipped = GET(nowait->skipped) + 1;
    SET(nowait->skipped, skipped);
    return skipped % RARE_STEP == 0;
}

static void nowait_learn(AioNowait *nowait, bool hit)
{
    unsigned probes = GET(nowait->probes) + 1, hits = GET(nowait->hits) + hit;
    unsigned window = GET(nowait->rare) ? WINDOW_RARE : WINDOW;

    if (probes >= window) {
        SET(nowait->rare, hits * 10 < window);
        probes = hits = 0;
    }
    SET(nowait->probes, probes);
    SET(nowait->hits, hits);
}

/* Only where the answer cannot involve the disk: a direct file would do the I/O in place. */
static bool may_inline(const SysletCtx *ctx, const AioReq *req)
{
    return req->op == AIO_READ && ctx->params.inline_reads && req->len <= ctx->params.inline_max &&
           req->iovcnt <= IOV_MAX && req->file->mode == AIO_BUFFERED &&
           !GET(req->file->nowait.unsupported) && nowait_worth_it(&req->file->nowait);
}

/* True: all bytes were there. A part of them stays where it is, and the worker goes on behind it.
 * After a miss no second try: the first has started readahead, a second would only find it. */
static bool read_inline(SysletCtx *ctx, AioReq *req)
{
    AioCounters *counters = &ctx->base.counters;
    AioNowait *nowait = &req->file->nowait;
    ssize_t n =
        aio_sys.preadv2(req->file->fd, req->iov, req->iovcnt, (off_t)req->offset, RWF_NOWAIT);

    if (n == -EOPNOTSUPP || n == -EINVAL || n == -EPERM) {
        SET(nowait->unsupported, true);
        aio_count(&counters->inline_unsupported, 1);
        return false;
    }
    nowait_learn(nowait, n > 0);
    if (n == (ssize_t)req->len) {
        aio_count(&counters->inline_hits, 1);
        return true;
    }
    if (n > 0)
        req->moved = (uint64_t)n;
    aio_count(n > 0 ? &counters->inline_shorts : &counters->inline_misses, 1);
    return false;
}

static bool syslet_queue(AioCtx *base, AioReq *req)
{
    SysletCtx *ctx = (SysletCtx *)base;

    if (ctx->in_flight >= ctx->params.depth)
        return false;
    ctx->in_flight++;
    aio_count(&base->counters.submitted, 1);
    int res = aio_req_admit(req);
    if (res < 0 || (may_inline(ctx, req) && read_inline(ctx, req))) {
        aio_req_finish(req, res);
        aio_reqs_push(&ctx->finished, req);
    } else {
        ctx->handed_off++;
        aio_workers_push(ctx->workers, req);
    }
    return true;
}

static void syslet_flush(AioCtx *base)
{
    aio_workers_kick(((SysletCtx *)base)->workers);
}

static bool syslet_collect(SysletCtx *ctx)
{
    if (!ctx->handed_off)
        return false;
    unsigned count = aio_workers_collect(ctx->workers, &ctx->finished);
    ctx->handed_off -= count;
    return count > 0;
}

static unsigned syslet_reap(AioCtx *base, unsigned max)
{
    SysletCtx *ctx = (SysletCtx *)base;
    unsigned count = 0;

    while (count < max) {
        AioReq *req = aio_reqs_pop(&ctx->finished);
        if (req) {
            count++;
            ctx->in_flight--;
            aio_req_deliver(req, &base->counters);
        } else if (!syslet_collect(ctx)) {
            /* the event fd is read only when there was nothing else to do */
            if (count || !aio_workers_clear(ctx->workers, 0) || !syslet_collect(ctx))
                break;
        }
    }
    return count;
}

static void syslet_close(AioCtx *base)
{
    SysletCtx *ctx = (SysletCtx *)base;
    g_assert(!ctx->in_flight);
    aio_workers_close(ctx->workers);
    g_free(ctx);
}

const AioEngine aio_engine_syslet = {
    .name = "syslet",
    .summary = "cached reads in place, everything else by worker threads",
    .options = syslet_options,
    .accepts = syslet_accepts,
    .open = syslet_open,
    .event_fd = syslet_event_fd,
    .queue = syslet_queue,
    .flush = syslet_flush,
    .reap = syslet_reap,
    .add_memory = aio_ignore_memory,
    .close = syslet_close,
};
