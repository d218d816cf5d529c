/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Send queues: posting, completing, waiting, retrying. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cq.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"
#include "tools/softverbs/send.h"

static uint32_t wc_opcode(enum ibv_wr_opcode op)
{
    switch (op) {
    case IBV_WR_RDMA_WRITE:
    case IBV_WR_RDMA_WRITE_WITH_IMM:
        return IBV_WC_RDMA_WRITE;
    case IBV_WR_RDMA_READ:
        return IBV_WC_RDMA_READ;
    case IBV_WR_LOCAL_INV:
        return IBV_WC_LOCAL_INV;
    case IBV_WR_BIND_MW:
        return IBV_WC_BIND_MW;
    default:
        return IBV_WC_SEND;
    }
}

void sv_complete(struct sv_qp *qp, const struct ibv_send_wr *wr, uint64_t seq, int status,
                 uint32_t len)
{
    struct sv_cq *cq = (struct sv_cq *)qp->x.qp_base.send_cq;
    struct sv_cqe e = {
        .wr_id = wr->wr_id,
        .seq = seq,
        .qpidx = qp->idx,
        .gen = qp->gen,
        .status = status,
        .opcode = wc_opcode(wr->opcode),
        .byte_len = len,
        .kind = SV_CQE_SEND,
        .srq = -1,
    };

    sv_cq_push(g.a, g.kickfd, cq->idx, &e, false, sv_own_chan(&cq->cq));
}

static uint64_t rnr_ns(uint32_t code)
{
    static const uint32_t us[32] = {
        655360, 10,    20,    30,    40,    60,     80,     120,    160,    240,    320,
        480,    640,   960,   1280,  1920,  2560,   3840,   5120,   7680,   10240,  15360,
        20480,  30720, 40960, 61440, 81920, 122880, 163840, 245760, 327680, 491520,
    };

    return us[code & 31] * 1000ull;
}

static void set_block(struct sv_qp *qp, int why)
{
    uint32_t status = why == BLOCK_RNR ? IBV_WC_RNR_RETRY_EXC_ERR : IBV_WC_RETRY_EXC_ERR;
    uint64_t d = sv_now();

    if (qp->deadline && qp->blocked == status && !qp->forced_rnr)
        return;
    if (qp->forced_rnr)
        d += rnr_ns(qp->attr.min_rnr_timer ? qp->attr.min_rnr_timer : 12);
    else if (why == BLOCK_PEER)
        d += g.retry_ns;
    else if (qp->attr.rnr_retry == 7)
        d = UINT64_MAX;
    else
        d += qp->attr.rnr_retry * rnr_ns(qp->psh->rnr_timer);
    if (why == BLOCK_RNR)
        atomic_fetch_add_explicit(&g.n_rnr, 1, memory_order_relaxed);
    qp->blocked = status;
    atomic_store(&qp->deadline, d);
    sv_kick(); /* the CM thread keeps the time */
}

static int enqueue(struct sv_qp *qp, const struct ibv_send_wr *wr, const void *inl, uint64_t seq)
{
    struct sv_pend *d;

    if (!qp->pend) {
        qp->pstride = sizeof(*d) + ((qp->cap.max_inline_data + 15) & ~15u);
        qp->pend = malloc(qp->pstride * qp->cap.max_send_wr);
        if (!qp->pend)
            return ENOMEM;
    }
    d = (struct sv_pend *)(qp->pend + qp->ptail++ % qp->cap.max_send_wr * qp->pstride);
    d->wr = *wr;
    d->wr.sg_list = d->sge;
    memcpy(d->sge, wr->sg_list, wr->num_sge * sizeof(*d->sge));
    d->seq = seq;
    if (inl) {
        uint32_t n = 0;

        for (int i = 0; i < wr->num_sge; i++)
            n += wr->sg_list[i].length;
        memcpy(d->inl, inl, n);
    }
    return 0;
}

/* A WR has run: complete it if it must be.  True: the QP is still good. */
static bool finish(struct sv_qp *qp, const struct ibv_send_wr *wr, uint64_t seq, int r,
                   uint32_t len)
{
    if (likely(r == DONE))
        return true;
    if (likely(r == IBV_WC_SUCCESS)) {
        if (qp->sig_all || (wr->send_flags & IBV_SEND_SIGNALED))
            sv_complete(qp, wr, seq, r, len);
        return true;
    }
    sv_diag("QP 0x%x: send WR %#lx (opcode %d) fails: %s", qp->x.qp_base.qp_num,
            (unsigned long)wr->wr_id, wr->opcode, ibv_wc_status_str(r));
    sv_complete(qp, wr, seq, r, 0);
    sv_enter_error(qp);
    return false;
}

/* sqlock held */
void sv_run_sq(struct sv_qp *qp)
{
    uint32_t len = 0;
    int r;

    while (qp->phead != qp->ptail && atomic_load(&qp->sh->state) == IBV_QPS_RTS) {
        struct sv_pend *d =
            (struct sv_pend *)(qp->pend + qp->phead % qp->cap.max_send_wr * qp->pstride);

        r = sv_execute(qp, &d->wr, d->wr.send_flags & IBV_SEND_INLINE ? d->inl : NULL, &len,
                       d->seq);
        qp->forced_done = false;
        if (r == BLOCK_RNR || r == BLOCK_PEER) {
            set_block(qp, r);
            return;
        }
        atomic_store(&qp->deadline, 0);
        qp->phead++;
        if (!finish(qp, &d->wr, d->seq, r, len))
            return;
    }
    if (qp->phead == qp->ptail)
        atomic_store(&qp->deadline, 0);
}

/* CM thread: retries that ran out.  Returns the next deadline. */
uint64_t sv_blocked_scan(void)
{
    uint64_t next = UINT64_MAX, now = sv_now();

    pthread_mutex_lock(&g.obj);
    for (uint32_t i = 0; i < SV_MAX_QP; i++) {
        struct sv_qp *qp = atomic_load(&g.qp[i]);
        uint64_t d;

        if (!qp || !(d = atomic_load(&qp->deadline)))
            continue;
        if (d > now) {
            next = d < next ? d : next;
            continue;
        }
        pthread_mutex_lock(&qp->sqlock);
        d = atomic_load(&qp->deadline);
        if (d && d <= now && qp->phead != qp->ptail) {
            struct sv_pend *p =
                (struct sv_pend *)(qp->pend + qp->phead % qp->cap.max_send_wr * qp->pstride);

            if (qp->forced_rnr) {
                qp->forced_rnr = false;
                qp->forced_done = true;
                atomic_store(&qp->deadline, 0);
                sv_run_sq(qp);
            } else {
                sv_run_sq(qp);
                if (atomic_load(&qp->deadline) == d) {
                    qp->phead++;
                    finish(qp, &p->wr, p->seq, qp->blocked, 0);
                }
            }
            d = atomic_load(&qp->deadline);
            if (d && d < next)
                next = d;
        }
        pthread_mutex_unlock(&qp->sqlock);
    }
    pthread_mutex_unlock(&g.obj);
    return next;
}

static int check_wr(struct sv_qp *qp, const struct ibv_send_wr *wr)
{
    uint64_t n = 0;

    if (unlikely(wr->num_sge < 0 || (uint32_t)wr->num_sge > qp->cap.max_send_sge)) {
        sv_diag("QP 0x%x: send WR with %d SGEs, QP made for %u", qp->x.qp_base.qp_num, wr->num_sge,
                qp->cap.max_send_sge);
        return EINVAL;
    }
    switch (wr->opcode) {
    case IBV_WR_RDMA_READ:
    case IBV_WR_LOCAL_INV:
    case IBV_WR_BIND_MW:
        if (wr->send_flags & IBV_SEND_INLINE && wr->opcode == IBV_WR_RDMA_READ) {
            sv_diag("QP 0x%x: inline RDMA READ", qp->x.qp_base.qp_num);
            return EINVAL;
        }
        break;
    case IBV_WR_RDMA_WRITE:
    case IBV_WR_RDMA_WRITE_WITH_IMM:
    case IBV_WR_SEND:
    case IBV_WR_SEND_WITH_IMM:
    case IBV_WR_SEND_WITH_INV:
        break;
    default:
        sv_diag("QP 0x%x: opcode %d is not supported", qp->x.qp_base.qp_num, wr->opcode);
        return EINVAL;
    }
    if (wr->send_flags & IBV_SEND_INLINE) {
        for (int i = 0; i < wr->num_sge; i++)
            n += wr->sg_list[i].length;
        if (unlikely(n > qp->cap.max_inline_data)) {
            sv_diag("QP 0x%x: %lu bytes inline, QP made for %u", qp->x.qp_base.qp_num,
                    (unsigned long)n, qp->cap.max_inline_data);
            return EINVAL;
        }
    }
    return 0;
}

/* Inline data, in one piece: where it lies, or gathered in buf. NULL: none. */
static const void *inline_data(const struct ibv_send_wr *wr, uint8_t *buf)
{
    uint8_t *d = buf;

    if (!(wr->send_flags & IBV_SEND_INLINE) || wr->opcode == IBV_WR_LOCAL_INV ||
        wr->opcode == IBV_WR_BIND_MW)
        return NULL;
    if (wr->num_sge == 1)
        return (void *)(uintptr_t)wr->sg_list[0].addr;
    for (int i = 0; i < wr->num_sge; i++) {
        memcpy(d, (void *)(uintptr_t)wr->sg_list[i].addr, wr->sg_list[i].length);
        d += wr->sg_list[i].length;
    }
    return buf;
}

static int check_room(const struct sv_qp *qp, uint32_t state)
{
    if (unlikely(state < IBV_QPS_RTS)) {
        sv_diag("QP 0x%x: post_send in state %u", qp->x.qp_base.qp_num, state);
        return EINVAL;
    }
    if (unlikely(qp->sq_head - atomic_load_explicit(&qp->sq_tail, memory_order_acquire) >=
                 qp->cap.max_send_wr)) {
        sv_diag("QP 0x%x: send queue full (%u WRs whose completions were not polled)",
                qp->x.qp_base.qp_num, qp->cap.max_send_wr);
        return ENOMEM;
    }
    return 0;
}

static int post_one(struct sv_qp *qp, const struct ibv_send_wr *wr)
{
    uint32_t state = atomic_load(&qp->sh->state), len = 0;
    int r = check_room(qp, state), block = 0;
    uint8_t buf[SV_MAX_INLINE];
    const void *inl;
    uint64_t seq;

    if (likely(!r))
        r = check_wr(qp, wr);
    if (unlikely(r))
        return r;
    seq = ++qp->sq_head;
    if (unlikely(state == IBV_QPS_ERR || state == IBV_QPS_SQE)) {
        sv_flush_sq(qp);
        sv_complete(qp, wr, seq, IBV_WC_WR_FLUSH_ERR, 0);
        return 0;
    }
    inl = inline_data(wr, buf);
    if (likely(qp->phead == qp->ptail && state == IBV_QPS_RTS)) {
        block = sv_execute(qp, wr, inl, &len, seq);
        if (likely(block != BLOCK_RNR && block != BLOCK_PEER)) {
            finish(qp, wr, seq, block, len);
            return 0;
        }
    }
    r = enqueue(qp, wr, inl, seq);
    if (unlikely(r))
        qp->sq_head--;
    else if (block)
        set_block(qp, block);
    return r;
}

int sv_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
    struct sv_qp *qp = to_qp(ibqp);
    uint64_t signalled = 0;
    int r = 0;

    pthread_mutex_lock(&qp->sqlock);
    for (; wr; wr = wr->next) {
        r = post_one(qp, wr);
        if (unlikely(r))
            break;
        signalled += qp->sig_all || wr->send_flags & IBV_SEND_SIGNALED;
    }
    pthread_mutex_unlock(&qp->sqlock);
    sv_count(&g.n_post_send, 1);
    sv_count(&g.n_signalled, signalled);
    if (unlikely(r))
        *bad = wr;
    return r;
}
