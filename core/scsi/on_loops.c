/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A rendezvous of loop 0 with the I/O loops. */
#include "core/scsi/on_loops.h"

#include <pthread.h>

typedef struct {
    pthread_mutex_t lock; /* which ThreadSanitizer understands, unlike GLib's */
    pthread_cond_t all_done;
    unsigned left;
    void (*fn)(Loop *loop, void *arg);
    void *arg;
} Rendezvous;

static void run_here(void *arg)
{
    Rendezvous *r = arg;
    r->fn(loop_self(), r->arg);
    pthread_mutex_lock(&r->lock);
    if (--r->left == 0)
        pthread_cond_signal(&r->all_done);
    pthread_mutex_unlock(&r->lock);
}

void on_loops(Loop *const *loops, unsigned nloops, void (*fn)(Loop *loop, void *arg), void *arg)
{
    Rendezvous r = {.left = nloops, .fn = fn, .arg = arg};
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.all_done, NULL);
    for (unsigned i = 0; i < nloops; i++)
        if (loops[i] != loop_self())
            loop_call(loops[i], run_here, &r);
    for (unsigned i = 0; i < nloops; i++)
        if (loops[i] == loop_self())
            run_here(&r);
    pthread_mutex_lock(&r.lock);
    while (r.left > 0)
        pthread_cond_wait(&r.all_done, &r.lock);
    pthread_mutex_unlock(&r.lock);
    pthread_cond_destroy(&r.all_done);
    pthread_mutex_destroy(&r.lock);
}
