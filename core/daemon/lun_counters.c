/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of a LUN's counters. */
#include "core/daemon/lun_counters.h"

#define COUNTER(name, member)                   \
    {                                           \
        name, offsetof(LunStats, member), false \
    }
#define GAUGE(name, member)                    \
    {                                          \
        name, offsetof(LunStats, member), true \
    }

const LunCounter lun_counters[] = {
    COUNTER("Reads", reads),
    COUNTER("Writes", writes),
    COUNTER("Flushes", flushes),
    COUNTER("Unmaps", unmaps),
    COUNTER("Others", others),
    COUNTER("Errors", errors),
    COUNTER("ReadBytes", read_bytes),
    COUNTER("WriteBytes", write_bytes),
    COUNTER("QueuedByGate", queued_by_gate),
    COUNTER("EngineSubmitted", engine.submitted),
    COUNTER("EngineCompleted", engine.completed),
    COUNTER("EngineErrors", engine.errors),
    COUNTER("EngineInlineHits", engine.inline_hits),
    COUNTER("EngineInlineShorts", engine.inline_shorts),
    COUNTER("EngineInlineMisses", engine.inline_misses),
    COUNTER("EngineInlineUnsupported", engine.inline_unsupported),
    COUNTER("EngineHandOffs", engine.hand_offs),
    COUNTER("EngineWakeUps", engine.wake_ups),
    COUNTER("EngineEventWrites", engine.event_writes),
    COUNTER("EngineSubmitCalls", engine.submit_calls),
    COUNTER("EngineBounced", engine.bounced),
    COUNTER("CacheHits", cache.hits),
    COUNTER("CacheHitBytes", cache.hit_bytes),
    COUNTER("CacheMisses", cache.misses),
    COUNTER("CacheWaits", cache.waits),
    COUNTER("CacheBypasses", cache.bypasses),
    COUNTER("CacheEvictions", cache.evictions),
    COUNTER("CacheCopiesOnWrite", cache.copies_on_write),
    GAUGE("CacheSlots", cache.used),
    GAUGE("CachePinned", cache.pinned),
    COUNTER("CacheReadaheadUseful", cache.ahead_useful),
    COUNTER("CacheReadaheadWasted", cache.ahead_wasted),
    {NULL, 0, false},
};

void lun_stats_subtract(LunStats *later, const LunStats *earlier)
{
    for (const LunCounter *c = lun_counters; c->name; c++)
        if (!c->gauge)
            *(uint64_t *)((char *)later + c->offset) -= lun_counter_get(earlier, c);
}

void lun_counters_add(GVariantBuilder *dict, const LunStats *stats)
{
    for (const LunCounter *c = lun_counters; c->name; c++)
        g_variant_builder_add(dict, "{sv}", c->name,
                              g_variant_new_uint64(lun_counter_get(stats, c)));
}
