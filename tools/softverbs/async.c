/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asynchronous events. */
#include "tools/softverbs/context.h"

#include <poll.h>

void sv_async_event(struct ibv_context *ibc, enum ibv_event_type t, void *obj, uint32_t *delivered)
{
    struct sv_ctx *c = sv_to_ctx(ibc);
    struct sv_async *a = calloc(1, sizeof(*a));

    if (!a)
        return;
    a->ev.event_type = t;
    if (obj)
        a->ev.element.qp = obj;
    else
        a->ev.element.port_num = 1;
    a->delivered = delivered;
    pthread_mutex_lock(&c->lock);
    if (!c->first)
        (void)!write(ibc->cmd_fd, "", 1);
    *c->last = a;
    c->last = &a->next;
    pthread_mutex_unlock(&c->lock);
}

EXPORT int ibv_get_async_event(struct ibv_context *ibc, struct ibv_async_event *ev)
{
    struct sv_ctx *c = sv_to_ctx(ibc);
    struct pollfd pfd = {.fd = ibc->async_fd, .events = POLLIN};
    struct sv_async *a;
    char b;

    for (;;) {
        pthread_mutex_lock(&c->lock);
        a = c->first;
        if (a) {
            c->first = a->next;
            if (!c->first) {
                c->last = &c->first;
                (void)!read(ibc->async_fd, &b, 1);
            }
            if (a->delivered)
                ++*a->delivered;
        }
        pthread_mutex_unlock(&c->lock);
        if (a)
            break;
        if (fcntl(ibc->async_fd, F_GETFL) & O_NONBLOCK) {
            errno = EAGAIN;
            return -1;
        }
        if (poll(&pfd, 1, -1) < 0)
            return -1;
    }
    *ev = a->ev;
    free(a);
    return 0;
}

EXPORT void ibv_ack_async_event(struct ibv_async_event *ev)
{
#define ACK(o, field)                       \
    do {                                    \
        pthread_mutex_lock(&(o)->mutex);    \
        (o)->field++;                       \
        pthread_cond_broadcast(&(o)->cond); \
        pthread_mutex_unlock(&(o)->mutex);  \
    } while (0)
    switch (ev->event_type) {
    case IBV_EVENT_CQ_ERR:
        ACK(ev->element.cq, async_events_completed);
        break;
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_COMM_EST:
    case IBV_EVENT_SQ_DRAINED:
    case IBV_EVENT_QP_LAST_WQE_REACHED:
        ACK(ev->element.qp, events_completed);
        break;
    case IBV_EVENT_SRQ_ERR:
    case IBV_EVENT_SRQ_LIMIT_REACHED:
        ACK(ev->element.srq, events_completed);
        break;
    default:
        break;
    }
}

/* Before an object goes: drop what nobody fetched, wait for what was not acked. */
void sv_async_purge(struct ibv_context *ibc, uint32_t *delivered, pthread_mutex_t *m,
                    pthread_cond_t *cond, uint32_t *completed)
{
    struct sv_ctx *c = sv_to_ctx(ibc);
    struct sv_async **pp, *a;
    uint32_t want;
    char b;

    pthread_mutex_lock(&c->lock);
    bool had = c->first != NULL;

    for (pp = &c->first; (a = *pp);) {
        if (a->delivered == delivered) {
            *pp = a->next;
            free(a);
        } else {
            pp = &a->next;
        }
    }
    c->last = pp;
    if (had && !c->first)
        (void)!read(ibc->async_fd, &b, 1);
    want = *delivered;
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_lock(m);
    while (*completed != want)
        pthread_cond_wait(cond, m);
    pthread_mutex_unlock(m);
}
