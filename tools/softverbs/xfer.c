/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moving bytes between registered memories, after the checks of both adapters. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/mr.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/peer.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/send.h"

int sv_xfer(struct sv_qp *qp, const struct iovec *l, int nl, const struct iovec *r, int nr,
            uint64_t len, bool out)
{
    ssize_t n;

    atomic_fetch_add_explicit(&g.n_bytes, len, memory_order_relaxed);
    if (qp->peer->self) {
        size_t lo = 0, ro = 0;

        while (len) {
            size_t a = l->iov_len - lo, b = r->iov_len - ro, c = a < b ? a : b;
            void *lp = (char *)l->iov_base + lo, *rp = (char *)r->iov_base + ro;

            if (c > len)
                c = len;
            if (out)
                memmove(rp, lp, c);
            else
                memmove(lp, rp, c);
            len -= c;
            if ((lo += c) == l->iov_len)
                l++, lo = 0;
            if ((ro += c) == r->iov_len)
                r++, ro = 0;
        }
        return 0;
    }
    n = out ? process_vm_writev(qp->peer->pid, l, nl, r, nr, 0)
            : process_vm_readv(qp->peer->pid, l, nl, r, nr, 0);
    if (likely(n == (ssize_t)len))
        return 0;
    if (n < 0 && errno == ESRCH)
        return ESRCH;
    if (n < 0 && errno == EPERM) {
        static bool once;

        if (!once)
            fprintf(stderr,
                    "softverbs[%d]: may not access the memory of process %d "
                    "(different user, or ptrace is restricted)\n",
                    (int)getpid(), qp->peer->pid);
        once = true;
    } else {
        sv_diag("QP 0x%x: registered memory is not mapped (any more)", qp->x.qp_base.qp_num);
    }
    return EFAULT;
}

int sv_xfer_status(int e, int fault)
{
    return !e ? IBV_WC_SUCCESS : e == ESRCH ? IBV_WC_RETRY_EXC_ERR : fault;
}

/* What the sink of an RDMA READ must allow: on iWARP the answer is a write from outside. */
static uint32_t sink_access(void)
{
    return IBV_ACCESS_LOCAL_WRITE | (g.iwarp ? IBV_ACCESS_REMOTE_WRITE : 0);
}

int sv_gather(struct sv_qp *qp, const struct ibv_send_wr *wr, bool local_write, struct sv_op *o)
{
    uint32_t need = local_write ? sink_access() : 0;

    o->n = 0;
    o->len = 0;
    for (int i = 0; i < wr->num_sge; i++) {
        const struct ibv_sge *s = &wr->sg_list[i];
        struct sv_mr *m;

        if (!s->length)
            continue;
        m = sv_own_mr(s->lkey, qp->sh->pd);
        if (unlikely(!m || s->addr < m->iova || s->length > m->len ||
                     s->addr - m->iova > m->len - s->length || (m->access & need) != need)) {
            const char *why = "bad lkey or PD";

            if (m)
                why = need & ~m->access & IBV_ACCESS_LOCAL_WRITE    ? "MR lacks LOCAL_WRITE"
                      : need & ~m->access & IBV_ACCESS_REMOTE_WRITE ? "MR lacks REMOTE_WRITE"
                                                                    : "outside its MR";
            sv_diag("QP 0x%x: send WR %#lx, SGE %d (addr %#lx len %u lkey %#x): %s",
                    qp->x.qp_base.qp_num, (unsigned long)wr->wr_id, i, (unsigned long)s->addr,
                    s->length, s->lkey, why);
            return IBV_WC_LOC_PROT_ERR;
        }
        o->iov[o->n].iov_base = (void *)(uintptr_t)(m->addr + (s->addr - m->iova));
        o->iov[o->n++].iov_len = s->length;
        o->len += s->length;
    }
    if (unlikely(o->len > SV_MAX_MSG))
        return IBV_WC_LOC_LEN_ERR;
    return IBV_WC_SUCCESS;
}

struct sv_mr *sv_peer_mr(struct sv_qp *qp, uint64_t addr, uint64_t len, uint32_t key, bool remote,
                         uint32_t need)
{
    struct sv_mr *m = sv_mr_hold(qp->peer->a, key, remote);
    const char *why = NULL;

    if (!m)
        why = "no such key";
    else if (m->pd != qp->psh->pd)
        why = "key of another PD";
    else if ((m->access & need) != need)
        why = "access not granted";
    else if (addr < m->iova || len > m->len || addr - m->iova > m->len - len)
        why = "outside the MR";
    else if (m->kind == SV_KIND_MW2 && m->qpn != qp->psh->qpn)
        why = "window bound to another QP";
    if (likely(!why))
        return m;
    sv_diag("QP 0x%x -> 0x%x: %s key %#x, addr %#lx len %lu: %s", qp->x.qp_base.qp_num,
            qp->psh->qpn, remote ? "remote" : "receive", key, (unsigned long)addr,
            (unsigned long)len, why);
    if (m)
        atomic_fetch_sub(&m->refs, 1);
    return NULL;
}

int sv_rdma(struct sv_qp *qp, const struct ibv_send_wr *wr, struct sv_op *o, bool out)
{
    uint32_t need = out ? IBV_ACCESS_REMOTE_WRITE : IBV_ACCESS_REMOTE_READ;
    struct iovec r;
    struct sv_mr *m;
    int e;

    if (unlikely(!(atomic_load(&qp->psh->access) & need))) {
        sv_diag("QP 0x%x: the peer's QP does not allow RDMA %s", qp->x.qp_base.qp_num,
                out ? "WRITE" : "READ");
        return IBV_WC_REM_ACCESS_ERR;
    }
    if (unlikely(!out && !qp->psh->max_dest_rd)) {
        sv_diag("QP 0x%x: RDMA READ, but the peer has no responder resources",
                qp->x.qp_base.qp_num);
        return IBV_WC_REM_INV_REQ_ERR;
    }
    if (!o->len)
        return IBV_WC_SUCCESS;
    m = sv_peer_mr(qp, wr->wr.rdma.remote_addr, o->len, wr->wr.rdma.rkey, true, need);
    if (unlikely(!m))
        return IBV_WC_REM_ACCESS_ERR;
    r.iov_base = (void *)(uintptr_t)(m->addr + (wr->wr.rdma.remote_addr - m->iova));
    r.iov_len = o->len;
    e = sv_xfer(qp, o->iov, o->n, &r, 1, o->len, out);
    atomic_fetch_sub(&m->refs, 1);
    atomic_fetch_add_explicit(out ? &g.n_write : &g.n_read, 1, memory_order_relaxed);
    return sv_xfer_status(e, IBV_WC_REM_OP_ERR);
}
