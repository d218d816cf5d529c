/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon on a private message bus: a real manager with real LUNs and a transport without a
 * wire, asked over D-Bus and by rtgtctl. */
#include "core/daemon/bus.h"
#include "core/daemon/bus_objects.h"
#include "core/daemon/manager.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/unit.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME        "iqn.2026-01.org.example:a"
#define TARGET_PATH "/org/rtgt/target/iqn_2e2026_2d01_2eorg_2eexample_3aa"
#define LUN_PATH    TARGET_PATH "/lun/0"
#define NULL_PATH   TARGET_PATH "/lun/5"

static const Transport *const transports[] = {&fake_transport, NULL};

typedef struct {
    char *dir, *file, *address;
    GPid bus_pid;
    Config *config;
    Manager *manager;
    Bus *bus;
    GDBusConnection *client;
} Fixture;

/* --- a bus, a daemon on it, and a client -------------------------------------------------------*/

/* The bus does not outlive a test program that dies. */
static void die_with_parent(void *arg)
{
    (void)arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* The address that dbus-daemon prints; NULL: there is no dbus-daemon. */
static bool start_bus_daemon(Fixture *f)
{
    g_autofree char *listen = g_strdup_printf("--address=unix:path=%s/bus", f->dir);
    char *argv[] = {(char *)"dbus-daemon",       (char *)"--session",
                    (char *)"--nofork",          listen,
                    (char *)"--print-address=1", NULL};
    int out;
    if (!g_spawn_async_with_pipes(NULL, argv, NULL,
                                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                      G_SPAWN_STDERR_TO_DEV_NULL,
                                  die_with_parent, NULL, &f->bus_pid, NULL, &out, NULL, NULL))
        return false;
    char line[512];
    FILE *stream = fdopen(out, "r");
    if (fgets(line, sizeof line, stream))
        f->address = g_strdup(g_strchomp(line));
    fclose(stream);
    return f->address != NULL;
}

static void start_daemon(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        g_strdup_printf("[daemon]\nio-loops=1\nstate-dir=%s\n[memory]\narena=16M\nhugepages=off\n"
                        "[fake]\nlisten=127.0.0.1:7\n"
                        "[target " NAME "]\nallow=iqn.2026-01.org.example:h*;10.0.0.0/8\nburst=7\n"
                        "[lun " NAME "/0]\npath=%s\nsize=1M\ncreate=true\nserial=S0\n"
                        "engine-options=threads=2\n"
                        "[lun " NAME "/5]\nengine=null\nsize=1G\nblock-size=4096\n",
                        f->dir, f->file);
    f->config = config_parse("test.conf", text, strlen(text), transports, &error);
    f->manager = f->config ? manager_new(f->config, &error) : NULL;
    if (!f->manager || !manager_listen(f->manager, &error))
        fail_msg("%s", error->message);
    f->bus = bus_new(f->address, f->manager, &error);
    if (!f->bus)
        fail_msg("%s", error->message);
}

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    *state = f;
    fake_reset();
    f->dir = g_dir_make_tmp("rtgt-dbus-XXXXXX", NULL);
    f->file = g_build_filename(f->dir, "store", NULL);
    if (!start_bus_daemon(f))
        return 0;
    start_daemon(f);
    f->client =
        g_dbus_connection_new_for_address_sync(f->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, NULL);
    return f->client ? 0 : -1;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    g_autofree char *socket = g_build_filename(f->dir, "bus", NULL);
    g_clear_object(&f->client);
    bus_free(f->bus);
    assert_true(manager_free(f->manager, 10000));
    config_free(f->config);
    if (f->bus_pid) {
        kill(f->bus_pid, SIGTERM);
        waitpid(f->bus_pid, NULL, 0);
    }
    g_unlink(socket);
    g_unlink(f->file);
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->file);
    g_free(f->address);
    g_free(f);
    return 0;
}

static Fixture *fixture(void **state)
{
    Fixture *f = *state;
    if (!f->address)
        unit_skip("there is no dbus-daemon (Debian package dbus-daemon)");
    return f;
}

/* --- calls; daemon and client share this thread, so none may block -----------------------------*/

typedef struct {
    bool ended;
    GVariant *result;
    GError *error;
} Reply;

static void note_reply(GObject *source, GAsyncResult *result, void *arg)
{
    Reply *reply = arg;
    reply->result = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &reply->error);
    reply->ended = true;
}

static GVariant *try_call(Fixture *f, const char *path, const char *interface, const char *method,
                          GVariant *arguments, GError **error)
{
    Reply reply = {0};
    g_dbus_connection_call(f->client, BUS_NAME, path, interface, method, arguments, NULL,
                           G_DBUS_CALL_FLAGS_NONE, 20000, NULL, note_reply, &reply);
    while (!reply.ended)
        g_main_context_iteration(NULL, TRUE);
    if (reply.error)
        g_propagate_error(error, reply.error);
    return reply.result;
}

static GVariant *call(Fixture *f, const char *path, const char *interface, const char *method,
                      GVariant *arguments)
{
    g_autoptr(GError) error = NULL;
    GVariant *result = try_call(f, path, interface, method, arguments, &error);
    if (!result)
        fail_msg("%s.%s: %s", interface, method, error->message);
    return result;
}

/* The property, printed as GVariant text. */
static char *property(Fixture *f, const char *path, const char *interface, const char *name)
{
    g_autoptr(GVariant) reply = call(f, path, "org.freedesktop.DBus.Properties", "Get",
                                     g_variant_new("(ss)", interface, name));
    g_autoptr(GVariant) boxed = NULL;
    g_variant_get(reply, "(v)", &boxed);
    return g_variant_print(boxed, FALSE);
}

static void expect_property(Fixture *f, const char *path, const char *interface, const char *name,
                            const char *expected)
{
    g_autofree char *value = property(f, path, interface, name);
    assert_string_equal(value, expected);
}

static uint64_t statistic(Fixture *f, const char *path, const char *interface, const char *name)
{
    g_autoptr(GVariant) reply = call(f, path, interface, "GetStatistics", NULL);
    g_autoptr(GVariant) dict = g_variant_get_child_value(reply, 0);
    guint64 value;
    if (!g_variant_lookup(dict, name, "t", &value))
        fail_msg("%s has no statistic %s", interface, name);
    return value;
}

static GVariant *objects(Fixture *f)
{
    g_autoptr(GVariant) reply =
        call(f, BUS_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
    return g_variant_get_child_value(reply, 0);
}

static bool has_object(Fixture *f, const char *path, const char *interface)
{
    g_autoptr(GVariant) all = objects(f);
    g_autoptr(GVariant) interfaces = g_variant_lookup_value(all, path, NULL);
    g_autoptr(GVariant) found =
        interfaces ? g_variant_lookup_value(interfaces, interface, NULL) : NULL;
    return found != NULL;
}

static void expect_ctl(Fixture *f, int status, const char *words, const char *part);

/* --- the tests ---------------------------------------------------------------------------------*/

static void test_objects(void **state)
{
    Fixture *f = fixture(state);
    assert_true(has_object(f, "/org/rtgt/manager", "org.rtgt.Manager1"));
    assert_true(has_object(f, TARGET_PATH, "org.rtgt.Target1"));
    assert_true(has_object(f, LUN_PATH, "org.rtgt.Lun1"));
    assert_true(has_object(f, NULL_PATH, "org.rtgt.Lun1"));
    g_autoptr(GVariant) all = objects(f);
    assert_int_equal(g_variant_n_children(all), 4);
}

static void test_manager_properties(void **state)
{
    Fixture *f = fixture(state);
    const char *path = "/org/rtgt/manager", *interface = "org.rtgt.Manager1";
    expect_property(f, path, interface, "ConfigurationFile", "'test.conf'");
    expect_property(f, path, interface, "IoLoops", "1");
    expect_property(f, path, interface, "ArenaLimit", "16777216");
    expect_property(f, path, interface, "HugePages", "'off'");
    expect_property(f, path, interface, "Transports", "['fake']");
    expect_property(f, path, interface, "Portals", "[('fake', '127.0.0.1:7')]");
    g_autofree char *engines = property(f, path, interface, "Engines");
    assert_non_null(strstr(engines, "('syslet', "));
    assert_int_equal(statistic(f, path, interface, "Sessions"), 0);
    assert_int_equal(statistic(f, path, interface, "ArenaMapped"), 16 << 20);
}

static void test_target_properties(void **state)
{
    Fixture *f = fixture(state);
    const char *interface = "org.rtgt.Target1";
    expect_property(f, TARGET_PATH, interface, "Name", "'" NAME "'");
    expect_property(f, TARGET_PATH, interface, "Transports", "['fake']");
    expect_property(f, TARGET_PATH, interface, "Allow",
                    "['iqn.2026-01.org.example:h*', '10.0.0.0/8']");
    expect_property(f, TARGET_PATH, interface, "Parameters", "{'burst': '7'}");
    fake_login(NAME, "iqn.2026-01.org.example:host");
    assert_int_equal(statistic(f, TARGET_PATH, interface, "Sessions"), 1);
    assert_int_equal(statistic(f, TARGET_PATH, interface, "ReadBytes"), 4096);
}

static void test_lun_properties(void **state)
{
    Fixture *f = fixture(state);
    const char *interface = "org.rtgt.Lun1";
    g_autofree char *path = g_strdup_printf("'%s'", f->file);
    expect_property(f, LUN_PATH, interface, "Target", "'" TARGET_PATH "'");
    expect_property(f, LUN_PATH, interface, "TargetName", "'" NAME "'");
    expect_property(f, LUN_PATH, interface, "Number", "0");
    expect_property(f, LUN_PATH, interface, "Path", path);
    expect_property(f, LUN_PATH, interface, "Size", "1048576");
    expect_property(f, LUN_PATH, interface, "BlockSize", "512");
    expect_property(f, LUN_PATH, interface, "Engine", "'syslet'");
    expect_property(f, LUN_PATH, interface, "Mode", "'buffered'");
    expect_property(f, LUN_PATH, interface, "EngineOptions", "{'threads': '2'}");
    expect_property(f, LUN_PATH, interface, "ReadOnly", "false");
    expect_property(f, LUN_PATH, interface, "WriteCache", "true");
    expect_property(f, LUN_PATH, interface, "MaxTransfer", "0");
    expect_property(f, LUN_PATH, interface, "Serial", "'S0'");
    expect_property(f, LUN_PATH, interface, "Thin", "'auto'");
    expect_property(f, LUN_PATH, interface, "SyncError", "''");
    expect_property(f, LUN_PATH, interface, "Reservation", "''");
    expect_property(f, LUN_PATH, interface, "ReservationHolders", "[]");
    expect_property(f, LUN_PATH, interface, "Registrations", "[]");
    expect_property(f, LUN_PATH, interface, "ReservationPersists", "false");
    expect_property(f, LUN_PATH, interface, "Hung", "false");
    g_autofree char *naa = property(f, LUN_PATH, interface, "Naa");
    assert_int_equal(strlen(naa), 18);
    assert_int_equal(naa[1], '3');
    expect_property(f, NULL_PATH, interface, "Path", "''");
    expect_property(f, NULL_PATH, interface, "Size", "1073741824");
    expect_property(f, NULL_PATH, interface, "BlockSize", "4096");
    assert_int_equal(statistic(f, LUN_PATH, interface, "Reads"), 0);
    assert_int_equal(statistic(f, LUN_PATH, interface, "EngineInlineHits"), 0);
    g_autoptr(GVariant) cleared = call(f, LUN_PATH, interface, "ClearSyncError", NULL);
    assert_non_null(cleared);
}

/* --- the exchange of engines -------------------------------------------------------------------*/

static GVariant *set_engine(Fixture *f, const char *path, const char *engine, const char *options,
                            GError **error)
{
    GVariant *dict = g_variant_new_parsed(options);
    return try_call(f, path, "org.rtgt.Lun1", "SetEngine", g_variant_new("(s@a{sv})", engine, dict),
                    error);
}

static void expect_refusal(Fixture *f, const char *path, const char *engine, const char *options,
                           const char *name, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = set_engine(f, path, engine, options, &error);
    assert_null(reply);
    g_autofree char *remote = g_dbus_error_get_remote_error(error);
    assert_string_equal(remote ? remote : error->message, name);
    g_dbus_error_strip_remote_error(error);
    if (!strstr(error->message, message))
        fail_msg("%s", error->message);
}

static void note_changes(GDBusConnection *connection, const char *sender, const char *path,
                         const char *interface, const char *signal, GVariant *parameters, void *arg)
{
    (void)connection;
    (void)sender;
    (void)path;
    (void)interface;
    (void)signal;
    char **changes = arg;
    g_autoptr(GVariant) changed = g_variant_get_child_value(parameters, 1);
    g_free(*changes);
    *changes = g_variant_print(changed, FALSE);
}

static void test_set_engine(void **state)
{
    Fixture *f = fixture(state);
    g_autoptr(GError) error = NULL;
    g_autofree char *changes = NULL;
    guint subscription = g_dbus_connection_signal_subscribe(
        f->client, BUS_NAME, "org.freedesktop.DBus.Properties", "PropertiesChanged", LUN_PATH, NULL,
        0, note_changes, &changes, NULL);
    g_autoptr(GVariant) reply =
        set_engine(f, LUN_PATH, "syslet",
                   "{'mode': <'buffered'>, 'inline': <false>, 'threads': <uint32 4>}", &error);
    if (!reply)
        fail_msg("%s", error->message);
    while (!changes)
        g_main_context_iteration(NULL, TRUE);
    assert_non_null(strstr(changes, "EngineOptions"));
    expect_property(f, LUN_PATH, "org.rtgt.Lun1", "EngineOptions",
                    "{'inline': 'off', 'threads': '4'}");
    expect_property(f, LUN_PATH, "org.rtgt.Lun1", "Engine", "'syslet'");
    g_dbus_connection_signal_unsubscribe(f->client, subscription);
}

static void test_set_engine_refused(void **state)
{
    Fixture *f = fixture(state);
    const char *invalid = "org.rtgt.Error.InvalidArgument";
    expect_refusal(f, LUN_PATH, "sislet", "@a{sv} {}", invalid, "there is no engine sislet");
    expect_refusal(f, LUN_PATH, "syslet", "{'mode': <'fast'>}", invalid, "buffered or direct");
    expect_refusal(f, LUN_PATH, "syslet", "{'colour': <'red'>}", invalid, "no such option");
    expect_refusal(f, LUN_PATH, "syslet", "{'threads': <[1, 2]>}", invalid, "option threads");
    expect_refusal(f, LUN_PATH, "null", "@a{sv} {}", "org.rtgt.Error.NotSupported", "no store");
    expect_refusal(f, NULL_PATH, "syslet", "@a{sv} {}", "org.rtgt.Error.NotSupported", "no store");
    expect_refusal(f, LUN_PATH, "libaio", "{'mode': <'buffered'>}", "org.rtgt.Error.Failed",
                   "keeps its engine");
    expect_property(f, LUN_PATH, "org.rtgt.Lun1", "Engine", "'syslet'");
    expect_property(f, LUN_PATH, "org.rtgt.Lun1", "EngineOptions", "{'threads': '2'}");
}

/* --- LUNs and targets that come and go ---------------------------------------------------------*/

static GVariant *add_lun(Fixture *f, unsigned number, const char *settings, GError **error)
{
    return try_call(f, TARGET_PATH, "org.rtgt.Target1", "AddLun",
                    g_variant_new("(u@a{sv})", number, g_variant_new_parsed(settings)), error);
}

static void expect_bad_lun(Fixture *f, unsigned number, const char *settings, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = add_lun(f, number, settings, &error);
    assert_null(reply);
    g_autofree char *remote = g_dbus_error_get_remote_error(error);
    assert_string_equal(remote, "org.rtgt.Error.InvalidArgument");
    if (!strstr(error->message, message))
        fail_msg("%s", error->message);
}

static void test_add_and_remove_lun(void **state)
{
    Fixture *f = fixture(state);
    g_autoptr(GError) error = NULL;
    g_autofree char *second = g_strconcat(f->file, "-2", NULL);
    g_autofree char *settings =
        g_strdup_printf("{'path': <'%s'>, 'size': <'2M'>, 'create': <true>, 'engine-options': "
                        "<['threads=3', 'inline=off']>}",
                        second);
    g_autoptr(GVariant) reply = add_lun(f, 300, settings, &error);
    if (!reply)
        fail_msg("%s", error->message);
    g_autofree char *shown = g_variant_print(reply, FALSE);
    assert_string_equal(shown, "('" TARGET_PATH "/lun/300',)");
    expect_property(f, TARGET_PATH "/lun/300", "org.rtgt.Lun1", "Size", "2097152");
    expect_property(f, TARGET_PATH "/lun/300", "org.rtgt.Lun1", "EngineOptions",
                    "{'threads': '3', 'inline': 'off'}");
    expect_bad_lun(f, 300, "{'engine': <'null'>, 'size': <'1M'>}", "has a LUN 300 already");
    g_autoptr(GVariant) gone = call(f, TARGET_PATH "/lun/300", "org.rtgt.Lun1", "Remove", NULL);
    assert_non_null(gone);
    assert_false(has_object(f, TARGET_PATH "/lun/300", "org.rtgt.Lun1"));
    g_autoptr(GVariant) again = add_lun(f, 300, settings, &error);
    assert_null(error);
    g_unlink(second);
}

static void test_add_lun_refused(void **state)
{
    Fixture *f = fixture(state);
    g_autofree char *same = g_strdup_printf("{'path': <'%s'>, 'read-only': <true>}", f->file);
    expect_bad_lun(f, 1, same, "path: is the same as of LUN " NAME "/0");
    static const char *const keys[] = {"Naa", "Serial"};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *name = property(f, LUN_PATH, "org.rtgt.Lun1", keys[i]);
        g_autofree char *key = g_ascii_strdown(keys[i], -1);
        g_autofree char *taken =
            g_strdup_printf("{'engine': <'null'>, 'size': <'1M'>, '%s': <%s>}", key, name);
        g_autofree char *why = g_strdup_printf("%s: is the same as of LUN " NAME "/0", key);
        expect_bad_lun(f, 1, taken, why);
    }
    expect_bad_lun(f, 1, "{'path': <'/x'>, 'engin': <'syslet'>}", "engin=syslet: no such key");
    expect_bad_lun(f, 1, "{'path': <'x'>}", "path=x: must be an absolute path");
    expect_bad_lun(f, 1, "{'path': <(1, 2)>}", "option path: ");
    expect_bad_lun(f, 1, "{'pa[th': <'x'>}", "not the name of a key");
    expect_bad_lun(f, 1, "{'engine': <'null'>}", "add size=");
    expect_bad_lun(f, 16384, "{'engine': <'null'>, 'size': <'1M'>}", "at most 16383");
    g_autoptr(GError) error = NULL;
    assert_null(add_lun(f, 1, "{'path': <'/nowhere/at/all'>}", &error));
    assert_non_null(strstr(error->message, "org.rtgt.Error.Failed"));
    assert_false(has_object(f, TARGET_PATH "/lun/1", "org.rtgt.Lun1"));
}

static GError *resize(Fixture *f, const char *path, uint64_t size, bool shrink)
{
    GError *error = NULL;
    g_autoptr(GVariant) reply =
        try_call(f, path, "org.rtgt.Lun1", "Resize",
                 g_variant_new("(tb)", (guint64)size, (gboolean)shrink), &error);
    return error;
}

static void test_resize(void **state)
{
    Fixture *f = fixture(state);
    GStatBuf st;
    assert_null(resize(f, LUN_PATH, 3 << 20, false));
    expect_property(f, LUN_PATH, "org.rtgt.Lun1", "Size", "3145728");
    assert_int_equal(g_stat(f->file, &st), 0);
    assert_int_equal(st.st_size, 3 << 20);
    g_autoptr(GError) refused = resize(f, LUN_PATH, 1 << 20, false);
    assert_non_null(strstr(refused->message, "shrink must be asked for"));
    assert_null(resize(f, LUN_PATH, 1 << 20, true));
    assert_int_equal(g_stat(f->file, &st), 0);
    assert_int_equal(st.st_size, 1 << 20);
    g_autoptr(GError) odd = resize(f, LUN_PATH, 1000, true);
    assert_non_null(strstr(odd->message, "multiple of block-size=512"));
    assert_int_equal(truncate(f->file, 5 << 20), 0);
    assert_null(resize(f, LUN_PATH, 0, false));
    expect_property(f, LUN_PATH, "org.rtgt.Lun1", "Size", "5242880");
    assert_null(resize(f, NULL_PATH, UINT64_C(1) << 40, false));
    expect_property(f, NULL_PATH, "org.rtgt.Lun1", "Size", "1099511627776");
    assert_null(resize(f, NULL_PATH, 8192, true));
    expect_property(f, NULL_PATH, "org.rtgt.Lun1", "Size", "8192");
}

static void test_targets_come_and_go(void **state)
{
    Fixture *f = fixture(state);
    const char *path = "/org/rtgt/target/iqn_2e2026_2d01_2eorg_2eexample_3ab";
    expect_ctl(f, 0, "target add iqn.2026-01.org.example:b --set allow=all --set burst=9",
               "iqn.2026-01.org.example:b: offered over fake\n");
    assert_string_equal(fake.last_spec, "iqn.2026-01.org.example:b burst=9 all");
    expect_property(f, path, "org.rtgt.Target1", "Allow", "['all']");
    expect_ctl(f, 0, "lun add iqn.2026-01.org.example:b 0 --engine null --size 1G",
               "iqn.2026-01.org.example:b/0: 1G bytes, engine null");
    expect_ctl(f, 1, "target add iqn.2026-01.org.example:b", "already");
    expect_ctl(f, 1, "target add disk", "an iSCSI name begins with");
    expect_ctl(f, 1, "target add iqn.2026-01.org.example:c --set allow=everybody", "allow");
    fake_login("iqn.2026-01.org.example:b", "iqn.2026-01.org.example:host");
    expect_ctl(f, 0, "target remove iqn.2026-01.org.example:b", "");
    assert_int_equal(fake.sessions->len, 0);
    assert_int_equal(fake.targets, 1);
    assert_false(has_object(f, path, "org.rtgt.Target1"));
    expect_ctl(f, 4, "target remove iqn.2026-01.org.example:b", "there is no target");
}

static void test_ctl_luns(void **state)
{
    Fixture *f = fixture(state);
    expect_ctl(f, 0, "lun add " NAME " 7 --engine null --size 1M --set block-size=4096 --json",
               "\"BlockSize\" : 4096");
    expect_ctl(f, 0, "lun resize " NAME " 7 4M", NAME "/7: 4M bytes, engine null");
    expect_ctl(f, 1, "lun resize " NAME " 7 1M", "shrink");
    expect_ctl(f, 0, "lun resize " NAME " 7 1M --shrink", NAME "/7: 1M bytes");
    expect_ctl(f, 0, "lun resize " NAME " 7", NAME "/7: 1M bytes");
    expect_ctl(f, 0, "lun remove " NAME " 7 --json", "\"Number\" : 7");
    expect_ctl(f, 4, "lun remove " NAME " 7", "has no LUN 7");
    expect_ctl(f, 1, "lun add " NAME " 7", "there is no path=");
    expect_ctl(f, 2, "lun add " NAME " seven", "a LUN has a number");
    expect_ctl(f, 2, "lun add " NAME " 7 --set a", "--set a: ");
    expect_ctl(f, 2, "lun resize " NAME " 7 big", "a size is");
    expect_ctl(f, 2, "lun remove " NAME " 7 --shrink", "takes no --shrink");
    expect_ctl(f, 0, "lun add --help", "--create");
}

static void test_port_groups(void **state)
{
    Fixture *f = fixture(state);
    expect_property(f, TARGET_PATH, "org.rtgt.Target1", "Alua", "'implicit'");
    expect_ctl(f, 0, "target port-groups " NAME, "    1  active/optimized  no         3\n");
    expect_ctl(f, 0, "target set-state " NAME " 1 standby", "");
    expect_ctl(f, 0, "target port-groups " NAME " --json", "\"standby\"");
    expect_ctl(f, 1, "target set-state " NAME " 1 asleep", "a state is active/optimized, ");
    expect_ctl(f, 1, "target set-state " NAME " 2 standby", "has no port group 2");
}

/* --- sessions ----------------------------------------------------------------------------------*/

static void test_sessions(void **state)
{
    Fixture *f = fixture(state);
    const SessionRecord *record = fake_login(NAME, "iqn.2026-01.org.example:host");
    g_autofree char *path = bus_session_path(record->id);
    const char *interface = "org.rtgt.Session1";
    assert_true(has_object(f, path, interface));
    expect_property(f, path, interface, "Transport", "'fake'");
    expect_property(f, path, interface, "TargetName", "'" NAME "'");
    expect_property(f, path, interface, "Initiator", "'iqn.2026-01.org.example:host'");
    expect_property(f, path, interface, "PeerAddress", "'127.0.0.1:40000'");
    expect_property(f, path, interface, "Window", "96");
    expect_property(f, path, interface, "Loop", "1");
    expect_property(f, path, interface, "Negotiated", "{'MaxBurstLength': <uint32 262144>}");
    assert_int_equal(statistic(f, path, interface, "Commands"), 5);
    g_autoptr(GVariant) dropped = call(f, path, interface, "Drop", NULL);
    assert_non_null(dropped);
    while (fake.sessions->len > 0)
        g_main_context_iteration(NULL, TRUE);
    assert_false(has_object(f, path, interface));
}

static void test_one_daemon_per_bus(void **state)
{
    Fixture *f = fixture(state);
    g_autoptr(GError) error = NULL;
    assert_null(bus_new(f->address, f->manager, &error));
    assert_non_null(strstr(error->message, "another rtgtd runs on this bus"));
}

/* --- rtgtctl -----------------------------------------------------------------------------------*/

typedef struct {
    bool ended;
    int status;
    char *out, *err;
} Run;

static void note_end(GObject *source, GAsyncResult *result, void *arg)
{
    Run *run = arg;
    GSubprocess *process = G_SUBPROCESS(source);
    assert_true(g_subprocess_communicate_utf8_finish(process, result, &run->out, &run->err, NULL));
    run->status = g_subprocess_get_exit_status(process);
    run->ended = true;
}

/* Runs rtgtctl with these words, on the test's bus unless they name another; what it prints, and
 * its exit status as expected. */
static char *ctl(Fixture *f, int status, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = g_strdup_printf("tools/rtgtctl --bus=%s %s", f->address, words);
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    g_autoptr(GSubprocess) process =
        g_subprocess_newv((const char *const *)argv,
                          G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &error);
    if (!process)
        fail_msg("%s", error->message);
    Run run = {0};
    g_subprocess_communicate_utf8_async(process, NULL, NULL, note_end, &run);
    while (!run.ended)
        g_main_context_iteration(NULL, TRUE);
    if (run.status != status)
        fail_msg("rtgtctl %s: exit %d\n%s%s", words, run.status, run.out, run.err);
    char *text = g_strconcat(run.out, run.err, NULL);
    g_free(run.out);
    g_free(run.err);
    return text;
}

static void expect_ctl(Fixture *f, int status, const char *words, const char *part)
{
    g_autofree char *text = ctl(f, status, words);
    if (!strstr(text, part))
        fail_msg("rtgtctl %s printed\n%swithout\n%s", words, text, part);
}

/* --- memory ------------------------------------------------------------------------------------*/

typedef struct {
    unsigned receive, arena;
    guint64 left, limit;
} Alarms;

static void on_pool_low(GDBusConnection *connection, const char *sender, const char *path,
                        const char *interface, const char *name, GVariant *arguments, void *arg)
{
    (void)connection, (void)sender, (void)path, (void)interface, (void)name;
    Alarms *alarms = arg;
    const char *pool;
    g_variant_get(arguments, "(&stt)", &pool, &alarms->left, &alarms->limit);
    alarms->receive += strcmp(pool, "receive") == 0;
    alarms->arena += strcmp(pool, "arena") == 0;
}

static void wait_for_alarm(const unsigned *alarms)
{
    for (gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC; *alarms == 0;) {
        if (g_get_monotonic_time() > end)
            fail_msg("no PoolLow");
        g_main_context_iteration(NULL, FALSE);
    }
}

static void exhaust_receive_budget(void)
{
    ReceiveShare shares[64] = {{0}};
    for (unsigned i = 0; i < G_N_ELEMENTS(shares); i++)
        receive_share_take(&shares[i], fake.host->receive, 8, 8, 8192);
    for (unsigned i = 0; i < G_N_ELEMENTS(shares); i++)
        receive_share_leave(&shares[i]);
}

static void exhaust_arena(void *ended)
{
    MemoryClient *client = memory_client_new(fake.host->memory, loop_self());
    Segment segments[32] = {0};
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++)
        segment_acquire(client, &segments[i], SEGMENT_MAX);
    for (unsigned i = G_N_ELEMENTS(segments); i > 0; i--)
        segment_release(&segments[i - 1]); /* the last first: those that wait are not granted */
    memory_client_free(client);
    g_atomic_int_set((gint *)ended, 1);
}

static void test_pool_low(void **state)
{
    Fixture *f = fixture(state);
    Alarms alarms = {0};
    gint ended = 0;
    guint id = g_dbus_connection_signal_subscribe(
        f->client, BUS_NAME, "org.rtgt.Manager1", "PoolLow", "/org/rtgt/manager", NULL,
        G_DBUS_SIGNAL_FLAGS_NONE, on_pool_low, &alarms, NULL);
    expect_property(f, "/org/rtgt/manager", "org.rtgt.Manager1", "IoLoops",
                    "1"); /* the bus knows */
    exhaust_receive_budget();
    wait_for_alarm(&alarms.receive);
    assert_int_equal(alarms.limit, 4 << 20);
    assert_true(alarms.left < alarms.limit / 16);
    exhaust_receive_budget(); /* too soon for another */
    loop_call(fake.host->io_loops[0], exhaust_arena, &ended);
    wait_for_alarm(&alarms.arena);
    assert_true(alarms.left < alarms.limit / 4);
    assert_int_equal(alarms.receive, 1);
    while (!g_atomic_int_get(&ended))
        g_main_context_iteration(NULL, FALSE);
    g_dbus_connection_signal_unsubscribe(f->client, id);
}

static void test_ctl_lists(void **state)
{
    Fixture *f = fixture(state);
    fake_login(NAME, "iqn.2026-01.org.example:host");
    expect_ctl(f, 0, "status", "Portals:        fake 127.0.0.1:7\n");
    expect_ctl(f, 0, "status --json", "\"ConfigurationFile\" : \"test.conf\"");
    expect_ctl(f, 0, "target list",
               "TARGET                     TRANSPORTS  LUNS  SESSIONS  ALLOW\n" NAME
               "  fake           2         1  iqn.2026-01.org.example:h*, 10.0.0.0/8\n");
    expect_ctl(f, 0, "--json target list", "\"burst\" : \"7\"");
    expect_ctl(f, 0, "lun list", NAME "    0    1M    512  syslet  buffered  ");
    expect_ctl(f, 0, "lun list", NAME "    5    1G   4096  null    -         -");
    expect_ctl(f, 0, "lun list --json", "\"Size\" : 1073741824");
    expect_ctl(f, 0, "session list", "fake       iqn.2026-01.org.example:host  127.0.0.1:40000");
    expect_ctl(f, 0, "session list -j", "\"MaxBurstLength\" : 262144");
    expect_ctl(f, 0, "statistics", "targets " NAME "\n  Sessions      1\n");
    expect_ctl(f, 0, "statistics --json", "\"EngineHandOffs\" : 0");
}

static void test_ctl_changes(void **state)
{
    Fixture *f = fixture(state);
    expect_ctl(f, 0, "lun set-engine " NAME " 0 syslet --mode buffered -o threads=3 -o inline=off",
               NAME "/0: engine syslet buffered\n");
    expect_property(f, LUN_PATH, "org.rtgt.Lun1", "EngineOptions",
                    "{'threads': '3', 'inline': 'off'}");
    expect_ctl(f, 0, "lun set-engine --json " NAME " 0 syslet", "\"EngineOptions\" : {  }");
    g_autofree char *nothing = ctl(f, 0, "lun clear-sync-error " NAME " 0");
    assert_string_equal(nothing, "");
    g_autofree char *drop =
        g_strdup_printf("session drop %" G_GUINT64_FORMAT, fake_login(NAME, "iqn.x")->id);
    g_autofree char *silence = ctl(f, 0, drop);
    assert_string_equal(silence, "");
    assert_int_equal(fake.sessions->len, 0);
}

static void test_ctl_errors(void **state)
{
    Fixture *f = fixture(state);
    expect_ctl(f, 1, "lun set-engine " NAME " 0 null", "the null engine has no store");
    expect_ctl(f, 1, "lun set-engine " NAME " 0 syslet -o a=b", "no such option");
    expect_ctl(f, 2, "lun set-engine " NAME " 0 syslet -o a", "--option a: ");
    expect_ctl(f, 2, "lun set-engine " NAME " 0", "lun set-engine takes TARGET LUN ENGINE");
    expect_ctl(f, 2, "status --mode direct", "status takes no --mode");
    expect_ctl(f, 2, "stats", "there is no command stats");
    expect_ctl(f, 2, "lun", "there is no command lun");
    expect_ctl(f, 2, "status --jason", "--jason");
    expect_ctl(f, 3, "--bus unix:path=/nowhere/bus status", "no connection to the bus");
    expect_ctl(f, 4, "lun set-engine iqn.x 0 syslet", "there is no target iqn.x");
    expect_ctl(f, 4, "lun set-engine " NAME " 1 syslet", "target " NAME " has no LUN 1");
    expect_ctl(f, 4, "session drop 999999", "there is no session 999999");
    bus_free(g_steal_pointer(&f->bus));
    expect_ctl(f, 3, "status", "rtgtd is not on this bus");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_objects),
        TEST(test_manager_properties),
        TEST(test_target_properties),
        TEST(test_lun_properties),
        TEST(test_set_engine),
        TEST(test_set_engine_refused),
        TEST(test_sessions),
        TEST(test_one_daemon_per_bus),
        TEST(test_ctl_lists),
        TEST(test_ctl_changes),
        TEST(test_ctl_errors),
        TEST(test_add_and_remove_lun),
        TEST(test_add_lun_refused),
        TEST(test_resize),
        TEST(test_targets_come_and_go),
        TEST(test_ctl_luns),
        TEST(test_port_groups),
        TEST(test_pool_low),
    };
    return unit_run(tests);
}
