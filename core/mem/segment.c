/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segments and their admission: one byte count for all loops; per loop a round of the clients that
 * wait, each with its own FIFO. */
#include "core/mem/segment.h"

#include "core/mem/mark.h"

#include <stdatomic.h>
#include <string.h>

/* Who waits on one loop; touched there only. */
typedef struct {
    Memory *memory;
    Loop *loop;
    GQueue waiting; /* MemoryClient, in turn */
    LoopFlush retry;
    atomic_bool poked;     /* a retry was called from another loop */
    atomic_uint n_waiting; /* segments */
} MemoryLoop;

struct Memory {
    Arena *arena;
    size_t all;          /* of the limit, what commands have when nobody else has taken some */
    atomic_size_t limit; /* changed on loop 0, or made larger */
    atomic_size_t admitted;
    atomic_uint n_waiting;
    _Atomic uint64_t waits;
    PoolMark mark;
    uint8_t *zeros; /* NULL: nobody has asked; loop 0 */
    atomic_uint n_clients;
    unsigned n_loops;
    MemoryLoop *loops;
};

struct MemoryClient {
    MemoryLoop *home;
    Segment *head, **tail; /* waiting */
    GList turn;            /* in home->waiting while head */
    unsigned held;         /* segments */
};

#define LOW_PART    16
#define ENOUGH_PART 4

/* --- taking and giving bytes ------------------------------------------------------------------ */

static size_t left_of(size_t limit, size_t admitted)
{
    return admitted < limit ? limit - admitted : 0;
}

static void see_left(Memory *memory, size_t admitted)
{
    pool_mark_see(&memory->mark, left_of(atomic_load(&memory->limit), admitted));
}

static bool admit(Memory *memory, size_t cost)
{
    size_t before = atomic_fetch_add(&memory->admitted, cost);
    size_t limit = atomic_load(&memory->limit);
    /* One segment alone always fits, however small the limit was set. */
    if (before + cost <= limit || before == 0) {
        see_left(memory, before + cost);
        return true;
    }
    pool_mark_fall(&memory->mark, left_of(limit, before));
    atomic_fetch_sub(&memory->admitted, cost);
    return false;
}

static void free_buffers(Arena *arena, Segment *segment)
{
    for (int i = 0; i < segment->iovcnt; i++)
        arena_release(arena, segment->iov[i].iov_base, segment->iov[i].iov_len);
    segment->iovcnt = 0;
}

static bool alloc_buffers(Arena *arena, Segment *segment, size_t len)
{
    segment->iovcnt = 0;
    for (size_t left = len, n; left > 0; left -= n) {
        n = MIN(left, ARENA_BUFFER_MAX);
        void *buffer = arena_alloc(arena, n);
        if (!buffer) {
            free_buffers(arena, segment);
            return false;
        }
        segment->iov[segment->iovcnt++] = (struct iovec){.iov_base = buffer, .iov_len = n};
    }
    return true;
}

static size_t cost_of(size_t len)
{
    if (len <= ARENA_BUFFER_MAX)
        return arena_cost(len);
    size_t rest = len % ARENA_BUFFER_MAX;
    return len / ARENA_BUFFER_MAX * arena_cost(ARENA_BUFFER_MAX) + (rest ? arena_cost(rest) : 0);
}

static bool take(Memory *memory, Segment *segment, size_t len)
{
    size_t cost = cost_of(len);
    if (!admit(memory, cost))
        return false;
    if (!alloc_buffers(memory->arena, segment, len)) {
        atomic_fetch_sub(&memory->admitted, cost);
        return false;
    }
    segment->len = len;
    segment->cost = cost;
    return true;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void enqueue(MemoryClient *client, Segment *segment, size_t len)
{
    MemoryLoop *home = client->home;
    segment->len = len;
    segment->waiting = true;
    segment->next = NULL;
    if (!client->head)
        g_queue_push_tail_link(&home->waiting, &client->turn);
    *client->tail = segment;
    client->tail = &segment->next;
    atomic_fetch_add(&home->n_waiting, 1);
    atomic_fetch_add(&home->memory->n_waiting, 1);
    atomic_fetch_add_explicit(&home->memory->waits, 1, memory_order_relaxed);
}

static void dequeue(MemoryClient *client, Segment **at)
{
    MemoryLoop *home = client->home;
    Segment *segment = *at;
    *at = segment->next;
    if (!segment->next)
        client->tail = at;
    if (!client->head)
        g_queue_unlink(&home->waiting, &client->turn);
    segment->waiting = false;
    atomic_fetch_sub(&home->n_waiting, 1);
    atomic_fetch_sub(&home->memory->n_waiting, 1);
}

/* Grants in turn until the first that cannot be: nobody overtakes a large one for ever. */
static void grant_waiting(MemoryLoop *home)
{
    while (home->waiting.head) {
        MemoryClient *client = home->waiting.head->data;
        Segment *segment = client->head;
        if (!take(home->memory, segment, segment->len))
            return;
        dequeue(client, &client->head);
        if (client->head) {
            g_queue_unlink(&home->waiting, &client->turn);
            g_queue_push_tail_link(&home->waiting, &client->turn);
        }
        client->held++;
        segment->granted(segment);
    }
}

static void retry_flush(LoopFlush *flush)
{
    grant_waiting((MemoryLoop *)((char *)flush - offsetof(MemoryLoop, retry)));
}

static void retry_call(void *arg);

static void poke(MemoryLoop *home)
{
    if (!atomic_exchange(&home->poked, true))
        loop_call(home->loop, retry_call, home);
}

static void poke_others(Memory *memory, const MemoryLoop *own)
{
    for (unsigned i = 0; i < memory->n_loops; i++)
        if (&memory->loops[i] != own && atomic_load(&memory->loops[i].n_waiting) > 0)
            poke(&memory->loops[i]);
}

static void retry_call(void *arg)
{
    MemoryLoop *home = arg;
    atomic_store(&home->poked, false);
    arena_flush_tcache(home->memory->arena); /* what lies idle here may be what another waits for */
    grant_waiting(home);
    /* Whoever tried before this loop had flushed tries again. A loop that waits itself need not
     * say so: it will when it releases. So the pokes come to an end. */
    if (atomic_load(&home->n_waiting) == 0)
        poke_others(home->memory, home);
}

void memory_retry(Memory *memory)
{
    for (unsigned i = 0; i < memory->n_loops; i++)
        poke(&memory->loops[i]);
}

static void wake_waiters(Memory *memory, MemoryLoop *own)
{
    if (atomic_load(&own->n_waiting) > 0)
        loop_flush_later(own->loop, &own->retry);
    poke_others(memory, own);
}

bool segment_acquire(MemoryClient *client, Segment *segment, size_t len)
{
    g_assert(len > 0 && len <= SEGMENT_MAX);
    MemoryLoop *home = client->home;
    segment->client = client;
    if (!home->waiting.head && take(home->memory, segment, len)) {
        client->held++;
        return true;
    }
    bool first = !home->waiting.head;
    enqueue(client, segment, len);
    if (first) /* tcaches flushed everywhere, and another look: a release may have come between */
        memory_retry(home->memory);
    return false;
}

void segment_release(Segment *segment)
{
    MemoryClient *client = segment->client;
    if (segment->waiting) {
        Segment **at = &client->head;
        while (*at != segment)
            at = &(*at)->next;
        dequeue(client, at);
        segment->len = 0;
        return;
    }
    if (segment->len == 0)
        return;
    Memory *memory = client->home->memory;
    free_buffers(memory->arena, segment);
    see_left(memory, atomic_fetch_sub(&memory->admitted, segment->cost) - segment->cost);
    segment->len = segment->cost = 0;
    client->held--;
    if (atomic_load(&memory->n_waiting) > 0) {
        arena_flush_tcache(memory->arena); /* or a waiter of another loop could not have it */
        wake_waiters(memory, client->home);
    }
}

/* --- caches ----------------------------------------------------------------------------------- */

bool memory_take_away(Memory *memory, size_t size)
{
    size_t cost = arena_cost(size), limit = atomic_load(&memory->limit);
    if (limit < cost || limit - cost < memory->all - memory_spare(memory->all))
        return false;
    atomic_fetch_sub(&memory->limit, cost);
    return true;
}

void memory_give_back(Memory *memory, size_t size)
{
    atomic_fetch_add(&memory->limit, arena_cost(size));
    if (atomic_load(&memory->n_waiting) > 0)
        memory_retry(memory);
}

/* --- making and ending ------------------------------------------------------------------------ */

Memory *memory_new(Arena *arena, size_t limit, Loop *const *loops, unsigned nloops)
{
    Memory *memory = g_new0(Memory, 1);
    memory->arena = arena;
    memory->all = limit;
    atomic_init(&memory->limit, limit);
    memory->mark = (PoolMark){.low = limit / LOW_PART, .enough = limit / ENOUGH_PART};
    memory->n_loops = nloops;
    memory->loops = g_new0(MemoryLoop, nloops);
    for (unsigned i = 0; i < nloops; i++) {
        MemoryLoop *home = &memory->loops[i];
        home->memory = memory;
        home->loop = loops[i];
        home->retry.run = retry_flush;
        g_queue_init(&home->waiting);
    }
    return memory;
}

void memory_watch(Memory *memory, void (*fell)(void *, size_t), void *arg)
{
    memory->mark.fell = fell;
    memory->mark.arg = arg;
}

static void free_zeros(Memory *memory)
{
    if (!memory->zeros)
        return;
    g_assert(memory->zeros[0] == 0 && !memcmp(memory->zeros, memory->zeros + 1, MEMORY_ZEROS - 1));
    arena_release(memory->arena, memory->zeros, MEMORY_ZEROS);
}

void memory_free(Memory *memory)
{
    if (!memory)
        return;
    g_assert(atomic_load(&memory->n_clients) == 0 && atomic_load(&memory->admitted) == 0);
    free_zeros(memory);
    g_free(memory->loops);
    g_free(memory);
}

const void *memory_zeros(Memory *memory)
{
    if (!memory->zeros && (memory->zeros = arena_alloc(memory->arena, MEMORY_ZEROS)))
        memset(memory->zeros, 0, MEMORY_ZEROS);
    return memory->zeros;
}

Arena *memory_arena(Memory *memory)
{
    return memory->arena;
}

MemoryClient *memory_client_new(Memory *memory, Loop *home)
{
    MemoryClient *client = g_new0(MemoryClient, 1);
    for (unsigned i = 0; i < memory->n_loops; i++)
        if (memory->loops[i].loop == home)
            client->home = &memory->loops[i];
    g_assert(client->home);
    client->tail = &client->head;
    client->turn.data = client;
    atomic_fetch_add(&memory->n_clients, 1);
    return client;
}

void memory_client_free(MemoryClient *client)
{
    if (!client)
        return;
    g_assert(!client->head && client->held == 0);
    atomic_fetch_sub(&client->home->memory->n_clients, 1);
    g_free(client);
}

void memory_get_stats(Memory *memory, MemoryStats *out)
{
    *out = (MemoryStats){
        .admitted = atomic_load(&memory->admitted),
        .limit = atomic_load(&memory->limit),
        .waiting = atomic_load(&memory->n_waiting),
        .waits = atomic_load(&memory->waits),
    };
}
