/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections: what their messages, their timers and their end do. */
#include "tools/softverbs/cm.h"
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/peer.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"

struct sv_conn *sv_conns;

void sv_flush_qpn(uint32_t qpn)
{
    struct sv_qp *qp;

    pthread_mutex_lock(&g.obj);
    qp = atomic_load(&g.qp[qpn & (SV_MAX_QP - 1)]);
    if (qp && qp->x.qp_base.qp_num == qpn && atomic_load(&qp->sh->state) >= IBV_QPS_RTR)
        sv_qp_flush(qp);
    pthread_mutex_unlock(&g.obj);
}

struct sv_conn *sv_conn_new(int fd, bool active)
{
    struct sv_conn *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->fd = fd;
    c->chan = -1;
    c->active = active;
    c->next = sv_conns;
    sv_conns = c;
    sv_fd_add(fd, F_CONN, c);
    return c;
}

void sv_conn_free(struct sv_conn *c)
{
    struct sv_conn **pp;

    for (pp = &sv_conns; *pp; pp = &(*pp)->next)
        if (*pp == c) {
            *pp = c->next;
            break;
        }
    sv_fd_del(c->fd);
    if (c->chan >= 0)
        close(c->chan);
    sv_peer_put(c->peer);
    if (c->id)
        c->id->conn = NULL;
    free(c);
}

void sv_timewait(struct sv_conn *c)
{
    c->id->state = S_TIMEWAIT;
    c->deadline = sv_now() + g.timewait_ns;
    if (!c->deadline)
        c->deadline = 1;
    sv_kick();
}

static void conn_take(struct sv_conn *c, struct sv_msg *m, int *fds)
{
    c->m = *m;
    c->rqpn = m->qpn;
    if (m->nfds >= 2)
        c->peer = sv_peer_get(m->uuid, m->pid, fds[0], fds[1]);
    fds[0] = fds[1] = -1;
    c->chan = fds[2];
    fds[2] = -1;
}

/* The connection broke: a dead peer, or a fault. */
void sv_conn_lost(struct sv_conn *c)
{
    struct sv_id *id = c->id;

    sv_fd_del(c->fd);
    c->fd = -1;
    if (!id) {
        if (!c->peer) /* never sent its request */
            sv_conn_free(c);
        return; /* else: a request that nobody fetched yet */
    }
    if (id->state != S_TIMEWAIT)
        c->deadline = 0;
    switch (id->state) {
    case S_CONNECT:
        id->state = S_DONE;
        sv_ev_post(id, RDMA_CM_EVENT_REJECTED, 4);
        break;
    case S_REQ:
        id->state = S_DONE;
        sv_ev_post(id, RDMA_CM_EVENT_REJECTED, 4);
        break;
    case S_ACCEPT:
        sv_flush_qpn(c->lqpn);
        id->state = S_DONE;
        sv_ev_post(id, RDMA_CM_EVENT_CONNECT_ERROR, -ECONNRESET);
        break;
    case S_REPRCVD:
    case S_CONN:
    case S_DREQ_SENT:
        sv_flush_qpn(c->lqpn);
        sv_ev_post(id, RDMA_CM_EVENT_DISCONNECTED, 0);
        sv_timewait(c);
        break;
    case S_DREQ_RCVD:
        sv_timewait(c);
        break;
    default:
        break;
    }
}

static void on_req(struct sv_conn *c, struct sv_msg *m, int *fds)
{
    struct sv_id *l = c->listen;
    struct sv_ev *e;

    conn_take(c, m, fds);
    if (!c->peer) {
        sv_msg_simple(c->fd, M_REJ);
        sv_conn_free(c);
        return;
    }
    c->deadline = 0;
    e = sv_ev_post(l, RDMA_CM_EVENT_CONNECT_REQUEST, 0);
    e->ev.listen_id = &l->id;
    e->ev.id = NULL;
    e->conn = c;
    sv_ev_conn(e, m, 56);
}

static void on_rep(struct sv_conn *c, struct sv_msg *m, int *fds)
{
    if (c->id->state != S_CONNECT)
        return;
    conn_take(c, m, fds);
    c->deadline = 0;
    c->id->state = S_REPRCVD;
    sv_ev_conn(sv_ev_post(c->id, RDMA_CM_EVENT_CONNECT_RESPONSE, 0), m, 196);
}

static void on_rej(struct sv_conn *c, struct sv_msg *m)
{
    if (c->id->state != S_CONNECT && c->id->state != S_ACCEPT)
        return;
    c->id->state = S_DONE;
    c->deadline = 0;
    sv_ev_conn(sv_ev_post(c->id, RDMA_CM_EVENT_REJECTED, m->status), m, 148);
}

static void on_rtu(struct sv_conn *c)
{
    if (c->id->state != S_ACCEPT)
        return;
    c->id->state = S_CONN;
    c->deadline = 0;
    sv_ev_post(c->id, RDMA_CM_EVENT_ESTABLISHED, 0);
}

static void on_dreq(struct sv_conn *c)
{
    struct sv_id *id = c->id;

    c->deadline = 0;
    if (id->state == S_CONN || id->state == S_ACCEPT || id->state == S_REPRCVD) {
        id->state = S_DREQ_RCVD;
        if (g.dreq_flush)
            sv_flush_qpn(c->lqpn);
        sv_ev_post(id, RDMA_CM_EVENT_DISCONNECTED, 0);
    } else if (id->state == S_DREQ_SENT) {
        sv_msg_simple(c->fd, M_DREP);
        sv_ev_post(id, RDMA_CM_EVENT_DISCONNECTED, 0);
        sv_timewait(c);
    }
}

static void on_drep(struct sv_conn *c)
{
    if (c->id->state != S_DREQ_SENT)
        return;
    sv_ev_post(c->id, RDMA_CM_EVENT_DISCONNECTED, 0);
    sv_timewait(c);
}

void sv_conn_msg(struct sv_conn *c, struct sv_msg *m, int *fds)
{
    if (m->type == M_REQ && c->listen && !c->peer) {
        on_req(c, m, fds);
        return;
    }
    if (!c->id)
        return;
    switch (m->type) {
    case M_REP:
        on_rep(c, m, fds);
        break;
    case M_REJ:
        on_rej(c, m);
        break;
    case M_RTU:
        on_rtu(c);
        break;
    case M_DREQ:
        on_dreq(c);
        break;
    case M_DREP:
        on_drep(c);
        break;
    }
}

uint64_t sv_conn_timers(void)
{
    uint64_t now = sv_now(), next = UINT64_MAX;

    for (struct sv_conn *c = sv_conns, *n; c; c = n) {
        struct sv_id *id = c->id;

        n = c->next;
        if (!c->deadline)
            continue;
        if (c->deadline > now) {
            next = c->deadline < next ? c->deadline : next;
            continue;
        }
        c->deadline = 0;
        if (!id) { /* connected, but never sent its request */
            sv_conn_free(c);
            continue;
        }
        switch (id->state) {
        case S_CONNECT:
        case S_ACCEPT:
            sv_flush_qpn(c->lqpn);
            id->state = S_DONE;
            sv_ev_post(id, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT);
            sv_fd_del(c->fd);
            c->fd = -1;
            break;
        case S_DREQ_SENT:
            sv_ev_post(id, RDMA_CM_EVENT_DISCONNECTED, 0);
            sv_timewait(c);
            next = 0;
            break;
        case S_TIMEWAIT:
            id->state = S_DONE;
            sv_ev_post(id, RDMA_CM_EVENT_TIMEWAIT_EXIT, 0);
            sv_fd_del(c->fd);
            c->fd = -1;
            break;
        default:
            break;
        }
    }
    return next;
}

void sv_cm_break(uint32_t qpn)
{
    pthread_mutex_lock(&sv_cm_lock);
    for (struct sv_conn *c = sv_conns; c; c = c->next)
        if (c->lqpn == qpn && c->id && c->fd >= 0) {
            sv_conn_lost(c);
            break;
        }
    pthread_mutex_unlock(&sv_cm_lock);
    sv_flush_qpn(qpn);
}

/* Say goodbye as the state of the connection wants it. */
void sv_hang_up(struct sv_id *id)
{
    struct sv_conn *c = id->conn;
    struct sv_msg m = {.type = M_REJ, .status = 28};

    if (!c)
        return;
    if (c->fd >= 0) {
        switch (id->state) {
        case S_CONN:
        case S_ACCEPT:
        case S_REPRCVD:
            sv_msg_simple(c->fd, M_DREQ);
            break;
        case S_DREQ_RCVD:
            sv_msg_simple(c->fd, M_DREP);
            break;
        case S_REQ:
            sv_msg_send(c->fd, &m, NULL);
            break;
        default:
            break;
        }
    }
    sv_conn_free(c);
}

void sv_unlisten(struct sv_id *id)
{
    if (id->lfd < 0)
        return;
    sv_fd_del(id->lfd);
    unlink(id->lpath);
    id->lfd = -1;
    for (struct sv_conn *c = sv_conns, *n; c; c = n) {
        n = c->next;
        if (c->listen == id && !c->id) {
            struct sv_msg m = {.type = M_REJ, .status = 4};

            if (c->fd >= 0)
                sv_msg_send(c->fd, &m, NULL);
            sv_conn_free(c);
        } else if (c->listen == id) {
            c->listen = NULL;
        }
    }
}
