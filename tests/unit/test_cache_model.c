/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block cache against a store in memory: reads, fills, writes, failures, evictions and changes
 * of its size in random order, each step of each of them at a random time, with the promises of
 * cache.h looked at after every step. RTGT_MODEL_STEPS and RTGT_MODEL_SEED change how much, and
 * which. */
#include "core/cache/cache_impl.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <string.h>

#define SECTOR  512
#define STORE   ((size_t)4 << 20)
#define SECTORS (STORE / SECTOR)
#define PAST    8 /* values of a sector that are remembered */
#define READS   24
#define WRITES  6
#define LONGEST (96 * 1024)
#define MIB     ((size_t)1 << 20)

/* A value, and the step in which the sector got it. */
typedef struct {
    uint64_t value, since;
} Version;

typedef struct {
    CacheHold *hold; /* NULL: not under way */
    uint64_t offset, since;
    size_t len;
    bool waits, fills, ready, asked; /* asked: the store has answered the fill */
    uint64_t seen[LONGEST / SECTOR + 1];
} Read;

typedef struct {
    uint64_t offset, len; /* 0: not under way */
    bool applied, is_known;
    uint8_t data[LONGEST];
} Write;

typedef struct {
    Loop *loop;
    Arena *arena;
    Memory *memory;
    Cache *cache;
    CacheLane *lane;
    GRand *rand;
    uint64_t step, next_value;
    uint8_t *store;
    Version past[SECTORS][PAST];
    Read reads[READS];
    Write writes[WRITES];
    unsigned hits, fills, waits, bypasses, taken;
} Model;

static uint32_t any(Model *m, uint32_t below)
{
    return (uint32_t)g_rand_int_range(m->rand, 0, (gint32)below);
}

static uint64_t value_at(const uint8_t *memory)
{
    uint64_t value;
    memcpy(&value, memory, sizeof value);
    return value;
}

static void store_apply(Model *m, uint64_t offset, const uint8_t *data, size_t len)
{
    memcpy(m->store + offset, data, len);
    for (size_t at = 0; at < len; at += SECTOR) {
        Version *past = m->past[(offset + at) / SECTOR];
        memmove(past + 1, past, (PAST - 1) * sizeof *past);
        past[0] = (Version){value_at(data + at), m->step};
    }
}

/* Whether the store had this value at some time since then. */
static bool was_there(const Version *past, uint64_t value, uint64_t since)
{
    for (unsigned i = 0; i < PAST; i++) {
        if (past[i].value == value)
            return true;
        if (past[i].since < since)
            return false;
    }
    return true; /* too long ago to know */
}

/* Near the beginning more often than near the end, so that there are hits. */
static void any_range(Model *m, uint64_t *offset, size_t *len)
{
    static const uint32_t lengths[] = {1, 1, 8, 8, 8, 8, 16, 32, 33, 64, LONGEST / SECTOR};
    uint32_t n = lengths[any(m, G_N_ELEMENTS(lengths))];
    uint32_t sectors = any(m, 3) ? SECTORS / 8 : SECTORS;
    uint32_t first = any(m, sectors - n + 1);
    if (any(m, 4) > 0)
        first &= ~7u;
    *offset = (uint64_t)first * SECTOR;
    *len = (size_t)n * SECTOR;
}

/* --- promises --------------------------------------------------------------------------------- */

static void check_slot(Model *m, const CacheSlot *slot)
{
    uint64_t start = slot->entry.key * m->cache->slot;
    assert_int_equal(slot->valid & (slot->filling | slot->stale), 0);
    assert_false(slot->gone);
    for (unsigned i = 0; slot->valid >> i; i++)
        for (size_t at = 0; (slot->valid >> i & 1) && at < CACHE_UNIT; at += SECTOR)
            if (value_at(slot->memory + i * CACHE_UNIT + at) !=
                value_at(m->store + start + i * CACHE_UNIT + at))
                fail_msg("step %" PRIu64 ": stale data at %" PRIu64, m->step,
                         start + i * CACHE_UNIT + at);
}

static void check_slots(Model *m)
{
    for (unsigned i = 0; i < m->cache->n_shards; i++) {
        CacheShard *shard = &m->cache->shards[i];
        size_t used = 0;
        for (size_t k = 0; k <= shard->index_mask; k++)
            for (CacheSlot *slot = shard->index[k]; slot; slot = slot->next, used++)
                check_slot(m, slot);
        assert_int_equal(used, shard->used);
        assert_int_equal(used, shard->policy.lists[1].count + shard->policy.lists[2].count);
    }
}

/* Of a read that is answered: nobody writes to the memory. */
static void check_still(const Read *read)
{
    int n;
    size_t k = 0;
    const struct iovec *iov = cache_hold_iov(read->hold, read->len, &n);
    for (int i = 0; i < n; i++)
        for (size_t at = 0; at < iov[i].iov_len; at += SECTOR)
            assert_int_equal(value_at((uint8_t *)iov[i].iov_base + at), read->seen[k++]);
    assert_int_equal(k, read->len / SECTOR);
}

static void check_answer(Model *m, Read *read)
{
    int n;
    size_t k = 0;
    const struct iovec *iov = cache_hold_iov(read->hold, read->len, &n);
    for (int i = 0; i < n; i++)
        for (size_t at = 0; at < iov[i].iov_len; at += SECTOR, k++) {
            uint64_t value = value_at((uint8_t *)iov[i].iov_base + at);
            if (!was_there(m->past[read->offset / SECTOR + k], value, read->since))
                fail_msg("step %" PRIu64 ": read of %" PRIu64 " is answered with old data", m->step,
                         read->offset);
            read->seen[k] = value;
        }
    assert_int_equal(k, read->len / SECTOR);
}

/* --- reads ------------------------------------------------------------------------------------ */

static void woken(CacheHold *hold)
{
    ((Read *)hold->owner)->waits = false;
}

static void read_end(Read *read)
{
    cache_hold_release(read->hold);
    read->hold = NULL;
}

static void read_step(Model *m, Read *read)
{
    switch (cache_hold_step(read->hold)) {
    case CACHE_READY:
        read->ready = true;
        m->hits++;
        check_answer(m, read);
        return;
    case CACHE_FILL:
        read->fills = true;
        read->asked = false;
        m->fills++;
        return;
    case CACHE_WAIT:
        read->waits = true;
        m->waits++;
        return;
    case CACHE_BYPASS:
        m->bypasses++;
        read_end(read);
        return;
    }
}

static void read_begin(Model *m, Read *read)
{
    static const unsigned flags[] = {0, 0, 0, CACHE_NO_ADMISSION, CACHE_NO_USE};
    any_range(m, &read->offset, &read->len);
    read->since = m->step;
    read->waits = read->fills = read->ready = false;
    read->hold = cache_hold_new(m->lane, read->offset, read->len, flags[any(m, 5)]);
    read->hold->woken = woken;
    read->hold->owner = read;
    read_step(m, read);
}

static void store_answers(Model *m, Read *read)
{
    const uint8_t *from = m->store + read->hold->fill.offset;
    size_t len = 0;
    for (int i = 0; i < read->hold->fill.iovcnt; i++) {
        memcpy(read->hold->fill.iov[i].iov_base, from + len, read->hold->fill.iov[i].iov_len);
        len += read->hold->fill.iov[i].iov_len;
    }
    assert_int_equal(len, read->hold->fill.len);
    read->asked = true;
}

static void read_go_on(Model *m, Read *read)
{
    if (!read->hold) {
        read_begin(m, read);
    } else if (read->ready) {
        check_still(read);
        if (any(m, 3) == 0)
            read_end(read);
    } else if (read->waits) {
        return;
    } else if (!read->fills) {
        read_step(m, read);
    } else if (!read->asked) {
        store_answers(m, read);
    } else if (any(m, 20) == 0) { /* it was an error */
        read_end(read);
    } else {
        read->fills = false;
        cache_hold_filled(read->hold);
        read_step(m, read);
    }
}

/* --- writes ----------------------------------------------------------------------------------- */

static void write_begin(Model *m, Write *write)
{
    size_t len;
    any_range(m, &write->offset, &len);
    write->applied = false;
    write->is_known = any(m, 8) > 0; /* else it discards, or fails half way */
    if (any(m, 300) == 0) {
        write->offset = 0;
        write->len = STORE + 32 * MIB; /* as of a long UNMAP; it changes the first of it */
        write->is_known = false;
        len = 64 * 1024;
    } else {
        write->len = len;
    }
    for (size_t at = 0; at < len; at += SECTOR, m->next_value++)
        memcpy(write->data + at, &m->next_value, sizeof m->next_value);
    cache_write_begin(m->cache, write->offset, write->len);
}

static void write_end(Model *m, Write *write)
{
    size_t cut = any(m, 2) * SECTOR; /* memory comes in pieces */
    struct iovec iov[2] = {{write->data, cut ? cut : write->len},
                           {write->data + cut, write->len - cut}};
    int n = cut && cut < write->len ? 2 : 1;
    bool is_known = write->is_known && any(m, 20) > 0;
    cache_write_end(m->cache, write->offset, write->len, is_known ? iov : NULL, n);
    write->len = 0;
}

static void write_go_on(Model *m, Write *write)
{
    if (write->len == 0) {
        write_begin(m, write);
    } else if (!write->applied) {
        size_t len = (size_t)MIN(write->len, 64 * 1024);
        if (write->len <= LONGEST)
            len = (size_t)write->len;
        if (!write->is_known)
            len = len / 2 / SECTOR * SECTOR;
        store_apply(m, write->offset, write->data, len);
        write->applied = true;
    } else {
        write_end(m, write);
    }
}

/* --- the run ---------------------------------------------------------------------------------- */

static void resize(Model *m)
{
    static const size_t sizes[] = {0, MIB, MIB, 2 * MIB, 3 * MIB};
    assert_true(cache_resize(m->cache, sizes[any(m, G_N_ELEMENTS(sizes))], NULL));
}

/* The store has changed by itself, while nothing was under way there. */
static void drop(Model *m)
{
    for (unsigned i = 0; i < WRITES; i++)
        if (m->writes[i].len > 0)
            return;
    uint64_t zero = 0, from = (uint64_t)any(m, SECTORS) * SECTOR;
    uint8_t sector[SECTOR];
    memset(sector, 0, sizeof sector);
    memcpy(sector, &zero, sizeof zero);
    for (uint64_t at = from; at < STORE; at += SECTOR)
        store_apply(m, at, sector, SECTOR);
    cache_drop(m->cache, from);
}

static void step(Model *m)
{
    uint32_t what = any(m, 2000);
    m->step++;
    if (what == 0)
        resize(m);
    else if (what == 1)
        drop(m);
    else if (what < 1500)
        read_go_on(m, &m->reads[any(m, READS)]);
    else
        write_go_on(m, &m->writes[any(m, WRITES)]);
    while (g_main_context_iteration(loop_context(m->loop), FALSE))
        ;
}

static void finish(Model *m)
{
    for (unsigned i = 0; i < WRITES; i++)
        while (m->writes[i].len > 0)
            write_go_on(m, &m->writes[i]);
    for (bool left = true; left;) {
        left = false;
        for (unsigned i = 0; i < READS; i++) {
            Read *read = &m->reads[i];
            if (!read->hold)
                continue;
            left = true;
            if (read->ready)
                read_end(read);
            else
                read_go_on(m, read);
        }
        g_main_context_iteration(loop_context(m->loop), FALSE);
    }
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);
    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static void run(size_t slot, uint64_t steps)
{
    Model *m = g_new0(Model, 1);
    uint32_t seed = (uint32_t)setting("RTGT_MODEL_SEED", g_random_int());
    const ArenaConfig config = {.limit = 48 * MIB, .initial = 16 * MIB, .huge = ARENA_HUGE_OFF};
    print_message("RTGT_MODEL_SEED=%u, slots of %zu bytes\n", seed, slot);
    m->rand = g_rand_new_with_seed(seed);
    m->loop = loop_new_main(&(LoopConfig){0});
    m->arena = arena_new(&config, NULL, NULL, NULL);
    m->memory = memory_new(m->arena, 32 * MIB, &m->loop, 1);
    m->cache = cache_new(m->memory, MIB, slot, 1, NULL);
    m->lane = cache_lane_new(m->cache, m->loop);
    m->store = g_malloc0(STORE);
    m->next_value = 1;
    for (uint64_t i = 0; i < steps; i++) {
        step(m);
        if (i % 64 == 0)
            check_slots(m);
    }
    finish(m);
    check_slots(m);
    CacheStats stats = {0};
    cache_add_stats(m->cache, &stats);
    print_message("answered %u, fills %u, waits %u, bypasses %u, evictions %" PRIu64
                  ", copies on write %" PRIu64 "\n",
                  m->hits, m->fills, m->waits, m->bypasses, stats.evictions, stats.copies_on_write);
    assert_true(m->hits && m->fills && m->waits && m->bypasses);
    assert_true(stats.evictions && stats.copies_on_write && stats.pinned == 0);
    cache_lane_free(m->lane);
    cache_free(m->cache);
    MemoryStats memory;
    memory_get_stats(m->memory, &memory);
    assert_int_equal(memory.limit, 32 * MIB);
    memory_free(m->memory);
    arena_free(m->arena);
    loop_free(m->loop);
    g_rand_free(m->rand);
    g_free(m->store);
    g_free(m);
}

static void test_model(void **state)
{
    (void)state;
    uint64_t steps = setting("RTGT_MODEL_STEPS", 1000000);
    run(16384, steps / 2);
    run(4096, steps / 4);
    run(65536, steps / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
    return unit_run(tests);
}
