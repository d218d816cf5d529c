/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A message meets a posted receive. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cq.h"
#include "tools/softverbs/mr.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/peer.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/rq.h"
#include "tools/softverbs/send.h"

static int64_t bounce_alloc(struct sv_shqp *p, uint32_t len)
{
    uint64_t prod = atomic_load_explicit(&p->bnc_prod, memory_order_relaxed);
    uint32_t room = SV_BOUNCE_RING - (prod & (SV_BOUNCE_RING - 1));
    uint32_t need = (len + 63) & ~63u;

    if (room < need)
        prod += room;
    if (prod + need - atomic_load(&p->bnc_cons) > SV_BOUNCE_RING)
        return -1;
    atomic_store_explicit(&p->bnc_prod, prod + need, memory_order_relaxed);
    return prod;
}

/* The oldest posted receive, or -1; then the owner knows that we wait for one. */
static int take_receive(struct sv_qp *qp, struct sv_shrq *rq, bool shared)
{
    struct sv_shqp *p = qp->psh;
    struct sv_arena *a = qp->peer->a;
    bool limit = false;
    int slot;

    slot = sv_rq_pop(a, rq, p, shared ? &limit : NULL);
    if (slot < 0) {
        atomic_store(&p->waiter, 1);
        if (shared)
            atomic_store(&rq->waiter, 1);
        slot = sv_rq_pop(a, rq, p, shared ? &limit : NULL);
        if (slot < 0)
            return -1;
        atomic_store(&p->waiter, 0);
    }
    if (unlikely(limit)) {
        uint64_t one = 1;

        atomic_fetch_or(&a->srq_dirty[p->srq / 64], 1ull << (p->srq % 64));
        (void)!write(qp->peer->kickfd, &one, 8);
    }
    return slot;
}

static void describe(struct sv_cqe *e, const struct ibv_send_wr *wr)
{
    e->opcode = IBV_WC_RECV;
    switch (wr->opcode) {
    case IBV_WR_RDMA_WRITE_WITH_IMM:
        e->opcode = IBV_WC_RECV_RDMA_WITH_IMM;
        /* fall through */
    case IBV_WR_SEND_WITH_IMM:
        e->wc_flags = IBV_WC_WITH_IMM;
        e->imm = wr->imm_data;
        break;
    case IBV_WR_SEND_WITH_INV:
        e->wc_flags = IBV_WC_WITH_INV;
        e->imm = wr->invalidate_rkey;
        break;
    default:
        break;
    }
}

/* The memory of a receive, as far as a message of len bytes reaches. Regions in held are kept
 * from being released; false: the receive may not be written. */
static bool scatter(struct sv_qp *qp, const struct sv_rwqe *w, uint64_t len, struct sv_op *to,
                    struct sv_mr **held)
{
    to->n = 0;
    for (uint32_t i = 0; i < w->num_sge && len; i++) {
        const struct ibv_sge *s = &w->sge[i];
        uint64_t n = s->length < len ? s->length : len;
        struct sv_mr *m;

        if (!n)
            continue;
        m = sv_peer_mr(qp, s->addr, n, s->lkey, false, IBV_ACCESS_LOCAL_WRITE);
        if (unlikely(!m))
            return false;
        to->iov[to->n].iov_base = (void *)(uintptr_t)(m->addr + (s->addr - m->iova));
        to->iov[to->n].iov_len = n;
        held[to->n++] = m;
        len -= n;
    }
    return true;
}

static void bounce(struct sv_qp *qp, const struct sv_op *o, int64_t pos, struct sv_cqe *e)
{
    char *d = at(qp->peer->a, qp->psh->bnc_off + (pos & (SV_BOUNCE_RING - 1)));

    for (int i = 0; i < o->n; i++) {
        memcpy(d, o->iov[i].iov_base, o->iov[i].iov_len);
        d += o->iov[i].iov_len;
    }
    e->seq = pos;
    e->kind |= SV_CQE_BOUNCE;
}

/* Moves the message; the sender's status, and the receiver's in *e. */
static int put_payload(struct sv_qp *qp, const struct sv_op *o, const struct sv_rwqe *w,
                       struct sv_cqe *e)
{
    struct sv_shqp *p = qp->psh;
    struct sv_mr *held[SV_MAX_SGE];
    struct sv_op to;
    int status = IBV_WC_SUCCESS;
    int64_t pos;

    if (unlikely(o->len > w->total)) {
        sv_diag("QP 0x%x -> 0x%x: a SEND of %lu bytes meets a receive of %u", qp->x.qp_base.qp_num,
                p->qpn, (unsigned long)o->len, w->total);
        e->status = IBV_WC_LOC_LEN_ERR;
        return IBV_WC_REM_INV_REQ_ERR;
    }
    if (unlikely(!scatter(qp, w, o->len, &to, held))) {
        e->status = IBV_WC_LOC_PROT_ERR;
        status = IBV_WC_REM_OP_ERR;
    } else {
        pos = qp->peer->self || o->len > SV_BOUNCE_MAX ? -1 : bounce_alloc(p, o->len);
        if (pos >= 0) {
            bounce(qp, o, pos, e);
        } else {
            int r = sv_xfer(qp, o->iov, o->n, to.iov, to.n, o->len, true);

            atomic_fetch_add_explicit(&g.n_direct, 1, memory_order_relaxed);
            if (unlikely(r)) {
                e->status = IBV_WC_LOC_PROT_ERR;
                status = sv_xfer_status(r, IBV_WC_REM_OP_ERR);
            }
        }
    }
    for (int i = 0; i < to.n; i++)
        atomic_fetch_sub(&held[i]->refs, 1);
    return status;
}

static int invalidate(struct sv_qp *qp, uint32_t rkey, struct sv_cqe *e)
{
    if (!sv_local_inv(qp->peer->a, rkey, qp->psh->pd, qp->psh->qpn))
        return IBV_WC_SUCCESS;
    sv_diag("QP 0x%x: SEND_WITH_INV of key %#x, which is no bound type 2 window of the peer",
            qp->x.qp_base.qp_num, rkey);
    e->status = IBV_WC_LOC_PROT_ERR;
    e->wc_flags = 0;
    return IBV_WC_REM_ACCESS_ERR;
}

int sv_deliver(struct sv_qp *qp, const struct ibv_send_wr *wr, struct sv_op *o, bool payload,
               uint64_t seq)
{
    struct sv_shqp *p = qp->psh;
    struct sv_arena *a = qp->peer->a;
    bool shared = p->srq >= 0;
    struct sv_shrq *rq = shared ? &a->srq[p->srq].rq : &p->rq;
    int slot = take_receive(qp, rq, shared), status = IBV_WC_SUCCESS;
    struct sv_cqe e = {
        .kind = SV_CQE_RECV,
        .srq = p->srq,
        .slot = slot,
        .qpidx = p->qpn & (SV_MAX_QP - 1),
        .gen = qp->pgen,
        .byte_len = o->len,
        .src_qp = qp->x.qp_base.qp_num,
    };
    struct sv_rwqe *w;

    if (slot < 0)
        return BLOCK_RNR;
    w = at(a, rq->slot_off + (uint64_t)slot * rq->stride);
    e.wr_id = w->wr_id;
    e.rseq = atomic_load_explicit(&p->infl, memory_order_relaxed);
    describe(&e, wr);
    if (payload && o->len)
        status = put_payload(qp, o, w, &e);
    if (unlikely(wr->opcode == IBV_WR_SEND_WITH_INV && !status))
        status = invalidate(qp, wr->invalidate_rkey, &e);

    atomic_fetch_add_explicit(&g.n_send, 1, memory_order_relaxed);
    /* The acknowledgement comes back before the peer's program can react:
     * the sender's completion never follows the peer's answer. */
    if (likely(!status) && (qp->sig_all || (wr->send_flags & IBV_SEND_SIGNALED)))
        sv_complete(qp, wr, seq, IBV_WC_SUCCESS, o->len);
    sv_cq_push(a, qp->peer->kickfd, p->recv_cq, &e, wr->send_flags & IBV_SEND_SOLICITED, qp->pchan);
    atomic_store_explicit(&p->infl, 0, memory_order_release);
    return status ? status : DONE;
}
