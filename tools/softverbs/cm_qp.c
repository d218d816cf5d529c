/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue pair and the shared receive queue of an identifier. */
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"

static int qp_to(struct sv_id *id, enum ibv_qp_state st)
{
    struct ibv_qp_attr a;
    int mask, r;

    memset(&a, 0, sizeof(a));
    a.qp_state = st;
    r = rdma_init_qp_attr(&id->id, &a, &mask);
    if (!r) {
        r = sv_modify_qp(to_qp(id->id.qp), &a, mask);
        if (r)
            r = sv_fail(r);
    }
    return r;
}

EXPORT int rdma_init_qp_attr(struct rdma_cm_id *cid, struct ibv_qp_attr *a, int *mask)
{
    struct sv_id *id = TO_ID(cid);
    struct sv_conn *c = id->conn;

    switch (a->qp_state) {
    case IBV_QPS_INIT:
        *mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
        a->pkey_index = 0;
        a->port_num = 1;
        a->qp_access_flags = 0;
        if (c)
            a->qp_access_flags =
                IBV_ACCESS_REMOTE_WRITE |
                (id->resp_res ? IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC : 0);
        return 0;
    case IBV_QPS_RTR:
        if (!c)
            return sv_fail(EINVAL);
        *mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
        memset(&a->ah_attr, 0, sizeof(a->ah_attr));
        a->ah_attr.port_num = 1;
        a->ah_attr.is_global = 1;
        a->path_mtu = IBV_MTU_4096;
        a->dest_qp_num = c->rqpn;
        a->rq_psn = 0;
        a->max_dest_rd_atomic = id->resp_res;
        a->min_rnr_timer = 0;
        return 0;
    case IBV_QPS_RTS:
        if (!c)
            return sv_fail(EINVAL);
        *mask = IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC;
        a->timeout = 18;
        a->retry_cnt = id->retry;
        a->rnr_retry = c->m.rnr;
        a->sq_psn = 0;
        a->max_rd_atomic = id->init_depth;
        return 0;
    case IBV_QPS_ERR:
        *mask = IBV_QP_STATE;
        return 0;
    default:
        return sv_fail(EINVAL);
    }
}

/* The library, not the user, brings the QP of an id up. */
int sv_qp_up(struct sv_id *id)
{
    if (qp_to(id, IBV_QPS_INIT) || qp_to(id, IBV_QPS_RTR) || qp_to(id, IBV_QPS_RTS))
        return -1;
    return 0;
}

static int make_cq(struct rdma_cm_id *cid, uint32_t n, struct ibv_comp_channel **ch,
                   struct ibv_cq **cq)
{
    *ch = ibv_create_comp_channel(cid->verbs);
    if (!*ch)
        return -1;
    *cq = ibv_create_cq(cid->verbs, n ? n : 1, cid, *ch, 0);
    return *cq ? 0 : -1;
}

static void drop_cqs(struct rdma_cm_id *cid)
{
    if (cid->recv_cq) {
        ibv_destroy_cq(cid->recv_cq);
        ibv_destroy_comp_channel(cid->recv_cq_channel);
    }
    if (cid->send_cq) {
        ibv_destroy_cq(cid->send_cq);
        ibv_destroy_comp_channel(cid->send_cq_channel);
    }
    cid->recv_cq = cid->send_cq = NULL;
    cid->recv_cq_channel = cid->send_cq_channel = NULL;
}

EXPORT int rdma_create_qp_ex(struct rdma_cm_id *cid, struct ibv_qp_init_attr_ex *a)
{
    struct sv_id *id = TO_ID(cid);
    struct ibv_qp *qp;

    if (cid->qp)
        return sv_fail(EINVAL);
    if (!cid->verbs) {
        sv_diag("rdma_create_qp on an id without a device");
        return sv_fail(EINVAL);
    }
    if (!(a->comp_mask & IBV_QP_INIT_ATTR_PD) || !a->pd) {
        a->comp_mask |= IBV_QP_INIT_ATTR_PD;
        a->pd = cid->pd;
    } else if (a->pd->context != cid->verbs) {
        sv_diag("rdma_create_qp: the PD is of another context than the id");
        return sv_fail(EINVAL);
    }
    if (!a->recv_cq) {
        if (make_cq(cid, a->cap.max_recv_wr, &cid->recv_cq_channel, &cid->recv_cq))
            goto err;
        a->recv_cq = cid->recv_cq;
    }
    if (!a->send_cq) {
        if (make_cq(cid, a->cap.max_send_wr, &cid->send_cq_channel, &cid->send_cq))
            goto err;
        a->send_cq = cid->send_cq;
    }
    if (a->comp_mask == IBV_QP_INIT_ATTR_PD)
        qp = ibv_create_qp(a->pd, (struct ibv_qp_init_attr *)a);
    else
        qp = ibv_create_qp_ex(cid->verbs, a);
    if (!qp)
        goto err;
    cid->qp = qp;
    cid->pd = a->pd;
    if (qp_to(id, IBV_QPS_INIT)) {
        ibv_destroy_qp(qp);
        cid->qp = NULL;
        goto err;
    }
    return 0;
err:
    drop_cqs(cid);
    return -1;
}

EXPORT int rdma_create_qp(struct rdma_cm_id *cid, struct ibv_pd *pd, struct ibv_qp_init_attr *a)
{
    struct ibv_qp_init_attr_ex x;
    int r;

    memset(&x, 0, sizeof(x));
    memcpy(&x, a, sizeof(*a));
    x.comp_mask = IBV_QP_INIT_ATTR_PD;
    x.pd = pd;
    r = rdma_create_qp_ex(cid, &x);
    if (!r)
        memcpy(a, &x, sizeof(*a));
    return r;
}

EXPORT void rdma_destroy_qp(struct rdma_cm_id *cid)
{
    if (cid->qp)
        ibv_destroy_qp(cid->qp);
    cid->qp = NULL;
    drop_cqs(cid);
}

EXPORT int rdma_create_srq(struct rdma_cm_id *cid, struct ibv_pd *pd, struct ibv_srq_init_attr *a)
{
    if (!cid->verbs || cid->srq)
        return sv_fail(EINVAL);
    cid->srq = ibv_create_srq(pd ? pd : cid->pd, a);
    return cid->srq ? 0 : -1;
}

EXPORT int rdma_create_srq_ex(struct rdma_cm_id *cid, struct ibv_srq_init_attr_ex *a)
{
    if (a->comp_mask & IBV_SRQ_INIT_ATTR_TYPE && a->srq_type != IBV_SRQT_BASIC)
        return sv_fail(EOPNOTSUPP);
    return rdma_create_srq(cid, a->comp_mask & IBV_SRQ_INIT_ATTR_PD ? a->pd : NULL,
                           (struct ibv_srq_init_attr *)a);
}

EXPORT void rdma_destroy_srq(struct rdma_cm_id *cid)
{
    if (cid->srq)
        ibv_destroy_srq(cid->srq);
    cid->srq = NULL;
}
