/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file read again and written back while the manager runs. */
#include "core/daemon/config_edit.h"
#include "core/daemon/exchange.h"
#include "core/daemon/online.h"
#include "core/daemon/reload.h"
#include "core/daemon/save.h"
#include "tests/unit/fake_transport.h"
#include "tests/unit/unit.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define A      "iqn.2026-01.org.example:a"
#define B      "iqn.2026-01.org.example:b"
#define COMMON "# of the daemon\n[daemon]\nio-loops=2\n[memory]\narena=16M\nhugepages=off\n"
#define TARGET "# the target\n[target " A "]\nallow = all\n"
#define LUN_0  "[lun " A "/0]\n# its file\npath=%s/0\nsize=1M\ncreate=true\n"
#define LUN_1  "[lun " A "/1]\nengine=null\nsize=1G\n"

static const Transport *const transports[] = {&fake_transport, NULL};

typedef struct {
    char *dir, *file;
    Config *config;
    Manager *manager;
} Fixture;

static void write_file(const Fixture *f, const char *format)
{
    g_auto(GStrv) parts = g_strsplit(format, "%s", -1);
    g_autofree char *text = g_strjoinv(f->dir, parts);
    assert_true(g_file_set_contents(f->file, text, -1, NULL));
}

static int setup(void **state)
{
    g_autoptr(GError) error = NULL;
    Fixture *f = g_new0(Fixture, 1);
    fake_reset();
    f->dir = g_dir_make_tmp("rtgt-reload-XXXXXX", NULL);
    f->file = g_build_filename(f->dir, "rtgt.conf", NULL);
    write_file(f, COMMON TARGET LUN_0 LUN_1);
    f->config = config_load(f->file, transports, &error);
    f->manager = f->config ? manager_new(f->config, &error) : NULL;
    if (!f->manager)
        fail_msg("%s", error->message);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    assert_true(manager_free(f->manager, 10000));
    config_free(f->config);
    g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(f->dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->file);
    g_free(f);
    return 0;
}

typedef struct {
    bool ended;
    char *message;
} Outcome;

static void note_outcome(const GError *error, void *arg)
{
    Outcome *outcome = arg;
    outcome->ended = true;
    outcome->message = error ? g_strdup(error->message) : NULL;
}

/* NULL: it went well. */
static char *reload(Fixture *f)
{
    Outcome outcome = {0};
    reload_start(f->manager, note_outcome, &outcome);
    while (!outcome.ended)
        g_main_context_iteration(NULL, TRUE);
    return outcome.message;
}

static void expect_reload(Fixture *f, const char *text)
{
    write_file(f, text);
    g_autofree char *message = reload(f);
    if (message)
        fail_msg("%s", message);
}

static void expect_refusal(Fixture *f, const char *text, const char *part)
{
    write_file(f, text);
    g_autofree char *message = reload(f);
    if (!message || !strstr(message, part))
        fail_msg("%s", message ? message : "it was reloaded");
}

static Export *export_of(Fixture *f, guint index)
{
    GPtrArray *exports = manager_exports(f->manager);
    return index < exports->len ? exports->pdata[index] : NULL;
}

static ExportLun *lun_of(Fixture *f, unsigned number)
{
    return export_find_lun(export_of(f, 0), number);
}

static void wait_outcome(const Outcome *outcome)
{
    while (!outcome->ended)
        g_main_context_iteration(NULL, TRUE);
    assert_null(outcome->message);
}

static void test_same_file_changes_nothing(void **state)
{
    Fixture *f = *state;
    const ExportLun *lun = lun_of(f, 0);
    expect_reload(f, "\n" COMMON TARGET "#\n" LUN_0 LUN_1);
    assert_ptr_equal(lun, lun_of(f, 0));
}

static void test_luns_come_and_go(void **state)
{
    Fixture *f = *state;
    expect_reload(f, COMMON TARGET LUN_0 "[lun " A "/9]\npath=%s/9\nsize=4M\ncreate=true\n");
    assert_null(lun_of(f, 1));
    assert_int_equal(lun_blocks(lun_of(f, 9)->lun), 8192);
    assert_int_equal(export_luns(export_of(f, 0))->len, 2);
    expect_reload(f, COMMON TARGET LUN_1);
    assert_int_equal(export_luns(export_of(f, 0))->len, 1);
    expect_reload(f, COMMON TARGET LUN_0 LUN_1);
    assert_int_equal(export_luns(export_of(f, 0))->len, 2);
}

static void test_targets_come_and_go(void **state)
{
    Fixture *f = *state;
    expect_reload(f, COMMON TARGET LUN_0 LUN_1 "[target " B "]\nallow=all\ntransports=fake\n[lun " B
                                               "/3]\nengine=null\nsize=1M\n");
    assert_int_equal(manager_exports(f->manager)->len, 2);
    assert_int_equal(fake.targets, 2);
    fake_login(B, "iqn.x");
    expect_reload(f, COMMON TARGET LUN_0 LUN_1);
    assert_int_equal(manager_exports(f->manager)->len, 1);
    assert_int_equal(fake.sessions->len, 0);
}

static void test_engines_and_sizes_change(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = g_build_filename(f->dir, "0", NULL);
    assert_int_equal(truncate(path, 2 << 20), 0);
    expect_reload(f, COMMON TARGET LUN_0 "engine-options=threads=5\n"
                                         "[lun " A "/1]\nengine=null\nsize=2G\n");
    assert_int_equal(lun_params(lun_of(f, 0)->lun)->threads, 5);
    assert_int_equal(lun_blocks(lun_of(f, 0)->lun), 4096);
    assert_int_equal(lun_blocks(lun_of(f, 1)->lun), UINT64_C(1) << 22);
}

static void expect_unchanged(Fixture *f)
{
    assert_int_equal(manager_exports(f->manager)->len, 1);
    assert_int_equal(fake.targets, 1);
    assert_int_equal(export_luns(export_of(f, 0))->len, 2);
    assert_int_equal(lun_params(lun_of(f, 0)->lun)->threads, 16);
    assert_int_equal(lun_blocks(lun_of(f, 1)->lun), 1 << 21);
    expect_reload(f, COMMON TARGET LUN_0 LUN_1);
}

static void test_all_or_nothing(void **state)
{
    Fixture *f = *state;
    /* the last LUN cannot be opened */
    expect_refusal(f,
                   COMMON TARGET LUN_0 "engine-options=threads=5\n[lun " A
                                       "/2]\nengine=null\nsize=1M\n[target " B
                                       "]\nallow=all\n[lun " B "/0]\npath=%s/none\n",
                   "/none: no such file");
    expect_unchanged(f);
    /* the engine does not take the file, after everything else is prepared */
    expect_refusal(f,
                   COMMON TARGET LUN_0 "engine=libaio\n[lun " A
                                       "/2]\nengine=null\nsize=1M\n[target " B "]\nallow=all\n",
                   "keeps its engine");
    expect_unchanged(f);
}

static void test_what_needs_a_restart_is_named(void **state)
{
    Fixture *f = *state;
    expect_refusal(f, COMMON "[fake]\nlisten=127.0.0.1:4\n" TARGET LUN_0 LUN_1,
                   "[fake]: takes effect only when");
    expect_refusal(f, COMMON TARGET LUN_0 "serial=X\n" LUN_1 "block-size=4096\n",
                   "[lun " A "/0] serial: cannot be changed while the LUN is there: remove it, and "
                   "add it anew\n[lun " A "/1] block-size: ");
    expect_refusal(f, COMMON TARGET "burst=3\n" LUN_0 LUN_1, "[target " A "] burst: takes effect");
    expect_refusal(f, COMMON TARGET LUN_0 "colour=red\n", "no such key");
    expect_unchanged(f);
}

static void test_port_groups(void **state)
{
    Fixture *f = *state;
    expect_refusal(f, COMMON TARGET LUN_0 LUN_1 "[port-group " A "/1]\nports=1\n",
                   "[port-group " A "/1]: takes effect only when");
    expect_reload(f, COMMON TARGET LUN_0 LUN_1 "[target " B "]\nallow=all\n[port-group " B
                                               "/2]\nports=1;2\nstate=standby\n");
    AluaState group;
    const Alua *alua = scsi_target_alua(export_scsi(export_of(f, 1)));
    assert_true(alua_get_state(alua, 2, &group));
    assert_int_equal(group, ALUA_STANDBY);
    unsigned n_ports;
    assert_int_equal(alua_ports(alua, &n_ports)[2], fake_transport.target_port);
    assert_int_equal(n_ports, 3); /* it is in the first group, which does not name it */
    expect_reload(f, COMMON TARGET LUN_0 LUN_1 "[target " B "]\nallow=all\n[port-group " B
                                               "/2]\nports=1;2\nstate=unavailable\n");
    assert_true(alua_get_state(alua, 2, &group));
    assert_int_equal(group, ALUA_UNAVAILABLE);
    assert_true(online_set_group_state(f->manager, export_of(f, 1), 2, "offline", NULL));
    g_autofree char *text = NULL;
    assert_true(save_settings(f->manager, NULL));
    assert_true(g_file_get_contents(f->file, &text, NULL, NULL));
    assert_non_null(strstr(text, "/2]\nports=1;2\nstate=offline\n"));
}

/* --- saving ------------------------------------------------------------------------------------*/

static void expect_text(Fixture *f, const char *format)
{
    g_autoptr(GError) error = NULL;
    assert_true(save_settings(f->manager, &error));
    g_auto(GStrv) parts = g_strsplit(format, "%s", -1);
    g_autofree char *expected = g_strjoinv(f->dir, parts), *text = NULL;
    assert_true(g_file_get_contents(f->file, &text, NULL, NULL));
    assert_string_equal(text, expected);
}

static void add_lun(Fixture *f, unsigned number, const char *size)
{
    g_autoptr(GError) error = NULL;
    char *keys[] = {(char *)"engine", (char *)"size", NULL};
    char *values[] = {(char *)"null", (char *)size, NULL};
    const ConfigSettings settings = {keys, values};
    if (!online_add_lun(f->manager, export_of(f, 0), number, &settings, &error))
        fail_msg("%s", error->message);
}

static void note_exchange(ExportLun *lun, const GError *error, void *arg)
{
    (void)lun;
    note_outcome(error, arg);
}

static void test_save_keeps_what_is_true(void **state)
{
    Fixture *f = *state;
    expect_text(f, COMMON TARGET LUN_0 LUN_1);
    g_assert_cmpint(g_chmod(f->file, 0640), ==, 0);
    add_lun(f, 4, "3M");
    Outcome outcome = {0};
    const char *const keys[] = {"threads"}, *const values[] = {"4"};
    const ExchangeRequest request = {.engine = "syslet", .keys = keys, .values = values, .n = 1};
    assert_true(exchange_start(lun_of(f, 0), &request, note_exchange, &outcome, NULL));
    wait_outcome(&outcome);
    outcome.ended = false;
    online_resize_lun(f->manager, lun_of(f, 1), 2048, true, note_outcome, &outcome);
    assert_int_equal(lun_blocks(lun_of(f, 1)->lun), 1 << 21); /* it drains first */
    wait_outcome(&outcome);
    expect_text(f, COMMON TARGET LUN_0 "engine-options=threads=4\n"
                                       "[lun " A "/1]\nengine=null\nsize=2K\n\n"
                                       "[lun " A "/4]\nengine=null\nsize=3M\n");
    GStatBuf st;
    assert_int_equal(g_stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    g_autofree char *message = reload(f); /* what was saved is what runs */
    assert_null(message);
    outcome.ended = false;
    online_remove_lun(f->manager, lun_of(f, 1), note_outcome, &outcome);
    expect_text(f, COMMON TARGET LUN_0 "engine-options=threads=4\n\n"
                                       "[lun " A "/4]\nengine=null\nsize=3M\n");
    wait_outcome(&outcome);
}

static void expect_edit(const char *text, const char *now, const char *expected)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    assert_true(g_key_file_load_from_data(file, now, strlen(now), G_KEY_FILE_NONE, NULL));
    g_autofree char *edited = config_edit(text, file);
    assert_string_equal(edited, expected);
}

static void test_edit(void **state)
{
    (void)state;
    expect_edit("", "[a]\nb=1\n", "[a]\nb=1\n");
    expect_edit("#x\n[a]\nb = 1 \n#y\n", "[a]\nb=1\n", "#x\n[a]\nb = 1 \n#y\n");
    expect_edit("[a]\nb=1\n# c=2 is the default\n[d]\n", "[a]\nb=2\nc=3\n[d]\n",
                "[a]\nb=2\nc=3\n# c=2 is the default\n[d]\n");
    expect_edit("[a]\nb=1\n#y\n\n[d]\ne=1\nf=1", "[d]\nf=1\n", "#y\n\n[d]\nf=1\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_same_file_changes_nothing),
        TEST(test_luns_come_and_go),
        TEST(test_targets_come_and_go),
        TEST(test_engines_and_sizes_change),
        TEST(test_all_or_nothing),
        TEST(test_what_needs_a_restart_is_named),
        TEST(test_port_groups),
        TEST(test_save_keeps_what_is_true),
        cmocka_unit_test(test_edit),
    };
    return unit_run(tests);
}
