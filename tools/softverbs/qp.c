/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue pairs: their life. */
#include "tools/softverbs/qp.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/rq.h"
#include "tools/softverbs/send.h"

/* 0 or an errno. */
static int check_init_attr(const struct ibv_qp_init_attr_ex *a)
{
    const uint64_t ops = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM |
                         IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |
                         IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_LOCAL_INV |
                         IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_SEND_WITH_INV;
    const uint32_t known =
        IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS | IBV_QP_INIT_ATTR_CREATE_FLAGS;
    const char *why = NULL;

    if (a->comp_mask & ~known || a->qp_type != IBV_QPT_RC ||
        (a->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS && a->send_ops_flags & ~ops) ||
        (a->comp_mask & IBV_QP_INIT_ATTR_CREATE_FLAGS && a->create_flags)) {
        sv_diag("ibv_create_qp: only plain RC QPs are provided (type %d)", a->qp_type);
        return EOPNOTSUPP;
    }
    if (!(a->comp_mask & IBV_QP_INIT_ATTR_PD) || !a->pd || !a->send_cq || !a->recv_cq)
        why = "no PD or CQ";
    else if (a->cap.max_send_wr > SV_MAX_WR || a->cap.max_recv_wr > SV_MAX_WR)
        why = "max_send_wr or max_recv_wr";
    else if (a->cap.max_send_sge > SV_MAX_SGE || a->cap.max_recv_sge > SV_MAX_SGE)
        why = "max_send_sge or max_recv_sge";
    else if (a->cap.max_inline_data > SV_MAX_INLINE)
        why = "max_inline_data";
    if (!why)
        return 0;
    sv_diag("ibv_create_qp: %s", why);
    return EINVAL;
}

static struct ibv_qp_cap granted_cap(const struct ibv_qp_init_attr_ex *a)
{
    struct ibv_qp_cap cap = a->cap;

    if (!cap.max_send_sge)
        cap.max_send_sge = 1;
    if (!g.strict && cap.max_inline_data < 64)
        cap.max_inline_data = 64; /* what a send queue entry has room for anyway */
    if (a->srq)
        cap.max_recv_wr = cap.max_recv_sge = 0;
    else if (!cap.max_recv_sge)
        cap.max_recv_sge = 1;
    return cap;
}

static bool init_builder(struct sv_qp *qp)
{
    size_t n = qp->cap.max_send_wr;

    qp->bwr = calloc(n + 1, sizeof(*qp->bwr));
    qp->bsge = calloc(n * qp->cap.max_send_sge + 1, sizeof(*qp->bsge));
    qp->binl = malloc(n * qp->cap.max_inline_data + 1);
    sv_qp_ex_init(qp);
    return qp->bwr && qp->bsge && qp->binl;
}

/* What peers see; false: no number or no memory left. g.obj held. */
static bool init_shared(struct sv_qp *qp, const struct ibv_qp_init_attr_ex *a)
{
    struct sv_shqp *sh;

    ALLOC_IDX(g.qp, SV_MAX_QP, next_qp, qp->idx);
    sh = qp->sh = &g.a->qp[qp->idx];
    if (!qp->idx || sv_rq_init(&sh->rq, &qp->rql, qp->cap.max_recv_wr, qp->cap.max_recv_sge))
        return false;
    if (!sh->bnc_off)
        sh->bnc_off = sv_alloc(SV_BOUNCE_RING); /* stays with the slot */
    if (!sh->bnc_off) {
        sv_rq_fini(&sh->rq, &qp->rql);
        return false;
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
    return true;
}

/* What the program sees. */
static void init_base(struct ibv_qp *q, struct ibv_context *c, const struct ibv_qp_init_attr_ex *a)
{
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->cond, NULL);
    q->context = c;
    q->qp_context = a->qp_context;
    q->pd = a->pd;
    q->send_cq = a->send_cq;
    q->recv_cq = a->recv_cq;
    q->srq = a->srq;
    q->handle = to_qp(q)->idx;
    q->qp_num = to_qp(q)->sh->qpn;
    q->state = IBV_QPS_RESET;
    q->qp_type = a->qp_type;
}

static void count_refs(const struct ibv_qp *q, int n)
{
    ((struct sv_pd *)q->pd)->refs += n;
    ((struct sv_cq *)q->send_cq)->refs += n;
    ((struct sv_cq *)q->recv_cq)->refs += n;
    if (q->srq)
        ((struct sv_srq *)q->srq)->refs += n;
}

static void free_qp(struct sv_qp *qp)
{
    free(qp->pend);
    free(qp->bwr);
    free(qp->bsge);
    free(qp->binl);
    free(qp);
}

struct ibv_qp *sv_create_qp_ex(struct ibv_context *c, struct ibv_qp_init_attr_ex *a)
{
    struct sv_qp *qp;

    errno = check_init_attr(a);
    if (errno)
        return NULL;
    qp = calloc(1, sizeof(*qp));
    if (!qp)
        return NULL;
    qp->cap = granted_cap(a);
    qp->sig_all = a->sq_sig_all;
    qp->pchan = -1;
    pthread_mutex_init(&qp->sqlock, NULL);
    pthread_mutex_init(&qp->block, NULL);
    if (a->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS && !init_builder(qp))
        goto free_qp;
    pthread_mutex_lock(&g.obj);
    if (!init_shared(qp, a))
        goto unlock;
    init_base(&qp->x.qp_base, c, a);
    count_refs(&qp->x.qp_base, 1);
    a->cap = qp->cap;
    atomic_store(&g.qp[qp->idx], qp);
    pthread_mutex_unlock(&g.obj);
    return &qp->x.qp_base;
unlock:
    pthread_mutex_unlock(&g.obj);
free_qp:
    free_qp(qp);
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
    count_refs(q, -1);
    free_qp(qp);
    return 0;
}
