/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The thread that serves connections, dirty bits and timers; asleep when idle. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cm.h"
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/fault.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"
#include "tools/softverbs/send.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

pthread_mutex_t sv_cm_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t sv_cm_cond = PTHREAD_COND_INITIALIZER;

/* What can only be done without g.obj: connections to break, the device to remove. */
struct later {
    uint32_t brk[64], nbrk;
    bool gone;
};

static void each_dirty(_Atomic uint64_t *map, uint32_t words,
                       void (*serve)(uint32_t, struct later *), struct later *l)
{
    for (uint32_t i = 0; i < words; i++)
        if (atomic_load(&map[i]))
            for (uint64_t w = atomic_exchange(&map[i], 0); w; w &= w - 1)
                serve(i * 64 + __builtin_ctzll(w), l);
}

static void dirty_qp(uint32_t i, struct later *l)
{
    struct sv_qp *qp = atomic_load(&g.qp[i]);
    uint32_t bits;

    if (!qp)
        return;
    bits = atomic_exchange(&qp->sh->dirty, 0);
    if (bits & SV_DIRTY_ERR)
        sv_qp_error(qp, (int)atomic_exchange(&qp->sh->async, 0) - 1);
    if (bits & SV_DIRTY_RESUME) {
        pthread_mutex_lock(&qp->sqlock);
        if (!qp->forced_rnr)
            sv_run_sq(qp);
        pthread_mutex_unlock(&qp->sqlock);
    }
    if (bits & SV_DIRTY_BREAK && l->nbrk < 64)
        l->brk[l->nbrk++] = qp->x.qp_base.qp_num;
    if (bits & SV_DIRTY_GONE)
        l->gone = true;
}

static void dirty_cq(uint32_t i, struct later *l)
{
    struct sv_cq *cq = atomic_load(&g.cq[i]);

    (void)l;
    if (!cq)
        return;
    sv_async_event(cq->cq.context, IBV_EVENT_CQ_ERR, cq, &cq->async_delivered);
    for (uint32_t k = 0; k < SV_MAX_QP; k++) {
        struct sv_qp *qp = atomic_load(&g.qp[k]);

        if (qp && (qp->x.qp_base.send_cq == &cq->cq || qp->x.qp_base.recv_cq == &cq->cq))
            sv_qp_error(qp, IBV_EVENT_QP_FATAL);
    }
}

static void dirty_srq(uint32_t i, struct later *l)
{
    struct sv_srq *s = atomic_load(&g.srq[i]);

    (void)l;
    if (s)
        sv_async_event(s->srq.context, IBV_EVENT_SRQ_LIMIT_REACHED, s, &s->async_delivered);
}

/* What peers, and our own threads, left to be done. */
static void serve_dirty(void)
{
    struct later l = {.nbrk = 0};

    pthread_mutex_lock(&g.obj);
    each_dirty(g.a->qp_dirty, SV_MAX_QP / 64, dirty_qp, &l);
    each_dirty(g.a->cq_dirty, SV_MAX_CQ / 64, dirty_cq, &l);
    each_dirty(g.a->srq_dirty, SV_MAX_SRQ / 64, dirty_srq, &l);
    pthread_mutex_unlock(&g.obj);
    while (l.nbrk)
        sv_cm_break(l.brk[--l.nbrk]);
    if (l.gone)
        sv_device_gone();
}

static void on_accept(struct sv_id *l, int lfd)
{
    int fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct sv_conn *c;

    if (fd < 0)
        return;
    c = sv_conn_new(fd, false);
    c->listen = l;
    c->deadline = sv_now() + g.cm_timeout_ns;
}

static void on_attach(int fd)
{
    struct sv_msg m, r = {.type = M_ATTACHED};
    int fds[3], n = sv_msg_recv(fd, &m, fds);

    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (n < 0)
        return;
    if (n == 0 || m.type != M_ATTACH) {
        sv_fd_del(fd);
        return;
    }
    sv_fill_endpoint(&r, fds, m.qpn);
    sv_msg_send(fd, &r, fds); /* and stays open: it tells the peer of our death */
}

static void on_conn(struct sv_conn *c)
{
    struct sv_msg m;
    int fds[3], n;

    n = sv_msg_recv(c->fd, &m, fds);
    if (n < 0)
        return;
    if (n == 0)
        sv_conn_lost(c);
    else
        sv_conn_msg(c, &m, fds);
    for (int i = 0; i < 3 && n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void on_proc(int lfd)
{
    int fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0)
        sv_fd_add(fd, F_ATTACH, NULL);
}

static void on_event(uint64_t key)
{
    struct sv_fdent *f = sv_fd_find(key);
    int fd = (uint32_t)key;
    uint64_t v;

    if (!f)
        return;
    switch (f->kind) {
    case F_KICK:
        (void)!read(fd, &v, 8);
        break;
    case F_PROC:
        on_proc(fd);
        break;
    case F_ATTACH:
        on_attach(fd);
        break;
    case F_LISTEN:
        on_accept(f->obj, fd);
        break;
    case F_CONN:
        on_conn(f->obj);
        break;
    case F_PEER:
        sv_peer_lost(fd);
        break;
    }
}

static bool exiting; /* sv_cm_lock */

static void *cm_thread(void *arg)
{
    const char *faults = arg;
    struct epoll_event ev[16];
    uint64_t next = UINT64_MAX;

    for (;;) {
        uint64_t now = sv_now(), t;
        int ms = -1, n;

        if (next != UINT64_MAX)
            ms = next <= now ? 0 : (int)((next - now + 999999) / 1000000);
        if (faults && (ms < 0 || ms > 100))
            ms = 100;
        n = epoll_wait(g.epfd, ev, 16, ms);
        if (faults)
            sv_fault_poll(faults);
        pthread_mutex_lock(&sv_cm_lock);
        if (exiting)
            break;
        for (int i = 0; i < n; i++)
            on_event(ev[i].data.u64);
        pthread_mutex_unlock(&sv_cm_lock);
        serve_dirty();
        next = sv_blocked_scan();
        pthread_mutex_lock(&sv_cm_lock);
        t = sv_conn_timers();
        pthread_mutex_unlock(&sv_cm_lock);
        next = t < next ? t : next;
    }
    pthread_mutex_unlock(&sv_cm_lock);
    return NULL;
}

void sv_cm_start(void)
{
    const char *faults = getenv("SOFTVERBS_FAULT_FILE");
    struct sockaddr_un un;
    sigset_t all, old;
    pthread_t t;

    g.epfd = epoll_create1(EPOLL_CLOEXEC);
    sv_fd_add(g.kickfd, F_KICK, NULL);
    if (!sv_unix_addr(&un, "p%u", g.a->slot)) {
        g.procfd = sv_unix_listen(&un);
        if (g.procfd >= 0)
            sv_fd_add(g.procfd, F_PROC, NULL);
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    if (pthread_create(&t, NULL, cm_thread, faults ? strdup(faults) : NULL))
        abort();
    pthread_setname_np(t, "softverbs-cm");
    pthread_detach(t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

__attribute__((destructor)) static void cleanup(void)
{
    struct sockaddr_un un;

    if (!g.a || g.a->pid != getpid())
        return;
    if (!sv_unix_addr(&un, "p%u", g.a->slot))
        unlink(un.sun_path);
    if (pthread_mutex_trylock(&sv_cm_lock))
        return;
    /* What the kernel does for a process that exits.  One that is killed cannot
     * say goodbye: its peers see the socket hang up.  No event comes of their
     * answers: what the program would touch for it may be gone. */
    exiting = true;
    for (struct sv_id *i = sv_ids; i; i = i->next) {
        if (i->lfd >= 0)
            unlink(i->lpath);
        if (i->conn && i->conn->fd >= 0 &&
            (i->state == S_CONN || i->state == S_ACCEPT || i->state == S_REPRCVD))
            sv_msg_simple(i->conn->fd, M_DREQ);
    }
    pthread_mutex_unlock(&sv_cm_lock);
}
