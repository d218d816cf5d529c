/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of engines, options by text, who accepts what, and the null engine. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "aio/aio.h"
#include "aio/file.h"

static void test_table(void **state)
{
    (void)state;
    static const char *const names[] = {"syslet", "libaio", "io_uring", "null"};
    unsigned count = 0;

    for (; aio_engines[count]; count++) {
        const AioEngine *engine = aio_engines[count];
        assert_string_equal(engine->name, names[count]);
        assert_ptr_equal(aio_engine_find(engine->name), engine);
        assert_true(engine->summary && engine->options && engine->accepts && engine->open &&
                    engine->event_fd && engine->queue && engine->flush && engine->reap &&
                    engine->add_memory && engine->close);
    }
    assert_int_equal(count, G_N_ELEMENTS(names));
    assert_null(aio_engine_find("bs_rdwr"));
    assert_null(aio_engine_find(""));
}

static bool set(AioParams *params, const char *engine, const char *key, const char *value)
{
    char *error = NULL;
    bool ok = aio_params_set(params, aio_engine_find(engine), key, value, &error);
    if (ok) {
        assert_null(error);
    } else {
        assert_non_null(strstr(error, key));
        assert_non_null(strstr(error, value));
        g_free(error);
    }
    return ok;
}

static void test_good_values(void **state)
{
    (void)state;
    AioParams params;

    aio_params_init(&params);
    assert_true(params.inline_reads && params.coalesce && !params.sqpoll);
    assert_true(set(&params, "syslet", "threads", "3"));
    assert_int_equal(params.threads, 3);
    assert_true(set(&params, "io_uring", "depth", "4096"));
    assert_int_equal(params.depth, 4096);
    assert_true(set(&params, "syslet", "inline", "off"));
    assert_false(params.inline_reads);
    assert_true(set(&params, "syslet", "inline-max", "64K"));
    assert_int_equal(params.inline_max, 65536);
    assert_true(set(&params, "syslet", "inline-max", "1m"));
    assert_int_equal(params.inline_max, 1 << 20);
    assert_true(set(&params, "syslet", "inline-max", "0"));
    assert_true(set(&params, "syslet", "coalesce", "off"));
    assert_false(params.coalesce);
    assert_true(set(&params, "io_uring", "sqpoll", "on"));
    assert_true(params.sqpoll);
    assert_true(set(&params, "libaio", "unsafe-buffered", "on"));
    assert_true(params.unsafe_buffered);
}

static void test_every_listed_option_is_known(void **state)
{
    (void)state;
    for (const AioEngine *const *engine = aio_engines; *engine; engine++)
        for (const char *const *key = (*engine)->options; *key; key++) {
            AioParams params;
            char *error = NULL;
            aio_params_init(&params);
            assert_false(aio_params_set(&params, *engine, *key, "?", &error));
            assert_non_null(strstr(error, "must be"));
            g_free(error);
        }
}

static void test_bad_values(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"syslet", "threads", "0"},
        {"syslet", "threads", "-1"},
        {"syslet", "threads", "1025"},
        {"syslet", "threads", "4 "},
        {"syslet", "threads", " 4"},
        {"syslet", "threads", "4K"},
        {"syslet", "threads", ""},
        {"syslet", "depth", "99999999999999999999999"},
        {"syslet", "inline", "yes"},
        {"syslet", "inline", ""},
        {"syslet", "inline-max", "2G"},
        {"syslet", "inline-max", "17179869184G"},
        {"syslet", "inline-max", "1KB"},
        {"syslet", "sqpoll", "on"},
        {"libaio", "inline", "on"},
        {"null", "threads", "1"},
        {"io_uring", "unsafe-buffered", "on"},
    };
    AioParams before, params;

    aio_params_init(&before);
    params = before;
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        assert_false(set(&params, bad[i][0], bad[i][1], bad[i][2]));
        assert_memory_equal(&params, &before, sizeof(params));
    }
}

static void accept(const char *engine, const AioFile *file, const AioParams *params, int res)
{
    const char *why = NULL;
    assert_int_equal(aio_engine_find(engine)->accepts(file, params, &why), res);
    assert_int_equal(res < 0, why != NULL);
}

static void test_accepts(void **state)
{
    (void)state;
    AioFile *null, *file;
    AioParams params;
    char *why;

    aio_params_init(&params);
    assert_int_equal(aio_file_open(&(AioFileSpec){.size = 4096}, &null, &why), 0);
    assert_int_equal(
        aio_file_open(&(AioFileSpec){.path = "/proc/self/exe", .read_only = true}, &file, &why), 0);
    accept("null", null, &params, 0);
    accept("null", file, &params, -EOPNOTSUPP);
    accept("syslet", null, &params, -EOPNOTSUPP);
    accept("syslet", file, &params, 0);
    accept("io_uring", null, &params, -EOPNOTSUPP);
    accept("io_uring", file, &params, 0);
    accept("libaio", null, &params, -EOPNOTSUPP);
    accept("libaio", file, &params, -EOPNOTSUPP);
    params.unsafe_buffered = true;
    accept("libaio", file, &params, 0);
    aio_file_close(null);
    aio_file_close(file);
}

static unsigned null_dones;

static void null_done(AioReq *req)
{
    (void)req;
    null_dones++;
}

static void test_null_engine(void **state)
{
    (void)state;
    const AioEngine *engine = aio_engine_find("null");
    char data[512], zeros[512] = {0};
    struct iovec iov = {data, sizeof(data)};
    AioParams params;
    AioFile *file;
    AioCtx *ctx;
    char *why;

    aio_params_init(&params);
    params.depth = AIO_OPS;
    assert_int_equal(aio_file_open(&(AioFileSpec){.size = 1024}, &file, &why), 0);
    assert_int_equal(engine->open(&params, &ctx), 0);
    assert_int_equal(engine->event_fd(ctx), -1);
    AioReq reqs[AIO_OPS + 1] = {0};
    memset(data, 0xee, sizeof(data));
    for (unsigned op = 0; op <= AIO_OPS; op++) {
        reqs[op] = (AioReq){.op = op % AIO_OPS,
                            .file = file,
                            .iov = &iov,
                            .iovcnt = 1,
                            .offset = 512,
                            .len = 512,
                            .done = null_done};
        assert_int_equal(engine->queue(ctx, &reqs[op]), op < AIO_OPS);
    }
    assert_int_equal(null_dones, 0);
    engine->flush(ctx);
    assert_int_equal(engine->reap(ctx, 2), 2);
    assert_int_equal(engine->reap(ctx, 99), AIO_OPS - 2);
    assert_int_equal(null_dones, AIO_OPS);
    for (unsigned op = 0; op < AIO_OPS; op++)
        assert_int_equal(reqs[op].res, op == AIO_FLUSH ? 0 : 512);
    assert_memory_equal(data, zeros, sizeof(data));
    reqs[0].offset = 513;
    assert_true(engine->queue(ctx, &reqs[0]));
    assert_int_equal(engine->reap(ctx, 1), 1);
    assert_int_equal(reqs[0].res, -EIO);
    engine->close(ctx);
    aio_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_good_values),
        cmocka_unit_test(test_every_listed_option_is_known),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_null_engine),
    };
    return unit_run(tests);
}
