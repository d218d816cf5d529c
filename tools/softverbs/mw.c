/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory windows. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/mr.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/send.h"

struct ibv_mw *sv_alloc_mw(struct ibv_pd *pd, enum ibv_mw_type type)
{
    struct sv_mw *w = calloc(1, sizeof(*w));
    struct sv_mr *m;

    if (!w)
        return NULL;
    m = sv_mr_alloc(&w->idx);
    if (!m) {
        free(w);
        errno = ENOMEM;
        return NULL;
    }
    m->kind = type == IBV_MW_TYPE_1 ? SV_KIND_MW1 : SV_KIND_MW2;
    m->pd = ((struct sv_pd *)pd)->num;
    m->parent = 0;
    w->mw.context = pd->context;
    w->mw.pd = pd;
    w->mw.type = type;
    w->mw.handle = w->idx;
    w->mw.rkey = w->idx << 8 | m->tag | 0x80;
    ((struct sv_pd *)pd)->refs++;
    return &w->mw;
}

static void unbind(struct sv_arena *a, struct sv_mr *m)
{
    atomic_store(&m->rkey, 0);
    if (m->parent)
        atomic_fetch_sub(&a->mr[m->parent].nwin, 1);
    m->parent = 0;
}

int sv_dealloc_mw(struct ibv_mw *mw)
{
    struct sv_mw *w = (struct sv_mw *)mw;

    unbind(g.a, &g.a->mr[w->idx]);
    sv_mr_release(w->idx);
    ((struct sv_pd *)mw->pd)->refs--;
    free(w);
    return 0;
}

int sv_bind(struct sv_qp *qp, struct ibv_mw *mw, uint32_t rkey, const struct ibv_mw_bind_info *bi)
{
    struct sv_mw *w = (struct sv_mw *)mw;
    struct sv_mr *m = &g.a->mr[w->idx], *p;
    const char *why = NULL;

    p = bi->mr ? &g.a->mr[((struct sv_lmr *)bi->mr)->idx] : NULL;
    if (rkey >> 8 != w->idx)
        why = "rkey of another window";
    else if (m->pd != qp->sh->pd || (p && p->pd != m->pd))
        why = "PD mismatch";
    else if (m->kind == SV_KIND_MW2 && m->rkey)
        why = "type 2 window is bound already";
    else if (m->kind == SV_KIND_MW2 && (!bi->length || !p))
        why = "type 2 window bound to nothing";
    else if (p && !(p->access & IBV_ACCESS_MW_BIND))
        why = "MR lacks MW_BIND";
    else if (p && (bi->mw_access_flags & IBV_ACCESS_REMOTE_WRITE) &&
             !(p->access & IBV_ACCESS_LOCAL_WRITE))
        why = "MR is not writable";
    else if (p && (bi->addr < p->iova || bi->length > p->len ||
                   bi->addr - p->iova > p->len - bi->length))
        why = "outside the MR";
    if (why) {
        sv_diag("QP 0x%x: bind: %s", qp->x.qp_base.qp_num, why);
        return EINVAL;
    }
    unbind(g.a, m);
    mw->rkey = rkey;
    if (!p || !bi->length)
        return 0;
    m->access = bi->mw_access_flags;
    m->addr = p->addr + (bi->addr - p->iova);
    m->iova = bi->mw_access_flags & IBV_ACCESS_ZERO_BASED ? 0 : bi->addr;
    m->len = bi->length;
    m->qpn = qp->x.qp_base.qp_num;
    m->parent = ((struct sv_lmr *)bi->mr)->idx;
    atomic_fetch_add(&p->nwin, 1);
    atomic_store(&m->rkey, rkey);
    return 0;
}

int sv_bind_mw(struct ibv_qp *q, struct ibv_mw *mw, struct ibv_mw_bind *b)
{
    struct ibv_send_wr *bad, wr = {
                                 .wr_id = b->wr_id,
                                 .opcode = IBV_WR_BIND_MW,
                                 .send_flags = b->send_flags,
                             };
    int r;

    wr.bind_mw.mw = mw;
    wr.bind_mw.rkey = (mw->rkey & ~0x7fu) | ((mw->rkey + 1) & 0x7f);
    wr.bind_mw.bind_info = b->bind_info;
    r = sv_post_send(q, &wr, &bad);
    if (!r)
        mw->rkey = wr.bind_mw.rkey;
    return r;
}

/* Works on the arena of a peer too: SEND_WITH_INV. */
int sv_local_inv(struct sv_arena *a, uint32_t rkey, uint32_t pd, uint32_t qpn)
{
    struct sv_mr *m = sv_mr_hold(a, rkey, true);
    int r = EINVAL;

    if (!m)
        return r;
    if (m->kind == SV_KIND_MW2 && m->pd == pd && m->qpn == qpn) {
        unbind(a, m);
        r = 0;
    }
    atomic_fetch_sub(&m->refs, 1);
    return r;
}
