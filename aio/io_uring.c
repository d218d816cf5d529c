/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The io_uring engine: one submission per flush, fixed buffers where memory was registered. Files
 * are not registered: it saves some 20 ns per request, but a closed file would stay open in there.
 */
#include <errno.h>
#include <glib.h>
#include <liburing.h>
#include <poll.h>

#include "aio/engines.h"
#include "aio/file_impl.h"
#include "aio/fixed.h"
#include "aio/native.h"
#include "aio/sys.h"

#define CQES_AT_ONCE   64
#define SQPOLL_IDLE    100  /* ms until the kernel's polling thread sleeps */
#define SUBMIT_WAIT    1000 /* us before a submission the kernel had no memory for is repeated */
#define LONGEST_SINGLE (1u << 30) /* bytes of a request, whose length is 32 bits in an SQE */

typedef struct {
    AioNative native;
    struct io_uring ring;
    AioFixed fixed;
    bool watching; /* a poll of the workers' event fd is in the ring */
} UringCtx;

static const char *const uring_options[] = {"threads", "depth", "sqpoll", NULL};

static int uring_accepts(const AioFile *file, const AioParams *params, const char **why)
{
    (void)params;
    if (!aio_file_is_null(file))
        return 0;
    *why = "a LUN without a path is served by the null engine only";
    return -EOPNOTSUPP;
}

/* COOP_TASKRUN: completions need not interrupt this thread, it enters the kernel soon anyway. */
static int uring_setup(struct io_uring *ring, const AioParams *params)
{
    struct io_uring_params setup = {.flags = IORING_SETUP_SUBMIT_ALL};

    if (params->sqpoll) {
        setup.flags |= IORING_SETUP_SQPOLL;
        setup.sq_thread_idle = SQPOLL_IDLE;
    } else {
        setup.flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    }
    int res = io_uring_queue_init_params(params->depth + 1, ring, &setup);
    if (res != -EINVAL)
        return res;
    setup = (struct io_uring_params){.flags = params->sqpoll ? IORING_SETUP_SQPOLL : 0};
    return io_uring_queue_init_params(params->depth + 1, ring, &setup);
}

static int uring_open(const AioParams *params, AioCtx **out)
{
    UringCtx *ctx = g_new0(UringCtx, 1);
    int res = aio_native_init(&ctx->native, &aio_engine_io_uring, params);
    if (res < 0) {
        g_free(ctx);
        return res;
    }
    res = uring_setup(&ctx->ring, params);
    if (res < 0) {
        aio_native_deinit(&ctx->native);
        g_free(ctx);
        return res;
    }
    aio_fixed_init(&ctx->fixed);
    *out = &ctx->native.base;
    return 0;
}

/* The ring's own descriptor: readable while there are completions, without writes or reads. */
static int uring_event_fd(AioCtx *base)
{
    return ((UringCtx *)base)->ring.ring_fd;
}

static void prepare_single(const UringCtx *ctx, struct io_uring_sqe *sqe, const AioReq *req)
{
    void *base = req->iov[0].iov_base;
    unsigned len = (unsigned)req->len;
    int fd = req->file->fd;
    int fixed = aio_fixed_find(&ctx->fixed, base, len);

    if (req->op == AIO_READ && fixed >= 0)
        io_uring_prep_read_fixed(sqe, fd, base, len, req->offset, fixed);
    else if (req->op == AIO_READ)
        io_uring_prep_read(sqe, fd, base, len, req->offset);
    else if (fixed >= 0)
        io_uring_prep_write_fixed(sqe, fd, base, len, req->offset, fixed);
    else
        io_uring_prep_write(sqe, fd, base, len, req->offset);
}

static void uring_prepare(const UringCtx *ctx, struct io_uring_sqe *sqe, const AioReq *req)
{
    int fd = req->file->fd;

    if (req->op == AIO_FLUSH)
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    else if (req->iovcnt == 1 && req->len <= LONGEST_SINGLE)
        prepare_single(ctx, sqe, req);
    else if (req->op == AIO_READ)
        io_uring_prep_readv(sqe, fd, req->iov, (unsigned)req->iovcnt, req->offset);
    else
        io_uring_prep_writev(sqe, fd, req->iov, (unsigned)req->iovcnt, req->offset);
    if (req->op == AIO_WRITE)
        sqe->rw_flags = aio_req_write_flags(req);
}

static bool uring_queue(AioCtx *base, AioReq *req)
{
    UringCtx *ctx = (UringCtx *)base;

    if (aio_native_full(&ctx->native))
        return false;
    AioSlot *slot = aio_native_take(&ctx->native, req);
    if (!slot)
        return true;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ctx->ring);
    if (sqe) {
        uring_prepare(ctx, sqe, req);
        io_uring_sqe_set_data(sqe, slot);
    } else { /* SQPOLL: the kernel's thread lags behind */
        aio_native_divert(&ctx->native, slot);
    }
    return true;
}

/* What the workers finish must be seen by whoever waits for the ring. */
static void uring_watch_workers(UringCtx *ctx)
{
    if (!ctx->native.handed_off || ctx->watching)
        return;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ctx->ring);
    if (!sqe)
        return;
    io_uring_prep_poll_multishot(sqe, aio_workers_event_fd(ctx->native.workers), POLLIN);
    io_uring_sqe_set_data(sqe, NULL);
    ctx->watching = true;
}

static bool uring_take_cqes(UringCtx *ctx)
{
    struct io_uring_cqe *cqes[CQES_AT_ONCE];
    unsigned count = io_uring_peek_batch_cqe(&ctx->ring, cqes, CQES_AT_ONCE);

    for (unsigned i = 0; i < count; i++) {
        AioSlot *slot = io_uring_cqe_get_data(cqes[i]);
        if (slot)
            aio_native_settle(&ctx->native, slot, cqes[i]->res);
        else
            ctx->watching = cqes[i]->flags & IORING_CQE_F_MORE;
    }
    io_uring_cq_advance(&ctx->ring, count);
    return count > 0;
}

/* Refused only for want of memory (or of room for completions, which are taken then): repeated,
 * because nothing else may be under way that would bring the caller back here. */
static void uring_submit(UringCtx *ctx)
{
    while (io_uring_sq_ready(&ctx->ring) > 0) {
        int res = aio_sys.uring_submit(&ctx->ring);
        if (res > 0)
            aio_count(&ctx->native.base.counters.submit_calls, 1);
        if (ctx->native.params.sqpoll && res >= 0)
            break;
        if (res <= 0 && res != -EINTR && !uring_take_cqes(ctx))
            g_usleep(SUBMIT_WAIT);
    }
}

static void uring_flush(AioCtx *base)
{
    UringCtx *ctx = (UringCtx *)base;
    uring_watch_workers(ctx);
    uring_submit(ctx);
    aio_workers_kick(ctx->native.workers);
}

static bool uring_harvest(AioNative *native, bool quiet)
{
    if (quiet)
        return false;
    bool taken = uring_take_cqes((UringCtx *)native);
    return aio_native_collect(native) || taken;
}

static unsigned uring_reap(AioCtx *base, unsigned max)
{
    UringCtx *ctx = (UringCtx *)base;
    unsigned count = aio_native_reap(&ctx->native, max, uring_harvest);

    if (ctx->native.handed_off && !ctx->watching) {
        uring_watch_workers(ctx);
        uring_submit(ctx);
    }
    return count;
}

static void uring_add_memory(AioCtx *base, void *memory, size_t len)
{
    UringCtx *ctx = (UringCtx *)base;
    aio_fixed_add(&ctx->fixed, &ctx->ring, memory, len);
}

static void uring_close(AioCtx *base)
{
    UringCtx *ctx = (UringCtx *)base;
    io_uring_queue_exit(&ctx->ring);
    aio_native_deinit(&ctx->native);
    aio_fixed_deinit(&ctx->fixed);
    g_free(ctx);
}

const AioEngine aio_engine_io_uring = {
    .name = "io_uring",
    .summary = "io_uring, buffered or direct, with fixed buffers",
    .options = uring_options,
    .accepts = uring_accepts,
    .open = uring_open,
    .event_fd = uring_event_fd,
    .queue = uring_queue,
    .flush = uring_flush,
    .reap = uring_reap,
    .add_memory = uring_add_memory,
    .close = uring_close,
};
