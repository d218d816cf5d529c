/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Event channels. */
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/process.h"

#include <poll.h>
#include <sys/eventfd.h>

void sv_ev_queue(struct sv_echan *c, struct sv_ev *e)
{
    uint64_t one = 1;

    e->next = NULL;
    if (!c->first)
        (void)!write(c->ch.fd, &one, 8);
    *c->last = e;
    c->last = &e->next;
}

struct sv_ev *sv_ev_post(struct sv_id *id, enum rdma_cm_event_type t, int status)
{
    struct sv_ev *e = calloc(1, sizeof(*e));

    if (!e)
        abort();
    e->ev.id = &id->id;
    e->ev.event = t;
    e->ev.status = status;
    e->counted = id;
    sv_ev_queue((struct sv_echan *)id->id.channel, e);
    return e;
}

void sv_ev_conn(struct sv_ev *e, const struct sv_msg *m, uint8_t minlen)
{
    struct rdma_conn_param *c = &e->ev.param.conn;

    memcpy(e->pd, m->pd, m->pdlen);
    c->private_data_len = m->pdlen > minlen ? m->pdlen : minlen;
    c->private_data = e->pd;
    c->responder_resources = m->init_depth;
    c->initiator_depth = m->resp_res;
    c->retry_count = m->retry;
    c->rnr_retry_count = m->rnr;
    c->flow_control = m->flow;
    c->srq = m->srq;
    c->qp_num = m->qpn;
}

void sv_chan_reset(struct sv_echan *c, bool had)
{
    uint64_t v;

    if (had && !c->first)
        (void)!read(c->ch.fd, &v, 8);
}

EXPORT struct rdma_event_channel *rdma_create_event_channel(void)
{
    struct sv_echan *c;

    if (sv_init()) {
        errno = ENODEV;
        return NULL;
    }
    c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->last = &c->first;
    c->ch.fd = eventfd(0, EFD_CLOEXEC);
    if (c->ch.fd < 0) {
        free(c);
        return NULL;
    }
    return &c->ch;
}

EXPORT void rdma_destroy_event_channel(struct rdma_event_channel *ch)
{
    struct sv_echan *c = (struct sv_echan *)ch;
    struct sv_ev *e;

    while ((e = c->first)) {
        c->first = e->next;
        free(e);
    }
    close(ch->fd);
    free(c);
}

int sv_sync_wait(struct sv_id *id)
{
    struct rdma_cm_event *e;

    if (!id->sync)
        return 0;
    if (id->id.event) {
        rdma_ack_cm_event(id->id.event);
        id->id.event = NULL;
    }
    if (rdma_get_cm_event(id->id.channel, &e))
        return -1;
    id->id.event = e;
    if (e->status) {
        if (e->event == RDMA_CM_EVENT_REJECTED)
            return sv_fail(ECONNREFUSED);
        return sv_fail(e->status < 0 ? -e->status : e->status);
    }
    return 0;
}

/* A connection request becomes an identifier. sv_cm_lock held since its event was taken, so
 * that the listener cannot go away with the connection. */
static int process_request(struct sv_ev *e)
{
    struct sv_id *l = TO_ID(e->ev.listen_id), *id;
    struct sv_conn *c = e->conn;

    id = sv_id_new(l->sync ? NULL : l->id.channel, l->id.context, l->id.ps);
    if (!id)
        return -1;
    id->id.route.addr.src_storage = c->m.dst;
    id->id.route.addr.dst_storage = c->m.src;
    id->id.route.path_rec = &id->path;
    id->id.route.num_paths = 1;
    id->path.mtu = IBV_MTU_4096;
    id->path.pkey = htobe16(0xffff);
    sv_id_device(id);
    id->conn = c;
    c->id = id;
    id->state = S_REQ;
    id->id.srq = l->id.srq;
    id->resp_res = c->m.init_depth;
    id->init_depth = c->m.resp_res;
    e->ev.id = &id->id;
    if (c->fd < 0) { /* gave up meanwhile */
        id->state = S_DONE;
        sv_ev_post(id, RDMA_CM_EVENT_REJECTED, 4);
    }
    return 0;
}

static void process_response(struct sv_ev *e)
{
    struct sv_id *id = TO_ID(e->ev.id);
    int err = 0;

    if (id->conn) {
        id->init_depth = id->conn->m.resp_res;
        id->resp_res = id->conn->m.init_depth;
    }
    if (!id->id.qp)
        return; /* the user does it and calls rdma_establish() */
    if (sv_qp_up(id))
        err = errno ? errno : EINVAL;
    pthread_mutex_lock(&sv_cm_lock);
    e->ev.event = RDMA_CM_EVENT_ESTABLISHED;
    if (err || !id->conn || id->conn->fd < 0) {
        e->ev.event = RDMA_CM_EVENT_CONNECT_ERROR;
        e->ev.status = -(err ? err : ECONNRESET);
        if (id->conn && id->conn->fd >= 0) {
            struct sv_msg m = {.type = M_REJ, .status = 28};

            sv_msg_send(id->conn->fd, &m, NULL);
        }
    } else if (id->state == S_REPRCVD) {
        id->state = S_CONN;
        sv_msg_simple(id->conn->fd, M_RTU);
    }
    pthread_mutex_unlock(&sv_cm_lock);
}

/* The next event of a channel, or NULL. */
static struct sv_ev *take_event(struct sv_echan *c)
{
    struct sv_ev *e;

    pthread_mutex_lock(&sv_cm_lock);
    while ((e = c->first)) {
        c->first = e->next;
        if (!c->first)
            c->last = &c->first;
        sv_chan_reset(c, true);
        if (e->ev.event != RDMA_CM_EVENT_CONNECT_REQUEST || !process_request(e)) {
            e->counted->delivered++;
            break;
        }
        free(e); /* no memory: the request is never answered */
    }
    pthread_mutex_unlock(&sv_cm_lock);
    if (e && e->ev.event == RDMA_CM_EVENT_CONNECT_RESPONSE)
        process_response(e);
    return e;
}

EXPORT int rdma_get_cm_event(struct rdma_event_channel *ch, struct rdma_cm_event **out)
{
    struct pollfd pfd = {.fd = ch->fd, .events = POLLIN};
    struct sv_ev *e;
    int cancel;

    for (;;) {
        /* programs cancel the thread that waits here; only while it waits */
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
        e = take_event((struct sv_echan *)ch);
        pthread_setcancelstate(cancel, NULL);
        if (e) {
            *out = &e->ev;
            return 0;
        }
        if (fcntl(ch->fd, F_GETFL) & O_NONBLOCK)
            return sv_fail(EAGAIN);
        if (poll(&pfd, 1, -1) < 0)
            return -1;
    }
}

EXPORT int rdma_ack_cm_event(struct rdma_cm_event *ev)
{
    struct sv_ev *e = (struct sv_ev *)ev;

    if (!ev)
        return sv_fail(EINVAL);
    pthread_mutex_lock(&sv_cm_lock);
    e->counted->acked++;
    pthread_cond_broadcast(&sv_cm_cond);
    pthread_mutex_unlock(&sv_cm_lock);
    free(e);
    return 0;
}
