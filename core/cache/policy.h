/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a cache keeps: S3-FIFO with one reference bit. New entries go through a small queue (10 % of
 * all); those that are used again meanwhile, or come back soon after they have left it, get into
 * the main queue, where a used entry goes round once more. A hit is one store and moves nothing.
 *
 * Uses within the correlation window, and of one sequential stream, are one use: the caller says of
 * the latter by not telling. No I/O, no memory but its own, no lock: the caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PolicyEntry PolicyEntry;
typedef enum { POLICY_OUT, POLICY_SMALL, POLICY_MAIN } PolicyQueue;

/* Embedded in what is cached. */
struct PolicyEntry {
    PolicyEntry *newer, *older;
    uint64_t key; /* set by the caller before policy_insert() */
    uint32_t born;
    uint8_t queue; /* PolicyQueue */
    bool used;
};

typedef struct {
    PolicyEntry *newest, *oldest;
    size_t count;
} PolicyList;

typedef struct {
    uint32_t print, at;
} PolicyGhost;

typedef struct {
    PolicyList lists[3]; /* by PolicyQueue */
    size_t capacity;
    uint32_t window;   /* insertions for which the uses of an entry count as one */
    uint32_t inserted; /* a clock: entries ever inserted */
    PolicyGhost *ghosts;
    size_t ghost_mask;
    uint32_t ghosted; /* a clock: fingerprints ever left behind */
} Policy;

void policy_init(Policy *policy, size_t capacity);
void policy_deinit(Policy *policy); /* empty (asserted) */
/* How many entries there may be from now on; the caller evicts. Forgets the fingerprints. */
void policy_resize(Policy *policy, size_t capacity);

/* The entry, of no queue, belongs to the cache from now on. */
void policy_insert(Policy *policy, PolicyEntry *entry);
void policy_remove(Policy *policy, PolicyEntry *entry);
/* `with`, of no queue, has the place and the history of `entry`, which has none any more. */
void policy_replace(Policy *policy, PolicyEntry *entry, PolicyEntry *with);

/* The entry was used. */
static inline void policy_use(const Policy *policy, PolicyEntry *entry)
{
    if (policy->inserted - entry->born > policy->window)
        entry->used = true;
}

/* Takes out the entry that is worth least, of those that may(entry) go; NULL: none was found in a
 * bounded number of steps. */
PolicyEntry *policy_evict(Policy *policy, bool (*may)(const PolicyEntry *));
