/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the objects have in common: paths, and values as variants. */
#include "core/daemon/bus_objects.h"

#include "core/daemon/bus.h"

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
