/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The range lock: one list in order of arrival, scanned only while an exclusive range is in it. */
#include "aio/ranges.h"

#include <assert.h>
#include <stddef.h>

void aio_ranges_init(AioRanges *ranges)
{
    *ranges = (AioRanges){.head = NULL};
    pthread_mutex_init(&ranges->lock, NULL);
    pthread_cond_init(&ranges->changed, NULL);
}

void aio_ranges_deinit(AioRanges *ranges)
{
    assert(!ranges->head);
    pthread_cond_destroy(&ranges->changed);
    pthread_mutex_destroy(&ranges->lock);
}

static bool range_excludes(const AioRange *a, const AioRange *b)
{
    return (a->exclusive || b->exclusive) && a->start < b->end && b->start < a->end;
}

/* Waiters count as well: otherwise a stream of shared ranges could starve an exclusive one. */
static bool ranges_blocked(const AioRanges *ranges, const AioRange *range, const AioRange *last)
{
    if (!ranges->exclusive)
        return false;
    for (const AioRange *other = last; other; other = other->prev)
        if (range_excludes(other, range))
            return true;
    return false;
}

static void ranges_append(AioRanges *ranges, AioRange *range)
{
    range->prev = ranges->tail;
    range->next = NULL;
    if (ranges->tail)
        ranges->tail->next = range;
    else
        ranges->head = range;
    ranges->tail = range;
    ranges->exclusive += range->exclusive;
}

bool aio_ranges_try(AioRanges *ranges, AioRange *range, uint64_t start, uint64_t end)
{
    *range = (AioRange){.start = start, .end = end};
    pthread_mutex_lock(&ranges->lock);
    bool granted = !ranges_blocked(ranges, range, ranges->tail);
    if (granted)
        ranges_append(ranges, range);
    pthread_mutex_unlock(&ranges->lock);
    return granted;
}

void aio_ranges_lock(AioRanges *ranges, AioRange *range, uint64_t start, uint64_t end,
                     bool exclusive)
{
    *range = (AioRange){.start = start, .end = end, .exclusive = exclusive};
    pthread_mutex_lock(&ranges->lock);
    ranges_append(ranges, range);
    ranges->waiting++;
    while (ranges_blocked(ranges, range, range->prev))
        pthread_cond_wait(&ranges->changed, &ranges->lock);
    ranges->waiting--;
    pthread_mutex_unlock(&ranges->lock);
}

void aio_ranges_unlock(AioRanges *ranges, AioRange *range)
{
    pthread_mutex_lock(&ranges->lock);
    if (range->prev)
        range->prev->next = range->next;
    else
        ranges->head = range->next;
    if (range->next)
        range->next->prev = range->prev;
    else
        ranges->tail = range->prev;
    ranges->exclusive -= range->exclusive;
    if (ranges->waiting)
        pthread_cond_broadcast(&ranges->changed);
    pthread_mutex_unlock(&ranges->lock);
}
