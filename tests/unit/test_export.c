/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUNs of a target that come and go, while a command in one of them hangs. */
#include "core/daemon/export.h"
#include "tests/unit/scsi_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

#define NAME "iqn.2026-01.org.example:a"

typedef struct {
    Scsi *scsi; /* for its loop and memory */
    TransportHost host;
    ConfigTarget *config;
    Export *export;
    Nexus *nexus;
} Fixture;

static ConfigLun *lun_config(unsigned number)
{
    g_autoptr(GError) error = NULL;
    char *keys[] = {(char *)"engine", (char *)"size", NULL};
    char *values[] = {(char *)"null", (char *)"1M", NULL};
    const ConfigSettings settings = {keys, values};
    ConfigLun *config = config_lun_parse(NAME, number, &settings, &error);
    if (!config)
        fail_msg("%s", error->message);
    config->spec.engine = &slow_engine;
    return config;
}

static ExportLun *add(Fixture *f, unsigned number)
{
    g_autoptr(ConfigLun) config = lun_config(number);
    ExportLun *lun = export_open_lun(f->export, config, NULL);
    assert_non_null(lun);
    export_show_lun(lun);
    return lun;
}

static int setup(void **state)
{
    static const Transport *const none[] = {NULL};
    Fixture *f = g_new0(Fixture, 1);
    char *nothing[] = {NULL};
    const ConfigSettings settings = {nothing, nothing};
    f->scsi = scsi_new(NULL);
    f->host = (TransportHost){.main = f->scsi->loop,
                              .io_loops = &f->scsi->loop,
                              .n_io_loops = 1,
                              .memory = f->scsi->memory};
    f->config = config_target_parse(NAME, &settings, none, NULL);
    f->export = export_new(f->config, &f->host);
    f->nexus = nexus_new(export_scsi(f->export), f->scsi->loop, f->scsi->memory, "i", NULL, 0);
    *state = f;
    return 0;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    bool closed = false;
    scsi_close_nexus(f->nexus);
    export_close(f->export, set_flag, &closed);
    wait_for(&closed);
    config_target_unref(f->config);
    scsi_free(f->scsi);
    g_free(f);
    return 0;
}

typedef struct {
    bool called, late;
} Gone;

static void note_gone(bool late, void *arg)
{
    Gone *gone = arg;
    assert_false(gone->called);
    *gone = (Gone){true, late};
}

static void test_shown_by_number(void **state)
{
    Fixture *f = *state;
    ExportLun *luns[] = {add(f, 300), add(f, 2), add(f, 16383)};
    assert_ptr_equal(export_find_lun(f->export, 300), luns[0]);
    assert_ptr_equal(export_find_lun(f->export, 2), luns[1]);
    assert_ptr_equal(export_find_lun(f->export, 16383), luns[2]);
    assert_null(export_find_lun(f->export, 3));
    static const uint8_t list[] = {0,    0,    0, 24, 0, 0, 0, 0, 0,    2,    0, 0, 0, 0, 0, 0,
                                   0x41, 0x2c, 0, 0,  0, 0, 0, 0, 0x7f, 0xff, 0, 0, 0, 0, 0, 0};
    static const uint8_t selects[] = {0, 2};
    for (size_t i = 0; i < sizeof selects; i++) {
        Cmd *cmd = cmd_run(f->nexus, CDB(0xa0, 0, selects[i], 0, 0, 0, 0, 0, 255, 0, 0, 0), 255);
        assert_int_equal(cmd->in->len, sizeof list);
        assert_memory_equal(cmd->in->data, list, sizeof list);
        cmd_free(cmd);
    }
    Cmd *cmd = cmd_run(f->nexus, CDB(0xa0, 0, 1, 0, 0, 0, 0, 0, 255, 0, 0, 0), 255);
    assert_int_equal(cmd->in->len, 8); /* no well known logical unit */
    cmd_free(cmd);
}

static void test_opened_and_not_shown(void **state)
{
    Fixture *f = *state;
    g_autoptr(ConfigLun) config = lun_config(1);
    ExportLun *lun = export_open_lun(f->export, config, NULL);
    assert_null(export_find_lun(f->export, 1));
    export_discard_lun(lun); /* teardown waits for it */
}

static void test_hung_command_does_not_hold_up(void **state)
{
    Fixture *f = *state;
    Gone gone = {0};
    ExportLun *lun = add(f, 0);
    expect(f->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    Cmd *hung = cmd_new(f->nexus, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    cmd_submit(hung);
    assert_int_equal(slow_waiting(), 1);
    export_remove_lun(lun, 50, note_gone, &gone);
    assert_null(export_find_lun(f->export, 0));
    expect(f->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_LUN_NOT_SUPPORTED);
    wait_for(&gone.called);
    assert_true(gone.late);
    add(f, 0); /* the number is free */
    expect(f->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    slow_finish_all(0);
    cmd_wait(hung);
    assert_int_equal(cmd_sense(hung), 0); /* it went to its end */
    cmd_free(hung);
}

static void test_removed_when_idle(void **state)
{
    Fixture *f = *state;
    Gone gone = {0};
    export_remove_lun(add(f, 7), 60000, note_gone, &gone);
    wait_for(&gone.called);
    assert_false(gone.late);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shown_by_number),
        TEST(test_opened_and_not_shown),
        TEST(test_hung_command_does_not_hold_up),
        TEST(test_removed_when_idle),
    };
    return unit_run(tests);
}
