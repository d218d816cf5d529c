/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FORMAT UNIT and SANITIZE while everything around them changes: engine, size, task sets, the
 * daemon itself. */
#include "tests/unit/unit.h"

#include "core/scsi/lun_impl.h"
#include "core/scsi/operation.h"
#include "tests/unit/operation_rig.h"

#include <string.h>

#define REQUEST_SENSE CDB(0x03, 0, 0, 0, 64, 0)
#define PIECES        (SIZE / MIB) /* of a pass with a pattern */

typedef struct {
    bool done, failed;
} Outcome;

static void changed(Lun *lun, const GError *error, void *arg)
{
    Outcome *outcome = arg;
    (void)lun;
    outcome->failed = error != NULL;
    outcome->done = true;
}

/* OVERWRITE with IMMED: passes and pattern as the list says. */
static Scsi *sanitizing(const char *list)
{
    Scsi *s = sanitizable(allocated_slow);
    expect_out(s->nexus, SANITIZE(0x81, 5), list, 5, 0);
    wait_for_requests(1);
    return s;
}

/* A format with a pattern, so that it comes in pieces. */
static Scsi *formatting(void)
{
    Scsi *s = started(slow);
    static const uint8_t list[] = {0, 0x8a, 0, 0, 0, 1, 0, 1, 'f'};
    expect_out(s->nexus, FORMAT(FMTDATA), list, sizeof list, 0);
    wait_for_requests(1);
    return s;
}

static void finish_requests(unsigned count)
{
    for (; count > 0; count--) {
        wait_for_requests(1);
        slow_finish(0, 0);
    }
}

static void check_bytes(const Scsi *s, uint64_t from, uint64_t to, char byte)
{
    g_autofree char *data = g_malloc(to - from);
    scsi_file_read(s, data, to - from, from);
    for (uint64_t i = 0; i < to - from; i++)
        assert_int_equal(data[i], byte);
}

/* --- the daemon ends -------------------------------------------------------------------------- */

/* The LUN goes while the slow engine has a piece: as at the end of the daemon. */
static void end_of_daemon(Scsi *s)
{
    operation_stop(s->lun);
    slow_finish_all(0);
    while (operation_running(s->lun))
        g_main_context_iteration(NULL, FALSE);
    scsi_free(s);
}

static void sanitize_goes_on_after_a_restart(void **state)
{
    (void)state;
    Scsi *s = sanitizing("\203\0\0\1\17"); /* INVERT, 3 passes of 0Fh: the second is F0h */
    finish_requests(PIECES + 1 + 2);
    wait_for_requests(1);
    end_of_daemon(s);
    s = started(allocated_slow);
    wait_for_requests(1);
    assert_int_equal(slow_peek(0)->op, AIO_WRITE);
    assert_true(slow_peek(0)->offset == 0);
    assert_int_equal(*(uint8_t *)slow_peek(0)->iov[0].iov_base, 0xf0);
    expect(s->nexus, TUR, 0, SENSE_SANITIZE_IN_PROGRESS);
    assert_int_equal(operation_progress(s->lun), 65536 / 3);
    end_of_daemon(s);
    s = started(allocated); /* and again; this one writes */
    assert_int_equal(settled(s), 0);
    check_medium(s, "\17", 1);
    scsi_free(s);
    s = started(allocated_slow);
    assert_int_equal(slow_waiting(), 0);
    expect(s->nexus, TUR, 0, 0);
    scsi_free(s);
}

static void read_only_allocated(LunSpec *spec)
{
    allocated(spec);
    spec->read_only = true;
}

/* What cannot go on is no success. */
static void sanitize_cannot_go_on(void **state)
{
    (void)state;
    void (*const ways[])(LunSpec *) = {read_only_allocated, small};
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        end_of_daemon(sanitizing("\1\0\0\1x"));
        Scsi *s = started(ways[i]); /* `small` is thin */
        assert_int_equal(settled(s), SENSE_SANITIZE_FAILED);
        scsi_free(s);
        s = started(allocated); /* that was told; it is not tried again behind the back */
        expect(s->nexus, READ, 512, SENSE_SANITIZE_FAILED);
        expect_out(s->nexus, SANITIZE(1, 5), "\1\0\0\1x", 5, 0);
        expect(s->nexus, READ, 512, 0);
        scsi_free(s);
    }
}

static void damage(const char *key, const char *value)
{
    g_autoptr(GDir) dir = g_dir_open(operation_state.path, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        if (!g_str_has_suffix(name, ".operation"))
            continue;
        g_autofree char *path = g_build_filename(operation_state.path, name, NULL);
        g_autoptr(GKeyFile) file = g_key_file_new();
        assert_true(g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL));
        g_key_file_set_string(file, "operation", key, value);
        assert_true(g_key_file_save_to_file(file, path, NULL));
        return;
    }
    fail_msg("there is no record");
}

static void damaged_record(void **state)
{
    (void)state;
    static const char *const damages[][2] = {
        {"pattern", ""},       {"pattern", "0"}, {"pattern", "0g"}, {"passes", "0"},
        {"passes", "nothing"}, {"pass", "1"},    {"pass", "-1"}};
    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        end_of_daemon(sanitizing("\1\0\0\1x"));
        damage(damages[i][0], damages[i][1]);
        Scsi *s = started(allocated);
        expect(s->nexus, TUR, 0, SENSE_SANITIZE_FAILED);
        expect_out(s->nexus, SANITIZE(1, 5), "\1\0\0\1x", 5, 0);
        scsi_free(s);
    }
}

static void format_is_of_no_use_after_a_restart(void **state)
{
    (void)state;
    end_of_daemon(formatting());
    Scsi *s = started(slow);
    assert_int_equal(slow_waiting(), 0);
    expect(s->nexus, READ, 512, SENSE_FORMAT_CORRUPT);
    scsi_free(s);
}

/* --- engine and size -------------------------------------------------------------------------- */

static void engine_is_exchanged(void **state)
{
    (void)state;
    Scsi *s = sanitizing("\1\0\0\1x");
    Outcome outcome = {0};
    lun_set_engine(s->lun, aio_engine_find("syslet"), &s->spec.params, AIO_DIRECT, 60000, changed,
                   &outcome);
    wait_turns(20);
    assert_false(outcome.done); /* the piece is waited for */
    expect(s->nexus, TUR, 0, SENSE_SANITIZE_IN_PROGRESS);
    slow_finish_all(0);
    wait_for(&outcome.done);
    assert_false(outcome.failed);
    assert_int_equal(settled(s), 0);
    check_bytes(s, MIB, SIZE, 'x'); /* all but what the slow engine did not write */
    scsi_free(s);
}

/* A piece that does not come back: the exchange gives up, the operation goes on. */
static void engine_cannot_be_exchanged(void **state)
{
    (void)state;
    Scsi *s = formatting();
    Outcome outcome = {0};
    lun_set_engine(s->lun, aio_engine_find("syslet"), &s->spec.params, AIO_BUFFERED, 20, changed,
                   &outcome);
    wait_for(&outcome.done);
    assert_true(outcome.failed);
    finish_requests(PIECES + 1);
    assert_int_equal(settled(s), 0);
    scsi_free(s);
}

static void resize(Scsi *s, uint64_t size)
{
    Outcome outcome = {0};
    lun_resize(s->lun, size, 60000, changed, &outcome);
    wait_turns(20);
    slow_finish_all(0);
    wait_for(&outcome.done);
    assert_false(outcome.failed);
    expect(s->nexus, TUR, 0, SENSE_CAPACITY_CHANGED);
}

/* The next piece, and nothing else. */
static void check_piece(AioOp op, uint64_t offset, uint64_t len)
{
    wait_for_requests(1);
    const AioReq *req = slow_peek(0);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(req->op, op);
    assert_true(req->offset == offset && req->len == len);
    slow_finish(0, 0);
}

static void lun_is_made_shorter(void **state)
{
    (void)state;
    Scsi *s = formatting();
    finish_requests(1);
    wait_for_requests(1);
    resize(s, 2 * MIB + MIB / 2); /* the second piece returns, the third goes beyond */
    check_piece(AIO_WRITE, 2 * MIB, MIB / 2);
    check_piece(AIO_FLUSH, 0, 0);
    assert_int_equal(settled(s), 0);
    scsi_free(s);
}

static void lun_is_made_shorter_than_what_is_done(void **state)
{
    (void)state;
    Scsi *s = formatting();
    finish_requests(2);
    wait_for_requests(1);
    resize(s, MIB);
    check_piece(AIO_FLUSH, 0, 0);
    assert_int_equal(settled(s), 0);
    scsi_free(s);
}

static void lun_is_made_longer(void **state)
{
    (void)state;
    Scsi *s = formatting();
    resize(s, SIZE + MIB);
    for (unsigned i = 1; i <= PIECES; i++)
        check_piece(AIO_WRITE, i * MIB, MIB);
    check_piece(AIO_FLUSH, 0, 0);
    assert_int_equal(settled(s), 0);
    scsi_free(s);
}

/* --- task sets -------------------------------------------------------------------------------- */

static void managed(TmfResponse response, void *arg)
{
    assert_int_equal(response, TMF_COMPLETE);
    *(bool *)arg = true;
}

static void manage(Scsi *s, TmfFunction function, uint64_t tag)
{
    bool done = false;
    nexus_manage(s->nexus, function, 0, tag, managed, &done);
    wait_for(&done);
}

/* The command is what they end, not the operation. */
static void resets_and_aborts(void **state)
{
    (void)state;
    static const struct {
        TmfFunction function;
        SenseCode attention;
    } ways[] = {{TMF_ABORT_TASK, 0},
                {TMF_ABORT_TASK_SET, 0},
                {TMF_LOGICAL_UNIT_RESET, SENSE_DEVICE_RESET},
                {TMF_TARGET_WARM_RESET, SENSE_BUS_RESET},
                {TMF_I_T_NEXUS_RESET, SENSE_NEXUS_LOSS}};
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        Scsi *s = started(slow);
        Cmd *format = submit_out(s->nexus, FORMAT(0), NULL, 0);
        wait_for_requests(1);
        manage(s, ways[i].function, format->task.tag);
        cmd_wait(format);
        assert_true(format->aborted);
        cmd_free(format);
        if (ways[i].attention)
            expect(s->nexus, TUR, 0, ways[i].attention);
        expect(s->nexus, TUR, 0, SENSE_FORMAT_IN_PROGRESS);
        finish_requests(2);
        assert_int_equal(settled(s), 0);
        scsi_free(s);
    }
}

/* SBC-3 5.31: as if at the head of the queue; and even an ordered one can be asked how far it is.
 */
static void sanitize_in_the_task_set(void **state)
{
    (void)state;
    Scsi *s = sanitizable(allocated_slow);
    Cmd *read = cmd_new(s->nexus, READ), *ordered = cmd_new(s->nexus, TUR);
    Cmd *sanitize = cmd_new(s->nexus, SANITIZE(1, 5));
    ordered->task.attribute = sanitize->task.attribute = TASK_ORDERED;
    sanitize->out = (const uint8_t *)"\1\0\0\1x";
    sanitize->task.data_out_len = 5;
    read->task.data_in_len = 512;
    cmd_submit(read);
    cmd_submit(ordered);
    cmd_submit(sanitize);
    while (operation_condition(s->lun) != MEDIUM_SANITIZING)
        g_main_context_iteration(NULL, FALSE);
    assert_false(ordered->released);
    Cmd *sense = cmd_run(s->nexus, REQUEST_SENSE, 64);
    assert_int_equal(get_be16(sense->in->data + 12), SENSE_SANITIZE_IN_PROGRESS & 0xffff);
    cmd_free(sense);
    finish_requests(1 + PIECES + 1);
    cmd_wait(sanitize);
    cmd_wait(ordered);
    assert_int_equal(cmd_sense(read), 0);
    assert_int_equal(cmd_sense(sanitize), 0);
    cmd_free(read);
    cmd_free(ordered);
    cmd_free(sanitize);
    scsi_free(s);
}

/* --- what is let through meanwhile ------------------------------------------------------------ */

static void commands_during_an_operation(void **state)
{
    (void)state;
    static const struct {
        uint8_t cdb[12], len;
        bool format, sanitize;
    } rows[] = {
        {{0x12, 0, 0, 0, 64}, 6, true, true},                     /* INQUIRY */
        {{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64}, 12, true, true},     /* REPORT LUNS */
        {{0x03, 0, 0, 0, 64}, 6, true, true},                     /* REQUEST SENSE */
        {{0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 64}, 12, false, true}, /* REPORT ... OPERATION CODES */
        {{0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 64}, 12, false, true}, /* ... TASK MANAGEMENT */
        {{0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 64}, 12, false, true}, /* ... TARGET PORT GROUPS */
        {{0x4d, 0, 0x40, 0, 0, 0, 0, 0, 64}, 10, false, true},    /* LOG SENSE */
        {{0x00}, 6, false, false},                                /* TEST UNIT READY */
        {{0x15, 0x10}, 6, false, false},                          /* MODE SELECT (6): SWP, WCE */
        {{0x1b, 0, 0, 0, 1}, 6, false, false},                    /* START STOP UNIT */
        {{0x5e, 0, 0, 0, 0, 0, 0, 0, 64}, 10, false, false},      /* PERSISTENT RESERVE IN */
        {{0x5f, 0, 0, 0, 0, 0, 0, 0, 24}, 10, false, false},      /* ... OUT */
        {{0x35}, 10, false, false},                               /* SYNCHRONIZE CACHE */
    };
    Scsi *s = formatting();
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        expect(s->nexus, rows[i].cdb, rows[i].len, 64,
               rows[i].format ? 0 : SENSE_FORMAT_IN_PROGRESS);
    finish_requests(PIECES + 1);
    assert_int_equal(settled(s), 0);
    scsi_free(s);
    s = sanitizing("\1\0\0\1x");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        expect(s->nexus, rows[i].cdb, rows[i].len, 64,
               rows[i].sanitize ? 0 : SENSE_SANITIZE_IN_PROGRESS);
    finish_requests(PIECES + 1);
    assert_int_equal(settled(s), 0);
    scsi_free(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, operation_setup, operation_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sanitize_goes_on_after_a_restart),
        TEST(sanitize_cannot_go_on),
        TEST(damaged_record),
        TEST(format_is_of_no_use_after_a_restart),
        TEST(engine_is_exchanged),
        TEST(engine_cannot_be_exchanged),
        TEST(lun_is_made_shorter),
        TEST(lun_is_made_shorter_than_what_is_done),
        TEST(lun_is_made_longer),
        TEST(resets_and_aborts),
        TEST(sanitize_in_the_task_set),
        TEST(commands_during_an_operation),
    };
    return unit_run(tests);
}
