/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data of SCSI commands on its way between the Task and the datamover. */
#include "iser/iscsi/session.h"

#include <errno.h>

static void move_done(DmMove *dm, int error)
{
    IscsiMove *move = (IscsiMove *)((char *)dm - offsetof(IscsiMove, dm));
    DataMove *data = move->data;
    if (error == -EBADMSG) {
        /* The task is aborted while the move is still out, so that its end tells nothing new. */
        move->state = MOVE_COMPLETED;
        command_fail(move->command, SENSE_PROTOCOL_SERVICE_CRC);
        error = -ECANCELED;
    }
    move->state = MOVE_IDLE;
    data->done(data, error);
}

IscsiMove *command_move_take(IscsiCommand *command, DataMove *data)
{
    IscsiMove *move = command->moves;
    for (; move->state != MOVE_IDLE; move++)
        g_assert(move < command->moves + TASK_TRANSFERS - 1);
    move->command = command;
    move->data = data;
    move->filled = 0;
    move->next = NULL;
    data->transport_private = move;
    move->dm.command = command->pdu;
    move->dm.done = move_done;
    return move;
}

void command_move_complete(IscsiMove *move, int error)
{
    IscsiSession *session = move->command->session;
    CommandPool *pool = &session->commands;
    move->state = MOVE_COMPLETED;
    move->error = error;
    move->next = NULL;
    *pool->completed_tail = move;
    pool->completed_tail = &move->next;
    loop_flush_later(session->dm->loop, &pool->flush);
}

void command_run_completed(LoopFlush *flush)
{
    CommandPool *pool = (CommandPool *)((char *)flush - offsetof(CommandPool, flush));
    IscsiMove *move = pool->completed;
    pool->completed = NULL;
    pool->completed_tail = &pool->completed;
    while (move) {
        IscsiMove *next = move->next;
        move->state = MOVE_IDLE;
        move->data->done(move->data, move->error);
        move = next;
    }
}

/* A Data-In header as template (11.7): the datamover splits it and numbers the pieces. */
void command_move_put(IscsiMove *move, uint8_t flags, uint8_t status, uint32_t residual_count)
{
    IscsiSession *session = move->command->session;
    DmMove *dm = &move->dm;
    pdu_begin(dm->bhs, ISCSI_DATA_IN, flags, move->command->itt);
    put_be32(dm->bhs + PDU_TTT, ISCSI_NO_TAG);
    session_stamp(session, dm->bhs);
    if (flags & DATA_IN_STATUS) {
        session->stat_sn++;
        dm->bhs[RESPONSE_STATUS] = status;
        put_be32(dm->bhs + DATA_IN_RESIDUAL, residual_count);
    }
    dm->offset = move->data->offset;
    dm->len = move->data->len;
    dm->iov = move->data->iov;
    dm->iovcnt = move->data->iovcnt;
    move->state = MOVE_ON_WIRE;
    session->dm->dm->put_data(session->dm, dm);
}

void command_put_data(Task *task, DataMove *data)
{
    IscsiCommand *command = command_of(task);
    IscsiMove *move = command_move_take(command, data);
    if (command->session->quiet)
        command_move_complete(move, -ECONNRESET);
    else
        command_move_put(move, 0, 0, 0);
}

/* Leaves out of the iovec what unsolicited data has filled. */
static void trim_iov(IscsiMove *move)
{
    size_t skip = move->filled;
    const struct iovec *from = move->data->iov, *end = from + move->data->iovcnt;
    for (; from < end && skip >= from->iov_len; from++)
        skip -= from->iov_len;
    move->dm.iov = move->iov;
    move->dm.iovcnt = 0;
    for (; from < end; from++, skip = 0)
        move->iov[move->dm.iovcnt++] = (struct iovec){.iov_base = (char *)from->iov_base + skip,
                                                      .iov_len = from->iov_len - skip};
}

/* An R2T header as template (11.8). */
void command_move_to_wire(IscsiMove *move)
{
    IscsiCommand *command = move->command;
    IscsiSession *session = command->session;
    DmMove *dm = &move->dm;
    pdu_begin(dm->bhs, ISCSI_R2T, PDU_FINAL, command->itt);
    put_be64(dm->bhs + PDU_LUN, command->task.lun);
    session_stamp(session, dm->bhs);
    dm->offset = move->data->offset + move->filled;
    dm->len = move->data->len - move->filled;
    dm->iov = move->data->iov;
    dm->iovcnt = move->data->iovcnt;
    if (move->filled)
        trim_iov(move);
    move->state = MOVE_ON_WIRE;
    session->dm->dm->get_data(session->dm, dm);
}

void command_get_data(Task *task, DataMove *data)
{
    IscsiCommand *command = command_of(task);
    IscsiMove *move = command_move_take(command, data);
    if (command->session->quiet)
        command_move_complete(move, -ECONNRESET);
    else if (command->burst_over && !command->staged)
        command_move_to_wire(move);
    else
        unsolicited_get(command, move);
}

static void forget_waiting(IscsiMove *move)
{
    IscsiMove **at = &move->command->waiting;
    while (*at != move)
        at = &(*at)->next;
    *at = move->next;
}

void command_cancel(Task *task, DataMove *data)
{
    IscsiMove *move = data->transport_private;
    IscsiSession *session = command_of(task)->session;
    if (move->state == MOVE_ON_WIRE) {
        session->dm->dm->cancel(session->dm, &move->dm);
    } else if (move->state == MOVE_WAITING) {
        forget_waiting(move);
        move->state = MOVE_IDLE;
        data->done(data, -ECANCELED);
    }
}
