/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The extended poll of a completion queue, one entry at a time. */
#include "tools/softverbs/cq.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"

/* the extended poll: one entry at a time */
static struct sv_cq *xc(struct ibv_cq_ex *x)
{
    return container_of(x, struct sv_cq, cqx);
}

static int x_next(struct ibv_cq_ex *x)
{
    struct sv_cq *cq = xc(x);
    int r = sv_poll_cq(&cq->cq, 1, &cq->cur);

    if (r <= 0)
        return r ? -r : ENOENT;
    x->status = cq->cur.status;
    x->wr_id = cq->cur.wr_id;
    return 0;
}

static int x_start(struct ibv_cq_ex *x, struct ibv_poll_cq_attr *a)
{
    return a && a->comp_mask ? EINVAL : x_next(x);
}

static void x_end(struct ibv_cq_ex *x)
{
    (void)x;
}

static enum ibv_wc_opcode x_opcode(struct ibv_cq_ex *x)
{
    return xc(x)->cur.opcode;
}

static uint32_t x_vendor(struct ibv_cq_ex *x)
{
    return xc(x)->cur.vendor_err;
}

static uint32_t x_len(struct ibv_cq_ex *x)
{
    return xc(x)->cur.byte_len;
}

static __be32 x_imm(struct ibv_cq_ex *x)
{
    return xc(x)->cur.imm_data;
}

static uint32_t x_qpn(struct ibv_cq_ex *x)
{
    return xc(x)->cur.qp_num;
}

static uint32_t x_src(struct ibv_cq_ex *x)
{
    return xc(x)->cur.src_qp;
}

static unsigned int x_flags(struct ibv_cq_ex *x)
{
    return xc(x)->cur.wc_flags;
}

static uint32_t x_slid(struct ibv_cq_ex *x)
{
    (void)x;
    return 0;
}

static uint8_t x_sl(struct ibv_cq_ex *x)
{
    (void)x;
    return 0;
}

static uint64_t x_ts(struct ibv_cq_ex *x)
{
    (void)x;
    return sv_now();
}

static uint64_t x_wall(struct ibv_cq_ex *x)
{
    struct timespec t;

    (void)x;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void sv_cq_ex_ops(struct sv_cq *cq)
{
    struct ibv_cq_ex *x = &cq->cqx;

    x->start_poll = x_start;
    x->next_poll = x_next;
    x->end_poll = x_end;
    x->read_opcode = x_opcode;
    x->read_vendor_err = x_vendor;
    x->read_byte_len = x_len;
    x->read_imm_data = x_imm;
    x->read_qp_num = x_qpn;
    x->read_src_qp = x_src;
    x->read_wc_flags = x_flags;
    x->read_slid = x_slid;
    x->read_sl = x_sl;
    x->read_dlid_path_bits = x_sl;
    x->read_completion_ts = x_ts;
    x->read_completion_wallclock_ns = x_wall;
}
