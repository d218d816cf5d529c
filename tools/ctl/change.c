/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that add, remove and resize, and those about the configuration file. */
#include "core/daemon/config_text.h"
#include "tools/ctl/commands.h"
#include "tools/ctl/table.h"

#include <string.h>

static const char MANAGER_PATH[] = "/org/rtgt/manager";

static bool bad_value(GError **error, const char *format, const char *value)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, value);
    return false;
}

/* --- settings: a dict of strings, by the names of the keyfile ----------------------------------*/

static void set(GVariantDict *dict, const char *key, const char *value)
{
    if (value)
        g_variant_dict_insert(dict, key, "s", value);
}

static bool add_settings(GVariantDict *dict, char *const *settings, GError **error)
{
    for (; settings && *settings; settings++) {
        g_auto(GStrv) pair = g_strsplit(*settings, "=", 2);
        if (!pair[1])
            return bad_value(error, "--set %s: a setting is written key=value", *settings);
        set(dict, pair[0], pair[1]);
    }
    return true;
}

static bool add_store(GVariantDict *dict, const LineOptions *given, GError **error)
{
    for (char **option = given->engine_options; option && *option; option++)
        if (!strchr(*option, '='))
            return bad_value(error, "--option %s: an option is written name=value", *option);
    g_autofree char *options =
        given->engine_options ? g_strjoinv(";", given->engine_options) : NULL;
    g_autofree char *path = given->path ? g_canonicalize_filename(given->path, NULL) : NULL;
    set(dict, "path", path);
    set(dict, "size", given->size);
    set(dict, "engine", given->engine);
    set(dict, "mode", given->mode);
    set(dict, "engine-options", options);
    set(dict, "create", given->create ? "true" : NULL);
    return true;
}

/* a{sv} of what was given, floating; NULL with error. */
static GVariant *settings_of(const LineOptions *given, GError **error)
{
    g_auto(GVariantDict) dict;
    g_variant_dict_init(&dict, NULL);
    if (!add_settings(&dict, given->settings, error) || !add_store(&dict, given, error))
        return NULL;
    return g_variant_dict_end(&dict);
}

/* Prints the object that a method returned the path of: JSON, or what `print` makes of it. */
static bool print_new(const Request *request, GVariant *reply, const char *interface,
                      void (*print)(const ClientObject *object), GError **error)
{
    const char *path;
    g_variant_get(reply, "(&o)", &path);
    g_autoptr(GVariant) properties = client_properties(request->client, path, interface, error);
    if (!properties)
        return false;
    const ClientObject object = {path, properties};
    if (request->json)
        print_json(properties);
    else
        print(&object);
    return true;
}

/* --- targets -----------------------------------------------------------------------------------*/

static void print_target(const ClientObject *target)
{
    g_autofree char *transports = object_list(target, "Transports");
    g_print("%s: offered over %s\n", object_string(target, "Name"), transports);
}

bool command_target_add(const Request *request, GError **error)
{
    GVariant *settings = settings_of(request->options, error);
    if (!settings)
        return false;
    g_autoptr(GVariant) reply =
        client_call(request->client, MANAGER_PATH, "Manager1", "AddTarget",
                    g_variant_new("(s@a{sv})", request->args[0], settings), error);
    return reply && print_new(request, reply, "Target1", print_target, error);
}

/* Calls Remove and prints in JSON what there was. */
static bool remove_object(const Request *request, const ClientObject *object, const char *interface,
                          GError **error)
{
    g_autoptr(GVariant) done =
        client_call(request->client, object->path, interface, "Remove", NULL, error);
    if (done && request->json)
        print_json(object->properties);
    return done != NULL;
}

bool command_target_remove(const Request *request, GError **error)
{
    ClientObject target;
    return client_find_target(request->client, request->args[0], &target, error) &&
           remove_object(request, &target, "Target1", error);
}

/* --- target port groups ------------------------------------------------------------------------*/

static char *ports_text(GVariant *ports)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (gsize i = 0; i < g_variant_n_children(ports); i++) {
        guint32 port;
        g_variant_get_child(ports, i, "u", &port);
        g_string_append_printf(text, "%s%u", i ? ", " : "", port);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

bool command_target_port_groups(const Request *request, GError **error)
{
    static const char *const headings[] = {">GROUP", "STATE", "PREFERRED", "PORTS", NULL};
    ClientObject target;
    if (!client_find_target(request->client, request->args[0], &target, error))
        return false;
    g_autoptr(GVariant) reply =
        client_call(request->client, target.path, "Target1", "GetPortGroups", NULL, error);
    if (!reply)
        return false;
    g_autoptr(GVariant) groups = g_variant_get_child_value(reply, 0);
    if (request->json) {
        print_json(groups);
        return true;
    }
    g_autoptr(Table) table = table_new(4, headings);
    for (gsize i = 0; i < g_variant_n_children(groups); i++) {
        guint32 number;
        const char *state;
        gboolean preferred;
        g_autoptr(GVariant) ports = NULL;
        g_variant_get_child(groups, i, "(u&sb@au)", &number, &state, &preferred, &ports);
        table_add_number(table, number);
        table_add(table, g_strdup(state));
        table_add(table, g_strdup(preferred ? "yes" : "no"));
        table_add(table, ports_text(ports));
    }
    g_autofree char *text = table_print(table);
    g_print("%s", text);
    return true;
}

bool command_target_set_state(const Request *request, GError **error)
{
    ClientObject target;
    uint64_t group;
    if (!text_to_number(request->args[1], &group) || group > UINT32_MAX)
        return bad_value(error, "%s: a port group has a number", request->args[1]);
    if (!client_find_target(request->client, request->args[0], &target, error))
        return false;
    g_autoptr(GVariant) done =
        client_call(request->client, target.path, "Target1", "SetPortGroupState",
                    g_variant_new("(us)", (guint32)group, request->args[2]), error);
    if (done && request->json)
        print_json(target.properties);
    return done != NULL;
}

/* --- LUNs --------------------------------------------------------------------------------------*/

static void print_lun(const ClientObject *lun)
{
    g_autofree char *size = text_from_size(object_number(lun, "Size"));
    g_print("%s/%" G_GUINT64_FORMAT ": %s bytes, engine %s %s\n", object_string(lun, "TargetName"),
            object_number(lun, "Number"), size, object_string(lun, "Engine"),
            object_string(lun, "Mode"));
}

bool command_lun_add(const Request *request, GError **error)
{
    ClientObject target;
    uint64_t number;
    if (!text_to_number(request->args[1], &number) || number > UINT32_MAX)
        return bad_value(error, "%s: a LUN has a number", request->args[1]);
    GVariant *settings = settings_of(request->options, error);
    if (!settings)
        return false;
    g_autoptr(GVariant) arguments =
        g_variant_ref_sink(g_variant_new("(u@a{sv})", (guint32)number, settings));
    if (!client_find_target(request->client, request->args[0], &target, error))
        return false;
    g_autoptr(GVariant) reply =
        client_call(request->client, target.path, "Target1", "AddLun", arguments, error);
    return reply && print_new(request, reply, "Lun1", print_lun, error);
}

bool command_lun_remove(const Request *request, GError **error)
{
    ClientObject lun;
    return client_find_lun(request->client, request->args[0], request->args[1], &lun, error) &&
           remove_object(request, &lun, "Lun1", error);
}

bool command_lun_resize(const Request *request, GError **error)
{
    ClientObject lun;
    uint64_t size = 0;
    const char *text = request->args[2];
    if (text && (!text_to_size(text, &size) || size == 0))
        return bad_value(
            error, "%s: a size is a number of bytes, with a suffix K, M, G or T or without", text);
    if (!client_find_lun(request->client, request->args[0], request->args[1], &lun, error))
        return false;
    g_autoptr(GVariant) done =
        client_call(request->client, lun.path, "Lun1", "Resize",
                    g_variant_new("(tb)", (guint64)size, request->options->shrink), error);
    g_autoptr(GVariant) path = g_variant_ref_sink(g_variant_new("(o)", lun.path));
    return done && print_new(request, path, "Lun1", print_lun, error);
}

bool command_lun_set_cache(const Request *request, GError **error)
{
    ClientObject lun;
    uint64_t size;
    if (!text_to_size(request->args[2], &size))
        return bad_value(error,
                         "%s: a size is a number of bytes, with a suffix K, M, G or T or without",
                         request->args[2]);
    if (!client_find_lun(request->client, request->args[0], request->args[1], &lun, error))
        return false;
    g_autoptr(GVariant) done = client_call(request->client, lun.path, "Lun1", "SetCache",
                                           g_variant_new("(t)", (guint64)size), error);
    g_autoptr(GVariant) path = g_variant_ref_sink(g_variant_new("(o)", lun.path));
    return done && print_new(request, path, "Lun1", print_lun, error);
}

/* --- the configuration file --------------------------------------------------------------------*/

static bool call_manager(const Request *request, const char *method, GError **error)
{
    g_autoptr(GVariant) done =
        client_call(request->client, MANAGER_PATH, "Manager1", method, NULL, error);
    g_autoptr(GVariant) now =
        done ? client_properties(request->client, MANAGER_PATH, "Manager1", error) : NULL;
    if (now && request->json)
        print_json(now);
    return now != NULL;
}

bool command_reload(const Request *request, GError **error)
{
    return call_manager(request, "Reload", error);
}

bool command_save(const Request *request, GError **error)
{
    return call_manager(request, "Save", error);
}
