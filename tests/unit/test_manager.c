/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manager with a transport without a wire: what it builds, and that it undoes everything. */
#include "core/daemon/exchange.h"
#include "core/daemon/manager.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/unit.h"

#include <glib/gstdio.h>
#include <string.h>

#define NAME   "iqn.2026-01.org.example:a"
#define COMMON "[daemon]\nio-loops=2\nstate-dir=%s\n[memory]\narena=16M\nhugepages=off\n"
#define TARGET "[target " NAME "]\nallow=all\nburst=7\n"
#define LUNS \
    "[lun " NAME "/0]\npath=%s/a\nsize=1M\ncreate=true\n[lun " NAME "/5]\nengine=null\nsize=1G\n"

static const Transport *const transports[] = {&fake_transport, NULL};
static char *dir;

static Config *parse(const char *format)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) parts = g_strsplit(format, "%s", -1);
    g_autofree char *text = g_strjoinv(dir, parts);
    Config *config = config_parse("f", text, strlen(text), transports, &error);
    if (!config)
        fail_msg("%s", error->message);
    return config;
}

static int setup(void **state)
{
    (void)state;
    fake_reset();
    dir = g_dir_make_tmp("rtgt-manager-XXXXXX", NULL);
    return dir ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    g_autofree char *file = g_build_filename(dir, "a", NULL);
    g_unlink(file);
    g_rmdir(dir);
    g_clear_pointer(&dir, g_free);
    return 0;
}

static void expect_failure(const char *text, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(text);
    Manager *manager = manager_new(config, &error);
    assert_null(manager);
    if (!strstr(error->message, part))
        fail_msg("%s", error->message);
    assert_int_equal(fake.starts, fake.stops);
    assert_int_equal(fake.targets, 0);
}

static void test_builds_and_ends(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(COMMON TARGET LUNS);
    Manager *manager = manager_new(config, &error);
    assert_null(error);
    assert_int_equal(manager_io_loops(manager), 2);
    assert_int_equal(fake.listeners, 0);
    assert_string_equal(fake.last_spec, NAME " burst=7 all");
    Export *export = manager_exports(manager)->pdata[0];
    assert_int_equal(export_luns(export)->len, 2);
    const ExportLun *lun = export_luns(export)->pdata[0];
    assert_int_equal(lun_blocks(lun->lun), 2048);

    assert_true(manager_listen(manager, &error));
    assert_int_equal(fake.listeners, 2);
    fake_login(NAME, "iqn.2026-01.org.example:host");
    fake_login(NULL, "iqn.2026-01.org.example:host");
    SessionSums sums;
    manager_sum_sessions(manager, NAME, &sums);
    assert_int_equal(sums.sessions, 1);
    assert_int_equal(sums.commands, 5);
    ManagerStats stats;
    manager_get_stats(manager, &stats);
    assert_int_equal(stats.sessions.sessions, 2);
    assert_int_equal(stats.arena.limit, 16 << 20);

    assert_true(manager_free(manager, 10000));
    assert_int_equal(fake.listeners, 0);
    assert_int_equal(fake.targets, 0);
    assert_int_equal(fake.stops, 1);
    assert_int_equal(fake.sessions->len, 0);
}

static void test_file_is_missing(void **state)
{
    (void)state;
    expect_failure(COMMON TARGET "[lun " NAME "/1]\nengine=null\nsize=1M\n"
                                 "[lun " NAME "/2]\npath=%s/none\n",
                   "/none");
}

static void test_state_directory_cannot_be(void **state)
{
    (void)state;
    expect_failure("[daemon]\nstate-dir=/proc/none\n" TARGET, "[daemon] state-dir: /proc/none");
}

static void test_no_transport_works(void **state)
{
    (void)state;
    fake.cannot_start = true;
    expect_failure(COMMON TARGET LUNS, "target " NAME ": none of its transports works");
}

static void test_unused_transport_is_not_started(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(COMMON);
    Manager *manager = manager_new(config, &error);
    assert_non_null(manager);
    assert_int_equal(fake.starts, 0);
    assert_true(manager_listen(manager, &error));
    assert_true(manager_free(manager, 10000));
}

static bool listen_without(const char *refused, const char *group)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strconcat(COMMON TARGET, group, NULL);
    g_autoptr(Config) config = parse(text);
    fake.refused_address = refused;
    Manager *manager = manager_new(config, &error);
    assert_non_null(manager);
    bool good = manager_listen(manager, &error);
    if (!good)
        assert_non_null(strstr(error->message, "[fake] listen: "));
    assert_true(manager_free(manager, 10000));
    assert_int_equal(fake.listeners, 0);
    return good;
}

static void test_of_default_addresses_one_suffices(void **state)
{
    (void)state;
    assert_true(listen_without("127.0.0.1:1", ""));
    assert_true(listen_without("127.0.0.1:2", ""));
}

static void test_chosen_addresses_must_all_work(void **state)
{
    (void)state;
    assert_false(listen_without("127.0.0.1:9", "[fake]\nlisten=127.0.0.1:9;127.0.0.1:8\n"));
    assert_false(listen_without("127.0.0.1:9", "[fake]\nlisten=127.0.0.1:8;127.0.0.1:9\n"));
    assert_true(listen_without("127.0.0.1:1", "[fake]\nlisten=127.0.0.1:8\n"));
}

/* --- exchanges ---------------------------------------------------------------------------------*/

typedef struct {
    bool ended;
    char *failure;
} Outcome;

static void note_outcome(ExportLun *lun, const GError *error, void *arg)
{
    (void)lun;
    Outcome *outcome = arg;
    outcome->ended = true;
    outcome->failure = error ? g_strdup(error->message) : NULL;
}

static void expect_refusal(ExportLun *lun, const ExchangeRequest *request, ManagerError code)
{
    g_autoptr(GError) error = NULL;
    assert_false(exchange_start(lun, request, note_outcome, NULL, &error));
    assert_true(g_error_matches(error, MANAGER_ERROR, (int)code));
}

static void test_exchange(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(COMMON TARGET LUNS);
    Manager *manager = manager_new(config, &error);
    assert_null(error);
    Export *export = manager_exports(manager)->pdata[0];
    ExportLun *lun = export_luns(export)->pdata[0];

    const char *const keys[] = {"threads"}, *const values[] = {"3"};
    const ExchangeRequest good = {
        .engine = "syslet", .mode = "buffered", .keys = keys, .values = values, .n = 1};
    Outcome outcome = {0};
    assert_true(exchange_start(lun, &good, note_outcome, &outcome, &error));
    if (!outcome.ended)
        expect_refusal(lun, &good, MANAGER_ERROR_BUSY);
    while (!outcome.ended)
        g_main_context_iteration(NULL, TRUE);
    assert_null(outcome.failure);
    assert_int_equal(lun_params(lun->lun)->threads, 3);
    assert_string_equal(lun->option_keys[0], "threads");
    assert_false(lun->exchanging);

    expect_refusal(lun, &(ExchangeRequest){.engine = "none"}, MANAGER_ERROR_INVALID);
    expect_refusal(lun, &(ExchangeRequest){.engine = "syslet", .mode = "fast"},
                   MANAGER_ERROR_INVALID);
    const char *const zero[] = {"0"};
    expect_refusal(lun,
                   &(ExchangeRequest){.engine = "syslet", .keys = keys, .values = zero, .n = 1},
                   MANAGER_ERROR_INVALID);
    expect_refusal(lun, &(ExchangeRequest){.engine = "null"}, MANAGER_ERROR_NOT_SUPPORTED);
    expect_refusal(export_luns(export)->pdata[1], &(ExchangeRequest){.engine = "syslet"},
                   MANAGER_ERROR_NOT_SUPPORTED);
    assert_true(manager_free(manager, 10000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_builds_and_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_directory_cannot_be, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_transport_works, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unused_transport_is_not_started, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_default_addresses_one_suffices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chosen_addresses_must_all_work, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
    };
    return unit_run(tests);
}
