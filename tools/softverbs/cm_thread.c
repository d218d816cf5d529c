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

void sv_dirty(void)
{
    uint32_t brk[64], nbrk = 0;
    bool gone = false;
    uint64_t w;

    pthread_mutex_lock(&g.obj);
    for (uint32_t i = 0; i < SV_MAX_QP / 64; i++) {
        if (!atomic_load(&g.a->qp_dirty[i]))
            continue;
        w = atomic_exchange(&g.a->qp_dirty[i], 0);
        for (; w; w &= w - 1) {
            struct sv_qp *qp = atomic_load(&g.qp[i * 64 + __builtin_ctzll(w)]);
            uint32_t bits, ev;

            if (!qp)
                continue;
            bits = atomic_exchange(&qp->sh->dirty, 0);
            if (bits & SV_DIRTY_ERR) {
                ev = atomic_exchange(&qp->sh->async, 0);
                sv_qp_error(qp, (int)ev - 1);
            }
            if (bits & SV_DIRTY_RESUME) {
                pthread_mutex_lock(&qp->sqlock);
                if (!qp->forced_rnr)
                    sv_run_sq(qp);
                pthread_mutex_unlock(&qp->sqlock);
            }
            if (bits & SV_DIRTY_BREAK && nbrk < 64)
                brk[nbrk++] = qp->x.qp_base.qp_num;
            if (bits & SV_DIRTY_GONE)
                gone = true;
        }
    }
    for (uint32_t i = 0; i < SV_MAX_CQ / 64; i++) {
        if (!atomic_load(&g.a->cq_dirty[i]))
            continue;
        w = atomic_exchange(&g.a->cq_dirty[i], 0);
        for (; w; w &= w - 1) {
            struct sv_cq *cq = atomic_load(&g.cq[i * 64 + __builtin_ctzll(w)]);

            if (!cq)
                continue;
            sv_async_event(cq->cq.context, IBV_EVENT_CQ_ERR, cq, &cq->async_delivered);
            for (uint32_t k = 0; k < SV_MAX_QP; k++) {
                struct sv_qp *qp = atomic_load(&g.qp[k]);

                if (qp && (qp->x.qp_base.send_cq == &cq->cq || qp->x.qp_base.recv_cq == &cq->cq))
                    sv_qp_error(qp, IBV_EVENT_QP_FATAL);
            }
        }
    }
    for (uint32_t i = 0; i < SV_MAX_SRQ / 64; i++) {
        if (!atomic_load(&g.a->srq_dirty[i]))
            continue;
        w = atomic_exchange(&g.a->srq_dirty[i], 0);
        for (; w; w &= w - 1) {
            struct sv_srq *s = atomic_load(&g.srq[i * 64 + __builtin_ctzll(w)]);

            if (s)
                sv_async_event(s->srq.context, IBV_EVENT_SRQ_LIMIT_REACHED, s, &s->async_delivered);
        }
    }
    pthread_mutex_unlock(&g.obj);
    while (nbrk)
        sv_cm_break(brk[--nbrk]);
    if (gone)
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

static void *cm_thread(void *arg)
{
    bool poll_faults = getenv("SOFTVERBS_FAULT_FILE") != NULL;
    struct epoll_event ev[16];
    uint64_t next = UINT64_MAX, v;

    (void)arg;
    for (;;) {
        uint64_t now = sv_now(), t;
        int ms = -1, n;

        if (next != UINT64_MAX)
            ms = next <= now ? 0 : (int)((next - now + 999999) / 1000000);
        if (poll_faults && (ms < 0 || ms > 100))
            ms = 100;
        n = epoll_wait(g.epfd, ev, 16, ms);
        if (poll_faults)
            sv_fault_poll();
        pthread_mutex_lock(&sv_cm_lock);
        for (int i = 0; i < n; i++) {
            int fd = (uint32_t)ev[i].data.u64;
            struct sv_fdent *f = sv_fd_find(ev[i].data.u64);

            if (!f)
                continue;
            switch (f->kind) {
            case F_KICK:
                (void)!read(fd, &v, 8);
                break;
            case F_PROC: {
                int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (s >= 0)
                    sv_fd_add(s, F_ATTACH, NULL);
                break;
            }
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
                sv_peer_lost(f->obj);
                break;
            }
        }
        pthread_mutex_unlock(&sv_cm_lock);
        sv_dirty();
        next = sv_blocked_scan();
        pthread_mutex_lock(&sv_cm_lock);
        t = sv_conn_timers();
        pthread_mutex_unlock(&sv_cm_lock);
        next = t < next ? t : next;
    }
    return NULL;
}

void sv_cm_start(void)
{
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
    if (pthread_create(&t, NULL, cm_thread, NULL))
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
     * say goodbye: its peers see the socket hang up. */
    for (struct sv_id *i = sv_ids; i; i = i->next) {
        if (i->lfd >= 0)
            unlink(i->lpath);
        if (i->conn && i->conn->fd >= 0 &&
            (i->state == S_CONN || i->state == S_ACCEPT || i->state == S_REPRCVD))
            sv_msg_simple(i->conn->fd, M_DREQ);
    }
    pthread_mutex_unlock(&sv_cm_lock);
}
