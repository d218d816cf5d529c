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

/* Hand a message (or the immediate of a write) to a posted receive. */
int sv_deliver(struct sv_qp *qp, const struct ibv_send_wr *wr, struct sv_op *o, bool payload,
               uint64_t seq)
{
    struct sv_shqp *p = qp->psh;
    struct sv_arena *a = qp->peer->a;
    struct sv_shsrq *srq = p->srq >= 0 ? &a->srq[p->srq] : NULL;
    struct sv_shrq *rq = srq ? &srq->rq : &p->rq;
    struct sv_cqe e = {.srq = p->srq, .kind = SV_CQE_RECV};
    struct iovec riov[SV_MAX_SGE];
    struct sv_mr *held[SV_MAX_SGE];
    struct sv_rwqe *w;
    bool limit = false;
    int slot, nr = 0, status = IBV_WC_SUCCESS, r;
    uint64_t left = o->len;
    int64_t pos;

    slot = sv_rq_pop(a, rq, p, srq ? &limit : NULL);
    if (slot < 0) {
        atomic_store(&p->waiter, 1);
        if (srq)
            atomic_store(&rq->waiter, 1);
        slot = sv_rq_pop(a, rq, p, srq ? &limit : NULL);
        if (slot < 0)
            return BLOCK_RNR;
        atomic_store(&p->waiter, 0);
    }
    if (unlikely(limit)) {
        uint64_t one = 1;

        atomic_fetch_or(&a->srq_dirty[p->srq / 64], 1ull << (p->srq % 64));
        (void)!write(qp->peer->kickfd, &one, 8);
    }
    w = at(a, rq->slot_off + (uint64_t)slot * rq->stride);
    e.wr_id = w->wr_id;
    e.qpidx = p->qpn & (SV_MAX_QP - 1);
    e.gen = qp->pgen;
    e.slot = slot;
    e.rseq = atomic_load_explicit(&p->infl, memory_order_relaxed);
    e.opcode = IBV_WC_RECV;
    e.byte_len = o->len;
    e.src_qp = qp->x.qp_base.qp_num;
    switch (wr->opcode) {
    case IBV_WR_RDMA_WRITE_WITH_IMM:
        e.opcode = IBV_WC_RECV_RDMA_WITH_IMM;
        /* fall through */
    case IBV_WR_SEND_WITH_IMM:
        e.wc_flags = IBV_WC_WITH_IMM;
        e.imm = wr->imm_data;
        break;
    case IBV_WR_SEND_WITH_INV:
        e.wc_flags = IBV_WC_WITH_INV;
        e.imm = wr->invalidate_rkey;
        break;
    default:
        break;
    }

    if (payload && o->len) {
        if (unlikely(o->len > w->total)) {
            sv_diag("QP 0x%x -> 0x%x: a SEND of %lu bytes meets a receive of %u",
                    qp->x.qp_base.qp_num, p->qpn, (unsigned long)o->len, w->total);
            e.status = IBV_WC_LOC_LEN_ERR;
            status = IBV_WC_REM_INV_REQ_ERR;
            goto push;
        }
        for (uint32_t i = 0; i < w->num_sge && left; i++) {
            uint64_t n = w->sge[i].length < left ? w->sge[i].length : left;
            struct sv_mr *m;

            if (!n)
                continue;
            m = sv_peer_mr(qp, w->sge[i].addr, n, w->sge[i].lkey, false, IBV_ACCESS_LOCAL_WRITE);
            if (unlikely(!m)) {
                e.status = IBV_WC_LOC_PROT_ERR;
                status = IBV_WC_REM_OP_ERR;
                break;
            }
            riov[nr].iov_base = (void *)(uintptr_t)(m->addr + (w->sge[i].addr - m->iova));
            riov[nr].iov_len = n;
            held[nr++] = m;
            left -= n;
        }
        if (likely(!status)) {
            pos = qp->peer->self || o->len > SV_BOUNCE_MAX ? -1 : bounce_alloc(p, o->len);
            if (pos >= 0) {
                char *d = at(a, p->bnc_off + (pos & (SV_BOUNCE_RING - 1)));

                for (int i = 0; i < o->n; i++) {
                    memcpy(d, o->iov[i].iov_base, o->iov[i].iov_len);
                    d += o->iov[i].iov_len;
                }
                e.seq = pos;
                e.kind |= SV_CQE_BOUNCE;
            } else {
                r = sv_xfer(qp, o->iov, o->n, riov, nr, o->len, true);
                atomic_fetch_add_explicit(&g.n_direct, 1, memory_order_relaxed);
                if (unlikely(r)) {
                    e.status = IBV_WC_LOC_PROT_ERR;
                    status = sv_xfer_status(r, IBV_WC_REM_OP_ERR);
                }
            }
        }
        for (int i = 0; i < nr; i++)
            atomic_fetch_sub(&held[i]->refs, 1);
    }
    if (unlikely(wr->opcode == IBV_WR_SEND_WITH_INV && !status) &&
        sv_local_inv(a, wr->invalidate_rkey, p->pd, p->qpn)) {
        sv_diag("QP 0x%x: SEND_WITH_INV of key %#x, which is no bound type 2 window of the peer",
                qp->x.qp_base.qp_num, wr->invalidate_rkey);
        e.status = IBV_WC_LOC_PROT_ERR;
        e.wc_flags = 0;
        status = IBV_WC_REM_ACCESS_ERR;
    }
push:
    atomic_fetch_add_explicit(&g.n_send, 1, memory_order_relaxed);
    /* The acknowledgement comes back before the peer's program can react:
     * the sender's completion never follows the peer's answer. */
    if (likely(!status) && (qp->sig_all || (wr->send_flags & IBV_SEND_SIGNALED)))
        sv_complete(qp, wr, seq, IBV_WC_SUCCESS, o->len);
    sv_cq_push(a, qp->peer->kickfd, p->recv_cq, &e, wr->send_flags & IBV_SEND_SOLICITED, qp->pchan);
    atomic_store_explicit(&p->infl, 0, memory_order_release);
    return status ? status : DONE;
}
