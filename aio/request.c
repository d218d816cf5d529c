/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Admission, slicing and ending of requests. */
#include "aio/request.h"

#include <errno.h>

#include "aio/file_impl.h"
#include "aio/sys.h"

bool aio_req_is_fua(const AioReq *req)
{
    return (req->flags & AIO_FUA) && (req->op == AIO_WRITE || req->op == AIO_WRITE_ZEROES);
}

static bool is_atomic_unit(const AioReq *req)
{
    const AioFile *file = req->file;
    return req->op == AIO_WRITE && req->iovcnt == 1 && file->atomic_max > 0 &&
           req->len >= file->atomic_min && req->len <= file->atomic_max &&
           (req->len & (req->len - 1)) == 0 && req->offset % req->len == 0;
}

int aio_req_admit(AioReq *req)
{
    const AioFile *file = req->file;
    uint64_t size = aio_file_size(file);

    req->next = NULL;
    req->moved = 0;
    req->hole = false;
    req->priv = NULL;
    if (req->op == AIO_FLUSH)
        return aio_file_sync_error(file);
    if (req->len > size || req->offset > size - req->len)
        return -EIO;
    if (req->op == AIO_READ || req->op == AIO_EXTENT || req->op == AIO_PREFETCH)
        return 0;
    if (file->store->read_only)
        return -EROFS;
    if (req->op == AIO_DISCARD)
        return file->store->can_discard ? 0 : -EOPNOTSUPP;
    if ((req->flags & AIO_ATOMIC) && !is_atomic_unit(req))
        return -EOPNOTSUPP;
    return aio_req_is_fua(req) ? aio_file_sync_error(file) : 0;
}

/* Operations whose result is a number they find, at most `len`. */
static bool tells_length(AioOp op)
{
    return op == AIO_EXTENT || op == AIO_PREFETCH;
}

void aio_req_finish(AioReq *req, int res)
{
    if (req->op == AIO_FLUSH)
        req->res = aio_file_settle_sync(req->file, res);
    else if (aio_req_is_fua(req) && res != -ENOSPC && res != -EDQUOT)
        /* a full disk is met before the bytes are taken: nothing was lost that had been promised */
        req->res = aio_file_settle_sync(req->file, res);
    else
        req->res = res;
    if (req->res == 0 && req->op != AIO_FLUSH)
        req->res = (ssize_t)(tells_length(req->op) ? req->moved : req->len);
}

int aio_req_write_flags(const AioReq *req)
{
    return (aio_req_is_fua(req) ? RWF_DSYNC : 0) | (req->flags & AIO_ATOMIC ? RWF_ATOMIC : 0);
}

int aio_iov_slice(const struct iovec *iov, int iovcnt, uint64_t skip, size_t limit,
                  struct iovec *out, int max, size_t *bytes)
{
    int count = 0;
    *bytes = 0;
    for (int i = 0; i < iovcnt && count < max && (!limit || *bytes < limit); i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t len = iov[i].iov_len - skip;
        if (limit && len > limit - *bytes)
            len = limit - *bytes;
        out[count++] = (struct iovec){(char *)iov[i].iov_base + skip, len};
        *bytes += len;
        skip = 0;
    }
    return count;
}

bool aio_file_takes(const AioFile *file, const struct iovec *iov, int iovcnt, uint64_t offset,
                    uint64_t len)
{
    if (file->mode == AIO_BUFFERED)
        return true;
    if ((offset | len) & (file->offset_align - 1))
        return false;
    /* older kernels want every piece, not only the sum, in whole blocks */
    for (int i = 0; i < iovcnt; i++)
        if (((uintptr_t)iov[i].iov_base & (file->memory_align - 1)) ||
            (iov[i].iov_len & (file->offset_align - 1)))
            return false;
    return true;
}

void aio_req_deliver(AioReq *req, AioCounters *counters)
{
    aio_count(&counters->completed, 1);
    if (req->res < 0)
        aio_count(&counters->errors, 1);
    req->done(req);
}
