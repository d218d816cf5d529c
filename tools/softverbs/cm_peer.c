/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding the process that has a queue pair. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cm.h"
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/peer.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"
#include "tools/softverbs/send.h"

#include <poll.h>

/* What a peer needs to reach one of our QPs. */
void sv_fill_endpoint(struct sv_msg *m, int *fds, uint32_t qpn)
{
    struct sv_qp *qp;

    m->qpn = qpn;
    m->nfds = 2;
    fds[0] = g.arenafd;
    fds[1] = g.kickfd;
    fds[2] = -1;
    pthread_mutex_lock(&g.obj);
    qp = atomic_load(&g.qp[qpn & (SV_MAX_QP - 1)]);
    if (qp && qp->x.qp_base.qp_num == qpn) {
        struct sv_cq *cq = (struct sv_cq *)qp->x.qp_base.recv_cq;

        if (cq->chan)
            fds[m->nfds++] = cq->chan->wfd;
        m->srq |= qp->x.qp_base.srq != NULL;
    }
    pthread_mutex_unlock(&g.obj);
}

/* A process we reached without the CM is gone.  As on a real fabric nobody tells:
 * what is sent to it from now on runs out of retries. */
void sv_peer_lost(int fd)
{
    struct sv_peer *p;

    pthread_mutex_lock(&g.obj);
    for (p = g.peers; p && p->sock != fd; p = p->next)
        ;
    if (!p) { /* let go, and its socket closed, since the event */
        pthread_mutex_unlock(&g.obj);
        return;
    }
    atomic_store(&p->dead, true);
    sv_fd_del(p->sock);
    p->sock = -1;
    for (uint32_t i = 0; i < SV_MAX_QP; i++) {
        struct sv_qp *qp = atomic_load(&g.qp[i]);

        if (!qp)
            continue;
        pthread_mutex_lock(&qp->sqlock);
        if (qp->peer == p)
            sv_run_sq(qp);
        pthread_mutex_unlock(&qp->sqlock);
    }
    pthread_mutex_unlock(&g.obj);
}

/* A connection to that QP is there already. */
static bool find_connected(uint32_t qpn, struct sv_peer **peer, int *chan)
{
    bool found = false;

    pthread_mutex_lock(&sv_cm_lock);
    for (struct sv_conn *c = sv_conns; c && !found; c = c->next)
        if (c->rqpn == qpn && c->peer && c->fd >= 0) {
            pthread_mutex_lock(&g.obj);
            c->peer->refs++;
            pthread_mutex_unlock(&g.obj);
            *peer = c->peer;
            if (c->chan >= 0)
                *chan = fcntl(c->chan, F_DUPFD_CLOEXEC, 0);
            found = true;
        }
    pthread_mutex_unlock(&sv_cm_lock);
    return found;
}

/* Asks the process of that slot; the socket stays: its end tells of that of the process. */
static int ask(uint32_t slot, struct sv_msg *m, int *fds)
{
    struct sockaddr_un un;
    struct pollfd pfd;
    int fd;

    if (sv_unix_addr(&un, "p%u", slot))
        return -1;
    fd = sv_unix_connect(&un);
    if (fd < 0)
        return -1;
    pfd = (struct pollfd){.fd = fd, .events = POLLIN};
    if (sv_msg_send(fd, m, NULL) || poll(&pfd, 1, 5000) != 1 || sv_msg_recv(fd, m, fds) != 1) {
        close(fd);
        return -1;
    }
    if (m->type == M_ATTACHED && m->nfds >= 2)
        return fd;
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    close(fd);
    return -1;
}

static void keep_socket(struct sv_peer *p, int fd)
{
    pthread_mutex_lock(&sv_cm_lock);
    pthread_mutex_lock(&g.obj);
    if (p->sock < 0) {
        p->sock = fd;
        sv_fd_add(fd, F_PEER, NULL);
    } else {
        close(fd);
    }
    pthread_mutex_unlock(&g.obj);
    pthread_mutex_unlock(&sv_cm_lock);
}

int sv_find_remote(uint32_t qpn, struct sv_peer **peer, int *chan)
{
    uint32_t slot = qpn >> SV_QP_BITS;
    struct sv_msg m = {.type = M_ATTACH, .qpn = qpn};
    int fd, fds[3];

    *chan = -1;
    if (find_connected(qpn, peer, chan))
        return 0;
    if (slot == (uint32_t)g.a->slot) {
        sv_fill_endpoint(&m, fds, qpn);
        *chan = m.nfds == 3 ? fcntl(fds[2], F_DUPFD_CLOEXEC, 0) : -1;
        *peer = sv_peer_get(g.a->uuid, getpid(), -1, -1);
        return *peer ? 0 : ENOMEM;
    }
    fd = ask(slot, &m, fds);
    if (fd < 0)
        return EHOSTUNREACH;
    *chan = fds[2];
    *peer = sv_peer_get(m.uuid, m.pid, fds[0], fds[1]);
    if (!*peer) {
        close(fd);
        if (*chan >= 0)
            close(*chan);
        return ENOMEM;
    }
    keep_socket(*peer, fd);
    return 0;
}
