/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A LUN with a cache: hits copy nothing and ask no engine; and a run of random commands, failures
 * of the store, evictions, and changes of cache, engine and size, whose every read is compared with
 * the store. RTGT_MODEL_STEPS and RTGT_MODEL_SEED change how much, and which. */
#include "core/scsi/lun_impl.h"
#include "tests/unit/scsi_fixture.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define BLOCK   512
#define ZONE    256 /* blocks: commands that change one have it for themselves */
#define ZONES   64
#define STORE   ((size_t)ZONES * ZONE * BLOCK)
#define DEPTH   12
#define PENDING 64

typedef struct Model Model;

typedef struct {
    Model *model;
    Cmd *cmd; /* NULL: none */
    unsigned zone;
    bool writes, reads;
    uint64_t offset;
    uint8_t *out;
} Running;

struct Model {
    Scsi *scsi;
    Nexus *nexuses[2];
    GRand *rand;
    uint8_t *store;
    AioReq *pending[PENDING];
    unsigned n_pending;
    bool faults;
    unsigned writers[ZONES], readers[ZONES];
    Running running[DEPTH];
    uint64_t zones; /* of the size that the LUN has, or is getting */
    bool changing;
    uint64_t next; /* block of a sequential reader */
    uint64_t good, failed, changes;
};

static Model *model; /* the engine's */

static uint32_t any(uint32_t below)
{
    return (uint32_t)g_rand_int_range(model->rand, 0, (gint32)below);
}

/* --- the engine: a store in memory, which ends requests in any order ----------------------------
 */

static int memory_accepts(const AioFile *file, const AioParams *params, const char **why)
{
    (void)file, (void)params, (void)why;
    return 0;
}

static int memory_event_fd(AioCtx *ctx)
{
    (void)ctx;
    return -1;
}

static bool memory_queue(AioCtx *ctx, AioReq *req)
{
    (void)ctx;
    if (model->n_pending == PENDING)
        return false;
    model->pending[model->n_pending++] = req;
    return true;
}

static void memory_flush(AioCtx *ctx)
{
    (void)ctx;
}

static void copy(const AioReq *req, uint64_t len)
{
    uint8_t *at = model->store + req->offset;
    for (int i = 0; i < req->iovcnt && len > 0; i++) {
        size_t part = MIN(len, req->iov[i].iov_len);
        if (req->op == AIO_READ)
            memcpy(req->iov[i].iov_base, at, part);
        else
            memcpy(at, req->iov[i].iov_base, part);
        at += part;
        len -= part;
    }
}

/* What fails is done in part. */
static void perform(AioReq *req)
{
    bool fails = model->faults && any(40) == 0;
    uint64_t len = fails ? any((uint32_t)req->len / BLOCK + 1) * BLOCK : req->len;
    req->res = fails ? -EIO : (ssize_t)req->len;
    g_assert_true(req->op == AIO_FLUSH || req->offset + req->len <= STORE);
    if (req->op == AIO_READ || req->op == AIO_WRITE)
        copy(req, len);
    else if (req->op == AIO_DISCARD || req->op == AIO_WRITE_ZEROES)
        memset(model->store + req->offset, 0, len);
    else
        req->res = 0;
}

static unsigned memory_reap(AioCtx *ctx, unsigned max)
{
    unsigned n = 0;
    (void)ctx;
    for (; n < max && model->n_pending > 0 && (!model->faults || any(4) == 0); n++) {
        unsigned i = any(model->n_pending);
        AioReq *req = model->pending[i];
        model->pending[i] = model->pending[--model->n_pending];
        perform(req);
        req->done(req);
    }
    return n;
}

static void memory_add_memory(AioCtx *ctx, void *base, size_t len)
{
    (void)ctx, (void)base, (void)len;
}

static void memory_close(AioCtx *ctx)
{
    g_free(ctx);
}

static const char *const no_options[] = {NULL};
static int first_open(const AioParams *params, AioCtx **ctx);
static int second_open(const AioParams *params, AioCtx **ctx);

#define ENGINE(word, opens)                                                                       \
    {                                                                                             \
        .name = word, .summary = "for tests", .options = no_options, .accepts = memory_accepts,   \
        .open = opens, .event_fd = memory_event_fd, .queue = memory_queue, .flush = memory_flush, \
        .reap = memory_reap, .add_memory = memory_add_memory, .close = memory_close               \
    }
static const AioEngine engines[] = {ENGINE("first", first_open), ENGINE("second", second_open)};

static int engine_open(unsigned which, AioCtx **ctx)
{
    *ctx = g_new0(AioCtx, 1);
    (*ctx)->engine = &engines[which];
    return 0;
}

static int first_open(const AioParams *params, AioCtx **ctx)
{
    (void)params;
    return engine_open(0, ctx);
}

static int second_open(const AioParams *params, AioCtx **ctx)
{
    (void)params;
    return engine_open(1, ctx);
}

/* --- commands --------------------------------------------------------------------------------- */

static bool may_fail_with(SenseCode sense)
{
    switch (sense) {
    case SENSE_READ_ERROR:
    case SENSE_WRITE_ERROR:
    case SENSE_MISCOMPARE:
    case SENSE_LBA_OUT_OF_RANGE:
    case SENSE_CAPACITY_CHANGED:
    case SENSE_POWER_ON_RESET:
        return true;
    default:
        return false;
    }
}

static void check_end(const Running *r)
{
    const Cmd *cmd = r->cmd;
    if (cmd->task.status != SCSI_GOOD) {
        SenseCode sense = cmd_sense(cmd);
        model->failed++;
        if (!may_fail_with(sense))
            fail_msg("command %02x ended with sense %06x", cmd->task.cdb[0], (unsigned)sense);
        return;
    }
    model->good++;
    if (r->zone >= model->zones) /* answered before it was cut off */
        return;
    if (r->reads && memcmp(cmd->in->data, model->store + r->offset, cmd->in->len) != 0)
        fail_msg("a read at %" PRIu64 " is not what the store has", r->offset);
}

static void end_commands(void)
{
    for (unsigned i = 0; i < DEPTH; i++) {
        Running *r = &model->running[i];
        if (!r->cmd || !r->cmd->released)
            continue;
        check_end(r);
        *(r->writes ? &model->writers[r->zone] : &model->readers[r->zone]) -= 1;
        cmd_free(g_steal_pointer(&r->cmd));
        g_clear_pointer(&r->out, g_free);
    }
}

static bool take_zone(Running *r)
{
    if (model->writers[r->zone] > 0 || (r->writes && model->readers[r->zone] > 0))
        return false;
    *(r->writes ? &model->writers[r->zone] : &model->readers[r->zone]) += 1;
    return true;
}

static void submit(Running *r, const uint8_t *cdb, unsigned cdb_len, uint32_t out, uint32_t in)
{
    r->cmd = cmd_new(model->nexuses[any(2)], cdb, cdb_len);
    r->cmd->out = r->out;
    r->cmd->task.data_out_len = out;
    r->cmd->task.data_in_len = in;
    cmd_submit(r->cmd);
}

static void fill(Running *r, size_t len)
{
    r->out = g_malloc(len);
    memset(r->out, (int)any(256), len);
    for (size_t i = 0; i < len; i += 64)
        r->out[i] = (uint8_t)any(256);
}

static void unmap(Running *r, uint64_t lba, uint32_t blocks)
{
    r->out = g_malloc0(24);
    put_be16(r->out, 22);
    put_be16(r->out + 2, 16);
    put_be64(r->out + 8, lba);
    put_be32(r->out + 16, blocks);
    submit(r, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), 24, 0);
}

static void compare_and_write(Running *r, uint8_t *cdb, uint64_t lba)
{
    fill(r, 2 * BLOCK);
    if (any(3) > 0)
        memcpy(r->out, model->store + lba * BLOCK, BLOCK);
    cdb_rw16(cdb, 0x89, lba, 0);
    cdb[13] = 1;
    submit(r, cdb, 16, 2 * BLOCK, 0);
}

static void write_same(Running *r, uint8_t *cdb)
{
    static const uint8_t bits[] = {0, 0x01, 0x08};
    fill(r, BLOCK);
    memset(r->out, 0, any(2) * BLOCK); /* of zeros, it is something else to the store */
    cdb[1] = bits[any(3)];
    submit(r, cdb, 16, cdb[1] & 1 ? 0 : BLOCK, 0);
}

static void begin_command(Running *r)
{
    static const uint8_t opcodes[] = {0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x8a,
                                      0x8a, 0x93, 0x42, 0x89, 0x8b, 0x91};
    static const uint8_t bits[] = {0, 0, 0, 0x08, 0x10};
    uint8_t opcode = opcodes[any(sizeof opcodes)], cdb[16];
    uint32_t first = any(2) ? any(ZONE / 8) * 8 : any(ZONE);
    uint32_t blocks = any(2) ? MIN(8, ZONE - first) : 1 + any(ZONE - first);
    *r = (Running){.reads = opcode == 0x88, .writes = opcode != 0x88};
    r->zone = any(4) ? any(4) : any(ZONES);
    bool sequential = r->reads && any(2);
    if (sequential) {
        r->zone = (unsigned)(model->next / ZONE) % ZONES;
        first = model->next % ZONE;
        blocks = 32;
    }
    if (!take_zone(r))
        return;
    if (sequential)
        model->next = any(100) ? model->next + blocks : any(ZONES) * ZONE;
    uint64_t lba = (uint64_t)r->zone * ZONE + first;
    r->offset = lba * BLOCK;
    cdb_rw16(cdb, opcode, lba, blocks);
    switch (opcode) {
    case 0x88:
        cdb[1] = bits[any(sizeof bits)];
        submit(r, cdb, 16, 0, blocks * BLOCK);
        return;
    case 0x8a:
        cdb[1] = bits[any(4)];
        /* fall through */
    case 0x8b:
        fill(r, blocks * BLOCK);
        submit(r, cdb, 16, blocks * BLOCK, 0);
        return;
    case 0x93:
        write_same(r, cdb);
        return;
    case 0x42:
        unmap(r, lba, blocks);
        return;
    case 0x89:
        compare_and_write(r, cdb, lba);
        return;
    default:
        submit(r, cdb, 16, 0, 0);
        return;
    }
}

/* --- changes ---------------------------------------------------------------------------------- */

static void changed(Lun *lun, const GError *error, void *arg)
{
    (void)lun, (void)arg;
    g_assert_no_error(error);
    if (model->zones < ZONES)
        memset(model->store + model->zones * ZONE * BLOCK, 0,
               (ZONES - model->zones) * ZONE * BLOCK);
    model->changing = false;
    model->changes++;
}

static void change(void)
{
    static const uint64_t sizes[] = {0, 1, 1, 2, 5};
    Lun *lun = model->scsi->lun;
    model->changing = true;
    switch (any(4)) {
    case 0:
        lun_set_engine(lun, &engines[any(2)], &model->scsi->spec.params, AIO_BUFFERED, 60000,
                       changed, NULL);
        return;
    case 1:
        model->zones = any(2) ? ZONES : 4 + any(ZONES - 4);
        lun_resize(lun, model->zones * ZONE * BLOCK, 60000, changed, NULL);
        return;
    default:
        lun_set_cache(lun, sizes[any(G_N_ELEMENTS(sizes))] * MIB, 60000, changed, NULL);
        return;
    }
}

/* --- the run ---------------------------------------------------------------------------------- */

static void nothing(void *arg)
{
    (void)arg;
}

static void turn(void)
{
    loop_call(loop_self(), nothing, NULL); /* the engine has no fd: a round looks at it */
    while (g_main_context_iteration(NULL, FALSE))
        ;
    end_commands();
}

static void step(void)
{
    if (!model->changing && any(300) == 0)
        change();
    Running *r = &model->running[any(DEPTH)];
    if (!r->cmd)
        begin_command(r);
    turn();
}

static bool is_busy(void)
{
    bool busy = model->changing;
    for (unsigned i = 0; i < DEPTH; i++)
        busy |= model->running[i].cmd != NULL;
    return busy;
}

static void spec_of_model(LunSpec *spec)
{
    spec->readahead = true;
    spec->size = STORE;
    spec->engine = &engines[0];
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);
    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static void commands_against_the_store(void **state)
{
    (void)state;
    uint64_t steps = setting("RTGT_MODEL_STEPS", 100000);
    uint32_t seed = (uint32_t)setting("RTGT_MODEL_SEED", g_random_int());
    print_message("RTGT_MODEL_SEED=%u\n", seed);
    model = g_new0(Model, 1);
    model->rand = g_rand_new_with_seed(seed);
    model->store = g_malloc0(STORE);
    model->zones = ZONES;
    model->scsi = scsi_new(spec_of_model);
    model->nexuses[0] = model->scsi->nexus;
    model->nexuses[1] = scsi_nexus(model->scsi);
    model->faults = true;
    for (uint64_t i = 0; i < steps; i++)
        step();
    model->faults = false;
    while (is_busy())
        turn();
    LunStats stats;
    lun_get_stats(model->scsi->lun, &stats);
    print_message("%" PRIu64 " commands, %" PRIu64 " failed, %" PRIu64 " changes; hits %" PRIu64
                  ", misses %" PRIu64 ", waits %" PRIu64 ", bypasses %" PRIu64
                  ", evictions %" PRIu64 ", read ahead %" PRIu64 " and in vain %" PRIu64 "\n",
                  model->good + model->failed, model->failed, model->changes, stats.cache.hits,
                  stats.cache.misses, stats.cache.waits, stats.cache.bypasses,
                  stats.cache.evictions, stats.cache.ahead_useful, stats.cache.ahead_wasted);
    assert_true(stats.cache.hits && stats.cache.misses && stats.cache.waits);
    assert_true(stats.cache.ahead_useful > 0);
    assert_true(stats.cache.bypasses && stats.cache.evictions && stats.cache.pinned == 0);
    scsi_close_nexus(model->nexuses[1]);
    scsi_free(model->scsi);
    g_rand_free(model->rand);
    g_free(model->store);
    g_clear_pointer(&model, g_free);
}

/* --- hits ------------------------------------------------------------------------------------- */

static void cached(LunSpec *spec)
{
    spec->cache_size = 2 * MIB;
}

static void cached_ahead(LunSpec *spec)
{
    spec->cache_size = 2 * MIB;
    spec->readahead = true;
}

static Cmd *begin_read(Scsi *s, uint64_t lba, uint32_t blocks)
{
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x88, lba, blocks);
    Cmd *cmd = cmd_new(s->nexus, cdb, 16);
    cmd->task.data_in_len = blocks * BLOCK;
    cmd->hold = true;
    cmd_submit(cmd);
    while (!cmd->held[0])
        g_main_context_iteration(NULL, TRUE);
    return cmd;
}

static void end_read(Cmd *cmd)
{
    DataMove *move = cmd->held[0];
    move->done(move, 0);
    cmd_wait(cmd);
    assert_int_equal(cmd_sense(cmd), 0);
    cmd_free(cmd);
}

static LunStats stats_of(const Scsi *s)
{
    LunStats stats;
    lun_get_stats(s->lun, &stats);
    return stats;
}

/* Two reads are sent from the same memory, which the store has filled: nothing was copied. */
static void hits_are_sent_from_the_slot(void **state)
{
    Scsi *s = scsi_new(cached);
    (void)state;
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    uint8_t *data = g_malloc(64 * 1024);
    memset(data, 0x7e, 64 * 1024);
    scsi_file_write(s, data, 64 * 1024, 0);
    Cmd *miss = begin_read(s, 0, 128);
    uint64_t submitted = stats_of(s).engine.submitted;
    Cmd *hit = begin_read(s, 0, 128);
    assert_int_equal(hit->held[0]->iovcnt, miss->held[0]->iovcnt);
    for (int i = 0; i < hit->held[0]->iovcnt; i++)
        assert_ptr_equal(hit->held[0]->iov[i].iov_base, miss->held[0]->iov[i].iov_base);
    assert_memory_equal(hit->in->data, data, 64 * 1024);
    assert_int_equal(stats_of(s).engine.submitted, submitted);
    assert_int_equal(stats_of(s).cache.hits, 1);
    assert_int_equal(stats_of(s).cache.hit_bytes, 64 * 1024);
    assert_int_equal(stats_of(s).cache.pinned, 4);

    /* What is written meanwhile goes elsewhere, and is what the next one reads. */
    const uint8_t *pinned = hit->held[0]->iov[0].iov_base;
    memset(data, 0x11, 4096);
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x8a, 0, 8);
    expect_out(s->nexus, cdb, 16, data, 4096, 0);
    assert_int_equal(pinned[0], 0x7e);
    Cmd *later = begin_read(s, 0, 16);
    assert_memory_equal(later->in->data, data, 8192);
    assert_int_equal(stats_of(s).cache.copies_on_write, 1);
    assert_int_equal(stats_of(s).cache.hits, 2);
    end_read(later);
    end_read(hit);
    end_read(miss);
    assert_int_equal(stats_of(s).cache.pinned, 0);
    g_free(data);
    scsi_free(s);
}

/* FUA asks the store, whatever the cache has. */
static void fua_goes_past(void **state)
{
    Scsi *s = scsi_new(cached);
    (void)state;
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    uint8_t cdb[16];
    cdb_rw16(cdb, 0x88, 0, 8);
    expect(s->nexus, cdb, 16, 4096, 0);
    expect(s->nexus, cdb, 16, 4096, 0);
    uint64_t submitted = stats_of(s).engine.submitted;
    assert_int_equal(stats_of(s).cache.hits, 1);
    cdb[1] = 0x08;
    expect(s->nexus, cdb, 16, 4096, 0);
    assert_int_equal(stats_of(s).cache.hits, 1);
    assert_int_equal(stats_of(s).engine.submitted, submitted + 1);
    scsi_free(s);
}

/* After three reads the store is asked for what follows, and only then. */
static void streams_are_read_ahead(void **state)
{
    Scsi *s = scsi_new(cached_ahead);
    (void)state;
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    uint8_t cdb[16];
    for (unsigned i = 0; i < 3; i++) {
        cdb_rw16(cdb, 0x88, i * 8, 8);
        assert_int_equal(stats_of(s).engine.submitted, i);
        expect(s->nexus, cdb, 16, 4096, 0);
    }
    while (stats_of(s).engine.completed < 4)
        g_main_context_iteration(NULL, TRUE);
    for (unsigned i = 3; i < 16; i++) {
        cdb_rw16(cdb, 0x88, i * 8, 8);
        expect(s->nexus, cdb, 16, 4096, 0);
    }
    assert_int_equal(stats_of(s).cache.misses, 3);
    assert_int_equal(stats_of(s).cache.hits, 13);
    assert_true(stats_of(s).cache.ahead_useful > 0);
    scsi_free(s);
}

/* A stream longer than half of the cache leaves the rest of it alone. */
static void long_streams_are_not_admitted(void **state)
{
    Scsi *s = scsi_new(cached);
    (void)state;
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    uint8_t cdb[16];
    for (unsigned i = 0; i < 64; i++) {
        cdb_rw16(cdb, 0x88, i * 128, 128);
        expect(s->nexus, cdb, 16, 65536, 0);
    }
    assert_true(stats_of(s).cache.used <= 64);
    assert_int_equal(stats_of(s).cache.evictions, 0);
    assert_true(stats_of(s).cache.bypasses > 40);
    scsi_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hits_are_sent_from_the_slot),
        cmocka_unit_test(fua_goes_past),
        cmocka_unit_test(streams_are_read_ahead),
        cmocka_unit_test(long_streams_are_not_admitted),
        cmocka_unit_test(commands_against_the_store),
    };
    return unit_run(tests);
}
