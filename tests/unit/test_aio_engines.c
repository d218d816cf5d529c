/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One suite for all engines, modes and places: what goes in comes out, every operation is real. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aio/sys.h"
#include "tests/unit/aio_fixture.h"

typedef struct {
    const char *engine, *option; /* "key=value", or NULL */
    AioMode mode;
    Place place;
} Case;

static void set_option(AioParams *params, const Case *config)
{
    g_auto(GStrv) words = g_strsplit(config->option, "=", 2);
    char *error = NULL;
    assert_true(
        aio_params_set(params, aio_engine_find(config->engine), words[0], words[1], &error));
}

static int setup(void **state)
{
    const Case *config = *state;
    Rig *rig = g_new0(Rig, 1);

    fault_clear();
    rig->engine = aio_engine_find(config->engine);
    rig->mode = config->mode;
    rig->place = config->place;
    aio_params_init(&rig->params);
    rig->params.unsafe_buffered = true;
    if (config->option)
        set_option(&rig->params, config);
    const char *why = rig_open(rig);
    if (why) {
        print_message("%s, %s, %s: %s\n", config->engine,
                      config->mode == AIO_DIRECT ? "direct" : "buffered",
                      place_names[config->place], why);
        g_clear_pointer(&rig, g_free);
    }
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    Rig *rig = *state;
    if (rig) {
        rig_close(rig);
        g_free(rig);
    }
    return 0;
}

static Rig *rig_of(void **state)
{
    if (!*state)
        unit_skip("not possible here");
    return *state;
}

/* ---- many requests at once, against a copy in memory ---- */

#define SLOTS      48
#define SLOT_BYTES (64 * 1024)
#define IOVS       3

typedef struct {
    AioReq req;
    struct iovec iov[IOVS];
    char *data;
    struct Mix *mix;
    bool busy;
} MixSlot;

typedef struct Mix {
    Rig *rig;
    uint8_t *model;
    MixSlot slots[SLOTS];
    unsigned left, bad, grain;
    GRand *random;
} Mix;

static void slot_start(Mix *mix, MixSlot *slot);

static bool extent_fits(const AioReq *req, const uint8_t *model)
{
    if (req->res <= 0 || req->res > (ssize_t)req->len)
        return false;
    for (ssize_t i = 0; req->hole && i < req->res; i++)
        if (model[i] != 0)
            return false;
    return true;
}

static void slot_done(AioReq *req)
{
    MixSlot *slot = (MixSlot *)req;
    Mix *mix = slot->mix;

    slot->busy = false;
    uint8_t *at = mix->model + req->offset;
    if (req->op == AIO_EXTENT)
        mix->bad += !extent_fits(req, at);
    else if (req->res != (req->op == AIO_FLUSH ? 0 : (ssize_t)req->len))
        mix->bad++;
    if (req->op == AIO_READ && memcmp(slot->data, at, req->len) != 0)
        mix->bad++;
    mix->left--;
    if (mix->left >= SLOTS)
        slot_start(mix, slot);
}

/* Each slot has a region of its own, so that the model is exact with all of them in flight. */
static void slot_start(Mix *mix, MixSlot *slot)
{
    static const AioOp ops[] = {AIO_READ,    AIO_READ,         AIO_READ,  AIO_WRITE, AIO_WRITE,
                                AIO_DISCARD, AIO_WRITE_ZEROES, AIO_FLUSH, AIO_EXTENT};
    AioReq *req = &slot->req;
    uint64_t region = (uint64_t)(slot - mix->slots) * SLOT_BYTES;
    unsigned grains = SLOT_BYTES / mix->grain;
    unsigned first = (unsigned)g_rand_int_range(mix->random, 0, (int)grains);
    unsigned count = (unsigned)g_rand_int_range(mix->random, 1, (int)(grains - first) + 1);

    *req = (AioReq){
        .op = ops[g_rand_int_range(mix->random, 0, G_N_ELEMENTS(ops))],
        .flags = g_rand_int(mix->random) & (AIO_FUA | AIO_MAY_UNMAP),
        .file = mix->rig->file,
        .offset = region + (uint64_t)first * mix->grain,
        .len = (uint64_t)count * mix->grain,
        .done = slot_done,
        .iov = slot->iov,
    };
    if (req->op == AIO_DISCARD && !aio_file_discard_zeroes(req->file))
        req->op = AIO_WRITE_ZEROES;
    size_t cut = (size_t)g_rand_int_range(mix->random, 0, (int)count) * mix->grain;
    slot->iov[0] = (struct iovec){slot->data, cut};
    slot->iov[1] = (struct iovec){slot->data + cut, req->len - cut};
    req->iovcnt = 2;
    if (!cut)
        req->iov++, req->iovcnt--;
    memset(slot->data, 0xee, SLOT_BYTES);
    if (req->op == AIO_WRITE) {
        pattern_fill(slot->data, g_rand_int(mix->random), req->offset, req->len);
        memcpy(mix->model + req->offset, slot->data, req->len);
    } else if (req->op == AIO_DISCARD || req->op == AIO_WRITE_ZEROES) {
        memset(mix->model + req->offset, 0, req->len);
    }
    slot->busy = true;
    while (!mix->rig->engine->queue(mix->rig->ctx, req))
        mix->rig->engine->reap(mix->rig->ctx, 1);
}

static void mix_run(Rig *rig, unsigned grain, unsigned requests)
{
    Mix mix = {.rig = rig, .left = requests, .grain = grain};
    mix.model = g_malloc0(SLOTS * SLOT_BYTES);
    mix.random = g_rand_new_with_seed(grain);
    char *memory = page_alloc(SLOTS * SLOT_BYTES);
    aio_ctx_add_memory(rig->ctx, memory, SLOTS * SLOT_BYTES);
    ssize_t cleared = rig_run(rig, AIO_WRITE_ZEROES, 0, NULL, 0, SLOTS * SLOT_BYTES);
    assert_int_equal(cleared, SLOTS * SLOT_BYTES);
    for (unsigned i = 0; i < SLOTS; i++) {
        mix.slots[i].mix = &mix;
        mix.slots[i].data = memory + (size_t)i * SLOT_BYTES;
        slot_start(&mix, &mix.slots[i]);
    }
    assert_true(rig_wait(rig, &mix.left));
    assert_int_equal(mix.bad, 0);

    char *all = page_alloc(SLOTS * SLOT_BYTES);
    assert_int_equal(rig_run(rig, AIO_READ, 0, all, 0, SLOTS * SLOT_BYTES), SLOTS * SLOT_BYTES);
    assert_memory_equal(all, mix.model, SLOTS * SLOT_BYTES);
    free(all);
    g_rand_free(mix.random);
    g_free(mix.model);
    /* registered with io_uring: it must outlive the ring */
    rig_close(rig);
    free(memory);
    assert_null(rig_open(rig));
}

static void test_mix_blocks(void **state)
{
    mix_run(rig_of(state), 4096, 1000);
}

static void test_mix_sectors(void **state)
{
    mix_run(rig_of(state), 512, 600);
}

/* Offsets, lengths and memory at odd places: bounce buffers and read-modify-write throughout. */
static void test_mix_odd_bytes(void **state)
{
    Rig *rig = rig_of(state);
    AioCounters counters;

    mix_run(rig, 33, 400);
    char data[100] = "odd";
    assert_int_equal(rig_run(rig, AIO_WRITE, 0, data, 1, 100), 100);
    aio_ctx_counters(rig->ctx, &counters);
    assert_int_equal(counters.bounced, rig->mode == AIO_DIRECT ? 1 : 0);
}

static void test_mix_delayed(void **state)
{
    Rig *rig = rig_of(state);
    fault_delays(true);
    mix_run(rig, 1024, 200);
}

/* ---- writers that share blocks ---- */

#define PIECES      64
#define PIECE_BYTES 160

typedef struct {
    AioReq req;
    struct iovec iov;
    unsigned *left, *bad;
} Piece;

static void piece_done(AioReq *req)
{
    Piece *piece = (Piece *)req;
    *piece->bad += req->res != PIECE_BYTES;
    (*piece->left)--;
}

static unsigned write_pieces(Rig *rig, unsigned first, unsigned step, char *data)
{
    Piece pieces[PIECES] = {0};
    unsigned left = 0, bad = 0;

    for (unsigned i = first; i < PIECES; i += step) {
        pieces[i] =
            (Piece){.iov = {data + i * PIECE_BYTES, PIECE_BYTES}, .left = &left, .bad = &bad};
        pieces[i].req = (AioReq){.op = AIO_WRITE,
                                 .file = rig->file,
                                 .iov = &pieces[i].iov,
                                 .iovcnt = 1,
                                 .offset = i * PIECE_BYTES,
                                 .len = PIECE_BYTES,
                                 .done = piece_done};
        left++;
        bad += !rig->engine->queue(rig->ctx, &pieces[i].req);
    }
    return rig_wait(rig, &left) ? bad : 1000;
}

typedef struct {
    Rig rig;
    char *data;
    unsigned bad;
} Writer;

static void *writer_main(void *arg)
{
    Writer *writer = arg;
    for (unsigned round = 0; round < 5; round++)
        writer->bad += write_pieces(&writer->rig, 1, 2, writer->data);
    return NULL;
}

/* Two contexts write every second piece each; none may undo what the other wrote beside it. */
static void test_neighbours_in_one_block(void **state)
{
    Rig *rig = rig_of(state);
    Writer other = {.rig = *rig};
    pthread_t thread;
    unsigned bad = 0;
    char *data = page_alloc(PIECES * PIECE_BYTES), *back = page_alloc(PIECES * PIECE_BYTES);

    pattern_fill(data, 5, 0, PIECES * PIECE_BYTES);
    other.data = data;
    assert_int_equal(rig->engine->open(&rig->params, &other.rig.ctx), 0);
    assert_int_equal(pthread_create(&thread, NULL, writer_main, &other), 0);
    for (unsigned round = 0; round < 5; round++)
        bad += write_pieces(rig, 0, 2, data);
    pthread_join(thread, NULL);
    rig->engine->close(other.rig.ctx);
    assert_int_equal(bad + other.bad, 0);
    assert_int_equal(rig_run(rig, AIO_READ, 0, back, 0, PIECES * PIECE_BYTES),
                     PIECES * PIECE_BYTES);
    assert_memory_equal(data, back, PIECES * PIECE_BYTES);
    free(data);
    free(back);
}

#define ROUNDS 60

/* A whole block, which the kernel writes by itself, and a part of the same block at once: whoever
 * comes last, behind the part there must be the whole one's bytes. */
static void test_whole_block_and_part_of_it(void **state)
{
    Rig *rig = rig_of(state);
    char *whole = page_alloc(512), *part = page_alloc(PIECE_BYTES), *back = page_alloc(512);
    unsigned bad = 0;

    memset(part, 0x55, PIECE_BYTES);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct iovec iovs[2] = {{part, PIECE_BYTES}, {whole, 512}};
        MixSlot slots[2] = {0};
        Mix mix = {.model = (uint8_t *)whole, .left = 2};
        pattern_fill(whole, round, 0, 512);
        for (unsigned i = 0; i < 2; i++) {
            slots[i].mix = &mix;
            slots[i].req = (AioReq){.op = AIO_WRITE,
                                    .file = rig->file,
                                    .iov = &iovs[i],
                                    .iovcnt = 1,
                                    .len = iovs[i].iov_len,
                                    .done = slot_done};
            assert_true(rig->engine->queue(rig->ctx, &slots[i].req));
            rig->engine->flush(rig->ctx);
        }
        assert_true(rig_wait(rig, &mix.left));
        bad += mix.bad;
        assert_int_equal(rig_run(rig, AIO_READ, 0, back, 0, 512), 512);
        assert_memory_equal(back + PIECE_BYTES, whole + PIECE_BYTES, 512 - PIECE_BYTES);
    }
    assert_int_equal(bad, 0);
    free(whole);
    free(part);
    free(back);
}

/* ---- single operations ---- */

static void test_read_of_a_hole_is_zeros(void **state)
{
    Rig *rig = rig_of(state);
    char *data = page_alloc(8192);

    assert_int_equal(rig_run(rig, AIO_WRITE_ZEROES, AIO_MAY_UNMAP, NULL, 1 << 20, 8192), 8192);
    memset(data, 0xee, 8192);
    assert_int_equal(rig_run(rig, AIO_READ, 0, data, 1 << 20, 8192), 8192);
    for (unsigned i = 0; i < 8192; i++)
        assert_int_equal(data[i], 0);
    free(data);
}

static uint64_t blocks_of(const Rig *rig)
{
    struct stat st;
    assert_int_equal(stat(rig->path, &st), 0);
    return (uint64_t)st.st_blocks;
}

static void test_discard_frees_blocks(void **state)
{
    Rig *rig = rig_of(state);
    char *data = page_alloc(1 << 20);

    pattern_fill(data, 1, 0, 1 << 20);
    assert_int_equal(rig_run(rig, AIO_WRITE, AIO_FUA, data, 0, 1 << 20), 1 << 20);
    if (!aio_file_can_discard(rig->file)) {
        assert_int_equal(rig_run(rig, AIO_DISCARD, 0, NULL, 0, 1 << 20), -EOPNOTSUPP);
        free(data);
        return;
    }
    uint64_t before = rig->place == PLACE_LOOP ? 0 : blocks_of(rig);
    assert_int_equal(rig_run(rig, AIO_DISCARD, 0, NULL, 0, 1 << 20), 1 << 20);
    if (rig->place != PLACE_LOOP)
        assert_true(blocks_of(rig) + (1 << 20) / 512 <= before);
    assert_int_equal(aio_file_refresh_size(rig->file), 0);
    assert_int_equal(aio_file_size(rig->file), FILE_SIZE);
    free(data);
}

static void test_write_zeroes_keeps_blocks(void **state)
{
    Rig *rig = rig_of(state);
    char *data = page_alloc(65536);

    pattern_fill(data, 1, 0, 65536);
    assert_int_equal(rig_run(rig, AIO_WRITE, 0, data, 0, 65536), 65536);
    assert_int_equal(rig_run(rig, AIO_WRITE_ZEROES, AIO_FUA, NULL, 1000, 60000), 60000);
    memset(data + 1000, 0, 60000);
    char *back = page_alloc(65536);
    assert_int_equal(rig_run(rig, AIO_READ, 0, back, 0, 65536), 65536);
    assert_memory_equal(data, back, 65536);
    assert_int_equal(rig_run(rig, AIO_FLUSH, 0, NULL, 0, 0), 0);
    if (rig->place != PLACE_LOOP)
        assert_true(blocks_of(rig) >= 65536 / 512);
    free(data);
    free(back);
}

static void check_extent(Rig *rig, uint64_t offset, uint64_t len, uint64_t found, bool hole)
{
    bool found_hole;
    assert_int_equal(rig_extent(rig, offset, len, &found_hole), found);
    assert_int_equal(found_hole, hole);
}

static void test_extents(void **state)
{
    Rig *rig = rig_of(state);
    const uint64_t mib = 1 << 20;

    if (rig->place == PLACE_LOOP) {
        check_extent(rig, 0, FILE_SIZE, FILE_SIZE, false);
        check_extent(rig, 512, 1024, 1024, false);
        return;
    }
    uint64_t unit = MAX(aio_file_discard_granularity(rig->file), 4096);
    char *data = page_alloc(16 * unit);
    pattern_fill(data, 1, 0, 16 * unit);
    check_extent(rig, 0, FILE_SIZE, FILE_SIZE, true);
    assert_int_equal(rig_run(rig, AIO_WRITE, 0, data, mib, 16 * unit), 16 * unit);
    assert_int_equal(rig_run(rig, AIO_WRITE, 0, data, 2 * mib + 10, 100), 100);
    check_extent(rig, 0, FILE_SIZE, mib, true);
    check_extent(rig, 0, 100, 100, true);
    check_extent(rig, mib - 1, 2, 1, true);
    check_extent(rig, mib, FILE_SIZE - mib, 16 * unit, false);
    check_extent(rig, mib + 100, 1000, 1000, false);
    check_extent(rig, 2 * mib, mib, unit, false);
    check_extent(rig, 2 * mib + unit, FILE_SIZE - 2 * mib - unit, FILE_SIZE - 2 * mib - unit, true);
    check_extent(rig, FILE_SIZE - 1, 1, 1, true);
    assert_int_equal(rig_run(rig, AIO_DISCARD, 0, NULL, mib + 2 * unit, 4 * unit), 4 * unit);
    check_extent(rig, mib, mib, 2 * unit, false);
    check_extent(rig, mib + 2 * unit, mib, 4 * unit, true);
    check_extent(rig, mib + 6 * unit, mib, 10 * unit, false);
    free(data);
}

static void test_outside_is_refused(void **state)
{
    Rig *rig = rig_of(state);
    char *data = page_alloc(8192);

    for (AioOp op = AIO_READ; op < AIO_OPS; op++) {
        if (op == AIO_FLUSH)
            continue;
        assert_int_equal(rig_run(rig, op, 0, data, FILE_SIZE - 4096, 8192), -EIO);
        assert_int_equal(rig_run(rig, op, 0, data, UINT64_MAX - 4095, 8192), -EIO);
    }
    assert_int_equal(aio_file_refresh_size(rig->file), 0);
    assert_int_equal(aio_file_size(rig->file), FILE_SIZE);
    free(data);
}

static void test_nothing_is_done_at_once(void **state)
{
    Rig *rig = rig_of(state);
    char *data = page_alloc(4096);
    assert_int_equal(rig_run(rig, AIO_READ, 0, data, 0, 0), 0);
    assert_int_equal(rig_run(rig, AIO_WRITE, AIO_FUA, data, 0, 0), 0);
    assert_int_equal(rig_run(rig, AIO_WRITE_ZEROES, 0, NULL, 0, 0), 0);
    assert_int_equal(rig_run(rig, AIO_EXTENT, 0, NULL, 4096, 0), 0);
    free(data);
}

/* Where there is a page cache, and nowhere else; and what was there is there afterwards. */
static void test_prefetch(void **state)
{
    Rig *rig = rig_of(state);
    ssize_t all = rig->mode == AIO_BUFFERED ? 1 : 0;
    char *data = page_alloc(4096), *back = page_alloc(4096);

    pattern_fill(data, 9, 0, 4096);
    assert_int_equal(rig_run(rig, AIO_WRITE, 0, data, 300 * 4096, 4096), 4096);
    assert_int_equal(rig_run(rig, AIO_PREFETCH, 0, NULL, 0, FILE_SIZE), all * FILE_SIZE);
    assert_int_equal(rig_run(rig, AIO_PREFETCH, 0, NULL, 4096, 300000), all * 300000);
    assert_int_equal(rig_run(rig, AIO_PREFETCH, AIO_NO_WAIT, NULL, 8192, 4096), all * 4096);
    assert_int_equal(rig_run(rig, AIO_PREFETCH, 0, NULL, 8192, 0), 0);
    assert_int_equal(rig_run(rig, AIO_READ, 0, back, 300 * 4096, 4096), 4096);
    assert_memory_equal(data, back, 4096);
    free(data);
    free(back);
}

/* Hardly any place has atomic writes. What breaks the rules is refused, and not done in parts. */
static void test_atomic_is_not_promised(void **state)
{
    Rig *rig = rig_of(state);
    size_t unit = aio_file_atomic_unit(rig->file, SIZE_MAX / 2 + 1);
    char *data = page_alloc(8192);

    if (rig->mode == AIO_BUFFERED)
        assert_int_equal(unit, 0);
    assert_int_equal(unit & (unit - 1), 0);
    assert_int_equal(rig_run(rig, AIO_WRITE, AIO_ATOMIC, data, 512, 4096), -EOPNOTSUPP);
    if (unit == 0)
        assert_int_equal(rig_run(rig, AIO_WRITE, AIO_ATOMIC, data, 0, 4096), -EOPNOTSUPP);
    free(data);
}

/* A file cut short behind our back: an error, and never fewer or foreign bytes. */
static void test_truncated_file(void **state)
{
    Rig *rig = rig_of(state);
    if (rig->place == PLACE_LOOP)
        return;
    char *data = page_alloc(16384);
    assert_int_equal(truncate(rig->path, FILE_SIZE - 8192), 0);
    assert_int_equal(rig_run(rig, AIO_READ, 0, data, FILE_SIZE - 16384, 16384), -EIO);
    assert_int_equal(rig_run(rig, AIO_READ, 0, data, FILE_SIZE - 4096, 4096), -EIO);
    assert_int_equal(rig_run(rig, AIO_READ, 0, data, FILE_SIZE - 16384, 8192), 8192);
    assert_int_equal(rig_run(rig, AIO_EXTENT, 0, NULL, FILE_SIZE - 4096, 4096), -EIO);
    assert_int_equal(rig_run(rig, AIO_EXTENT, 0, NULL, FILE_SIZE - 16384, 16384), 8192);
    free(data);
}

/* The last block of a file whose size is no multiple of the alignment. */
static void test_odd_tail(void **state)
{
    Rig *rig = rig_of(state);
    if (rig->place == PLACE_LOOP)
        return;
    const uint64_t size = FILE_SIZE - 100;
    char *data = page_alloc(8192), *back = page_alloc(8192);
    assert_int_equal(truncate(rig->path, (off_t)size), 0);
    assert_int_equal(aio_file_refresh_size(rig->file), 0);
    pattern_fill(data, 3, 0, 5000);
    assert_int_equal(rig_run(rig, AIO_WRITE, AIO_FUA, data, size - 5000, 5000), 5000);
    assert_int_equal(rig_run(rig, AIO_READ, 0, back, size - 5000, 5000), 5000);
    assert_memory_equal(data, back, 5000);
    assert_int_equal(aio_file_refresh_size(rig->file), 0);
    assert_int_equal(aio_file_size(rig->file), size);
    free(data);
    free(back);
}

static void test_read_only(void **state)
{
    Rig *rig = rig_of(state);
    AioFileSpec spec = {.path = rig->path, .mode = rig->mode, .read_only = true};
    char *why = NULL, *data = page_alloc(4096);

    aio_file_close(rig->file);
    rig->file = NULL;
    assert_int_equal(aio_file_open(&spec, &rig->file, &why), 0);
    assert_int_equal(rig_run(rig, AIO_READ, 0, data, 0, 4096), 4096);
    assert_int_equal(rig_run(rig, AIO_WRITE, 0, data, 0, 4096), -EROFS);
    assert_int_equal(rig_run(rig, AIO_WRITE_ZEROES, 0, data, 0, 4096), -EROFS);
    assert_int_equal(rig_run(rig, AIO_DISCARD, 0, data, 0, 4096), -EROFS);
    assert_int_equal(rig_run(rig, AIO_EXTENT, 0, NULL, 0, 4096), 4096);
    assert_int_equal(rig_run(rig, AIO_FLUSH, 0, NULL, 0, 0), 0);
    free(data);
}

/* ---- full, event fd, counters ---- */

static void test_full_at_depth(void **state)
{
    Rig *rig = rig_of(state);
    static char data[4][4096] __attribute__((aligned(4096)));
    Piece pieces[4] = {0};
    unsigned left = 0, bad = 0;

    rig->engine->close(rig->ctx);
    rig->params.depth = 3;
    assert_int_equal(rig->engine->open(&rig->params, &rig->ctx), 0);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 4; i++) {
            pieces[i] = (Piece){.iov = {data[i], PIECE_BYTES}, .left = &left, .bad = &bad};
            pieces[i].req = (AioReq){.op = i & 1 ? AIO_READ : AIO_WRITE,
                                     .file = rig->file,
                                     .iov = &pieces[i].iov,
                                     .iovcnt = 1,
                                     .offset = i * 4096,
                                     .len = PIECE_BYTES,
                                     .done = piece_done};
            bool taken = rig->engine->queue(rig->ctx, &pieces[i].req);
            assert_true(taken == (i < 3));
            left += taken;
        }
        assert_true(rig_wait(rig, &left));
    }
    assert_int_equal(bad, 0);
    AioCounters counters;
    aio_ctx_counters(rig->ctx, &counters);
    assert_int_equal(counters.submitted, 60);
    assert_int_equal(counters.completed, 60);
    assert_int_equal(counters.errors, 0);
}

#define TEST(name)                                \
    {                                             \
#name, test_##name, setup, teardown, NULL \
    }

static const struct CMUnitTest suite[] = {
    TEST(mix_blocks),
    TEST(mix_sectors),
    TEST(mix_odd_bytes),
    TEST(mix_delayed),
    TEST(neighbours_in_one_block),
    TEST(whole_block_and_part_of_it),
    TEST(read_of_a_hole_is_zeros),
    TEST(discard_frees_blocks),
    TEST(write_zeroes_keeps_blocks),
    TEST(extents),
    TEST(outside_is_refused),
    TEST(nothing_is_done_at_once),
    TEST(truncated_file),
    TEST(prefetch),
    TEST(atomic_is_not_promised),
    TEST(odd_tail),
    TEST(read_only),
    TEST(full_at_depth),
};

static const char *const engines[] = {"syslet", "libaio", "io_uring"};
static const Case extras[] = {
    {"syslet", "coalesce=off", AIO_BUFFERED, PLACE_DISK},
    {"syslet", "inline=off", AIO_BUFFERED, PLACE_DISK},
    {"syslet", "threads=1", AIO_DIRECT, PLACE_DISK},
    {"io_uring", "sqpoll=on", AIO_BUFFERED, PLACE_DISK},
    {"io_uring", "sqpoll=on", AIO_DIRECT, PLACE_DISK},
    {"libaio", "threads=1", AIO_DIRECT, PLACE_DISK},
};

#define MATRIX (G_N_ELEMENTS(engines) * 2 * PLACES)

static Case cases[MATRIX + G_N_ELEMENTS(extras)];
static struct CMUnitTest tests[G_N_ELEMENTS(cases) * G_N_ELEMENTS(suite)];

static void combine(void)
{
    struct CMUnitTest *test = tests;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Case *config = &cases[i];
        if (i < MATRIX)
            *config = (Case){engines[i / (2 * PLACES)], NULL,
                             i / PLACES % 2 ? AIO_DIRECT : AIO_BUFFERED, (Place)(i % PLACES)};
        else
            *config = extras[i - MATRIX];
        for (unsigned j = 0; j < G_N_ELEMENTS(suite); j++, test++) {
            *test = suite[j];
            test->name = g_strdup_printf(
                "%s %s %s %s %s", suite[j].name, config->engine, config->option ?: "",
                config->mode == AIO_DIRECT ? "direct" : "buffered", place_names[config->place]);
            test->initial_state = config;
        }
    }
}

int main(void)
{
    combine();
    int result = unit_run(tests);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_free((char *)tests[i].name);
    return result;
}
