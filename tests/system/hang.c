/* SPDX-License-Identifier: GPL-2.0-or-later */
/* To be preloaded: the disk under the file RTGT_HANG_STORE does not answer while RTGT_HANG exists.
 */
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

static bool is_the_store(int fd)
{
    const char *store = getenv("RTGT_HANG_STORE");
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
    if (!sign || !is_the_store(fd))
        return;
    while (access(sign, F_OK) == 0)
        usleep(10000);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "pwritev2");
    hang(fd);
    return real(fd, iov, iovcnt, offset, flags);
}

ssize_t preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "preadv2");
    const char *sign = getenv("RTGT_HANG");
    if ((flags & RWF_NOWAIT) && sign && access(sign, F_OK) == 0 && is_the_store(fd)) {
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
