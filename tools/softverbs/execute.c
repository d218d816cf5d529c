/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One work request, from its checks to its effect. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/fault.h"
#include "tools/softverbs/mr.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/peer.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"
#include "tools/softverbs/send.h"

/* A fault that is due: what sv_execute() returns for it; 0: none. */
static int inject(struct sv_qp *qp, const struct ibv_send_wr *wr)
{
    uint64_t c = ++g.f.wrs;

    if (g.f.delay_us) {
        struct timespec t = {g.f.delay_us / 1000000, g.f.delay_us % 1000000 * 1000};

        nanosleep(&t, NULL);
    }
    if (g.f.disconnect_after && c == g.f.disconnect_after) {
        sv_mark(g.a, g.kickfd, qp->idx, SV_DIRTY_BREAK);
        return BLOCK_PEER;
    }
    if (g.f.devgone_after && c == g.f.devgone_after) {
        sv_mark(g.a, g.kickfd, qp->idx, SV_DIRTY_GONE);
        return BLOCK_PEER;
    }
    if (sv_fault_every(&g.f.wc_error_every, c))
        return IBV_WC_RETRY_EXC_ERR;
    if (wr->opcode == IBV_WR_SEND && sv_fault_every(&g.f.rnr_every, ++g.f.sends)) {
        qp->forced_rnr = true;
        return BLOCK_RNR;
    }
    return 0;
}

static int local_inv(struct sv_qp *qp, uint32_t rkey)
{
    if (!sv_local_inv(g.a, rkey, qp->sh->pd, qp->x.qp_base.qp_num))
        return IBV_WC_SUCCESS;
    sv_diag("QP 0x%x: LOCAL_INV of key %#x, which is no bound type 2 window", qp->x.qp_base.qp_num,
            rkey);
    return IBV_WC_LOC_QP_OP_ERR;
}

static void take_inline(const struct ibv_send_wr *wr, const void *inl, struct sv_op *o)
{
    o->n = 0;
    o->len = 0;
    for (int i = 0; i < wr->num_sge; i++)
        o->len += wr->sg_list[i].length;
    if (o->len) {
        o->iov[o->n].iov_base = (void *)inl;
        o->iov[o->n++].iov_len = o->len;
    }
}

/* Is the peer's QP connected to this one? Its rlock is held. */
static bool peer_ready(struct sv_qp *qp)
{
    struct sv_shqp *p = qp->psh;
    uint32_t st = atomic_load(&p->state);

    if (likely(atomic_load(&p->gen) == qp->pgen && p->dest_qpn == qp->x.qp_base.qp_num &&
               p->dest_uuid == g.a->uuid && st >= IBV_QPS_RTR && st <= IBV_QPS_SQE))
        return true;
    if (st < IBV_QPS_RTR && atomic_load(&p->gen) == qp->pgen)
        atomic_store(&p->waiter, 1);
    return false;
}

/* Both adapters' part; the peer's rlock is held. */
static int respond(struct sv_qp *qp, const struct ibv_send_wr *wr, struct sv_op *o, uint64_t seq)
{
    bool delivered = true;
    int r = IBV_WC_SUCCESS, event = -1;

    if (wr->opcode == IBV_WR_RDMA_READ || wr->opcode == IBV_WR_RDMA_WRITE ||
        wr->opcode == IBV_WR_RDMA_WRITE_WITH_IMM) {
        r = sv_rdma(qp, wr, o, wr->opcode != IBV_WR_RDMA_READ);
        delivered = false;
    }
    /* the data of a WRITE_WITH_IMM that meets no receive is written again with the retry */
    if (!r && wr->opcode != IBV_WR_RDMA_READ && wr->opcode != IBV_WR_RDMA_WRITE) {
        r = sv_deliver(qp, wr, o, delivered, seq);
        delivered = true;
    }
    if (likely(r == IBV_WC_SUCCESS || r == DONE || r == BLOCK_RNR || r == IBV_WC_RETRY_EXC_ERR))
        return r;
    if (!delivered)
        event = r == IBV_WC_REM_INV_REQ_ERR ? IBV_EVENT_QP_REQ_ERR : IBV_EVENT_QP_ACCESS_ERR;
    sv_fail_peer(qp, event);
    return r;
}

int sv_execute(struct sv_qp *qp, const struct ibv_send_wr *wr, const void *inl, uint32_t *len,
               uint64_t seq)
{
    struct sv_shqp *p = qp->psh;
    struct sv_op o;
    int r;

    if (unlikely(atomic_load_explicit(&g.f.on, memory_order_relaxed)) && !qp->forced_done) {
        r = inject(qp, wr);
        if (r)
            return r;
    }
    if (wr->opcode == IBV_WR_LOCAL_INV)
        return local_inv(qp, wr->invalidate_rkey);
    if (wr->opcode == IBV_WR_BIND_MW)
        return sv_bind(qp, wr->bind_mw.mw, wr->bind_mw.rkey, &wr->bind_mw.bind_info)
                   ? IBV_WC_MW_BIND_ERR
                   : IBV_WC_SUCCESS;
    if (inl) {
        take_inline(wr, inl, &o);
    } else {
        r = sv_gather(qp, wr, wr->opcode == IBV_WR_RDMA_READ, &o);
        if (unlikely(r))
            return r;
    }
    *len = o.len;
    if (unlikely(wr->opcode == IBV_WR_RDMA_READ && !qp->attr.max_rd_atomic)) {
        sv_diag("QP 0x%x: RDMA READ with an initiator depth of 0", qp->x.qp_base.qp_num);
        return IBV_WC_LOC_QP_OP_ERR;
    }
    if (unlikely(!p || atomic_load_explicit(&qp->peer->dead, memory_order_relaxed)))
        return BLOCK_PEER;
    sh_lock(&p->rlock);
    r = peer_ready(qp) ? respond(qp, wr, &o, seq) : BLOCK_PEER;
    sh_unlock(&p->rlock);
    return r;
}
