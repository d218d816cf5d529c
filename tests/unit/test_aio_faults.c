/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engines make of a kernel that does things in part, late, not at all, or not here. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "aio/file_impl.h"
#include "aio/sys.h"
#include "tests/unit/aio_fixture.h"

#define BYTES 65536

typedef struct {
    const char *engine;
    AioMode mode;
} Case;

typedef struct {
    Rig rig;
    char *data, *back;
} Fault;

static int setup(void **state)
{
    const Case *config = *state;
    Fault *fault = g_new0(Fault, 1);

    fault_clear();
    fault->rig.engine = aio_engine_find(config->engine);
    fault->rig.mode = config->mode;
    aio_params_init(&fault->rig.params);
    fault->rig.params.unsafe_buffered = true;
    fault->data = page_alloc(BYTES);
    fault->back = page_alloc(BYTES);
    pattern_fill(fault->data, 1, 0, BYTES);
    const char *why = rig_open(&fault->rig);
    if (why) {
        print_message("%s\n", why);
        free(fault->data);
        free(fault->back);
        g_clear_pointer(&fault, g_free);
    }
    *state = fault;
    return 0;
}

static int teardown(void **state)
{
    Fault *fault = *state;
    fault_clear();
    if (fault) {
        rig_close(&fault->rig);
        free(fault->data);
        free(fault->back);
        g_free(fault);
    }
    return 0;
}

static Fault *fault_of(void **state)
{
    if (!*state)
        unit_skip("not possible here");
    return *state;
}

static ssize_t fault_write(Fault *fault, unsigned flags)
{
    return rig_run(&fault->rig, AIO_WRITE, flags, fault->data, 0, BYTES);
}

static ssize_t fault_read(Fault *fault)
{
    memset(fault->back, 0xee, BYTES);
    return rig_run(&fault->rig, AIO_READ, 0, fault->back, 0, BYTES);
}

static ssize_t fault_flush(Fault *fault)
{
    return rig_run(&fault->rig, AIO_FLUSH, 0, NULL, 0, 0);
}

/* Both directions survive this fault, and it was really met. */
static void survive(Fault *fault, unsigned more, int result, unsigned times)
{
    fault_arm(ON_WRITE | more, result, times);
    assert_int_equal(fault_write(fault, 0), BYTES);
    assert_int_equal(fault_left(), 0);
    fault_arm(ON_READ | ON_NOWAIT | more, result, times);
    assert_int_equal(fault_read(fault), BYTES);
    assert_int_equal(fault_left(), 0);
    assert_memory_equal(fault->data, fault->back, BYTES);
}

static void test_short_odd(void **state)
{
    survive(fault_of(state), 0, 1000, 4);
}

static void test_short_blocks(void **state)
{
    survive(fault_of(state), 0, 8192, 3);
}

static void test_one_byte(void **state)
{
    survive(fault_of(state), 0, 1, 1);
}

static void test_eintr(void **state)
{
    survive(fault_of(state), 0, -EINTR, 3);
}

static void test_eagain(void **state)
{
    survive(fault_of(state), 0, -EAGAIN, 3);
}

static void test_zero_is_an_error(void **state)
{
    Fault *fault = fault_of(state);
    fault_arm(ON_WRITE, 0, 1);
    assert_int_equal(fault_write(fault, 0), -EIO);
    assert_int_equal(fault_write(fault, 0), BYTES);
    /* an inline read of nothing is looked at again by a worker */
    fault_arm(ON_READ | ON_NOWAIT, 0, 2);
    assert_int_equal(fault_read(fault), -EIO);
    fault_clear();
    assert_int_equal(fault_read(fault), BYTES);
}

static void report(Fault *fault, int error)
{
    AioCounters counters;

    fault_arm(ON_WRITE, error, 1);
    assert_int_equal(fault_write(fault, 0), error);
    fault_arm(ON_READ | ON_NOWAIT, error, 2);
    assert_int_equal(fault_read(fault), error);
    fault_clear();
    assert_int_equal(fault_write(fault, 0), BYTES);
    assert_int_equal(aio_file_sync_error(fault->rig.file), 0);
    aio_ctx_counters(fault->rig.ctx, &counters);
    assert_int_equal(counters.errors, 2);
}

static void test_eio(void **state)
{
    report(fault_of(state), -EIO);
}

static void test_enospc(void **state)
{
    report(fault_of(state), -ENOSPC);
}

static void test_short_then_error(void **state)
{
    Fault *fault = fault_of(state);
    assert_int_equal(fault_write(fault, 0), BYTES);
    fault_arm(ON_READ | ON_NOWAIT, 4096, 1);
    assert_int_equal(fault_read(fault), BYTES);
    assert_memory_equal(fault->data, fault->back, BYTES);
}

/* ---- stable storage ---- */

static void test_failed_flush_is_latched(void **state)
{
    Fault *fault = fault_of(state);
    AioFile *file = fault->rig.file;

    fault_arm(ON_SYNC, -EIO, 1);
    assert_int_equal(fault_flush(fault), -EIO);
    assert_int_equal(fault_flush(fault), -EIO);
    assert_int_equal(fault_write(fault, AIO_FUA), -EIO);
    assert_int_equal(rig_run(&fault->rig, AIO_WRITE_ZEROES, AIO_FUA, NULL, 0, BYTES), -EIO);
    assert_int_equal(aio_file_sync(file), -EIO);
    assert_int_equal(fault_write(fault, 0), BYTES);
    assert_int_equal(fault_read(fault), BYTES);
    assert_int_equal(aio_file_sync_error(file), -EIO);
    aio_file_clear_sync_error(file);
    assert_int_equal(fault_flush(fault), 0);
    assert_int_equal(fault_write(fault, AIO_FUA), BYTES);
}

static void test_failed_fua_is_latched(void **state)
{
    Fault *fault = fault_of(state);
    fault_arm(ON_WRITE, -EIO, 1);
    assert_int_equal(fault_write(fault, AIO_FUA), -EIO);
    assert_int_equal(fault_flush(fault), -EIO);
}

static void test_full_disk_is_not_latched(void **state)
{
    Fault *fault = fault_of(state);
    fault_arm(ON_WRITE, -ENOSPC, 1);
    assert_int_equal(fault_write(fault, AIO_FUA), -ENOSPC);
    assert_int_equal(fault_flush(fault), 0);
}

static void test_reopened_file_inherits_the_latch(void **state)
{
    Fault *fault = fault_of(state);
    AioFile *other;
    char *why;

    fault_arm(ON_SYNC, -EIO, 1);
    assert_int_equal(fault_flush(fault), -EIO);
    assert_int_equal(aio_file_reopen(fault->rig.file, AIO_BUFFERED, &other, &why), 0);
    assert_int_equal(aio_file_sync_error(other), -EIO);
    aio_file_close(other);
}

/* The kernel tells a writeback error to one caller; all others that wait must learn it as well. */
static void test_flush_beside_a_failing_one(void **state)
{
    Fault *fault = fault_of(state);
    assert_int_equal(aio_file_settle_sync(fault->rig.file, -EIO), -EIO);
    assert_int_equal(aio_file_settle_sync(fault->rig.file, 0), -EIO);
}

static bool sees_flags(const Fault *fault)
{
    return strcmp(fault->rig.engine->name, "io_uring") != 0;
}

static void test_fua_is_asked_of_the_kernel(void **state)
{
    Fault *fault = fault_of(state);
    if (!sees_flags(fault))
        return;
    assert_int_equal(fault_write(fault, 0), BYTES);
    assert_int_equal(fault_dsync_writes(), 0);
    assert_int_equal(fault_write(fault, AIO_FUA), BYTES);
    assert_true(fault_dsync_writes() >= 1);
    unsigned before = fault_calls(ON_SYNC);
    assert_int_equal(rig_run(&fault->rig, AIO_WRITE_ZEROES, AIO_FUA, NULL, 0, BYTES), BYTES);
    assert_int_equal(fault_calls(ON_SYNC) + fault_dsync_writes() > before + 1, true);
}

static void test_fua_where_rwf_dsync_is_unknown(void **state)
{
    Fault *fault = fault_of(state);
    if (strcmp(fault->rig.engine->name, "syslet") != 0)
        return;
    fault_refuse_dsync();
    assert_int_equal(fault_write(fault, AIO_FUA), BYTES);
    assert_int_equal(fault_calls(ON_SYNC), 1);
    assert_int_equal(fault_read(fault), BYTES);
    assert_memory_equal(fault->data, fault->back, BYTES);
}

/* ---- atomic writes ---- */

#define UNIT  8192
#define LEAST 4096 /* of the fixture */

static ssize_t write_atomic(Fault *fault, uint64_t offset, uint64_t len)
{
    return rig_run(&fault->rig, AIO_WRITE, AIO_ATOMIC | AIO_FUA, fault->data, offset, len);
}

static void reopen_with_atomic_writes(Fault *fault)
{
    AioFile *file;
    char *why;
    fault_atomic(UNIT + 512); /* no power of two */
    assert_int_equal(aio_file_reopen(fault->rig.file, fault->rig.mode, &file, &why), 0);
    aio_file_close(fault->rig.file);
    fault->rig.file = file;
}

static void test_atomic_write(void **state)
{
    Fault *fault = fault_of(state);
    reopen_with_atomic_writes(fault);
    if (fault->rig.mode != AIO_DIRECT) {
        assert_int_equal(aio_file_atomic_unit(fault->rig.file, 1 << 20), 0);
        assert_int_equal(write_atomic(fault, 0, UNIT), -EOPNOTSUPP);
        return;
    }
    assert_int_equal(aio_file_atomic_unit(fault->rig.file, 1 << 20), UNIT);
    assert_int_equal(aio_file_atomic_unit(fault->rig.file, LEAST), LEAST);
    assert_int_equal(aio_file_atomic_unit(fault->rig.file, LEAST / 2), 0);
    assert_int_equal(write_atomic(fault, LEAST, LEAST), LEAST);
    assert_int_equal(write_atomic(fault, 3 * UNIT, UNIT), UNIT);
    assert_true(fault_atomic_writes() >= 1);
    assert_int_equal(rig_run(&fault->rig, AIO_READ, 0, fault->back, 3 * UNIT, UNIT), UNIT);
    assert_memory_equal(fault->data, fault->back, UNIT);
    unsigned before = fault_calls(ON_WRITE);
    assert_int_equal(write_atomic(fault, 0, LEAST + 512), -EOPNOTSUPP);
    assert_int_equal(write_atomic(fault, 0, LEAST / 2), -EOPNOTSUPP);
    assert_int_equal(write_atomic(fault, 0, 2 * UNIT), -EOPNOTSUPP);
    assert_int_equal(write_atomic(fault, UNIT / 2, UNIT), -EOPNOTSUPP);
    assert_int_equal(fault_calls(ON_WRITE), before);
}

/* A part is an error, and not continued; a refusal is not gone around. */
static void test_atomic_write_is_not_continued(void **state)
{
    Fault *fault = fault_of(state);
    if (fault->rig.mode != AIO_DIRECT)
        return;
    reopen_with_atomic_writes(fault);
    static const int results[] = {512, -EINVAL, -EOPNOTSUPP};
    for (unsigned i = 0; i < G_N_ELEMENTS(results); i++) {
        fault_arm(ON_WRITE, results[i], 1000);
        assert_int_equal(rig_run(&fault->rig, AIO_WRITE, AIO_ATOMIC, fault->data, 0, UNIT),
                         results[i] > 0 ? -EIO : results[i]);
        assert_true(1000 - fault_left() <= 2); /* by the kernel's engine, and a worker */
    }
}

/* ---- allocation ---- */

static void test_zeros_are_written_where_nothing_else_works(void **state)
{
    static const int refusals[] = {-EOPNOTSUPP, -EINVAL};
    Fault *fault = fault_of(state);
    static const char zeros[BYTES];

    for (unsigned i = 0; i < G_N_ELEMENTS(refusals); i++) {
        assert_int_equal(fault_write(fault, 0), BYTES);
        fault_arm(ON_ALLOCATE, refusals[i], 2);
        assert_int_equal(
            rig_run(&fault->rig, AIO_WRITE_ZEROES, AIO_MAY_UNMAP, NULL, 700, BYTES / 2), BYTES / 2);
        assert_int_equal(fault_left(), 0);
        assert_int_equal(fault_read(fault), BYTES);
        assert_memory_equal(fault->back, fault->data, 700);
        assert_memory_equal(fault->back + 700, zeros, BYTES / 2);
        assert_memory_equal(fault->back + 700 + BYTES / 2, fault->data + 700 + BYTES / 2,
                            BYTES / 2 - 700);
    }
}

static void test_many_zeros_by_hand(void **state)
{
    Fault *fault = fault_of(state);
    const uint64_t len = FILE_SIZE - 8192;

    fault_arm(ON_ALLOCATE, -EOPNOTSUPP, 1);
    unsigned before = fault_calls(ON_WRITE);
    assert_int_equal(rig_run(&fault->rig, AIO_WRITE_ZEROES, AIO_FUA, NULL, 4096, len), len);
    assert_true(fault_calls(ON_WRITE) > before);
}

static void test_discard_fails_aloud(void **state)
{
    Fault *fault = fault_of(state);
    fault_arm(ON_ALLOCATE, -EOPNOTSUPP, 1);
    assert_int_equal(rig_run(&fault->rig, AIO_DISCARD, 0, NULL, 0, BYTES), -EOPNOTSUPP);
    fault_arm(ON_ALLOCATE, -EIO, 1);
    assert_int_equal(rig_run(&fault->rig, AIO_DISCARD, 0, NULL, 0, BYTES), -EIO);
    fault_arm(ON_ALLOCATE, -EINTR, 2);
    assert_int_equal(rig_run(&fault->rig, AIO_DISCARD, 0, NULL, 0, BYTES), BYTES);
    assert_int_equal(fault_left(), 0);
}

/* ---- extents ---- */

static void check_extent(Fault *fault, uint64_t offset, ssize_t found, bool hole)
{
    bool found_hole;
    assert_int_equal(rig_extent(&fault->rig, offset, BYTES, &found_hole), found);
    assert_int_equal(found_hole, hole);
    assert_int_equal(fault_left(), 0);
}

static void test_all_is_data_where_holes_are_unknown(void **state)
{
    static const int refusals[] = {-EINVAL, -EOPNOTSUPP, -ENOSYS};
    Fault *fault = fault_of(state);

    check_extent(fault, 0, BYTES, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(refusals); i++) {
        fault_arm(ON_SEEK, refusals[i], 1);
        check_extent(fault, 0, BYTES, false);
    }
}

static void test_extent_errors(void **state)
{
    Fault *fault = fault_of(state);
    fault_arm(ON_SEEK, -EINTR, 3);
    check_extent(fault, 0, BYTES, true);
    fault_arm(ON_SEEK, -EIO, 1);
    check_extent(fault, 0, -EIO, false);
    assert_int_equal(aio_file_sync_error(fault->rig.file), 0);
}

/* Data at the first look, a hole at the second: it was data, however little. */
static void test_extent_punched_meanwhile(void **state)
{
    Fault *fault = fault_of(state);
    fault_arm(ON_SEEK, 4096, 2);
    check_extent(fault, 4096, 1, false);
}

/* ---- submission ---- */

typedef struct {
    AioReq req;
    struct iovec iov;
    unsigned *left, *bad;
} Part;

static void part_done(AioReq *req)
{
    Part *part = (Part *)req;
    (*part->left)--;
    *part->bad += req->res != 4096;
}

/* 16 requests in one flush, which the kernel does not take at once. */
static void submit_many(Fault *fault, AioOp op)
{
    Part parts[BYTES / 4096] = {0};
    unsigned left = G_N_ELEMENTS(parts), bad = 0;
    Rig *rig = &fault->rig;

    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        char *data = op == AIO_READ ? fault->back : fault->data;
        parts[i] = (Part){.iov = {data + i * 4096, 4096}, .left = &left, .bad = &bad};
        parts[i].req = (AioReq){.op = op,
                                .file = rig->file,
                                .iov = &parts[i].iov,
                                .iovcnt = 1,
                                .offset = i * 4096,
                                .len = 4096,
                                .done = part_done};
        assert_true(rig->engine->queue(rig->ctx, &parts[i].req));
    }
    assert_true(rig_wait(rig, &left));
    assert_int_equal(bad, 0);
}

static void test_submission_refused(void **state)
{
    static const int results[] = {-EAGAIN, -EINTR, -EINVAL, -EBUSY, -EOPNOTSUPP, 5};
    Fault *fault = fault_of(state);

    for (unsigned i = 0; i < G_N_ELEMENTS(results); i++) {
        pattern_fill(fault->data, i, 0, BYTES);
        fault_arm(ON_SUBMIT, results[i], 2);
        submit_many(fault, AIO_WRITE);
        fault_arm(ON_SUBMIT, results[i], 2);
        submit_many(fault, AIO_READ);
        assert_memory_equal(fault->data, fault->back, BYTES);
        memset(fault->back, 0xee, BYTES);
    }
}

/* ---- inline reads ---- */

static bool inline_possible(const Fault *fault)
{
    return strcmp(fault->rig.engine->name, "syslet") == 0 && fault->rig.mode == AIO_BUFFERED;
}

static void test_inline_unsupported_is_asked_once(void **state)
{
    static const int refusals[] = {-EOPNOTSUPP, -EINVAL, -EPERM};
    Fault *fault = fault_of(state);
    AioCounters counters;

    assert_int_equal(fault_write(fault, 0), BYTES);
    for (unsigned i = 0; i < G_N_ELEMENTS(refusals) && inline_possible(fault); i++) {
        rig_close(&fault->rig);
        assert_null(rig_open(&fault->rig));
        fault_clear();
        fault_arm(ON_NOWAIT, refusals[i], 1);
        for (unsigned n = 0; n < 5; n++)
            assert_int_equal(fault_read(fault), BYTES);
        assert_int_equal(fault_calls(ON_NOWAIT), 1);
        aio_ctx_counters(fault->rig.ctx, &counters);
        assert_int_equal(counters.inline_unsupported, 1);
        assert_int_equal(counters.hand_offs, 5);
    }
}

static void test_inline_is_tried_rarely_when_it_never_hits(void **state)
{
    Fault *fault = fault_of(state);
    if (!inline_possible(fault))
        return;
    fault_clear();
    fault_arm(ON_NOWAIT, -EAGAIN, 256);
    for (unsigned n = 0; n < 256 + 160; n++)
        assert_int_equal(rig_run(&fault->rig, AIO_READ, 0, fault->back, 0, 4096), 4096);
    assert_int_equal(fault_calls(ON_NOWAIT), 256 + 10);
    /* those hit again, so before long every read is tried */
    for (unsigned n = 0; n < 22 * 16; n++)
        assert_int_equal(rig_run(&fault->rig, AIO_READ, 0, fault->back, 0, 4096), 4096);
    unsigned before = fault_calls(ON_NOWAIT);
    for (unsigned n = 0; n < 50; n++)
        assert_int_equal(rig_run(&fault->rig, AIO_READ, 0, fault->back, 0, 4096), 4096);
    assert_int_equal(fault_calls(ON_NOWAIT), before + 50);
}

static void test_inline_options(void **state)
{
    Fault *fault = fault_of(state);
    Rig *rig = &fault->rig;
    AioCounters counters;

    if (!inline_possible(fault))
        return;
    assert_int_equal(fault_write(fault, 0), BYTES);
    rig->engine->close(rig->ctx);
    rig->params.inline_max = BYTES - 1;
    assert_int_equal(rig->engine->open(&rig->params, &rig->ctx), 0);
    fault_clear();
    assert_int_equal(fault_read(fault), BYTES);
    assert_int_equal(fault_calls(ON_NOWAIT), 0);
    assert_int_equal(rig_run(rig, AIO_READ, 0, fault->back, 0, 4096), 4096);
    assert_int_equal(fault_calls(ON_NOWAIT), 1);
    aio_ctx_counters(rig->ctx, &counters);
    assert_int_equal(counters.inline_hits + counters.inline_misses + counters.inline_unsupported,
                     1);
    rig->engine->close(rig->ctx);
    rig->params.inline_reads = false;
    assert_int_equal(rig->engine->open(&rig->params, &rig->ctx), 0);
    assert_int_equal(rig_run(rig, AIO_READ, 0, fault->back, 0, 4096), 4096);
    assert_int_equal(fault_calls(ON_NOWAIT), 1);
}

/* A direct file does a NOWAIT read in place, whatever the disk takes. */
static void test_no_inline_on_direct_files(void **state)
{
    Fault *fault = fault_of(state);
    if (fault->rig.mode != AIO_DIRECT)
        return;
    assert_int_equal(fault_read(fault), BYTES);
    assert_int_equal(fault_calls(ON_NOWAIT), 0);
}

#define TEST(name)                                \
    {                                             \
#name, test_##name, setup, teardown, NULL \
    }

static const struct CMUnitTest suite[] = {
    TEST(short_odd),
    TEST(short_blocks),
    TEST(one_byte),
    TEST(eintr),
    TEST(eagain),
    TEST(zero_is_an_error),
    TEST(eio),
    TEST(enospc),
    TEST(short_then_error),
    TEST(failed_flush_is_latched),
    TEST(failed_fua_is_latched),
    TEST(full_disk_is_not_latched),
    TEST(reopened_file_inherits_the_latch),
    TEST(flush_beside_a_failing_one),
    TEST(fua_is_asked_of_the_kernel),
    TEST(fua_where_rwf_dsync_is_unknown),
    TEST(atomic_write),
    TEST(atomic_write_is_not_continued),
    TEST(zeros_are_written_where_nothing_else_works),
    TEST(many_zeros_by_hand),
    TEST(discard_fails_aloud),
    TEST(all_is_data_where_holes_are_unknown),
    TEST(extent_errors),
    TEST(extent_punched_meanwhile),
    TEST(submission_refused),
    TEST(inline_unsupported_is_asked_once),
    TEST(inline_is_tried_rarely_when_it_never_hits),
    TEST(inline_options),
    TEST(no_inline_on_direct_files),
};

static Case cases[] = {
    {"syslet", AIO_BUFFERED}, {"syslet", AIO_DIRECT},     {"libaio", AIO_BUFFERED},
    {"libaio", AIO_DIRECT},   {"io_uring", AIO_BUFFERED}, {"io_uring", AIO_DIRECT},
};
static struct CMUnitTest tests[G_N_ELEMENTS(cases) * G_N_ELEMENTS(suite)];

int main(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        Case *config = &cases[i / G_N_ELEMENTS(suite)];
        tests[i] = suite[i % G_N_ELEMENTS(suite)];
        tests[i].name = g_strdup_printf("%s %s %s", tests[i].name, config->engine,
                                        config->mode == AIO_DIRECT ? "direct" : "buffered");
        tests[i].initial_state = config;
    }
    int result = unit_run(tests);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_free((char *)tests[i].name);
    return result;
}
