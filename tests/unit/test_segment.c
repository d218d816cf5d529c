/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segments: the list of buffers, the limit, FIFO and fairness of who waits, several loops at once.
 */
#include "core/mem/segment.h"
#include "tests/unit/unit.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

typedef struct {
    Arena *arena;
    Loop *main;
    Memory *memory;
} Rig;

static void no_growth(void *arg)
{
    (void)arg;
}

static void rig_init(Rig *rig, size_t limit)
{
    static const LoopConfig config = {.poll_us = 0};
    ArenaConfig arena = {.limit = 32 * MIB, .initial = 32 * MIB};
    rig->arena = arena_new(&arena, no_growth, NULL, NULL);
    assert_non_null(rig->arena);
    rig->main = loop_new_main(&config);
    rig->memory = memory_new(rig->arena, limit, &rig->main, 1);
}

static void rig_deinit(Rig *rig)
{
    memory_free(rig->memory);
    loop_free(rig->main);
    arena_free(rig->arena);
}

static void turn(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static char order[64];

typedef struct {
    Segment segment;
    char name;
} Named;

static void note_granted(Segment *segment)
{
    char name[2] = {((Named *)segment)->name, 0};
    strcat(order, name);
}

static bool acquire(MemoryClient *client, Named *named, char name, size_t len)
{
    *named = (Named){.segment.granted = note_granted, .name = name};
    return segment_acquire(client, &named->segment, len);
}

static void segment_is_a_list_of_buffers(void **state)
{
    (void)state;
    Rig rig;
    rig_init(&rig, 8 * MIB);
    MemoryClient *client = memory_client_new(rig.memory, rig.main);
    static const size_t sizes[] = {512, 4096, ARENA_BUFFER_MAX, ARENA_BUFFER_MAX + 512,
                                   SEGMENT_MAX};
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Segment segment = {0};
        assert_true(segment_acquire(client, &segment, sizes[i]));
        size_t sum = 0;
        for (int k = 0; k < segment.iovcnt; k++) {
            sum += segment.iov[k].iov_len;
            memset(segment.iov[k].iov_base, 1, segment.iov[k].iov_len);
        }
        assert_int_equal(sum, sizes[i]);
        segment_release(&segment);
        segment_release(&segment); /* an empty one */
    }
    memory_client_free(client);
    rig_deinit(&rig);
}

static void count_fall(void *arg, size_t left)
{
    (void)left;
    ++*(unsigned *)arg;
}

static void scarcity_is_told_once(void **state)
{
    (void)state;
    Rig rig;
    unsigned falls = 0;
    Named segments[8];
    rig_init(&rig, 8 * MIB);
    memory_watch(rig.memory, count_fall, &falls);
    MemoryClient *client = memory_client_new(rig.memory, rig.main);
    for (unsigned i = 0; i < 7; i++)
        assert_true(acquire(client, &segments[i], 'x', MIB));
    assert_int_equal(falls, 0);
    assert_false(acquire(client, &segments[7], 'x', MIB)); /* its cost is more than its length */
    assert_int_equal(falls, 1);
    for (unsigned i = 7; i > 5; i--)
        segment_release(&segments[i].segment);
    for (unsigned i = 6; i < 8; i++)
        acquire(client, &segments[i], 'x', MIB);
    assert_int_equal(falls, 1); /* there was not enough in between */
    for (unsigned i = 8; i > 4; i--)
        segment_release(&segments[i - 1].segment);
    for (unsigned i = 4; i < 8; i++)
        acquire(client, &segments[i], 'x', MIB);
    assert_int_equal(falls, 2);
    for (unsigned i = 8; i > 0; i--)
        segment_release(&segments[i - 1].segment);
    memory_client_free(client);
    turn(); /* the pokes of those that waited */
    rig_deinit(&rig);
}

static void waiters_are_served_in_order_and_fairly(void **state)
{
    (void)state;
    Rig rig;
    rig_init(&rig, 2 * arena_cost(4096));
    MemoryClient *greedy = memory_client_new(rig.memory, rig.main);
    MemoryClient *modest = memory_client_new(rig.memory, rig.main);
    Named held[2], g[3], m[2];
    order[0] = 0;
    assert_true(acquire(greedy, &held[0], 'x', 4096));
    assert_true(acquire(greedy, &held[1], 'y', 4096));
    assert_false(acquire(greedy, &g[0], '1', 4096));
    assert_false(acquire(greedy, &g[1], '2', 4096));
    assert_false(acquire(greedy, &g[2], '3', 4096));
    assert_false(acquire(modest, &m[0], 'a', 4096));
    assert_false(acquire(modest, &m[1], 'b', 4096));
    turn();
    assert_string_equal(order, "");
    Named *release[] = {&held[0], &held[1], &g[0], &m[0]};
    for (unsigned i = 0; i < G_N_ELEMENTS(release); i++) {
        segment_release(&release[i]->segment);
        turn();
    }
    assert_string_equal(order, "1a2b");
    segment_release(&g[2].segment); /* a waiter goes away */
    segment_release(&g[1].segment);
    segment_release(&m[1].segment);
    turn();
    assert_string_equal(order, "1a2b");
    MemoryStats stats;
    memory_get_stats(rig.memory, &stats);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.waits, 5);
    memory_client_free(greedy);
    memory_client_free(modest);
    rig_deinit(&rig);
}

static void small_one_does_not_overtake_a_large_one(void **state)
{
    (void)state;
    Rig rig;
    rig_init(&rig, 4 * arena_cost(ARENA_BUFFER_MAX));
    MemoryClient *client = memory_client_new(rig.memory, rig.main);
    MemoryClient *other = memory_client_new(rig.memory, rig.main);
    Named held, large, small;
    order[0] = 0;
    assert_true(acquire(client, &held, 'x', ARENA_BUFFER_MAX));
    assert_false(acquire(client, &large, 'L', SEGMENT_MAX));
    assert_false(acquire(other, &small, 's', 512)); /* would fit */
    turn();
    assert_string_equal(order, "");
    segment_release(&held.segment);
    turn();
    assert_string_equal(order, "L");
    segment_release(&large.segment);
    turn();
    assert_string_equal(order, "Ls");
    segment_release(&small.segment);
    memory_client_free(client);
    memory_client_free(other);
    rig_deinit(&rig);
}

/* --- several loops, more wanted than there is
 * ----------------------------------------------------- */

#define LOOPS   3
#define WORKERS 24
#define TURNS   400

typedef struct {
    Segment segment;
    struct Side *side;
    unsigned turns;
} Worker;
typedef struct Side {
    Loop *loop;
    Memory *memory;
    MemoryClient *client;
    Worker workers[WORKERS];
    unsigned seed, running;
    atomic_bool done;
} Side;

static void work(Worker *worker);

static void worker_granted(Segment *segment)
{
    Worker *worker = (Worker *)segment;
    for (int i = 0; i < segment->iovcnt; i++) {
        uint8_t *p = segment->iov[i].iov_base;
        p[0] = p[segment->iov[i].iov_len - 1] = (uint8_t)(uintptr_t)worker;
    }
    work(worker);
}

static void again(void *arg)
{
    Worker *worker = arg;
    segment_release(&worker->segment);
    Side *side = worker->side;
    if (worker->turns++ == TURNS) {
        if (--side->running == 0) {
            memory_client_free(side->client);
            atomic_store(&side->done, true);
        }
        return;
    }
    side->seed = side->seed * 1103515245 + 12345;
    size_t len = ((side->seed >> 16) % (SEGMENT_MAX / 512) + 1) * 512;
    if (segment_acquire(side->client, &worker->segment, len))
        work(worker);
}

static void work(Worker *worker)
{
    loop_call(worker->side->loop, again, worker);
}

static void start_side(void *arg)
{
    Side *side = arg;
    side->client = memory_client_new(side->memory, side->loop);
    side->running = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        side->workers[i] = (Worker){.segment.granted = worker_granted, .side = side};
        again(&side->workers[i]);
    }
}

static void nobody_starves_across_loops(void **state)
{
    (void)state;
    static const LoopConfig config = {.poll_us = 0};
    ArenaConfig small = {.limit = 16 * MIB, .initial = 16 * MIB};
    Arena *arena = arena_new(&small, no_growth, NULL, NULL);
    Loop *loops[LOOPS];
    static Side sides[LOOPS];
    for (unsigned i = 0; i < LOOPS; i++)
        loops[i] = loop_new(i + 1, &config);
    Memory *memory = memory_new(arena, 16 * MIB * 85 / 100, loops, LOOPS);
    for (unsigned i = 0; i < LOOPS; i++) {
        sides[i] = (Side){.loop = loops[i], .memory = memory, .seed = i};
        loop_call(loops[i], start_side, &sides[i]);
    }
    for (unsigned i = 0; i < LOOPS; i++)
        for (unsigned ms = 0; !atomic_load(&sides[i].done); ms++) {
            assert_true(ms < 60000);
            usleep(1000);
        }
    MemoryStats stats;
    memory_get_stats(memory, &stats);
    assert_true(stats.waits > 0); /* else this tested nothing */
    assert_int_equal(stats.admitted, 0);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_free(loops[i]);
    memory_free(memory);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_is_a_list_of_buffers),
        cmocka_unit_test(scarcity_is_told_once),
        cmocka_unit_test(waiters_are_served_in_order_and_fairly),
        cmocka_unit_test(small_one_does_not_overtake_a_large_one),
        cmocka_unit_test(nobody_starves_across_loops),
    };
    return unit_run(tests);
}
