/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The background operation: recorded, the medium at rest, written in pieces, forgotten. */
#include "core/scsi/operation.h"

#include "core/scsi/command.h"
#include "core/scsi/nexus.h"
#include "core/scsi/operation_record.h"
#include "core/scsi/sanitize.h"
#include "core/scsi/task_impl.h"

#include <errno.h>
#include <string.h>

#define ZEROES_PIECE     (UINT64_C(64) << 20)
#define BUFFERS          4 /* of a piece, all of them the same memory */
#define REST_INTERVAL_MS 10

struct Operation {
    LunShard *shard;
    OperationRecord record; /* of which `pass` is the one under way */
    MediumCondition before;
    Task *starter; /* until it knows that the operation is recorded */
    bool immediate;

    unsigned next_loop; /* whose commands are looked at */
    GSource *timer;     /* on that loop */

    uint64_t position; /* of the pass; bytes */
    MemoryClient *client;
    Segment segment; /* with the pattern */
    struct iovec iov[BUFFERS];
    AioReq req;
};

static const MediumCondition under_way[] = {
    [OPERATION_FORMAT] = MEDIUM_FORMATTING, [OPERATION_SANITIZE] = MEDIUM_SANITIZING};
static const MediumCondition failed[] = {
    [OPERATION_FORMAT] = MEDIUM_FORMAT_CORRUPT, [OPERATION_SANITIZE] = MEDIUM_NOT_SANITIZED};

void operation_free(Operation *op)
{
    if (!op)
        return;
    operation_record_clear(&op->record);
    g_free(op);
}

/* --- the condition of the medium -------------------------------------------------------------- */

MediumCondition operation_condition(const Lun *lun)
{
    return __atomic_load_n(&lun->operation.condition, __ATOMIC_RELAXED);
}

uint16_t operation_progress(const Lun *lun)
{
    return (uint16_t)MIN(__atomic_load_n(&lun->operation.progress, __ATOMIC_RELAXED), 65535);
}

static void set_condition(Lun *lun, MediumCondition condition)
{
    pthread_mutex_lock(&lun->lock);
    __atomic_store_n(&lun->operation.condition, condition, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lun->lock);
}

bool operation_running(Lun *lun)
{
    pthread_mutex_lock(&lun->lock);
    bool running = lun->operation.running > 0;
    pthread_mutex_unlock(&lun->lock);
    return running;
}

void operation_stop(Lun *lun)
{
    __atomic_store_n(&lun->operation.stop, true, __ATOMIC_RELAXED);
}

static bool stopped(const Operation *op)
{
    return lun_flag(&op->shard->lun->operation.stop);
}

/* False where another one has begun since this command was let through. */
static bool enter(Operation *op)
{
    Lun *lun = op->shard->lun;
    LunOperation *state = &lun->operation;
    pthread_mutex_lock(&lun->lock);
    op->before = state->condition;
    bool idle = op->before != MEDIUM_FORMATTING && op->before != MEDIUM_SANITIZING;
    if (idle) {
        __atomic_store_n(&state->condition, under_way[op->record.spec.kind], __ATOMIC_RELAXED);
        __atomic_store_n(&state->progress, 0, __ATOMIC_RELAXED);
        state->unrestricted = op->record.spec.unrestricted;
        state->running++;
    }
    pthread_mutex_unlock(&lun->lock);
    return idle;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* On loop 0; the LUN may be gone afterwards. */
static void unhold(Lun *lun)
{
    pthread_mutex_lock(&lun->lock);
    lun->operation.running--;
    pthread_mutex_unlock(&lun->lock);
    lun_operation_ended(lun);
}

static void gone(void *arg)
{
    Operation *op = arg;
    Lun *lun = op->shard->lun;
    operation_free(op);
    unhold(lun);
}

/* The task that waits for the end, unless it was aborted. */
static Task *find_waiter(const Operation *op)
{
    for (GList *i = op->shard->itls.head; i; i = i->next)
        for (GList *t = ((Itl *)i->data)->tasks.head; t; t = t->next) {
            Task *task = t->data;
            if (task->operation == op && task->state == TASK_RUNNING)
                return task;
        }
    return NULL;
}

static void settle(Operation *op, MediumCondition condition)
{
    Lun *lun = op->shard->lun;
    set_condition(lun, condition);
    Task *task = find_waiter(op);
    if (task && condition == MEDIUM_GOOD)
        task_complete(task, NULL);
    else if (task)
        task_fail(task, op->record.spec.kind == OPERATION_FORMAT ? SENSE_FORMAT_FAILED
                                                                 : SENSE_SANITIZE_FAILED);
    loop_call(lun->main, gone, op);
}

static void forgotten(const GError *error, void *arg)
{
    (void)error; /* at worst the next start takes it for a failure */
    settle(arg, MEDIUM_GOOD);
}

static void failure_noted(const GError *error, void *arg)
{
    Operation *op = arg;
    (void)error; /* at worst the next start tries once more */
    settle(op, failed[op->record.spec.kind]);
}

static void finish(Operation *op, int res)
{
    const Lun *lun = op->shard->lun;
    const LunSpec *spec = &lun->spec;
    const char *name = operation_name(op->record.spec.kind);
    segment_release(&op->segment);
    if (op->client)
        memory_client_free(op->client);
    if (res == -ECANCELED) { /* the record stays as it is, for the next start */
        g_message("LUN %s/%u: %s is interrupted in pass %u", spec->target_name, spec->number, name,
                  op->record.pass + 1);
        settle(op, failed[op->record.spec.kind]);
        return;
    }
    if (res == 0) {
        g_message("LUN %s/%u: %s ended", spec->target_name, spec->number, name);
        operation_record_forget(lun, op->shard->loop, forgotten, op);
        return;
    }
    g_warning("LUN %s/%u: %s failed at byte %" G_GUINT64_FORMAT " of pass %u: %s",
              spec->target_name, spec->number, name, op->position, op->record.pass + 1,
              g_strerror(-res));
    op->record.failed = true;
    operation_record_save(lun, &op->record, op->shard->loop, failure_noted, op);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void next_piece(Operation *op);
static void begin_pass(Operation *op);

static uint64_t size_of(const Operation *op)
{
    return lun_blocks(op->shard->lun) << op->shard->block_shift;
}

static void submit(Operation *op, AioOp what, uint64_t len, void (*done)(AioReq *))
{
    op->req.op = what;
    op->req.flags = what == AIO_WRITE_ZEROES && op->shard->lun->thin ? AIO_MAY_UNMAP : 0;
    op->req.offset = what == AIO_FLUSH ? 0 : op->position;
    op->req.len = len;
    op->req.done = done;
    lun_shard_submit(op->shard, &op->req);
}

static Operation *operation_of(AioReq *req)
{
    return (Operation *)((char *)req - offsetof(Operation, req));
}

static void pass_noted(const GError *error, void *arg)
{
    (void)error; /* at worst it is done twice */
    begin_pass(arg);
}

static void pass_flushed(AioReq *req)
{
    Operation *op = operation_of(req);
    lun_shard_request_done(op->shard, req);
    if (req->res < 0)
        finish(op, (int)req->res);
    else if (++op->record.pass == op->record.spec.passes)
        finish(op, 0);
    else
        operation_record_save(op->shard->lun, &op->record, op->shard->loop, pass_noted, op);
}

static void note_progress(Operation *op)
{
    double all = (double)size_of(op) * op->record.spec.passes;
    double done = (double)size_of(op) * op->record.pass + (double)op->position;
    __atomic_store_n(&op->shard->lun->operation.progress, (uint32_t)(done / all * 65536),
                     __ATOMIC_RELAXED);
}

static void piece_written(AioReq *req)
{
    Operation *op = operation_of(req);
    lun_shard_request_done(op->shard, req);
    if (req->res < 0 && req->res != -ERANGE) {
        finish(op, (int)req->res);
        return;
    }
    if (req->res >= 0) /* else the LUN was made shorter meanwhile: the piece again, as it is now */
        op->position += req->len;
    note_progress(op);
    next_piece(op);
}

static void write_pattern(Operation *op, uint64_t left)
{
    uint64_t len = 0;
    int n = 0;
    for (; n < BUFFERS && len < left; n++) {
        size_t part = MIN(op->segment.iov[0].iov_len, left - len);
        op->iov[n] = (struct iovec){op->segment.iov[0].iov_base, part};
        len += part;
    }
    op->req.iov = op->iov;
    op->req.iovcnt = n;
    submit(op, AIO_WRITE, len, piece_written);
}

static void next_piece(Operation *op)
{
    uint64_t size = size_of(op);
    if (stopped(op))
        finish(op, -ECANCELED);
    else if (op->position >= size)
        submit(op, AIO_FLUSH, 0, pass_flushed);
    else if (op->record.spec.pattern)
        write_pattern(op, size - op->position);
    else
        submit(op, AIO_WRITE_ZEROES, MIN(ZEROES_PIECE, size - op->position), piece_written);
}

static void fill_pattern(Operation *op)
{
    const OperationSpec *spec = &op->record.spec;
    size_t block = (size_t)1 << op->shard->block_shift;
    uint8_t *data = op->segment.iov[0].iov_base;
    uint8_t mask = spec->invert && (spec->passes - op->record.pass) % 2 == 0 ? 0xff : 0;
    for (size_t i = 0; i < block; i++)
        data[i] = spec->pattern[i % spec->pattern_len] ^ mask;
    for (size_t at = block; at < op->segment.iov[0].iov_len; at += block)
        memcpy(data + at, data, block);
}

static void begin_pass(Operation *op)
{
    op->position = 0;
    if (op->record.spec.pattern)
        fill_pattern(op);
    next_piece(op);
}

static void memory_granted(Segment *segment)
{
    begin_pass((Operation *)((char *)segment - offsetof(Operation, segment)));
}

static void begin_writing(void *arg)
{
    Operation *op = arg;
    if (op->record.spec.pattern) {
        op->client = memory_client_new(op->shard->lun->memory, op->shard->loop);
        op->segment.granted = memory_granted;
        if (!segment_acquire(op->client, &op->segment, ARENA_BUFFER_MAX))
            return;
    }
    begin_pass(op);
}

/* --- the medium at rest: what was let through before must not be written afterwards ----------- */

static bool at_rest(const LunShard *shard)
{
    if (shard->in_flight > 0 || shard->held.head || shard->guests.head)
        return false;
    for (GList *i = shard->itls.head; i; i = i->next)
        for (GList *t = ((Itl *)i->data)->tasks.head; t; t = t->next) {
            const Task *task = t->data;
            if (task->state == TASK_RUNNING && !task->operation && task->command &&
                (task->command->flags & COMMAND_WRITES))
                return false;
        }
    return true;
}

static bool look_at_loop(Operation *op);

static void look_here(void *arg);

static gboolean look_again(gpointer arg)
{
    Operation *op = arg;
    if (!look_at_loop(op))
        return G_SOURCE_CONTINUE;
    return G_SOURCE_REMOVE;
}

/* On the loop of op->next_loop; true when it is done with it, and `op` is elsewhere. */
static bool look_at_loop(Operation *op)
{
    Lun *lun = op->shard->lun;
    if (!stopped(op) && !at_rest(lun_shard(lun, lun->loops[op->next_loop])))
        return false;
    loop_timer_stop(&op->timer);
    if (++op->next_loop < lun->nloops)
        loop_call(lun->loops[op->next_loop], look_here, op);
    else
        loop_call(op->shard->loop, begin_writing, op);
    return true;
}

static void look_here(void *arg)
{
    Operation *op = arg;
    if (!look_at_loop(op))
        op->timer = loop_timer_start(loop_self(), REST_INTERVAL_MS, look_again, op);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static void recorded(const GError *error, void *arg)
{
    Operation *op = arg;
    Task *task = g_steal_pointer(&op->starter);
    Lun *lun = op->shard->lun;
    if (error) {
        set_condition(lun, op->before);
        task_fail_if_running(task, SENSE_INTERNAL_TARGET_FAILURE);
        loop_call(lun->main, gone, op);
    } else {
        g_message("LUN %s/%u: %s, asked for by %s", lun->spec.target_name, lun->spec.number,
                  operation_name(op->record.spec.kind), nexus_initiator(task->nexus));
        if (op->immediate && task->state == TASK_RUNNING)
            task_complete(task, NULL);
        loop_call(lun->loops[0], look_here, op);
    }
    task_unbusy(task);
}

void operation_begin(Task *task, const OperationSpec *spec, bool immediate)
{
    Operation *op = g_new0(Operation, 1);
    op->shard = task->itl->shard;
    op->record.spec = *spec;
    op->immediate = immediate;
    if (!enter(op)) {
        g_free(op);
        task_fail(task, SENSE_NOT_READY);
        return;
    }
    op->record.spec.pattern = g_memdup2(spec->pattern, spec->pattern_len);
    op->starter = task;
    task->operation = op;
    task->busy++;
    operation_record_save(task_lun(task), &op->record, op->shard->loop, recorded, op);
}

/* --- after a restart -------------------------------------------------------------------------- */

bool operation_load(Lun *lun, GError **error)
{
    OperationRecord *record = NULL;
    LunOperation *state = &lun->operation;
    if (!operation_record_load(lun, &record, error))
        return false;
    if (!record)
        return true;
    OperationKind kind = record->spec.kind;
    state->unrestricted = record->spec.unrestricted;
    state->condition = record->failed ? failed[kind] : under_way[kind];
    g_warning("LUN %s/%u: a %s did not end: %s", lun->spec.target_name, lun->spec.number,
              operation_name(kind),
              record->failed ? "the medium is of no use before another one" : "it goes on");
    if (record->failed) {
        operation_record_clear(record);
    } else {
        state->interrupted = g_new0(Operation, 1);
        state->interrupted->record = *record;
    }
    g_free(record);
    return true;
}

static void go_on(void *arg)
{
    Operation *op = arg;
    const Lun *lun = op->shard->lun;
    if (lun->spec.read_only)
        finish(op, -EROFS);
    else if (!sanitize_possible(lun))
        finish(op, -EOPNOTSUPP);
    else
        begin_writing(op);
}

void operation_resume(Lun *lun)
{
    Operation *op = g_steal_pointer(&lun->operation.interrupted);
    if (!op)
        return;
    op->shard = lun_shard(lun, lun->loops[0]);
    lun->operation.running++;
    note_progress(op);
    loop_call(op->shard->loop, go_on, op);
}

/* --- flushes ---------------------------------------------------------------------------------- */

typedef struct {
    AioReq req;
    LunShard *shard;
    void (*done)(int res, void *arg);
    void *arg;
} Flush;

static void let_go(void *arg)
{
    unhold(arg);
}

void operation_hold_on(LunShard *shard)
{
    Lun *lun = shard->lun;
    pthread_mutex_lock(&lun->lock);
    lun->operation.running++;
    pthread_mutex_unlock(&lun->lock);
}

void operation_let_go(LunShard *shard)
{
    loop_call(shard->lun->main, let_go, shard->lun);
}

static void flushed(AioReq *req)
{
    Flush *flush = (Flush *)req; /* its first member */
    lun_shard_request_done(flush->shard, req);
    flush->done((int)req->res, flush->arg);
    operation_let_go(flush->shard);
    g_free(flush);
}

void operation_flush(LunShard *shard, void (*done)(int res, void *arg), void *arg)
{
    Flush *flush = g_new0(Flush, 1);
    *flush = (Flush){.req = {.op = AIO_FLUSH, .done = flushed}, shard, done, arg};
    operation_hold_on(shard);
    lun_shard_submit(shard, &flush->req);
}

/* --- sanitize failure mode -------------------------------------------------------------------- */

static void left_failure(const GError *error, void *arg)
{
    Task *task = arg;
    if (error)
        task_fail_if_running(task, SENSE_INTERNAL_TARGET_FAILURE);
    else if (task->state == TASK_RUNNING)
        task_complete(task, NULL);
    task_unbusy(task);
}

bool operation_exit_failure(Task *task)
{
    Lun *lun = task_lun(task);
    LunOperation *state = &lun->operation;
    pthread_mutex_lock(&lun->lock);
    bool is_failed = state->condition == MEDIUM_NOT_SANITIZED;
    bool may_exit = is_failed && state->unrestricted;
    if (may_exit)
        __atomic_store_n(&state->condition, MEDIUM_GOOD, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lun->lock);
    if (is_failed && !may_exit)
        return false;
    task->busy++;
    if (may_exit)
        operation_record_forget(lun, task->itl->shard->loop, left_failure, task);
    else
        left_failure(NULL, task);
    return true;
}
