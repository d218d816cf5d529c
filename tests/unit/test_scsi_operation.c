/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FORMAT UNIT and SANITIZE: parameter lists, what others are told meanwhile, failure, restart. */
#include "tests/unit/unit.h"

#include "tests/unit/operation_rig.h"

#include <errno.h>
#include <string.h>

static void null_of_many_tib(LunSpec *spec)
{
    spec->path = NULL;
    spec->engine = aio_engine_find("null");
    spec->size = UINT64_C(1) << 60;
    spec->block_size = 4096;
    spec->state = operation_state.dir;
}

/* --- FORMAT UNIT ------------------------------------------------------------------------------ */

static void format_makes_zeros(void **state)
{
    (void)state;
    Scsi *s = started(small);
    scsi_file_write(s, "data", 4, 0);
    scsi_file_write(s, "data", 4, SIZE - 4);
    expect(s->nexus, FORMAT(0), 0, 0);
    check_medium(s, "", 1);
    expect(s->nexus, READ, 512, 0);
    scsi_free(s);
}

static void format_with_pattern(void **state)
{
    (void)state;
    Scsi *s = started(small);
    static const uint8_t list[] = {0, 0x88, 0, 0, 0, 1, 0, 3, 'a', 'b', 'c'};
    expect_out(s->nexus, FORMAT(FMTDATA), list, sizeof list, 0);
    check_medium(s, "abc", 3);
    static const uint8_t long_list[] = {0, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; /* default, IMMED */
    expect_out(s->nexus, FORMAT(FMTDATA | LONGLIST), long_list, sizeof long_list, 0);
    assert_int_equal(settled(s), 0);
    check_medium(s, "", 1);
    scsi_free(s);
}

static void format_lists(void **state)
{
    (void)state;
    Scsi *s = started(slow);
    static const struct {
        uint8_t flags, len;
        SenseCode sense;
        uint8_t list[16];
    } cases[] = {
        {FMTDATA, 3, SENSE_PARAMETER_LIST_LENGTH_ERROR, {0}},
        {FMTDATA | LONGLIST, 7, SENSE_PARAMETER_LIST_LENGTH_ERROR, {0}},
        {FMTDATA, 0, SENSE_PARAMETER_LIST_LENGTH_ERROR, {0}},
        {FMTDATA, 4, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {1}},       /* protection */
        {FMTDATA, 4, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 4}},    /* obsolete */
        {FMTDATA, 4, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0x20}}, /* DCRT without FOV */
        {FMTDATA, 4, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 4}},
        {FMTDATA | LONGLIST, 8, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0, 0, 1}},
        {FMTDATA | LONGLIST, 8, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {[7] = 8}},
        {FMTDATA, 6, SENSE_PARAMETER_LIST_LENGTH_ERROR, {0, 0x88}},
        {FMTDATA, 9, SENSE_PARAMETER_LIST_LENGTH_ERROR, {0, 0x88, 0, 0, 0, 1, 0, 2}},
        {FMTDATA, 9, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0x88, 0, 0, 0x20, 1, 0, 1}},
        {FMTDATA, 9, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0x88, 0, 0, 0, 2, 0, 1}},
        {FMTDATA, 8, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0x88, 0, 0, 0, 1, 0, 0}},
        {FMTDATA, 9, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, {0, 0x88, 0, 0, 0, 0, 0, 1}},
        {FMTDATA | 1, 4, SENSE_INVALID_FIELD_IN_CDB, {0}},    /* no such format */
        {0x80 | FMTDATA, 4, SENSE_INVALID_FIELD_IN_CDB, {0}}, /* protection information */
        {0x08, 0, SENSE_INVALID_FIELD_IN_CDB, {0}},           /* a complete list of nothing */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        expect_out(s->nexus, FORMAT(cases[i].flags), cases[i].list, cases[i].len, cases[i].sense);
    uint8_t too_long[8 + 513] = {0, 0x88, 0, 0, 0, 1, 2, 1};
    expect_out(s->nexus, FORMAT(FMTDATA), too_long, sizeof too_long,
               SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    assert_int_equal(slow_waiting(), 0);
    expect(s->nexus, TUR, 0, 0);
    scsi_free(s);
}

static void check_progress(Scsi *s, uint16_t progress)
{
    Cmd *cmd = cmd_run(s->nexus, CDB(0x03, 0, 0, 0, 64, 0), 64);
    const uint8_t *p = cmd->in->data;
    assert_int_equal(SENSE_CODE(p[2], p[12], p[13]), SENSE_FORMAT_IN_PROGRESS);
    assert_int_equal(p[15], 0x80);
    assert_int_equal(get_be16(p + 16), progress);
    cmd_free(cmd);
    cmd = cmd_run(s->nexus, CDB(0x03, 1, 0, 0, 64, 0), 64); /* descriptor format */
    p = cmd->in->data;
    assert_int_equal(SENSE_CODE(p[1], p[2], p[3]), SENSE_FORMAT_IN_PROGRESS);
    assert_int_equal(p[7], 8);
    assert_int_equal(p[8], 2);
    assert_int_equal(p[12], 0x80);
    assert_int_equal(get_be16(p + 13), progress);
    cmd_free(cmd);
    cmd = cmd_run(s->nexus, TUR, 0);
    assert_int_equal(cmd->task.sense[15], 0x80);
    assert_int_equal(get_be16(cmd->task.sense + 16), progress);
    cmd_free(cmd);
}

static void others_wait_for_the_format(void **state)
{
    (void)state;
    Scsi *s = started(slow);
    expect_out(s->nexus, FORMAT(FMTDATA), "\0\2\0", 4, 0); /* IMMED */
    wait_for_requests(1);
    assert_int_equal(slow_peek(0)->op, AIO_WRITE_ZEROES);
    assert_true(slow_peek(0)->len == SIZE);
    check_progress(s, 0);
    expect(s->nexus, READ, 512, SENSE_FORMAT_IN_PROGRESS);
    expect(s->nexus, FORMAT(0), 0, SENSE_FORMAT_IN_PROGRESS);
    expect(s->nexus, CDB(0x1b, 0, 0, 0, 0, 0), 0, SENSE_FORMAT_IN_PROGRESS);
    expect(s->nexus, CDB(0x1a, 8, 8, 0, 64, 0), 64, SENSE_FORMAT_IN_PROGRESS);
    expect(s->nexus, CDB(0x12, 0, 0, 0, 96, 0), 96, 0);
    slow_finish_all(0);
    wait_for_requests(1);
    assert_int_equal(slow_peek(0)->op, AIO_FLUSH);
    check_progress(s, 65535);
    slow_finish_all(0);
    assert_int_equal(settled(s), 0);
    scsi_free(s);
}

static void format_waits_for_writes(void **state)
{
    (void)state;
    Scsi *s = started(slow);
    static const uint8_t block[512];
    Cmd *write = submit_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512);
    Cmd *format = submit_out(s->nexus, FORMAT(0), NULL, 0);
    while (sense_of(s->nexus, TUR) != SENSE_FORMAT_IN_PROGRESS)
        g_main_context_iteration(NULL, FALSE);
    wait_for_requests(1);
    wait_turns(20);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(slow_peek(0)->op, AIO_WRITE);
    slow_finish_all(0);
    cmd_wait(write);
    assert_int_equal(cmd_sense(write), 0);
    wait_for_requests(1);
    assert_int_equal(slow_peek(0)->op, AIO_WRITE_ZEROES);
    assert_false(format->responded);
    slow_finish_all(0);
    wait_for_requests(1);
    slow_finish_all(0);
    cmd_wait(format);
    assert_int_equal(cmd_sense(format), 0);
    cmd_free(write);
    cmd_free(format);
    scsi_free(s);
}

/* What is ended is the command. */
static void format_outlives_its_nexus(void **state)
{
    (void)state;
    Scsi *s = started(slow);
    Cmd *format = submit_out(s->nexus, FORMAT(0), NULL, 0);
    wait_for_requests(1);
    scsi_close_nexus(s->nexus);
    assert_true(format->aborted);
    cmd_free(format);
    s->nexus = scsi_nexus(s);
    expect(s->nexus, TUR, 0, SENSE_POWER_ON_RESET);
    expect(s->nexus, TUR, 0, SENSE_FORMAT_IN_PROGRESS);
    slow_finish_all(0);
    wait_for_requests(1);
    slow_finish_all(0);
    assert_int_equal(settled(s), 0);
    scsi_free(s);
}

static void failed_format(void **state)
{
    (void)state;
    Scsi *s = started(slow);
    Cmd *format = submit_out(s->nexus, FORMAT(0), NULL, 0);
    wait_for_requests(1);
    slow_finish_all(-EIO);
    cmd_wait(format);
    assert_int_equal(cmd_sense(format), SENSE_FORMAT_FAILED);
    cmd_free(format);
    expect(s->nexus, TUR, 0, SENSE_FORMAT_CORRUPT);
    expect(s->nexus, READ, 512, SENSE_FORMAT_CORRUPT);
    expect(s->nexus, CDB(0x1a, 8, 8, 0, 64, 0), 64, 0);
    expect(s->nexus, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 8, 0); /* the capacity is known */
    scsi_free(s);
    s = started(small); /* the next start knows of it */
    expect(s->nexus, READ, 512, SENSE_FORMAT_CORRUPT);
    expect(s->nexus, FORMAT(0), 0, 0);
    expect(s->nexus, READ, 512, 0);
    scsi_free(s);
    s = started(small);
    expect(s->nexus, READ, 512, 0);
    scsi_free(s);
}

static void lun_goes_during_the_format(void **state)
{
    (void)state;
    Scsi *s = started(null_of_many_tib);
    Cmd *format = submit_out(s->nexus, FORMAT(0), NULL, 0);
    while (sense_of(s->nexus, TUR) != SENSE_FORMAT_IN_PROGRESS)
        g_main_context_iteration(NULL, FALSE);
    scsi_free(s);
    assert_true(format->aborted);
    cmd_free(format);
    s = started(small);
    expect(s->nexus, TUR, 0, SENSE_FORMAT_CORRUPT);
    scsi_free(s);
}

static void write_protected(LunSpec *spec)
{
    allocated(spec);
    spec->read_only = true;
}

static void write_protected_lun(void **state)
{
    (void)state;
    Scsi *s = started(write_protected);
    expect(s->nexus, FORMAT(0), 0, SENSE_WRITE_PROTECTED);
    scsi_free(s);
}

/* --- SANITIZE --------------------------------------------------------------------------------- */

static void sanitize_is_not_everywhere(void **state)
{
    (void)state;
    Scsi *s = started(small); /* a file with holes */
    assert_false(offered(s));
    expect_out(s->nexus, SANITIZE(1, 5), "\1\0\0\1x", 5, SENSE_INVALID_OPCODE);
    expect(s->nexus, SANITIZE(2, 0), 0, SENSE_INVALID_OPCODE);
    scsi_free(s);
}

static void overwrite_with_pattern(void **state)
{
    (void)state;
    Scsi *s = sanitizable(allocated);
    expect_out(s->nexus, SANITIZE(1, 7), "\1\0\0\3abc", 7, 0);
    check_medium(s, "abc", 3);
    expect_out(s->nexus, SANITIZE(0x81, 5), "\203\0\0\1x", 5, 0); /* IMMED; INVERT, 3 passes */
    assert_int_equal(settled(s), 0);
    check_medium(s, "x", 1);
    scsi_free(s);
    s = started(allocated);
    expect(s->nexus, TUR, 0, 0);
    scsi_free(s);
}

static void each_pass_is_flushed(void **state)
{
    (void)state;
    Scsi *s = sanitizable(allocated_slow);
    static const uint8_t bytes[] = {0xf0, 0x0f}; /* of two passes the first is inverted */
    Cmd *cmd = submit_out(s->nexus, SANITIZE(1, 5), "\202\0\0\1\17", 5);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned piece = 0; piece < SIZE / MIB; piece++) {
            wait_for_requests(1);
            const AioReq *req = slow_peek(0);
            assert_int_equal(req->op, AIO_WRITE);
            assert_true(req->offset == piece * MIB && req->len == MIB);
            assert_int_equal(*(uint8_t *)req->iov[3].iov_base, bytes[pass]);
            slow_finish_all(0);
        }
        wait_for_requests(1);
        assert_int_equal(slow_peek(0)->op, AIO_FLUSH);
        assert_false(cmd->responded);
        expect(s->nexus, TUR, 0, SENSE_SANITIZE_IN_PROGRESS);
        slow_finish_all(0);
    }
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), 0);
    cmd_free(cmd);
    scsi_free(s);
}

static void sanitize_lists(void **state)
{
    (void)state;
    Scsi *s = sanitizable(allocated);
    static const uint8_t list[520] = {1, 0, 2, 0};
    static const struct {
        uint8_t byte1;
        uint16_t len;
    } cdbs[] = {{0x01, 0}, {0x01, 4}, {0x01, 517}, {0x41, 5}, {0x11, 5},
                {0x02, 0}, {0x03, 0}, {0x00, 0},   {0x1f, 4}};
    for (size_t i = 0; i < G_N_ELEMENTS(cdbs); i++)
        expect_out(s->nexus, SANITIZE(cdbs[i].byte1, cdbs[i].len), list, cdbs[i].len,
                   SENSE_INVALID_FIELD_IN_CDB);
    expect_out(s->nexus, SANITIZE(1, 5), "\0\0\0\1x", 5, SENSE_INVALID_FIELD_IN_CDB);
    expect_out(s->nexus, SANITIZE(1, 5), "\1\0\0\0x", 5, SENSE_INVALID_FIELD_IN_CDB);
    expect_out(s->nexus, SANITIZE(1, 5), "\1\0\2\1x", 5, SENSE_INVALID_FIELD_IN_CDB);
    expect_out(s->nexus, SANITIZE(1, 5), "\1\0\0\2x", 5, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    expect_out(s->nexus, SANITIZE(1, 5), "\1\0\0\1x", 3, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    expect_out(s->nexus, SANITIZE(1, 5), "\41\0\0\1x", 5, SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    expect_out(s->nexus, SANITIZE(1, 5), "\1\1\0\1x", 5, SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    expect(s->nexus, SANITIZE(0x1f, 0), 0, 0); /* nothing has failed */
    scsi_free(s);
}

static void fail_sanitize(Scsi *s, uint8_t byte1)
{
    Cmd *cmd = submit_out(s->nexus, SANITIZE(byte1, 5), "\1\0\0\1x", 5);
    wait_for_requests(1);
    slow_finish_all(-EIO);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), SENSE_SANITIZE_FAILED);
    cmd_free(cmd);
}

static void failure_mode(void **state)
{
    (void)state;
    Scsi *s = sanitizable(allocated_slow);
    fail_sanitize(s, 0x01);
    expect(s->nexus, READ, 512, SENSE_SANITIZE_FAILED);
    expect(s->nexus, FORMAT(0), 0, SENSE_SANITIZE_FAILED);
    expect(s->nexus, SANITIZE(0x1f, 0), 0, SENSE_INVALID_FIELD_IN_CDB);
    expect_out(s->nexus, SANITIZE(0x21, 5), "\1\0\0\1x", 5, SENSE_INVALID_FIELD_IN_CDB);
    scsi_free(s);
    s = started(allocated);
    expect(s->nexus, READ, 512, SENSE_SANITIZE_FAILED);
    expect_out(s->nexus, SANITIZE(1, 5), "\1\0\0\1x", 5, 0);
    expect(s->nexus, READ, 512, 0);
    scsi_free(s);
}

static void failure_mode_with_exit(void **state)
{
    (void)state;
    Scsi *s = sanitizable(allocated_slow);
    fail_sanitize(s, 0x21); /* AUSE */
    scsi_free(s);
    s = started(allocated);
    expect(s->nexus, TUR, 0, SENSE_SANITIZE_FAILED);
    expect(s->nexus, SANITIZE(0x1f, 0), 0, 0);
    expect(s->nexus, READ, 512, 0);
    scsi_free(s);
    s = started(allocated);
    expect(s->nexus, READ, 512, 0);
    scsi_free(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, operation_setup, operation_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(format_makes_zeros),
        TEST(format_with_pattern),
        TEST(format_lists),
        TEST(others_wait_for_the_format),
        TEST(format_waits_for_writes),
        TEST(format_outlives_its_nexus),
        TEST(failed_format),
        TEST(lun_goes_during_the_format),
        TEST(write_protected_lun),
        TEST(sanitize_is_not_everywhere),
        TEST(overwrite_with_pattern),
        TEST(each_pass_is_flushed),
        TEST(sanitize_lists),
        TEST(failure_mode),
        TEST(failure_mode_with_exit),
    };
    return unit_run(tests);
}
