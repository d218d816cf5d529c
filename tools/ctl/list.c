/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that only show what there is. */
#include "core/daemon/config_text.h"
#include "tools/ctl/commands.h"
#include "tools/ctl/table.h"

#include <json-glib/json-glib.h>
#include <string.h>

void print_json(GVariant *value)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(value);
    g_autoptr(JsonNode) node = json_gvariant_serialize(owned);
    g_autofree char *text = json_to_string(node, TRUE);
    g_print("%s\n", text);
}

static void print_table(const Table *table)
{
    g_autofree char *text = table_print(table);
    g_print("%s", text);
}

/* The objects of an interface as a JSON array of their properties. */
static void print_objects(Client *client, const char *interface)
{
    g_autoptr(GArray) objects = client_objects(client, interface);
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < objects->len; i++)
        g_variant_builder_add_value(&builder, g_array_index(objects, ClientObject, i).properties);
    print_json(g_variant_builder_end(&builder));
}

static uint64_t count_of(Client *client, const char *interface, const char *target)
{
    uint64_t n = 0;
    g_autoptr(GArray) objects = client_objects(client, interface);
    for (guint i = 0; i < objects->len; i++)
        n +=
            !target || strcmp(object_string(&g_array_index(objects, ClientObject, i), "TargetName"),
                              target) == 0;
    return n;
}

/* --- status ------------------------------------------------------------------------------------*/

static bool find_manager(Client *client, ClientObject *out, GError **error)
{
    g_autoptr(GArray) managers = client_objects(client, "Manager1");
    if (managers->len == 0) {
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_REFUSED, "what answers there is no rtgtd");
        return false;
    }
    *out = g_array_index(managers, ClientObject, 0);
    return true;
}

static char *portals_text(const ClientObject *manager)
{
    g_autoptr(GVariantIter) iter = NULL;
    GString *text = g_string_new(NULL);
    const char *transport, *address;
    if (!g_variant_lookup(manager->properties, "Portals", "a(ss)", &iter))
        return g_string_free(text, FALSE);
    while (g_variant_iter_next(iter, "(&s&s)", &transport, &address))
        g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", transport, address);
    return g_string_free(text, FALSE);
}

static void add_line(Table *table, const char *name, char *value)
{
    table_add(table, g_strconcat(name, ":", NULL));
    table_add(table, value);
}

static void print_status(Client *client, const ClientObject *manager, GVariant *statistics)
{
    g_autoptr(Table) table = table_new(2, NULL);
    g_autofree char *mapped = text_from_size(dict_number(statistics, "ArenaMapped"));
    g_autofree char *limit = text_from_size(object_number(manager, "ArenaLimit"));
    g_autofree char *used = text_from_size(dict_number(statistics, "ArenaUsed"));
    add_line(table, "Version", g_strdup(object_string(manager, "Version")));
    add_line(table, "Configuration", g_strdup(object_string(manager, "ConfigurationFile")));
    add_line(table, "Portals", portals_text(manager));
    add_line(table, "I/O loops",
             g_strdup_printf("%" G_GUINT64_FORMAT, object_number(manager, "IoLoops")));
    add_line(table, "Memory", g_strdup_printf("%s of %s, %s in use", mapped, limit, used));
    add_line(table, "Targets",
             g_strdup_printf("%" G_GUINT64_FORMAT, count_of(client, "Target1", NULL)));
    add_line(table, "LUNs", g_strdup_printf("%" G_GUINT64_FORMAT, count_of(client, "Lun1", NULL)));
    add_line(table, "Sessions",
             g_strdup_printf("%" G_GUINT64_FORMAT, dict_number(statistics, "Sessions")));
    print_table(table);
}

bool command_status(const Request *request, GError **error)
{
    ClientObject manager;
    if (!find_manager(request->client, &manager, error))
        return false;
    g_autoptr(GVariant) statistics =
        client_statistics(request->client, manager.path, "Manager1", error);
    if (!statistics)
        return false;
    if (request->json)
        print_json(manager.properties);
    else
        print_status(request->client, &manager, statistics);
    return true;
}

/* --- lists -------------------------------------------------------------------------------------*/

bool command_target_list(const Request *request, GError **error)
{
    (void)error;
    if (request->json) {
        print_objects(request->client, "Target1");
        return true;
    }
    static const char *const headings[] = {"TARGET",    "TRANSPORTS", ">LUNS",
                                           ">SESSIONS", "ALLOW",      NULL};
    g_autoptr(Table) table = table_new(5, headings);
    g_autoptr(GArray) targets = client_objects(request->client, "Target1");
    for (guint i = 0; i < targets->len; i++) {
        const ClientObject *target = &g_array_index(targets, ClientObject, i);
        const char *name = object_string(target, "Name");
        g_autofree char *allow = object_list(target, "Allow");
        table_add(table, g_strdup(name));
        table_add(table, object_list(target, "Transports"));
        table_add_number(table, count_of(request->client, "Lun1", name));
        table_add_number(table, count_of(request->client, "Session1", name));
        table_add(table, g_strdup(*allow ? allow : "nobody"));
    }
    print_table(table);
    return true;
}

/* "exclusive-access by NAME; " or nothing. */
static char *reservation(const ClientObject *lun)
{
    const char *type = object_string(lun, "Reservation");
    g_autofree char *holders = object_list(lun, "ReservationHolders");
    return *type ? g_strdup_printf("%s by %s ", type, holders) : g_strdup("");
}

/* "cache=SIZE " or nothing. */
static char *cache_size(const ClientObject *lun)
{
    g_autofree char *size = text_from_size(object_number(lun, "CacheSize"));
    return object_number(lun, "CacheSize") ? g_strdup_printf("cache=%s ", size) : g_strdup("");
}

static char *lun_flags(const ClientObject *lun)
{
    const char *sync_error = object_string(lun, "SyncError");
    g_autofree char *reserved = reservation(lun);
    g_autofree char *cache = cache_size(lun);
    return g_strconcat(reserved, cache, object_bool(lun, "ReadOnly") ? "read-only " : "",
                       object_bool(lun, "Removable") ? "removable " : "",
                       object_bool(lun, "WriteCache") ? "write-cache " : "",
                       object_bool(lun, "Hung") ? "HUNG " : "", *sync_error ? "SYNC ERROR: " : "",
                       sync_error, NULL);
}

bool command_lun_list(const Request *request, GError **error)
{
    (void)error;
    if (request->json) {
        print_objects(request->client, "Lun1");
        return true;
    }
    static const char *const headings[] = {"TARGET", ">LUN", ">SIZE", ">BLOCK", "ENGINE",
                                           "MODE",   "PATH", "FLAGS", NULL};
    g_autoptr(Table) table = table_new(8, headings);
    g_autoptr(GArray) luns = client_objects(request->client, "Lun1");
    for (guint i = 0; i < luns->len; i++) {
        const ClientObject *lun = &g_array_index(luns, ClientObject, i);
        const char *path = object_string(lun, "Path");
        table_add(table, g_strdup(object_string(lun, "TargetName")));
        table_add_number(table, object_number(lun, "Number"));
        table_add(table, text_from_size(object_number(lun, "Size")));
        table_add_number(table, object_number(lun, "BlockSize"));
        table_add(table, g_strdup(object_string(lun, "Engine")));
        table_add(table, g_strdup(*path ? object_string(lun, "Mode") : "-"));
        table_add(table, g_strdup(*path ? path : "-"));
        table_add(table, lun_flags(lun));
    }
    print_table(table);
    return true;
}

bool command_session_list(const Request *request, GError **error)
{
    (void)error;
    if (request->json) {
        print_objects(request->client, "Session1");
        return true;
    }
    static const char *const headings[] = {">ID",   "TRANSPORT", "INITIATOR", "ADDRESS",
                                           ">LOOP", ">WINDOW",   "TARGET",    NULL};
    g_autoptr(Table) table = table_new(7, headings);
    g_autoptr(GArray) sessions = client_objects(request->client, "Session1");
    for (guint i = 0; i < sessions->len; i++) {
        const ClientObject *session = &g_array_index(sessions, ClientObject, i);
        const char *target = object_string(session, "TargetName");
        table_add_number(table, object_number(session, "Id"));
        table_add(table, g_strdup(object_string(session, "Transport")));
        table_add(table, g_strdup(object_string(session, "Initiator")));
        table_add(table, g_strdup(object_string(session, "PeerAddress")));
        table_add_number(table, object_number(session, "Loop"));
        table_add_number(table, object_number(session, "Window"));
        table_add(table, g_strdup(*target ? target : "(discovery)"));
    }
    print_table(table);
    return true;
}
