/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The accounting of a send queue. */
#include "core/rdma/send_queue.h"

#include <glib.h>

static void list_append(WorkList *list, Work *work)
{
    work->next = NULL;
    if (list->tail)
        list->tail->next = work;
    else
        list->head = work;
    list->tail = work;
}

static Work *list_pop(WorkList *list)
{
    Work *work = list->head;
    if (work) {
        list->head = work->next;
        if (!list->head)
            list->tail = NULL;
    }
    return work;
}

static bool is_read(const Work *work)
{
    return work->wr.opcode == IBV_WR_RDMA_READ;
}

void send_queue_init(SendQueue *queue, unsigned slots, unsigned read_depth)
{
    g_assert(slots >= 2);
    *queue = (SendQueue){.slots = slots, .read_depth = read_depth};
}

void send_queue_push(SendQueue *queue, Work *work)
{
    list_append(is_read(work) ? &queue->waiting_reads : &queue->waiting, work);
}

static Work *next_to_post(SendQueue *queue)
{
    if (queue->posted_n == queue->slots)
        return NULL;
    if (queue->waiting_reads.head && queue->reads_n < queue->read_depth) {
        queue->reads_n++;
        return list_pop(&queue->waiting_reads);
    }
    return list_pop(&queue->waiting);
}

Work *send_queue_take(SendQueue *queue)
{
    Work *first = NULL, *last = NULL, *work;
    while ((work = next_to_post(queue))) {
        work->wr.send_flags &= ~(unsigned)IBV_SEND_SIGNALED;
        if (work->prompt)
            work->wr.send_flags |= IBV_SEND_SIGNALED;
        work->wr.next = NULL;
        if (last)
            last->wr.next = &work->wr;
        else
            first = work;
        last = work;
        list_append(&queue->posted, work);
        queue->posted_n++;
        queue->signalled += work->prompt;
    }
    if (last) {
        queue->signalled += !last->prompt;
        last->wr.send_flags |= IBV_SEND_SIGNALED;
        queue->posts++;
    }
    return first;
}

static void forget_posted(SendQueue *queue, const Work *work)
{
    queue->posted_n--;
    if (is_read(work))
        queue->reads_n--;
}

void send_queue_untake(SendQueue *queue, Work *first)
{
    WorkList kept = {NULL, NULL};
    Work *work;
    while (queue->posted.head != first && (work = list_pop(&queue->posted)))
        list_append(&kept, work);
    WorkList refused = queue->posted;
    queue->posted = kept;
    while ((work = list_pop(&refused))) {
        forget_posted(queue, work);
        send_queue_push(queue, work);
    }
}

void send_queue_complete(SendQueue *queue, Work *work, int error)
{
    Work *at;
    do {
        at = list_pop(&queue->posted);
        g_assert(at);
        forget_posted(queue, at);
        at->done(at, at == work ? error : 0);
    } while (at != work);
}

void send_queue_cancel(SendQueue *queue, bool posted_too, int error)
{
    Work *work;
    while (posted_too && (work = list_pop(&queue->posted))) {
        forget_posted(queue, work);
        work->done(work, error);
    }
    while ((work = list_pop(&queue->waiting_reads)) || (work = list_pop(&queue->waiting)))
        work->done(work, error);
}

bool send_queue_empty(const SendQueue *queue)
{
    return !queue->posted.head && !queue->waiting.head && !queue->waiting_reads.head;
}
