/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exchange of a LUN's engine: with commands in flight, refused, timed out, and under load from two
 * loops. */
#include "tests/unit/unit.h"

#include "tests/unit/scsi_fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#define READ_ONE  CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)
#define WRITE_ONE CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0)

typedef struct {
    bool done;
    char *message; /* of the error; NULL: it went well */
} Outcome;

static void exchanged(Lun *lun, const GError *error, void *arg)
{
    Outcome *outcome = arg;
    (void)lun;
    outcome->message = error ? g_strdup(error->message) : NULL;
    outcome->done = true;
}

static void begin(Scsi *s, const char *engine, AioMode mode, unsigned timeout_ms, Outcome *outcome)
{
    *outcome = (Outcome){0};
    lun_set_engine(s->lun, aio_engine_find(engine), &s->spec.params, mode, timeout_ms, exchanged,
                   outcome);
}

static void check_failed(Outcome *outcome, const char *why)
{
    wait_for(&outcome->done);
    assert_non_null(outcome->message);
    assert_non_null(strstr(outcome->message, why));
    g_free(outcome->message);
}

static void use_slow_engine(LunSpec *spec)
{
    spec->engine = &slow_engine;
}

static int setup_slow(void **state)
{
    Scsi *s = scsi_new(use_slow_engine);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    *state = s;
    return 0;
}

static Cmd *start(Scsi *s, const uint8_t *cdb, unsigned len, const void *out)
{
    Cmd *cmd = cmd_new(s->nexus, cdb, len);
    cmd->out = out;
    cmd->task.data_out_len = out ? 512 : 0;
    cmd->task.data_in_len = out ? 0 : 512;
    cmd_submit(cmd);
    return cmd;
}

static void commands_wait_at_the_gate(void **state)
{
    Scsi *s = *state;
    static const uint8_t block[512] = {1, 2, 3};
    Outcome outcome;
    Cmd *before = start(s, READ_ONE, NULL);
    assert_int_equal(slow_waiting(), 1);
    begin(s, "syslet", AIO_BUFFERED, 60000, &outcome);
    wait_turns(10);
    Cmd *write = start(s, WRITE_ONE, block);
    expect(s->nexus, CDB(0x12, 0, 0, 0, 36, 0), 36, 0); /* needs no store: is not held up */
    assert_int_equal(slow_waiting(), 1);
    assert_false(outcome.done);
    slow_finish_all(0);
    wait_for(&outcome.done);
    assert_null(outcome.message);
    cmd_wait(before);
    assert_int_equal(cmd_sense(before), 0);
    cmd_free(before);
    cmd_wait(write);
    assert_int_equal(cmd_sense(write), 0);
    cmd_free(write);
    assert_ptr_equal(lun_engine(s->lun), aio_engine_find("syslet"));
    uint8_t back[512];
    scsi_file_read(s, back, sizeof back, 0);
    assert_memory_equal(back, block, sizeof back);
    LunStats stats;
    lun_get_stats(s->lun, &stats);
    assert_int_equal(stats.queued_by_gate, 1);
}

static void drain_that_takes_too_long(void **state)
{
    Scsi *s = *state;
    Outcome outcome;
    Cmd *before = start(s, READ_ONE, NULL);
    begin(s, "syslet", AIO_BUFFERED, 50, &outcome);
    wait_turns(10);
    Cmd *during = start(s, READ_ONE, NULL);
    check_failed(&outcome, "in time");
    assert_ptr_equal(lun_engine(s->lun), &slow_engine);
    assert_int_equal(slow_waiting(), 2); /* the gate is open again */
    slow_finish_all(0);
    cmd_wait(before);
    cmd_wait(during);
    assert_int_equal(cmd_sense(before), 0);
    assert_int_equal(cmd_sense(during), 0);
    cmd_free(before);
    cmd_free(during);
}

static void one_at_a_time(void **state)
{
    Scsi *s = *state;
    Outcome first, second;
    Cmd *cmd = start(s, READ_ONE, NULL);
    begin(s, "syslet", AIO_BUFFERED, 60000, &first);
    begin(s, "syslet", AIO_DIRECT, 60000, &second);
    check_failed(&second, "under way");
    wait_turns(10);
    slow_finish_all(0);
    wait_for(&first.done);
    assert_null(first.message);
    cmd_wait(cmd);
    cmd_free(cmd);
}

/* --- size ------------------------------------------------------------------------------------- */

static void shrinking_drains_first(void **state)
{
    Scsi *s = *state;
    static const uint8_t block[512] = {9};
    GStatBuf st;
    Outcome outcome = {0};
    uint8_t last[16], first[16];
    cdb_rw16(last, 0x8a, 64 * MIB / 512 - 1, 1);
    cdb_rw16(first, 0x8a, 0, 1);
    Cmd *before = start(s, last, 16, block);
    lun_resize(s->lun, MIB, 60000, exchanged, &outcome);
    wait_turns(10);
    Cmd *beyond = start(s, last, 16, block), *within = start(s, first, 16, block);
    assert_int_equal(slow_waiting(), 1);
    assert_int_equal(g_stat(s->path, &st), 0);
    assert_int_equal(st.st_size, 64 * MIB); /* a write of the old size is still out */
    slow_finish_all(0);
    wait_for(&outcome.done);
    assert_null(outcome.message);
    cmd_wait(before);
    assert_int_equal(cmd_sense(before), 0);
    cmd_wait(beyond); /* held by the gate, checked against the old size */
    assert_int_equal(cmd_sense(beyond), SENSE_LBA_OUT_OF_RANGE);
    while (slow_waiting() == 0)
        wait_turns(1);
    slow_finish_all(0);
    cmd_wait(within);
    assert_int_equal(cmd_sense(within), 0);
    cmd_free(before);
    cmd_free(beyond);
    cmd_free(within);
    assert_int_equal(g_stat(s->path, &st), 0);
    assert_int_equal(st.st_size, MIB);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_CAPACITY_CHANGED);
    expect(s->nexus, last, 16, 0, SENSE_LBA_OUT_OF_RANGE);
    assert_int_equal(lun_blocks(s->lun), 2048);
}

static void shrinking_that_takes_too_long(void **state)
{
    Scsi *s = *state;
    Outcome outcome = {0};
    Cmd *before = start(s, READ_ONE, NULL);
    lun_resize(s->lun, MIB, 50, exchanged, &outcome);
    check_failed(&outcome, "in time");
    assert_int_equal(lun_blocks(s->lun), 64 * MIB / 512);
    slow_finish_all(0);
    cmd_wait(before);
    cmd_free(before);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, 0);
}

static void growing_waits_for_nothing(void **state)
{
    Scsi *s = *state;
    Outcome outcome = {0};
    GStatBuf st;
    Cmd *before = start(s, READ_ONE, NULL);
    lun_resize(s->lun, 65 * MIB, 60000, exchanged, &outcome);
    assert_true(outcome.done);
    assert_null(outcome.message);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_CAPACITY_CHANGED);
    assert_int_equal(g_stat(s->path, &st), 0);
    assert_int_equal(st.st_size, 65 * MIB);
    slow_finish_all(0);
    cmd_wait(before);
    assert_int_equal(cmd_sense(before), 0);
    cmd_free(before);
}

static void close_waits_for_the_exchange(void **state)
{
    Scsi *s = *state;
    Outcome outcome;
    begin(s, "syslet", AIO_BUFFERED, 60000, &outcome);
    scsi_free(s); /* the LUN goes while it is under way */
    assert_true(outcome.done);
    assert_null(outcome.message);
    *state = NULL;
}

static void refusals(void **state)
{
    Scsi *s = *state;
    Outcome outcome;
    begin(s, "null", AIO_BUFFERED, 60000, &outcome);
    check_failed(&outcome, "null");
    begin(s, "libaio", AIO_BUFFERED, 60000, &outcome);
    check_failed(&outcome, "libaio");
    assert_ptr_equal(lun_engine(s->lun), aio_engine_find("syslet"));
    assert_int_equal(lun_mode(s->lun), AIO_BUFFERED);
}

static void use_null_engine(LunSpec *spec)
{
    spec->path = NULL;
    spec->engine = aio_engine_find("null");
}

static void null_lun(void **state)
{
    Scsi *s = scsi_new(use_null_engine);
    Outcome outcome;
    (void)state;
    begin(s, "syslet", AIO_BUFFERED, 60000, &outcome);
    check_failed(&outcome, "null");
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    Cmd *cmd = cmd_run(s->nexus, READ_ONE, 512);
    static const uint8_t zeros[512];
    assert_int_equal(cmd_sense(cmd), 0);
    assert_memory_equal(cmd->in->data, zeros, 512);
    cmd_free(cmd);
    cmd = cmd_run(s->nexus, CDB(0x12, 0, 0, 0, 96, 0), 96);
    assert_memory_equal(cmd->in->data + 16, "NULL    ", 8);
    cmd_free(cmd);
    scsi_free(s);
}

/* --- under load, from two I/O loops ----------------------------------------------------------- */

#define DEPTH     8
#define SLOT      (64 * 1024)
#define EXCHANGES 12

typedef struct Worker Worker;

/* Writes its slot with a new pattern, reads it back, compares, again. */
typedef struct {
    Task task; /* first */
    Worker *worker;
    uint8_t out[SLOT], in[SLOT];
    unsigned round;
    bool writing;
} Stream;

struct Worker {
    Loop *loop;
    Nexus *nexus;
    ScsiTarget *target;
    Memory *memory;
    unsigned first_slot, running;
    bool stop;
    unsigned failures, rounds;
    Stream streams[DEPTH];
};

static int workers_left;

static void move_done(void *arg)
{
    DataMove *move = arg;
    move->done(move, 0);
}

static void stream_put(Task *task, DataMove *move)
{
    Stream *stream = (Stream *)task;
    size_t at = move->offset;
    for (int i = 0; i < move->iovcnt; at += move->iov[i++].iov_len)
        memcpy(stream->in + at, move->iov[i].iov_base, move->iov[i].iov_len);
    loop_call(stream->worker->loop, move_done, move);
}

static void stream_get(Task *task, DataMove *move)
{
    Stream *stream = (Stream *)task;
    size_t at = move->offset;
    for (int i = 0; i < move->iovcnt; at += move->iov[i++].iov_len)
        memcpy(move->iov[i].iov_base, stream->out + at, move->iov[i].iov_len);
    loop_call(stream->worker->loop, move_done, move);
}

static void stream_cancel(Task *task, DataMove *move)
{
    (void)task, (void)move;
}

static void stream_respond(Task *task, DataMove *last)
{
    Stream *stream = (Stream *)task;
    if (task->status != SCSI_GOOD)
        stream->worker->failures++;
    if (last)
        stream_put(task, last);
}

static void worker_closed(void *arg)
{
    (void)arg;
    __atomic_sub_fetch(&workers_left, 1, __ATOMIC_RELEASE);
}

static void stream_submit(Stream *stream);

static void stream_next(void *arg)
{
    Stream *stream = arg;
    Worker *worker = stream->worker;
    if (!stream->writing) {
        worker->failures += memcmp(stream->in, stream->out, SLOT) != 0;
        worker->rounds++;
    }
    stream->writing = !stream->writing;
    if (__atomic_load_n(&worker->stop, __ATOMIC_RELAXED) && stream->writing) {
        if (--worker->running == 0)
            nexus_close(worker->nexus, worker_closed, NULL);
        return;
    }
    stream_submit(stream);
}

static void stream_released(Task *task)
{
    Stream *stream = (Stream *)task;
    loop_call(stream->worker->loop, stream_next, stream);
}

static const TaskTransport stream_transport = {
    .put_data = stream_put,
    .get_data = stream_get,
    .cancel = stream_cancel,
    .respond = stream_respond,
    .released = stream_released,
};

static void stream_submit(Stream *stream)
{
    Worker *worker = stream->worker;
    Task *task = &stream->task;
    unsigned slot = worker->first_slot + (unsigned)(stream - worker->streams);
    *task = (Task){.nexus = worker->nexus, .transport = &stream_transport, .cdb_len = 16};
    cdb_rw16(task->cdb, stream->writing ? 0x8a : 0x88, slot * (SLOT / 512), SLOT / 512);
    if (stream->writing) {
        memset(stream->out, (int)(slot * 7 + ++stream->round), SLOT);
        task->data_out_len = SLOT;
    } else {
        task->data_in_len = SLOT;
    }
    task_submit(task);
}

/* The first command of each stream meets the POWER ON attention: it is taken by a REQUEST SENSE. */
static void worker_start(void *arg)
{
    Worker *worker = arg;
    worker->nexus = nexus_new(worker->target, worker->loop, worker->memory, "unit", NULL, 0);
    worker->running = DEPTH;
    for (unsigned i = 0; i < DEPTH; i++) {
        Stream *stream = &worker->streams[i];
        stream->worker = worker;
        stream->writing = true; /* what follows is a read, of the zeros of a new file */
        stream->task = (Task){.nexus = worker->nexus,
                              .transport = &stream_transport,
                              .cdb = {0x03, 0, 0, 0, 64, 0},
                              .cdb_len = 16,
                              .data_in_len = 64};
        task_submit(&stream->task);
    }
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void under_load_from_two_loops(void **state)
{
    static const struct {
        const char *engine;
        AioMode mode;
    } turns[] = {{"syslet", AIO_DIRECT}, {"libaio", AIO_DIRECT},   {"io_uring", AIO_BUFFERED},
                 {"null", AIO_BUFFERED}, {"io_uring", AIO_DIRECT}, {"syslet", AIO_BUFFERED}};
    (void)state;
    GError *error = NULL;
    const LoopConfig config = {0};
    Loop *main_loop = loop_new_main(&config);
    Loop *loops[2] = {loop_new(1, &config), loop_new(2, &config)};
    Arena *arena = arena_new(&(ArenaConfig){.limit = 32 * MIB, .initial = 32 * MIB}, set_flag,
                             &(bool){false}, &error);
    assert_non_null(arena);
    Memory *memory = memory_new(arena, SIZE_MAX, loops, 2);
    ScsiTarget *target = scsi_target_new(SCSI_NAME, loops, 2);
    g_autofree char *dir = g_dir_make_tmp("rtgt-scsi-XXXXXX", &error);
    g_autofree char *path = g_build_filename(dir, "lun", NULL);
    Scsi s = {.spec = {.target_name = SCSI_NAME,
                       .path = path,
                       .size = 16 * MIB,
                       .create = true,
                       .write_cache = true,
                       .block_size = 512,
                       .engine = aio_engine_find("syslet")}};
    aio_params_init(&s.spec.params);
    s.lun = lun_new(&s.spec, memory, loops, 2, &error);
    assert_non_null(s.lun);
    scsi_target_add_lun(target, s.lun);

    workers_left = 2;
    Worker *workers[2];
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = g_new0(Worker, 1);
        workers[i]->loop = loops[i];
        workers[i]->target = target;
        workers[i]->memory = memory;
        workers[i]->first_slot = i * DEPTH;
        loop_call(loops[i], worker_start, workers[i]);
    }
    for (unsigned i = 0; i < EXCHANGES; i++) {
        unsigned turn = i % G_N_ELEMENTS(turns);
        if (!aio_engine_find(turns[turn].engine))
            continue;
        Outcome outcome;
        begin(&s, turns[turn].engine, turns[turn].mode, 60000, &outcome);
        wait_for(&outcome.done);
        if (strcmp(turns[turn].engine, "null") == 0)
            assert_non_null(outcome.message);
        else if (outcome.message)
            print_message("%s: %s\n", turns[turn].engine, outcome.message);
        g_free(outcome.message);
        LunStats stats;
        lun_get_stats(s.lun, &stats);
    }
    for (unsigned i = 0; i < 2; i++)
        __atomic_store_n(&workers[i]->stop, true, __ATOMIC_RELAXED);
    while (__atomic_load_n(&workers_left, __ATOMIC_ACQUIRE) > 0)
        g_main_context_iteration(NULL, FALSE);

    bool removed = false, closed = false;
    scsi_target_remove_lun(target, s.lun, set_flag, &removed);
    wait_for(&removed);
    lun_close(s.lun, set_flag, &closed);
    wait_for(&closed);
    scsi_target_free(target);
    memory_free(memory);
    loop_free(loops[0]);
    loop_free(loops[1]);
    arena_free(arena);
    loop_free(main_loop);
    g_unlink(path);
    g_rmdir(dir);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(workers[i]->rounds > DEPTH);
        assert_int_equal(workers[i]->failures, 0);
        g_free(workers[i]);
    }
}

#define SLOW(fn) cmocka_unit_test_setup_teardown(fn, setup_slow, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SLOW(commands_wait_at_the_gate),
        SLOW(drain_that_takes_too_long),
        SLOW(one_at_a_time),
        SLOW(shrinking_drains_first),
        SLOW(shrinking_that_takes_too_long),
        SLOW(growing_waits_for_nothing),
        cmocka_unit_test_setup(close_waits_for_the_exchange, setup_slow),
        cmocka_unit_test_setup_teardown(refusals, scsi_setup, scsi_teardown),
        cmocka_unit_test(null_lun),
        cmocka_unit_test(under_load_from_two_loops),
    };
    return unit_run(tests);
}
