/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The states of a queue pair. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cm.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/peer.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"
#include "tools/softverbs/send.h"

void sv_qp_detach(struct sv_qp *qp)
{
    if (qp->pchan >= 0)
        close(qp->pchan);
    qp->pchan = -1;
    qp->psh = NULL;
    sv_peer_put(qp->peer);
    qp->peer = NULL;
}

int sv_qp_attach(struct sv_qp *qp, uint32_t dest)
{
    struct sv_peer *p = NULL;
    int chan = -1, r;

    r = sv_find_remote(dest, &p, &chan);
    if (r) {
        sv_diag("QP 0x%x: no process has the destination QP 0x%x", qp->x.qp_base.qp_num, dest);
        return r;
    }
    qp->peer = p;
    qp->psh = &p->a->qp[dest & (SV_MAX_QP - 1)];
    qp->pgen = atomic_load(&qp->psh->gen);
    qp->pchan = chan;
    return 0;
}

int sv_modify_qp(struct sv_qp *qp, struct ibv_qp_attr *a, int mask)
{
    static const struct {
        int from, to, must;
    } t[] = {
        {IBV_QPS_RESET, IBV_QPS_INIT, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS},
        {IBV_QPS_INIT, IBV_QPS_INIT, 0},
        {IBV_QPS_INIT, IBV_QPS_RTR,
         IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
             IBV_QP_MIN_RNR_TIMER},
        {IBV_QPS_RTR, IBV_QPS_RTS,
         IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
             IBV_QP_MAX_QP_RD_ATOMIC},
        {IBV_QPS_RTS, IBV_QPS_RTS, 0},
        {IBV_QPS_RTS, IBV_QPS_SQD, 0},
        {IBV_QPS_SQD, IBV_QPS_RTS, 0},
        {IBV_QPS_SQD, IBV_QPS_SQD, 0},
    };
    struct sv_shqp *sh = qp->sh;
    int from = atomic_load(&sh->state), to = mask & IBV_QP_STATE ? (int)a->qp_state : from;
    size_t i, n = sizeof(t) / sizeof(*t);
    int r = 0;

    if (mask & IBV_QP_CUR_STATE && (int)a->cur_qp_state != from)
        return EINVAL;
    if (to != IBV_QPS_ERR && to != IBV_QPS_RESET) {
        for (i = 0; i < n; i++)
            if (t[i].from == from && t[i].to == to)
                break;
        if (i == n || (mask & t[i].must) != t[i].must) {
            sv_diag("QP 0x%x: ibv_modify_qp from state %d to %d, %s %#x", qp->x.qp_base.qp_num,
                    from, to, i == n ? "not possible, mask" : "attributes missing:",
                    i == n ? mask : t[i].must & ~mask);
            return EINVAL;
        }
    }
    if ((mask & IBV_QP_PORT && a->port_num != 1) || (mask & IBV_QP_PKEY_INDEX && a->pkey_index) ||
        (mask & IBV_QP_MAX_QP_RD_ATOMIC && a->max_rd_atomic > SV_MAX_RD) ||
        (mask & IBV_QP_MAX_DEST_RD_ATOMIC && a->max_dest_rd_atomic > SV_MAX_RD) ||
        (mask & IBV_QP_RNR_RETRY && a->rnr_retry > 7) ||
        (mask & IBV_QP_RETRY_CNT && a->retry_cnt > 7) ||
        (mask & IBV_QP_MIN_RNR_TIMER && a->min_rnr_timer > 31)) {
        sv_diag("QP 0x%x: ibv_modify_qp: an attribute is out of range", qp->x.qp_base.qp_num);
        return EINVAL;
    }
    if (to == IBV_QPS_ERR) {
        sv_qp_flush(qp);
        return 0;
    }
    if (from != IBV_QPS_RTR && to == IBV_QPS_RTR) {
        r = sv_qp_attach(qp, a->dest_qp_num);
        if (r)
            return r;
    }
    pthread_mutex_lock(&qp->sqlock);
    sh_lock(&sh->rlock);
#define SET(bit, field)                \
    do {                               \
        if (mask & (bit))              \
            qp->attr.field = a->field; \
    } while (0)
    SET(IBV_QP_PKEY_INDEX, pkey_index);
    SET(IBV_QP_PORT, port_num);
    SET(IBV_QP_ACCESS_FLAGS, qp_access_flags);
    SET(IBV_QP_QKEY, qkey);
    SET(IBV_QP_AV, ah_attr);
    SET(IBV_QP_PATH_MTU, path_mtu);
    SET(IBV_QP_TIMEOUT, timeout);
    SET(IBV_QP_RETRY_CNT, retry_cnt);
    SET(IBV_QP_RNR_RETRY, rnr_retry);
    SET(IBV_QP_RQ_PSN, rq_psn);
    SET(IBV_QP_SQ_PSN, sq_psn);
    SET(IBV_QP_MAX_QP_RD_ATOMIC, max_rd_atomic);
    SET(IBV_QP_MAX_DEST_RD_ATOMIC, max_dest_rd_atomic);
    SET(IBV_QP_MIN_RNR_TIMER, min_rnr_timer);
    SET(IBV_QP_DEST_QPN, dest_qp_num);
    atomic_store(&sh->access, qp->attr.qp_access_flags);
    sh->max_dest_rd = qp->attr.max_dest_rd_atomic;
    sh->rnr_timer = qp->attr.min_rnr_timer;
    if (to == IBV_QPS_RTR && from != to) {
        sh->dest_qpn = a->dest_qp_num;
        sh->dest_uuid = qp->peer->a->uuid;
    }
    if (to == IBV_QPS_RESET) {
        qp->phead = qp->ptail;
        qp->deadline = 0;
        qp->sq_head = qp->sq_tail = 0;
        qp->last_wqe = false;
        sh->dest_qpn = 0;
        sh->rq.prod = sh->rq.cons = 0;
        sh->bnc_prod = sh->bnc_cons = 0;
        sh->infl = 0;
        qp->recv_seen = 0;
        pthread_mutex_lock(&qp->rql.lock);
        for (qp->rql.nfree = 0; qp->rql.nfree < qp->cap.max_recv_wr; qp->rql.nfree++)
            qp->rql.free[qp->rql.nfree] = qp->rql.nfree;
        pthread_mutex_unlock(&qp->rql.lock);
        /* completions of the past are void */
        qp->gen = sv_generation();
        atomic_store(&sh->gen, qp->gen);
    }
    atomic_store(&sh->state, to);
    qp->x.qp_base.state = to;
    sh_unlock(&sh->rlock);
    if (to == IBV_QPS_RTS && from == IBV_QPS_SQD)
        sv_run_sq(qp);
    pthread_mutex_unlock(&qp->sqlock);
    sv_wake_peer(qp);
    if (to == IBV_QPS_RESET)
        sv_qp_detach(qp);
    if (to == IBV_QPS_SQD && a->en_sqd_async_notify)
        sv_async_event(qp->x.qp_base.context, IBV_EVENT_SQ_DRAINED, qp, &qp->async_delivered);
    return 0;
}

EXPORT int ibv_modify_qp(struct ibv_qp *q, struct ibv_qp_attr *a, int mask)
{
    int r = sv_modify_qp(to_qp(q), a, mask);

    if (r)
        errno = r;
    return r;
}
