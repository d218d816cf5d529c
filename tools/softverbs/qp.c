/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue pairs: their life. */
#include "tools/softverbs/qp.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/rq.h"
#include "tools/softverbs/send.h"

struct ibv_qp *sv_create_qp_ex(struct ibv_context *c, struct ibv_qp_init_attr_ex *a)
{
    const uint64_t ops = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM |
                         IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |
                         IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_LOCAL_INV |
                         IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_SEND_WITH_INV;
    bool ex = a->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
    struct sv_qp *qp;
    struct sv_shqp *sh;
    const char *why = NULL;

    if (a->comp_mask & ~(uint32_t)(IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS |
                                   IBV_QP_INIT_ATTR_CREATE_FLAGS) ||
        a->qp_type != IBV_QPT_RC || (ex && a->send_ops_flags & ~ops)) {
        sv_diag("ibv_create_qp: only RC QPs are provided (type %d)", a->qp_type);
        errno = EOPNOTSUPP;
        return NULL;
    }
    if (!a->pd || !a->send_cq || !a->recv_cq)
        why = "no PD or CQ";
    else if (a->cap.max_send_wr > SV_MAX_WR || a->cap.max_recv_wr > SV_MAX_WR)
        why = "max_send_wr or max_recv_wr";
    else if (a->cap.max_send_sge > SV_MAX_SGE || a->cap.max_recv_sge > SV_MAX_SGE)
        why = "max_send_sge or max_recv_sge";
    else if (a->cap.max_inline_data > SV_MAX_INLINE)
        why = "max_inline_data";
    if (why) {
        sv_diag("ibv_create_qp: %s", why);
        errno = EINVAL;
        return NULL;
    }
    qp = calloc(1, sizeof(*qp));
    if (!qp)
        return NULL;
    qp->cap = a->cap;
    if (!qp->cap.max_send_sge)
        qp->cap.max_send_sge = 1;
    if (!g.strict && qp->cap.max_inline_data < 64)
        qp->cap.max_inline_data = 64; /* what a send queue entry has room for anyway */
    if (a->srq)
        qp->cap.max_recv_wr = qp->cap.max_recv_sge = 0;
    else if (!qp->cap.max_recv_sge)
        qp->cap.max_recv_sge = 1;
    if (ex) {
        size_t n = qp->cap.max_send_wr;

        qp->bwr = calloc(n + 1, sizeof(*qp->bwr));
        qp->bsge = calloc(n * qp->cap.max_send_sge + 1, sizeof(*qp->bsge));
        qp->binl = malloc(n * qp->cap.max_inline_data + 1);
        if (!qp->bwr || !qp->bsge || !qp->binl)
            goto nomem;
        qp->x.comp_mask = 0;
        sv_qp_ex_init(qp);
    }
    pthread_mutex_lock(&g.obj);
    ALLOC_IDX(g.qp, SV_MAX_QP, next_qp, qp->idx);
    sh = qp->sh = &g.a->qp[qp->idx];
    if (!qp->idx || sv_rq_init(&sh->rq, &qp->rql, qp->cap.max_recv_wr, qp->cap.max_recv_sge)) {
        pthread_mutex_unlock(&g.obj);
        goto nomem;
    }
    if (!sh->bnc_off)
        sh->bnc_off = sv_alloc(SV_BOUNCE_RING); /* stays with the slot */
    if (!sh->bnc_off) {
        sv_rq_fini(&sh->rq, &qp->rql);
        pthread_mutex_unlock(&g.obj);
        goto nomem;
    }
    if (!sh->inited) {
        sv_mutex_shared(&sh->rlock);
        sv_mutex_shared(&sh->rq.lock);
    }
    sh->inited = true;
    qp->gen = sv_generation();
    sh->state = IBV_QPS_RESET;
    sh->qpn = (uint32_t)g.a->slot << SV_QP_BITS | qp->idx;
    sh->pd = ((struct sv_pd *)a->pd)->num;
    sh->recv_cq = ((struct sv_cq *)a->recv_cq)->idx;
    sh->srq = a->srq ? (int32_t)((struct sv_srq *)a->srq)->idx : -1;
    sh->dest_qpn = 0;
    sh->dest_uuid = 0;
    sh->access = sh->max_dest_rd = sh->rnr_timer = 0;
    sh->waiter = sh->dirty = sh->async = 0;
    sh->bnc_prod = sh->bnc_cons = 0;
    sh->infl = 0;
    atomic_store(&sh->gen, qp->gen);
    qp->sig_all = a->sq_sig_all;
    qp->pchan = -1;
    pthread_mutex_init(&qp->sqlock, NULL);
    pthread_mutex_init(&qp->block, NULL);
    pthread_mutex_init(&qp->x.qp_base.mutex, NULL);
    pthread_cond_init(&qp->x.qp_base.cond, NULL);
    qp->x.qp_base.context = c;
    qp->x.qp_base.qp_context = a->qp_context;
    qp->x.qp_base.pd = a->pd;
    qp->x.qp_base.send_cq = a->send_cq;
    qp->x.qp_base.recv_cq = a->recv_cq;
    qp->x.qp_base.srq = a->srq;
    qp->x.qp_base.handle = qp->idx;
    qp->x.qp_base.qp_num = sh->qpn;
    qp->x.qp_base.state = IBV_QPS_RESET;
    qp->x.qp_base.qp_type = a->qp_type;
    ((struct sv_pd *)a->pd)->refs++;
    ((struct sv_cq *)a->send_cq)->refs++;
    ((struct sv_cq *)a->recv_cq)->refs++;
    if (a->srq)
        ((struct sv_srq *)a->srq)->refs++;
    a->cap = qp->cap;
    atomic_store(&g.qp[qp->idx], qp);
    pthread_mutex_unlock(&g.obj);
    return &qp->x.qp_base;
nomem:
    free(qp->bwr);
    free(qp->bsge);
    free(qp->binl);
    free(qp);
    errno = ENOMEM;
    return NULL;
}

EXPORT struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *a)
{
    struct ibv_qp_init_attr_ex x;
    struct ibv_qp *qp;

    memset(&x, 0, sizeof(x));
    memcpy(&x, a, sizeof(*a));
    x.comp_mask = IBV_QP_INIT_ATTR_PD;
    x.pd = pd;
    qp = sv_create_qp_ex(pd->context, &x);
    if (qp)
        a->cap = x.cap;
    return qp;
}

EXPORT struct ibv_qp_ex *ibv_qp_to_qp_ex(struct ibv_qp *q)
{
    return to_qp(q)->bwr ? &to_qp(q)->x : NULL;
}

EXPORT int ibv_query_qp(struct ibv_qp *q, struct ibv_qp_attr *a, int mask,
                        struct ibv_qp_init_attr *init)
{
    struct sv_qp *qp = to_qp(q);

    (void)mask;
    *a = qp->attr;
    a->qp_state = a->cur_qp_state = q->state = atomic_load(&qp->sh->state);
    a->cap = qp->cap;
    a->path_mig_state = IBV_MIG_MIGRATED;
    memset(init, 0, sizeof(*init));
    init->qp_context = q->qp_context;
    init->send_cq = q->send_cq;
    init->recv_cq = q->recv_cq;
    init->srq = q->srq;
    init->cap = qp->cap;
    init->qp_type = q->qp_type;
    init->sq_sig_all = qp->sig_all;
    return 0;
}

EXPORT int ibv_destroy_qp(struct ibv_qp *q)
{
    struct sv_qp *qp = to_qp(q);
    struct sv_cq *s = (struct sv_cq *)q->send_cq, *r = (struct sv_cq *)q->recv_cq;

    /* nothing of a peer is in flight behind this lock */
    sh_lock(&qp->sh->rlock);
    atomic_store(&qp->sh->state, IBV_QPS_RESET);
    atomic_store(&qp->sh->gen, 0);
    sh_unlock(&qp->sh->rlock);
    sv_wake_peer(qp);

    pthread_mutex_lock(&g.obj);
    pthread_mutex_lock(&s->clock);
    if (r != s)
        pthread_mutex_lock(&r->clock);
    atomic_store(&g.qp[qp->idx], NULL);
    if (r != s)
        pthread_mutex_unlock(&r->clock);
    pthread_mutex_unlock(&s->clock);
    sv_rq_fini(&qp->sh->rq, &qp->rql);
    pthread_mutex_unlock(&g.obj);

    sv_async_purge(q->context, &qp->async_delivered, &q->mutex, &q->cond, &q->events_completed);
    sv_qp_detach(qp);
    s->refs--;
    r->refs--;
    if (q->srq)
        ((struct sv_srq *)q->srq)->refs--;
    ((struct sv_pd *)q->pd)->refs--;
    free(qp->pend);
    free(qp->bwr);
    free(qp->bsge);
    free(qp->binl);
    free(qp);
    return 0;
}
