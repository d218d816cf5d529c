/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the objects have in common: paths, and values as variants. */
#include "core/daemon/bus_objects.h"

#include "core/daemon/bus.h"

#include <string.h>

char *bus_target_path(const char *name)
{
    GString *path = g_string_new(BUS_ROOT "/target/");
    for (const char *p = name; *p; p++) {
        if (g_ascii_isalnum(*p))
            g_string_append_c(path, *p);
        else
            g_string_append_printf(path, "_%02x", (unsigned char)*p);
    }
    return g_string_free(path, FALSE);
}

char *bus_lun_path(const char *target_name, unsigned number)
{
    g_autofree char *target = bus_target_path(target_name);
    return g_strdup_printf("%s/lun/%u", target, number);
}

char *bus_session_path(uint64_t id)
{
    return g_strdup_printf(BUS_ROOT "/session/%" G_GUINT64_FORMAT, id);
}

char *bus_experiment_path(uint64_t id)
{
    return g_strdup_printf(BUS_ROOT "/experiment/%" G_GUINT64_FORMAT, id);
}

GDBusObjectSkeleton *bus_object(const char *path, void *interface)
{
    GDBusObjectSkeleton *object = g_dbus_object_skeleton_new(path);
    g_dbus_object_skeleton_add_interface(object, interface);
    g_object_unref(interface);
    return object;
}

GVariant *bus_counters(const BusCounter *counters, size_t n)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (size_t i = 0; i < n; i++)
        g_variant_builder_add(&builder, "{sv}", counters[i].name,
                              g_variant_new_uint64(counters[i].value));
    return g_variant_builder_end(&builder);
}

GVariant *bus_strings(char *const *keys, char *const *values)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    for (; *keys; keys++, values++)
        g_variant_builder_add(&builder, "{ss}", *keys, *values);
    return g_variant_builder_end(&builder);
}

char **bus_transport_names(const GPtrArray *transports)
{
    char **names = g_new0(char *, transports->len + 1);
    for (guint i = 0; i < transports->len; i++)
        names[i] = g_strdup(((const Transport *)transports->pdata[i])->name);
    return names;
}

/* --- methods -----------------------------------------------------------------------------------*/

static const char MANAGER_KEY[] = "rtgt-manager";

void bus_set_manager(void *interface, Manager *manager)
{
    g_object_set_data(interface, MANAGER_KEY, manager);
}

Manager *bus_manager_of(void *interface)
{
    return g_object_get_data(interface, MANAGER_KEY);
}

void bus_reply_empty(const GError *error, void *invocation)
{
    if (error)
        g_dbus_method_invocation_return_gerror(invocation, error);
    else
        g_dbus_method_invocation_return_value(invocation, NULL);
}

/* A value as the keyfile would have it; NULL: of a type that no key has. */
static char *setting_text(GVariant *value)
{
    static const char numbers[] = "ynqiuxt";
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        return g_variant_dup_string(value, NULL);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING_ARRAY)) {
        g_autofree const char **items = g_variant_get_strv(value, NULL);
        return g_strjoinv(";", (char **)items);
    }
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
        return g_strdup(g_variant_get_boolean(value) ? "on" : "off");
    bool number = strchr(numbers, *g_variant_get_type_string(value)) != NULL;
    return number ? g_variant_print(value, FALSE) : NULL;
}

bool bus_read_settings(GVariant *dict, ConfigSettings *out, GError **error)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new(), values = g_strv_builder_new();
    GVariantIter iter;
    const char *key;
    GVariant *boxed;
    bool good = true;
    g_variant_iter_init(&iter, dict);
    while (good && g_variant_iter_next(&iter, "{&sv}", &key, &boxed)) {
        g_autoptr(GVariant) value = boxed;
        g_autofree char *text = setting_text(value);
        if (!text) {
            g_set_error(
                error, MANAGER_ERROR, MANAGER_ERROR_INVALID,
                "option %s: its value is a string, a number, a boolean or a list of strings", key);
            good = false;
            continue;
        }
        g_strv_builder_add(keys, key);
        g_strv_builder_add(values, text);
    }
    *out = (ConfigSettings){g_strv_builder_end(keys), g_strv_builder_end(values)};
    return good;
}
