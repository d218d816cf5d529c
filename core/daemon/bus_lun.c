/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.rtgt.Lun1: a logical unit, and the exchange of its engine. */
#include "core/daemon/bus_objects.h"
#include "core/daemon/exchange.h"
#include "core/daemon/rtgt-dbus.h"

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

static void bus_lun_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    const Lun *lun = ((BusLun *)object)->lun;
    if (strcmp(spec->name, "size") == 0) {
        g_value_set_uint64(value, lun_blocks(lun) * lun_spec(lun)->block_size);
    } else if (strcmp(spec->name, "write-cache") == 0) {
        g_value_set_boolean(value, lun_write_cache(lun));
    } else if (strcmp(spec->name, "hung") == 0) {
        g_value_set_boolean(value, lun_hung(lun));
    } else if (strcmp(spec->name, "sync-error") == 0) {
        int error = lun_sync_error(lun);
        g_value_set_string(value, error ? g_strerror(-error) : "");
    } else {
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
    g_object_set(interface, "engine", lun_engine(lun->lun)->name, "mode",
                 config_modes[lun_mode(lun->lun)], "engine-options",
                 bus_strings(lun->option_keys, lun->option_values), NULL);
}

/* --- methods -----------------------------------------------------------------------------------*/

static gboolean get_statistics(RtgtLun1 *interface, GDBusMethodInvocation *invocation,
                               ExportLun *lun)
{
    LunStats s;
    lun_get_stats(lun->lun, &s);
    const BusCounter counters[] = {
        {"Reads", s.reads},
        {"Writes", s.writes},
        {"Flushes", s.flushes},
        {"Unmaps", s.unmaps},
        {"Others", s.others},
        {"Errors", s.errors},
        {"ReadBytes", s.read_bytes},
        {"WriteBytes", s.write_bytes},
        {"QueuedByGate", s.queued_by_gate},
        {"EngineSubmitted", s.engine.submitted},
        {"EngineCompleted", s.engine.completed},
        {"EngineErrors", s.engine.errors},
        {"EngineInlineHits", s.engine.inline_hits},
        {"EngineInlineShorts", s.engine.inline_shorts},
        {"EngineInlineMisses", s.engine.inline_misses},
        {"EngineInlineUnsupported", s.engine.inline_unsupported},
        {"EngineHandOffs", s.engine.hand_offs},
        {"EngineWakeUps", s.engine.wake_ups},
        {"EngineEventWrites", s.engine.event_writes},
        {"EngineSubmitCalls", s.engine.submit_calls},
        {"EngineBounced", s.engine.bounced},
    };
    rtgt_lun1_complete_get_statistics(interface, invocation,
                                      bus_counters(counters, G_N_ELEMENTS(counters)));
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

/* An option's value as the keyfile would have it; NULL: of a type that no option has. */
static char *option_text(GVariant *value)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        return g_variant_dup_string(value, NULL);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
        return g_strdup(g_variant_get_boolean(value) ? "on" : "off");
    static const char numbers[] = "ynqiuxt";
    bool number = strchr(numbers, *g_variant_get_type_string(value)) != NULL;
    return number ? g_variant_print(value, FALSE) : NULL;
}

/* Takes "mode" out of the options, and the others apart; false with error for a wrong type. */
static bool read_options(GVariant *options, GStrvBuilder *keys, GStrvBuilder *values, char **mode,
                         GError **error)
{
    GVariantIter iter;
    const char *key;
    GVariant *boxed;
    g_variant_iter_init(&iter, options);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &boxed)) {
        g_autoptr(GVariant) value = boxed;
        g_autofree char *text = option_text(value);
        if (!text) {
            g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_INVALID,
                        "option %s: its value is a string, a number or a boolean", key);
            return false;
        }
        if (strcmp(key, "mode") == 0) {
            g_free(*mode);
            *mode = g_steal_pointer(&text);
            continue;
        }
        g_strv_builder_add(keys, key);
        g_strv_builder_add(values, text);
    }
    return true;
}

static gboolean set_engine(RtgtLun1 *interface, GDBusMethodInvocation *invocation,
                           const char *engine, GVariant *options, ExportLun *lun)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *mode = NULL;
    g_autoptr(GStrvBuilder) key_builder = g_strv_builder_new();
    g_autoptr(GStrvBuilder) value_builder = g_strv_builder_new();
    bool good = read_options(options, key_builder, value_builder, &mode, &error);
    g_auto(GStrv) keys = g_strv_builder_end(key_builder);
    g_auto(GStrv) values = g_strv_builder_end(value_builder);
    const ExchangeRequest request = {.engine = engine,
                                     .mode = mode,
                                     .keys = (const char *const *)keys,
                                     .values = (const char *const *)values,
                                     .n = g_strv_length(keys)};
    PendingCall *call = g_new(PendingCall, 1);
    *call = (PendingCall){g_object_ref(interface), invocation};
    if (!good || !exchange_start(lun, &request, exchange_done, call, &error)) {
        g_dbus_method_invocation_return_gerror(invocation, error);
        g_object_unref(call->interface);
        g_free(call);
    }
    return TRUE;
}

GDBusObjectSkeleton *bus_lun_object(ExportLun *lun)
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
                 config_thin[spec->thin], NULL);
    show_engine(interface, lun);
    g_signal_connect(interface, "handle-get-statistics", G_CALLBACK(get_statistics), lun);
    g_signal_connect(interface, "handle-clear-sync-error", G_CALLBACK(clear_sync_error), lun);
    g_signal_connect(interface, "handle-set-engine", G_CALLBACK(set_engine), lun);
    return bus_object(path, interface);
}
