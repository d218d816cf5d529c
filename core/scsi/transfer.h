/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of a transfer: memory, data-out, store, data-in. Each step calls then(transfer) when it
 * has succeeded, and deals with failure and abort itself: a handler is a chain of successes. */
#pragma once

#include "core/scsi/task.h"

typedef void (*TransferFn)(Transfer *transfer);

static inline bool transfer_is_idle(const Transfer *transfer)
{
    return transfer->state == TRANSFER_IDLE;
}

/* Begins an idle transfer, of bytes [offset, offset + len) of the command's data, with a segment of
 * `size` bytes (0: none). then() may come inside. */
void transfer_begin(Transfer *transfer, uint32_t offset, uint32_t len, size_t size,
                    TransferFn then);
/* Takes a segment for a transfer that was begun without one. then() may come inside. */
void transfer_acquire(Transfer *transfer, size_t size, TransferFn then);
/* Gives the segment back; the transfer is idle. */
void transfer_end(Transfer *transfer);

/* The part of an I/O vector that is [offset, offset + len); how many elements it takes. */
int iov_slice(const struct iovec *iov, int iovcnt, size_t offset, size_t len, struct iovec *out);

/* The offset of the first difference of the bytes [a, a + len) and [b, b + len) of an I/O vector of
 * at most SEGMENT_IOVS elements; len: none. */
size_t iov_compare(const struct iovec *iov, int iovcnt, size_t a, size_t b, size_t len);

/* Fetches bytes [offset, offset + len) of the data-out to the front of the segment; immediate data
 * is copied. Uses transfer->iov. */
void transfer_fetch(Transfer *transfer, uint32_t offset, uint32_t len, TransferFn then);
/* Fetches bytes [offset, offset + len) of the data-out, none of which are immediate, into iov. */
void transfer_get(Transfer *transfer, uint32_t offset, uint32_t len, const struct iovec *iov,
                  int iovcnt, TransferFn then);
/* Begins an idle transfer that reads bytes [store_offset + offset, + size) of the store into
 * memory, of which the first `len` are for the initiator. then() may come inside: where every read
 * gives zeros it takes neither memory nor an engine. */
void transfer_read(Transfer *transfer, uint32_t offset, uint32_t len, size_t size, TransferFn then);
/* Goes on with a read that was begun without memory, and transfer->loaded set. */
void transfer_load(Transfer *transfer, size_t size);
/* What a transfer in TRANSFER_STORAGE waited for has come; then(), or the end of the task. */
void transfer_resume(Transfer *transfer);
/* Hands the request to the engine; iov is NULL for other operations than READ and WRITE. */
void transfer_store(Transfer *transfer, AioOp op, unsigned flags, uint64_t offset, uint64_t len,
                    const struct iovec *iov, int iovcnt, TransferFn then);
/* The same with the store of another LUN, which stays until then. */
void transfer_store_on(Transfer *transfer, LunShard *shard, AioOp op, unsigned flags,
                       uint64_t offset, uint64_t len, const struct iovec *iov, int iovcnt,
                       TransferFn then);
/* The transfer waits for others, in TRANSFER_READY. */
void transfer_hold(Transfer *transfer);
/* Sends the transfer->len bytes that were read or put into the segment to the initiator, and ends
 * the transfer. then() comes with the transfer idle. */
void transfer_put(Transfer *transfer, TransferFn then);
/* The same together with the status, as the last act of the task. */
void transfer_put_last(Transfer *transfer);
