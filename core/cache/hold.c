/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads: which bytes are there, which are to be filled, and what keeps them where they are. */
#include "core/cache/hold_impl.h"

#include "core/base/counter.h"

/* Pieces of small, middling and the longest reads, so that none holds memory for what it is not. */
static const unsigned capacities[] = {8, 33, SEGMENT_MAX / CACHE_UNIT + 1};
#define CAPACITIES G_N_ELEMENTS(capacities)

struct CacheLane {
    Cache *cache;
    Loop *loop;
    CacheHold *free[CAPACITIES];
    unsigned out; /* holds in use */
    uint64_t hits, hit_bytes, misses, waits, bypasses;
};

/* --- lanes ------------------------------------------------------------------------------------ */

CacheLane *cache_lane_new(Cache *cache, Loop *loop)
{
    CacheLane *lane = g_new0(CacheLane, 1);
    lane->cache = cache;
    lane->loop = loop;
    __atomic_add_fetch(&cache->n_lanes, 1, __ATOMIC_RELAXED);
    return lane;
}

static void free_all(CacheHold *hold)
{
    while (hold) {
        CacheHoldState *state = hold->state;
        hold = state->next;
        g_free(state->iov);
        g_free(state);
    }
}

void cache_lane_free(CacheLane *lane)
{
    if (!lane)
        return;
    g_assert(lane->out == 0);
    for (unsigned i = 0; i < CAPACITIES; i++)
        free_all(lane->free[i]);
    __atomic_sub_fetch(&lane->cache->n_lanes, 1, __ATOMIC_RELEASE);
    g_free(lane);
}

void cache_lane_add_stats(const CacheLane *lane, CacheStats *out)
{
    out->hits += counter_get(&lane->hits);
    out->hit_bytes += counter_get(&lane->hit_bytes);
    out->misses += counter_get(&lane->misses);
    out->waits += counter_get(&lane->waits);
    out->bypasses += counter_get(&lane->bypasses);
}

/* --- holds ------------------------------------------------------------------------------------ */

static CacheHoldState *state_new(CacheLane *lane, unsigned class)
{
    unsigned capacity = capacities[class];
    CacheHoldState *state = g_malloc0(sizeof *state + capacity * sizeof *state->pieces);
    state->hold.state = state;
    state->lane = lane;
    state->class = class;
    state->iov = g_new(struct iovec, capacity);
    return state;
}

CacheHold *cache_hold_new(CacheLane *lane, uint64_t offset, size_t len, unsigned flags)
{
    g_assert(len > 0 && len <= SEGMENT_MAX);
    uint64_t first = offset & ~(CACHE_UNIT - 1), end = (offset + len - 1) | (CACHE_UNIT - 1);
    size_t units = (size_t)(end + 1 - first) / CACHE_UNIT;
    unsigned class = 0;
    while (G_UNLIKELY(units > capacities[class]))
        class ++;
    CacheHold **list = &lane->free[class];
    CacheHoldState *state = *list ? (*list)->state : state_new(lane, class);
    if (*list)
        *list = state->next;
    lane->out++;
    state->hold.len = len;
    state->offset = offset;
    state->end = offset + len;
    state->at = first;
    state->unit_end = end + 1;
    state->flags = flags;
    state->begun = state->waiting = false;
    state->n_pieces = state->fill_from = 0;
    return &state->hold;
}

static void woken(void *arg)
{
    CacheHoldState *state = arg;
    state->waiting = false;
    state->hold.woken(&state->hold);
}

void hold_wake(CacheHold *hold)
{
    loop_call(hold->state->lane->loop, woken, hold->state);
}

/* --- pieces ----------------------------------------------------------------------------------- */

typedef enum { PIECE_TAKEN, PIECE_WAITS, PIECE_NONE } PieceResult;

/* How many units from `first` on, up to `end`, have their bit set. */
static unsigned run_length(uint64_t mask, unsigned first, unsigned end)
{
    uint64_t rest = ~(mask >> first);
    unsigned n = rest ? (unsigned)__builtin_ctzll(rest) : 64;
    return MIN(n, end - first);
}

static void add_piece(CacheHoldState *state, CacheShard *shard, CacheSlot *slot, unsigned first,
                      unsigned count)
{
    Piece *piece = &state->pieces[state->n_pieces++];
    piece->slot = slot;
    piece->first = (uint16_t)first;
    piece->count = (uint16_t)count;
    piece->fills = false;
    slot_pin(shard, slot);
    state->at += count * CACHE_UNIT;
}

static bool filling(const CacheHoldState *state)
{
    return state->fill_from < state->n_pieces;
}

static void wait_for(CacheHoldState *state, CacheSlot *slot)
{
    state->waiting = true;
    state->next = slot->waiters;
    slot->waiters = &state->hold;
}

/* From unit `first` on nothing is valid. */
static PieceResult take_missing(CacheHoldState *state, CacheShard *shard, CacheSlot *slot,
                                uint64_t key, unsigned first, unsigned end)
{
    if (slot && (slot->filling >> first & 1)) {
        if (filling(state))
            return PIECE_NONE;
        wait_for(state, slot);
        return PIECE_WAITS;
    }
    if (guard_is_written(&shard->guard, key) || (slot && (slot->stale >> first & 1)))
        return PIECE_NONE;
    if (!slot && ((state->flags & CACHE_NO_ADMISSION) || !(slot = slot_make(shard, key))))
        return PIECE_NONE;
    slot->ahead |= slot->valid == 0 && (state->flags & CACHE_AHEAD);
    unsigned count = run_length(~(slot->valid | slot->filling | slot->stale), first, end);
    slot->filling |= unit_mask(first, count);
    add_piece(state, shard, slot, first, count);
    Piece *piece = &state->pieces[state->n_pieces - 1];
    piece->fills = true;
    piece->epoch = guard_epoch(&shard->guard, key);
    return PIECE_TAKEN;
}

static PieceResult take_piece(CacheHoldState *state, CacheShard *shard, uint64_t key)
{
    const Cache *cache = shard->cache;
    uint64_t start = key << cache->slot_shift;
    unsigned first = (unsigned)((state->at - start) / CACHE_UNIT);
    unsigned end = (unsigned)(MIN(state->unit_end - start, cache->slot) / CACHE_UNIT);
    CacheSlot *slot = slot_find(shard, key);
    if (!slot || !(slot->valid >> first & 1))
        return take_missing(state, shard, slot, key, first, end);
    if (filling(state)) /* a fill is one request to the store */
        return PIECE_NONE;
    if (!(state->flags & (CACHE_NO_USE | CACHE_AHEAD)))
        policy_use(&shard->policy, &slot->entry);
    if (slot->ahead && !(state->flags & CACHE_AHEAD)) {
        slot->ahead = false;
        shard->ahead_useful++;
    }
    add_piece(state, shard, slot, first, run_length(slot->valid, first, end));
    state->fill_from = state->n_pieces;
    return PIECE_TAKEN;
}

/* As many as there are, one after another; a lock for those of one shard. */
static PieceResult take_pieces(CacheHoldState *state)
{
    Cache *cache = state->lane->cache;
    CacheShard *shard = NULL;
    PieceResult result = PIECE_TAKEN;
    while (result == PIECE_TAKEN && state->at < state->unit_end) {
        uint64_t key = state->at >> cache->slot_shift;
        CacheShard *next = cache_shard(cache, key);
        if (next != shard) {
            if (shard)
                pthread_mutex_unlock(&shard->lock);
            shard = next;
            pthread_mutex_lock(&shard->lock);
        }
        result = take_piece(state, shard, key);
    }
    if (shard)
        pthread_mutex_unlock(&shard->lock);
    return result;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* The memory of pieces from `from` on, from `skip` bytes into the first, `len` in all; memory that
 * lies together is one element. */
static int point_to(CacheHoldState *state, unsigned from, size_t skip, size_t len)
{
    int n = 0;
    for (unsigned i = from; len > 0; i++) {
        const Piece *piece = &state->pieces[i];
        uint8_t *memory = piece->slot->memory + piece->first * CACHE_UNIT + skip;
        size_t part = MIN(len, piece->count * CACHE_UNIT - skip);
        struct iovec *last = n > 0 ? &state->iov[n - 1] : NULL;
        if (last && (uint8_t *)last->iov_base + last->iov_len == memory &&
            piece->slot->block == state->pieces[i - 1].slot->block)
            last->iov_len += part;
        else
            state->iov[n++] = (struct iovec){memory, part};
        len -= part;
        skip = 0;
    }
    return n;
}

const struct iovec *cache_hold_iov(CacheHold *hold, size_t len, int *iovcnt)
{
    CacheHoldState *state = hold->state;
    size_t skip = (size_t)(state->offset % CACHE_UNIT);
    if (G_LIKELY(state->n_pieces == 1)) { /* as point_to() would */
        const Piece *piece = &state->pieces[0];
        state->iov[0] = (struct iovec){piece->slot->memory + piece->first * CACHE_UNIT + skip, len};
        *iovcnt = 1;
    } else {
        *iovcnt = point_to(state, 0, skip, len);
    }
    return state->iov;
}

static void prepare_fill(CacheHoldState *state)
{
    size_t len = 0;
    for (unsigned i = state->fill_from; i < state->n_pieces; i++)
        len += state->pieces[i].count * CACHE_UNIT;
    state->hold.fill.len = len;
    state->hold.fill.offset = state->at - len;
    state->hold.fill.iovcnt = point_to(state, state->fill_from, 0, len);
    state->hold.fill.iov = state->iov;
}

/* --- steps ------------------------------------------------------------------------------------ */

static void count_first_step(CacheHoldState *state, CacheStep step)
{
    CacheLane *lane = state->lane;
    state->begun = true;
    if (state->flags & CACHE_AHEAD)
        return;
    switch (step) {
    case CACHE_READY:
        counter_add(&lane->hits, 1);
        counter_add(&lane->hit_bytes, state->end - state->offset);
        return;
    case CACHE_WAIT:
        counter_add(&lane->waits, 1);
        counter_add(&lane->misses, 1);
        return;
    case CACHE_FILL:
        counter_add(&lane->misses, 1);
        return;
    case CACHE_BYPASS:
        counter_add(&lane->bypasses, 1);
        return;
    }
}

CacheStep cache_hold_step(CacheHold *hold)
{
    CacheHoldState *state = hold->state;
    CacheStep step = CACHE_READY;
    g_assert(!state->waiting && !filling(state));
    PieceResult result = take_pieces(state);
    if (filling(state)) {
        prepare_fill(state);
        step = CACHE_FILL;
    } else if (result != PIECE_TAKEN) {
        step = result == PIECE_WAITS ? CACHE_WAIT : CACHE_BYPASS;
    }
    if (!state->begun)
        count_first_step(state, step);
    return step;
}

/* The units count only if nothing has changed them while the store was asked. */
static void end_fill(CacheShard *shard, Piece *piece, bool filled)
{
    CacheSlot *slot = piece->slot;
    uint64_t units = unit_mask(piece->first, piece->count);
    slot->filling &= ~units;
    if (filled && !slot->gone && guard_epoch(&shard->guard, slot->entry.key) == piece->epoch)
        slot->valid |= units;
    else
        slot->stale |= units;
    piece->fills = false;
    slot_wake(slot);
}

void cache_hold_filled(CacheHold *hold)
{
    CacheHoldState *state = hold->state;
    for (unsigned i = state->fill_from; i < state->n_pieces; i++) {
        CacheShard *shard = state->pieces[i].slot->block->shard;
        pthread_mutex_lock(&shard->lock);
        end_fill(shard, &state->pieces[i], true);
        pthread_mutex_unlock(&shard->lock);
    }
    state->fill_from = state->n_pieces;
}

void cache_hold_release(CacheHold *hold)
{
    CacheHoldState *state = hold->state;
    CacheLane *lane = state->lane;
    g_assert(!state->waiting);
    for (unsigned i = 0; i < state->n_pieces; i++) {
        Piece *piece = &state->pieces[i];
        CacheShard *shard = piece->slot->block->shard;
        pthread_mutex_lock(&shard->lock);
        if (piece->fills)
            end_fill(shard, piece, false);
        slot_unpin(shard, piece->slot);
        pthread_mutex_unlock(&shard->lock);
    }
    state->next = lane->free[state->class];
    lane->free[state->class] = hold;
    lane->out--;
}
