/* SPDX-License-Identifier: GPL-2.0-or-later */
/* exchange-engines BUS MILLISECONDS FILE: until FILE is there, gives another LUN of rtgtd another
 * engine every so often. In one process, as rtgtctl takes longer than that to start in an emulated
 * guest. */
#include <gio/gio.h>
#include <stdlib.h>

static const struct {
    const char *engine, *mode;
} variants[] = {
    {"syslet", "buffered"}, {"libaio", "direct"},   {"io_uring", "buffered"},
    {"syslet", "direct"},   {"io_uring", "direct"},
};

/* The object paths of all LUNs. */
static GPtrArray *find_luns(GDBusConnection *bus, GError **error)
{
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        bus, "org.rtgt", "/org/rtgt", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
        NULL, G_VARIANT_TYPE("(a{oa{sa{sv}}})"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);
    if (!reply)
        return NULL;
    GPtrArray *luns = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GVariantIter) iter = NULL;
    const char *path;
    GVariant *interfaces;
    g_variant_get(reply, "(a{oa{sa{sv}}})", &iter);
    while (g_variant_iter_loop(iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
        g_autoptr(GVariant) lun =
            g_variant_lookup_value(interfaces, "org.rtgt.Lun1", G_VARIANT_TYPE("a{sv}"));
        if (lun)
            g_ptr_array_add(luns, g_strdup(path));
    }
    return luns;
}

static gboolean exchange(GDBusConnection *bus, const char *lun, unsigned variant, GError **error)
{
    GVariantBuilder options;
    g_variant_builder_init(&options, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(&options, "{sv}", "mode", g_variant_new_string(variants[variant].mode));
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_sync(bus, "org.rtgt", lun, "org.rtgt.Lun1", "SetEngine",
                                    g_variant_new("(sa{sv})", variants[variant].engine, &options),
                                    NULL, G_DBUS_CALL_FLAGS_NONE, 60000, NULL, error);
    return reply != NULL;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (argc != 4) {
        g_printerr("Usage: exchange-engines BUS MILLISECONDS FILE\n");
        return 2;
    }
    gint64 period = (gint64)atoi(argv[2]) * 1000, slowest = 0, due = g_get_monotonic_time();
    unsigned done = 0;
    g_autoptr(GDBusConnection) bus =
        g_dbus_connection_new_for_address_sync(argv[1],
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, &error);
    g_autoptr(GPtrArray) luns = bus ? find_luns(bus, &error) : NULL;
    while (!error && luns->len > 0 && !g_file_test(argv[3], G_FILE_TEST_EXISTS)) {
        gint64 begin = g_get_monotonic_time();
        const char *lun = g_ptr_array_index(luns, done % luns->len);
        if (!exchange(bus, lun, done / luns->len % G_N_ELEMENTS(variants), &error))
            break;
        done++;
        slowest = MAX(slowest, g_get_monotonic_time() - begin);
        due = MAX(due + period, begin);
        g_usleep((gulong)MAX(due - g_get_monotonic_time(), 0));
    }
    g_print("%u exchanges of %u LUNs, the slowest in %u ms\n", done, luns ? luns->len : 0,
            (unsigned)(slowest / 1000));
    if (error)
        g_printerr("exchange-engines: %s\n", error->message);
    return error || done == 0;
}
