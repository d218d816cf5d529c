/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy of the cache beside LRU, on a made-up trace: reads of a Zipf distribution, mixed with
 * scans. Usage: cache-trace [SKEW-PERCENT [SCAN-PERCENT]]. Prints miss ratios, and the part of them
 * that no policy avoids: first reads. The seed is fixed. */
#include "core/cache/policy.h"

#include <glib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define KEYS      (1u << 18) /* slots of the LUN: 4 GiB of 16 KiB */
#define ACCESSES  (4u << 20)
#define SCAN_LONG 4096 /* slots of one scan */
#define SCAN_BASE KEYS /* scans run over their own part, as a backup does */
#define SEED      2008

/* What both are asked with: a hash index over an array of entries. */
typedef struct Item Item;
struct Item {
    PolicyEntry entry; /* first */
    Item *next;
};

typedef struct {
    GHashTable *index; /* key -> Item */
    Policy policy;
    size_t count, capacity;
    uint64_t misses;
} Ours;

typedef struct {
    GHashTable *index; /* key -> GList in queue */
    GQueue queue;      /* key; newest first */
    size_t capacity;
    uint64_t misses;
} Lru;

static bool always(const PolicyEntry *entry)
{
    (void)entry;
    return true;
}

static void ours_read(Ours *ours, uint64_t key)
{
    Item *item = g_hash_table_lookup(ours->index, GSIZE_TO_POINTER(key + 1));
    if (item) {
        policy_use(&ours->policy, &item->entry);
        return;
    }
    ours->misses++;
    if (ours->count < ours->capacity) {
        item = g_new0(Item, 1);
        ours->count++;
    } else {
        while (!(item = (Item *)policy_evict(&ours->policy, always)))
            ;
        g_hash_table_remove(ours->index, GSIZE_TO_POINTER(item->entry.key + 1));
    }
    item->entry.key = key;
    policy_insert(&ours->policy, &item->entry);
    g_hash_table_insert(ours->index, GSIZE_TO_POINTER(key + 1), item);
}

static void lru_read(Lru *lru, uint64_t key)
{
    gpointer name = GSIZE_TO_POINTER(key + 1);
    GList *link = g_hash_table_lookup(lru->index, name);
    if (link) {
        g_queue_unlink(&lru->queue, link);
        g_queue_push_head_link(&lru->queue, link);
        return;
    }
    lru->misses++;
    if (lru->queue.length == lru->capacity)
        g_hash_table_remove(lru->index, g_queue_pop_tail(&lru->queue));
    g_queue_push_head(&lru->queue, name);
    g_hash_table_insert(lru->index, name, lru->queue.head);
}

/* --- the trace ---------------------------------------------------------------------------------
 */

typedef struct {
    GRand *rand;
    double *sums; /* of the weights of ranks up to this one */
    uint32_t *key_of_rank;
    double scan; /* part of the accesses */
    uint64_t scan_at, scan_left;
    bool scanning;
} Trace;

static void trace_init(Trace *trace, double skew, double scan)
{
    trace->rand = g_rand_new_with_seed(SEED);
    trace->scan = scan;
    trace->sums = g_new(double, KEYS);
    trace->key_of_rank = g_new(uint32_t, KEYS);
    double sum = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        trace->sums[i] = sum += 1 / pow(i + 1, skew);
        trace->key_of_rank[i] = i;
    }
    for (uint32_t i = KEYS - 1; i > 0; i--) {
        uint32_t k = (uint32_t)g_rand_int_range(trace->rand, 0, (gint32)i + 1);
        uint32_t key = trace->key_of_rank[i];
        trace->key_of_rank[i] = trace->key_of_rank[k];
        trace->key_of_rank[k] = key;
    }
}

static void trace_deinit(Trace *trace)
{
    g_rand_free(trace->rand);
    g_free(trace->sums);
    g_free(trace->key_of_rank);
}

static uint64_t zipf(Trace *trace)
{
    double wanted = g_rand_double(trace->rand) * trace->sums[KEYS - 1];
    uint32_t low = 0, high = KEYS - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (trace->sums[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return trace->key_of_rank[low];
}

/* Scans run beside the others, so long that they are the wanted part of all. */
static uint64_t trace_next(Trace *trace)
{
    if (g_rand_double(trace->rand) >= trace->scan)
        return zipf(trace);
    if (trace->scan_left == 0) {
        trace->scan_left = SCAN_LONG;
        trace->scan_at = SCAN_BASE + (uint64_t)g_rand_int_range(trace->rand, 0, KEYS);
    }
    trace->scan_left--;
    return trace->scan_at++;
}

/* --- the comparison ----------------------------------------------------------------------------
 */

static void compare(double skew, double scan, double part)
{
    Trace trace = {0};
    size_t capacity = (size_t)(KEYS * part);
    Ours ours = {.index = g_hash_table_new(NULL, NULL), .capacity = capacity};
    g_autofree uint8_t *seen = g_new0(uint8_t, SCAN_BASE + KEYS + SCAN_LONG);
    uint64_t first = 0;
    Lru lru = {.index = g_hash_table_new(NULL, NULL), .capacity = capacity};
    trace_init(&trace, skew, scan);
    policy_init(&ours.policy, capacity);
    for (uint32_t i = 0; i < ACCESSES; i++) {
        if (i == ACCESSES / 8) /* warm */
            ours.misses = lru.misses = first = 0;
        uint64_t key = trace_next(&trace);
        first += !seen[key];
        seen[key] = 1;
        ours_read(&ours, key);
        lru_read(&lru, key);
    }
    double all = ACCESSES - ACCESSES / 8;
    printf("%5.2f  %4.0f %%  %5.1f %%  %6.4f  %6.4f  %6.4f  %5.3f\n", skew, 100 * scan, 100 * part,
           (double)first / all, (double)ours.misses / all, (double)lru.misses / all,
           (double)ours.misses / (double)lru.misses);
    GHashTableIter iter;
    gpointer item;
    g_hash_table_iter_init(&iter, ours.index);
    while (g_hash_table_iter_next(&iter, NULL, &item)) {
        policy_remove(&ours.policy, item);
        g_free(item);
    }
    policy_deinit(&ours.policy);
    g_hash_table_unref(ours.index);
    g_hash_table_unref(lru.index);
    g_queue_clear(&lru.queue);
    trace_deinit(&trace);
}

int main(int argc, char **argv)
{
    static const double parts[] = {0.01, 0.05, 0.10};
    double skew = argc > 1 ? atof(argv[1]) / 100 : 0.99,
           scan = argc > 2 ? atof(argv[2]) / 100 : 0.2;
    printf(" skew   scan    size   first    ours     LRU  ratio\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        compare(skew, scan, parts[i]);
    return 0;
}
