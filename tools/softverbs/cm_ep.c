/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Endpoints: synchronous identifiers by address and service name. */
#include "tools/softverbs/cm_int.h"

#include <netdb.h>

EXPORT int rdma_create_ep(struct rdma_cm_id **out, struct rdma_addrinfo *res, struct ibv_pd *pd,
                          struct ibv_qp_init_attr *attr)
{
    struct rdma_cm_id *cid;
    struct sv_id *id;
    int r;

    if (rdma_create_id(NULL, &cid, NULL, res->ai_port_space))
        return -1;
    id = TO_ID(cid);
    cid->qp_type = res->ai_qp_type;
    if (res->ai_flags & RAI_PASSIVE) {
        r = rdma_bind_addr(cid, res->ai_src_addr);
        if (!r && attr) {
            id->ep_attr = malloc(sizeof(*attr));
            if (!id->ep_attr)
                abort();
            *id->ep_attr = *attr;
            id->ep_attr->qp_type = res->ai_qp_type;
            id->ep_pd = pd;
        }
    } else {
        r = rdma_resolve_addr(cid, res->ai_src_addr, res->ai_dst_addr, 2000) ||
            rdma_resolve_route(cid, 2000);
        if (!r && attr) {
            attr->qp_type = res->ai_qp_type;
            r = rdma_create_qp(cid, pd, attr);
        }
        if (!r && res->ai_connect_len && res->ai_connect_len <= 196) {
            memcpy(id->ep_data, res->ai_connect, res->ai_connect_len);
            id->ep_len = res->ai_connect_len;
        }
    }
    if (r) {
        int e = errno;

        rdma_destroy_ep(cid);
        return sv_fail(e);
    }
    *out = cid;
    return 0;
}

EXPORT void rdma_destroy_ep(struct rdma_cm_id *cid)
{
    if (cid->qp)
        rdma_destroy_qp(cid);
    if (cid->srq)
        rdma_destroy_srq(cid);
    rdma_destroy_id(cid);
}

EXPORT int rdma_get_request(struct rdma_cm_id *listen, struct rdma_cm_id **out)
{
    struct sv_id *l = TO_ID(listen), *id;
    struct rdma_cm_event *ev;
    int r;

    if (!l->sync)
        return sv_fail(EINVAL);
    if (listen->event) {
        rdma_ack_cm_event(listen->event);
        listen->event = NULL;
    }
    if (rdma_get_cm_event(listen->channel, &ev))
        return -1;
    if (ev->event != RDMA_CM_EVENT_CONNECT_REQUEST) {
        rdma_ack_cm_event(ev);
        return sv_fail(EINVAL);
    }
    id = TO_ID(ev->id);
    if (l->ep_attr) {
        struct ibv_qp_init_attr a = *l->ep_attr;

        r = rdma_create_qp(&id->id, l->ep_pd, &a);
        if (r) {
            int e = errno;

            rdma_ack_cm_event(ev);
            rdma_reject(&id->id, NULL, 0);
            rdma_destroy_id(&id->id);
            return sv_fail(e);
        }
    }
    *out = &id->id;
    (*out)->event = ev;
    return 0;
}

static struct sockaddr *copy_addr(const struct sockaddr *a, socklen_t len)
{
    struct sockaddr_storage *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    memcpy(s, a, len < sizeof(*s) ? len : sizeof(*s));
    return (struct sockaddr *)s;
}

EXPORT int rdma_getaddrinfo(const char *node, const char *service,
                            const struct rdma_addrinfo *hints, struct rdma_addrinfo **res)
{
    struct addrinfo h = {.ai_socktype = SOCK_STREAM}, *ai;
    struct rdma_addrinfo *r;
    struct sockaddr *a;
    int e, flags = hints ? hints->ai_flags : 0;

    if (!node && !service)
        return sv_fail(EINVAL);
    if (flags & RAI_PASSIVE)
        h.ai_flags |= AI_PASSIVE;
    if (flags & RAI_NUMERICHOST)
        h.ai_flags |= AI_NUMERICHOST;
    if (hints && (flags & RAI_FAMILY || hints->ai_family))
        h.ai_family = hints->ai_family;
    e = getaddrinfo(node, service, &h, &ai);
    if (e)
        return sv_fail(e == EAI_SYSTEM ? errno : EINVAL);
    r = calloc(1, sizeof(*r));
    if (!r) {
        freeaddrinfo(ai);
        return sv_fail(ENOMEM);
    }
    r->ai_flags = flags;
    r->ai_family = ai->ai_family;
    r->ai_qp_type = hints && hints->ai_qp_type ? hints->ai_qp_type : IBV_QPT_RC;
    r->ai_port_space = hints && hints->ai_port_space ? hints->ai_port_space : RDMA_PS_TCP;
    a = copy_addr(ai->ai_addr, ai->ai_addrlen);
    if (flags & RAI_PASSIVE) {
        r->ai_src_addr = a;
        r->ai_src_len = ai->ai_addrlen;
    } else {
        r->ai_dst_addr = a;
        r->ai_dst_len = ai->ai_addrlen;
        if (hints && hints->ai_src_len) {
            r->ai_src_addr = copy_addr(hints->ai_src_addr, hints->ai_src_len);
            r->ai_src_len = hints->ai_src_len;
        }
    }
    freeaddrinfo(ai);
    *res = r;
    return 0;
}

EXPORT void rdma_freeaddrinfo(struct rdma_addrinfo *r)
{
    while (r) {
        struct rdma_addrinfo *n = r->ai_next;

        free(r->ai_src_addr);
        free(r->ai_dst_addr);
        free(r);
        r = n;
    }
}
