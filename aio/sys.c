/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real system calls behind the table. */
#include "aio/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <liburing.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t sys_preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    ssize_t n = preadv2(fd, iov, iovcnt, offset, flags);
    return n < 0 ? -errno : n;
}

static ssize_t sys_pwritev2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    ssize_t n = pwritev2(fd, iov, iovcnt, offset, flags);
    return n < 0 ? -errno : n;
}

static int sys_fdatasync(int fd)
{
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int sys_fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fallocate(fd, mode, offset, len) < 0 ? -errno : 0;
}

static int sys_blkdiscard(int fd, uint64_t offset, uint64_t len)
{
    uint64_t range[2] = {offset, len};
    return ioctl(fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

static int64_t sys_seek(int fd, uint64_t offset, int whence)
{
    off_t at = lseek(fd, (off_t)offset, whence);
    return at < 0 ? -errno : at;
}

static int sys_advise(int fd, uint64_t offset, uint64_t len)
{
    return -posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

/* By hand: headers older than the kernel know neither the mask nor the members, but they reserve
 * the space. */
#define STATX_MASK_WRITE_ATOMIC 0x10000u
#define STATX_AT_ATOMIC_LIMITS  0xa8

static int sys_atomic_limits(int fd, AioAtomicLimits *limits)
{
    struct statx stx;
    _Static_assert(sizeof stx >= STATX_AT_ATOMIC_LIMITS + sizeof *limits, "struct statx");

    *limits = (AioAtomicLimits){.unit_max = 0};
    if (statx(fd, "", AT_EMPTY_PATH, STATX_MASK_WRITE_ATOMIC, &stx) < 0)
        return -errno;
    if (stx.stx_mask & STATX_MASK_WRITE_ATOMIC)
        memcpy(limits, (const char *)&stx + STATX_AT_ATOMIC_LIMITS, sizeof *limits);
    return 0;
}

static int sys_io_submit(void *kernel_ctx, long count, struct iocb **iocbs)
{
    return io_submit(kernel_ctx, count, iocbs);
}

static int sys_uring_submit(struct io_uring *ring)
{
    return io_uring_submit(ring);
}

static int64_t sys_completed(const AioReq *req, int64_t res)
{
    (void)req;
    return res;
}

AioSys aio_sys = {
    .preadv2 = sys_preadv2,
    .pwritev2 = sys_pwritev2,
    .fdatasync = sys_fdatasync,
    .fallocate = sys_fallocate,
    .blkdiscard = sys_blkdiscard,
    .seek = sys_seek,
    .advise = sys_advise,
    .atomic_limits = sys_atomic_limits,
    .io_submit = sys_io_submit,
    .uring_submit = sys_uring_submit,
    .completed = sys_completed,
};
