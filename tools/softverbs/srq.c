/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared receive queues. */
#include "tools/softverbs/srq.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/rq.h"

EXPORT struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *a)
{
    struct sv_srq *s;

    if (!a->attr.max_wr || a->attr.max_wr > SV_MAX_WR || a->attr.max_sge > SV_MAX_SGE) {
        errno = EINVAL;
        return NULL;
    }
    if (!a->attr.max_sge)
        a->attr.max_sge = 1;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    pthread_mutex_lock(&g.obj);
    ALLOC_IDX(g.srq, SV_MAX_SRQ, next_srq, s->idx);
    s->sh = &g.a->srq[s->idx];
    if (!s->idx || sv_rq_init(&s->sh->rq, &s->l, a->attr.max_wr, a->attr.max_sge)) {
        pthread_mutex_unlock(&g.obj);
        free(s);
        errno = ENOMEM;
        return NULL;
    }
    if (!s->sh->inited)
        sv_mutex_shared(&s->sh->rq.lock);
    s->sh->inited = true;
    s->sh->pd = ((struct sv_pd *)pd)->num;
    s->sh->rq.limit = a->attr.srq_limit;
    atomic_store(&s->sh->gen, sv_generation());
    pthread_mutex_init(&s->srq.mutex, NULL);
    pthread_cond_init(&s->srq.cond, NULL);
    s->srq.context = pd->context;
    s->srq.srq_context = a->srq_context;
    s->srq.pd = pd;
    s->srq.handle = s->idx;
    ((struct sv_pd *)pd)->refs++;
    atomic_store(&g.srq[s->idx], s);
    pthread_mutex_unlock(&g.obj);
    return &s->srq;
}

EXPORT int ibv_modify_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *a, int mask)
{
    struct sv_srq *s = (struct sv_srq *)ibsrq;

    if (mask & IBV_SRQ_MAX_WR)
        return EOPNOTSUPP;
    if (mask & IBV_SRQ_LIMIT) {
        if (a->srq_limit > s->sh->rq.cap)
            return EINVAL;
        atomic_store(&s->sh->rq.limit, a->srq_limit);
    }
    return 0;
}

EXPORT int ibv_query_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *a)
{
    struct sv_srq *s = (struct sv_srq *)ibsrq;

    a->max_wr = s->sh->rq.cap;
    a->max_sge = s->sh->rq.max_sge;
    a->srq_limit = s->sh->rq.limit;
    return 0;
}

EXPORT int ibv_destroy_srq(struct ibv_srq *ibsrq)
{
    struct sv_srq *s = (struct sv_srq *)ibsrq;

    if (s->refs) {
        sv_diag("ibv_destroy_srq: %d QPs still use it", s->refs);
        return EBUSY;
    }
    pthread_mutex_lock(&g.obj);
    atomic_store(&g.srq[s->idx], NULL);
    sv_rq_fini(&s->sh->rq, &s->l);
    atomic_store(&s->sh->gen, 0);
    pthread_mutex_unlock(&g.obj);
    sv_async_purge(ibsrq->context, &s->async_delivered, &ibsrq->mutex, &ibsrq->cond,
                   &ibsrq->events_completed);
    ((struct sv_pd *)ibsrq->pd)->refs--;
    free(s);
    return 0;
}

int sv_get_srq_num(struct ibv_srq *s, uint32_t *n)
{
    *n = ((struct sv_srq *)s)->idx;
    return 0;
}

struct ibv_srq *sv_create_srq_ex(struct ibv_context *c, struct ibv_srq_init_attr_ex *a)
{
    (void)c;
    if ((a->comp_mask & IBV_SRQ_INIT_ATTR_TYPE && a->srq_type != IBV_SRQT_BASIC) ||
        !(a->comp_mask & IBV_SRQ_INIT_ATTR_PD)) {
        errno = EOPNOTSUPP;
        return NULL;
    }
    return ibv_create_srq(a->pd, (struct ibv_srq_init_attr *)a);
}
