/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arena: buffers within chunks, growth, what jemalloc must never do with it. */
#include "core/base/loop.h"
#include "core/mem/arena.h"
#include "core/mem/receive.h"
#include "core/mem/sanitize.h"
#include "core/mem/spares.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MIB ((size_t)1 << 20)

static unsigned wanted_calls;

static void count_wanted(void *arg)
{
    (void)arg;
    wanted_calls++;
}

static Arena *make_arena(size_t limit, size_t initial)
{
    ArenaConfig config = {.limit = limit, .initial = initial, .huge = ARENA_HUGE_AUTO};
    GError *error = NULL;
    Arena *arena = arena_new(&config, count_wanted, NULL, &error);
    if (!arena)
        g_error("%s", error->message);
    wanted_calls = 0;
    return arena;
}

static bool inside(Arena *arena, const void *at, size_t len)
{
    const uint8_t *base = arena_base(arena), *p = at;
    size_t mapped = (size_t)arena_chunk_count(arena) << ARENA_CHUNK_SHIFT;
    return p >= base && p + len <= base + mapped &&
           arena_chunk_of(base, p) == arena_chunk_of(base, p + len - 1);
}

/* Maps memory again and again; a mapping in the range that the arena has reserved is an intruder.
 */
typedef struct {
    uintptr_t base, end;
    atomic_bool stop;
    unsigned intrusions;
} Intruder;

static void *intrude(void *arg)
{
    Intruder *intruder = arg;
    while (!atomic_load(&intruder->stop)) {
        void *at = mmap(NULL, 16 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        intruder->intrusions += (uintptr_t)at >= intruder->base && (uintptr_t)at < intruder->end;
        munmap(at, 16 * MIB);
    }
    return NULL;
}

static void growing_keeps_the_reservation(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        Arena *arena = make_arena(256 * MIB, 0);
        Intruder intruder = {.base = (uintptr_t)arena_base(arena)};
        intruder.end = intruder.base + 256 * MIB;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, intrude, &intruder), 0);
        while (arena_chunk_count(arena) < 16)
            assert_true(arena_grow(arena, NULL));
        atomic_store(&intruder.stop, true);
        pthread_join(thread, NULL);
        arena_free(arena);
        assert_int_equal(intruder.intrusions, 0);
    }
}

static void buffers_lie_in_one_chunk_and_are_aligned(void **state)
{
    (void)state;
    Arena *arena = make_arena(32 * MIB, 32 * MIB);
    static const size_t sizes[] = {1, 64, 512, 513, 4096, 5000, 8192, 65536, 100000, 262144};
    void *held[G_N_ELEMENTS(sizes)][16];
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
        for (unsigned k = 0; k < 16; k++) {
            uint8_t *p = held[i][k] = arena_alloc(arena, sizes[i]);
            assert_non_null(p);
            assert_true(inside(arena, p, sizes[i]));
            size_t align = MIN((size_t)4096, (size_t)1 << (64 - __builtin_clzl(sizes[i] | 1)) >> 1);
            assert_int_equal((uintptr_t)p % align, 0);
            memset(p, (int)i, sizes[i]);
        }
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
        for (unsigned k = 0; k < 16; k++) {
            const uint8_t *p = held[i][k];
            assert_true(p[0] == i && p[sizes[i] - 1] == i);
            arena_release(arena, held[i][k], sizes[i]);
        }
    arena_free(arena);
}

static unsigned fill(Arena *arena, void **held, unsigned max, size_t size)
{
    unsigned n = 0;
    while (n < max && (held[n] = arena_alloc(arena, size)))
        n++;
    return n;
}

static void exhaustion_is_null_then_growth_helps(void **state)
{
    (void)state;
    static void *held[4096];
    Arena *arena = make_arena(32 * MIB, 16 * MIB);
    unsigned n = fill(arena, held, 4096, ARENA_BUFFER_MAX);
    assert_in_range(n, 16 * MIB / ARENA_BUFFER_MAX * 85 / 100, 16 * MIB / ARENA_BUFFER_MAX);
    assert_int_equal(wanted_calls, 1); /* asked once, until it has grown */
    assert_true(arena_grow(arena, NULL));
    unsigned more = fill(arena, held + n, 4096 - n, ARENA_BUFFER_MAX);
    assert_in_range(more, n - 1, n + 1);

    g_autoptr(GError) error = NULL;
    assert_false(arena_grow(arena, &error));
    assert_non_null(strstr(error->message, "arena="));
    ArenaStats stats;
    arena_get_stats(arena, &stats);
    assert_int_equal(stats.in_use, (n + more) * ARENA_BUFFER_MAX);
    assert_int_equal(stats.failures, 2);
    for (unsigned i = 0; i < n + more; i++)
        arena_release(arena, held[i], ARENA_BUFFER_MAX);

    /* All of it can be had again, in other sizes: nothing was lost to a purge or a merge refused.
     */
    n = fill(arena, held, 4096, 65536);
    assert_true(n * (size_t)65536 >= 32 * MIB * 85 / 100);
    for (unsigned i = 0; i < n; i++)
        arena_release(arena, held[i], 65536);
    arena_free(arena);
}

/* jemalloc leaves freed pieces below 16 KiB apart: they must come together when larger are wanted.
 */
static void small_pieces_become_large_again(void **state)
{
    (void)state;
    static void *held[4096];
    Arena *arena = make_arena(16 * MIB, 16 * MIB);
    unsigned n = fill(arena, held, 4096, 4096);
    assert_true(n >= 16 * MIB / 4096 * 85 / 100);
    for (unsigned i = 0; i < n; i++)
        arena_release(arena, held[i], 4096);
    arena_flush_tcache(arena);
    n = fill(arena, held, 4096, ARENA_BUFFER_MAX);
    assert_true(n * ARENA_BUFFER_MAX >= 16 * MIB * 85 / 100);
    for (unsigned i = 0; i < n; i++)
        arena_release(arena, held[i], ARENA_BUFFER_MAX);
    arena_free(arena);
}

static size_t bytes_held(Arena *arena)
{
    ArenaStats stats;
    arena_get_stats(arena, &stats);
    return stats.in_use;
}

static void spares_are_bounded_and_come_back_first(void **state)
{
    (void)state;
    static void *held[1024];
    Loop *loop = loop_new_main(&(LoopConfig){.poll_us = 0});
    Arena *arena = make_arena(16 * MIB, 16 * MIB);
    for (unsigned i = 0; i < G_N_ELEMENTS(held); i++)
        assert_non_null(held[i] = arena_alloc(arena, 4096));
    for (unsigned i = 0; i < G_N_ELEMENTS(held); i++)
        arena_release(arena, held[i], 4096); /* the first are kept, others go back */
    assert_int_equal(bytes_held(arena), 0);
    void *again = arena_alloc(arena, 4096), *other = arena_alloc(arena, 8192);
    assert_ptr_equal(again, held[SPARES_NUMBER - 1]);
    assert_ptr_not_equal(other, again);
    assert_int_equal(bytes_held(arena), 4096 + 8192);
    arena_release(arena, again, 4096);
    arena_release(arena, other, 8192);

    arena_flush_tcache(arena); /* all of it can be had in another size */
    unsigned n = fill(arena, held, G_N_ELEMENTS(held), 65536);
    assert_true(n * (size_t)65536 >= 16 * MIB * 80 / 100);
    for (unsigned i = 0; i < n; i++)
        arena_release(arena, held[i], 65536);
    arena_free(arena);
    loop_free(loop);
}

static void malloc_never_gets_arena_memory(void **state)
{
    (void)state;
    static void *held[2048], *plain[4096];
    Arena *arena = make_arena(16 * MIB, 16 * MIB);
    for (unsigned round = 0; round < 4; round++) {
        unsigned n = fill(arena, held, 2048, 4096);
        for (unsigned i = 0; i < n; i++)
            arena_release(arena, held[i], 4096);
        arena_flush_tcache(arena);
        for (unsigned i = 0; i < G_N_ELEMENTS(plain); i++) {
            plain[i] = malloc(4096);
            assert_false(inside(arena, plain[i], 1));
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(plain); i++)
            free(plain[i]);
    }
    arena_free(arena);
}

typedef struct {
    ArenaObserver observer;
    unsigned seen, refuse_at;
    Arena *arena;
} Registrar;

static bool registrar_chunk(ArenaObserver *observer, unsigned index, void *base, size_t len,
                            GError **error)
{
    Registrar *r = (Registrar *)observer;
    assert_int_equal(index, r->seen);
    assert_int_equal(len, ARENA_CHUNK_SIZE);
    assert_ptr_equal(base, (uint8_t *)arena_base(r->arena) + index * ARENA_CHUNK_SIZE);
    if (index == r->refuse_at) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "refused");
        return false;
    }
    r->seen++;
    return true;
}

static void observers_see_each_chunk_before_use(void **state)
{
    (void)state;
    Arena *arena = make_arena(64 * MIB, 16 * MIB);
    Registrar r = {.observer.chunk_added = registrar_chunk, .refuse_at = 2, .arena = arena};
    assert_true(arena_add_observer(arena, &r.observer, NULL));
    assert_int_equal(r.seen, 1);
    assert_true(arena_grow(arena, NULL));
    assert_int_equal(r.seen, 2);
    g_autoptr(GError) error = NULL;
    assert_false(arena_grow(arena, &error)); /* what cannot be registered is not used */
    assert_string_equal(error->message, "refused");
    assert_int_equal(arena_chunk_count(arena), 2);
    arena_remove_observer(arena, &r.observer);
    arena_free(arena);
}

static void use_after_free_is_caught(void **state)
{
    (void)state;
#ifdef RTGT_SEES_ADDRESSES
    Arena *arena = make_arena(16 * MIB, 16 * MIB);
    uint8_t *p = arena_alloc(arena, 5000);
    assert_false(__asan_address_is_poisoned(p + 4999));
    assert_true(__asan_address_is_poisoned(p + 5000)); /* slack of the size class */
    arena_release(arena, p, 5000);
    assert_true(__asan_address_is_poisoned(p));
    arena_free(arena);
#else
    unit_skip("built without AddressSanitizer");
#endif
}

#define LEAST 8
#define SIZE  8192

typedef struct {
    Arena *arena;
    ReceiveBudget *budget;
    unsigned fit; /* buffers */
} BudgetRig;

static BudgetRig budget_begin(void)
{
    BudgetRig rig = {.arena = make_arena(16 * MIB, 16 * MIB)};
    rig.budget = receive_budget_new(rig.arena, 1 * MIB);
    rig.fit = (unsigned)(MIB / arena_cost(SIZE));
    return rig;
}

static void budget_end(BudgetRig *rig, ReceiveShare *shares, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        receive_share_leave(&shares[i]);
    receive_budget_free(rig->budget); /* asserts that all came back */
    arena_free(rig->arena);
}

static unsigned take(BudgetRig *rig, ReceiveShare *share, unsigned most)
{
    return receive_share_take(share, rig->budget, LEAST, most, SIZE);
}

/* Everybody is busy: what ends is given back where it must be, and everybody wants more. */
static void work(ReceiveShare *shares, unsigned n)
{
    for (unsigned turn = 0; turn < 200; turn++)
        for (unsigned i = 0; i < n; i++)
            if (!receive_share_shrink(&shares[i]))
                receive_share_grow(&shares[i]);
}

static void grow_fully(ReceiveShare *share)
{
    while (receive_share_grow(share) > 0)
        continue;
}

static void receive_budget_is_shared_fairly(void **state)
{
    (void)state;
    BudgetRig rig = budget_begin();
    ReceiveShare shares[64] = {{0}};
    unsigned first = take(&rig, &shares[0], 1000), second = take(&rig, &shares[1], 1000);
    assert_in_range(first, LEAST, rig.fit / 4);
    assert_in_range(second, LEAST, first);
    assert_int_equal(take(&rig, &shares[2], LEAST), LEAST);
    unsigned n = 3;
    while (n < 64 && take(&rig, &shares[n], 16) > 0)
        n++;
    assert_in_range(n, 4, 63);
    ReceiveStats stats;
    receive_budget_get_stats(rig.budget, &stats);
    assert_true(stats.left < LEAST * arena_cost(SIZE)); /* down to the last that can be had */
    assert_int_equal(stats.sessions, n);
    receive_share_leave(&shares[n - 1]);
    assert_int_equal(take(&rig, &shares[n - 1], LEAST), LEAST);
    budget_end(&rig, shares, n);
}

/* Those that log in at once are counted before any of them has taken a thing. */
static void logins_under_way_are_expected(void **state)
{
    (void)state;
    BudgetRig rig = budget_begin();
    assert_true(receive_budget_expect(rig.budget, MIB / 4));
    assert_true(receive_budget_expect(rig.budget, MIB / 4));
    assert_false(receive_budget_expect(rig.budget, MIB / 4));
    receive_budget_expect_no_more(rig.budget, 3 * (MIB / 4));
    ReceiveShare share = {0};
    take(&rig, &share, 16);
    assert_false(receive_budget_expect(rig.budget, MIB / 2));
    receive_budget_expect_no_more(rig.budget, MIB / 2);
    budget_end(&rig, &share, 1);
}

/* While it shrinks, every other buffer stays. */
static void a_session_gets_on_while_it_shrinks(void **state)
{
    (void)state;
    BudgetRig rig = budget_begin();
    ReceiveShare shares[8] = {{0}};
    take(&rig, &shares[0], 1000);
    grow_fully(&shares[0]);
    for (unsigned i = 1; i < 8; i++)
        take(&rig, &shares[i], LEAST);
    unsigned before = shares[0].held, given = 0;
    for (unsigned i = 0; i < 8; i++)
        given += receive_share_shrink(&shares[0]);
    assert_int_equal(given, 4);
    assert_int_equal(shares[0].held, before - 4);
    budget_end(&rig, shares, 8);
}

static void a_lone_session_grows(void **state)
{
    (void)state;
    BudgetRig rig = budget_begin();
    ReceiveShare shares[2] = {{0}};
    unsigned before = take(&rig, &shares[0], 1000);
    assert_in_range(receive_share_grow(&shares[0]), 1, before); /* at most doubles */
    grow_fully(&shares[0]);
    assert_in_range(shares[0].held, rig.fit / 2, rig.fit);
    assert_false(receive_share_shrink(&shares[0])); /* nobody needs it */
    take(&rig, &shares[1], 20);
    work(shares, 2);
    assert_int_equal(shares[1].held, 20); /* not beyond what it wants */
    budget_end(&rig, shares, 2);
}

static void the_old_give_to_the_new(void **state)
{
    (void)state;
    enum { N = 4 };
    BudgetRig rig = budget_begin();
    ReceiveShare shares[N] = {{0}};
    take(&rig, &shares[0], 1000);
    grow_fully(&shares[0]);
    unsigned alone = shares[0].held;
    for (unsigned i = 1; i < N; i++) {
        assert_true(take(&rig, &shares[i], 1000) >= LEAST);
        work(shares, i + 1);
    }
    assert_true(shares[0].held < alone);
    for (unsigned i = 0; i < N; i++)
        assert_in_range(shares[i].held, rig.fit / N * 3 / 4, rig.fit / N);
    unsigned equal = shares[1].held;
    for (unsigned i = 2; i < N; i++)
        receive_share_leave(&shares[i]);
    grow_fully(&shares[1]);
    assert_true(shares[1].held > equal); /* what others left is there for those who stay */
    budget_end(&rig, shares, N);
}

static void none_has_less_than_the_least(void **state)
{
    (void)state;
    BudgetRig rig = budget_begin();
    ReceiveShare shares[64] = {{0}};
    unsigned n = 0;
    while (n < 64 && take(&rig, &shares[n], 100) > 0)
        n++;
    for (unsigned i = 0; i < n; i++)
        while (receive_share_shrink(&shares[i]))
            assert_true(shares[i].held >= LEAST);
    for (; n < 64 && take(&rig, &shares[n], 100) > 0; n++) /* in what was given back */
        continue;
    assert_in_range(n, rig.fit / LEAST - 3, rig.fit / LEAST);
    budget_end(&rig, shares, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_lie_in_one_chunk_and_are_aligned),
        cmocka_unit_test(exhaustion_is_null_then_growth_helps),
        cmocka_unit_test(small_pieces_become_large_again),
        cmocka_unit_test(spares_are_bounded_and_come_back_first),
        cmocka_unit_test(malloc_never_gets_arena_memory),
        cmocka_unit_test(growing_keeps_the_reservation),
        cmocka_unit_test(observers_see_each_chunk_before_use),
        cmocka_unit_test(use_after_free_is_caught),
        cmocka_unit_test(receive_budget_is_shared_fairly),
        cmocka_unit_test(logins_under_way_are_expected),
        cmocka_unit_test(a_session_gets_on_while_it_shrinks),
        cmocka_unit_test(a_lone_session_grows),
        cmocka_unit_test(the_old_give_to_the_new),
        cmocka_unit_test(none_has_less_than_the_least),
    };
    return unit_run(tests);
}
