/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between connection managers, over Unix sockets. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/process.h"

#include <sys/epoll.h>
#include <sys/socket.h>

static struct sv_fdent *fdtab;
static int fdtab_n;
static uint32_t fdgen;

void sv_fd_add(int fd, int kind, void *obj)
{
    struct epoll_event ev = {.events = EPOLLIN};

    if (fd >= fdtab_n) {
        int n = fd + 64;

        fdtab = realloc(fdtab, n * sizeof(*fdtab));
        if (!fdtab)
            abort();
        memset(fdtab + fdtab_n, 0, (n - fdtab_n) * sizeof(*fdtab));
        fdtab_n = n;
    }
    fdtab[fd].kind = kind;
    fdtab[fd].obj = obj;
    fdtab[fd].gen = ++fdgen;
    ev.data.u64 = (uint64_t)fdgen << 32 | (uint32_t)fd;
    epoll_ctl(g.epfd, EPOLL_CTL_ADD, fd, &ev);
}

void sv_fd_del(int fd)
{
    if (fd < 0)
        return;
    if (fd < fdtab_n)
        fdtab[fd].kind = 0;
    epoll_ctl(g.epfd, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
}

struct sv_fdent *sv_fd_find(uint64_t key)
{
    int fd = (uint32_t)key;

    return fd < fdtab_n && fdtab[fd].gen == key >> 32 ? &fdtab[fd] : NULL;
}

int sv_msg_send(int fd, struct sv_msg *m, const int *fds)
{
    union {
        char b[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr a;
    } u;
    struct iovec iov = {m, sizeof(*m)};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

    m->magic = SV_MAGIC;
    m->uuid = g.a->uuid;
    m->pid = getpid();
    if (m->nfds) {
        memset(&u, 0, sizeof(u));
        h.msg_control = &u;
        h.msg_controllen = CMSG_SPACE(m->nfds * sizeof(int));
        CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(m->nfds * sizeof(int));
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds, m->nfds * sizeof(int));
    }
    return sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*m) ? 0 : -1;
}

void sv_msg_simple(int fd, int type)
{
    struct sv_msg m = {.type = type};

    sv_msg_send(fd, &m, NULL);
}

int sv_msg_recv(int fd, struct sv_msg *m, int *fds)
{
    union {
        char b[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr a;
    } u;
    struct iovec iov = {m, sizeof(*m)};
    struct msghdr h = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u)};
    struct cmsghdr *c;
    ssize_t n;

    fds[0] = fds[1] = fds[2] = -1;
    n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    c = CMSG_FIRSTHDR(&h);
    if (c && c->cmsg_type == SCM_RIGHTS) {
        size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        memcpy(fds, CMSG_DATA(c), (k < 3 ? k : 3) * sizeof(int));
    }
    if (n != (ssize_t)sizeof(*m) || m->magic != SV_MAGIC) {
        for (int i = 0; i < 3; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        return 0;
    }
    struct ucred cr;
    socklen_t len = sizeof(cr);

    /* the number by which we know that process */
    if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cr, &len) && cr.pid > 0)
        m->pid = cr.pid;
    return 1;
}

int sv_unix_addr(struct sockaddr_un *un, const char *fmt, ...)
{
    va_list ap;
    int n;

    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    n = snprintf(un->sun_path, sizeof(un->sun_path), "%s/", g.dir);
    va_start(ap, fmt);
    n += vsnprintf(un->sun_path + n, sizeof(un->sun_path) - n, fmt, ap);
    va_end(ap);
    return n < (int)sizeof(un->sun_path) ? 0 : ENAMETOOLONG;
}

int sv_unix_connect(const struct sockaddr_un *un)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (const void *)un, sizeof(*un))) {
        int e = errno;

        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

int sv_unix_listen(const struct sockaddr_un *un)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    unlink(un->sun_path); /* of a dead owner: we hold the lock */
    if (bind(fd, (const void *)un, sizeof(*un)) || listen(fd, 1024)) {
        int e = errno;

        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}
