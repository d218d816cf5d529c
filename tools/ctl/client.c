/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One GetManagedObjects() tells everything; the rest is looking things up in its answer. */
#include "tools/ctl/client.h"

#include <string.h>

#define NAME "org.rtgt"
#define ROOT "/org/rtgt"

struct Client {
    GDBusConnection *connection;
    int patience;    /* milliseconds */
    GArray *objects; /* Entry, sorted */
};

typedef struct {
    char *interface; /* without "org.rtgt." */
    char *path;
    GVariant *properties;
    /* what they are sorted by */
    uint64_t id, number;
    const char *name, *target;
} Entry;

G_DEFINE_QUARK(rtgtctl - client - error - quark, client_error)

/* --- calls -------------------------------------------------------------------------------------*/

/* The bus's own errors say in its words what is meant here. */
static void explain(GError **error, GError *cause)
{
    g_dbus_error_strip_remote_error(cause);
    if (g_error_matches(cause, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
        g_error_matches(cause, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER))
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_NO_DAEMON,
                    "rtgtd is not on this bus: it is not running, or uses another bus (--bus)");
    else if (g_error_matches(cause, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED))
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_REFUSED, "only root may do this");
    else
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_REFUSED, "%s", cause->message);
}

static GVariant *call(Client *client, const char *path, const char *interface, const char *method,
                      GVariant *arguments, GError **error)
{
    g_autoptr(GError) cause = NULL;
    GVariant *result = g_dbus_connection_call_sync(
        client->connection, NAME, path, interface, method, arguments, NULL,
        G_DBUS_CALL_FLAGS_NO_AUTO_START, client->patience, NULL, &cause);
    if (!result)
        explain(error, cause);
    return result;
}

GVariant *client_call(Client *client, const char *path, const char *interface, const char *method,
                      GVariant *arguments, GError **error)
{
    g_autofree char *full = g_strconcat(NAME ".", interface, NULL);
    return call(client, path, full, method, arguments, error);
}

GVariant *client_statistics(Client *client, const char *path, const char *interface, GError **error)
{
    g_autoptr(GVariant) result = client_call(client, path, interface, "GetStatistics", NULL, error);
    return result ? g_variant_get_child_value(result, 0) : NULL;
}

GVariant *client_properties(Client *client, const char *path, const char *interface, GError **error)
{
    g_autofree char *full = g_strconcat(NAME ".", interface, NULL);
    g_autoptr(GVariant) result = call(client, path, "org.freedesktop.DBus.Properties", "GetAll",
                                      g_variant_new("(s)", full), error);
    return result ? g_variant_get_child_value(result, 0) : NULL;
}

/* --- values ------------------------------------------------------------------------------------*/

const char *object_string(const ClientObject *object, const char *property)
{
    const char *value = "";
    if (!g_variant_lookup(object->properties, property, "&s", &value))
        g_variant_lookup(object->properties, property, "&o", &value);
    return value;
}

uint64_t dict_number(GVariant *dict, const char *key)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(dict, key, NULL);
    if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
        return g_variant_get_uint64(value);
    if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
        return g_variant_get_uint32(value);
    return 0;
}

uint64_t object_number(const ClientObject *object, const char *property)
{
    return dict_number(object->properties, property);
}

bool object_bool(const ClientObject *object, const char *property)
{
    gboolean value = FALSE;
    g_variant_lookup(object->properties, property, "b", &value);
    return value;
}

char *object_list(const ClientObject *object, const char *property)
{
    g_autofree const char **items = NULL;
    if (!g_variant_lookup(object->properties, property, "^a&s", &items))
        return g_strdup("");
    return g_strjoinv(", ", (char **)items);
}

/* --- objects -----------------------------------------------------------------------------------*/

static void clear_entry(void *arg)
{
    Entry *entry = arg;
    g_free(entry->interface);
    g_free(entry->path);
    g_variant_unref(entry->properties);
}

static gint compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static gint compare_entries(const void *left, const void *right)
{
    const Entry *a = left, *b = right;
    gint order = compare_numbers(a->id, b->id);
    order = order ? order : strcmp(a->name, b->name);
    order = order ? order : strcmp(a->target, b->target);
    return order ? order : compare_numbers(a->number, b->number);
}

static void read_object(GArray *objects, const char *path, GVariant *interfaces)
{
    GVariantIter iter;
    const char *name;
    GVariant *properties;
    g_variant_iter_init(&iter, interfaces);
    while (g_variant_iter_next(&iter, "{&s@a{sv}}", &name, &properties)) {
        bool ours = g_str_has_prefix(name, NAME ".");
        Entry entry = {.interface = g_strdup(ours ? name + strlen(NAME ".") : name),
                       .path = g_strdup(path),
                       .properties = properties};
        const ClientObject object = {.properties = properties};
        entry.id = object_number(&object, "Id");
        entry.number = object_number(&object, "Number");
        entry.name = object_string(&object, "Name");
        entry.target = object_string(&object, "TargetName");
        g_array_append_val(objects, entry);
    }
}

/* reply: (a{oa{sa{sv}}}) */
static void read_objects(Client *client, GVariant *reply)
{
    client->objects = g_array_new(FALSE, FALSE, sizeof(Entry));
    g_array_set_clear_func(client->objects, clear_entry);
    g_autoptr(GVariantIter) iter = NULL;
    const char *path;
    GVariant *interfaces;
    g_variant_get(reply, "(a{oa{sa{sv}}})", &iter);
    while (g_variant_iter_loop(iter, "{&o@a{sa{sv}}}", &path, &interfaces))
        read_object(client->objects, path, interfaces);
    g_array_sort(client->objects, compare_entries);
}

GArray *client_objects(Client *client, const char *interface)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(ClientObject));
    for (guint i = 0; i < client->objects->len; i++) {
        const Entry *entry = &g_array_index(client->objects, Entry, i);
        const ClientObject object = {entry->path, entry->properties};
        if (strcmp(entry->interface, interface) == 0)
            g_array_append_val(out, object);
    }
    return out;
}

/* Whether a property, printed, is this text; numbers are compared as the user wrote them. */
static bool has_value(const ClientObject *object, const char *property, const char *text)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(object->properties, property, NULL);
    if (!value)
        return false;
    g_autofree char *printed = g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)
                                   ? g_variant_dup_string(value, NULL)
                                   : g_variant_print(value, FALSE);
    return strcmp(printed, text) == 0;
}

/* The first with these values; key2 may be NULL. */
static bool find(Client *client, const char *interface, const char *key, const char *value,
                 const char *key2, const char *value2, ClientObject *out)
{
    g_autoptr(GArray) objects = client_objects(client, interface);
    for (guint i = 0; i < objects->len; i++) {
        *out = g_array_index(objects, ClientObject, i);
        if (has_value(out, key, value) && (!key2 || has_value(out, key2, value2)))
            return true;
    }
    return false;
}

bool client_find_target(Client *client, const char *name, ClientObject *out, GError **error)
{
    if (find(client, "Target1", "Name", name, NULL, NULL, out))
        return true;
    g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_NOT_FOUND,
                "there is no target %s (see rtgtctl target list)", name);
    return false;
}

bool client_find_lun(Client *client, const char *target, const char *number, ClientObject *out,
                     GError **error)
{
    if (find(client, "Lun1", "TargetName", target, "Number", number, out))
        return true;
    if (client_find_target(client, target, out, error))
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_NOT_FOUND, "target %s has no LUN %s", target,
                    number);
    return false;
}

bool client_find_session(Client *client, const char *id, ClientObject *out, GError **error)
{
    if (find(client, "Session1", "Id", id, NULL, NULL, out))
        return true;
    g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_NOT_FOUND,
                "there is no session %s (see rtgtctl session list)", id);
    return false;
}

/* --- connection --------------------------------------------------------------------------------*/

static GDBusConnection *connect_to(const char *bus, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *address = NULL;
    if (strcmp(bus, "system") == 0)
        address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &cause);
    else if (strcmp(bus, "session") == 0)
        address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SESSION, NULL, &cause);
    else
        address = g_strdup(bus);
    GDBusConnection *connection = address ? g_dbus_connection_new_for_address_sync(
                                                address,
                                                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                    G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                NULL, NULL, &cause)
                                          : NULL;
    if (!connection)
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_NO_DAEMON, "no connection to the bus %s: %s",
                    bus, cause->message);
    return connection;
}

bool client_refresh(Client *client, GError **error)
{
    g_autoptr(GVariant) result =
        call(client, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL, error);
    if (!result)
        return false;
    if (!g_variant_is_of_type(result, G_VARIANT_TYPE("(a{oa{sa{sv}}})"))) {
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_REFUSED, "what answers there is no rtgtd");
        return false;
    }
    g_clear_pointer(&client->objects, g_array_unref);
    read_objects(client, result);
    return true;
}

Client *client_new(const char *bus, GError **error)
{
    g_autoptr(Client) client = g_new0(Client, 1);
    client->connection = connect_to(bus, error);
    if (!client->connection)
        return NULL;
    client->patience = G_MAXINT;
    return client_refresh(client, error) ? g_steal_pointer(&client) : NULL;
}

void client_set_patience(Client *client, int ms)
{
    client->patience = ms;
}

void client_free(Client *client)
{
    if (!client)
        return;
    g_clear_pointer(&client->objects, g_array_unref);
    g_clear_object(&client->connection);
    g_free(client);
}
