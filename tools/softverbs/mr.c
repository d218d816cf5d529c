/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protection domains and memory regions. */
#include "tools/softverbs/mr.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"

#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

EXPORT struct ibv_pd *ibv_alloc_pd(struct ibv_context *c)
{
    static _Atomic uint32_t next;
    struct sv_pd *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->pd.context = c;
    p->num = p->pd.handle = ++next;
    return &p->pd;
}

EXPORT int ibv_dealloc_pd(struct ibv_pd *ibpd)
{
    struct sv_pd *p = (struct sv_pd *)ibpd;

    if (p->refs) {
        sv_diag("ibv_dealloc_pd: %d objects still use it", p->refs);
        return EBUSY;
    }
    free(p);
    return 0;
}

static uint32_t mr_free[SV_MAX_MR], mr_head, mr_tail, mr_top = 1;

/* Indices are reused as late as possible, and with another tag. */
struct sv_mr *sv_mr_alloc(uint32_t *idx)
{
    struct sv_mr *m = NULL;

    pthread_mutex_lock(&g.obj);
    if (mr_top < SV_MAX_MR && (mr_top < 4096 || mr_head == mr_tail))
        *idx = mr_top++;
    else if (mr_head != mr_tail)
        *idx = mr_free[mr_head++ % SV_MAX_MR];
    else
        goto out;
    m = &g.a->mr[*idx];
    m->tag = (m->tag + 1) & 0x7f;
out:
    pthread_mutex_unlock(&g.obj);
    return m;
}

void sv_mr_release(uint32_t idx)
{
    struct sv_mr *m = &g.a->mr[idx];

    atomic_store(&m->lkey, 0);
    atomic_store(&m->rkey, 0);
    /* like hardware: when deregistration returns, nobody accesses it (a peer
     * killed in the middle never lets go, so not forever) */
    for (int i = 0; atomic_load(&m->refs) && i < 20000; i++)
        usleep(i < 100 ? 1 : 100);
    atomic_store(&m->refs, 0);
    pthread_mutex_lock(&g.obj);
    mr_free[mr_tail++ % SV_MAX_MR] = idx;
    pthread_mutex_unlock(&g.obj);
}

struct sv_mr *sv_mr_hold(struct sv_arena *a, uint32_t key, bool remote)
{
    struct sv_mr *m;

    if ((key >> 8) == 0 || (key >> 8) >= SV_MAX_MR)
        return NULL;
    m = &a->mr[key >> 8];
    atomic_fetch_add(&m->refs, 1);
    if (likely(atomic_load(remote ? &m->rkey : &m->lkey) == key))
        return m;
    atomic_fetch_sub(&m->refs, 1);
    return NULL;
}

struct sv_mr *sv_own_mr(uint32_t lkey, uint32_t pd)
{
    struct sv_mr *m;

    if ((lkey >> 8) == 0 || (lkey >> 8) >= SV_MAX_MR)
        return NULL;
    m = &g.a->mr[lkey >> 8];
    return atomic_load_explicit(&m->lkey, memory_order_relaxed) == lkey && m->pd == pd ? m : NULL;
}

/* Does the kernel know MADV_POPULATE (5.14)? Then EINVAL means that the access is not allowed. */
static bool populate_works(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~4095ul;
    int e = errno;
    bool works = !madvise((void *)here, 4096, MADV_POPULATE_READ);

    errno = e;
    return works;
}

/* Registration pins pages: they must exist and be accessible. */
static int check_mapped(void *addr, size_t len, int access)
{
    uintptr_t a = (uintptr_t)addr & ~4095ul, e = ((uintptr_t)addr + len + 4095) & ~4095ul;
    unsigned char vec[1024];

    if (e < a)
        return EINVAL;
    if (!madvise((void *)a, e - a,
                 access & IBV_ACCESS_LOCAL_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
        return 0;
    if (errno != EINVAL || populate_works())
        return errno == ENOMEM || errno == EINVAL ? EFAULT : errno;
    for (; a < e; a += sizeof(vec) * 4096) { /* an older kernel */
        size_t n = e - a < sizeof(vec) * 4096 ? e - a : sizeof(vec) * 4096;

        if (mincore((void *)a, n, vec))
            return EFAULT;
    }
    return 0;
}

EXPORT struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t len, uint64_t iova,
                                       unsigned int access)
{
    struct sv_lmr *l;
    struct sv_mr *m;
    uint32_t idx;
    int e = 0;

    sv_count(&g.n_reg_mr, 1);
    if (g.f.on && g.f.mr_fail_after && ++g.f.mrs > g.f.mr_fail_after) {
        errno = ENOMEM;
        return NULL;
    }
    if ((access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)) &&
        !(access & IBV_ACCESS_LOCAL_WRITE)) {
        sv_diag("ibv_reg_mr: remote write or atomic access needs LOCAL_WRITE");
        e = EINVAL;
    } else if (access & IBV_ACCESS_ON_DEMAND) {
        e = EOPNOTSUPP;
    } else if (len) {
        e = check_mapped(addr, len, access);
        if (e)
            sv_diag("ibv_reg_mr: %p+%zu: %s", addr, len, strerror(e));
    }
    if (e) {
        errno = e;
        return NULL;
    }
    l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    m = sv_mr_alloc(&idx);
    if (!m) {
        free(l);
        errno = ENOMEM;
        return NULL;
    }
    if (access & IBV_ACCESS_ZERO_BASED)
        iova = 0;
    m->kind = SV_KIND_MR;
    m->access = access;
    m->pd = ((struct sv_pd *)pd)->num;
    m->addr = (uintptr_t)addr;
    m->len = len;
    m->iova = iova;
    m->nwin = 0;
    l->idx = idx;
    l->mr.context = pd->context;
    l->mr.pd = pd;
    l->mr.addr = addr;
    l->mr.length = len;
    l->mr.handle = idx;
    /* An lkey never works as an rkey, nor the other way round. */
    l->mr.lkey = idx << 8 | m->tag;
    l->mr.rkey = idx << 8 | m->tag | 0x80;
    atomic_store(&m->lkey, l->mr.lkey);
    atomic_store(&m->rkey, l->mr.rkey);
    ((struct sv_pd *)pd)->refs++;
    return &l->mr;
}

EXPORT struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t len, int access)
{
    return ibv_reg_mr_iova2(pd, addr, len, (uintptr_t)addr, access);
}

EXPORT struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *addr, size_t len, uint64_t iova,
                                      int access)
{
    return ibv_reg_mr_iova2(pd, addr, len, iova, access);
}

EXPORT int ibv_dereg_mr(struct ibv_mr *mr)
{
    struct sv_lmr *l = (struct sv_lmr *)mr;

    if (atomic_load(&g.a->mr[l->idx].nwin)) {
        sv_diag("ibv_dereg_mr: windows are bound to it");
        return EBUSY;
    }
    sv_mr_release(l->idx);
    ((struct sv_pd *)mr->pd)->refs--;
    free(l);
    return 0;
}
