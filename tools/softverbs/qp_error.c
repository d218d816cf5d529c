/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A queue pair that fails, and the flush of its queues. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/cq.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/peer.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"
#include "tools/softverbs/rq.h"
#include "tools/softverbs/send.h"

/* The responder's QP fails; its owner flushes it. rlock held. */
void sv_fail_peer(struct sv_qp *qp, int event)
{
    struct sv_shqp *p = qp->psh;

    atomic_store(&p->state, IBV_QPS_ERR);
    if (event >= 0)
        atomic_store(&p->async, event + 1);
    sv_mark(qp->peer->a, qp->peer->kickfd, p->qpn & (SV_MAX_QP - 1), SV_DIRTY_ERR);
}

/* What waits, flushed; then what was posted to the receive queue. */
void sv_flush_sq(struct sv_qp *qp)
{
    atomic_store(&qp->deadline, 0);
    qp->forced_rnr = qp->forced_done = false;
    for (; qp->phead != qp->ptail; qp->phead++) {
        struct sv_pend *d =
            (struct sv_pend *)(qp->pend + qp->phead % qp->cap.max_send_wr * qp->pstride);

        sv_complete(qp, &d->wr, d->seq, IBV_WC_WR_FLUSH_ERR, 0);
    }
}

/* A peer was killed in the middle of a SEND: the receive it had taken is flushed,
 * unless its completion is there.  rlock held. */
static void recover(struct sv_qp *qp)
{
    struct sv_shqp *sh = qp->sh;
    struct sv_srq *s = (struct sv_srq *)qp->x.qp_base.srq;
    struct sv_shrq *rq = s ? &s->sh->rq : &sh->rq;
    struct sv_cq *cq = (struct sv_cq *)qp->x.qp_base.recv_cq;
    uint64_t seq = atomic_exchange(&sh->infl, 0);
    struct sv_rwqe *w = at(g.a, rq->slot_off + (uint64_t)sh->infl_slot * rq->stride);
    struct sv_cqe e = {
        .qpidx = qp->idx,
        .gen = qp->gen,
        .status = IBV_WC_WR_FLUSH_ERR,
        .opcode = IBV_WC_RECV,
        .kind = SV_CQE_RECV,
        .slot = sh->infl_slot,
        .srq = s ? (int32_t)s->idx : -1,
    };
    bool done;

    /* not taken yet; prod orders what this process posted, cons only what the dead one took */
    if (atomic_load(&rq->cons) < seq || atomic_load(&rq->prod) < seq)
        return;
    pthread_mutex_lock(&cq->clock);
    done = qp->recv_seen >= seq;
    for (uint64_t i = cq->sh->cons; i != cq->sh->prod && !done; i++) {
        struct sv_cqe *c = (struct sv_cqe *)at(g.a, cq->sh->ring_off) + (i & cq->sh->mask);

        done = c->qpidx == qp->idx && c->gen == qp->gen && c->rseq == seq;
    }
    pthread_mutex_unlock(&cq->clock);
    if (done)
        return;
    e.wr_id = w->wr_id;
    sv_cq_push(g.a, g.kickfd, cq->idx, &e, false, sv_own_chan(&cq->cq));
}

void sv_flush_rq(struct sv_qp *qp)
{
    struct sv_shqp *sh = qp->sh;
    struct sv_cq *cq = (struct sv_cq *)qp->x.qp_base.recv_cq;
    bool last = false;
    int slot;

    sh_lock(&sh->rlock);
    if (unlikely(atomic_load(&sh->infl)))
        recover(qp);
    if (!qp->x.qp_base.srq) {
        while ((slot = sv_rq_pop(g.a, &sh->rq, NULL, NULL)) >= 0) {
            struct sv_rwqe *w = at(g.a, sh->rq.slot_off + (uint64_t)slot * sh->rq.stride);
            struct sv_cqe e = {
                .wr_id = w->wr_id,
                .qpidx = qp->idx,
                .gen = qp->gen,
                .status = IBV_WC_WR_FLUSH_ERR,
                .opcode = IBV_WC_RECV,
                .kind = SV_CQE_RECV,
                .slot = slot,
                .srq = -1,
            };

            sv_cq_push(g.a, g.kickfd, cq->idx, &e, false, sv_own_chan(&cq->cq));
        }
    } else if (!qp->last_wqe) {
        last = qp->last_wqe = true;
    }
    sh_unlock(&sh->rlock);
    if (last)
        sv_async_event(qp->x.qp_base.context, IBV_EVENT_QP_LAST_WQE_REACHED, qp,
                       &qp->async_delivered);
    sv_wake_peer(qp);
}

void sv_enter_error(struct sv_qp *qp)
{
    sh_lock(&qp->sh->rlock);
    atomic_store(&qp->sh->state, IBV_QPS_ERR);
    qp->x.qp_base.state = IBV_QPS_ERR;
    sh_unlock(&qp->sh->rlock);
    sv_flush_sq(qp);
    sv_flush_rq(qp);
}

void sv_qp_flush(struct sv_qp *qp)
{
    pthread_mutex_lock(&qp->sqlock);
    sv_enter_error(qp);
    pthread_mutex_unlock(&qp->sqlock);
}

void sv_qp_error(struct sv_qp *qp, int event)
{
    sv_qp_flush(qp);
    if (event >= 0)
        sv_async_event(qp->x.qp_base.context, event, qp, &qp->async_delivered);
}
