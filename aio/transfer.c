/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blocking reads and writes: continued when short, bounced when a direct file would refuse them. */
#include "aio/transfer.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aio/file_impl.h"
#include "aio/request.h"
#include "aio/sys.h"

#define PART_IOVS    64
#define BOUNCE_SIZE  (256 * 1024)
#define EAGAIN_TRIES 1000
#define EAGAIN_WAIT  1000 /* us */

/* One step: the next piece of the caller's memory and where it goes. */
typedef struct {
    AioTransfer *t;
    struct iovec iov[PART_IOVS];
    int iovcnt;
    size_t bytes;
    uint64_t offset;
    int flags;
    char *bounce; /* BOUNCE_SIZE bytes, made when first needed */
    unsigned eagain;
} Step;

static ssize_t step_call(const Step *step, int fd, const struct iovec *iov, int iovcnt,
                         uint64_t offset)
{
    return step->t->write ? aio_sys.pwritev2(fd, iov, iovcnt, (off_t)offset, step->flags)
                          : aio_sys.preadv2(fd, iov, iovcnt, (off_t)offset, 0);
}

/* True: the call is to be repeated. EAGAIN is no answer from a blocking descriptor, but some layers
 * below give it when short of memory or tags. */
static bool step_again(Step *step, ssize_t res)
{
    if (res == -EINTR)
        return true;
    if (res != -EAGAIN || step->eagain++ >= EAGAIN_TRIES)
        return false;
    g_usleep(EAGAIN_WAIT);
    return true;
}

/* Reads or writes whole blocks of the bounce buffer; bytes moved, fewer at the end of the file. */
static ssize_t bounce_blocks(Step *step, bool write, size_t from, size_t len, uint64_t offset)
{
    const AioFile *file = step->t->file;
    size_t done = 0;

    while (done < len) {
        struct iovec iov = {step->bounce + from + done, len - done};
        ssize_t n = write ? aio_sys.pwritev2(file->fd, &iov, 1, (off_t)(offset + done), step->flags)
                          : aio_sys.preadv2(file->fd, &iov, 1, (off_t)(offset + done), 0);
        if (n < 0 && step_again(step, n))
            continue;
        if (n < 0)
            return n;
        if (done + (size_t)n == len)
            return (ssize_t)len;
        size_t whole = (size_t)n & ~(file->offset_align - 1);
        if (!whole) /* the file ends inside this block */
            return (ssize_t)(done + (size_t)n);
        done += whole;
    }
    return (ssize_t)done;
}

static void bounce_copy(const Step *step, char *bounce, size_t bytes, bool to_bounce)
{
    for (int i = 0; bytes; i++) {
        size_t len = MIN(bytes, step->iov[i].iov_len);
        if (to_bounce)
            memcpy(bounce, step->iov[i].iov_base, len);
        else
            memcpy(step->iov[i].iov_base, bounce, len);
        bounce += len;
        bytes -= len;
    }
}

static ssize_t bounce_read(Step *step, uint64_t low, uint64_t high)
{
    size_t head = step->offset - low;
    ssize_t got = bounce_blocks(step, false, 0, high - low, low);
    if (got < 0)
        return got;
    if ((size_t)got <= head)
        return 0;
    size_t bytes = MIN((size_t)got - head, step->bytes);
    bounce_copy(step, step->bounce + head, bytes, false);
    return (ssize_t)bytes;
}

/* Fetches a block that is overwritten only in part. */
static int bounce_fill(Step *step, uint64_t low, uint64_t block)
{
    size_t align = step->t->file->offset_align;
    ssize_t got = bounce_blocks(step, false, block - low, align, block);
    return got < 0 ? (int)got : got == (ssize_t)align ? 0 : -EIO;
}

static ssize_t bounce_write(Step *step, uint64_t low, uint64_t high)
{
    size_t align = step->t->file->offset_align, head = step->offset - low;
    uint64_t end = step->offset + step->bytes;
    int res = 0;

    if (step->offset != low)
        res = bounce_fill(step, low, low);
    if (res == 0 && end != high && (high - align != low || step->offset == low))
        res = bounce_fill(step, low, high - align);
    if (res < 0)
        return res;
    bounce_copy(step, step->bounce + head, step->bytes, true);
    ssize_t put = bounce_blocks(step, true, 0, high - low, low);
    if (put < 0)
        return put;
    return put == (ssize_t)(high - low) ? (ssize_t)step->bytes : -EIO;
}

static ssize_t step_bounce(Step *step)
{
    const AioFile *file = step->t->file;
    size_t align = file->offset_align;
    uint64_t low = step->offset & ~(uint64_t)(align - 1);
    uint64_t end = MIN(step->offset + step->bytes, low + BOUNCE_SIZE);
    uint64_t high = (end + align - 1) & ~(uint64_t)(align - 1);

    /* whole blocks would make the file longer: its odd tail is written through the page cache */
    if (step->t->write && high > aio_file_size(file))
        return step_call(step, file->store->fd, step->iov, step->iovcnt, step->offset);
    if (!step->bounce) {
        step->bounce = aligned_alloc(MAX(file->memory_align, 4096), BOUNCE_SIZE);
        if (!step->bounce)
            return -ENOMEM;
        aio_count_shared(&step->t->counters->bounced, 1);
    }
    step->bytes = end - step->offset;
    return step->t->write ? bounce_write(step, low, high) : bounce_read(step, low, high);
}

static ssize_t step_run(Step *step)
{
    AioTransfer *t = step->t;

    step->offset = t->offset + t->moved;
    step->iovcnt =
        aio_iov_slice(t->iov, t->iovcnt, t->moved, 0, step->iov, PART_IOVS, &step->bytes);
    if (!aio_file_takes(t->file, step->iov, step->iovcnt, step->offset, step->bytes))
        return step_bounce(step);
    return step_call(step, t->file->fd, step->iov, step->iovcnt, step->offset);
}

/* One call or none: what it does not take as it is stays undone. */
static int write_whole(AioTransfer *t)
{
    Step step = {.t = t, .flags = RWF_ATOMIC | (t->fua ? RWF_DSYNC : 0)};
    ssize_t n;

    if (!aio_file_takes(t->file, t->iov, t->iovcnt, t->offset, t->len))
        return -EOPNOTSUPP;
    do
        n = step_call(&step, t->file->fd, t->iov, t->iovcnt, t->offset);
    while (n < 0 && step_again(&step, n));
    if (n < 0)
        return (int)n;
    t->moved = (uint64_t)n;
    return t->moved == t->len ? 0 : -EIO;
}

int aio_transfer(AioTransfer *t)
{
    if (t->atomic)
        return write_whole(t);
    Step step = {.t = t, .flags = t->write && t->fua ? RWF_DSYNC : 0};
    bool sync_after = false;
    int res = 0;

    while (res == 0 && t->moved < t->len) {
        ssize_t n = step_run(&step);
        if (n > 0)
            t->moved += (uint64_t)n;
        else if (n == -EOPNOTSUPP && step.flags)
            sync_after = true, step.flags = 0;
        else if (n == 0)
            res = -EIO;
        else if (!step_again(&step, n))
            res = (int)n;
    }
    free(step.bounce);
    return res == 0 && sync_after ? aio_file_fdatasync(t->file) : res;
}
