/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.rtgt.Target1: a configured target. */
#include "core/daemon/bus_objects.h"
#include "core/daemon/online.h"
#include "core/daemon/rtgt-dbus.h"

typedef struct {
    Manager *manager;
    Export *export;
} TargetView;

static gboolean get_statistics(RtgtTarget1 *interface, GDBusMethodInvocation *invocation,
                               TargetView *view)
{
    SessionSums sums;
    manager_sum_sessions(view->manager, export_config(view->export)->name, &sums);
    const BusCounter counters[] = {
        {"Sessions", sums.sessions},
        {"Commands", sums.commands},
        {"ReadBytes", sums.read_bytes},
        {"WriteBytes", sums.write_bytes},
    };
    rtgt_target1_complete_get_statistics(interface, invocation,
                                         bus_counters(counters, G_N_ELEMENTS(counters)));
    return TRUE;
}

static void add_port(void *builder, const char *transport, const char *name, const char *value)
{
    g_variant_builder_add(builder, "(sss)", transport, name, value);
}

static GVariant *ports(const Export *export)
{
    g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(sss)"));
    export_describe(export, add_port, &builder);
    return g_variant_builder_end(&builder);
}

static gboolean add_lun(RtgtTarget1 *interface, GDBusMethodInvocation *invocation, guint number,
                        GVariant *dict, TargetView *view)
{
    g_autoptr(GError) error = NULL;
    g_auto(ConfigSettings) settings = {0};
    const ExportLun *lun =
        bus_read_settings(dict, &settings, &error)
            ? online_add_lun(view->manager, view->export, number, &settings, &error)
            : NULL;
    g_autofree char *path = bus_lun_path(export_config(view->export)->name, number);
    if (lun)
        rtgt_target1_complete_add_lun(interface, invocation, path);
    else
        g_dbus_method_invocation_return_gerror(invocation, error);
    return TRUE;
}

static gboolean remove_target(RtgtTarget1 *interface, GDBusMethodInvocation *invocation,
                              TargetView *view)
{
    (void)interface;
    online_remove_target(view->manager, view->export, bus_reply_empty, invocation);
    return TRUE;
}

static gboolean set_group_state(RtgtTarget1 *interface, GDBusMethodInvocation *invocation,
                                guint group, const char *state, TargetView *view)
{
    g_autoptr(GError) error = NULL;
    (void)interface;
    online_set_group_state(view->manager, view->export, group, state, &error);
    bus_reply_empty(error, invocation);
    return TRUE;
}

static void add_port_group(GVariantBuilder *builder, const AluaGroupSpec *spec)
{
    GVariantBuilder ports;
    g_variant_builder_init(&ports, G_VARIANT_TYPE("au"));
    for (unsigned i = 0; i < spec->n_ports; i++)
        g_variant_builder_add(&ports, "u", spec->ports[i]);
    g_variant_builder_add(builder, "(usbau)", spec->id, config_alua_state_name(spec->state),
                          (gboolean)spec->preferred, &ports);
}

static gboolean get_port_groups(RtgtTarget1 *interface, GDBusMethodInvocation *invocation,
                                TargetView *view)
{
    const Alua *alua = scsi_target_alua(export_scsi(view->export));
    AluaGroupSpec group;
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(usbau)"));
    for (unsigned i = 0; alua_get_group(alua, i, &group); i++)
        add_port_group(&builder, &group);
    rtgt_target1_complete_get_port_groups(interface, invocation, g_variant_builder_end(&builder));
    return TRUE;
}

static void free_view(void *view, GClosure *closure)
{
    (void)closure;
    g_free(view);
}

GDBusObjectSkeleton *bus_target_object(Manager *manager, Export *export)
{
    const ConfigTarget *config = export_config(export);
    g_autoptr(GPtrArray) transports = export_transports(export);
    g_auto(GStrv) names = bus_transport_names(transports);
    g_autofree char *path = bus_target_path(config->name);

    RtgtTarget1 *interface = rtgt_target1_skeleton_new();
    g_object_set(interface, "name", config->name, "transports", names, "allow", config->allow_text,
                 "ports", ports(export), "parameters", bus_strings(config->keys, config->values),
                 "alua", config_alua[config->alua], NULL);
    TargetView *view = g_new(TargetView, 1);
    *view = (TargetView){manager, export};
    g_signal_connect_data(interface, "handle-get-statistics", G_CALLBACK(get_statistics), view,
                          free_view, 0);
    g_signal_connect(interface, "handle-add-lun", G_CALLBACK(add_lun), view);
    g_signal_connect(interface, "handle-set-port-group-state", G_CALLBACK(set_group_state), view);
    g_signal_connect(interface, "handle-get-port-groups", G_CALLBACK(get_port_groups), view);
    g_signal_connect(interface, "handle-remove", G_CALLBACK(remove_target), view);
    return bus_object(path, interface);
}
