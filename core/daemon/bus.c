/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection, the name, and which objects stand on the bus. */
#include "core/daemon/bus.h"

#include "core/daemon/bus_objects.h"
#include "core/daemon/experiment.h"

#include <string.h>

struct Bus {
    Manager *manager;
    GDBusConnection *connection;
    gulong closed_handler;
    GDBusObjectManagerServer *objects;
};

static const GDBusErrorEntry errors[] = {
    {MANAGER_ERROR_FAILED, "org.rtgt.Error.Failed"},
    {MANAGER_ERROR_NOT_FOUND, "org.rtgt.Error.NotFound"},
    {MANAGER_ERROR_INVALID, "org.rtgt.Error.InvalidArgument"},
    {MANAGER_ERROR_BUSY, "org.rtgt.Error.Busy"},
    {MANAGER_ERROR_NOT_SUPPORTED, "org.rtgt.Error.NotSupported"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(errors) == MANAGER_ERRORS);

static void register_errors(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++)
        g_dbus_error_register_error(MANAGER_ERROR, errors[i].error_code, errors[i].dbus_error_name);
}

/* --- connection and name -----------------------------------------------------------------------*/

static GDBusConnection *connect_to(const char *where, GError **error)
{
    g_autofree char *address = NULL;
    if (strcmp(where, "system") == 0)
        address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    else if (strcmp(where, "session") == 0)
        address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SESSION, NULL, error);
    else
        address = g_strdup(where);
    if (!address)
        return NULL;
    return g_dbus_connection_new_for_address_sync(
        address,
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
            G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
        NULL, NULL, error);
}

#define NAME_DO_NOT_QUEUE  4u /* D-Bus specification, RequestName */
#define NAME_PRIMARY_OWNER 1u

static bool take_name(Bus *bus, GError **error)
{
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        bus->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "RequestName", g_variant_new("(su)", BUS_NAME, NAME_DO_NOT_QUEUE), G_VARIANT_TYPE("(u)"),
        G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);
    if (!reply) {
        g_dbus_error_strip_remote_error(*error);
        return false;
    }
    guint32 result;
    g_variant_get(reply, "(u)", &result);
    if (result == NAME_PRIMARY_OWNER)
        return true;
    g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_BUSY,
                "the name %s is taken: another rtgtd runs on this bus", BUS_NAME);
    return false;
}

static void connection_closed(GDBusConnection *connection, gboolean vanished, GError *error,
                              void *arg)
{
    (void)connection;
    (void)vanished;
    (void)arg;
    g_warning("the D-Bus connection is lost (%s): the daemon serves on, but cannot be managed",
              error ? error->message : "closed by the bus");
}

/* --- objects -----------------------------------------------------------------------------------*/

static void show(Bus *bus, GDBusObjectSkeleton *object)
{
    g_dbus_object_manager_server_export(bus->objects, object);
    g_object_unref(object);
}

static void session_added(void *arg, SessionRecord *record)
{
    show(arg, bus_session_object(record));
}

static void session_changed(void *arg, SessionRecord *record)
{
    Bus *bus = arg;
    bus_session_changed(G_DBUS_OBJECT_MANAGER(bus->objects), record);
}

static void session_removed(void *arg, SessionRecord *record)
{
    Bus *bus = arg;
    g_autofree char *path = bus_session_path(record->id);
    g_dbus_object_manager_server_unexport(bus->objects, path);
}

static void pool_low(void *arg, const char *pool, uint64_t left, uint64_t limit)
{
    Bus *bus = arg;
    bus_manager_pool_low(G_DBUS_OBJECT_MANAGER(bus->objects), pool, left, limit);
}

static void experiment_added(void *arg, Experiment *experiment)
{
    Bus *bus = arg;
    show(bus, bus_experiment_object(experiment, bus->connection));
}

static void experiment_changed(void *arg, Experiment *experiment)
{
    Bus *bus = arg;
    bus_experiment_changed(G_DBUS_OBJECT_MANAGER(bus->objects), experiment);
}

static void experiment_measured(void *arg, Experiment *experiment)
{
    Bus *bus = arg;
    bus_experiment_measured(G_DBUS_OBJECT_MANAGER(bus->objects), experiment);
}

static void experiment_ended(void *arg, Experiment *experiment)
{
    Bus *bus = arg;
    bus_experiment_ended(G_DBUS_OBJECT_MANAGER(bus->objects), experiment);
}

static void experiment_removed(void *arg, Experiment *experiment)
{
    Bus *bus = arg;
    g_autofree char *path = bus_experiment_path(experiment_id(experiment));
    g_dbus_object_manager_server_unexport(bus->objects, path);
}

static void lun_added(void *arg, ExportLun *lun)
{
    Bus *bus = arg;
    show(bus, bus_lun_object(bus->manager, lun));
}

static void lun_removed(void *arg, ExportLun *lun)
{
    Bus *bus = arg;
    g_autofree char *path = bus_lun_path(lun->config->spec.target_name, lun->config->spec.number);
    g_dbus_object_manager_server_unexport(bus->objects, path);
}

static void lun_changed(void *arg, ExportLun *lun)
{
    Bus *bus = arg;
    g_autofree char *path = bus_lun_path(lun->config->spec.target_name, lun->config->spec.number);
    g_autoptr(GDBusObject) object =
        g_dbus_object_manager_get_object(G_DBUS_OBJECT_MANAGER(bus->objects), path);
    if (object)
        bus_lun_changed(object, lun);
}

static void target_added(void *arg, Export *export)
{
    Bus *bus = arg;
    show(bus, bus_target_object(bus->manager, export));
    const GPtrArray *luns = export_luns(export);
    for (guint i = 0; i < luns->len; i++)
        lun_added(bus, luns->pdata[i]);
}

static void target_removed(void *arg, Export *export)
{
    Bus *bus = arg;
    const GPtrArray *luns = export_luns(export);
    for (guint i = 0; i < luns->len; i++)
        lun_removed(bus, luns->pdata[i]);
    g_autofree char *path = bus_target_path(export_config(export)->name);
    g_dbus_object_manager_server_unexport(bus->objects, path);
}

static void show_all(Bus *bus)
{
    static const ManagerWatch watch = {
        .session_added = session_added,
        .session_changed = session_changed,
        .session_removed = session_removed,
        .target_added = target_added,
        .target_removed = target_removed,
        .lun_added = lun_added,
        .lun_removed = lun_removed,
        .lun_changed = lun_changed,
        .pool_low = pool_low,
        .experiment_added = experiment_added,
        .experiment_changed = experiment_changed,
        .experiment_measured = experiment_measured,
        .experiment_ended = experiment_ended,
        .experiment_removed = experiment_removed,
    };
    const GPtrArray *exports = manager_exports(bus->manager);
    const GPtrArray *sessions = manager_sessions(bus->manager);
    show(bus, bus_manager_object(bus->manager));
    for (guint i = 0; i < exports->len; i++)
        target_added(bus, exports->pdata[i]);
    for (guint i = 0; i < sessions->len; i++)
        session_added(bus, sessions->pdata[i]);
    manager_watch(bus->manager, &watch, bus);
}

Bus *bus_new(const char *where, Manager *manager, GError **error)
{
    register_errors();
    Bus *bus = g_new0(Bus, 1);
    bus->manager = manager;
    bus->objects = g_dbus_object_manager_server_new(BUS_ROOT);
    bus->connection = connect_to(where, error);
    if (!bus->connection) {
        bus_free(bus);
        return NULL;
    }
    bus->closed_handler =
        g_signal_connect(bus->connection, "closed", G_CALLBACK(connection_closed), NULL);
    show_all(bus);
    g_dbus_object_manager_server_set_connection(bus->objects, bus->connection);
    if (take_name(bus, error))
        return bus;
    bus_free(bus);
    return NULL;
}

void bus_free(Bus *bus)
{
    if (!bus)
        return;
    manager_watch(bus->manager, NULL, NULL);
    g_dbus_object_manager_server_set_connection(bus->objects, NULL);
    g_object_unref(bus->objects);
    if (bus->connection) {
        g_signal_handler_disconnect(bus->connection, bus->closed_handler);
        g_dbus_connection_close_sync(bus->connection, NULL, NULL);
        g_object_unref(bus->connection);
    }
    g_free(bus);
}
