/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device contexts, and their end when the device vanishes. */
#include "tools/softverbs/context.h"
#include "tools/softverbs/cm.h"
#include "tools/softverbs/cq.h"
#include "tools/softverbs/device.h"
#include "tools/softverbs/mr.h"
#include "tools/softverbs/process.h"
#include "tools/softverbs/qp.h"
#include "tools/softverbs/rq.h"
#include "tools/softverbs/send.h"
#include "tools/softverbs/srq.h"

static struct sv_ctx *ctxs;

static void fill_ops(struct sv_ctx *c)
{
    struct ibv_context_ops *o = &c->v.context.ops;

    o->alloc_mw = sv_alloc_mw;
    o->bind_mw = sv_bind_mw;
    o->dealloc_mw = sv_dealloc_mw;
    o->poll_cq = sv_poll_cq;
    o->req_notify_cq = sv_req_notify_cq;
    o->post_send = sv_post_send;
    o->post_recv = sv_post_recv;
    o->post_srq_recv = sv_post_srq_recv;
    c->v.query_port = sv_query_port;
    c->v.query_device_ex = sv_query_device_ex;
    c->v.query_rt_values = sv_query_rt_values;
    c->v.create_cq_ex = sv_create_cq_ex;
    c->v.create_qp_ex = sv_create_qp_ex;
    c->v.create_srq_ex = sv_create_srq_ex;
    c->v.get_srq_num = sv_get_srq_num;
}

struct sv_ctx *sv_open(void)
{
    struct sv_ctx *c;

    if (sv_init() || g.gone) {
        errno = ENODEV;
        return NULL;
    }
    c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->last = &c->first;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->v.context.mutex, NULL);
    c->v.sz = sizeof(c->v);
    c->v.context.abi_compat = __VERBS_ABI_IS_EXTENDED;
    c->v.context.device = &g.dev;
    c->v.context.num_comp_vectors = 4;
    /* written to when the list gets its first event, emptied with its last */
    int p[2];

    if (pipe2(p, O_CLOEXEC)) {
        free(c);
        return NULL;
    }
    c->v.context.async_fd = p[0];
    c->v.context.cmd_fd = p[1]; /* opaque to users */
    fill_ops(c);
    pthread_mutex_lock(&g.obj);
    c->next = ctxs;
    ctxs = c;
    pthread_mutex_unlock(&g.obj);
    return c;
}

EXPORT struct ibv_context *ibv_open_device(struct ibv_device *d)
{
    struct sv_ctx *c = sv_open();

    (void)d;
    return c ? &c->v.context : NULL;
}

EXPORT int ibv_close_device(struct ibv_context *ibc)
{
    struct sv_ctx *c = sv_to_ctx(ibc), **pp;

    pthread_mutex_lock(&g.obj);
    for (pp = &ctxs; *pp; pp = &(*pp)->next)
        if (*pp == c) {
            *pp = c->next;
            break;
        }
    pthread_mutex_unlock(&g.obj);
    close(ibc->async_fd);
    close(ibc->cmd_fd);
    while (c->first) {
        struct sv_async *a = c->first;

        c->first = a->next;
        free(a);
    }
    free(c);
    return 0;
}

void sv_device_gone(void)
{
    struct sv_ctx *c;

    if (g.gone)
        return;
    g.gone = true;
    pthread_mutex_lock(&g.obj);
    for (uint32_t i = 0; i < SV_MAX_QP; i++) {
        struct sv_qp *qp = atomic_load(&g.qp[i]);

        if (qp)
            sv_qp_flush(qp);
    }
    for (c = ctxs; c; c = c->next)
        sv_async_event(&c->v.context, IBV_EVENT_DEVICE_FATAL, NULL, NULL);
    pthread_mutex_unlock(&g.obj);
    sv_cm_removal();
}
