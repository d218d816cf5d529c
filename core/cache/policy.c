/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queues of S3-FIFO and the fingerprints of what has left the small one. */
#include "core/cache/policy.h"

#include <glib.h>

#define SMALL_PART  10
#define WINDOW_PART 40
#define STEPS_MAX                                                                                 \
    128               /* under the caller's lock; what is left to do is done by the next eviction \
                       */
#define KEPT_MAX   16 /* that may not go: then the other queue is looked at */
#define GHOSTS_MIN 64

static uint64_t mix(uint64_t key)
{
    key ^= key >> 33;
    key *= UINT64_C(0xff51afd7ed558ccd);
    key ^= key >> 33;
    key *= UINT64_C(0xc4ceb9fe1a85ec53);
    return key ^ key >> 33;
}

/* --- queues ----------------------------------------------------------------------------------- */

static void push(Policy *policy, PolicyEntry *entry, PolicyQueue queue)
{
    PolicyList *list = &policy->lists[queue];
    entry->queue = (uint8_t)queue;
    entry->newer = NULL;
    entry->older = list->newest;
    if (list->newest)
        list->newest->newer = entry;
    else
        list->oldest = entry;
    list->newest = entry;
    list->count++;
}

void policy_remove(Policy *policy, PolicyEntry *entry)
{
    PolicyList *list = &policy->lists[entry->queue];
    g_assert(entry->queue != POLICY_OUT);
    *(entry->newer ? &entry->newer->older : &list->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &list->oldest) = entry->newer;
    list->count--;
    entry->queue = POLICY_OUT;
}

void policy_replace(Policy *policy, PolicyEntry *entry, PolicyEntry *with)
{
    PolicyList *list = &policy->lists[entry->queue];
    g_assert(entry->queue != POLICY_OUT);
    with->newer = entry->newer;
    with->older = entry->older;
    with->key = entry->key;
    with->born = entry->born;
    with->used = entry->used;
    with->queue = entry->queue;
    *(with->newer ? &with->newer->older : &list->newest) = with;
    *(with->older ? &with->older->newer : &list->oldest) = with;
    entry->queue = POLICY_OUT;
}

static void move(Policy *policy, PolicyEntry *entry, PolicyQueue queue)
{
    policy_remove(policy, entry);
    push(policy, entry, queue);
}

/* --- fingerprints ----------------------------------------------------------------------------- */

static PolicyGhost *ghost_of(const Policy *policy, uint64_t key, uint32_t *print)
{
    uint64_t hash = mix(key);
    *print = (uint32_t)(hash >> 32) | 1; /* 0: no ghost */
    return &policy->ghosts[hash & policy->ghost_mask];
}

static void ghost_leave(Policy *policy, uint64_t key)
{
    uint32_t print;
    PolicyGhost *ghost = ghost_of(policy, key, &print);
    *ghost = (PolicyGhost){.print = print, .at = ++policy->ghosted};
}

/* True once for a key that has left not longer ago than the main queue is long. */
static bool ghost_take(const Policy *policy, uint64_t key)
{
    uint32_t print;
    PolicyGhost *ghost = ghost_of(policy, key, &print);
    if (ghost->print != print)
        return false;
    ghost->print = 0;
    return policy->ghosted - ghost->at < policy->capacity - policy->capacity / SMALL_PART;
}

static void make_ghosts(Policy *policy)
{
    size_t size = GHOSTS_MIN;
    while (size < 2 * policy->capacity)
        size *= 2;
    policy->ghosts = g_new0(PolicyGhost, size);
    policy->ghost_mask = size - 1;
}

/* --- the policy ------------------------------------------------------------------------------- */

void policy_init(Policy *policy, size_t capacity)
{
    *policy = (Policy){.capacity = capacity, .window = (uint32_t)(capacity / WINDOW_PART)};
    make_ghosts(policy);
}

void policy_deinit(Policy *policy)
{
    g_assert(!policy->lists[POLICY_SMALL].count && !policy->lists[POLICY_MAIN].count);
    g_free(policy->ghosts);
}

void policy_resize(Policy *policy, size_t capacity)
{
    g_free(policy->ghosts);
    policy->capacity = capacity;
    policy->window = (uint32_t)(capacity / WINDOW_PART);
    make_ghosts(policy);
}

void policy_insert(Policy *policy, PolicyEntry *entry)
{
    g_assert(entry->queue == POLICY_OUT);
    entry->born = policy->inserted++;
    entry->used = false;
    push(policy, entry, ghost_take(policy, entry->key) ? POLICY_MAIN : POLICY_SMALL);
}

PolicyEntry *policy_evict(Policy *policy, bool (*may)(const PolicyEntry *))
{
    const PolicyList *small = &policy->lists[POLICY_SMALL], *main = &policy->lists[POLICY_MAIN];
    unsigned kept = 0;
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        bool is_long = small->count > policy->capacity / SMALL_PART && kept < KEPT_MAX;
        bool from_small = small->oldest && (is_long || !main->oldest);
        PolicyEntry *entry = from_small ? small->oldest : main->oldest;
        if (!entry)
            return NULL;
        if (!may(entry)) {
            kept++;
            move(policy, entry, (PolicyQueue)entry->queue);
        } else if (entry->used) {
            entry->used = false;
            move(policy, entry, POLICY_MAIN);
        } else {
            policy_remove(policy, entry);
            if (from_small)
                ghost_leave(policy, entry->key);
            return entry;
        }
    }
    return NULL;
}
