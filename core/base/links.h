/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GLib's queues of embedded links where every command goes through one: the same as
 * g_queue_push_tail_link() and g_queue_unlink(), without three calls into the library each. */
#pragma once

#include <glib.h>

static inline void links_push_tail(GQueue *queue, GList *link)
{
    link->prev = queue->tail;
    link->next = NULL;
    if (queue->tail)
        queue->tail->next = link;
    else
        queue->head = link;
    queue->tail = link;
    queue->length++;
}

static inline void links_push_head(GQueue *queue, GList *link)
{
    link->prev = NULL;
    link->next = queue->head;
    if (queue->head)
        queue->head->prev = link;
    else
        queue->tail = link;
    queue->head = link;
    queue->length++;
}

/* It is in the queue. */
static inline void links_remove(GQueue *queue, GList *link)
{
    *(link->prev ? &link->prev->next : &queue->head) = link->next;
    *(link->next ? &link->next->prev : &queue->tail) = link->prev;
    link->prev = link->next = NULL;
    queue->length--;
}
