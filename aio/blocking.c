/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every operation by blocking calls. */
#include "aio/blocking.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#include "aio/file_impl.h"
#include "aio/request.h"
#include "aio/sys.h"
#include "aio/transfer.h"

#define ZEROS_SIZE   (64 * 1024)
#define ZEROS_IOVS   16
#define SCRATCH_SIZE ((uint64_t)128 * 1024)

static int perform_transfer(AioReq *req, AioCounters *counters)
{
    AioTransfer transfer = {
        .file = req->file,
        .write = req->op == AIO_WRITE,
        .fua = aio_req_is_fua(req),
        .atomic = req->flags & AIO_ATOMIC,
        .iov = req->iov,
        .iovcnt = req->iovcnt,
        .offset = req->offset,
        .len = req->len,
        .moved = req->moved,
        .counters = counters,
    };
    int res = aio_transfer(&transfer);
    req->moved = transfer.moved;
    return res;
}

/* On the locking descriptor: a device then knows that nobody else can have it open exclusively. */
static int file_allocate(const AioFile *file, int mode, uint64_t offset, uint64_t len)
{
    int res;
    do
        res = aio_sys.fallocate(file->store->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                                (off_t)len);
    while (res == -EINTR);
    return res;
}

/* A device discards whole sectors only; the rest of the range may stay as it is. */
static int discard_device(const AioStore *store, uint64_t offset, uint64_t len)
{
    uint64_t sector = store->sector;
    uint64_t start = (offset + sector - 1) / sector * sector;
    uint64_t end = (offset + len) / sector * sector;
    int res;

    if (start >= end)
        return 0;
    do
        res = aio_sys.blkdiscard(store->fd, start, end - start);
    while (res == -EINTR);
    return res;
}

static int perform_discard(const AioReq *req)
{
    const AioStore *store = req->file->store;

    if (!req->len)
        return 0;
    if (store->block)
        return discard_device(store, req->offset, req->len);
    return file_allocate(req->file, FALLOC_FL_PUNCH_HOLE, req->offset, req->len);
}

static int write_zeros(const AioReq *req, AioCounters *counters)
{
    static const char zeros[ZEROS_SIZE] __attribute__((aligned(4096)));
    struct iovec iov[ZEROS_IOVS];
    int res = 0;

    for (int i = 0; i < ZEROS_IOVS; i++)
        iov[i] = (struct iovec){(void *)zeros, sizeof(zeros)};
    for (uint64_t done = 0; res == 0 && done < req->len;) {
        uint64_t len = MIN(req->len - done, (uint64_t)ZEROS_IOVS * ZEROS_SIZE);
        struct iovec part[ZEROS_IOVS];
        size_t bytes;
        AioTransfer transfer = {
            .file = req->file,
            .write = true,
            .fua = aio_req_is_fua(req),
            .iov = part,
            .iovcnt = aio_iov_slice(iov, ZEROS_IOVS, 0, len, part, ZEROS_IOVS, &bytes),
            .offset = req->offset + done,
            .len = len,
            .counters = counters,
        };
        res = aio_transfer(&transfer);
        done += len;
    }
    return res;
}

/* Not here, or not at this alignment. */
static bool is_refusal(int res)
{
    return res == -EOPNOTSUPP || res == -EINVAL || res == -ENOSYS || res == -ENODEV;
}

static int perform_write_zeroes(const AioReq *req, AioCounters *counters)
{
    int res = -EOPNOTSUPP;

    if (!req->len)
        return 0;
    if ((req->flags & AIO_MAY_UNMAP) && req->file->store->can_discard)
        res = file_allocate(req->file, FALLOC_FL_PUNCH_HOLE, req->offset, req->len);
    if (is_refusal(res))
        res = file_allocate(req->file, FALLOC_FL_ZERO_RANGE, req->offset, req->len);
    if (is_refusal(res))
        return write_zeros(req, counters);
    return res == 0 && aio_req_is_fua(req) ? aio_file_fdatasync(req->file) : res;
}

/* No descriptor's position means anything to anybody else: bytes move by preadv2 and pwritev2. */
static int64_t store_seek(const AioStore *store, uint64_t offset, int whence)
{
    int64_t res;
    do
        res = aio_sys.seek(store->fd, offset, whence);
    while (res == -EINTR);
    return res;
}

/* Sets req->hole, and returns where what begins at req->offset ends; or -errno. */
static int64_t find_extent_end(AioReq *req)
{
    const AioStore *store = req->file->store;
    int64_t end = store_seek(store, req->offset, SEEK_DATA);

    if (end == (int64_t)req->offset)
        return store_seek(store, req->offset, SEEK_HOLE);
    req->hole = end > 0 || end == -ENXIO;
    return end == -ENXIO ? store_seek(store, 0, SEEK_END) : end;
}

static int perform_extent(AioReq *req)
{
    req->moved = req->len;
    if (!req->len || req->file->store->block)
        return 0;
    int64_t end = find_extent_end(req);
    if (end < 0)
        return is_refusal((int)end) ? 0 : (int)end;
    if (req->hole && end <= (int64_t)req->offset)
        return -EIO; /* the file was cut short */
    /* data that became a hole between the two questions has no end, but was there */
    req->moved = CLAMP(end - (int64_t)req->offset, 1, (int64_t)req->len);
    return 0;
}

/* Nothing tells when readahead has ended but reading what it has read. */
static int wait_for_readahead(const AioReq *req, AioCounters *counters)
{
    g_autofree char *scratch = g_malloc(SCRATCH_SIZE);
    struct iovec iov = {.iov_base = scratch};
    int res = 0;

    for (uint64_t done = 0; res == 0 && done < req->len; done += iov.iov_len) {
        iov.iov_len = MIN(req->len - done, SCRATCH_SIZE);
        AioTransfer transfer = {.file = req->file,
                                .iov = &iov,
                                .iovcnt = 1,
                                .offset = req->offset + done,
                                .len = iov.iov_len,
                                .counters = counters};
        res = aio_transfer(&transfer);
    }
    return res;
}

static int perform_prefetch(AioReq *req, AioCounters *counters)
{
    if (req->file->mode == AIO_DIRECT || !req->len)
        return 0;
    int res = aio_sys.advise(req->file->fd, req->offset, req->len);
    if (res == 0 && !(req->flags & AIO_NO_WAIT))
        res = wait_for_readahead(req, counters);
    if (res == 0)
        req->moved = req->len;
    return res;
}

static int perform(AioReq *req, AioCounters *counters)
{
    switch (req->op) {
    case AIO_READ:
    case AIO_WRITE:
        return perform_transfer(req, counters);
    case AIO_FLUSH:
        return aio_file_fdatasync(req->file);
    case AIO_DISCARD:
        return perform_discard(req);
    case AIO_WRITE_ZEROES:
        return perform_write_zeroes(req, counters);
    case AIO_EXTENT:
        return perform_extent(req);
    case AIO_PREFETCH:
        return perform_prefetch(req, counters);
    }
    return -EINVAL;
}

/* Whether the operation fetches and writes back bytes around its own: then nobody else may write to
 * those blocks meanwhile. Allocation zeroes parts of a page in the page cache. */
static bool needs_exclusion(const AioReq *req)
{
    uint64_t unit = req->op == AIO_WRITE ? req->file->offset_align : aio_file_lock_unit(req->file);
    return ((req->offset | req->len) & (unit - 1)) != 0;
}

static bool changes_bytes(AioOp op)
{
    return op == AIO_WRITE || op == AIO_DISCARD || op == AIO_WRITE_ZEROES;
}

static void range_lock(const AioReq *req, AioRange *range)
{
    uint64_t unit = aio_file_lock_unit(req->file);
    uint64_t start = req->offset, end = req->offset + req->len;
    bool exclusive = needs_exclusion(req);

    if (exclusive) {
        start &= ~(unit - 1);
        end = (end + unit - 1) & ~(unit - 1);
    }
    aio_ranges_lock(&req->file->store->ranges, range, start, end, exclusive);
}

void aio_blocking_perform(AioReq *req, AioCounters *counters)
{
    AioRanges *ranges = &req->file->store->ranges;
    AioRange range;
    bool lock = req->file->mode == AIO_DIRECT && changes_bytes(req->op);

    if (lock)
        range_lock(req, &range);
    int res = perform(req, counters);
    if (lock)
        aio_ranges_unlock(ranges, &range);
    aio_req_finish(req, res);
}
