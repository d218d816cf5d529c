/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LOG SENSE: pages, parameter pointer, page control, and counters that are true. LOG SELECT. */
#include "tests/unit/unit.h"

#include "tests/unit/scsi_fixture.h"

#include <errno.h>
#include <string.h>

#define CURRENT    0x40
#define CUMULATIVE 0xc0 /* default */

static Cmd *log_sense(Scsi *s, uint8_t page, uint8_t subpage, uint8_t pointer)
{
    return cmd_run(s->nexus, CDB(0x4d, 0, page, subpage, 0, 0, pointer, 1, 0, 0), 256);
}

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

static void check_page(Scsi *s, uint8_t page, uint8_t subpage, const void *data, size_t len)
{
    Cmd *cmd = log_sense(s, page, subpage, 0);
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->in->len, len);
    assert_memory_equal(cmd->in->data, data, len);
    cmd_free(cmd);
}

static void fixed_pages(void **state)
{
    Scsi *s = *state;
    check_page(s, CURRENT, 0, "\0\0\0\5\0\2\3\x11\x2f", 9);
    check_page(s, CURRENT, 0xff, "\x40\xff\0\14\0\0\0\xff\2\0\3\0\x11\0\x2f\0", 16);
    check_page(s, CURRENT | 0x11, 0, "\x11\0\0\10\0\1\x23\4\0\0\0\0", 12);
    check_page(s, CURRENT | 0x2f, 0, "\x2f\0\0\10\0\0\x23\4\0\0\xff\0", 12);
}

static uint64_t counter(Scsi *s, uint8_t page, uint8_t code)
{
    Cmd *cmd = log_sense(s, page, 0, code);
    assert_int_equal(cmd_sense(cmd), 0);
    const uint8_t *p = cmd->in->data;
    assert_int_equal(p[0], 0x80 | (page & 0x3f));
    assert_int_equal(get_be16(p + 2), cmd->in->len - 4);
    assert_int_equal(get_be16(p + 4), code);
    assert_int_equal(p[7], 8);
    uint64_t value = get_be64(p + 8);
    cmd_free(cmd);
    return value;
}

static void bytes_are_counted(void **state)
{
    Scsi *s = *state;
    static const uint8_t data[1024];
    assert_true(counter(s, CURRENT | 2, 5) == 0);
    expect_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0), data, sizeof data, 0);
    expect(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 3, 0), 1536, 0);
    assert_true(counter(s, CURRENT | 2, 5) == 1024);
    assert_true(counter(s, CURRENT | 3, 5) == 1536);
    assert_true(counter(s, CURRENT | 2, 6) == 0);
    assert_true(counter(s, CUMULATIVE | 3, 5) == 0); /* the default */
    Cmd *cmd = log_sense(s, CURRENT | 2, 0, 0);
    assert_int_equal(cmd->in->len, 4 + 7 * 12);
    cmd_free(cmd);
}

static void errors_are_counted(void **state)
{
    (void)state;
    Scsi *s = scsi_new(use_slow_engine);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    for (unsigned i = 0; i < 3; i++) {
        Cmd *cmd = i ? cmd_new(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0))
                     : cmd_new(s->nexus, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        cmd->task.data_in_len = i ? 512 : 0;
        cmd_submit(cmd);
        while (slow_waiting() < 1)
            g_main_context_iteration(NULL, TRUE);
        slow_finish_all(-EIO);
        cmd_wait(cmd);
        cmd_free(cmd);
    }
    assert_true(counter(s, CURRENT | 2, 6) == 1);
    assert_true(counter(s, CURRENT | 3, 6) == 2);
    scsi_free(s);
}

static void bad_fields(void **state)
{
    Scsi *s = *state;
    static const struct {
        uint8_t cdb[10];
        uint8_t byte;
    } cases[] = {
        {{0x4d, 1, CURRENT, 0, 0, 0, 0, 0, 64, 0}, 1},        /* SP */
        {{0x4d, 2, CURRENT, 0, 0, 0, 0, 0, 64, 0}, 1},        /* PPC */
        {{0x4d, 0, CURRENT | 0x05, 0, 0, 0, 0, 0, 64, 0}, 2}, /* no such page */
        {{0x4d, 0, CURRENT | 0x02, 1, 0, 0, 0, 0, 64, 0}, 3}, /* nor subpage */
        {{0x4d, 0, 0x02, 0, 0, 0, 0, 0, 64, 0}, 2},           /* thresholds */
        {{0x4d, 0, CURRENT | 0x02, 0, 0, 0, 7, 0, 64, 0}, 5}, /* no such parameter */
        {{0x4d, 0, CURRENT | 0x2f, 0, 0, 0x80, 0, 0, 64, 0}, 5},
        {{0x4d, 0, CURRENT, 0, 1, 0, 0, 0, 64, 0}, 4},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Cmd *cmd = cmd_run(s->nexus, cases[i].cdb, 10, 64);
        assert_int_equal(cmd_sense(cmd), SENSE_INVALID_FIELD_IN_CDB);
        assert_int_equal(get_be16(cmd->task.sense + 16), cases[i].byte);
        cmd_free(cmd);
    }
    Cmd *cmd = cmd_run(s->nexus, CDB(0x4d, 0, CURRENT, 0, 0, 0, 0, 0, 6, 0), 64);
    assert_int_equal(cmd->in->len, 6); /* the length tells of all */
    assert_int_equal(get_be16(cmd->in->data + 2), 5);
    cmd_free(cmd);
}

static void count_something(Scsi *s)
{
    static const uint8_t data[512];
    expect_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, sizeof data, 0);
    expect(s->nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), 512, 0);
}

static void counters_are_reset(void **state)
{
    static const struct {
        uint8_t flags, page, writes, reads;   /* blocks left */
    } ways[] = {{0x02, 0x00, 0, 0},           /* all */
                {0x02, CURRENT | 0x02, 0, 1}, /* by page */
                {0x02, CURRENT | 0x03, 1, 0},
                {0x00, CUMULATIVE | 0x02, 0, 1}, /* to the default */
                {0x00, CURRENT, 1, 2}};          /* nothing asked for */
    Scsi *s = *state;
    Nexus *other = scsi_nexus(s);
    expect(other, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        count_something(s);
        expect(s->nexus, CDB(0x4c, ways[i].flags, ways[i].page, 0, 0, 0, 0, 0, 0, 0), 0, 0);
        assert_int_equal(counter(s, CURRENT | 2, 5), 512 * ways[i].writes);
        assert_int_equal(counter(s, CURRENT | 3, 5), 512 * ways[i].reads);
        bool told = i + 1 < G_N_ELEMENTS(ways);
        expect(other, CDB(0, 0, 0, 0, 0, 0), 0, told ? SENSE_LOG_PARAMETERS_CHANGED : 0);
        expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, 0);
    }
    LunStats stats; /* management's own are left alone */
    lun_get_stats(s->lun, &stats);
    assert_int_equal(stats.write_bytes, 512 * G_N_ELEMENTS(ways));
    scsi_close_nexus(other);
}

static void bad_selects(void **state)
{
    Scsi *s = *state;
    static const struct {
        uint8_t cdb[10];
        uint8_t byte;
    } cases[] = {
        {{0x4c, 3, 0, 0, 0, 0, 0, 0, 0, 0}, 1},    /* SP */
        {{0x4c, 2, 0x05, 0, 0, 0, 0, 0, 0, 0}, 2}, /* no such page */
        {{0x4c, 2, 0x02, 1, 0, 0, 0, 0, 0, 0}, 3}, /* nor subpage */
        {{0x4c, 2, 0x02, 0, 0, 0, 0, 0, 4, 0}, 7}, /* a list with PCR */
        {{0x4c, 0, 0x42, 0, 0, 0, 0, 0, 4, 0}, 7}, /* values of the initiator's */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Cmd *cmd = cmd_run_out(s->nexus, cases[i].cdb, 10, "\2\0\0\0", 4);
        assert_int_equal(cmd_sense(cmd), SENSE_INVALID_FIELD_IN_CDB);
        assert_int_equal(get_be16(cmd->task.sense + 16), cases[i].byte);
        cmd_free(cmd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fixed_pages, scsi_setup, scsi_teardown),
        cmocka_unit_test_setup_teardown(bytes_are_counted, scsi_setup, scsi_teardown),
        cmocka_unit_test(errors_are_counted),
        cmocka_unit_test_setup_teardown(bad_fields, scsi_setup, scsi_teardown),
        cmocka_unit_test_setup_teardown(counters_are_reset, scsi_setup, scsi_teardown),
        cmocka_unit_test_setup_teardown(bad_selects, scsi_setup, scsi_teardown),
    };
    return unit_run(tests);
}
