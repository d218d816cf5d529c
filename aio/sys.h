/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The system calls through which bytes move, as a table that tests replace to inject faults. */
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "aio/aio.h"

struct iocb;
struct io_uring;

#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40 /* Linux 6.11 */
#endif

/* What statx tells of RWF_ATOMIC; bytes, unit_max == 0: nothing. */
typedef struct {
    uint32_t unit_min, unit_max, segments_max;
} AioAtomicLimits;

/* Every call returns what the system call returns, or -errno. */
typedef struct {
    ssize_t (*preadv2)(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags);
    ssize_t (*pwritev2)(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags);
    int (*fdatasync)(int fd);
    int (*fallocate)(int fd, int mode, off_t offset, off_t len);
    int (*blkdiscard)(int fd, uint64_t offset, uint64_t len);
    int64_t (*seek)(int fd, uint64_t offset, int whence); /* lseek */
    int (*advise)(int fd, uint64_t offset, uint64_t len); /* posix_fadvise: will be needed */
    int (*atomic_limits)(int fd, AioAtomicLimits *limits);
    int (*io_submit)(void *kernel_ctx, long count, struct iocb **iocbs);
    int (*uring_submit)(struct io_uring *ring);
    /* The result of a request that the kernel completed by itself (libaio, io_uring). */
    int64_t (*completed)(const AioReq *req, int64_t res);
} AioSys;

/* Written only while no context is open. */
extern AioSys aio_sys;
