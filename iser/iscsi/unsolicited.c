/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data-Out PDUs that come without an R2T (RFC 7143 4.2.5.2, 11.7): checked, staged, and copied to
 * where the command wants them. */
#include "iser/iscsi/session.h"

/* So that tiny PDUs cannot make a command hold any number of receive buffers. */
#define STAGED_MAX 256

void unsolicited_release(IscsiCommand *command)
{
    while (command->staged) {
        DmPdu *pdu = command->staged;
        command->staged = pdu->next;
        pdu->conn->dm->release_pdu(pdu);
    }
    command->staged_tail = &command->staged;
    command->staged_count = 0;
}

static void unstage_first(IscsiCommand *command)
{
    DmPdu *pdu = command->staged;
    command->staged = pdu->next;
    if (!command->staged)
        command->staged_tail = &command->staged;
    command->staged_count--;
    command->staged_at += pdu->data_len;
    pdu->conn->dm->release_pdu(pdu);
}

/* Copies into the unfilled part of the move; returns how much fitted. */
static uint32_t fill_move(IscsiMove *move, const uint8_t *from, uint32_t len)
{
    size_t skip = move->filled;
    uint32_t copied = 0;
    for (int i = 0; i < move->data->iovcnt && copied < len; i++) {
        const struct iovec *iov = &move->data->iov[i];
        if (skip >= iov->iov_len) {
            skip -= iov->iov_len;
            continue;
        }
        size_t n = MIN(iov->iov_len - skip, len - copied);
        memcpy((char *)iov->iov_base + skip, from + copied, n);
        copied += (uint32_t)n;
        skip = 0;
    }
    move->filled += copied;
    return copied;
}

/* Takes what is staged for the bytes the move wants next. */
static void consume_staged(IscsiCommand *command, IscsiMove *move)
{
    while (command->staged && move->filled < move->data->len) {
        DmPdu *pdu = command->staged;
        uint32_t want = move->data->offset + move->filled;
        if (want < command->staged_at)
            return;
        uint32_t inside = want - command->staged_at;
        if (inside < pdu->data_len)
            inside += fill_move(move, pdu->data + inside, pdu->data_len - inside);
        if (inside < pdu->data_len)
            return;
        unstage_first(command);
    }
}

/* Serves waiting moves in order as far as the data goes; what can never be served goes to the
 * datamover. */
static void serve_waiting(IscsiCommand *command)
{
    while (command->waiting) {
        IscsiMove *move = command->waiting;
        consume_staged(command, move);
        bool complete = move->filled == move->data->len;
        if (!complete && !command->burst_over)
            return;
        command->waiting = move->next;
        move->next = NULL;
        if (complete)
            command_move_complete(move, 0);
        else
            command_move_to_wire(move);
    }
}

void unsolicited_get(IscsiCommand *command, IscsiMove *move)
{
    IscsiMove **tail = &command->waiting;
    while (*tail)
        tail = &(*tail)->next;
    move->state = MOVE_WAITING;
    *tail = move;
    serve_waiting(command);
}

/* 0, or the sense code of what is wrong with the PDU. */
static SenseCode check(const IscsiCommand *command, const DmPdu *pdu)
{
    if (get_be32(pdu->bhs + DATA_SN) != command->burst_sn)
        return SENSE_PROTOCOL_SERVICE_CRC;
    uint32_t limit = MIN(command->edtl, command->session->params.first_burst_length);
    if (get_be32(pdu->bhs + DATA_OFFSET) != command->burst_end ||
        pdu->data_len > limit - MIN(limit, command->burst_end) ||
        command->staged_count == STAGED_MAX)
        return SENSE_INCORRECT_AMOUNT_OF_DATA;
    return SENSE_NO_SENSE;
}

static void stage(IscsiCommand *command, DmPdu *pdu)
{
    if (!command->staged)
        command->staged_at = command->burst_end;
    pdu->next = NULL;
    *command->staged_tail = pdu;
    command->staged_tail = &pdu->next;
    command->staged_count++;
    command->burst_end += pdu->data_len;
    command->burst_sn++;
}

/* The command whose burst a PDU belongs to. NULL: it was aborted or answered, and its data crossed
 * that on the wire: not an error. */
static IscsiCommand *find_open(IscsiSession *session, const uint8_t *bhs)
{
    IscsiCommand *command = command_by_itt(session, pdu_itt(bhs));
    return command && !command->burst_over ? command : NULL;
}

void unsolicited_spoilt(IscsiSession *session, const uint8_t bhs[ISCSI_BHS_LEN])
{
    IscsiCommand *command = find_open(session, bhs);
    if (!command)
        return;
    if (!command->answer_held)
        command_fail(command, SENSE_PROTOCOL_SERVICE_CRC);
    command->burst_over = pdu_final(bhs);
    if (command->burst_over)
        command_burst_ended(command);
}

void unsolicited_receive(IscsiSession *session, DmPdu *pdu)
{
    IscsiCommand *command = find_open(session, pdu->bhs);
    if (!command) {
        session->dm->dm->release_pdu(pdu);
        return;
    }
    bool final = pdu_final(pdu->bhs);
    bool ignored = command->failing || command->answer_held; /* only its end is waited for */
    SenseCode wrong = ignored ? SENSE_NO_SENSE : check(command, pdu);
    if (wrong != SENSE_NO_SENSE)
        command_fail(command, wrong);
    if (ignored || wrong != SENSE_NO_SENSE)
        session->dm->dm->release_pdu(pdu);
    else
        stage(command, pdu);
    command->burst_over = final;
    if (!command->failing && !command->answer_held)
        serve_waiting(command);
    else if (final)
        command_burst_ended(command);
}
