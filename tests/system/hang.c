/* SPDX-License-Identifier: GPL-2.0-or-later */
/* To be preloaded: the disk under the file RTGT_HANG_STORE does not answer while RTGT_HANG exists,
 * and that under RTGT_SLOW_STORE takes 40 ms for a write of 256 KiB or more. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define SLOW_FROM  (256u << 10)
#define SLOW_TAKES 40000 /* us */

static bool is_the_store(int fd, const char *name)
{
    const char *store = getenv(name);
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (!store || len < 0)
        return false;
    path[len] = '\0';
    return strcmp(path, store) == 0;
}

static void hang(int fd)
{
    const char *sign = getenv("RTGT_HANG");
    if (!sign || !is_the_store(fd, "RTGT_HANG_STORE"))
        return;
    while (access(sign, F_OK) == 0)
        usleep(10000);
}

static void be_slow(int fd, const struct iovec *iov, int iovcnt)
{
    size_t len = 0;
    for (int i = 0; i < iovcnt; i++)
        len += iov[i].iov_len;
    if (len >= SLOW_FROM && is_the_store(fd, "RTGT_SLOW_STORE"))
        usleep(SLOW_TAKES);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "pwritev2");
    hang(fd);
    be_slow(fd, iov, iovcnt);
    return real(fd, iov, iovcnt, offset, flags);
}

ssize_t preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "preadv2");
    const char *sign = getenv("RTGT_HANG");
    if ((flags & RWF_NOWAIT) && sign && access(sign, F_OK) == 0 &&
        is_the_store(fd, "RTGT_HANG_STORE")) {
        errno = EAGAIN;
        return -1;
    }
    hang(fd);
    return real(fd, iov, iovcnt, offset, flags);
}

int fdatasync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    hang(fd);
    return real(fd);
}
