/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A loop: one thread with its own GMainContext and one data-path source that polls, reaps, serves
 * sockets and flushes in rounds. Every connection, engine context and completion queue has exactly
 * one home loop and is touched only there. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Loop Loop;
typedef void (*LoopFn)(void *arg);

typedef struct {
    unsigned poll_us; /* go on polling for so long after the last work before sleeping; 0: never */
} LoopConfig;

/* Loop 0: the calling thread with the default GMainContext. Run it with g_main_loop_run(). */
Loop *loop_new_main(const LoopConfig *config);
/* A loop with a thread of its own, named "rtgt-io-INDEX"; index counts from 1. */
Loop *loop_new(unsigned index, const LoopConfig *config);
/* Ends and joins the thread after everything loop_call()ed before has run. No poller, fd or timer
 * may be left. NULL is allowed. From the thread that made it. */
void loop_free(Loop *loop);

Loop *loop_self(void);                  /* the calling thread's loop; NULL on other threads */
unsigned loop_index(const Loop *loop);  /* MT-SAFE */
GMainContext *loop_context(Loop *loop); /* MT-SAFE */
void loop_set_poll_us(Loop *loop, unsigned poll_us); /* on the loop */

/* Runs fn(arg) on the loop, in the order of the calls of one thread. Never runs it inside the call.
 * MT-SAFE. */
void loop_call(Loop *loop, LoopFn fn, void *arg);

/* Calls fn every `ms` milliseconds on the loop until it returns G_SOURCE_REMOVE; the caller owns
 * the reference and ends it with loop_timer_stop(). On the loop. */
GSource *loop_timer_start(Loop *loop, unsigned ms, GSourceFunc fn, void *arg);
void loop_timer_stop(GSource **timer); /* *timer may be NULL; sets it to NULL */

/* --- the data path: all on the loop ------------------------------------------------------------
 * A round: ready fds -> every poller's poll() -> flush work. Rounds repeat while there is work, up
 * to a turn budget, then poll_us of polling; then pollers are armed, polled once more, and GLib
 * sleeps on the epoll set. */

/* Something polled in every round: a completion queue, an engine context. */
typedef struct LoopPoller LoopPoller;
typedef struct {
    /* Handles at most `budget` completions, returns how many. */
    unsigned (*poll)(LoopPoller *poller, unsigned budget);
    /* Makes the fd readable at the next completion. Called before the loop sleeps; the loop polls
     * once more afterwards. */
    void (*arm)(LoopPoller *poller);
    /* The fd was readable: take the event off it. */
    void (*acknowledge)(LoopPoller *poller);
} LoopPollerOps;
struct LoopPoller {
    const LoopPollerOps *ops;
    int fd; /* -1: never waited for */
    Loop *loop;
    unsigned index;
};
void loop_add_poller(Loop *loop, LoopPoller *poller, const LoopPollerOps *ops, int fd);
void loop_remove_poller(LoopPoller *poller);

/* A socket: ready() is called in a round when epoll says so (level-triggered). It should do a
 * bounded amount of work and return; it is called again while the socket stays ready. */
typedef struct LoopFd LoopFd;
struct LoopFd {
    void (*ready)(LoopFd *fd, uint32_t epoll_events);
    int fd;
    uint32_t events;
    Loop *loop;
};
/* The fd stays the caller's. False (errno) where epoll refuses it. */
bool loop_add_fd(Loop *loop, LoopFd *lfd, int fd, uint32_t epoll_events,
                 void (*ready)(LoopFd *, uint32_t));
void loop_set_fd_events(LoopFd *lfd, uint32_t epoll_events);
/* Safe from inside ready(), of this or another fd; ready() is not called afterwards. */
void loop_remove_fd(LoopFd *lfd);

/* Work put off to the end of the round: one submit per engine, one post per queue pair, one write
 * per socket however many requests queued it. Runs once per queueing. */
typedef struct LoopFlush LoopFlush;
struct LoopFlush {
    void (*run)(LoopFlush *flush);
    LoopFlush *next;
    bool queued;
};
void loop_flush_later(Loop *loop, LoopFlush *flush);
void loop_flush_cancel(Loop *loop, LoopFlush *flush); /* no-op when not queued */

/* Runs when the flush work of the round is done: what it has sent is on its way. Once per queueing;
 * not while it is queued by loop_flush_later(). It may queue flush work, but not itself again. */
void loop_flushed_later(Loop *loop, LoopFlush *flush);
void loop_flushed_cancel(Loop *loop, LoopFlush *flush); /* no-op when not queued */

/* Nanoseconds of CLOCK_MONOTONIC. The clock is read once, when first asked, for all that is found
 * in a round, and once more for what loop_flushed_later() runs: what came in together came at one
 * time, that of the first of it. */
uint64_t loop_now(Loop *loop);

/* Counters; written by the loop alone, read from anywhere (relaxed). */
typedef struct {
    uint64_t turns;       /* dispatches by GLib */
    uint64_t rounds;      /* rounds within them */
    uint64_t empty_polls; /* poll() calls that found nothing */
    uint64_t sleeps;      /* times the pollers were armed */
    uint64_t completions; /* what poll() returned, summed */
} LoopCounters;
void loop_get_counters(Loop *loop, LoopCounters *out); /* MT-SAFE */
