/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connecting, accepting, rejecting, disconnecting. */
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/process.h"

static int take_param(struct sv_id *id, struct sv_msg *m, const struct rdma_conn_param *p, bool req)
{
    id->resp_res = id->init_depth = SV_MAX_RD;
    if (p) {
        if ((p->responder_resources != RDMA_MAX_RESP_RES && p->responder_resources > SV_MAX_RD) ||
            (p->initiator_depth != RDMA_MAX_INIT_DEPTH && p->initiator_depth > SV_MAX_RD)) {
            sv_diag("rdma_%s: more responder resources or initiator depth than the device has",
                    req ? "connect" : "accept");
            return EINVAL;
        }
        if (p->responder_resources != RDMA_MAX_RESP_RES)
            id->resp_res = p->responder_resources;
        if (p->initiator_depth != RDMA_MAX_INIT_DEPTH)
            id->init_depth = p->initiator_depth;
        if (p->private_data_len > 196)
            return EINVAL;
        if (req && p->private_data_len > 56)
            sv_diag("rdma_connect: %u bytes of private data; InfiniBand and RoCE carry 56",
                    p->private_data_len);
        m->pdlen = p->private_data ? p->private_data_len : 0;
        if (m->pdlen)
            memcpy(m->pd, p->private_data, m->pdlen);
        id->rnr = p->rnr_retry_count & 7;
        if (req)
            id->retry = p->retry_count & 7;
        m->flow = p->flow_control;
        m->srq = p->srq;
        m->qpn = p->qp_num;
    } else if (req && id->ep_len) {
        m->pdlen = id->ep_len;
        memcpy(m->pd, id->ep_data, m->pdlen);
    }
    m->resp_res = id->resp_res;
    m->init_depth = id->init_depth;
    m->retry = id->retry;
    m->rnr = id->rnr;
    if (id->id.qp)
        m->qpn = id->id.qp->qp_num;
    return 0;
}

EXPORT int rdma_connect(struct rdma_cm_id *cid, struct rdma_conn_param *p)
{
    struct sv_id *id = TO_ID(cid);
    struct rdma_addr *a = &cid->route.addr;
    struct sv_msg m = {.type = M_REQ};
    int fd = -1, fds[3], r;

    if (id->state != S_ROUTE)
        return sv_fail(EINVAL);
    r = take_param(id, &m, p, true);
    if (r)
        return sv_fail(r);
    m.src = a->src_storage;
    m.dst = a->dst_storage;
    sv_fill_endpoint(&m, fds, m.qpn);
    /* A request takes its time on a fabric; programs that listen again right
     * after a connection rely on that. */
    for (int tries = 0; tries <= g.reject_ms; tries++) {
        fd = sv_find_listener(&a->dst_addr);
        if (fd >= 0 || (errno != ENOENT && errno != ECONNREFUSED))
            break;
        if (tries < g.reject_ms)
            usleep(1000);
        errno = ENOENT;
    }
    if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED)) {
        id->state = S_DONE;
        return sv_post_sync(id, RDMA_CM_EVENT_REJECTED, 8); /* no such service */
    }
    if (fd < 0) {
        id->state = S_DONE;
        return sv_post_sync(id, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT);
    }
    pthread_mutex_lock(&sv_cm_lock);
    id->state = S_CONNECT;
    id->conn = sv_conn_new(fd, true);
    id->conn->id = id;
    id->conn->lqpn = m.qpn;
    id->conn->deadline = sv_now() + g.cm_timeout_ns;
    r = sv_msg_send(fd, &m, fds);
    if (r)
        sv_conn_lost(id->conn);
    pthread_mutex_unlock(&sv_cm_lock);
    sv_kick();
    return sv_sync_wait(id);
}

EXPORT int rdma_accept(struct rdma_cm_id *cid, struct rdma_conn_param *p)
{
    struct sv_id *id = TO_ID(cid);
    struct sv_msg m = {.type = M_REP};
    int fds[3], r;

    if (id->state != S_REQ || !id->conn)
        return sv_fail(EINVAL);
    r = take_param(id, &m, p, false);
    if (r)
        return sv_fail(r);
    if (!p || p->responder_resources == RDMA_MAX_RESP_RES)
        id->resp_res = id->conn->m.init_depth;
    if (!p || p->initiator_depth == RDMA_MAX_INIT_DEPTH)
        id->init_depth = id->conn->m.resp_res;
    if (id->init_depth > id->conn->m.resp_res)
        sv_diag(
            "rdma_accept: an initiator depth of %u, but the peer has responder resources for %u",
            id->init_depth, id->conn->m.resp_res);
    m.resp_res = id->resp_res;
    m.init_depth = id->init_depth;
    id->retry = id->conn->m.retry;
    pthread_mutex_lock(&sv_cm_lock);
    id->conn->lqpn = m.qpn;
    pthread_mutex_unlock(&sv_cm_lock);
    if (cid->qp && sv_qp_up(id)) {
        int e = errno;

        rdma_reject(cid, NULL, 0);
        return sv_fail(e);
    }
    sv_fill_endpoint(&m, fds, m.qpn);
    pthread_mutex_lock(&sv_cm_lock);
    if (id->conn && id->state == S_REQ) {
        id->state = S_ACCEPT;
        id->conn->deadline = sv_now() + g.cm_timeout_ns;
        if (id->conn->fd < 0 || sv_msg_send(id->conn->fd, &m, fds))
            sv_conn_lost(id->conn);
    }
    pthread_mutex_unlock(&sv_cm_lock);
    sv_kick();
    return sv_sync_wait(id);
}

EXPORT int rdma_establish(struct rdma_cm_id *cid)
{
    struct sv_id *id = TO_ID(cid);
    int r = 0;

    pthread_mutex_lock(&sv_cm_lock);
    if (id->state != S_REPRCVD || cid->qp) {
        r = EINVAL;
    } else {
        id->state = S_CONN;
        sv_msg_simple(id->conn->fd, M_RTU);
    }
    pthread_mutex_unlock(&sv_cm_lock);
    return r ? sv_fail(r) : 0;
}

EXPORT int rdma_reject(struct rdma_cm_id *cid, const void *pd, uint8_t len)
{
    struct sv_id *id = TO_ID(cid);
    struct sv_msg m = {.type = M_REJ, .status = 28, .pdlen = pd ? len : 0};

    if (len > 148)
        return sv_fail(EINVAL);
    if (id->state != S_REQ)
        return sv_fail(EINVAL);
    if (pd)
        memcpy(m.pd, pd, len);
    pthread_mutex_lock(&sv_cm_lock);
    if (id->conn && id->conn->fd >= 0)
        sv_msg_send(id->conn->fd, &m, NULL);
    id->state = S_DONE;
    pthread_mutex_unlock(&sv_cm_lock);
    return 0;
}

EXPORT int rdma_reject_ece(struct rdma_cm_id *cid, const void *pd, uint8_t len)
{
    return rdma_reject(cid, pd, len);
}

EXPORT int rdma_disconnect(struct rdma_cm_id *cid)
{
    struct sv_id *id = TO_ID(cid);
    struct sv_conn *c;
    bool wait = false;

    pthread_mutex_lock(&sv_cm_lock);
    c = id->conn;
    if (!c || id->state < S_ACCEPT) {
        pthread_mutex_unlock(&sv_cm_lock);
        return sv_fail(EINVAL);
    }
    if (c->lqpn)
        sv_flush_qpn(c->lqpn);
    if (id->state == S_CONN || id->state == S_ACCEPT || id->state == S_REPRCVD) {
        id->state = S_DREQ_SENT;
        c->deadline = sv_now() + 2000000000ull;
        if (c->fd >= 0)
            sv_msg_simple(c->fd, M_DREQ);
        sv_kick();
        wait = true;
    } else if (id->state == S_DREQ_RCVD) {
        if (c->fd >= 0)
            sv_msg_simple(c->fd, M_DREP);
        sv_timewait(c);
        wait = true;
    }
    pthread_mutex_unlock(&sv_cm_lock);
    return wait ? sv_sync_wait(id) : 0;
}
