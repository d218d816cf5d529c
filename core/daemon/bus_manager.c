/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.rtgt.Manager1: the daemon as a whole. */
#include "core/daemon/bus.h"
#include "core/daemon/bus_objects.h"
#include "core/daemon/rtgt-dbus.h"

#include <config.h>

static gboolean get_statistics(RtgtManager1 *interface, GDBusMethodInvocation *invocation,
                               Manager *manager)
{
    ManagerStats stats;
    manager_get_stats(manager, &stats);
    const BusCounter counters[] = {
        {"ArenaMapped", stats.arena.mapped},      {"ArenaUsed", stats.arena.in_use},
        {"ArenaFailures", stats.arena.failures},  {"MemoryAdmitted", stats.memory.admitted},
        {"MemoryLimit", stats.memory.limit},      {"MemoryWaiting", stats.memory.waiting},
        {"MemoryWaits", stats.memory.waits},      {"ReceiveLimit", stats.receive.limit},
        {"ReceiveLeft", stats.receive.left},      {"LoopTurns", stats.loops.turns},
        {"LoopRounds", stats.loops.rounds},       {"LoopEmptyPolls", stats.loops.empty_polls},
        {"LoopSleeps", stats.loops.sleeps},       {"LoopCompletions", stats.loops.completions},
        {"Sessions", stats.sessions.sessions},    {"Commands", stats.sessions.commands},
        {"ReadBytes", stats.sessions.read_bytes}, {"WriteBytes", stats.sessions.write_bytes},
    };
    rtgt_manager1_complete_get_statistics(interface, invocation,
                                          bus_counters(counters, G_N_ELEMENTS(counters)));
    return TRUE;
}

static GVariant *portals(Manager *manager)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ss)"));
    const GPtrArray *all = manager_portals(manager);
    for (guint i = 0; i < all->len; i++) {
        const Portal *portal = all->pdata[i];
        g_variant_builder_add(&builder, "(ss)", portal->transport->name, portal->address);
    }
    return g_variant_builder_end(&builder);
}

static GVariant *engines(void)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ss)"));
    for (const AioEngine *const *engine = aio_engines; *engine; engine++)
        g_variant_builder_add(&builder, "(ss)", (*engine)->name, (*engine)->summary);
    return g_variant_builder_end(&builder);
}

GDBusObjectSkeleton *bus_manager_object(Manager *manager)
{
    const Config *config = manager_config(manager);
    g_auto(GStrv) transports = bus_transport_names(manager_transports(manager));
    RtgtManager1 *interface = rtgt_manager1_skeleton_new();
    g_object_set(interface, "version", PACKAGE_VERSION, "configuration-file", config->path,
                 "state-directory", config->state_dir, "io-loops", manager_io_loops(manager),
                 "task-management-timeout", config->tmf_timeout_ms / 1000, "poll-microseconds",
                 manager_poll_us(manager), "arena-limit", (guint64)config->arena.limit,
                 "arena-initial", (guint64)config->arena.initial, "receive-memory",
                 (guint64)config->recv_memory, "huge-pages", config_hugepages[config->arena.huge],
                 "transports", transports, "portals", portals(manager), "engines", engines(), NULL);
    g_signal_connect(interface, "handle-get-statistics", G_CALLBACK(get_statistics), manager);
    return bus_object(BUS_ROOT "/manager", interface);
}

void bus_manager_pool_low(GDBusObjectManager *objects, const char *pool, uint64_t left,
                          uint64_t limit)
{
    g_autoptr(GDBusInterface) interface =
        g_dbus_object_manager_get_interface(objects, BUS_ROOT "/manager", "org.rtgt.Manager1");
    rtgt_manager1_emit_pool_low(RTGT_MANAGER1(interface), pool, left, limit);
}
