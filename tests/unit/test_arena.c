/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arena: buffers within chunks, growth, what jemalloc must never do with it. */
#include "core/mem/arena.h"
#include "core/mem/chunks.h"
#include "core/mem/receive.h"
#include "core/mem/sanitize.h"
#include "tests/unit/unit.h"

#include <pthread.h>
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

static void receive_budget_is_shared_fairly(void **state)
{
    (void)state;
    Arena *arena = make_arena(16 * MIB, 16 * MIB);
    ReceiveBudget *budget = receive_budget_new(arena, 1 * MIB);
    size_t size = 8192;
    unsigned fit = (unsigned)(MIB / arena_cost(size));
    unsigned first = receive_budget_reserve(budget, 1000, 8, size);
    assert_in_range(first, 8, fit / 4 + 1);
    unsigned second = receive_budget_reserve(budget, 1000, 8, size);
    assert_in_range(second, 8, first);
    assert_int_equal(receive_budget_reserve(budget, 4, 1, size), 4);
    receive_budget_unreserve(budget, 4, size);

    unsigned taken[64], n = 0;
    while (n < 64 && (taken[n] = receive_budget_reserve(budget, 16, 8, size)))
        n++;
    assert_in_range(n, 1, 63);
    assert_int_equal(receive_budget_reserve(budget, 8, 8, size), 8); /* from the control reserve */
    receive_budget_unreserve(budget, 8, size);
    while (n > 0)
        receive_budget_unreserve(budget, taken[--n], size);
    receive_budget_unreserve(budget, first, size);
    receive_budget_unreserve(budget, second, size);
    receive_budget_free(budget); /* asserts that all came back */
    arena_free(arena);
}

#define OTHERS 3000

typedef struct {
    uint64_t *at[OTHERS];
    bool done;
} OtherMemory;

/* Keeps all it maps, so that a hole in the reservation would be the next address it gets. */
static void *map_others(void *arg)
{
    OtherMemory *others = arg;
    for (unsigned i = 0; i < OTHERS; i++) {
        others->at[i] = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_ptr_not_equal(others->at[i], MAP_FAILED);
        *others->at[i] = i + 1;
    }
    __atomic_store_n(&others->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void memory_of_other_threads_is_not_mapped_over(void **state)
{
    (void)state;
    const ArenaConfig config = {.limit = 4 * ARENA_CHUNK_SIZE, .huge = ARENA_HUGE_AUTO};
    OtherMemory *others = g_new0(OtherMemory, 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, map_others, others), 0);
    while (!__atomic_load_n(&others->done, __ATOMIC_ACQUIRE)) {
        Chunks chunks;
        assert_true(chunks_init(&chunks, &config, NULL));
        for (unsigned i = 0; i < 4; i++)
            assert_non_null(chunks_map_next(&chunks, NULL));
        chunks_deinit(&chunks);
    }
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < OTHERS; i++) {
        assert_int_equal(*others->at[i], i + 1);
        munmap(others->at[i], MIB);
    }
    g_free(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_lie_in_one_chunk_and_are_aligned),
        cmocka_unit_test(exhaustion_is_null_then_growth_helps),
        cmocka_unit_test(small_pieces_become_large_again),
        cmocka_unit_test(malloc_never_gets_arena_memory),
        cmocka_unit_test(memory_of_other_threads_is_not_mapped_over),
        cmocka_unit_test(observers_see_each_chunk_before_use),
        cmocka_unit_test(use_after_free_is_caught),
        cmocka_unit_test(receive_budget_is_shared_fairly),
    };
    return unit_run(tests);
}
