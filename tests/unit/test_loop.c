/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loops: order of calls, rounds of pollers, sockets and flushes, sleeping and waking. */
#include "core/base/loop.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEADLINE_S 20

static const LoopConfig sleepy = {.poll_us = 0};
static const LoopConfig polling = {.poll_us = 50};

static void wait_for(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_S;
    if (sem_timedwait(sem, &until) != 0)
        g_error("not done within %d s", DEADLINE_S);
}

typedef struct {
    LoopFn fn;
    void *arg;
    sem_t done;
} Sync;

static void run_sync(void *arg)
{
    Sync *sync = arg;
    sync->fn(sync->arg);
    sem_post(&sync->done);
}

/* Runs fn on the loop and waits for it. */
static void on_loop(Loop *loop, LoopFn fn, void *arg)
{
    Sync sync = {.fn = fn, .arg = arg};
    sem_init(&sync.done, 0, 0);
    loop_call(loop, run_sync, &sync);
    wait_for(&sync.done);
    sem_destroy(&sync.done);
}

/* --- calls ------------------------------------------------------------------------------------ */

#define CALLS   5000
#define CALLERS 3

typedef struct {
    unsigned next[CALLERS];
    Loop *loop;
    bool wrong;
} Order;
typedef struct {
    Order *order;
    unsigned caller, number;
} Numbered;
typedef struct {
    Order *order;
    unsigned caller;
    Numbered calls[CALLS];
} Caller;

static void check_order(void *arg)
{
    Numbered *n = arg;
    if (n->order->next[n->caller]++ != n->number || loop_self() != n->order->loop)
        n->order->wrong = true;
}

static void *call_many(void *arg)
{
    Caller *caller = arg;
    for (unsigned i = 0; i < CALLS; i++) {
        caller->calls[i] = (Numbered){caller->order, caller->caller, i};
        loop_call(caller->order->loop, check_order, &caller->calls[i]);
    }
    return NULL;
}

static void calls_of_each_thread_stay_in_order(void **state)
{
    (void)state;
    static Caller callers[CALLERS];
    Order order = {.loop = loop_new(1, &sleepy)};
    pthread_t threads[CALLERS];
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i].order = &order;
        callers[i].caller = i;
        pthread_create(&threads[i], NULL, call_many, &callers[i]);
    }
    for (unsigned i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    loop_free(order.loop); /* runs everything queued first */
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(order.next[i], CALLS);
    assert_false(order.wrong);
}

/* --- a poller that another thread feeds --------------------------------------------------------
 */

#define ITEMS 20000

typedef struct {
    LoopPoller poller;
    atomic_uint produced;
    atomic_bool armed;
    int fd;
    unsigned consumed;
    sem_t all;
} Feed;

static unsigned feed_poll(LoopPoller *poller, unsigned budget)
{
    Feed *feed = (Feed *)poller;
    unsigned n = MIN(atomic_load(&feed->produced) - feed->consumed, budget);
    feed->consumed += n;
    if (n > 0 && feed->consumed == ITEMS)
        sem_post(&feed->all);
    return n;
}

static void feed_arm(LoopPoller *poller)
{
    atomic_store(&((Feed *)poller)->armed, true);
}

static void feed_acknowledge(LoopPoller *poller)
{
    eventfd_t ignored;
    eventfd_read(((Feed *)poller)->fd, &ignored);
}

static const LoopPollerOps feed_ops = {feed_poll, feed_arm, feed_acknowledge};
static Loop *the_loop;

static void add_feed(void *arg)
{
    Feed *feed = arg;
    loop_add_poller(the_loop, &feed->poller, &feed_ops, feed->fd);
}

static void remove_feed(void *arg)
{
    loop_remove_poller(&((Feed *)arg)->poller);
}

/* Like a completion queue: an event comes only if the queue was armed. */
static void no_completion_is_missed(void **state)
{
    const LoopConfig *config = *state;
    the_loop = loop_new(1, config);
    Feed feed = {.fd = eventfd(0, EFD_NONBLOCK)};
    sem_init(&feed.all, 0, 0);
    on_loop(the_loop, add_feed, &feed);
    for (unsigned i = 0; i < ITEMS; i++) {
        atomic_fetch_add(&feed.produced, 1);
        if (atomic_exchange(&feed.armed, false))
            eventfd_write(feed.fd, 1);
        if (i % 1000 == 0)
            usleep(300); /* let the loop fall asleep now and then */
    }
    wait_for(&feed.all);
    on_loop(the_loop, remove_feed, &feed);
    LoopCounters counters;
    loop_get_counters(the_loop, &counters);
    assert_int_equal(counters.completions, ITEMS);
    loop_free(the_loop);
    close(feed.fd);
}

/* --- sockets and flushes -----------------------------------------------------------------------
 */

typedef struct {
    LoopFd lfd;
    LoopFlush flush;
    struct Pair *pair;
    unsigned ready, flushed;
} End;
typedef struct Pair {
    End ends[2];
    sem_t done;
} Pair;

static void end_flushed(LoopFlush *flush)
{
    End *end = (End *)((char *)flush - offsetof(End, flush));
    end->flushed++;
    sem_post(&end->pair->done);
}

/* The first one served removes the other, whose event is already in the batch. */
static void end_ready(LoopFd *lfd, uint32_t events)
{
    (void)events;
    End *end = (End *)lfd;
    End *other = &end->pair->ends[end == &end->pair->ends[0]];
    end->ready++;
    loop_remove_fd(&other->lfd);
    loop_remove_fd(&end->lfd);
    loop_flush_later(loop_self(), &end->flush);
    loop_flush_later(loop_self(), &end->flush);
}

static void add_pair(void *arg)
{
    Pair *pair = arg;
    for (unsigned i = 0; i < 2; i++) {
        int fd = eventfd(1, EFD_NONBLOCK);
        pair->ends[i].pair = pair;
        pair->ends[i].flush.run = end_flushed;
        assert_true(loop_add_fd(the_loop, &pair->ends[i].lfd, fd, EPOLLIN, end_ready));
    }
}

static void removed_fd_is_not_served(void **state)
{
    (void)state;
    the_loop = loop_new(1, &sleepy);
    Pair pair = {0};
    sem_init(&pair.done, 0, 0);
    on_loop(the_loop, add_pair, &pair);
    wait_for(&pair.done);
    loop_free(the_loop);
    assert_int_equal(pair.ends[0].ready + pair.ends[1].ready, 1);
    assert_int_equal(pair.ends[0].flushed + pair.ends[1].flushed, 1);
    close(pair.ends[0].lfd.fd);
    close(pair.ends[1].lfd.fd);
}

/* A socket whose request an engine has done by the time it is polled. */
typedef struct {
    LoopFd lfd;
    LoopFlush flush;
    Feed feed;
    unsigned consumed_at_flush;
    sem_t done;
} Inline;

static void inline_flushed(LoopFlush *flush)
{
    Inline *in = (Inline *)((char *)flush - offsetof(Inline, flush));
    in->consumed_at_flush = in->feed.consumed;
    sem_post(&in->done);
}

static void inline_ready(LoopFd *lfd, uint32_t events)
{
    (void)events;
    Inline *in = (Inline *)lfd;
    atomic_fetch_add(&in->feed.produced, 1);
    loop_flush_later(loop_self(), &in->flush);
    loop_remove_fd(lfd);
}

static void add_inline(void *arg)
{
    Inline *in = arg;
    loop_add_poller(the_loop, &in->feed.poller, &feed_ops, -1);
    assert_true(loop_add_fd(the_loop, &in->lfd, in->feed.fd, EPOLLIN, inline_ready));
}

static void what_a_socket_asked_is_polled_in_its_round(void **state)
{
    (void)state;
    the_loop = loop_new(1, &sleepy);
    Inline in = {.flush.run = inline_flushed, .feed.fd = eventfd(1, EFD_NONBLOCK)};
    sem_init(&in.done, 0, 0);
    on_loop(the_loop, add_inline, &in);
    wait_for(&in.done);
    on_loop(the_loop, remove_feed, &in.feed);
    loop_free(the_loop);
    assert_int_equal(in.consumed_at_flush, 1);
    close(in.feed.fd);
}

static void cancel_in_the_middle(void *arg)
{
    LoopFlush *flushes = arg;
    for (unsigned i = 0; i < 3; i++)
        loop_flush_later(the_loop, &flushes[i]);
    loop_flush_cancel(the_loop, &flushes[2]);
    loop_flush_cancel(the_loop, &flushes[0]);
    loop_flush_later(the_loop, &flushes[2]);
    loop_flush_cancel(the_loop, &flushes[1]);
}

static unsigned flush_runs;
static void count_flush(LoopFlush *flush)
{
    (void)flush;
    flush_runs++;
}

static void cancelled_flush_does_not_run(void **state)
{
    (void)state;
    the_loop = loop_new(1, &sleepy);
    LoopFlush flushes[3] = {{count_flush}, {count_flush}, {count_flush}};
    flush_runs = 0;
    on_loop(the_loop, cancel_in_the_middle, flushes);
    loop_free(the_loop);
    assert_int_equal(flush_runs, 1);
}

/* --- after the flushes, and the time ---------------------------------------------------------- */

typedef struct {
    LoopFlush flush, flushed, cancelled;
    unsigned flushes; /* when `flushed` ran */
    uint64_t before, again, after;
    sem_t done;
} Round;

static void flush_of_round(LoopFlush *flush)
{
    Round *round = (Round *)((char *)flush - offsetof(Round, flush));
    round->again = loop_now(the_loop);
    flush_runs++;
}

static void end_of_round(LoopFlush *flush)
{
    Round *round = (Round *)((char *)flush - offsetof(Round, flushed));
    round->flushes = flush_runs;
    round->after = loop_now(the_loop);
    sem_post(&round->done);
}

static void begin_round(void *arg)
{
    Round *round = arg;
    round->before = loop_now(the_loop);
    loop_flushed_later(the_loop, &round->flushed);
    loop_flushed_later(the_loop, &round->flushed);
    loop_flushed_later(the_loop, &round->cancelled);
    loop_flushed_cancel(the_loop, &round->cancelled);
    loop_flush_later(the_loop, &round->flush);
}

static void round_has_one_time_and_an_end(void **state)
{
    (void)state;
    the_loop = loop_new(1, &sleepy);
    Round round = {.flush = {flush_of_round}, .flushed = {end_of_round}};
    sem_init(&round.done, 0, 0);
    flush_runs = 0;
    loop_call(the_loop, begin_round, &round);
    wait_for(&round.done);
    loop_free(the_loop);
    assert_int_equal(round.flushes, 1); /* all flushes came before */
    assert_true(round.before > 0);
    assert_true(round.before == round.again);
    assert_true(round.after > round.before);
    assert_int_equal(sem_trywait(&round.done), -1); /* it ran once */
    sem_destroy(&round.done);
}

/* --- idle --------------------------------------------------------------------------------------
 */

static gboolean post(void *arg)
{
    sem_post(arg);
    return G_SOURCE_CONTINUE;
}

static void idle_loop_does_not_turn(void **state)
{
    const LoopConfig *config = *state;
    the_loop = loop_new(1, config);
    Feed feed = {.fd = eventfd(0, EFD_NONBLOCK)};
    on_loop(the_loop, add_feed, &feed);
    usleep(50000); /* until it sleeps: later turns would be counted below */
    LoopCounters before, after;
    loop_get_counters(the_loop, &before);
    sem_t ticks;
    sem_init(&ticks, 0, 0);
    GSource *timer = loop_timer_start(the_loop, 10, post, &ticks);
    for (unsigned i = 0; i < 5; i++)
        wait_for(&ticks);
    loop_get_counters(the_loop, &after);
    loop_timer_stop(&timer);
    assert_null(timer);
    on_loop(the_loop, remove_feed, &feed);
    loop_free(the_loop);
    close(feed.fd);
    assert_int_equal(after.turns, before.turns);
}

/* --- timers ------------------------------------------------------------------------------------
 */

static struct {
    GSource *slow, *never, *chained;
    char order[8];
    sem_t done;
} clocks;

static gboolean tick(void *arg)
{
    strncat(clocks.order, arg, 1);
    if (clocks.order[0] && clocks.order[1] && clocks.order[2])
        sem_post(&clocks.done);
    return G_SOURCE_REMOVE;
}

/* Ends another timer, and begins one that is due before the slow one. */
static gboolean tick_and_change(void *arg)
{
    tick(arg);
    loop_timer_stop(&clocks.never);
    clocks.chained = loop_timer_start(loop_self(), 1, tick, "b");
    return G_SOURCE_REMOVE;
}

static void start_clocks(void *arg)
{
    Loop *loop = loop_self();
    clocks.slow = loop_timer_start(loop, 60, tick, "c");
    clocks.never = loop_timer_start(loop, 40, tick, "x");
    *(GSource **)arg = loop_timer_start(loop, 2, tick_and_change, "a");
}

static void stop_clocks(void *arg)
{
    loop_timer_stop(arg);
    loop_timer_stop(&clocks.slow);
    loop_timer_stop(&clocks.chained);
}

static void timers_run_when_due(void **state)
{
    (void)state;
    GSource *first;
    sem_init(&clocks.done, 0, 0);
    the_loop = loop_new(1, &sleepy);
    on_loop(the_loop, start_clocks, &first);
    wait_for(&clocks.done);
    on_loop(the_loop, stop_clocks, &first);
    loop_free(the_loop);
    assert_string_equal(clocks.order, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_run_when_due),
        cmocka_unit_test(calls_of_each_thread_stay_in_order),
        cmocka_unit_test_prestate(no_completion_is_missed, (void *)&sleepy),
        cmocka_unit_test_prestate(no_completion_is_missed, (void *)&polling),
        cmocka_unit_test(removed_fd_is_not_served),
        cmocka_unit_test(what_a_socket_asked_is_polled_in_its_round),
        cmocka_unit_test(cancelled_flush_does_not_run),
        cmocka_unit_test(round_has_one_time_and_an_end),
        cmocka_unit_test_prestate(idle_loop_does_not_turn, (void *)&sleepy),
        cmocka_unit_test_prestate(idle_loop_does_not_turn, (void *)&polling),
    };
    return unit_run(tests);
}
