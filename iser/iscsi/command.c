/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SCSI commands: from the PDU to the Task, and the Task's answers back to the datamover. */
#include "iser/iscsi/command.h"

#include "core/scsi/sense.h"
#include "iser/iscsi/session.h"

#include <errno.h>

#define CDB_IN_HEADER 16

static const TaskTransport command_transport;

/* --- the pool ----------------------------------------------------------------------------------*/

void command_pool_init(CommandPool *pool, unsigned most)
{
    unsigned size = 2 * most + COMMANDS_IMMEDIATE, buckets = 1;
    while (buckets < size)
        buckets *= 2;
    *pool = (CommandPool){
        .all = g_new0(IscsiCommand, size),
        .buckets = g_new0(IscsiCommand *, buckets),
        .size = size,
        .mask = buckets - 1,
        .completed_tail = &pool->completed,
        .flush = {.run = command_run_completed},
    };
}

void command_pool_limit(CommandPool *pool, unsigned window)
{
    pool->limit = window + COMMANDS_IMMEDIATE;
}

void command_pool_clear(CommandPool *pool)
{
    g_assert(pool->in_use == 0 && pool->forgotten == 0 && !pool->completed);
    g_clear_pointer(&pool->all, g_free);
    g_clear_pointer(&pool->buckets, g_free);
}

/* Never touched commands are taken last, so that an idle session has no memory behind them. */
static IscsiCommand *command_take(CommandPool *pool, uint32_t itt)
{
    IscsiCommand *command = pool->free;
    if (pool->in_use >= pool->limit)
        return NULL;
    if (command)
        pool->free = command->next;
    else if (pool->used_once < pool->size)
        command = &pool->all[pool->used_once++];
    else
        return NULL;
    IscsiCommand **bucket = &pool->buckets[itt & pool->mask];
    command->next = *bucket;
    *bucket = command;
    pool->in_use++;
    return command;
}

IscsiCommand *command_by_itt(IscsiSession *session, uint32_t itt)
{
    IscsiCommand *command = session->commands.buckets[itt & session->commands.mask];
    while (command && command->itt != itt)
        command = command->next;
    return command;
}

static void command_unhash(CommandPool *pool, IscsiCommand *command)
{
    IscsiCommand **at = &pool->buckets[command->itt & pool->mask];
    while (*at != command)
        at = &(*at)->next;
    *at = command->next;
}

/* The PDU, and the place in the window that came with it. */
static void give_back(IscsiCommand *command)
{
    IscsiSession *session = command->session;
    DmPdu *pdu = g_steal_pointer(&command->pdu);
    if (command->numbered)
        session_retire(session, pdu);
    else
        session->dm->dm->release_pdu(pdu);
}

static void command_end(IscsiCommand *command)
{
    IscsiSession *session = command->session;
    CommandPool *pool = &session->commands;
    unsolicited_release(command);
    if (command->forgotten) {
        pool->forgotten--;
    } else {
        command_unhash(pool, command);
        pool->in_use--;
    }
    command->next = pool->free;
    pool->free = command;
    if (command->pdu)
        give_back(command);
}

static void command_end_if_unused(IscsiCommand *command)
{
    if (!command->task_held && !command->answer_held && !command->failing)
        command_end(command);
}

void command_forget_held(IscsiSession *session)
{
    CommandPool *pool = &session->commands;
    for (unsigned i = 0; i <= pool->mask; i++)
        for (IscsiCommand *command = pool->buckets[i], *next; command; command = next) {
            next = command->next;
            command->answer_held = command->failing = false;
            command_end_if_unused(command);
        }
}

/* Immediate data keeps its PDU, and with it the place in the window: that is what it is made of. */
static void forget_orphan(IscsiCommand *command)
{
    IscsiSession *session = command->session;
    CommandPool *pool = &session->commands;
    command_unhash(pool, command);
    command->forgotten = true;
    pool->forgotten++;
    pool->in_use--;
    if (!command->task.immediate_len)
        give_back(command);
}

static bool may_forget(const CommandPool *pool)
{
    return pool->forgotten + COMMANDS_IMMEDIATE < pool->limit;
}

void command_forget_orphans(IscsiSession *session)
{
    CommandPool *pool = &session->commands;
    for (unsigned i = 0; i <= pool->mask && may_forget(pool); i++)
        for (IscsiCommand *command = pool->buckets[i], *next; command; command = next) {
            next = command->next;
            if (command->task_held && !command->failing && !command->answer_held &&
                may_forget(pool) && task_is_orphaned_read(&command->task))
                forget_orphan(command);
        }
}

/* --- requests ----------------------------------------------------------------------------------*/

static TaskAttribute task_attribute(uint8_t flags)
{
    static const TaskAttribute attributes[COMMAND_ATTR_MASK + 1] = {
        [2] = TASK_ORDERED, [3] = TASK_HEAD_OF_QUEUE, [4] = TASK_ACA};
    return attributes[flags & COMMAND_ATTR_MASK];
}

/* False: the CDB has more bytes than a task takes. */
static bool take_cdb(IscsiCommand *command, const PduAhs *ahs)
{
    Task *task = &command->task;
    memcpy(task->cdb, command->pdu->bhs + COMMAND_CDB, CDB_IN_HEADER);
    task->cdb_len = CDB_IN_HEADER;
    if (ahs->extended_cdb_len > TASK_CDB_MAX - CDB_IN_HEADER)
        return false;
    if (ahs->extended_cdb_len) {
        memcpy(task->cdb + CDB_IN_HEADER, ahs->extended_cdb, ahs->extended_cdb_len);
        task->cdb_len += ahs->extended_cdb_len;
    }
    return true;
}

static void command_begin(IscsiCommand *command, IscsiSession *session, DmPdu *pdu)
{
    const uint8_t *bhs = pdu->bhs;
    uint8_t flags = bhs[PDU_FLAGS];
    Task *task = &command->task;
    task->nexus = session->nexus;
    task->transport = &command_transport;
    task->tag = pdu_itt(bhs);
    task->lun = pdu_lun(bhs);
    task->attribute = task_attribute(flags);

    command->session = session;
    command->pdu = pdu;
    command->itt = pdu_itt(bhs);
    command->edtl = get_be32(bhs + COMMAND_EDTL);
    command->numbered = !pdu_immediate(bhs);
    command->task_held = command->answer_held = command->failing = false;
    command->forgotten = false;
    command->fail_code = SENSE_NO_SENSE;
    command->burst_over = pdu_final(bhs);
    command->burst_end = pdu->data_len;
    command->burst_sn = 0;
    command->staged_count = 0;
    command->staged = NULL;
    command->staged_tail = &command->staged;
    command->waiting = NULL;

    task->data_out_len = flags & COMMAND_WRITE ? command->edtl : 0;
    task->data_in_len = flags & COMMAND_READ ? command->edtl : 0;
    task->immediate = pdu->data;
    task->immediate_len = pdu->data_len;
}

/* 0, or the sense code of what is wrong with data that comes unasked (11.3, 13.10, 13.11, 13.14).
 */
static SenseCode check_unsolicited(const IscsiCommand *command)
{
    const IscsiParams *params = &command->session->params;
    uint32_t len = command->pdu->data_len;
    if (len > command->edtl || len > params->first_burst_length ||
        (len && !params->immediate_data) || (!command->burst_over && params->initial_r2t))
        return SENSE_UNEXPECTED_UNSOLICITED_DATA;
    return SENSE_NO_SENSE;
}

/* Data without W, or more to come without W. */
static bool data_contradicts_flags(const DmPdu *pdu)
{
    return !(pdu->bhs[PDU_FLAGS] & COMMAND_WRITE) && (pdu->data_len || !pdu_final(pdu->bhs));
}

static void refuse(IscsiSession *session, DmPdu *pdu, RejectReason reason)
{
    bool numbered = !pdu_immediate(pdu->bhs);
    session_reject(session, reason, pdu->bhs);
    if (numbered)
        session_retire(session, pdu);
    else
        session->dm->dm->release_pdu(pdu);
}

/* Sense for a command that is not given to the SCSI side, or 0. */
static SenseCode check_command(IscsiCommand *command, const PduAhs *ahs)
{
    uint8_t both = COMMAND_READ | COMMAND_WRITE;
    if (!take_cdb(command, ahs) || (command->pdu->bhs[PDU_FLAGS] & both) == both)
        return SENSE_INVALID_FIELD_IN_IU; /* bidirectional commands are not supported */
    return check_unsolicited(command);
}

static void count_command(SessionRecord *record)
{
    __atomic_store_n(&record->commands, record->commands + 1, __ATOMIC_RELAXED);
}

void command_receive(IscsiSession *session, DmPdu *pdu)
{
    PduAhs ahs = {0};
    if ((pdu->ahs_len && !pdu_decode_ahs(pdu->ahs, pdu->ahs_len, &ahs)) ||
        data_contradicts_flags(pdu) || pdu_itt(pdu->bhs) == ISCSI_NO_TAG) {
        refuse(session, pdu, REJECT_INVALID_PDU_FIELD);
        return;
    }
    if (command_by_itt(session, pdu_itt(pdu->bhs))) {
        refuse(session, pdu, REJECT_TASK_IN_PROGRESS);
        return;
    }
    IscsiCommand *command = command_take(&session->commands, pdu_itt(pdu->bhs));
    if (!command) {
        refuse(session, pdu, REJECT_TOO_MANY_IMMEDIATE);
        return;
    }
    command_begin(command, session, pdu);
    SenseCode wrong = check_command(command, &ahs);
    if (wrong != SENSE_NO_SENSE) {
        command_fail(command, wrong);
        return;
    }
    count_command(session->record);
    command->task_held = true;
    task_submit(&command->task);
}

/* --- answers -----------------------------------------------------------------------------------*/

/* Flags and count for 11.4.5: what the initiator offered against what the command wanted. */
static uint8_t residual(const IscsiCommand *command, uint32_t *count)
{
    const Task *task = &command->task;
    uint64_t offered = command->edtl, wanted;
    if (task->data_in_len)
        wanted = task->data_in_wanted;
    else if (task->data_out_len)
        wanted = task->data_out_wanted;
    else {
        offered = 0;
        wanted = MAX(task->data_in_wanted, task->data_out_wanted);
    }
    uint64_t difference = wanted > offered ? wanted - offered : offered - wanted;
    *count = (uint32_t)MIN(difference, UINT32_MAX);
    return wanted > offered ? RESPONSE_OVERFLOW : wanted < offered ? RESPONSE_UNDERFLOW : 0;
}

static void count_bytes(const IscsiCommand *command)
{
    const Task *task = &command->task;
    SessionRecord *record = command->session->record;
    uint64_t in = MIN(task->data_in_wanted, task->data_in_len);
    uint64_t out = MIN(task->data_out_wanted, task->data_out_len);
    if (in)
        __atomic_store_n(&record->read_bytes, record->read_bytes + in, __ATOMIC_RELAXED);
    if (out)
        __atomic_store_n(&record->write_bytes, record->write_bytes + out, __ATOMIC_RELAXED);
}

/* A SCSI Response (11.4). */
static void send_response(IscsiCommand *command)
{
    const Task *task = &command->task;
    uint8_t bhs[ISCSI_BHS_LEN], data[2 + SENSE_MAX];
    uint32_t count;
    pdu_begin(bhs, ISCSI_SCSI_RESPONSE, PDU_FINAL, command->itt);
    bhs[PDU_FLAGS] |= residual(command, &count);
    bhs[RESPONSE_STATUS] = task->status;
    put_be32(bhs + RESPONSE_EXP_DATA_SN, command->pdu->exp_data_sn);
    put_be32(bhs + RESPONSE_RESIDUAL, count);
    put_be16(data, (uint16_t)task->sense_len);
    memcpy(data + 2, task->sense, task->sense_len);
    session_send(command->session, bhs, data, task->sense_len ? 2 + task->sense_len : 0);
}

/* --- the end -----------------------------------------------------------------------------------*/

static void answer(IscsiCommand *command, DataMove *last)
{
    Task *task = &command->task;
    count_bytes(command);
    if (last && !task->sense_len) {
        uint32_t count;
        uint8_t flags = residual(command, &count);
        command_move_put(command_move_take(command, last), PDU_FINAL | DATA_IN_STATUS | flags,
                         task->status, count);
        return;
    }
    if (last)
        command_move_put(command_move_take(command, last), PDU_FINAL, 0, 0);
    send_response(command);
}

static void command_respond(Task *task, DataMove *last)
{
    IscsiCommand *command = command_of(task);
    if (command->session->quiet) {
        if (last)
            command_move_complete(command_move_take(command, last), -ECONNRESET);
    } else if (!command->burst_over) {
        command->answer_held = true;
    } else {
        answer(command, last);
    }
}

static void command_released(Task *task)
{
    IscsiCommand *command = command_of(task);
    command->task_held = false;
    command_end_if_unused(command);
}

static const TaskTransport command_transport = {
    .put_data = command_put_data,
    .get_data = command_get_data,
    .cancel = command_cancel,
    .respond = command_respond,
    .released = command_released,
};

/* The task is gone (or never was): the failure is all there is to answer. */
static void answer_failure(IscsiCommand *command)
{
    Task *task = &command->task;
    task->status = SCSI_CHECK_CONDITION;
    task->sense_len = sense_build(task->sense, false, command->fail_code, NULL);
    task->data_in_wanted = task->data_out_wanted = 0;
    command->failing = command->answer_held = false;
    send_response(command);
    command_end_if_unused(command);
}

static void failed_task_aborted(TmfResponse response, void *arg)
{
    (void)response;
    IscsiCommand *command = arg;
    if (command->failing) /* else forgotten with the session */
        answer_failure(command);
}

static void abort_failed(IscsiCommand *command)
{
    if (command->task_held)
        nexus_manage(command->session->nexus, TMF_ABORT_TASK, command->task.lun, command->task.tag,
                     failed_task_aborted, command);
    else
        answer_failure(command);
}

void command_fail(IscsiCommand *command, SenseCode code)
{
    if (command->failing)
        return;
    command->failing = true;
    command->fail_code = code;
    if (command->burst_over)
        abort_failed(command);
}

void command_burst_ended(IscsiCommand *command)
{
    if (command->failing) {
        abort_failed(command);
    } else if (command->answer_held) {
        command->answer_held = false;
        answer(command, NULL);
        command_end_if_unused(command);
    }
}
