/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.rtgt.Lun1: a logical unit, and what can be changed of it. */
#include "core/daemon/bus_objects.h"
#include "core/daemon/exchange.h"
#include "core/daemon/experiment.h"
#include "core/daemon/lun_counters.h"
#include "core/daemon/online.h"
#include "core/daemon/rtgt-dbus.h"
#include "core/scsi/reserve.h"

#include <string.h>

/* --- properties that change on other loops, of which nobody is told: read when asked for
 * --------*/

typedef struct {
    RtgtLun1Skeleton parent;
    Lun *lun;
} BusLun;
typedef struct {
    RtgtLun1SkeletonClass parent;
} BusLunClass;

GType bus_lun_get_type(void);
G_DEFINE_TYPE(BusLun, bus_lun, RTGT_TYPE_LUN1_SKELETON)

static GVariant *registrations_of(const ReserveReport *report)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(sqt)"));
    for (guint i = 0; i < report->registrations->len; i++) {
        const Registration *r = &g_array_index(report->registrations, Registration, i);
        g_autofree char *name = transport_id_text(&r->nexus.initiator);
        g_variant_builder_add(&builder, "(sqt)", name, r->nexus.port, r->key);
    }
    return g_variant_builder_end(&builder);
}

/* False: the property is none about reservations. */
static bool get_reservation(Lun *lun, const char *property, GValue *value)
{
    ReserveReport report;
    reserve_report(lun, &report);
    bool known = true;
    if (strcmp(property, "reservation") == 0)
        g_value_set_string(value, report.type);
    else if (strcmp(property, "reservation-holders") == 0)
        g_value_set_boxed(value, report.holders);
    else if (strcmp(property, "registrations") == 0)
        g_value_set_variant(value, registrations_of(&report));
    else if (strcmp(property, "reservation-persists") == 0)
        g_value_set_boolean(value, report.persists);
    else
        known = false;
    reserve_report_clear(&report);
    return known;
}

static void bus_lun_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    Lun *lun = ((BusLun *)object)->lun;
    if (strcmp(spec->name, "size") == 0) {
        g_value_set_uint64(value, lun_blocks(lun) * lun_spec(lun)->block_size);
    } else if (strcmp(spec->name, "write-cache") == 0) {
        g_value_set_boolean(value, lun_write_cache(lun));
    } else if (strcmp(spec->name, "cache-size") == 0) {
        g_value_set_uint64(value, lun_cache_size(lun));
    } else if (strcmp(spec->name, "hung") == 0) {
        g_value_set_boolean(value, lun_hung(lun));
    } else if (strcmp(spec->name, "sync-error") == 0) {
        int error = lun_sync_error(lun);
        g_value_set_string(value, error ? g_strerror(-error) : "");
    } else if (!get_reservation(lun, spec->name, value)) {
        G_OBJECT_CLASS(bus_lun_parent_class)->get_property(object, id, value, spec);
    }
}

static void bus_lun_class_init(BusLunClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    object_class->get_property = bus_lun_get_property;
    object_class->set_property = G_OBJECT_CLASS(bus_lun_parent_class)->set_property;
    rtgt_lun1_override_properties(object_class, 1); /* the ids that the parent class gave them */
}

static void bus_lun_init(BusLun *self)
{
    (void)self;
}

static void show_engine(RtgtLun1 *interface, const ExportLun *lun)
{
    g_autofree char *experiment =
        lun->experiment ? bus_experiment_path(experiment_id(lun->experiment)) : g_strdup("/");
    g_object_set(interface, "engine", lun_engine(lun->lun)->name, "mode",
                 config_modes[lun_mode(lun->lun)], "engine-options",
                 bus_strings(lun->option_keys, lun->option_values), "experiment", experiment, NULL);
}

/* --- methods -----------------------------------------------------------------------------------*/

static gboolean get_statistics(RtgtLun1 *interface, GDBusMethodInvocation *invocation,
                               ExportLun *lun)
{
    LunStats s;
    lun_get_stats(lun->lun, &s);
    GVariantBuilder dict;
    g_variant_builder_init(&dict, G_VARIANT_TYPE_VARDICT);
    lun_counters_add(&dict, &s);
    g_variant_builder_add(&dict, "{sv}", "CacheDirty", g_variant_new_uint64(0)); /* write-through */
    rtgt_lun1_complete_get_statistics(interface, invocation, g_variant_builder_end(&dict));
    return TRUE;
}

static gboolean get_latency(RtgtLun1 *interface, GDBusMethodInvocation *invocation, ExportLun *lun)
{
    g_auto(LatencySums) sums = {0};
    lun_add_latency(lun->lun, &sums);
    rtgt_lun1_complete_get_latency(interface, invocation, latency_sums_to_variant(&sums));
    return TRUE;
}

static gboolean compare(RtgtLun1 *interface, GDBusMethodInvocation *invocation,
                        const char *const *engines, GVariant *options, ExportLun *lun)
{
    g_autoptr(GError) error = NULL;
    g_auto(ConfigSettings) settings = {0};
    g_auto(ExperimentPlan) plan = {0};
    const Experiment *experiment = NULL;
    if (bus_read_settings(options, &settings, &error) &&
        experiment_plan_parse(&plan, engines, &settings, &error)) {
        if (!plan.keep)
            plan.owner = g_strdup(g_dbus_method_invocation_get_sender(invocation));
        experiment = experiment_start(bus_manager_of(interface), lun, &plan, &error);
    }
    if (!experiment) {
        g_dbus_method_invocation_return_gerror(invocation, error);
        return TRUE;
    }
    g_autofree char *path = bus_experiment_path(experiment_id(experiment));
    rtgt_lun1_complete_compare(interface, invocation, path);
    return TRUE;
}

static gboolean clear_sync_error(RtgtLun1 *interface, GDBusMethodInvocation *invocation,
                                 ExportLun *lun)
{
    lun_clear_sync_error(lun->lun);
    g_message("LUN %s/%u: sync error cleared by an administrator", lun->config->spec.target_name,
              lun->config->spec.number);
    rtgt_lun1_complete_clear_sync_error(interface, invocation);
    return TRUE;
}

/* A call that waits for its exchange. */
typedef struct {
    RtgtLun1 *interface;
    GDBusMethodInvocation *invocation;
} PendingCall;

static void exchange_done(ExportLun *lun, const GError *error, void *arg)
{
    PendingCall *call = arg;
    if (error) {
        g_dbus_method_invocation_return_gerror(call->invocation, error);
    } else {
        if (lun->lun)
            show_engine(call->interface, lun);
        rtgt_lun1_complete_set_engine(call->interface, call->invocation);
    }
    g_object_unref(call->interface);
    g_free(call);
}

/* Takes "mode" out of the settings; NULL: it is not there. */
static char *take_mode(ConfigSettings *settings)
{
    for (unsigned i = 0; settings->keys[i]; i++) {
        if (strcmp(settings->keys[i], "mode") != 0)
            continue;
        char *mode = settings->values[i];
        g_free(settings->keys[i]);
        for (; settings->keys[i]; i++) {
            settings->keys[i] = settings->keys[i + 1];
            settings->values[i] = settings->values[i + 1];
        }
        return mode;
    }
    return NULL;
}

static gboolean set_engine(RtgtLun1 *interface, GDBusMethodInvocation *invocation,
                           const char *engine, GVariant *options, ExportLun *lun)
{
    g_autoptr(GError) error = NULL;
    g_auto(ConfigSettings) settings = {0};
    bool good = bus_read_settings(options, &settings, &error);
    g_autofree char *mode = take_mode(&settings);
    const ExchangeRequest request = {.engine = engine,
                                     .mode = mode,
                                     .keys = (const char *const *)settings.keys,
                                     .values = (const char *const *)settings.values,
                                     .n = g_strv_length(settings.keys)};
    PendingCall *call = g_new(PendingCall, 1);
    *call = (PendingCall){g_object_ref(interface), invocation};
    if (!good || !exchange_start(lun, &request, exchange_done, call, &error)) {
        g_dbus_method_invocation_return_gerror(invocation, error);
        g_object_unref(call->interface);
        g_free(call);
    }
    return TRUE;
}

static void resized(const GError *error, void *arg)
{
    PendingCall *call = arg;
    if (error)
        g_dbus_method_invocation_return_gerror(call->invocation, error);
    else
        rtgt_lun1_complete_resize(call->interface, call->invocation);
    g_object_unref(call->interface);
    g_free(call);
}

static gboolean resize(RtgtLun1 *interface, GDBusMethodInvocation *invocation, guint64 size,
                       gboolean shrink, ExportLun *lun)
{
    PendingCall *call = g_new(PendingCall, 1);
    *call = (PendingCall){g_object_ref(interface), invocation};
    online_resize_lun(bus_manager_of(interface), lun, size, shrink, resized, call);
    return TRUE;
}

static void cache_set(const GError *error, void *arg)
{
    PendingCall *call = arg;
    if (error)
        g_dbus_method_invocation_return_gerror(call->invocation, error);
    else
        rtgt_lun1_complete_set_cache(call->interface, call->invocation);
    g_object_unref(call->interface);
    g_free(call);
}

static gboolean set_cache(RtgtLun1 *interface, GDBusMethodInvocation *invocation, guint64 size,
                          ExportLun *lun)
{
    PendingCall *call = g_new(PendingCall, 1);
    *call = (PendingCall){g_object_ref(interface), invocation};
    online_set_cache(bus_manager_of(interface), lun, size, cache_set, call);
    return TRUE;
}

static gboolean remove_lun(RtgtLun1 *interface, GDBusMethodInvocation *invocation, ExportLun *lun)
{
    online_remove_lun(bus_manager_of(interface), lun, bus_reply_empty, invocation);
    return TRUE;
}

void bus_lun_changed(GDBusObject *object, const ExportLun *lun)
{
    g_autoptr(GDBusInterface) interface = g_dbus_object_get_interface(object, "org.rtgt.Lun1");
    show_engine(RTGT_LUN1(interface), lun);
}

GDBusObjectSkeleton *bus_lun_object(Manager *manager, ExportLun *lun)
{
    const LunSpec *spec = lun_spec(lun->lun);
    g_autofree char *target = bus_target_path(spec->target_name);
    g_autofree char *path = bus_lun_path(spec->target_name, spec->number);
    g_autofree char *naa = g_strdup_printf("%016" G_GINT64_MODIFIER "x", spec->naa);

    BusLun *view = g_object_new(bus_lun_get_type(), NULL);
    view->lun = lun->lun;
    RtgtLun1 *interface = RTGT_LUN1(view);
    g_object_set(interface, "target", target, "target-name", spec->target_name, "number",
                 spec->number, "path", spec->path ? spec->path : "", "block-size", spec->block_size,
                 "read-only", (gboolean)spec->read_only, "removable", (gboolean)spec->removable,
                 "max-transfer", spec->max_transfer, "serial", spec->serial, "naa", naa, "thin",
                 config_thin[spec->thin], "cache-mode", "write-through", "cache-slot",
                 spec->cache_slot, "readahead", (gboolean)spec->readahead, NULL);
    show_engine(interface, lun);
    g_signal_connect(interface, "handle-get-statistics", G_CALLBACK(get_statistics), lun);
    g_signal_connect(interface, "handle-get-latency", G_CALLBACK(get_latency), lun);
    g_signal_connect(interface, "handle-compare", G_CALLBACK(compare), lun);
    g_signal_connect(interface, "handle-clear-sync-error", G_CALLBACK(clear_sync_error), lun);
    g_signal_connect(interface, "handle-set-engine", G_CALLBACK(set_engine), lun);
    g_signal_connect(interface, "handle-resize", G_CALLBACK(resize), lun);
    g_signal_connect(interface, "handle-set-cache", G_CALLBACK(set_cache), lun);
    g_signal_connect(interface, "handle-remove", G_CALLBACK(remove_lun), lun);
    bus_set_manager(interface, manager);
    return bus_object(path, interface);
}
