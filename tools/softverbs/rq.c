/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receive queues: posting on one end, taking on the other. */
#include "tools/softverbs/rq.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/peer.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"

void sv_slot_free(struct sv_rqlocal *l, uint32_t slot)
{
    pthread_mutex_lock(&l->lock);
    l->free[l->nfree++] = slot;
    pthread_mutex_unlock(&l->lock);
}

int sv_rq_init(struct sv_shrq *rq, struct sv_rqlocal *l, uint32_t max_wr, uint32_t max_sge)
{
    uint32_t size = 1;

    while (size < max_wr)
        size <<= 1;
    rq->cap = max_wr;
    rq->mask = size - 1;
    rq->max_sge = max_sge;
    rq->stride = sizeof(struct sv_rwqe) + max_sge * sizeof(struct ibv_sge);
    rq->ring_off = rq->slot_off = 0;
    rq->limit = rq->waiter = 0;
    rq->prod = rq->cons = 0;
    pthread_mutex_init(&l->lock, NULL);
    l->free = NULL;
    l->nfree = 0;
    if (!max_wr)
        return 0;
    l->free = malloc(max_wr * sizeof(*l->free));
    rq->ring_off = sv_alloc(size * sizeof(uint32_t));
    rq->slot_off = sv_alloc((uint64_t)max_wr * rq->stride);
    if (!l->free || !rq->ring_off || !rq->slot_off) {
        sv_rq_fini(rq, l);
        return ENOMEM;
    }
    for (uint32_t i = 0; i < max_wr; i++)
        l->free[l->nfree++] = max_wr - 1 - i;
    return 0;
}

void sv_rq_fini(struct sv_shrq *rq, struct sv_rqlocal *l)
{
    sv_free(rq->ring_off, (rq->mask + 1) * sizeof(uint32_t));
    sv_free(rq->slot_off, (uint64_t)rq->cap * rq->stride);
    rq->ring_off = rq->slot_off = 0;
    rq->cap = 0;
    free(l->free);
    l->free = NULL;
    pthread_mutex_destroy(&l->lock);
}

static int rq_post(struct sv_shrq *rq, struct sv_rqlocal *l, struct ibv_recv_wr *wr, uint32_t qpn)
{
    struct sv_rwqe *w;
    uint64_t prod;
    uint32_t slot, total = 0;

    if (unlikely(wr->num_sge < 0 || (uint32_t)wr->num_sge > rq->max_sge)) {
        sv_diag("QP 0x%x: receive with %d SGEs, queue made for %u", qpn, wr->num_sge, rq->max_sge);
        return EINVAL;
    }
    pthread_mutex_lock(&l->lock);
    if (unlikely(!l->nfree)) {
        pthread_mutex_unlock(&l->lock);
        sv_diag("QP 0x%x: receive queue full (%u)", qpn, rq->cap);
        return ENOMEM;
    }
    slot = l->free[--l->nfree];
    w = at(g.a, rq->slot_off + (uint64_t)slot * rq->stride);
    w->wr_id = wr->wr_id;
    w->num_sge = wr->num_sge;
    for (int i = 0; i < wr->num_sge; i++) {
        w->sge[i] = wr->sg_list[i];
        total += wr->sg_list[i].length;
    }
    w->total = total;
    prod = atomic_load_explicit(&rq->prod, memory_order_relaxed);
    ((uint32_t *)at(g.a, rq->ring_off))[prod & rq->mask] = slot;
    atomic_store(&rq->prod, prod + 1); /* before the waiter is looked at */
    pthread_mutex_unlock(&l->lock);
    return 0;
}

/* For a peer, p notes what is taken: should the peer be killed before it has
 * written the completion, the owner will find it there. */
int sv_rq_pop(struct sv_arena *a, struct sv_shrq *rq, struct sv_shqp *p, bool *limit)
{
    uint64_t cons, prod;
    uint32_t lim;
    int slot = -1;

    if (limit)
        sh_lock(&rq->lock);
    cons = atomic_load_explicit(&rq->cons, memory_order_relaxed);
    prod = atomic_load(&rq->prod);
    if (cons != prod) {
        slot = ((uint32_t *)at(a, rq->ring_off))[cons & rq->mask];
        if (p) {
            p->infl_slot = slot;
            atomic_store_explicit(&p->infl, cons + 1, memory_order_release);
        }
        atomic_store_explicit(&rq->cons, cons + 1, memory_order_release);
    }
    if (limit) {
        lim = atomic_load(&rq->limit);
        if (slot >= 0 && lim && prod - cons - 1 < lim)
            *limit = atomic_exchange(&rq->limit, 0) != 0;
        sh_unlock(&rq->lock);
    }
    return slot;
}

void sv_wake_peer(struct sv_qp *qp)
{
    if (qp->peer && atomic_load(&qp->sh->waiter) && atomic_exchange(&qp->sh->waiter, 0))
        sv_mark(qp->peer->a, qp->peer->kickfd, qp->sh->dest_qpn & (SV_MAX_QP - 1), SV_DIRTY_RESUME);
}

int sv_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
    struct sv_qp *qp = to_qp(ibqp);
    uint32_t state = atomic_load(&qp->sh->state);
    int r = 0;

    if (unlikely(state == IBV_QPS_RESET || ibqp->srq)) {
        sv_diag("QP 0x%x: post_recv %s", ibqp->qp_num,
                ibqp->srq ? "on a QP with an SRQ" : "in RESET");
        *bad = wr;
        return EINVAL;
    }
    sv_count(&g.n_post_recv, 1);
    for (; wr; wr = wr->next) {
        r = rq_post(&qp->sh->rq, &qp->rql, wr, ibqp->qp_num);
        if (r) {
            *bad = wr;
            break;
        }
    }
    if (unlikely(atomic_load(&qp->sh->waiter)))
        sv_wake_peer(qp);
    if (unlikely(atomic_load(&qp->sh->state) == IBV_QPS_ERR))
        sv_flush_rq(qp);
    return r;
}

int sv_post_srq_recv(struct ibv_srq *ibsrq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
    struct sv_srq *s = (struct sv_srq *)ibsrq;
    int r = 0;

    for (; wr; wr = wr->next) {
        r = rq_post(&s->sh->rq, &s->l, wr, 0);
        if (r) {
            *bad = wr;
            break;
        }
    }
    if (unlikely(atomic_load(&s->sh->rq.waiter)) && atomic_exchange(&s->sh->rq.waiter, 0)) {
        pthread_mutex_lock(&g.obj);
        for (uint32_t i = 0; i < SV_MAX_QP; i++) {
            struct sv_qp *qp = atomic_load(&g.qp[i]);

            if (qp && qp->x.qp_base.srq == ibsrq)
                sv_wake_peer(qp);
        }
        pthread_mutex_unlock(&g.obj);
    }
    return r;
}
