/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Claims of two loops: a counter that all count with COMPARE AND WRITE, and that nobody ever sees
 * torn, while other sessions on the same blocks come and go. */
#include "tests/unit/unit.h"

#include "aio/request.h"
#include "aio/sys.h"
#include "core/scsi/on_loops.h"
#include "tests/unit/scsi_fixture.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>

#define LOOPS       2
#define BLOCK       512
#define COUNTER_LBA 100
#define COUNTER     64u /* blocks: several pages, which the kernel writes one after the other */
#define BYTES       (COUNTER * BLOCK)
#define WORDS       (BYTES / 8)
#define ROUNDS      50u /* counts of each counting worker */
#define SESSIONS    20u /* that each disturber opens and loses */

enum { READ = 0x88, COMPARE_AND_WRITE = 0x89, ORWRITE = 0x8b };

/* A session with one command at a time. */
typedef struct Worker Worker;
struct Worker {
    void (*step)(Worker *worker, Cmd *ended); /* NULL: the first */
    unsigned loop;
    Nexus *nexus;
    uint64_t out[2 * WORDS];
    unsigned counted, seen;
};

static Loop *main_loop, *loops[LOOPS];
static Arena *arena;
static Memory *memory;
static ScsiTarget *target;
static Lun *lun;
static char *dir, *path;
static int working;  /* workers that have not ended; atomic */
static int counting; /* those of them that count; atomic */
static int torn;     /* contents that no single command wrote; atomic */

static int get(const int *value)
{
    return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

static void add(int *value, int n)
{
    __atomic_add_fetch(value, n, __ATOMIC_ACQ_REL);
}

static void take_one(void *arg)
{
    add(arg, -1);
}

static void wait_until_none(const int *value)
{
    while (get(value) > 0)
        g_main_context_iteration(NULL, FALSE);
}

/* --- commands --------------------------------------------------------------------------------- */

static void step_on(void *arg)
{
    Cmd *cmd = arg;
    Worker *worker = cmd->arg;
    worker->step(worker, cmd);
}

static void ended(Cmd *cmd)
{
    loop_call(loop_self(), step_on, cmd);
}

static void run(Worker *worker, uint8_t opcode, uint64_t lba, uint32_t blocks)
{
    uint8_t cdb[16];
    cdb_rw16(cdb, opcode, lba, blocks);
    Cmd *cmd = cmd_new(worker->nexus, cdb, 16);
    cmd->out = (const uint8_t *)worker->out;
    if (opcode == READ)
        cmd->task.data_in_len = blocks * BLOCK;
    else
        cmd->task.data_out_len = (opcode == COMPARE_AND_WRITE ? 2 : 1) * blocks * BLOCK;
    cmd->ended = ended;
    cmd->arg = worker;
    cmd_submit(cmd);
}

static Worker *worker_new(unsigned loop, void (*step)(Worker *worker, Cmd *ended))
{
    Worker *worker = g_new0(Worker, 1);
    worker->loop = loop;
    worker->step = step;
    add(&working, 1);
    return worker;
}

static void open_session(Worker *worker)
{
    worker->nexus = nexus_new(target, loops[worker->loop], memory, "unit", NULL, 0);
}

static void begin(void *arg)
{
    Worker *worker = arg;
    open_session(worker);
    run(worker, READ, 0, 1); /* takes the POWER ON attention */
}

static void worker_end(Worker *worker)
{
    nexus_close(worker->nexus, take_one, &working); /* and the worker with it */
}

/* The counter of a READ; each of its words is the same number. */
static uint64_t counter_at(const Cmd *cmd, size_t offset)
{
    const uint8_t *p = cmd->in->data + offset;
    for (size_t i = 1; i < WORDS; i++)
        if (memcmp(p, p + 8 * i, 8) != 0) {
            add(&torn, 1);
            break;
        }
    uint64_t value;
    memcpy(&value, p, 8);
    return value;
}

/* --- what workers do -------------------------------------------------------------------------- */

/* Reads the counter and adds one, unless somebody else has done it meanwhile. */
static void count(Worker *worker, Cmd *cmd)
{
    bool was_read = cmd->task.cdb[0] == READ && cmd->in->len == BYTES;
    uint64_t value = was_read ? counter_at(cmd, 0) : 0;
    worker->counted += cmd->task.cdb[0] == COMPARE_AND_WRITE && cmd_sense(cmd) == 0;
    cmd_free(cmd);
    if (worker->counted == ROUNDS) {
        add(&counting, -1);
        worker_end(worker);
        return;
    }
    if (!was_read) {
        run(worker, READ, COUNTER_LBA, COUNTER);
        return;
    }
    for (size_t i = 0; i < WORDS; i++) {
        worker->out[i] = value;
        worker->out[WORDS + i] = value + 1;
    }
    run(worker, COMPARE_AND_WRITE, COUNTER_LBA, COUNTER);
}

/* Two segments and more, the counter in the midst of it. */
static void watch(Worker *worker, Cmd *cmd)
{
    enum { LEN = 2 * MIB };
    if (cmd->in->len == LEN) {
        counter_at(cmd, COUNTER_LBA * BLOCK);
        worker->seen++;
    }
    cmd_free(cmd);
    if (get(&counting) > 0)
        run(worker, READ, 0, LEN / BLOCK);
    else
        worker_end(worker);
}

/* Commands that change nothing but claim everything, of sessions that do not live to see their end:
 * bits that are set already, and comparisons that fail. */
typedef struct {
    Worker worker;
    Cmd *cmds[6];
    unsigned left, sessions;
} Disturber;

static void disturb(void *arg);

static void session_lost(void *arg)
{
    Disturber *d = arg;
    for (unsigned i = 0; i < G_N_ELEMENTS(d->cmds); i++)
        cmd_free(d->cmds[i]);
    if (++d->sessions < SESSIONS) {
        disturb(d);
        return;
    }
    add(&working, -1);
}

static void lose_session(void *arg)
{
    Disturber *d = arg;
    nexus_close(d->worker.nexus, session_lost, d);
}

static void disturb(void *arg)
{
    static const uint8_t opcodes[] = {READ, COMPARE_AND_WRITE, ORWRITE,
                                      READ, COMPARE_AND_WRITE, READ};
    Disturber *d = arg;
    Worker *worker = &d->worker;
    open_session(worker);
    for (unsigned i = 0; i < G_N_ELEMENTS(d->cmds); i++) {
        uint8_t cdb[16];
        cdb_rw16(cdb, opcodes[i], COUNTER_LBA + i * 5, COUNTER);
        Cmd *cmd = d->cmds[i] = cmd_new(worker->nexus, cdb, 16);
        cmd->out = (const uint8_t *)(opcodes[i] == ORWRITE ? worker->out + WORDS : worker->out);
        cmd->task.data_in_len = opcodes[i] == READ ? BYTES : 0;
        cmd->task.data_out_len = opcodes[i] == READ ? 0 : opcodes[i] == ORWRITE ? BYTES : 2 * BYTES;
        cmd_submit(cmd);
    }
    loop_call(loop_self(), lose_session, d);
}

static void start_disturber(Disturber *d, unsigned loop)
{
    d->worker.loop = loop;
    memset(d->worker.out, 0xff, BYTES); /* what the counter never is; the other half is zeros */
    add(&working, 1);
    loop_call(loops[loop], disturb, d);
}

/* --- a store that is easily caught half way --------------------------------------------------- */

static AioSys real_sys;

/* Up to the midst of the counter, and then everybody else; not more often, for a busy machine takes
 * its time. */
static int first_part(const struct iovec *iov, int iovcnt, off_t offset, struct iovec *part)
{
    const off_t middle = COUNTER_LBA * BLOCK + BYTES / 2;
    size_t bytes, limit = offset < middle ? (size_t)(middle - offset) : 0;
    if (offset == middle)
        sched_yield();
    return aio_iov_slice(iov, iovcnt, 0, limit, part, SEGMENT_IOVS, &bytes);
}

static ssize_t read_part(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    struct iovec part[SEGMENT_IOVS];
    if (flags & RWF_NOWAIT) /* that would be done in one go */
        return -EAGAIN;
    int count = first_part(iov, iovcnt, offset, part);
    return real_sys.preadv2(fd, part, count, offset, flags);
}

static ssize_t write_part(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    struct iovec part[SEGMENT_IOVS];
    int count = first_part(iov, iovcnt, offset, part);
    return real_sys.pwritev2(fd, part, count, offset, flags);
}

/* --- the place -------------------------------------------------------------------------------- */

static void no_growth(void *arg)
{
    (void)arg; /* all chunks are there from the start */
}

static int setup(void **state)
{
    (void)state;
    const LoopConfig config = {0};
    GError *error = NULL;
    real_sys = aio_sys;
    aio_sys.preadv2 = read_part;
    aio_sys.pwritev2 = write_part;
    main_loop = loop_new_main(&config);
    for (unsigned i = 0; i < LOOPS; i++)
        loops[i] = loop_new(i + 1, &config);
    arena =
        arena_new(&(ArenaConfig){.limit = 64 * MIB, .initial = 64 * MIB}, no_growth, NULL, &error);
    memory = memory_new(arena, 32 * MIB, loops, LOOPS);
    target = scsi_target_new(SCSI_NAME, loops, LOOPS);
    dir = g_dir_make_tmp("rtgt-scsi-XXXXXX", &error);
    path = g_build_filename(dir, "lun", NULL);
    LunSpec spec = {.target_name = SCSI_NAME,
                    .path = path,
                    .size = 4 * MIB,
                    .create = true,
                    .write_cache = true,
                    .block_size = BLOCK,
                    .engine = aio_engine_find("syslet")};
    aio_params_init(&spec.params);
    lun = lun_new(&spec, memory, loops, LOOPS, &error);
    assert_non_null(lun);
    scsi_target_add_lun(target, lun);
    working = counting = torn = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    int left = 1;
    scsi_target_remove_lun(target, lun, take_one, &left);
    wait_until_none(&left);
    left = 1;
    lun_close(lun, take_one, &left);
    wait_until_none(&left);
    scsi_target_free(target);
    memory_free(memory);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_free(loops[i]);
    arena_free(arena);
    loop_free(main_loop);
    g_unlink(path);
    g_rmdir(dir);
    g_free(path);
    g_free(dir);
    aio_sys = real_sys;
    return 0;
}

static uint64_t counter_in_file(void)
{
    g_autofree char *data = NULL;
    gsize len;
    assert_true(g_file_get_contents(path, &data, &len, NULL));
    uint64_t words[WORDS];
    memcpy(words, data + COUNTER_LBA * BLOCK, BYTES);
    for (size_t i = 1; i < WORDS; i++)
        assert_true(words[i] == words[0]);
    return words[0];
}

/* Two counting workers and a watching one on each loop, and perhaps disturbers. */
static void run_all(bool with_disturbers)
{
    Worker *workers[3 * LOOPS];
    Disturber *disturbers[LOOPS] = {NULL};
    unsigned n = 0, counted = 0, seen = 0;
    counting = 2 * LOOPS;
    for (unsigned i = 0; i < LOOPS; i++) {
        workers[n++] = worker_new(i, count);
        workers[n++] = worker_new(i, count);
        workers[n++] = worker_new(i, watch);
    }
    for (unsigned i = 0; i < n; i++)
        loop_call(loops[workers[i]->loop], begin, workers[i]);
    for (unsigned i = 0; with_disturbers && i < LOOPS; i++) {
        disturbers[i] = g_new0(Disturber, 1);
        start_disturber(disturbers[i], i);
    }
    wait_until_none(&working);
    for (unsigned i = 0; i < n; i++) {
        counted += workers[i]->counted;
        seen += workers[i]->seen;
        g_free(workers[i]);
    }
    for (unsigned i = 0; i < LOOPS; i++)
        g_free(disturbers[i]);
    assert_int_equal(get(&torn), 0);
    assert_int_equal(counted, 2 * LOOPS * ROUNDS);
    assert_int_equal(counter_in_file(), counted);
    assert_true(seen > 0);
}

static void no_count_is_lost_and_nothing_torn(void **state)
{
    (void)state;
    run_all(false);
}

static void lost_sessions_do_no_harm(void **state)
{
    (void)state;
    run_all(true);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_count_is_lost_and_nothing_torn),
        TEST(lost_sessions_do_no_harm),
    };
    return unit_run(tests);
}
