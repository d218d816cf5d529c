/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completion queues: their life, and the way into them. */
#include "tools/softverbs/cq.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"

static uint32_t pow2(uint32_t n)
{
    uint32_t s = 1;

    while (s < n)
        s <<= 1;
    return s;
}

EXPORT struct ibv_cq *ibv_create_cq(struct ibv_context *c, int cqe, void *context,
                                    struct ibv_comp_channel *ch, int vector)
{
    struct sv_cq *cq;
    struct sv_shcq *sh;

    if (cqe < 1 || (uint32_t)cqe > SV_MAX_CQE || vector < 0 || vector >= c->num_comp_vectors) {
        sv_diag("ibv_create_cq: cqe %d, vector %d", cqe, vector);
        errno = EINVAL;
        return NULL;
    }
    cq = calloc(1, sizeof(*cq));
    if (!cq)
        return NULL;
    pthread_mutex_lock(&g.obj);
    ALLOC_IDX(g.cq, SV_MAX_CQ, next_cq, cq->idx);
    sh = cq->sh = &g.a->cq[cq->idx];
    if (!cq->idx || !(sh->ring_off = sv_alloc((uint64_t)pow2(cqe) * sizeof(struct sv_cqe)))) {
        pthread_mutex_unlock(&g.obj);
        free(cq);
        errno = ENOMEM;
        return NULL;
    }
    if (!sh->inited)
        sv_mutex_shared(&sh->lock);
    sh->inited = true;
    if (!g.strict) /* adapters round up, and programs rely on it */
        cqe = pow2(cqe);
    sh->cap = cqe;
    sh->mask = pow2(cqe) - 1;
    sh->prod = sh->cons = 0;
    sh->armed = sh->broken = 0;
    cq->gen = sv_generation();
    atomic_store(&sh->gen, cq->gen);
    pthread_mutex_init(&cq->clock, NULL);
    pthread_mutex_init(&cq->cq.mutex, NULL);
    pthread_cond_init(&cq->cq.cond, NULL);
    cq->cq.context = c;
    cq->cq.channel = ch;
    cq->cq.cq_context = context;
    cq->cq.handle = cq->idx;
    cq->cq.cqe = cqe;
    cq->chan = (struct sv_chan *)ch;
    if (ch) {
        cq->chan->refs++;
        ch->refcnt++;
    }
    sv_cq_ex_ops(cq);
    atomic_store(&g.cq[cq->idx], cq);
    pthread_mutex_unlock(&g.obj);
    return &cq->cq;
}

EXPORT int ibv_resize_cq(struct ibv_cq *ibcq, int cqe)
{
    struct sv_cq *cq = (struct sv_cq *)ibcq;
    struct sv_shcq *sh = cq->sh;
    struct sv_cqe *n, *o;
    uint64_t off;
    int r = 0;

    if (cqe < 1 || (uint32_t)cqe > SV_MAX_CQE)
        return EINVAL;
    pthread_mutex_lock(&g.obj);
    off = sv_alloc((uint64_t)pow2(cqe) * sizeof(*n));
    pthread_mutex_unlock(&g.obj);
    if (!off)
        return ENOMEM;
    pthread_mutex_lock(&cq->clock);
    sh_lock(&sh->lock);
    if (sh->prod - sh->cons > (uint64_t)cqe) {
        r = EINVAL;
    } else {
        uint64_t old = sh->ring_off;
        uint32_t osize = sh->mask + 1;

        n = at(g.a, off);
        o = at(g.a, old);
        for (uint64_t i = sh->cons; i != sh->prod; i++)
            n[i & (pow2(cqe) - 1)] = o[i & sh->mask];
        sh->ring_off = off;
        sh->mask = pow2(cqe) - 1;
        sh->cap = ibcq->cqe = cqe;
        off = old;
        cqe = osize;
    }
    sh_unlock(&sh->lock);
    pthread_mutex_unlock(&cq->clock);
    pthread_mutex_lock(&g.obj);
    sv_free(off, (uint64_t)pow2(cqe) * sizeof(*n));
    pthread_mutex_unlock(&g.obj);
    return r;
}

EXPORT int ibv_destroy_cq(struct ibv_cq *ibcq)
{
    struct sv_cq *cq = (struct sv_cq *)ibcq;
    uint64_t cookie, keep[512];
    int n = 0;

    if (cq->refs) {
        sv_diag("ibv_destroy_cq: %d QPs still use it", cq->refs);
        return EBUSY;
    }
    pthread_mutex_lock(&g.obj);
    atomic_store(&g.cq[cq->idx], NULL);
    atomic_store(&cq->sh->gen, 0);
    if (cq->chan) {
        /* its events go with it */
        while (n < 512 && read(cq->chan->wfd, &cookie, 8) == 8)
            if ((uint32_t)cookie != cq->idx || cookie >> 32 != cq->gen)
                keep[n++] = cookie;
        for (int i = 0; i < n; i++)
            (void)!write(cq->chan->wfd, &keep[i], 8);
    }
    sv_free(cq->sh->ring_off, (uint64_t)(cq->sh->mask + 1) * sizeof(struct sv_cqe));
    pthread_mutex_unlock(&g.obj);
    pthread_mutex_lock(&ibcq->mutex);
    while (ibcq->comp_events_completed != cq->delivered)
        pthread_cond_wait(&ibcq->cond, &ibcq->mutex);
    pthread_mutex_unlock(&ibcq->mutex);
    sv_async_purge(ibcq->context, &cq->async_delivered, &ibcq->mutex, &ibcq->cond,
                   &ibcq->async_events_completed);
    if (cq->chan) {
        cq->chan->refs--;
        cq->chan->ch.refcnt--;
    }
    free(cq);
    return 0;
}

struct ibv_cq_ex *sv_create_cq_ex(struct ibv_context *c, struct ibv_cq_init_attr_ex *a)
{
    struct ibv_cq *cq;

    if (a->wc_flags & ~(uint64_t)(IBV_WC_STANDARD_FLAGS | IBV_WC_EX_WITH_COMPLETION_TIMESTAMP |
                                  IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK)) {
        errno = EOPNOTSUPP;
        return NULL;
    }
    cq = ibv_create_cq(c, a->cqe, a->cq_context, a->channel, a->comp_vector);
    return cq ? &((struct sv_cq *)cq)->cqx : NULL;
}

static void cq_broke(struct sv_arena *a, uint32_t idx, int kickfd)
{
    uint64_t one = 1;

    atomic_fetch_or(&a->cq_dirty[idx / 64], 1ull << (idx % 64));
    (void)!write(kickfd, &one, 8);
}

void sv_cq_push(struct sv_arena *a, int kickfd, uint32_t idx, const struct sv_cqe *e,
                bool solicited, int chanfd)
{
    struct sv_shcq *cq = &a->cq[idx];
    uint64_t prod, cookie;
    uint32_t armed;

    sh_lock(&cq->lock);
    prod = atomic_load_explicit(&cq->prod, memory_order_relaxed);
    if (unlikely(prod - atomic_load_explicit(&cq->cons, memory_order_acquire) >= cq->cap)) {
        bool first = !atomic_exchange(&cq->broken, 1);

        sh_unlock(&cq->lock);
        if (first) {
            sv_diag("CQ %u overrun: all %u entries in use", idx, cq->cap);
            cq_broke(a, idx, kickfd);
        }
        return;
    }
    ((struct sv_cqe *)at(a, cq->ring_off))[prod & cq->mask] = *e;
    atomic_store(&cq->prod, prod + 1);
    sh_unlock(&cq->lock);

    armed = atomic_load(&cq->armed);
    if (!armed || (armed == 1 && !solicited && e->status == IBV_WC_SUCCESS))
        return;
    if (!atomic_exchange(&cq->armed, 0) || chanfd < 0)
        return;
    cookie = (uint64_t)atomic_load(&cq->gen) << 32 | idx;
    if (unlikely(write(chanfd, &cookie, 8) != 8)) {
        static _Atomic bool once;

        if (!atomic_exchange(&once, true))
            sv_diag("completion channel full: events are lost");
    }
    atomic_fetch_add_explicit(&g.n_event, 1, memory_order_relaxed);
}

int sv_own_chan(struct ibv_cq *cq)
{
    struct sv_cq *c = (struct sv_cq *)cq;

    return c->chan ? c->chan->wfd : -1;
}

int sv_req_notify_cq(struct ibv_cq *ibcq, int solicited)
{
    struct sv_cq *cq = (struct sv_cq *)ibcq;
    uint32_t want = solicited ? 1 : 2, cur = atomic_load(&cq->sh->armed);

    sv_count(&g.n_arm, 1);
    while (cur < want && !atomic_compare_exchange_weak(&cq->sh->armed, &cur, want))
        ;
    return 0;
}
