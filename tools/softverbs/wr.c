/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ibv_wr_* interface: collect, then post. */
#include "tools/softverbs/objects.h"
#include "tools/softverbs/qp.h"
#include "tools/softverbs/send.h"

static struct sv_qp *xq(struct ibv_qp_ex *x)
{
    return container_of(x, struct sv_qp, x);
}

static struct ibv_send_wr *bnew(struct ibv_qp_ex *x, enum ibv_wr_opcode op)
{
    static __thread struct ibv_send_wr trash;
    struct sv_qp *qp = xq(x);
    struct ibv_send_wr *w;

    if (qp->bn == qp->cap.max_send_wr) {
        qp->berr = ENOMEM;
        return &trash;
    }
    w = &qp->bwr[qp->bn];
    memset(w, 0, sizeof(*w));
    w->wr_id = x->wr_id;
    w->opcode = op;
    w->send_flags = x->wr_flags & ~IBV_SEND_INLINE;
    w->sg_list = &qp->bsge[(size_t)qp->bn * qp->cap.max_send_sge];
    if (qp->bn)
        qp->bwr[qp->bn - 1].next = w;
    qp->bn++;
    return w;
}

static struct ibv_send_wr *bcur(struct ibv_qp_ex *x)
{
    struct sv_qp *qp = xq(x);

    if (!qp->bn) {
        qp->berr = EINVAL;
        return NULL;
    }
    return &qp->bwr[qp->bn - 1];
}

static void b_start(struct ibv_qp_ex *x)
{
    pthread_mutex_lock(&xq(x)->block);
    xq(x)->bn = 0;
    xq(x)->berr = 0;
}

static int b_complete(struct ibv_qp_ex *x)
{
    struct ibv_send_wr *bad;
    struct sv_qp *qp = xq(x);
    int r = qp->berr;

    if (!r && qp->bn)
        r = sv_post_send(&x->qp_base, qp->bwr, &bad);
    pthread_mutex_unlock(&qp->block);
    return r;
}

static void b_abort(struct ibv_qp_ex *x)
{
    pthread_mutex_unlock(&xq(x)->block);
}

static void b_send(struct ibv_qp_ex *x)
{
    bnew(x, IBV_WR_SEND);
}

static void b_send_imm(struct ibv_qp_ex *x, __be32 imm)
{
    bnew(x, IBV_WR_SEND_WITH_IMM)->imm_data = imm;
}

static void b_send_inv(struct ibv_qp_ex *x, uint32_t k)
{
    bnew(x, IBV_WR_SEND_WITH_INV)->invalidate_rkey = k;
}

static void b_local_inv(struct ibv_qp_ex *x, uint32_t k)
{
    bnew(x, IBV_WR_LOCAL_INV)->invalidate_rkey = k;
}

static struct ibv_send_wr *b_rdma(struct ibv_qp_ex *x, enum ibv_wr_opcode op, uint32_t rkey,
                                  uint64_t addr)
{
    struct ibv_send_wr *w = bnew(x, op);

    w->wr.rdma.rkey = rkey;
    w->wr.rdma.remote_addr = addr;
    return w;
}

static void b_read(struct ibv_qp_ex *x, uint32_t k, uint64_t a)
{
    b_rdma(x, IBV_WR_RDMA_READ, k, a);
}

static void b_write(struct ibv_qp_ex *x, uint32_t k, uint64_t a)
{
    b_rdma(x, IBV_WR_RDMA_WRITE, k, a);
}

static void b_write_imm(struct ibv_qp_ex *x, uint32_t k, uint64_t a, __be32 imm)
{
    b_rdma(x, IBV_WR_RDMA_WRITE_WITH_IMM, k, a)->imm_data = imm;
}

static void b_bind(struct ibv_qp_ex *x, struct ibv_mw *mw, uint32_t k,
                   const struct ibv_mw_bind_info *bi)
{
    struct ibv_send_wr *w = bnew(x, IBV_WR_BIND_MW);

    w->bind_mw.mw = mw;
    w->bind_mw.rkey = k;
    w->bind_mw.bind_info = *bi;
}

static void b_sge_list(struct ibv_qp_ex *x, size_t n, const struct ibv_sge *l)
{
    struct ibv_send_wr *w = bcur(x);

    if (!w || n > xq(x)->cap.max_send_sge) {
        xq(x)->berr = EINVAL;
        return;
    }
    memcpy(w->sg_list, l, n * sizeof(*l));
    w->num_sge = n;
}

static void b_sge(struct ibv_qp_ex *x, uint32_t lkey, uint64_t addr, uint32_t len)
{
    struct ibv_sge s = {addr, len, lkey};

    b_sge_list(x, 1, &s);
}

static void b_inline_list(struct ibv_qp_ex *x, size_t n, const struct ibv_data_buf *l)
{
    struct sv_qp *qp = xq(x);
    struct ibv_send_wr *w = bcur(x);
    uint8_t *d;
    size_t len = 0;

    if (!w)
        return;
    d = qp->binl + (size_t)(qp->bn - 1) * qp->cap.max_inline_data;
    for (size_t i = 0; i < n; i++) {
        if (len + l[i].length > qp->cap.max_inline_data) {
            qp->berr = EINVAL;
            return;
        }
        memcpy(d + len, l[i].addr, l[i].length);
        len += l[i].length;
    }
    w->sg_list[0] = (struct ibv_sge){(uintptr_t)d, len, 0};
    w->num_sge = 1;
    w->send_flags |= IBV_SEND_INLINE;
}

static void b_inline(struct ibv_qp_ex *x, void *addr, size_t len)
{
    struct ibv_data_buf b = {addr, len};

    b_inline_list(x, 1, &b);
}

void sv_qp_ex_init(struct sv_qp *qp)
{
    struct ibv_qp_ex *x = &qp->x;

    x->wr_bind_mw = b_bind;
    x->wr_local_inv = b_local_inv;
    x->wr_rdma_read = b_read;
    x->wr_rdma_write = b_write;
    x->wr_rdma_write_imm = b_write_imm;
    x->wr_send = b_send;
    x->wr_send_imm = b_send_imm;
    x->wr_send_inv = b_send_inv;
    x->wr_set_inline_data = b_inline;
    x->wr_set_inline_data_list = b_inline_list;
    x->wr_set_sge = b_sge;
    x->wr_set_sge_list = b_sge_list;
    x->wr_start = b_start;
    x->wr_complete = b_complete;
    x->wr_abort = b_abort;
}
