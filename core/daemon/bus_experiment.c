/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.rtgt.Experiment1: engines that take turns on a LUN. */
#include "core/daemon/bus_objects.h"
#include "core/daemon/experiment.h"
#include "core/daemon/rtgt-dbus.h"

/* --- methods -----------------------------------------------------------------------------------*/

static gboolean get_results(RtgtExperiment1 *interface, GDBusMethodInvocation *invocation,
                            guint from, Experiment *experiment)
{
    const GPtrArray *results = experiment_results(experiment);
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = from; i < results->len; i++)
        g_variant_builder_add_value(&builder, results->pdata[i]);
    rtgt_experiment1_complete_get_results(interface, invocation, g_variant_builder_end(&builder));
    return TRUE;
}

static gboolean cancel(RtgtExperiment1 *interface, GDBusMethodInvocation *invocation,
                       Experiment *experiment)
{
    rtgt_experiment1_complete_cancel(interface, invocation);
    experiment_cancel(experiment);
    return TRUE;
}

static void removed(void *invocation)
{
    bus_reply_empty(NULL, invocation);
}

static gboolean remove_experiment(RtgtExperiment1 *interface, GDBusMethodInvocation *invocation,
                                  Experiment *experiment)
{
    (void)interface;
    experiment_remove(experiment, removed, invocation);
    return TRUE;
}

/* --- the owner ---------------------------------------------------------------------------------*/

static void nobody_waits(void *arg)
{
    (void)arg;
}

static void owner_vanished(GDBusConnection *connection, const char *name, void *experiment)
{
    (void)connection;
    g_message("experiment %" G_GUINT64_FORMAT ": %s, who asked for it, has left the bus",
              experiment_id(experiment), name);
    experiment_remove(experiment, nobody_waits, NULL);
}

static void stop_watching(void *id)
{
    g_bus_unwatch_name(GPOINTER_TO_UINT(id));
}

static void watch_owner(RtgtExperiment1 *interface, GDBusConnection *connection,
                        Experiment *experiment)
{
    guint id = g_bus_watch_name_on_connection(connection, experiment_plan(experiment)->owner,
                                              G_BUS_NAME_WATCHER_FLAGS_NONE, NULL, owner_vanished,
                                              experiment, NULL);
    g_object_set_data_full(G_OBJECT(interface), "rtgt-owner", GUINT_TO_POINTER(id), stop_watching);
}

/* --- the object --------------------------------------------------------------------------------*/

static char **engines(const ExperimentPlan *plan)
{
    char **out = g_new0(char *, plan->variants->len + 1);
    for (guint i = 0; i < plan->variants->len; i++)
        out[i] = g_strdup(((const Variant *)plan->variants->pdata[i])->text);
    return out;
}

static void show_state(RtgtExperiment1 *interface, const Experiment *experiment)
{
    unsigned round;
    const char *current = experiment_current(experiment, &round);
    double progress = (double)experiment_results(experiment)->len / experiment_slots(experiment);
    g_object_set(interface, "state", experiment_state_name(experiment_state(experiment)), "error",
                 experiment_error(experiment), "progress", progress, "current-engine",
                 current ? current : "", "current-round", round, NULL);
}

GDBusObjectSkeleton *bus_experiment_object(Experiment *experiment, GDBusConnection *connection)
{
    const ExperimentPlan *plan = experiment_plan(experiment);
    g_autofree char *path = bus_experiment_path(experiment_id(experiment));
    g_autofree char *lun = bus_lun_path(experiment_target(experiment), experiment_lun(experiment));
    g_auto(GStrv) variants = engines(plan);
    RtgtExperiment1 *interface = rtgt_experiment1_skeleton_new();
    g_object_set(interface, "id", experiment_id(experiment), "lun", lun, "target-name",
                 experiment_target(experiment), "lun-number", experiment_lun(experiment), "engines",
                 variants, "original", experiment_original_text(experiment), "rounds", plan->rounds,
                 "dwell-milliseconds", plan->dwell_ms, "settle-milliseconds", plan->settle_ms,
                 "seed", plan->seed, NULL);
    show_state(interface, experiment);
    g_signal_connect(interface, "handle-get-results", G_CALLBACK(get_results), experiment);
    g_signal_connect(interface, "handle-cancel", G_CALLBACK(cancel), experiment);
    g_signal_connect(interface, "handle-remove", G_CALLBACK(remove_experiment), experiment);
    if (plan->owner)
        watch_owner(interface, connection, experiment);
    return bus_object(path, interface);
}

/* A new reference. */
static GDBusInterface *find(GDBusObjectManager *objects, const Experiment *experiment)
{
    g_autofree char *path = bus_experiment_path(experiment_id(experiment));
    return g_dbus_object_manager_get_interface(objects, path, "org.rtgt.Experiment1");
}

void bus_experiment_changed(GDBusObjectManager *objects, const Experiment *experiment)
{
    g_autoptr(GDBusInterface) interface = find(objects, experiment);
    show_state(RTGT_EXPERIMENT1(interface), experiment);
}

void bus_experiment_measured(GDBusObjectManager *objects, const Experiment *experiment)
{
    g_autoptr(GDBusInterface) interface = find(objects, experiment);
    show_state(RTGT_EXPERIMENT1(interface), experiment);
    rtgt_experiment1_emit_measured(RTGT_EXPERIMENT1(interface),
                                   experiment_results(experiment)->len);
}

void bus_experiment_ended(GDBusObjectManager *objects, const Experiment *experiment)
{
    g_autoptr(GDBusInterface) interface = find(objects, experiment);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(interface));
    rtgt_experiment1_emit_finished(RTGT_EXPERIMENT1(interface),
                                   experiment_state_name(experiment_state(experiment)),
                                   experiment_error(experiment));
}
