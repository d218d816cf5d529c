/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arena: a jemalloc arena whose extents come from registered chunks. The only file that calls
 * jemalloc's own functions: a plain free() of a block here would hand registered memory to malloc.
 */
#include "core/mem/arena.h"

#include "core/base/counter.h"
#include "core/base/loop.h"
#include "core/mem/chunks.h"
#include "core/mem/sanitize.h"
#include "core/mem/spares.h"

#include <jemalloc/jemalloc.h>
#include <stdatomic.h>
#include <string.h>

#define LOOPS_MAX  128 /* loops with a tcache and counters of their own */
#define NO_TCACHE  UINT32_MAX
#define GROW_LIMIT ((size_t)2 << 20) /* what jemalloc asks for at a time; divides a chunk */
#define LOW_WATER  (ARENA_CHUNK_SIZE / 4)
#define PAGE       4096u

/* jemalloc 5.3's argument of experimental.arenas_create_ext, which its header leaves out. */
typedef struct {
    extent_hooks_t *extent_hooks;
    bool metadata_use_hooks;
} ArenaCreateConfig;

/* One per loop, and one for all other threads. */
typedef struct {
    _Alignas(64) uint64_t allocated, released; /* bytes */
    uint64_t failures;
    uint32_t tcache;
    Spares *spares; /* NULL: none yet */
} LoopSlot;

struct Arena {
    extent_hooks_t hooks; /* first: hooks are called with its address */
    Chunks chunks;
    unsigned index; /* jemalloc's */
    ArenaGrowWanted wanted;
    void *wanted_arg;
    atomic_bool growing; /* wanted() was called, arena_grow() has not run yet */
    ArenaObserver *observers;
    LoopSlot slots[LOOPS_MAX + 1];
};

/* --- extent hooks: every one but alloc and split refuses (true), see DESIGN.md section 4 --------
 */

static void want_growth(Arena *arena)
{
    if (chunks_can_grow(&arena->chunks) && !atomic_exchange(&arena->growing, true))
        arena->wanted(arena->wanted_arg);
}

static void *extent_alloc(extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment,
                          bool *zero, bool *commit, unsigned index)
{
    (void)index;
    Arena *arena = (Arena *)hooks;
    if (new_addr)
        return NULL;
    void *extent = chunks_cut(&arena->chunks, size, alignment);
    if (!extent || chunks_left(&arena->chunks) < LOW_WATER)
        want_growth(arena);
    if (!extent)
        return NULL;
    if (*zero) {
        memory_unpoison(extent, size);
        memset(extent, 0, size);
    }
    *commit = true;
    return extent;
}

static bool extent_dalloc(extent_hooks_t *hooks, void *at, size_t size, bool committed,
                          unsigned index)
{
    (void)hooks, (void)at, (void)size, (void)committed, (void)index;
    return true;
}

static void extent_destroy(extent_hooks_t *hooks, void *at, size_t size, bool committed,
                           unsigned index)
{
    (void)hooks, (void)at, (void)size, (void)committed, (void)index; /* chunks_deinit() unmaps */
}

static bool extent_commit(extent_hooks_t *hooks, void *at, size_t size, size_t offset,
                          size_t length, unsigned index)
{
    (void)hooks, (void)at, (void)size, (void)offset, (void)length, (void)index;
    return false;
}

static bool extent_refuse(extent_hooks_t *hooks, void *at, size_t size, size_t offset,
                          size_t length, unsigned index)
{
    (void)hooks, (void)at, (void)size, (void)offset, (void)length, (void)index;
    return true;
}

static bool extent_split(extent_hooks_t *hooks, void *at, size_t size, size_t a, size_t b,
                         bool committed, unsigned index)
{
    (void)hooks, (void)at, (void)size, (void)a, (void)b, (void)committed, (void)index;
    return false;
}

static bool extent_merge(extent_hooks_t *hooks, void *a, size_t size_a, void *b, size_t size_b,
                         bool committed, unsigned index)
{
    (void)size_a, (void)size_b, (void)committed, (void)index;
    const void *base = ((Arena *)hooks)->chunks.base;
    return arena_chunk_of(base, a) != arena_chunk_of(base, b);
}

static const extent_hooks_t arena_hooks = {
    .alloc = extent_alloc,
    .dalloc = extent_dalloc,
    .destroy = extent_destroy,
    .commit = extent_commit,
    .decommit = extent_refuse,
    .purge_lazy = extent_refuse,
    .purge_forced = extent_refuse,
    .split = extent_split,
    .merge = extent_merge,
};

/* --- making and ending ------------------------------------------------------------------------ */

static bool control(const char *name, void *value, size_t size, GError **error)
{
    int e = mallctl(name, NULL, NULL, value, size);
    if (e != 0)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "jemalloc: %s: %s", name,
                    g_strerror(e));
    return e == 0;
}

static bool control_arena(Arena *arena, const char *what, void *value, size_t size, GError **error)
{
    char name[64];
    g_snprintf(name, sizeof name, "arena.%u.%s", arena->index, what);
    return control(name, value, size, error);
}

static bool create_jemalloc_arena(Arena *arena, GError **error)
{
    arena->hooks = arena_hooks;
    ArenaCreateConfig config = {.extent_hooks = &arena->hooks, .metadata_use_hooks = false};
    size_t len = sizeof arena->index;
    int e = mallctl("experimental.arenas_create_ext", &arena->index, &len, &config, sizeof config);
    if (e != 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "jemalloc cannot make an arena (%s): version 5.3.0 or newer is needed, running "
                    "with %s",
                    g_strerror(e), JEMALLOC_VERSION);
        return false;
    }
    size_t grow_limit = GROW_LIMIT;
    ssize_t never = -1; /* there is nothing to purge: dirty extents stay where reuse finds them */
    return control_arena(arena, "retain_grow_limit", &grow_limit, sizeof grow_limit, error) &&
           control_arena(arena, "dirty_decay_ms", &never, sizeof never, error) &&
           control_arena(arena, "muzzy_decay_ms", &never, sizeof never, error);
}

Arena *arena_new(const ArenaConfig *config, ArenaGrowWanted wanted, void *arg, GError **error)
{
    Arena *arena = g_aligned_alloc0(1, sizeof(Arena), 64);
    arena->wanted = wanted;
    arena->wanted_arg = arg;
    for (unsigned i = 0; i <= LOOPS_MAX; i++)
        arena->slots[i].tcache = NO_TCACHE;
    if (!chunks_init(&arena->chunks, config, error)) {
        g_aligned_free(arena);
        return NULL;
    }
    size_t initial = MAX(config->initial, 1);
    bool ok = create_jemalloc_arena(arena, error);
    while (ok && (size_t)arena->chunks.mapped << ARENA_CHUNK_SHIFT < initial &&
           chunks_can_grow(&arena->chunks))
        ok = arena_grow(arena, error);
    if (!ok) {
        chunks_deinit(&arena->chunks);
        g_aligned_free(arena);
        return NULL;
    }
    return arena;
}

/* What lies in them goes with the arena. */
static void free_caches(LoopSlot *slot)
{
    if (slot->tcache != NO_TCACHE)
        control("tcache.destroy", &slot->tcache, sizeof(unsigned), NULL);
    g_free(slot->spares);
}

void arena_free(Arena *arena)
{
    if (!arena)
        return;
    ArenaStats stats;
    arena_get_stats(arena, &stats);
    g_assert(stats.in_use == 0 && !arena->observers);
    for (unsigned i = 0; i < LOOPS_MAX; i++)
        free_caches(&arena->slots[i]);
    control_arena(arena, "destroy", NULL, 0, NULL);
    memory_unpoison(arena->chunks.base, (size_t)arena->chunks.mapped << ARENA_CHUNK_SHIFT);
    chunks_deinit(&arena->chunks);
    g_aligned_free(arena);
}

/* --- growing ---------------------------------------------------------------------------------- */

bool arena_grow(Arena *arena, GError **error)
{
    atomic_store(&arena->growing, false);
    unsigned index = arena->chunks.mapped;
    void *chunk = chunks_map_next(&arena->chunks, error);
    if (!chunk)
        return false;
    for (ArenaObserver *o = arena->observers; o; o = o->next)
        if (!o->chunk_added(o, index, chunk, ARENA_CHUNK_SIZE, error)) {
            /* Some devices may have registered it: it stays mapped, unused, and growth ends here.
             */
            chunks_end_growth(&arena->chunks);
            return false;
        }
    memory_poison(chunk, ARENA_CHUNK_SIZE);
    chunks_publish(&arena->chunks);
    return true;
}

bool arena_add_observer(Arena *arena, ArenaObserver *observer, GError **error)
{
    for (unsigned i = 0; i < arena->chunks.usable; i++) {
        void *chunk = arena->chunks.base + ((size_t)i << ARENA_CHUNK_SHIFT);
        if (!observer->chunk_added(observer, i, chunk, ARENA_CHUNK_SIZE, error))
            return false;
    }
    observer->next = arena->observers;
    arena->observers = observer;
    return true;
}

void arena_remove_observer(Arena *arena, ArenaObserver *observer)
{
    for (ArenaObserver **at = &arena->observers; *at; at = &(*at)->next)
        if (*at == observer) {
            *at = observer->next;
            return;
        }
}

/* --- buffers ---------------------------------------------------------------------------------- */

static LoopSlot *own_slot(Arena *arena)
{
    const Loop *loop = loop_self();
    unsigned i = loop ? loop_index(loop) : LOOPS_MAX;
    return &arena->slots[MIN(i, LOOPS_MAX)];
}

static bool is_shared(const Arena *arena, const LoopSlot *slot)
{
    return slot == &arena->slots[LOOPS_MAX];
}

static void slot_add(const Arena *arena, const LoopSlot *slot, uint64_t *counter, uint64_t n)
{
    if (is_shared(arena, slot))
        __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
    else
        counter_add(counter, n);
}

static int tcache_flags(Arena *arena, LoopSlot *slot)
{
    if (is_shared(arena, slot))
        return MALLOCX_TCACHE_NONE;
    if (slot->tcache == NO_TCACHE) {
        unsigned tcache;
        size_t len = sizeof tcache;
        if (mallctl("tcache.create", &tcache, &len, NULL, 0) != 0)
            return MALLOCX_TCACHE_NONE;
        slot->tcache = tcache;
    }
    return MALLOCX_TCACHE(slot->tcache);
}

static size_t alignment_of(size_t size)
{
    return size >= PAGE ? PAGE : (size_t)1 << (64 - __builtin_clzl(MAX(size, 64) - 1));
}

/* jemalloc joins freed pieces below 16 KiB with their neighbours only when it purges them - which
 * the hooks refuse, but by then they are joined. */
static void *alloc_after_joining(Arena *arena, size_t size, int flags)
{
    arena_flush_tcache(arena);
    return control_arena(arena, "purge", NULL, 0, NULL) ? mallocx(size, flags) : NULL;
}

static void *alloc_from_jemalloc(Arena *arena, LoopSlot *slot, size_t size)
{
    int flags =
        MALLOCX_ARENA(arena->index) | MALLOCX_ALIGN(alignment_of(size)) | tcache_flags(arena, slot);
    void *buffer = mallocx(size, flags);
    return buffer ? buffer : alloc_after_joining(arena, size, flags);
}

static void release_to_jemalloc(Arena *arena, LoopSlot *slot, void *buffer)
{
    dallocx(buffer, MALLOCX_ARENA(arena->index) | tcache_flags(arena, slot));
}

/* Of the calling loop; NULL on other threads. */
static Spares *own_spares(Arena *arena, LoopSlot *slot)
{
    if (!slot->spares && !is_shared(arena, slot))
        slot->spares = g_new0(Spares, 1);
    return slot->spares;
}

static void release_spares(Arena *arena, LoopSlot *slot)
{
    for (size_t size = SPARES_LEAST; slot->spares && size <= SPARES_MOST; size *= 2)
        for (void *buffer; (buffer = spares_take(slot->spares, size));)
            release_to_jemalloc(arena, slot, buffer);
}

void *arena_alloc(Arena *arena, size_t size)
{
    g_assert(size > 0 && size <= ARENA_BLOCK_MAX);
    LoopSlot *slot = own_slot(arena);
    Spares *spares = spares_keep(size) ? own_spares(arena, slot) : NULL;
    void *buffer = spares ? spares_take(spares, size) : NULL;
    if (!buffer)
        buffer = alloc_from_jemalloc(arena, slot, size);
    if (!buffer) {
        slot_add(arena, slot, &slot->failures, 1);
        want_growth(arena);
        return NULL;
    }
    memory_unpoison(buffer, size);
    memory_taken_over(buffer);
    slot_add(arena, slot, &slot->allocated, size);
    return buffer;
}

void arena_release(Arena *arena, void *buffer, size_t size)
{
    if (!buffer)
        return;
    LoopSlot *slot = own_slot(arena);
    memory_poison(buffer, size);
    memory_handed_over(buffer);
    Spares *spares = spares_keep(size) ? own_spares(arena, slot) : NULL;
    if (!spares || !spares_give(spares, buffer, size))
        release_to_jemalloc(arena, slot, buffer);
    slot_add(arena, slot, &slot->released, size);
}

size_t arena_cost(size_t size)
{
    size_t rounded = spares_keep(size) ? size : nallocx(size, MALLOCX_ALIGN(alignment_of(size)));
    return rounded >= 4 * PAGE ? rounded + PAGE : rounded;
}

void arena_flush_tcache(Arena *arena)
{
    LoopSlot *slot = own_slot(arena);
    release_spares(arena, slot);
    if (!is_shared(arena, slot) && slot->tcache != NO_TCACHE)
        control("tcache.flush", &slot->tcache, sizeof(unsigned), NULL);
}

/* --- looking ---------------------------------------------------------------------------------- */

void arena_get_stats(Arena *arena, ArenaStats *out)
{
    uint64_t allocated = 0, released = 0, failures = 0;
    for (unsigned i = 0; i <= LOOPS_MAX; i++) {
        const LoopSlot *slot = &arena->slots[i];
        released += counter_get(&slot->released); /* before allocated: never negative */
        allocated += counter_get(&slot->allocated);
        failures += counter_get(&slot->failures);
    }
    *out = (ArenaStats){
        .limit = (size_t)arena->chunks.reserved << ARENA_CHUNK_SHIFT,
        .mapped = (size_t)arena_chunk_count(arena) << ARENA_CHUNK_SHIFT,
        .in_use = allocated > released ? allocated - released : 0,
        .failures = failures,
    };
}

void *arena_base(const Arena *arena)
{
    return arena->chunks.base;
}

unsigned arena_chunk_count(const Arena *arena)
{
    return __atomic_load_n(&arena->chunks.usable, __ATOMIC_ACQUIRE);
}
