/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way out of a completion queue. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cq.h"
#include "tools/softverbs/mr.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/rq.h"

#include <sched.h>

/* The payload of a small SEND waits in the bounce ring until its completion
 * is polled; now it goes to the posted buffer. */
static bool unbounce(struct sv_qp *qp, struct sv_shqp *sh, const struct sv_cqe *e,
                     struct sv_rwqe *w)
{
    const char *src = at(g.a, sh->bnc_off + (e->seq & (SV_BOUNCE_RING - 1)));
    uint32_t left = e->byte_len;
    bool ok = true;

    for (uint32_t i = 0; i < w->num_sge && left; i++) {
        uint32_t n = w->sge[i].length < left ? w->sge[i].length : left;
        struct sv_mr *m = sv_own_mr(w->sge[i].lkey, sh->pd);

        if (!n)
            continue;
        if (unlikely(!m)) {
            sv_diag(
                "QP 0x%x: memory of receive %#lx was deregistered before its completion was polled",
                qp->x.qp_base.qp_num, (unsigned long)w->wr_id);
            ok = false;
            break;
        }
        memcpy((char *)(uintptr_t)(m->addr + (w->sge[i].addr - m->iova)), src, n);
        src += n;
        left -= n;
    }
    atomic_store(&sh->bnc_cons, e->seq + ((e->byte_len + 63) & ~63u));
    return ok;
}

/* The slot of a receive whose QP is gone goes back to its SRQ. */
static void drop_orphan(const struct sv_cqe *e)
{
    struct sv_srq *s = e->srq >= 0 ? atomic_load(&g.srq[e->srq]) : NULL;

    if (s && e->kind & SV_CQE_RECV)
        sv_slot_free(&s->l, e->slot);
}

static void take_receive(struct sv_qp *qp, struct sv_cqe *e)
{
    struct sv_srq *s = (struct sv_srq *)qp->x.qp_base.srq;
    struct sv_shrq *rq = s ? &s->sh->rq : &qp->sh->rq;

    if (e->kind & SV_CQE_BOUNCE) {
        struct sv_rwqe *w = at(g.a, rq->slot_off + (uint64_t)e->slot * rq->stride);

        if (unlikely(!unbounce(qp, qp->sh, e, w)))
            e->status = IBV_WC_LOC_PROT_ERR;
    }
    if (e->rseq)
        qp->recv_seen = e->rseq;
    sv_slot_free(s ? &s->l : &qp->rql, e->slot);
}

static void fill_wc(struct ibv_wc *w, const struct sv_cqe *e, uint32_t qpn)
{
    w->wr_id = e->wr_id;
    w->status = e->status;
    w->opcode = e->opcode;
    w->vendor_err = e->status ? 0x5b : 0;
    w->byte_len = e->byte_len;
    w->imm_data = e->imm;
    w->qp_num = qpn;
    w->src_qp = e->src_qp;
    w->wc_flags = e->wc_flags;
    w->pkey_index = w->slid = w->sl = w->dlid_path_bits = 0;
    if (unlikely(e->status && g.poison)) {
        /* undefined in an error completion: let users trip */
        w->opcode = 0x7e;
        w->byte_len = 0xdeadbeef;
        w->wc_flags = 0;
    }
}

static int poll_empty(struct sv_cq *cq)
{
    uint32_t idle = __atomic_add_fetch(&cq->idle, 1, __ATOMIC_RELAXED);

    sv_count(&g.n_poll_empty, 1);

    /* a busy poller may sit on the core its peer needs */
    if (unlikely(idle % 64 == 0) && g.yield)
        sched_yield();
    return atomic_load_explicit(&cq->sh->broken, memory_order_relaxed) ? -EIO : 0;
}

int sv_poll_cq(struct ibv_cq *ibcq, int num, struct ibv_wc *wc)
{
    struct sv_cq *cq = (struct sv_cq *)ibcq;
    struct sv_shcq *sh = cq->sh;
    uint64_t cons;
    int n = 0;

    sv_count(&g.n_poll, 1);
    if (atomic_load_explicit(&sh->prod, memory_order_acquire) ==
        atomic_load_explicit(&sh->cons, memory_order_relaxed))
        return poll_empty(cq);
    __atomic_store_n(&cq->idle, 0, __ATOMIC_RELAXED);
    pthread_mutex_lock(&cq->clock);
    cons = atomic_load_explicit(&sh->cons, memory_order_relaxed);
    while (n < num && cons != atomic_load_explicit(&sh->prod, memory_order_acquire)) {
        struct sv_cqe e = ((struct sv_cqe *)at(g.a, sh->ring_off))[cons & sh->mask];
        struct sv_qp *qp = atomic_load(&g.qp[e.qpidx]);

        atomic_store(&sh->cons, ++cons);
        if (unlikely(!qp || qp->gen != e.gen)) {
            drop_orphan(&e);
            continue;
        }
        if (e.kind & SV_CQE_RECV)
            take_receive(qp, &e);
        else if (e.seq > atomic_load_explicit(&qp->sq_tail, memory_order_relaxed))
            atomic_store(&qp->sq_tail, e.seq);
        fill_wc(&wc[n++], &e, qp->x.qp_base.qp_num);
    }
    pthread_mutex_unlock(&cq->clock);
    return n;
}
