/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The libaio engine: Linux AIO on direct files, completions counted by an event fd. */
#include <errno.h>
#include <glib.h>
#include <libaio.h>
#include <sys/uio.h>

#include "aio/engines.h"
#include "aio/file_impl.h"
#include "aio/kring.h"
#include "aio/native.h"
#include "aio/sys.h"

#define EVENTS_AT_ONCE 64

typedef struct {
    AioNative native;
    io_context_t kernel_ctx;
    bool mapped;           /* its ring can be read without a system call */
    struct iocb *iocbs;    /* one for each slot */
    struct iocb **pending; /* for the next io_submit */
    unsigned pending_count;
    unsigned in_kernel;
    uint64_t signs; /* the kernel's on the event fd since it was cleared last */
} LibaioCtx;

static const char *const libaio_options[] = {"threads", "depth", "unsafe-buffered", NULL};

static int libaio_accepts(const AioFile *file, const AioParams *params, const char **why)
{
    if (aio_file_is_null(file))
        *why = "a LUN without a path is served by the null engine only";
    else if (aio_file_mode(file) == AIO_BUFFERED && !params->unsafe_buffered)
        *why = "libaio would block in io_submit on a buffered file: use mode=direct "
               "(or unsafe-buffered=on, for experiments)";
    else
        return 0;
    return -EOPNOTSUPP;
}

static void libaio_free(LibaioCtx *ctx)
{
    if (ctx->kernel_ctx)
        io_destroy(ctx->kernel_ctx);
    aio_native_deinit(&ctx->native);
    g_free(ctx->iocbs);
    g_free(ctx->pending);
    g_free(ctx);
}

static int libaio_open(const AioParams *params, AioCtx **out)
{
    LibaioCtx *ctx = g_new0(LibaioCtx, 1);
    int res = aio_native_init(&ctx->native, &aio_engine_libaio, params);
    if (res < 0) {
        g_free(ctx);
        return res;
    }
    ctx->iocbs = g_new0(struct iocb, params->depth);
    ctx->pending = g_new0(struct iocb *, params->depth);
    res = io_setup((int)params->depth, &ctx->kernel_ctx);
    if (res < 0) {
        ctx->kernel_ctx = NULL;
        libaio_free(ctx);
        return res;
    }
    ctx->mapped = aio_kring_usable(ctx->kernel_ctx);
    *out = &ctx->native.base;
    return 0;
}

static int libaio_event_fd(AioCtx *base)
{
    return aio_workers_event_fd(((LibaioCtx *)base)->native.workers);
}

/* NOWAIT keeps io_submit from blocking where blocks must be allocated or looked up first: the
 * request then ends with EAGAIN and moves to a worker. */
static void libaio_prepare(LibaioCtx *ctx, struct iocb *iocb, const AioReq *req)
{
    const AioFile *file = req->file;
    int flags = req->op == AIO_WRITE ? aio_req_write_flags(req) : 0;

    if (req->op == AIO_FLUSH)
        io_prep_fdsync(iocb, file->fd);
    else if (req->op == AIO_READ)
        io_prep_preadv(iocb, file->fd, req->iov, req->iovcnt, (long long)req->offset);
    else
        io_prep_pwritev(iocb, file->fd, req->iov, req->iovcnt, (long long)req->offset);
    if (req->op != AIO_FLUSH && file->mode == AIO_DIRECT &&
        !__atomic_load_n(&file->submit_blocks, __ATOMIC_RELAXED))
        flags |= RWF_NOWAIT;
    iocb->aio_rw_flags = flags;
    io_set_eventfd(iocb, aio_workers_event_fd(ctx->native.workers));
}

static bool libaio_queue(AioCtx *base, AioReq *req)
{
    LibaioCtx *ctx = (LibaioCtx *)base;

    if (aio_native_full(&ctx->native))
        return false;
    AioSlot *slot = aio_native_take(&ctx->native, req);
    if (slot) {
        struct iocb *iocb = &ctx->iocbs[slot - ctx->native.slots];
        libaio_prepare(ctx, iocb, req);
        iocb->data = slot;
        ctx->pending[ctx->pending_count++] = iocb;
    }
    return true;
}

/* io_submit refused the first of what is pending. True: it was changed and can be tried again. */
static bool libaio_relent(struct iocb *iocb, int res)
{
    AioSlot *slot = iocb->data;

    if (slot->req->flags & AIO_ATOMIC) /* that may be what it does not know */
        return false;
    if (!(iocb->aio_rw_flags & RWF_NOWAIT) || (res != -EOPNOTSUPP && res != -EINVAL))
        return false;
    iocb->aio_rw_flags &= ~RWF_NOWAIT;
    if (res == -EOPNOTSUPP)
        __atomic_store_n(&slot->req->file->submit_blocks, true, __ATOMIC_RELAXED);
    return true;
}

static void libaio_submit(LibaioCtx *ctx)
{
    struct iocb **next = ctx->pending;
    unsigned left = ctx->pending_count;

    while (left) {
        int res = aio_sys.io_submit(ctx->kernel_ctx, (long)left, next);
        if (res > 0) {
            aio_count(&ctx->native.base.counters.submit_calls, 1);
            ctx->in_kernel += (unsigned)res;
            next += res;
            left -= (unsigned)res;
        } else if (res != -EINTR && !libaio_relent(*next, res)) {
            /* EAGAIN holds for all that follow, any other error for this one */
            for (unsigned n = res == -EAGAIN ? left : 1; n; n--, left--)
                aio_native_divert(&ctx->native, (*next++)->data);
        }
    }
    ctx->pending_count = 0;
}

static void libaio_flush(AioCtx *base)
{
    LibaioCtx *ctx = (LibaioCtx *)base;
    libaio_submit(ctx);
    aio_workers_kick(ctx->native.workers);
}

static bool libaio_take_events(LibaioCtx *ctx)
{
    struct io_event events[EVENTS_AT_ONCE];
    unsigned count =
        ctx->in_kernel ? aio_kring_take(ctx->kernel_ctx, ctx->mapped, events, EVENTS_AT_ONCE) : 0;

    ctx->in_kernel -= count;
    ctx->signs += count;
    for (unsigned i = 0; i < count; i++)
        aio_native_settle(&ctx->native, events[i].data, (int64_t)(long)events[i].res);
    return count > 0;
}

/* Events that only moved their request to a worker count as well: there may be more behind. */
static bool libaio_harvest(AioNative *native, bool quiet)
{
    LibaioCtx *ctx = (LibaioCtx *)native;

    if (quiet) {
        uint64_t signs = ctx->signs;
        ctx->signs = 0;
        if (!aio_workers_clear(native->workers, signs))
            return false;
    }
    bool events = libaio_take_events(ctx);
    return aio_native_collect(native) || events;
}

static unsigned libaio_reap(AioCtx *base, unsigned max)
{
    return aio_native_reap(&((LibaioCtx *)base)->native, max, libaio_harvest);
}

static void libaio_close(AioCtx *base)
{
    libaio_free((LibaioCtx *)base);
}

const AioEngine aio_engine_libaio = {
    .name = "libaio",
    .summary = "Linux AIO (io_submit) on files opened with O_DIRECT",
    .options = libaio_options,
    .accepts = libaio_accepts,
    .open = libaio_open,
    .event_fd = libaio_event_fd,
    .queue = libaio_queue,
    .flush = libaio_flush,
    .reap = libaio_reap,
    .add_memory = aio_ignore_memory,
    .close = libaio_close,
};
