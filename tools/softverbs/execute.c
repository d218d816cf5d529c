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

int sv_execute(struct sv_qp *qp, const struct ibv_send_wr *wr, const void *inl, uint32_t *len,
               uint64_t seq)
{
    struct sv_shqp *p = qp->psh;
    struct sv_op o;
    uint32_t st;
    int r, peer_event = -1;
    bool done = false;

    if (unlikely(atomic_load_explicit(&g.f.on, memory_order_relaxed)) && !qp->forced_done) {
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
    }

    if (wr->opcode == IBV_WR_LOCAL_INV) {
        if (!sv_local_inv(g.a, wr->invalidate_rkey, qp->sh->pd, qp->x.qp_base.qp_num))
            return IBV_WC_SUCCESS;
        sv_diag("QP 0x%x: LOCAL_INV of key %#x, which is no bound type 2 window",
                qp->x.qp_base.qp_num, wr->invalidate_rkey);
        return IBV_WC_LOC_QP_OP_ERR;
    }
    if (wr->opcode == IBV_WR_BIND_MW)
        return sv_bind(qp, wr->bind_mw.mw, wr->bind_mw.rkey, &wr->bind_mw.bind_info)
                   ? IBV_WC_MW_BIND_ERR
                   : IBV_WC_SUCCESS;

    if (inl) {
        o.n = 0;
        o.len = 0;
        for (int i = 0; i < wr->num_sge; i++)
            o.len += wr->sg_list[i].length;
        if (o.len) {
            o.iov[o.n].iov_base = (void *)inl;
            o.iov[o.n++].iov_len = o.len;
        }
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
    st = atomic_load(&p->state);
    if (unlikely(atomic_load(&p->gen) != qp->pgen || p->dest_qpn != qp->x.qp_base.qp_num ||
                 p->dest_uuid != g.a->uuid || st < IBV_QPS_RTR || st > IBV_QPS_SQE)) {
        if (st < IBV_QPS_RTR && atomic_load(&p->gen) == qp->pgen)
            atomic_store(&p->waiter, 1);
        sh_unlock(&p->rlock);
        return BLOCK_PEER;
    }
    switch (wr->opcode) {
    case IBV_WR_RDMA_READ:
        r = sv_rdma(qp, wr, &o, false);
        break;
    case IBV_WR_RDMA_WRITE:
        r = sv_rdma(qp, wr, &o, true);
        break;
    case IBV_WR_RDMA_WRITE_WITH_IMM:
        /* look for a receive first: the write is repeated after an RNR */
        r = sv_rdma(qp, wr, &o, true);
        if (!r) {
            r = sv_deliver(qp, wr, &o, false, seq);
            done = true;
        }
        break;
    default:
        r = sv_deliver(qp, wr, &o, true, seq);
        done = true;
        break;
    }
    if (unlikely(r != IBV_WC_SUCCESS && r != DONE && r != BLOCK_RNR && r != IBV_WC_RETRY_EXC_ERR)) {
        if (!done)
            peer_event =
                r == IBV_WC_REM_INV_REQ_ERR ? IBV_EVENT_QP_REQ_ERR : IBV_EVENT_QP_ACCESS_ERR;
        sv_fail_peer(qp, peer_event);
    }
    sh_unlock(&p->rlock);
    return r;
}
