/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a task: submitted, blocked, running, answered or aborted, released. */
#include "core/scsi/task.h"

#include "core/base/links.h"
#include "core/scsi/alua.h"
#include "core/scsi/claim.h"
#include "core/scsi/command.h"
#include "core/scsi/hung.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/readiness.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/tmf.h"
#include "core/scsi/transfer.h"

#include <errno.h>
#include <string.h>

/* The transport's own fields and the sense buffer are left alone: a task is a kilobyte, and most
 * of it is not used by most commands. */
static void init(Task *task)
{
    task->status = SCSI_GOOD;
    task->sense_len = 0;
    task->data_out_wanted = task->data_in_wanted = 0;
    task->busy = 0;
    task->failed = task->committing = false;
    task->orphans = 0;
    task->link = (GList){.data = task};
    task->begun = false;
    task->claim = NULL;
    task->waiters = NULL;
    task->own_ops = NULL;
    task->operation = NULL;
    task->store_failure = SENSE_NO_SENSE;
    task->position = task->end = task->finished = 0;
    task->store_flags = 0;
    for (unsigned i = 0; i < TASK_TRANSFERS; i++) {
        Transfer *t = &task->transfers[i];
        t->state = TRANSFER_IDLE;
        t->task = task;
        t->orphan = false;
        t->hold = NULL;
        t->segment.iovcnt = 0;
        t->segment.len = 0;
        t->segment.waiting = false;
    }
}

void task_submit(Task *task)
{
    Nexus *nexus = task->nexus;
    init(task);
    task->arrived = loop_now(nexus->loop);
    task->itl = nexus_itl(nexus, task->lun);
    task->command = command_find(task->cdb);
    nexus->tasks++;
    itl_admit(task->itl, task);
}

static bool offered(const Task *task)
{
    return !(task->command->flags & COMMAND_NOT_EVERYWHERE) ||
           command_offered(task->command, task_lun(task));
}

/* Of an opcode that is there, another service action is a wrong field (SPC-4 4.3.4). */
static void fail_unknown(Task *task)
{
    const Command *row = command_of_opcode(task->cdb[0]);
    if (!task->command && row && command_offered(row, task_lun(task)))
        task_fail_cdb(task, 1, 4);
    else
        task_fail(task, SENSE_INVALID_OPCODE);
}

static bool reports(Task *task, SenseCode attention)
{
    if (attention != SENSE_NO_SENSE)
        task_fail(task, attention);
    return attention != SENSE_NO_SENSE;
}

/* What may be answered before the command is looked at more closely; true when it was. */
static bool answer_early(Task *task)
{
    const Command *command = task->command;
    unsigned flags = command ? command->flags : 0;
    if (!task->itl->shard && !(flags & COMMAND_ANY_LUN)) {
        task_fail(task, SENSE_LUN_NOT_SUPPORTED);
        return true;
    }
    bool attention = G_UNLIKELY(unit_attentions_pending(&task->itl->attentions)) &&
                     !(flags & COMMAND_PASSES_ATTENTION);
    if (attention && reports(task, itl_take_reset(task->itl)))
        return true;
    if (reserve_refuses(task))
        return true;
    if (attention && reports(task, itl_take_attention(task->itl)))
        return true;
    if (alua_refuses(task))
        return true;
    if (!command || !offered(task)) {
        fail_unknown(task);
        return true;
    }
    if (task->attribute == TASK_ACA) { /* there is never an ACA condition: NACA is refused */
        task_fail(task, SENSE_INVALID_MESSAGE);
        return true;
    }
    return hung_answers(task);
}

/* What a command may ask of others, or they of it: see claim.h. */
static bool concerns_claims(const Task *task)
{
    const LunShard *shard = task->itl->shard;
    return (task->command->flags & COMMAND_EXCLUSIVE) || (shard && shard->claims > 0);
}

void task_run(Task *task)
{
    task->begun = true;
    task->command->run(task);
}

/* The order in which a command meets what may keep it from being done; the first that does,
 * answers. SAM-5 5.3.3 gives the first half of it, and leaves open where BUSY and ILLEGAL REQUEST
 * stand:
 * - a logical unit that is not there (SPC-4 4.3.5.2), before all that only one can say;
 * - the unit attentions of resets and of the loss of the nexus: the initiator learns first that
 *   what it knew of the logical unit is void. INQUIRY, REPORT LUNS and REQUEST SENSE pass all unit
 *   attentions (SAM-5 5.14.1);
 * - a reservation conflict (SPC-4 5.13.1, SBC-3 4.17);
 * - the other unit attentions, so those of reservations that were preempted or released;
 * - the asymmetric access state of the port (SPC-4 5.15.2.4);
 * - an operation code, service action or task attribute that does not exist: from here on a row of
 *   the table is known. There is no auto contingent allegiance to come before these: NACA is a
 *   wrong bit in the CDB (SAM-5 5.2), the ACA attribute a wrong message;
 * - a store that hangs: BUSY, for a command that would not come back;
 * - the medium: stopped, ejected, being formatted or useless after that (SBC-3 4.10, 4.11, 5.3.1),
 *   but for the commands that readiness.c lets through;
 * - wrong bits in the CDB, then write protection (SBC-3 4.13);
 * - claims, behind which it only waits.
 * An abort or reset finds it at one of these, blocked, or running, and ends it the same way. What
 * an EXTENDED COPY does to other LUNs meets the same in the same order (copy.c). */
void task_start(Task *task)
{
    task->state = TASK_RUNNING;
    if (answer_early(task))
        return;
    if (!readiness_admit(task))
        return;
    int bad = command_check_cdb(task->command, task->cdb, task->cdb_len);
    if (bad >= 0)
        task_fail_cdb(task, bad >> 3, bad & 7);
    else if ((task->command->flags & COMMAND_WRITES) && lun_write_protected(task_lun(task)))
        task_fail(task, SENSE_WRITE_PROTECTED);
    else if (G_UNLIKELY(concerns_claims(task)))
        claim_admit(task);
    else
        task_run(task);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end_own(Task *task)
{
    if (G_UNLIKELY(task->own_ops)) {
        task->own_ops->ended(task);
        task->own_ops = NULL;
    }
}

static void release(Task *task)
{
    Itl *itl = task->itl;
    end_own(task);
    g_assert(!task->waiters);
    if (task->state == TASK_ABORTED)
        itl_leave(itl, task);
    links_remove(&itl->tasks, &task->link);
    task->transport->released(task);
    nexus_task_released(itl);
}

void task_unbusy(Task *task)
{
    if (--task->busy == 0 && task->state >= TASK_RESPONDED)
        release(task);
}

static void count(const Task *task)
{
    LunShard *shard = task->itl->shard;
    if (!shard)
        return;
    LunStats *stats = &shard->stats;
    LatencyOperation operation = LATENCY_OTHER;
    if (G_UNLIKELY(task->status != SCSI_GOOD && task->status != SCSI_CONDITION_MET))
        counter_add(&stats->errors, 1);
    switch (task->command ? task->command->kind : COMMAND_OTHER) {
    case COMMAND_READ:
        counter_add(&stats->reads, 1);
        counter_add(&stats->read_bytes, task->finished);
        operation = LATENCY_READ;
        break;
    case COMMAND_WRITE:
        counter_add(&stats->writes, 1);
        counter_add(&stats->write_bytes, task->finished);
        operation = LATENCY_WRITE;
        break;
    case COMMAND_FLUSH:
        counter_add(&stats->flushes, 1);
        break;
    case COMMAND_UNMAP:
        counter_add(&stats->unmaps, 1);
        break;
    case COMMAND_OTHER:
        counter_add(&stats->others, 1);
        break;
    }
    latency_answered(&shard->latency, latency_series(operation, task->finished), task->arrived);
}

static void respond(Task *task, Transfer *last)
{
    Itl *itl = task->itl;
    task->state = TASK_RESPONDED;
    task->busy++;
    end_own(task);
    count(task);
    task->transport->respond(task, last ? &last->move : NULL);
    itl_leave(itl, task);
    task_unbusy(task);
}

void task_complete(Task *task, Transfer *last)
{
    respond(task, last);
}

/* --- failure ---------------------------------------------------------------------------------- */

static bool must_be_waited_for(const Transfer *t)
{
    return t->state == TRANSFER_STORAGE || t->state == TRANSFER_GET_DATA;
}

void task_settle(Task *task)
{
    if (task->waiters && (task->state == TASK_ABORTED || task->failed) && !task_may_write(task))
        tmf_task_settled(task);
    if (task->state != TASK_RUNNING || !task->failed)
        return;
    for (unsigned i = 0; i < TASK_TRANSFERS; i++)
        if (must_be_waited_for(&task->transfers[i]))
            return;
    respond(task, NULL);
}

static void end_waiting_transfers(Task *task)
{
    for (unsigned i = 0; i < TASK_TRANSFERS; i++) {
        TransferState state = task->transfers[i].state;
        if (state == TRANSFER_WAIT_MEMORY || state == TRANSFER_READY)
            transfer_end(&task->transfers[i]);
    }
    if (task->own_ops)
        task->own_ops->stopped(task);
}

bool task_descriptor_sense(const Task *task)
{
    return task->itl->shard && lun_flag(&task_lun(task)->descriptor_sense);
}

static void count_failure(const Task *task, SenseCode code)
{
    LunShard *shard = task->itl->shard;
    if (code == SENSE_READ_ERROR)
        counter_add(&shard->stats.read_errors, 1);
    else if (code == SENSE_WRITE_ERROR)
        counter_add(&shard->stats.write_errors, 1);
}

/* False where the task has failed already: the first failure counts. */
static bool build_sense(Task *task, SenseCode code, const SenseField *field)
{
    if (task->failed)
        return false;
    task->failed = true;
    count_failure(task, code);
    task->status = SCSI_CHECK_CONDITION;
    task->sense_len = sense_build(task->sense, task_descriptor_sense(task), code, field);
    return true;
}

static void end_failed(Task *task)
{
    task->busy++;
    end_waiting_transfers(task);
    task_settle(task);
    task_unbusy(task);
}

void task_fail_sense(Task *task, const uint8_t *sense, unsigned len)
{
    if (!task->failed) {
        task->failed = true;
        task->status = SCSI_CHECK_CONDITION;
        task->sense_len = len;
        memcpy(task->sense, sense, len);
    }
    end_failed(task);
}

static void fail(Task *task, SenseCode code, const SenseField *field)
{
    build_sense(task, code, field);
    end_failed(task);
}

void task_fail(Task *task, SenseCode code)
{
    fail(task, code, NULL);
}

void task_fail_if_running(Task *task, SenseCode code)
{
    if (task->state == TASK_RUNNING)
        task_fail(task, code);
}

void task_fail_information(Task *task, SenseCode code, uint64_t information)
{
    if (build_sense(task, code, NULL))
        task->sense_len = sense_set_information(task->sense, task->sense_len, information);
    end_failed(task);
}

void task_fail_progress(Task *task, SenseCode code, uint16_t progress)
{
    if (build_sense(task, code, NULL) && sense_has_progress(code))
        task->sense_len = sense_set_progress(task->sense, task->sense_len, progress);
    end_failed(task);
}

void task_fail_field(Task *task, SenseCode code, const SenseField *field)
{
    fail(task, code, field);
}

void task_fail_cdb(Task *task, int byte, int bit)
{
    const SenseField field = {.byte = byte, .bit = bit, .in_cdb = true};
    fail(task, SENSE_INVALID_FIELD_IN_CDB, &field);
}

void task_fail_parameter(Task *task, int byte, int bit)
{
    const SenseField field = {.byte = byte, .bit = bit};
    fail(task, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, &field);
}

static bool is_reading(AioOp op)
{
    return op == AIO_READ || op == AIO_EXTENT || op == AIO_PREFETCH;
}

SenseCode task_errno_sense(AioOp op, int error)
{
    switch (-error) {
    case ENOSPC:
    case EDQUOT:
        return SENSE_SPACE_ALLOCATION_FAILED;
    case EROFS:
    case EPERM:
    case EACCES:
        return SENSE_WRITE_PROTECTED;
    case ERANGE: /* of shard.c: the LUN has shrunk */
        return SENSE_LBA_OUT_OF_RANGE;
    case EOPNOTSUPP:
        return SENSE_INVALID_OPCODE;
    case ENOMEM:
        return SENSE_INTERNAL_TARGET_FAILURE;
    default:
        return is_reading(op) ? SENSE_READ_ERROR : SENSE_WRITE_ERROR;
    }
}

void task_fail_errno(Task *task, AioOp op, int error)
{
    task_fail(task, task->store_failure ? task->store_failure : task_errno_sense(op, error));
}

/* --- abort ------------------------------------------------------------------------------------ */

static bool changes_store(AioOp op)
{
    return op == AIO_WRITE || op == AIO_DISCARD || op == AIO_WRITE_ZEROES;
}

/* No step follows the one under way in a task that is aborted or has failed. */
bool task_may_write(const Task *task)
{
    if (task->committing)
        return true;
    for (unsigned i = 0; i < TASK_TRANSFERS; i++) {
        const Transfer *t = &task->transfers[i];
        if (t->state == TRANSFER_STORAGE && changes_store(t->req.op))
            return true;
    }
    return false;
}

bool task_is_orphaned_read(const Task *task)
{
    if (task->state != TASK_ABORTED || task_may_write(task))
        return false;
    for (unsigned i = 0; i < TASK_TRANSFERS; i++) {
        TransferState state = task->transfers[i].state;
        if (state != TRANSFER_IDLE && state != TRANSFER_STORAGE)
            return false;
    }
    return true;
}

/* What waits at the LUN's gate, or for a place in the engine, is not waited for. */
static void withdraw_requests(Task *task)
{
    for (unsigned i = 0; i < TASK_TRANSFERS; i++) {
        Transfer *t = &task->transfers[i];
        if (t->state != TRANSFER_STORAGE || !lun_shard_withdraw(t->shard, &t->req))
            continue;
        if (t->orphan)
            hung_orphan_back(t);
        t->state = TRANSFER_READY;
    }
}

static void cancel_moves(Task *task)
{
    for (unsigned i = 0; i < TASK_TRANSFERS; i++) {
        Transfer *t = &task->transfers[i];
        if (t->state == TRANSFER_GET_DATA || t->state == TRANSFER_PUT_DATA)
            task->transport->cancel(task, &t->move);
    }
}

static void abort_blocked(Task *task)
{
    Itl *itl = task->itl;
    task->state = TASK_ABORTED;
    g_queue_unlink(&itl->blocked, &task->link);
    task->transport->released(task);
    itl_start_blocked(itl);
    nexus_task_released(itl);
}

void task_abort(Task *task)
{
    if (task->state == TASK_ABORTED)
        return;
    if (task->state == TASK_BLOCKED) {
        abort_blocked(task);
        return;
    }
    task->busy++;
    if (task->state == TASK_RUNNING) {
        task->state = TASK_ABORTED;
        withdraw_requests(task);
        end_waiting_transfers(task);
        hung_orphans_add(task);
    }
    cancel_moves(task);
    task_unbusy(task);
}
