/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making, waiting on and taking down one RDMA connection. */
#include "tests/initiator/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

static bool fail(GError **error, const char *what, int err)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: %s", what, g_strerror(err));
    return false;
}

/* Takes one event, which must be the wanted one. */
static bool await_event(Verbs *v, enum rdma_cm_event_type wanted, int timeout_ms, GError **error)
{
    struct pollfd pfd = {.fd = v->events->fd, .events = POLLIN};
    struct rdma_cm_event *event;
    bool good;

    if (poll(&pfd, 1, timeout_ms) <= 0)
        return fail(error, rdma_event_str(wanted), ETIMEDOUT);
    if (rdma_get_cm_event(v->events, &event) != 0)
        return fail(error, rdma_event_str(wanted), errno);
    good = event->event == wanted;
    if (!good)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED, "%s instead of %s, status %d",
                    rdma_event_str(event->event), rdma_event_str(wanted), event->status);
    if ((event->event == RDMA_CM_EVENT_ESTABLISHED || event->event == RDMA_CM_EVENT_REJECTED) &&
        event->param.conn.private_data) {
        v->reply_len = MIN(event->param.conn.private_data_len, sizeof(v->reply));
        memcpy(v->reply, event->param.conn.private_data, v->reply_len);
    }
    rdma_ack_cm_event(event);
    return good;
}

static bool resolve(Verbs *v, const VerbsOptions *o, GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int rc = getaddrinfo(o->host, o->port, &hints, &list);
    bool good;

    if (rc != 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_HOST_NOT_FOUND, "%s port %s: %s", o->host,
                    o->port, gai_strerror(rc));
        return false;
    }
    good = rdma_resolve_addr(v->id, NULL, list->ai_addr, o->timeout_ms) == 0 ||
           fail(error, "resolve address", errno);
    freeaddrinfo(list);
    return good && await_event(v, RDMA_CM_EVENT_ADDR_RESOLVED, o->timeout_ms, error) &&
           (rdma_resolve_route(v->id, o->timeout_ms) == 0 || fail(error, "resolve route", errno)) &&
           await_event(v, RDMA_CM_EVENT_ROUTE_RESOLVED, o->timeout_ms, error);
}

static bool make_queues(Verbs *v, const VerbsOptions *o, GError **error)
{
    struct ibv_qp_init_attr attr = {.qp_type = IBV_QPT_RC, .sq_sig_all = 0};

    v->completions = ibv_create_comp_channel(v->id->verbs);
    if (!v->completions)
        return fail(error, "create completion channel", errno);
    fcntl(v->completions->fd, F_SETFL, O_NONBLOCK);
    v->send_cq = ibv_create_cq(v->id->verbs, (int)o->sends + 1, NULL, v->completions, 0);
    v->recv_cq = ibv_create_cq(v->id->verbs, (int)o->receives + 1, NULL, v->completions, 0);
    if (!v->send_cq || !v->recv_cq)
        return fail(error, "create completion queue", errno);
    attr.send_cq = v->send_cq;
    attr.recv_cq = v->recv_cq;
    attr.cap = (struct ibv_qp_cap){
        .max_send_wr = o->sends, .max_recv_wr = o->receives, .max_send_sge = 2, .max_recv_sge = 1};
    if (rdma_create_qp(v->id, v->pd, &attr) != 0)
        return fail(error, "create queue pair", errno);
    return true;
}

static bool make_memory(Verbs *v, const VerbsOptions *o, GError **error)
{
    int access = IBV_ACCESS_LOCAL_WRITE;

    access |= o->windows ? IBV_ACCESS_MW_BIND : IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
    v->size = o->memory;
    v->memory = mmap(NULL, v->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v->memory == MAP_FAILED) {
        v->memory = NULL;
        return fail(error, "map memory", errno);
    }
    v->mr = ibv_reg_mr(v->pd, v->memory, v->size, access);
    return v->mr || fail(error, "register memory", errno);
}

bool verbs_prepare(Verbs *v, const VerbsOptions *o, GError **error)
{
    v->events = rdma_create_event_channel();
    if (!v->events)
        return fail(error, "no RDMA here: create event channel", errno);
    if (rdma_create_id(v->events, &v->id, NULL, RDMA_PS_TCP) != 0)
        return fail(error, "create connection id", errno);
    if (!resolve(v, o, error))
        return false;
    v->pd = ibv_alloc_pd(v->id->verbs);
    if (!v->pd)
        return fail(error, "allocate protection domain", errno);
    return make_memory(v, o, error) && make_queues(v, o, error);
}

bool verbs_connect(Verbs *v, const VerbsOptions *o, GError **error)
{
    struct ibv_device_attr device;
    struct rdma_conn_param param = {.private_data = o->private_data,
                                    .private_data_len = o->private_len,
                                    .initiator_depth = 1,
                                    .retry_count = 7,
                                    .rnr_retry_count = 7};

    if (ibv_query_device(v->id->verbs, &device) != 0)
        return fail(error, "query device", errno);
    param.responder_resources = (uint8_t)MIN(device.max_qp_rd_atom, 16);
    if (rdma_connect(v->id, &param) != 0)
        return fail(error, "connect", errno);
    v->connected = await_event(v, RDMA_CM_EVENT_ESTABLISHED, o->timeout_ms, error);
    fcntl(v->events->fd, F_SETFL, O_NONBLOCK);
    return v->connected;
}

void verbs_close(Verbs *v)
{
    if (v->connected)
        rdma_disconnect(v->id);
    if (v->id && v->id->qp)
        rdma_destroy_qp(v->id);
    if (v->send_cq)
        ibv_destroy_cq(v->send_cq);
    if (v->recv_cq)
        ibv_destroy_cq(v->recv_cq);
    if (v->completions)
        ibv_destroy_comp_channel(v->completions);
    if (v->mr)
        ibv_dereg_mr(v->mr);
    if (v->memory)
        munmap(v->memory, v->size);
    if (v->pd)
        ibv_dealloc_pd(v->pd);
    if (v->id)
        rdma_destroy_id(v->id);
    if (v->events)
        rdma_destroy_event_channel(v->events);
    *v = (Verbs){0};
}

bool verbs_take_events(Verbs *v, GError **error)
{
    struct rdma_cm_event *event;
    enum rdma_cm_event_type type;

    while (rdma_get_cm_event(v->events, &event) == 0) {
        type = event->event;
        rdma_ack_cm_event(event);
        if (type == RDMA_CM_EVENT_TIMEWAIT_EXIT)
            continue;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "connection ended: %s",
                    rdma_event_str(type));
        return false;
    }
    return true;
}

bool verbs_arm(Verbs *v)
{
    return ibv_req_notify_cq(v->send_cq, 0) == 0 && ibv_req_notify_cq(v->recv_cq, 0) == 0;
}

void verbs_wait(Verbs *v, int timeout_ms)
{
    struct pollfd pfds[] = {{.fd = v->completions->fd, .events = POLLIN},
                            {.fd = v->events->fd, .events = POLLIN}};
    struct ibv_cq *cq;
    void *context;

    poll(pfds, 2, timeout_ms);
    while (ibv_get_cq_event(v->completions, &cq, &context) == 0)
        ibv_ack_cq_events(cq, 1);
}
