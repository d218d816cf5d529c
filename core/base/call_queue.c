/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Function calls across threads: a list under a mutex, and an event fd for the sleeping receiver.
 */
#include "core/base/call_queue.h"

#include <errno.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct Call {
    void (*fn)(void *);
    void *arg;
    Call *next;
};

void call_queue_init(CallQueue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    q->head = NULL;
    q->tail = &q->head;
    atomic_init(&q->pending, false);
    q->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (q->event_fd < 0)
        g_error("eventfd: %s", g_strerror(errno));
}

void call_queue_deinit(CallQueue *q)
{
    g_assert(!q->head);
    close(q->event_fd);
    pthread_mutex_destroy(&q->lock);
}

void call_queue_push(CallQueue *q, void (*fn)(void *), void *arg)
{
    Call *call = g_new(Call, 1);
    *call = (Call){.fn = fn, .arg = arg};

    pthread_mutex_lock(&q->lock);
    bool first = !q->head;
    *q->tail = call;
    q->tail = &call->next;
    atomic_store(&q->pending, true);
    if (first) /* under the lock: the receiver may end as soon as the call has run */
        eventfd_write(q->event_fd, 1);
    pthread_mutex_unlock(&q->lock);
}

static Call *take_all(CallQueue *q)
{
    pthread_mutex_lock(&q->lock);
    Call *call = q->head;
    q->head = NULL;
    q->tail = &q->head;
    atomic_store(&q->pending, false);
    eventfd_t ignored;
    eventfd_read(q->event_fd, &ignored);
    pthread_mutex_unlock(&q->lock);
    return call;
}

unsigned call_queue_run(CallQueue *q)
{
    if (!atomic_load(&q->pending))
        return 0;
    unsigned n = 0;
    for (Call *call = take_all(q), *next; call; call = next, n++) {
        next = call->next;
        call->fn(call->arg);
        g_free(call);
    }
    return n;
}
