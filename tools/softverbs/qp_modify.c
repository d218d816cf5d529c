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
    struct sv_peer *p;

    /* the CM thread, too, looks at the peer; under this lock */
    pthread_mutex_lock(&qp->sqlock);
    if (qp->pchan >= 0)
        close(qp->pchan);
    qp->pchan = -1;
    qp->psh = NULL;
    p = qp->peer;
    qp->peer = NULL;
    pthread_mutex_unlock(&qp->sqlock);
    sv_peer_put(p);
}

static int attach(struct sv_qp *qp, uint32_t dest)
{
    struct sv_peer *p = NULL;
    int chan = -1, r;

    r = sv_find_remote(dest, &p, &chan);
    if (r) {
        sv_diag("QP 0x%x: no process has the destination QP 0x%x", qp->x.qp_base.qp_num, dest);
        return r;
    }
    pthread_mutex_lock(&qp->sqlock);
    qp->peer = p;
    qp->psh = &p->a->qp[dest & (SV_MAX_QP - 1)];
    qp->pgen = atomic_load(&qp->psh->gen);
    qp->pchan = chan;
    pthread_mutex_unlock(&qp->sqlock);
    return 0;
}

static int check_transition(struct sv_qp *qp, int from, int to, int mask)
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
    size_t i, n = sizeof(t) / sizeof(*t);

    if (to == IBV_QPS_ERR || to == IBV_QPS_RESET)
        return 0;
    for (i = 0; i < n; i++)
        if (t[i].from == from && t[i].to == to)
            break;
    if (i < n && (mask & t[i].must) == t[i].must)
        return 0;
    sv_diag(
        "QP 0x%x: ibv_modify_qp from state %d to %d, %s %#x", qp->x.qp_base.qp_num, from, to,
        i == n ? "not possible, mask" : "attributes missing:", i == n ? mask : t[i].must & ~mask);
    return EINVAL;
}

static int check_ranges(struct sv_qp *qp, const struct ibv_qp_attr *a, int mask)
{
    if ((mask & IBV_QP_PORT && a->port_num != 1) || (mask & IBV_QP_PKEY_INDEX && a->pkey_index) ||
        (mask & IBV_QP_MAX_QP_RD_ATOMIC && a->max_rd_atomic > SV_MAX_RD) ||
        (mask & IBV_QP_MAX_DEST_RD_ATOMIC && a->max_dest_rd_atomic > SV_MAX_RD) ||
        (mask & IBV_QP_RNR_RETRY && a->rnr_retry > 7) ||
        (mask & IBV_QP_RETRY_CNT && a->retry_cnt > 7) ||
        (mask & IBV_QP_MIN_RNR_TIMER && a->min_rnr_timer > 31)) {
        sv_diag("QP 0x%x: ibv_modify_qp: an attribute is out of range", qp->x.qp_base.qp_num);
        return EINVAL;
    }
    return 0;
}

/* The peer's rlock and ours are the same: nobody reads these meanwhile. */
static void set_attr(struct sv_qp *qp, const struct ibv_qp_attr *a, int mask)
{
    struct sv_shqp *sh = qp->sh;

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
#undef SET
    atomic_store(&sh->access, qp->attr.qp_access_flags);
    sh->max_dest_rd = qp->attr.max_dest_rd_atomic;
    sh->rnr_timer = qp->attr.min_rnr_timer;
}

static void reset(struct sv_qp *qp)
{
    struct sv_shqp *sh = qp->sh;

    qp->phead = qp->ptail;
    qp->deadline = 0;
    qp->sq_head = 0;
    qp->sq_tail = 0;
    qp->last_wqe = false;
    qp->recv_seen = 0;
    sh->dest_qpn = 0;
    sh->rq.prod = sh->rq.cons = 0;
    sh->bnc_prod = sh->bnc_cons = 0;
    sh->infl = 0;
    pthread_mutex_lock(&qp->rql.lock);
    for (qp->rql.nfree = 0; qp->rql.nfree < qp->cap.max_recv_wr; qp->rql.nfree++)
        qp->rql.free[qp->rql.nfree] = qp->rql.nfree;
    pthread_mutex_unlock(&qp->rql.lock);
    /* completions of the past are void */
    qp->gen = sv_generation();
    atomic_store(&sh->gen, qp->gen);
}

static void enter(struct sv_qp *qp, const struct ibv_qp_attr *a, int mask, int from, int to)
{
    struct sv_shqp *sh = qp->sh;

    pthread_mutex_lock(&qp->sqlock);
    sh_lock(&sh->rlock);
    set_attr(qp, a, mask);
    if (to == IBV_QPS_RTR && from != to) {
        sh->dest_qpn = a->dest_qp_num;
        sh->dest_uuid = qp->peer->a->uuid;
    }
    if (to == IBV_QPS_RESET)
        reset(qp);
    atomic_store(&sh->state, to);
    qp->x.qp_base.state = to;
    sh_unlock(&sh->rlock);
    if (to == IBV_QPS_RTS && from == IBV_QPS_SQD)
        sv_run_sq(qp);
    sv_wake_peer(qp);
    pthread_mutex_unlock(&qp->sqlock);
}

int sv_modify_qp(struct sv_qp *qp, struct ibv_qp_attr *a, int mask)
{
    int from = atomic_load(&qp->sh->state), to = mask & IBV_QP_STATE ? (int)a->qp_state : from;
    int r;

    if (mask & IBV_QP_CUR_STATE && (int)a->cur_qp_state != from)
        return EINVAL;
    if (check_transition(qp, from, to, mask) || check_ranges(qp, a, mask))
        return EINVAL;
    if (to == IBV_QPS_ERR) {
        sv_qp_flush(qp);
        return 0;
    }
    if (from != IBV_QPS_RTR && to == IBV_QPS_RTR) {
        r = attach(qp, a->dest_qp_num);
        if (r)
            return r;
    }
    enter(qp, a, mask, from, to);
    if (to == IBV_QPS_RESET)
        sv_qp_detach(qp);
    if (to == IBV_QPS_SQD && mask & IBV_QP_EN_SQD_ASYNC_NOTIFY && a->en_sqd_async_notify)
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
