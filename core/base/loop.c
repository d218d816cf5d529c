/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loops: the thread, and the rounds of the data-path source. */
#include "core/base/loop.h"

#include "core/base/call_queue.h"
#include "core/base/counter.h"
#include "core/base/timers.h"

#include <errno.h>
#include <glib-unix.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define POLL_BUDGET    32  /* completions taken from one poller in a round */
#define READY_BATCH    64  /* ready fds served in a round */
#define TURN_US        500 /* longest turn: GLib's timers and control wait for so long */
#define PROBE_INTERVAL 64  /* sleeps between two tries of polling that did not pay before */

typedef struct {
    GSource source;
    Loop *loop;
    gpointer fd_tag;
} DataSource;

struct Loop {
    unsigned index;
    GMainContext *context;
    GMainLoop *main_loop; /* NULL on loop 0, which somebody else runs */
    pthread_t thread;
    GSource *source;
    int epoll_fd;
    CallQueue calls;
    Timers timers;

    GPtrArray *pollers; /* LoopPoller; NULL: removed in this round */
    unsigned n_fds;     /* sockets, the pollers' fds not counted */
    struct epoll_event batch[READY_BATCH];
    int batch_at, batch_n;
    LoopFlush *flush_head, **flush_tail;
    unsigned flush_n;
    LoopFlush *flushed; /* to be run after them; the order is nobody's affair */
    bool again;         /* the turn ended with work left */
    bool in_turn;
    uint64_t now; /* of loop_now() in this part of the round; 0: nobody has asked */

    unsigned poll_us, window_us; /* configured limit; what pays at present */
    unsigned sleeps_unprobed;
    LoopCounters counters;
};

static __thread Loop *current;

/* What an epoll event belongs to, told by the low bits of its pointer. */
enum { TAG_FD = 0, TAG_POLLER = 1, TAG_CALLS = 2, TAG_MASK = 3 };

static int64_t now_us(void)
{
    return g_get_monotonic_time();
}

void loop_call(Loop *loop, LoopFn fn, void *arg)
{
    call_queue_push(&loop->calls, fn, arg);
}

/* --- pollers ---------------------------------------------------------------------------------- */

static void epoll_change(Loop *loop, int op, int fd, uint32_t events, void *data, unsigned tag)
{
    struct epoll_event event = {.events = events, .data.u64 = (uintptr_t)data | tag};
    if (epoll_ctl(loop->epoll_fd, op, fd, &event) != 0)
        g_error("epoll_ctl(%d, fd %d): %s", op, fd, g_strerror(errno));
}

void loop_add_poller(Loop *loop, LoopPoller *poller, const LoopPollerOps *ops, int fd)
{
    *poller = (LoopPoller){.ops = ops, .fd = fd, .loop = loop, .index = loop->pollers->len};
    g_ptr_array_add(loop->pollers, poller);
    if (fd >= 0)
        epoll_change(loop, EPOLL_CTL_ADD, fd, EPOLLIN, poller, TAG_POLLER);
    loop->again = true; /* it may hold completions already, and must be armed */
}

static void forget_in_batch(Loop *loop, const void *data, unsigned tag)
{
    for (int i = loop->batch_at; i < loop->batch_n; i++)
        if (loop->batch[i].data.u64 == ((uintptr_t)data | tag))
            loop->batch[i].data.u64 = 0;
}

void loop_remove_poller(LoopPoller *poller)
{
    Loop *loop = poller->loop;
    if (!loop)
        return;
    if (poller->fd >= 0)
        epoll_change(loop, EPOLL_CTL_DEL, poller->fd, 0, NULL, 0);
    forget_in_batch(loop, poller, TAG_POLLER);
    loop->pollers->pdata[poller->index] = NULL; /* a round may be under way: compacted after it */
    poller->loop = NULL;
}

static void compact_pollers(Loop *loop)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < loop->pollers->len; i++) {
        LoopPoller *poller = loop->pollers->pdata[i];
        if (!poller)
            continue;
        poller->index = kept;
        loop->pollers->pdata[kept++] = poller;
    }
    g_ptr_array_set_size(loop->pollers, (int)kept);
}

static unsigned poll_pollers(Loop *loop)
{
    unsigned total = 0;
    bool holes = false;
    for (unsigned i = 0; i < loop->pollers->len; i++) {
        LoopPoller *poller = loop->pollers->pdata[i];
        unsigned n = poller ? poller->ops->poll(poller, POLL_BUDGET) : 0;
        if (n == 0)
            counter_add(&loop->counters.empty_polls, 1);
        total += n;
        holes |= !loop->pollers->pdata[i];
    }
    if (holes)
        compact_pollers(loop);
    counter_add(&loop->counters.completions, total);
    return total;
}

static void arm_pollers(Loop *loop)
{
    for (unsigned i = 0; i < loop->pollers->len; i++) {
        LoopPoller *poller = loop->pollers->pdata[i];
        if (poller && poller->fd >= 0)
            poller->ops->arm(poller);
    }
}

/* --- sockets ---------------------------------------------------------------------------------- */

bool loop_add_fd(Loop *loop, LoopFd *lfd, int fd, uint32_t epoll_events,
                 void (*ready)(LoopFd *, uint32_t))
{
    struct epoll_event event = {.events = epoll_events, .data.u64 = (uintptr_t)lfd | TAG_FD};
    *lfd = (LoopFd){.ready = ready, .fd = fd, .events = epoll_events, .loop = loop};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        lfd->loop = NULL;
        return false;
    }
    loop->n_fds++;
    return true;
}

void loop_set_fd_events(LoopFd *lfd, uint32_t epoll_events)
{
    if (!lfd->loop || lfd->events == epoll_events)
        return;
    lfd->events = epoll_events;
    epoll_change(lfd->loop, EPOLL_CTL_MOD, lfd->fd, epoll_events, lfd, TAG_FD);
}

void loop_remove_fd(LoopFd *lfd)
{
    Loop *loop = lfd->loop;
    if (!loop)
        return;
    epoll_change(loop, EPOLL_CTL_DEL, lfd->fd, 0, NULL, 0);
    forget_in_batch(loop, lfd, TAG_FD);
    loop->n_fds--;
    lfd->loop = NULL;
}

static unsigned serve_event(const struct epoll_event *event)
{
    void *data = (void *)(uintptr_t)(event->data.u64 & ~(uint64_t)TAG_MASK);
    unsigned tag = event->data.u64 & TAG_MASK;
    if (!data)
        return 0; /* removed by an earlier one of the batch, or the calls' fd */
    if (tag == TAG_POLLER) {
        LoopPoller *poller = data;
        poller->ops->acknowledge(poller);
        return 0; /* its completions are counted by poll() */
    }
    LoopFd *lfd = data;
    lfd->ready(lfd, event->events);
    return 1;
}

static unsigned serve_ready_fds(Loop *loop)
{
    loop->batch_n = epoll_wait(loop->epoll_fd, loop->batch, READY_BATCH, 0);
    unsigned served = 0;
    for (loop->batch_at = 0; loop->batch_at < loop->batch_n;) {
        struct epoll_event event = loop->batch[loop->batch_at++];
        served += serve_event(&event);
    }
    loop->batch_at = loop->batch_n = 0;
    return served;
}

/* --- flush work ------------------------------------------------------------------------------- */

void loop_flush_later(Loop *loop, LoopFlush *flush)
{
    if (flush->queued)
        return;
    flush->queued = true;
    flush->next = NULL;
    *loop->flush_tail = flush;
    loop->flush_tail = &flush->next;
    loop->flush_n++;
}

static void unlink_flush(Loop *loop, LoopFlush **at)
{
    LoopFlush *flush = *at;
    *at = flush->next;
    if (!flush->next)
        loop->flush_tail = at;
    flush->queued = false;
    loop->flush_n--;
}

void loop_flush_cancel(Loop *loop, LoopFlush *flush)
{
    if (!flush->queued)
        return;
    for (LoopFlush **at = &loop->flush_head; *at; at = &(*at)->next)
        if (*at == flush) {
            unlink_flush(loop, at);
            return;
        }
}

static unsigned run_flushes(Loop *loop)
{
    unsigned n = loop->flush_n; /* what these queue again waits for the next round */
    for (unsigned i = 0; i < n && loop->flush_head; i++) {
        LoopFlush *flush = loop->flush_head;
        unlink_flush(loop, &loop->flush_head);
        flush->run(flush);
    }
    return n;
}

void loop_flushed_later(Loop *loop, LoopFlush *flush)
{
    if (flush->queued)
        return;
    flush->queued = true;
    flush->next = loop->flushed;
    loop->flushed = flush;
}

void loop_flushed_cancel(Loop *loop, LoopFlush *flush)
{
    for (LoopFlush **at = &loop->flushed; *at; at = &(*at)->next)
        if (*at == flush) {
            *at = flush->next;
            flush->queued = false;
            return;
        }
}

static bool has_queued(const Loop *loop)
{
    return loop->flush_head || loop->flushed;
}

static void run_flushed(Loop *loop)
{
    LoopFlush *flush;
    loop->now = 0;
    while ((flush = loop->flushed)) {
        loop->flushed = flush->next;
        flush->queued = false;
        flush->run(flush);
    }
}

/* --- the time --------------------------------------------------------------------------------- */

uint64_t loop_now(Loop *loop)
{
    if (loop->now)
        return loop->now;
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    uint64_t now = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
    if (loop->in_turn) /* otherwise GLib calls somebody, and nobody says when it is over */
        loop->now = now;
    return now;
}

/* --- rounds and turns ------------------------------------------------------------------------- */

static unsigned run_round(Loop *loop, bool look_at_fds)
{
    counter_add(&loop->counters.rounds, 1);
    loop->now = 0;
    unsigned work = call_queue_run(&loop->calls);
    if (look_at_fds)
        work += serve_ready_fds(loop);
    work += poll_pollers(loop); /* after the fds: what they asked of an engine may be done by now */
    work += run_flushes(loop);
    if (loop->flushed)
        run_flushed(loop);
    return work;
}

/* Polling pays when it finds work: its window doubles then, halves otherwise, and is tried again
 * now and then, so that a quiet loop sleeps at once and a busy one never does. */
static unsigned poll_window(Loop *loop)
{
    if (loop->window_us > 0 || loop->poll_us == 0)
        return loop->window_us;
    if (++loop->sleeps_unprobed < PROBE_INTERVAL)
        return 0;
    loop->sleeps_unprobed = 0;
    return loop->poll_us;
}

static bool poll_for_work(Loop *loop, int64_t turn_end)
{
    unsigned window = poll_window(loop);
    if (window == 0)
        return false;
    int64_t end = MIN(now_us() + window, turn_end);
    do {
        if (run_round(loop, loop->n_fds > 0)) {
            loop->window_us = MIN(loop->poll_us, MAX(2 * window, 1));
            return true;
        }
    } while (now_us() < end);
    loop->window_us = window / 2;
    return false;
}

static bool arm_and_look_again(Loop *loop)
{
    counter_add(&loop->counters.sleeps, 1);
    arm_pollers(loop);
    loop->now = 0;
    return poll_pollers(loop) > 0 || has_queued(loop);
}

static void run_rounds(Loop *loop)
{
    int64_t end = now_us() + TURN_US;
    run_round(loop, true); /* woken by an fd: look which */
    do {
        if (!run_round(loop, loop->n_fds > 0) && !poll_for_work(loop, end) &&
            !arm_and_look_again(loop))
            return;
    } while (now_us() < end);
    loop->again = true;
}

static void run_turn(Loop *loop)
{
    counter_add(&loop->counters.turns, 1);
    loop->again = false;
    loop->in_turn = true;
    run_rounds(loop);
    loop->in_turn = false;
    loop->now = 0;
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    Loop *loop = ((DataSource *)source)->loop;
    *timeout = -1;
    return loop->again || has_queued(loop);
}

static gboolean source_check(GSource *source)
{
    DataSource *data = (DataSource *)source;
    return data->loop->again || has_queued(data->loop) ||
           g_source_query_unix_fd(source, data->fd_tag) != 0;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer arg)
{
    (void)callback, (void)arg;
    run_turn(((DataSource *)source)->loop);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch};

/* --- making and ending ------------------------------------------------------------------------ */

static Loop *loop_create(unsigned index, GMainContext *context, const LoopConfig *config)
{
    Loop *loop = g_new0(Loop, 1);
    loop->index = index;
    loop->context = context;
    loop->poll_us = loop->window_us = config->poll_us;
    loop->pollers = g_ptr_array_new();
    loop->flush_tail = &loop->flush_head;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        g_error("epoll_create1: %s", g_strerror(errno));
    call_queue_init(&loop->calls);
    epoll_change(loop, EPOLL_CTL_ADD, loop->calls.event_fd, EPOLLIN, NULL, TAG_CALLS);

    loop->source = g_source_new(&source_funcs, sizeof(DataSource));
    DataSource *data = (DataSource *)loop->source;
    data->loop = loop;
    data->fd_tag = g_source_add_unix_fd(loop->source, loop->epoll_fd, G_IO_IN);
    g_source_set_static_name(loop->source, "rtgt data path");
    /* Nothing here iterates the context from within; forbidding it would have GLib take the fd out
     * of its set and put it back around every turn, and wake itself up by an event fd each time. */
    g_source_set_can_recurse(loop->source, TRUE);
    g_source_attach(loop->source, context);
    timers_init(&loop->timers, context);
    return loop;
}

Loop *loop_new_main(const LoopConfig *config)
{
    g_assert(!current);
    current = loop_create(0, g_main_context_ref(g_main_context_default()), config);
    return current;
}

static void *loop_thread(void *arg)
{
    Loop *loop = arg;
    char name[16];
    snprintf(name, sizeof name, "rtgt-io-%u", loop->index % 1000);
    pthread_setname_np(pthread_self(), name);
    current = loop;
    g_main_context_push_thread_default(loop->context);
    g_main_loop_run(loop->main_loop);
    g_main_context_pop_thread_default(loop->context);
    return NULL;
}

Loop *loop_new(unsigned index, const LoopConfig *config)
{
    Loop *loop = loop_create(index, g_main_context_new(), config);
    loop->main_loop = g_main_loop_new(loop->context, FALSE);
    int error = pthread_create(&loop->thread, NULL, loop_thread, loop);
    if (error != 0)
        g_error("cannot start I/O loop %u: %s", index, g_strerror(error));
    return loop;
}

static void quit_loop(void *arg)
{
    Loop *loop = arg;
    g_main_loop_quit(loop->main_loop);
}

void loop_free(Loop *loop)
{
    if (!loop)
        return;
    if (loop->main_loop) {
        loop_call(loop, quit_loop, loop);
        pthread_join(loop->thread, NULL);
        g_main_loop_unref(loop->main_loop);
    } else {
        while (call_queue_run(&loop->calls))
            ;
        current = NULL;
    }
    compact_pollers(loop);
    g_assert(loop->pollers->len == 0 && loop->n_fds == 0 && !has_queued(loop));
    timers_deinit(&loop->timers);
    g_source_destroy(loop->source);
    g_source_unref(loop->source);
    g_main_context_unref(loop->context);
    call_queue_deinit(&loop->calls);
    close(loop->epoll_fd);
    g_ptr_array_unref(loop->pollers);
    g_free(loop);
}

/* --- small things ----------------------------------------------------------------------------- */

Loop *loop_self(void)
{
    return current;
}

unsigned loop_index(const Loop *loop)
{
    return loop->index;
}

GMainContext *loop_context(Loop *loop)
{
    return loop->context;
}

void loop_set_poll_us(Loop *loop, unsigned poll_us)
{
    loop->poll_us = loop->window_us = poll_us;
}

GSource *loop_timer_start(Loop *loop, unsigned ms, GSourceFunc fn, void *arg)
{
    return timers_start(&loop->timers, ms, fn, arg);
}

void loop_timer_stop(GSource **timer)
{
    if (!*timer)
        return;
    g_source_destroy(*timer);
    g_source_unref(*timer);
    *timer = NULL;
}

void loop_get_counters(Loop *loop, LoopCounters *out)
{
    const LoopCounters *c = &loop->counters;
    *out = (LoopCounters){
        .turns = counter_get(&c->turns),
        .rounds = counter_get(&c->rounds),
        .empty_polls = counter_get(&c->empty_polls),
        .sleeps = counter_get(&c->sleeps),
        .completions = counter_get(&c->completions),
    };
}
