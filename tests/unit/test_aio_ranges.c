/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The range lock: who excludes whom, and that nobody starves. */
#include "tests/unit/unit.h"

#include <glib.h>
#include <pthread.h>

#include "aio/ranges.h"

static void test_shared_ranges_overlap(void **state)
{
    (void)state;
    AioRanges ranges;
    AioRange a, b;
    aio_ranges_init(&ranges);
    assert_true(aio_ranges_try(&ranges, &a, 0, 100));
    assert_true(aio_ranges_try(&ranges, &b, 50, 150));
    aio_ranges_unlock(&ranges, &a);
    aio_ranges_unlock(&ranges, &b);
    aio_ranges_deinit(&ranges);
}

static void test_exclusive_excludes_overlaps_only(void **state)
{
    (void)state;
    AioRanges ranges;
    AioRange held, other;
    aio_ranges_init(&ranges);
    aio_ranges_lock(&ranges, &held, 100, 200, true);
    assert_false(aio_ranges_try(&ranges, &other, 0, 101));
    assert_false(aio_ranges_try(&ranges, &other, 199, 300));
    assert_false(aio_ranges_try(&ranges, &other, 120, 130));
    assert_true(aio_ranges_try(&ranges, &other, 0, 100));
    aio_ranges_unlock(&ranges, &other);
    assert_true(aio_ranges_try(&ranges, &other, 200, 300));
    aio_ranges_unlock(&ranges, &other);
    aio_ranges_unlock(&ranges, &held);
    assert_true(aio_ranges_try(&ranges, &other, 120, 130));
    aio_ranges_unlock(&ranges, &other);
    aio_ranges_deinit(&ranges);
}

typedef struct {
    AioRanges ranges;
    int value; /* guarded by an exclusive range */
    bool got;  /* atomic */
} Shared;

static void *lock_once(void *arg)
{
    Shared *shared = arg;
    AioRange range;
    aio_ranges_lock(&shared->ranges, &range, 0, 10, true);
    __atomic_store_n(&shared->got, true, __ATOMIC_SEQ_CST);
    aio_ranges_unlock(&shared->ranges, &range);
    return NULL;
}

/* Once an exclusive range waits, later shared ones queue behind it. */
static void test_waiter_is_not_overtaken(void **state)
{
    (void)state;
    Shared shared = {.got = false};
    AioRange first, later;
    pthread_t thread;
    gint64 deadline = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    aio_ranges_init(&shared.ranges);
    assert_true(aio_ranges_try(&shared.ranges, &first, 0, 10));
    assert_int_equal(pthread_create(&thread, NULL, lock_once, &shared), 0);
    bool refused = false;
    while (!refused && g_get_monotonic_time() < deadline) {
        refused = !aio_ranges_try(&shared.ranges, &later, 5, 6);
        if (!refused)
            aio_ranges_unlock(&shared.ranges, &later);
    }
    assert_true(refused);
    assert_false(__atomic_load_n(&shared.got, __ATOMIC_SEQ_CST));
    aio_ranges_unlock(&shared.ranges, &first);
    pthread_join(thread, NULL);
    assert_true(shared.got);
    aio_ranges_deinit(&shared.ranges);
}

#define ROUNDS 20000

static void *add_many(void *arg)
{
    Shared *shared = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        AioRange range;
        aio_ranges_lock(&shared->ranges, &range, i % 5, 10, true);
        shared->value++;
        aio_ranges_unlock(&shared->ranges, &range);
    }
    return NULL;
}

static void test_exclusive_between_threads(void **state)
{
    (void)state;
    Shared shared = {.value = 0};
    pthread_t threads[4];
    aio_ranges_init(&shared.ranges);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &shared), 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.value, 4 * ROUNDS);
    aio_ranges_deinit(&shared.ranges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_ranges_overlap),
        cmocka_unit_test(test_exclusive_excludes_overlaps_only),
        cmocka_unit_test(test_waiter_is_not_overtaken),
        cmocka_unit_test(test_exclusive_between_threads),
    };
    return unit_run(tests);
}
