/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves all bytes of one read or write with blocking calls, aligned or not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "aio/aio.h"

typedef struct {
    AioFile *file;
    bool write, fua;
    bool atomic; /* a write that must not be split, see AIO_ATOMIC */
    const struct iovec *iov;
    int iovcnt;
    uint64_t offset, len;
    uint64_t moved;        /* of len; the rest is to do */
    AioCounters *counters; /* `bounced` */
} AioTransfer;

/* 0 with moved == len, or -errno; -EIO at an unexpected end. The caller holds the range of a write
 * to a direct file. Blocks; any thread. */
int aio_transfer(AioTransfer *transfer);
