/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Function calls from any thread to one thread, in order: what loop_call() is made of. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct Call Call;

/* pthread's mutex, not GLib's, because ThreadSanitizer understands it. */
typedef struct {
    pthread_mutex_t lock;
    Call *head, **tail;
    atomic_bool pending;
    int event_fd; /* readable while a call is queued */
} CallQueue;

void call_queue_init(CallQueue *queue);
void call_queue_deinit(CallQueue *queue); /* empty (asserted) */

void call_queue_push(CallQueue *queue, void (*fn)(void *), void *arg); /* MT-SAFE */
/* Runs what was queued before, on the thread that owns the queue; how many calls. */
unsigned call_queue_run(CallQueue *queue);
