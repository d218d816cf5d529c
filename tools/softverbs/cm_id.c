/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Identifiers: from creation to a resolved route or a listener. */
#include "tools/softverbs/cm.h"
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/process.h"

#include <arpa/inet.h>

struct sv_id *sv_ids;
static struct ibv_pd *default_pd;

struct ibv_context *sv_cm_context(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&lock);
    if (!g.cmctx)
        g.cmctx = sv_open();
    if (g.cmctx && !default_pd)
        default_pd = ibv_alloc_pd(&g.cmctx->v.context);
    pthread_mutex_unlock(&lock);
    return g.cmctx ? &g.cmctx->v.context : NULL;
}

void sv_id_device(struct sv_id *id)
{
    if (id->id.verbs)
        return;
    id->id.verbs = sv_cm_context();
    id->id.pd = default_pd;
    id->id.port_num = 1;
}

struct sv_id *sv_id_new(struct rdma_event_channel *ch, void *context, enum rdma_port_space ps)
{
    struct sv_id *id = calloc(1, sizeof(*id));

    if (!id)
        return NULL;
    id->lockfd = id->lfd = -1;
    id->id.channel = ch;
    if (!ch) {
        id->sync = true;
        id->id.channel = rdma_create_event_channel();
        if (!id->id.channel) {
            free(id);
            return NULL;
        }
    }
    id->id.context = context;
    id->id.ps = ps;
    id->id.qp_type = IBV_QPT_RC;
    id->retry = id->rnr = 7;
    id->next = sv_ids;
    sv_ids = id;
    return id;
}

EXPORT int rdma_create_id(struct rdma_event_channel *ch, struct rdma_cm_id **out, void *context,
                          enum rdma_port_space ps)
{
    struct sv_id *id;

    if (sv_init() || g.gone)
        return sv_fail(ENODEV);
    if (ps != RDMA_PS_TCP && ps != RDMA_PS_IB)
        return sv_fail(EPROTONOSUPPORT);
    pthread_mutex_lock(&sv_cm_lock);
    id = sv_id_new(ch, context, ps);
    pthread_mutex_unlock(&sv_cm_lock);
    if (!id)
        return sv_fail(ENOMEM);
    *out = &id->id;
    return 0;
}

EXPORT int rdma_destroy_id(struct rdma_cm_id *cid)
{
    struct sv_id *id = TO_ID(cid), **pi;
    struct sv_echan *ch = (struct sv_echan *)cid->channel;
    struct sv_ev **pp, *e;
    bool had;

    if (cid->qp)
        sv_diag("rdma_destroy_id: the QP 0x%x of the id is still there", cid->qp->qp_num);
    if (cid->event) {
        rdma_ack_cm_event(cid->event);
        cid->event = NULL;
    }
    pthread_mutex_lock(&sv_cm_lock);
    had = ch->first != NULL;

    for (pp = &ch->first; (e = *pp);) {
        if (e->counted == id) {
            *pp = e->next;
            free(e);
        } else {
            pp = &e->next;
        }
    }
    ch->last = pp;
    sv_chan_reset(ch, had);
    sv_unlisten(id);
    sv_hang_up(id);
    for (pi = &sv_ids; *pi; pi = &(*pi)->next)
        if (*pi == id) {
            *pi = id->next;
            break;
        }
    while (id->acked != id->delivered)
        pthread_cond_wait(&sv_cm_cond, &sv_cm_lock);
    pthread_mutex_unlock(&sv_cm_lock);
    if (id->lockfd >= 0)
        close(id->lockfd);
    if (id->sync)
        rdma_destroy_event_channel(cid->channel);
    free(id->ep_attr);
    free(id);
    return 0;
}

EXPORT int rdma_migrate_id(struct rdma_cm_id *cid, struct rdma_event_channel *to)
{
    struct sv_id *id = TO_ID(cid);
    struct sv_echan *from = (struct sv_echan *)cid->channel;
    struct sv_ev **pp, *e;
    bool was_sync = id->sync, had;

    if (id->sync && !to)
        return sv_fail(EINVAL);
    if (!to) {
        to = rdma_create_event_channel();
        if (!to)
            return -1;
        id->sync = true;
    } else {
        id->sync = false;
    }
    if (was_sync && cid->event) {
        rdma_ack_cm_event(cid->event);
        cid->event = NULL;
    }
    pthread_mutex_lock(&sv_cm_lock);
    had = from->first != NULL;

    for (pp = &from->first; (e = *pp);) {
        if (e->counted == id) {
            *pp = e->next;
            sv_ev_queue((struct sv_echan *)to, e);
        } else {
            pp = &e->next;
        }
    }
    from->last = pp;
    sv_chan_reset(from, had);
    cid->channel = to;
    while (id->acked != id->delivered)
        pthread_cond_wait(&sv_cm_cond, &sv_cm_lock);
    pthread_mutex_unlock(&sv_cm_lock);
    if (was_sync)
        rdma_destroy_event_channel(&from->ch);
    return 0;
}

EXPORT int rdma_bind_addr(struct rdma_cm_id *cid, struct sockaddr *addr)
{
    struct sv_id *id = TO_ID(cid);
    struct sockaddr *src = &cid->route.addr.src_addr;
    char name[40];
    int tries = 0;

    if (id->state != S_IDLE)
        return sv_fail(EINVAL);
    if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
        return sv_fail(EAFNOSUPPORT);
    if (!sv_sa_local(addr))
        return sv_fail(EADDRNOTAVAIL);
    memcpy(src, addr, sv_sa_len(addr));
    sv_listen_name(id, name);
    do {
        if (!*sv_sa_port(addr))
            *sv_sa_port(src) = htons(sv_ephemeral());
        id->lockfd = sv_port_lock(ntohs(*sv_sa_port(src)), name);
    } while (id->lockfd < 0 && !*sv_sa_port(addr) && ++tries < 1000);
    if (id->lockfd < 0)
        return -1;
    id->state = S_BOUND;
    if (strncmp(name, "any", 3))
        sv_id_device(id);
    return 0;
}

EXPORT int rdma_listen(struct rdma_cm_id *cid, int backlog)
{
    struct sv_id *id = TO_ID(cid);
    struct sockaddr_un un;
    char name[40];

    (void)backlog;
    if (id->state == S_IDLE) {
        struct sockaddr_in any = {.sin_family = AF_INET};

        if (rdma_bind_addr(cid, (struct sockaddr *)&any))
            return -1;
    }
    if (id->state != S_BOUND)
        return sv_fail(EINVAL);
    sv_listen_name(id, name);
    if (sv_unix_addr(&un, "t%u.%s", ntohs(*sv_sa_port(&cid->route.addr.src_addr)), name))
        return sv_fail(ENAMETOOLONG);
    pthread_mutex_lock(&sv_cm_lock);
    id->lfd = sv_unix_listen(&un);
    if (id->lfd >= 0) {
        strcpy(id->lpath, un.sun_path);
        sv_fd_add(id->lfd, F_LISTEN, id);
        id->state = S_LISTEN;
    }
    pthread_mutex_unlock(&sv_cm_lock);
    return id->lfd < 0 ? -1 : 0;
}

int sv_post_sync(struct sv_id *id, enum rdma_cm_event_type t, int status)
{
    pthread_mutex_lock(&sv_cm_lock);
    sv_ev_post(id, t, status);
    pthread_mutex_unlock(&sv_cm_lock);
    return sv_sync_wait(id);
}

EXPORT int rdma_resolve_addr(struct rdma_cm_id *cid, struct sockaddr *src, struct sockaddr *dst,
                             int ms)
{
    struct sv_id *id = TO_ID(cid);
    struct rdma_addr *a = &cid->route.addr;

    (void)ms;
    if (id->state != S_IDLE && id->state != S_BOUND)
        return sv_fail(EINVAL);
    if (dst->sa_family != AF_INET && dst->sa_family != AF_INET6)
        return sv_fail(EAFNOSUPPORT);
    memcpy(&a->dst_storage, dst, sv_sa_len(dst));
    if (id->state == S_IDLE) {
        if (src && src->sa_family)
            memcpy(&a->src_storage, src, sv_sa_len(src));
        else
            memcpy(&a->src_storage, dst, sv_sa_len(dst));
        if (!src || !src->sa_family || !*sv_sa_port(&a->src_addr))
            *sv_sa_port(&a->src_addr) = htons(sv_ephemeral());
    }
    if (g.gone || !sv_sa_local(dst))
        return sv_post_sync(id, RDMA_CM_EVENT_ADDR_ERROR, -ENODEV);
    sv_id_device(id);
    id->state = S_ADDR;
    return sv_post_sync(id, RDMA_CM_EVENT_ADDR_RESOLVED, 0);
}

EXPORT int rdma_resolve_route(struct rdma_cm_id *cid, int ms)
{
    struct sv_id *id = TO_ID(cid);

    (void)ms;
    if (id->state != S_ADDR)
        return sv_fail(EINVAL);
    id->state = S_ROUTE;
    id->path.pkey = htobe16(0xffff);
    id->path.mtu = IBV_MTU_4096;
    id->path.reversible = 1;
    id->path.numb_path = 1;
    ibv_query_gid(cid->verbs, 1, 0, &id->path.dgid);
    id->path.sgid = id->path.dgid;
    cid->route.path_rec = &id->path;
    cid->route.num_paths = 1;
    return sv_post_sync(id, RDMA_CM_EVENT_ROUTE_RESOLVED, 0);
}

void sv_cm_removal(void)
{
    pthread_mutex_lock(&sv_cm_lock);
    for (struct sv_id *i = sv_ids; i; i = i->next)
        if (i->id.verbs)
            sv_ev_post(i, RDMA_CM_EVENT_DEVICE_REMOVAL, 0);
    pthread_mutex_unlock(&sv_cm_lock);
}
