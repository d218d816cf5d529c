/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker pool: growth, order of wake-up, retirement, and when it signals. */
#include "tests/unit/unit.h"

#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "aio/workers.h"

#define DEADLINE (30 * G_TIME_SPAN_SECOND)

/* Requests wait in perform() until the gate lets them through. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned inside, open;
    pthread_t last;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};

static void gated_perform(AioReq *req, AioCounters *counters)
{
    (void)counters;
    pthread_mutex_lock(&gate.lock);
    gate.inside++;
    gate.last = pthread_self();
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.open--;
    gate.inside--;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    req->res = 1;
}

static void gate_open(unsigned count)
{
    pthread_mutex_lock(&gate.lock);
    gate.open += count;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static bool gate_holds(unsigned count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&gate.lock);
    int res = 0;
    while (gate.inside != count && res == 0)
        res = pthread_cond_timedwait(&gate.changed, &gate.lock, &until);
    bool holds = gate.inside == count;
    pthread_mutex_unlock(&gate.lock);
    return holds;
}

typedef struct {
    AioWorkers *pool;
    AioCounters counters;
    AioReq reqs[64];
} Pool;

static void pool_open(Pool *pool, unsigned threads, bool coalesce, unsigned idle_ms)
{
    AioWorkersConfig config = {
        .threads = threads, .coalesce = coalesce, .idle_ms = idle_ms, .perform = gated_perform};
    *pool = (Pool){.pool = NULL};
    assert_int_equal(aio_workers_open(&config, &pool->counters, &pool->pool), 0);
}

static void push_for(Pool *pool, unsigned first, unsigned count, const void *file)
{
    for (unsigned i = first; i < first + count; i++) {
        pool->reqs[i].file = (AioFile *)file; /* never looked into */
        aio_workers_push(pool->pool, &pool->reqs[i]);
    }
    aio_workers_kick(pool->pool);
}

static void pool_push(Pool *pool, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        aio_workers_push(pool->pool, &pool->reqs[i]);
    aio_workers_kick(pool->pool);
}

static uint64_t count_of(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static bool readable(const Pool *pool, int timeout)
{
    struct pollfd event = {.fd = aio_workers_event_fd(pool->pool), .events = POLLIN};
    return poll(&event, 1, timeout) == 1;
}

static void pool_collect(Pool *pool, unsigned count)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE;
    AioReqList done = {0};

    while (count && g_get_monotonic_time() < deadline) {
        count -= aio_workers_collect(pool->pool, &done);
        if (count)
            readable(pool, 1000);
        aio_workers_clear(pool->pool, 0);
    }
    assert_int_equal(count, 0);
    for (AioReq *req; (req = aio_reqs_pop(&done));)
        assert_int_equal(req->res, 1);
}

/* The last signs may come after their requests were collected: until all are read. */
static void pool_quiet(Pool *pool)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE;
    do
        aio_workers_clear(pool->pool, 0);
    while (readable(pool, 0) && g_get_monotonic_time() < deadline);
    assert_false(readable(pool, 0));
}

static bool becomes(unsigned (*number)(AioWorkers *), Pool *pool, unsigned count)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE;
    while (number(pool->pool) != count && g_get_monotonic_time() < deadline)
        g_usleep(1000);
    return number(pool->pool) == count;
}

static void test_no_thread_without_work(void **state)
{
    (void)state;
    Pool pool;
    pool_open(&pool, 4, true, 5000);
    assert_int_equal(aio_workers_alive(pool.pool), 0);
    assert_false(readable(&pool, 0));
    aio_workers_kick(pool.pool);
    assert_int_equal(aio_workers_alive(pool.pool), 0);
    aio_workers_close(pool.pool);
}

/* Every blocked worker is followed by another, up to the limit; the rest waits. */
static void test_grows_while_blocked(void **state)
{
    (void)state;
    Pool pool;
    pool_open(&pool, 5, true, 5000);
    pool_push(&pool, 8);
    assert_true(gate_holds(5));
    assert_int_equal(aio_workers_alive(pool.pool), 5);
    gate_open(8);
    pool_collect(&pool, 8);
    assert_int_equal(count_of(&pool.counters.hand_offs), 8);
    assert_int_equal(aio_workers_alive(pool.pool), 5);
    aio_workers_close(pool.pool);
}

/* All workers wait for one disk: others get workers of their own, it gets no more. */
static void test_a_file_that_hangs(void **state)
{
    static const char hangs, works;
    Pool pool;

    (void)state;
    pool_open(&pool, 4, true, 60000);
    push_for(&pool, 0, 10, &hangs);
    assert_true(gate_holds(4));
    push_for(&pool, 10, 1, &works);
    assert_true(gate_holds(5));
    push_for(&pool, 20, 5, &hangs);
    push_for(&pool, 11, 5, &works);
    assert_true(gate_holds(8));
    assert_int_equal(aio_workers_alive(pool.pool), 8);
    gate_open(21);
    pool_collect(&pool, 21);
    pool_quiet(&pool);
    aio_workers_close(pool.pool);
}

static void test_no_growth_without_need(void **state)
{
    (void)state;
    Pool pool;
    pool_open(&pool, 5, true, 5000);
    for (unsigned i = 0; i < 50; i++) {
        pool_push(&pool, 1);
        assert_true(gate_holds(1));
        gate_open(1);
        pool_collect(&pool, 1);
        assert_true(becomes(aio_workers_idle, &pool, 1));
    }
    assert_int_equal(aio_workers_alive(pool.pool), 1);
    aio_workers_close(pool.pool);
}

static void test_retires(void **state)
{
    (void)state;
    Pool pool;
    pool_open(&pool, 6, true, 20);
    for (unsigned round = 0; round < 3; round++) {
        pool_push(&pool, 6);
        assert_true(gate_holds(6));
        gate_open(6);
        pool_collect(&pool, 6);
        assert_true(becomes(aio_workers_alive, &pool, 1));
    }
    aio_workers_close(pool.pool);
}

/* The worker that finished last is woken first: with one request at a time always the same. */
static void test_wakes_the_latest(void **state)
{
    (void)state;
    Pool pool;
    pthread_t same = 0;

    pool_open(&pool, 4, true, 5000);
    pool_push(&pool, 4);
    assert_true(gate_holds(4));
    gate_open(4);
    pool_collect(&pool, 4);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(becomes(aio_workers_idle, &pool, 4));
        uint64_t before = count_of(&pool.counters.wake_ups);
        pool_push(&pool, 1);
        assert_true(gate_holds(1));
        assert_true(i == 0 || pthread_equal(gate.last, same));
        same = gate.last;
        assert_int_equal(count_of(&pool.counters.wake_ups), before + 1);
        gate_open(1);
        pool_collect(&pool, 1);
    }
    aio_workers_close(pool.pool);
}

/* Requests done before anybody looks share one sign; the order is that of completion. */
static void test_one_sign_for_many(void **state)
{
    (void)state;
    Pool pool;
    AioReqList done = {0};

    pool_open(&pool, 1, true, 5000);
    pool_push(&pool, 32);
    gate_open(32);
    assert_true(readable(&pool, 30000));
    assert_true(gate_holds(0));
    assert_true(becomes(aio_workers_idle, &pool, 1));
    assert_int_equal(count_of(&pool.counters.event_writes), 1);
    assert_int_equal(aio_workers_collect(pool.pool, &done), 32);
    for (unsigned i = 0; i < 32; i++)
        assert_ptr_equal(aio_reqs_pop(&done), &pool.reqs[i]);
    assert_false(aio_workers_clear(pool.pool, 0));
    assert_false(readable(&pool, 0));
    assert_int_equal(count_of(&pool.counters.wake_ups), 0);
    aio_workers_close(pool.pool);
}

static void test_2008_signals_each(void **state)
{
    (void)state;
    Pool pool;
    pool_open(&pool, 2, false, 5000);
    pool_push(&pool, 32);
    gate_open(32);
    pool_collect(&pool, 32);
    pool_quiet(&pool);
    assert_int_equal(count_of(&pool.counters.event_writes), 32);
    assert_int_equal(count_of(&pool.counters.hand_offs), 32);
    aio_workers_close(pool.pool);
}

/* No sign is lost and none stays behind, whatever the order of push, poll, collect and clear. */
static void test_signs_add_up(void **state)
{
    (void)state;
    for (unsigned coalesce = 0; coalesce < 2; coalesce++) {
        Pool pool;
        pool_open(&pool, 3, coalesce, 5000);
        for (unsigned round = 0; round < 500; round++) {
            unsigned count = 1 + round % 7;
            gate_open(count);
            pool_push(&pool, count);
            pool_collect(&pool, count);
        }
        pool_quiet(&pool);
        aio_workers_close(pool.pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_thread_without_work),
        cmocka_unit_test(test_grows_while_blocked),
        cmocka_unit_test(test_a_file_that_hangs),
        cmocka_unit_test(test_no_growth_without_need),
        cmocka_unit_test(test_retires),
        cmocka_unit_test(test_wakes_the_latest),
        cmocka_unit_test(test_one_sign_for_many),
        cmocka_unit_test(test_2008_signals_each),
        cmocka_unit_test(test_signs_add_up),
    };
    return unit_run(tests);
}
