/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segments of a command's data on their way between initiator, memory and store. */
#include "core/scsi/transfer.h"

#include "core/base/counter.h"
#include "core/scsi/cached_read.h"
#include "core/scsi/hung.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/task_impl.h"

#include <errno.h>
#include <string.h>

#define CONTAINER(pointer, member) ((Transfer *)((char *)(pointer)-offsetof(Transfer, member)))

/* The step under way is over. True when the task goes on; else the transfer is ended, and perhaps
 * the task. */
static bool step_done(Transfer *t)
{
    Task *task = t->task;
    if (G_LIKELY(task->state == TASK_RUNNING && !task->failed))
        return true;
    t->state = TRANSFER_READY;
    task->busy++; /* keeps the task until it is settled */
    transfer_end(t);
    task_settle(task);
    task_unbusy(task);
    return false;
}

static void segment_granted(Segment *segment)
{
    Transfer *t = CONTAINER(segment, segment);
    t->state = TRANSFER_READY;
    t->then(t);
}

void transfer_begin(Transfer *t, uint32_t offset, uint32_t len, size_t size, TransferFn then)
{
    t->offset = offset;
    t->len = len;
    t->task->busy++;
    t->state = TRANSFER_READY;
    if (size > 0)
        transfer_acquire(t, size, then);
    else
        then(t);
}

void transfer_acquire(Transfer *t, size_t size, TransferFn then)
{
    t->then = then;
    t->state = TRANSFER_WAIT_MEMORY;
    t->segment.granted = segment_granted;
    if (!segment_acquire(t->task->nexus->client, &t->segment, size))
        return;
    t->state = TRANSFER_READY;
    then(t);
}

void transfer_end(Transfer *t)
{
    segment_release(&t->segment);
    if (t->hold)
        cached_read_end(t);
    t->state = TRANSFER_IDLE;
    task_unbusy(t->task);
}

int iov_slice(const struct iovec *iov, int iovcnt, size_t offset, size_t len, struct iovec *out)
{
    int n = 0;
    for (int i = 0; i < iovcnt && len > 0; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t part = MIN(len, iov[i].iov_len - offset);
        out[n++] = (struct iovec){(char *)iov[i].iov_base + offset, part};
        len -= part;
        offset = 0;
    }
    g_assert(len == 0);
    return n;
}

size_t iov_compare(const struct iovec *iov, int iovcnt, size_t a, size_t b, size_t len)
{
    struct iovec left[SEGMENT_IOVS], right[SEGMENT_IOVS];
    iov_slice(iov, iovcnt, a, len, left);
    iov_slice(iov, iovcnt, b, len, right);
    struct iovec *l = left, *r = right;
    for (size_t done = 0; done < len;) {
        size_t n = MIN(l->iov_len, r->iov_len);
        const uint8_t *p = l->iov_base, *q = r->iov_base;
        if (memcmp(p, q, n) != 0) {
            size_t i = 0;
            while (p[i] == q[i])
                i++;
            return done + i;
        }
        done += n;
        *l = (struct iovec){(uint8_t *)l->iov_base + n, l->iov_len - n};
        *r = (struct iovec){(uint8_t *)r->iov_base + n, r->iov_len - n};
        l += l->iov_len == 0;
        r += r->iov_len == 0;
    }
    return len;
}

/* --- data-out --------------------------------------------------------------------------------- */

static void data_got(DataMove *move, int error)
{
    Transfer *t = CONTAINER(move, move);
    t->state = TRANSFER_READY;
    if (error < 0 && t->task->state == TASK_RUNNING) {
        t->task->busy++;
        Task *task = t->task;
        task_abort(task); /* the connection is gone, and the nexus follows: nobody to answer */
        task_unbusy(task);
        return;
    }
    if (step_done(t))
        t->then(t);
}

void transfer_get(Transfer *t, uint32_t offset, uint32_t len, const struct iovec *iov, int iovcnt,
                  TransferFn then)
{
    t->state = TRANSFER_GET_DATA;
    t->then = then;
    t->move =
        (DataMove){.offset = offset, .len = len, .iov = iov, .iovcnt = iovcnt, .done = data_got};
    t->task->transport->get_data(t->task, &t->move);
}

/* Copies to the front of the segment, which may be in pieces. */
static void copy_to_segment(Transfer *t, const uint8_t *from, size_t len)
{
    for (int i = 0; len > 0; i++) {
        size_t part = MIN(len, t->segment.iov[i].iov_len);
        memcpy(t->segment.iov[i].iov_base, from, part);
        from += part;
        len -= part;
    }
}

void transfer_fetch(Transfer *t, uint32_t offset, uint32_t len, TransferFn then)
{
    const Task *task = t->task;
    uint32_t immediate = task->immediate_len > offset ? MIN(task->immediate_len - offset, len) : 0;
    if (immediate > 0)
        copy_to_segment(t, task->immediate + offset, immediate);
    if (immediate == len) {
        then(t);
        return;
    }
    t->iovcnt = iov_slice(t->segment.iov, t->segment.iovcnt, immediate, len - immediate, t->iov);
    transfer_get(t, offset + immediate, len - immediate, t->iov, t->iovcnt, then);
}

/* --- store ------------------------------------------------------------------------------------ */

static void store_done(AioReq *req)
{
    Transfer *t = CONTAINER(req, req);
    Task *task = t->task;
    lun_shard_request_done(t->shard, req);
    if (G_UNLIKELY(t->orphan))
        hung_orphan_back(t);
    t->state = TRANSFER_READY;
    if (G_LIKELY(req->res >= 0)) {
        if (step_done(t))
            t->then(t);
        return;
    }
    task->busy++;
    if (task->state == TASK_RUNNING && task->own_ops)
        task->own_ops->store_failed(t);
    else if (task->state == TASK_RUNNING)
        task_fail_errno(task, req->op, (int)req->res);
    else
        step_done(t);
    task_unbusy(task);
}

void transfer_store_on(Transfer *t, LunShard *shard, AioOp op, unsigned flags, uint64_t offset,
                       uint64_t len, const struct iovec *iov, int iovcnt, TransferFn then)
{
    t->shard = shard;
    t->state = TRANSFER_STORAGE;
    t->then = then;
    t->req.op = op;
    t->req.flags = flags;
    t->req.iov = iov;
    t->req.iovcnt = iovcnt;
    t->req.offset = offset;
    t->req.len = len;
    t->req.done = store_done;
    lun_shard_submit(shard, &t->req);
}

void transfer_store(Transfer *t, AioOp op, unsigned flags, uint64_t offset, uint64_t len,
                    const struct iovec *iov, int iovcnt, TransferFn then)
{
    transfer_store_on(t, t->task->itl->shard, op, flags, offset, len, iov, iovcnt, then);
}

static void read_from_store(Transfer *t)
{
    const Segment *segment = &t->segment;
    transfer_store(t, AIO_READ, 0, t->task->store_offset + t->offset, segment->len, segment->iov,
                   segment->iovcnt, t->loaded);
}

/* The buffer is shorter than a segment may be: it is sent again and again. */
static void point_to_zeros(Transfer *t, const void *zeros, size_t len)
{
    t->iovcnt = 0;
    for (size_t n; len > 0; len -= n) {
        n = MIN(len, MEMORY_ZEROS);
        t->iov[t->iovcnt++] = (struct iovec){(void *)zeros, n};
    }
}

void transfer_load(Transfer *t, size_t size)
{
    transfer_acquire(t, size, read_from_store);
}

void transfer_resume(Transfer *t)
{
    if (G_UNLIKELY(t->orphan))
        hung_orphan_back(t);
    t->state = TRANSFER_READY;
    if (step_done(t))
        t->then(t);
}

void transfer_read(Transfer *t, uint32_t offset, uint32_t len, size_t size, TransferFn then)
{
    const void *zeros = t->task->itl->shard->zeros;
    if (zeros) {
        point_to_zeros(t, zeros, len);
        transfer_begin(t, offset, len, 0, then);
        return;
    }
    t->loaded = then;
    if (cached_read_begin(t, offset, len, size))
        return;
    transfer_begin(t, offset, len, size, read_from_store);
}

void transfer_hold(Transfer *t)
{
    t->state = TRANSFER_READY;
}

/* --- data-in ---------------------------------------------------------------------------------- */

static void data_put(DataMove *move, int error)
{
    Transfer *t = CONTAINER(move, move);
    Task *task = t->task;
    TransferFn then = t->then;
    task->busy++;
    transfer_end(t);
    if (error < 0 && task->state == TASK_RUNNING)
        task_abort(task);
    else if (task->state == TASK_RUNNING && !task->failed)
        then(t);
    else
        task_settle(task);
    task_unbusy(task);
}

static void prepare_put(Transfer *t, TransferFn then)
{
    const Segment *segment = &t->segment;
    t->state = TRANSFER_PUT_DATA;
    t->then = then;
    t->move = (DataMove){.offset = t->offset,
                         .len = t->len,
                         .iov = segment->iov,
                         .iovcnt = segment->iovcnt,
                         .done = data_put};
    if (t->hold) {
        t->move.iov = cache_hold_iov(t->hold, t->len, &t->move.iovcnt);
        return;
    }
    if (G_LIKELY(t->len == segment->len))
        return;
    t->move.iov = t->iov;
    if (segment->len > 0)
        t->iovcnt = iov_slice(segment->iov, segment->iovcnt, 0, t->len, t->iov);
    t->move.iovcnt = t->iovcnt;
}

void transfer_put(Transfer *t, TransferFn then)
{
    prepare_put(t, then);
    t->task->transport->put_data(t->task, &t->move);
}

void transfer_put_last(Transfer *t)
{
    prepare_put(t, NULL);
    task_complete(t->task, t);
}
