/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The recording transport, and the LUN under test. */
#include "tests/unit/scsi_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_S 60

/* --- the loop --------------------------------------------------------------------------------- */

static gboolean too_late(gpointer arg)
{
    (void)arg;
    g_error("deadline passed");
    return G_SOURCE_REMOVE;
}

void wait_for(const bool *flag)
{
    guint deadline = g_timeout_add_seconds(DEADLINE_S, too_late, NULL);
    while (!*flag)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(deadline);
}

void wait_turns(unsigned turns)
{
    while (turns-- > 0)
        g_main_context_iteration(NULL, FALSE);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

/* --- the LUN ---------------------------------------------------------------------------------- */

static void grow(void *arg)
{
    (void)arg; /* all chunks are there from the start */
}

Scsi *scsi_new(void (*change)(LunSpec *spec))
{
    Scsi *s = g_new0(Scsi, 1);
    GError *error = NULL;
    s->loop = loop_new_main(&(LoopConfig){0});
    s->arena =
        arena_new(&(ArenaConfig){.limit = 64 * MIB, .initial = 64 * MIB}, grow, NULL, &error);
    g_assert_no_error(error);
    s->memory = memory_new(s->arena, SIZE_MAX, &s->loop, 1);
    s->target = scsi_target_new(SCSI_NAME, &s->loop, 1);

    s->dir = g_dir_make_tmp("rtgt-scsi-XXXXXX", &error);
    g_assert_no_error(error);
    s->path = g_build_filename(s->dir, "lun", NULL);
    s->spec = (LunSpec){.target_name = SCSI_NAME,
                        .path = s->path,
                        .size = 64 * MIB,
                        .create = true,
                        .write_cache = true,
                        .block_size = 512,
                        .engine = aio_engine_find("syslet"),
                        .mode = AIO_BUFFERED};
    aio_params_init(&s->spec.params);
    if (change)
        change(&s->spec);
    s->lun = lun_new(&s->spec, s->memory, &s->loop, 1, &error);
    g_assert_no_error(error);
    scsi_target_add_lun(s->target, s->lun);
    s->nexus = scsi_nexus(s);
    return s;
}

void scsi_free(Scsi *s)
{
    bool removed = false, closed = false;
    if (s->nexus)
        scsi_close_nexus(s->nexus);
    scsi_target_remove_lun(s->target, s->lun, set_flag, &removed);
    wait_for(&removed);
    lun_close(s->lun, set_flag, &closed);
    wait_for(&closed);
    scsi_target_free(s->target);
    memory_free(s->memory);
    arena_flush_tcache(s->arena);
    arena_free(s->arena);
    loop_free(s->loop);
    g_unlink(s->path);
    g_rmdir(s->dir);
    g_free(s->path);
    g_free(s->dir);
    g_free(s);
}

int scsi_setup(void **state)
{
    Scsi *s = scsi_new(NULL);
    expect(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0, SENSE_POWER_ON_RESET);
    *state = s;
    return 0;
}

int scsi_teardown(void **state)
{
    scsi_free(*state);
    return 0;
}

Nexus *scsi_nexus(Scsi *s)
{
    return nexus_new(s->target, s->loop, s->memory, "iqn.2026-01.org.example:initiator",
                     (const uint8_t *)"\x05", 1);
}

void scsi_close_nexus(Nexus *nexus)
{
    bool closed = false;
    nexus_close(nexus, set_flag, &closed);
    wait_for(&closed);
}

void scsi_file_read(const Scsi *s, void *data, size_t len, uint64_t offset)
{
    int fd = open(s->path, O_RDONLY);
    g_assert_cmpint(pread(fd, data, len, (off_t)offset), ==, (gssize)len);
    close(fd);
}

void scsi_file_write(const Scsi *s, const void *data, size_t len, uint64_t offset)
{
    int fd = open(s->path, O_WRONLY);
    g_assert_cmpint(pwrite(fd, data, len, (off_t)offset), ==, (gssize)len);
    close(fd);
}

/* --- the transport ---------------------------------------------------------------------------- */

static Cmd *cmd_of(Task *task)
{
    return (Cmd *)task;
}

static void moved(void *arg)
{
    DataMove *move = arg;
    move->done(move, 0);
}

static void cancelled(void *arg)
{
    DataMove *move = arg;
    move->done(move, -ECANCELED);
}

static void finish_move(Cmd *cmd, DataMove *move)
{
    if (!cmd->hold) {
        loop_call(loop_self(), moved, move);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(cmd->held); i++)
        if (!cmd->held[i]) {
            cmd->held[i] = move;
            return;
        }
    g_assert_not_reached();
}

static void record(Cmd *cmd, const DataMove *move)
{
    g_assert_cmpuint(move->offset, ==, cmd->in->len); /* in order, without a gap */
    g_assert_cmpuint(move->offset + move->len, <=, cmd->task.data_in_len);
    for (int i = 0; i < move->iovcnt; i++)
        g_byte_array_append(cmd->in, move->iov[i].iov_base, (guint)move->iov[i].iov_len);
    g_assert_cmpuint(move->offset + move->len, ==, cmd->in->len);
}

static void fake_put_data(Task *task, DataMove *move)
{
    Cmd *cmd = cmd_of(task);
    g_assert_false(cmd->responded);
    cmd->moves++;
    record(cmd, move);
    finish_move(cmd, move);
}

static void fake_get_data(Task *task, DataMove *move)
{
    Cmd *cmd = cmd_of(task);
    const uint8_t *from = cmd->out + move->offset;
    g_assert_cmpuint(move->offset, >=, task->immediate_len);
    g_assert_cmpuint(move->offset + move->len, <=, task->data_out_len);
    for (int i = 0; i < move->iovcnt; i++) {
        memcpy(move->iov[i].iov_base, from, move->iov[i].iov_len);
        from += move->iov[i].iov_len;
    }
    g_assert_true(from == cmd->out + move->offset + move->len);
    cmd->moves++;
    finish_move(cmd, move);
}

static void fake_cancel(Task *task, DataMove *move)
{
    Cmd *cmd = cmd_of(task);
    for (unsigned i = 0; i < G_N_ELEMENTS(cmd->held); i++)
        if (cmd->held[i] == move) {
            cmd->held[i] = NULL;
            loop_call(loop_self(), cancelled, move);
        }
}

static void fake_respond(Task *task, DataMove *last)
{
    Cmd *cmd = cmd_of(task);
    g_assert_false(cmd->responded);
    if (last) {
        record(cmd, last);
        finish_move(cmd, last);
    }
    cmd->responded = true;
    if (cmd->order)
        g_queue_push_tail(cmd->order, cmd);
}

static void fake_released(Task *task)
{
    Cmd *cmd = cmd_of(task);
    g_assert_false(cmd->released);
    cmd->released = true;
    cmd->aborted = !cmd->responded;
    if (cmd->ended)
        cmd->ended(cmd);
}

static const TaskTransport fake_transport = {
    .put_data = fake_put_data,
    .get_data = fake_get_data,
    .cancel = fake_cancel,
    .respond = fake_respond,
    .released = fake_released,
};

/* --- commands --------------------------------------------------------------------------------- */

Cmd *cmd_new(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len)
{
    static uint64_t tags;
    Cmd *cmd = g_new(Cmd, 1);
    memset(cmd, 0xa5, sizeof *cmd); /* what the transport does not fill is garbage */
    *cmd = (Cmd){.in = g_byte_array_new()};
    memset(&cmd->task, 0xa5, sizeof cmd->task);
    Task *task = &cmd->task;
    task->nexus = nexus;
    task->transport = &fake_transport;
    task->tag = __atomic_add_fetch(&tags, 1, __ATOMIC_RELAXED);
    task->lun = 0;
    memset(task->cdb, 0, sizeof task->cdb);
    memcpy(task->cdb, cdb, cdb_len);
    task->cdb_len = MAX(cdb_len, 16);
    task->attribute = TASK_SIMPLE;
    task->data_out_len = task->data_in_len = 0;
    task->immediate = NULL;
    task->immediate_len = 0;
    return cmd;
}

void cmd_free(Cmd *cmd)
{
    g_assert_true(cmd->released);
    g_byte_array_unref(cmd->in);
    g_free(cmd);
}

void cmd_submit(Cmd *cmd)
{
    task_submit(&cmd->task);
}

void cmd_wait(Cmd *cmd)
{
    wait_for(&cmd->released);
}

Cmd *cmd_run(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, uint32_t in)
{
    Cmd *cmd = cmd_new(nexus, cdb, cdb_len);
    cmd->task.data_in_len = in;
    cmd_submit(cmd);
    cmd_wait(cmd);
    return cmd;
}

Cmd *cmd_run_out(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, const void *out, uint32_t len)
{
    Cmd *cmd = cmd_new(nexus, cdb, cdb_len);
    cmd->out = out;
    cmd->task.data_out_len = len;
    cmd_submit(cmd);
    cmd_wait(cmd);
    return cmd;
}

SenseCode cmd_sense(const Cmd *cmd)
{
    const Task *task = &cmd->task;
    g_assert_true(cmd->responded);
    if (task->status == SCSI_GOOD)
        return 0;
    g_assert_cmpuint(task->status, ==, SCSI_CHECK_CONDITION);
    const uint8_t *s = task->sense;
    return s[0] == 0x72 ? SENSE_CODE(s[1], s[2], s[3]) : SENSE_CODE(s[2], s[12], s[13]);
}

static void check(Cmd *cmd, SenseCode sense)
{
    g_assert_cmphex(cmd_sense(cmd), ==, sense);
    cmd_free(cmd);
}

void expect(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, uint32_t in, SenseCode sense)
{
    check(cmd_run(nexus, cdb, cdb_len, in), sense);
}

void expect_out(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, const void *out, uint32_t len,
                SenseCode sense)
{
    check(cmd_run_out(nexus, cdb, cdb_len, out, len), sense);
}

void cdb_rw16(uint8_t cdb[16], uint8_t opcode, uint64_t lba, uint32_t blocks)
{
    memset(cdb, 0, 16);
    cdb[0] = opcode;
    put_be64(cdb + 2, lba);
    put_be32(cdb + 10, blocks);
}

/* --- the slow engine -------------------------------------------------------------------------- */

static GPtrArray *slow_reqs, *slow_done; /* AioReq */

static int slow_accepts(const AioFile *file, const AioParams *params, const char **why)
{
    (void)file, (void)params, (void)why;
    return 0;
}

static int slow_open(const AioParams *params, AioCtx **ctx)
{
    (void)params;
    slow_reqs = g_ptr_array_new();
    slow_done = g_ptr_array_new();
    *ctx = g_new0(AioCtx, 1);
    (*ctx)->engine = &slow_engine;
    return 0;
}

static int slow_event_fd(AioCtx *ctx)
{
    (void)ctx;
    return -1;
}

static bool slow_queue(AioCtx *ctx, AioReq *req)
{
    if (slow_reqs->len + slow_done->len >= 100)
        return false;
    ctx->counters.submitted++;
    g_ptr_array_add(slow_reqs, req);
    return true;
}

static void slow_flush(AioCtx *ctx)
{
    (void)ctx;
}

static unsigned slow_reap(AioCtx *ctx, unsigned max)
{
    unsigned n = 0;
    (void)ctx;
    for (; n < max && slow_done->len > 0; n++) {
        AioReq *req = g_ptr_array_steal_index(slow_done, 0);
        req->done(req);
    }
    return n;
}

static void slow_add_memory(AioCtx *ctx, void *base, size_t len)
{
    (void)ctx, (void)base, (void)len;
}

static void slow_close(AioCtx *ctx)
{
    g_assert_cmpuint(slow_reqs->len + slow_done->len, ==, 0);
    g_ptr_array_unref(slow_reqs);
    g_ptr_array_unref(slow_done);
    g_free(ctx);
}

static const char *const no_options[] = {NULL};

const AioEngine slow_engine = {
    .name = "slow",
    .summary = "for tests",
    .options = no_options,
    .accepts = slow_accepts,
    .open = slow_open,
    .event_fd = slow_event_fd,
    .queue = slow_queue,
    .flush = slow_flush,
    .reap = slow_reap,
    .add_memory = slow_add_memory,
    .close = slow_close,
};

unsigned slow_waiting(void)
{
    wait_turns(4);
    return slow_reqs->len;
}

const AioReq *slow_peek(unsigned index)
{
    return slow_reqs->pdata[index];
}

static void wake(void *arg)
{
    (void)arg;
}

void slow_finish(unsigned index, int error)
{
    AioReq *req = g_ptr_array_steal_index(slow_reqs, index);
    if (!error && req->op == AIO_READ)
        for (int i = 0; i < req->iovcnt; i++)
            memset(req->iov[i].iov_base, 0x5a, req->iov[i].iov_len);
    req->res = error ? error : (ssize_t)req->len;
    g_ptr_array_add(slow_done, req);
    loop_call(loop_self(), wake, NULL);
}

void slow_finish_all(int error)
{
    while (slow_reqs->len > 0)
        slow_finish(0, error);
}
