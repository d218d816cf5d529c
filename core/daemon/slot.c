/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading everything at once that an experiment compares. */
#include "core/daemon/slot.h"

#include "core/daemon/lun_counters.h"

void slot_read(Slot *slot, Lun *lun)
{
    *slot = (Slot){.at = (uint64_t)g_get_monotonic_time() * 1000};
    lun_get_stats(lun, &slot->stats);
    lun_add_latency(lun, &slot->latency);
    cpu_time_get(&slot->cpu);
}

/* Engines' time is worked out of several clocks, which are not read at one moment. */
static uint64_t elapsed(uint64_t later, uint64_t earlier)
{
    return later > earlier ? later - earlier : 0;
}

void slot_subtract(Slot *later, const Slot *earlier)
{
    later->at -= earlier->at;
    later->cpu.process = elapsed(later->cpu.process, earlier->cpu.process);
    later->cpu.engines = elapsed(later->cpu.engines, earlier->cpu.engines);
    lun_stats_subtract(&later->stats, &earlier->stats);
    latency_sums_subtract(&later->latency, &earlier->latency);
}

void slot_clear(Slot *slot)
{
    latency_sums_clear(&slot->latency);
}

void slot_describe(const Slot *slot, GVariantBuilder *dict)
{
    const struct {
        const char *name;
        uint64_t value;
    } times[] = {
        {"Duration", slot->at},
        {"ProcessCpu", slot->cpu.process},
        {"EngineCpu", slot->cpu.engines},
        {"CommandTime", latency_sums_time(&slot->latency, LATENCY_COMMAND)},
        {"EngineTime", latency_sums_time(&slot->latency, LATENCY_ENGINE)},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(times); i++)
        g_variant_builder_add(dict, "{sv}", times[i].name, g_variant_new_uint64(times[i].value));
    lun_counters_add(dict, &slot->stats);
    g_variant_builder_add(dict, "{sv}", "Latency", latency_sums_to_variant(&slot->latency));
}
