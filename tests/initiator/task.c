/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands, Data-In, R2T, Data-Out and SCSI Response (RFC 7143 sections 11.3, 11.4, 11.7, 11.8). */
#include "tests/initiator/task.h"

#include <string.h>

#include "tests/initiator/scsi.h"

enum { FLAG_READ = 0x40, FLAG_WRITE = 0x20 };
enum { FLAG_ACK = 0x40, FLAG_STATUS = 0x01, FLAG_UNDER = 0x02, FLAG_OVER = 0x04 };
enum { FLAGS_BIDI = 0x18 };

static void send_data_out(Session *session, Task *task, uint32_t ttt, uint32_t offset, uint32_t len)
{
    uint32_t data_sn = 0;

    task->sent += len;
    while (len) {
        uint32_t piece = MIN(len, session->send_limit);
        Pdu pdu = pdu_new(OP_DATA_OUT, piece == len ? PDU_FINAL : 0, task->itt);

        if (ttt != PDU_NO_TAG)
            scsi_put_lun(pdu.bhs + AT_LUN, task->lun);
        put_be32(pdu.bhs + AT_TTT, ttt);
        put_be32(pdu.bhs + AT_EXP_STAT_SN, session->stat_sn);
        put_be32(pdu.bhs + AT_DATA_SN, data_sn++);
        put_be32(pdu.bhs + AT_OFFSET, offset);
        pdu_set_data(&pdu, task->buffer.base + offset, piece);
        pdu.unsent = &task->unsent;
        task->queued++;
        session->wire->ops->send(session->wire, &pdu);
        offset += piece;
        len -= piece;
    }
}

void task_start(Session *session, Task *task)
{
    const uint32_t *agreed = session->params.value;
    uint8_t flags =
        (uint8_t)((task->read ? FLAG_READ : 0) | (task->write ? FLAG_WRITE : 0) | task->attribute);
    uint8_t opcode = (uint8_t)(OP_COMMAND | (task->immediate ? PDU_IMMEDIATE : 0));
    uint32_t first = 0, immediate = 0;
    Pdu pdu;

    if (task->write && agreed[KEY_IMMEDIATE_DATA])
        immediate = MIN(MIN(task->buffer.len, agreed[KEY_FIRST_BURST]), session->send_limit);
    first = immediate;
    if (task->write && !agreed[KEY_INITIAL_R2T])
        first = MIN(task->buffer.len, agreed[KEY_FIRST_BURST]);
    pdu = pdu_new(opcode, flags | (first == immediate ? PDU_FINAL : 0), task->itt);
    scsi_put_lun(pdu.bhs + AT_LUN, task->lun);
    put_be32(pdu.bhs + AT_TTT, task->buffer.len);
    memcpy(pdu.bhs + 32, task->cdb, sizeof(task->cdb));
    task->buffer.to_target = task->write;
    task->buffer.unsolicited = first;
    task->solicited = first;
    task->sent = immediate;
    if (immediate) {
        pdu_set_data(&pdu, task->buffer.base, immediate);
        pdu.unsent = &task->unsent;
        task->queued++;
    }
    if (task->read || task->write)
        pdu.buffer = &task->buffer;
    session_send(session, &pdu);
    if (first > immediate)
        send_data_out(session, task, PDU_NO_TAG, immediate, first - immediate);
}

static void take_status(Session *session, Task *task, const Pdu *pdu, uint8_t flags)
{
    uint32_t edtl = task->buffer.len;

    task->has_status = true;
    task->status = pdu->bhs[3];
    task->overflow = flags & FLAG_OVER;
    task->underflow = flags & FLAG_UNDER;
    task->residual = get_be32(pdu->bhs + AT_RESIDUAL);
    if (task->overflow && task->underflow)
        session_violation(session, pdu, "residual overflow and underflow at once");
    if (!task->overflow && !task->underflow && task->residual)
        session_violation(session, pdu, "residual count without O or U");
    if ((task->overflow || task->underflow) && !task->residual)
        session_violation(session, pdu, "O or U with a residual count of 0");
    if (task->underflow && task->residual > edtl) {
        session_violation(session, pdu, "residual underflow %u above the expected %u bytes",
                          task->residual, edtl);
        task->residual = edtl;
    }
}

/* Only where data come in PDUs is it known how many the target sent. */
static void check_amount(Session *session, const Task *task, const Pdu *pdu)
{
    uint32_t want = task->buffer.len - (task->underflow ? task->residual : 0);

    if (!session->wire->ops->data_in_pdus)
        return;
    if (task->read && task->received != want)
        session_violation(session, pdu, "%u bytes of Data-In, %u expected, residual says %u",
                          task->received, task->buffer.len, want);
    if (task->write && task->status == 0 && task->sent < want)
        session_violation(session, pdu, "GOOD after %u of %u bytes were asked for", task->sent,
                          want);
}

static void check_data_in(Session *session, const Task *task, const Pdu *pdu)
{
    uint8_t flags = pdu->bhs[AT_FLAGS];
    uint32_t offset = get_be32(pdu->bhs + AT_OFFSET);

    if (!session->wire->ops->data_in_pdus)
        session_violation(session, pdu, "Data-In on a wire that places data");
    if (!task->read)
        session_violation(session, pdu, "Data-In for a command that does not read");
    if (flags & FLAG_ACK)
        session_violation(session, pdu, "A bit at ErrorRecoveryLevel 0");
    else if (get_be32(pdu->bhs + AT_TTT) != PDU_NO_TAG || get_be64(pdu->bhs + AT_LUN) != 0)
        session_violation(session, pdu, "Target Transfer Tag or LUN without the A bit");
    if (get_be32(pdu->bhs + AT_DATA_SN) != task->data_sn)
        session_violation(session, pdu, "DataSN is not %u", task->data_sn);
    if (session->params.value[KEY_PDU_IN_ORDER] && offset != task->received)
        session_violation(session, pdu, "Buffer Offset is not %u", task->received);
    if (task->in_burst + pdu->len > session->params.value[KEY_MAX_BURST])
        session_violation(session, pdu, "sequence longer than MaxBurstLength");
    if (!(flags & FLAG_STATUS)) {
        if (flags & (FLAG_OVER | FLAG_UNDER) || get_be32(pdu->bhs + AT_RESIDUAL) || pdu->bhs[3])
            session_violation(session, pdu, "residual or status without the S bit");
    } else {
        if (!(flags & PDU_FINAL))
            session_violation(session, pdu, "S bit without F bit");
        if (pdu->bhs[3] == 0x02)
            session_violation(session, pdu, "CHECK CONDITION in Data-In");
    }
}

static void finish(Session *session, Task *task);

void task_data_in(Session *session, Task *task, const Pdu *pdu)
{
    uint8_t flags = pdu->bhs[AT_FLAGS];
    uint32_t offset = get_be32(pdu->bhs + AT_OFFSET);

    check_data_in(session, task, pdu);
    if (offset > task->buffer.len || pdu->len > task->buffer.len - offset) {
        session_violation(session, pdu, "data beyond the expected %u bytes", task->buffer.len);
    } else if (task->read) {
        memcpy(task->buffer.base + offset, pdu->data, pdu->len);
        task->received += pdu->len;
    }
    task->data_sn++;
    task->in_burst = flags & PDU_FINAL ? 0 : task->in_burst + pdu->len;
    if (flags & FLAG_STATUS) {
        take_status(session, task, pdu, flags);
        check_amount(session, task, pdu);
        finish(session, task);
    }
}

/* An R2T is open at least as long as its last Data-Out waits here. PDUs leave in order. */
static void check_open_r2ts(Session *session, Task *task, const Pdu *pdu)
{
    unsigned gone = task->queued - task->unsent;

    while (!g_queue_is_empty(&task->r2t_ends) &&
           GPOINTER_TO_UINT(g_queue_peek_head(&task->r2t_ends)) <= gone)
        g_queue_pop_head(&task->r2t_ends);
    if (g_queue_get_length(&task->r2t_ends) >= session->params.value[KEY_MAX_R2T])
        session_violation(session, pdu, "more than MaxOutstandingR2T R2Ts open");
}

void task_r2t(Session *session, Task *task, const Pdu *pdu)
{
    uint32_t ttt = get_be32(pdu->bhs + AT_TTT), offset = get_be32(pdu->bhs + AT_OFFSET);
    uint32_t len = get_be32(pdu->bhs + AT_LENGTH);

    if (!session->wire->ops->data_in_pdus || !task->write) {
        session_violation(session, pdu, "R2T on a wire or for a command that takes none");
        return;
    }
    if (ttt == PDU_NO_TAG)
        session_violation(session, pdu, "R2T with the reserved tag");
    if (get_be32(pdu->bhs + AT_DATA_SN) != task->r2t_sn)
        session_violation(session, pdu, "R2TSN is not %u", task->r2t_sn);
    if (session->params.value[KEY_SEQUENCE_IN_ORDER] && offset != task->solicited)
        session_violation(session, pdu, "R2T asks from %u, next is %u", offset, task->solicited);
    if (len == 0 || len > session->params.value[KEY_MAX_BURST])
        session_violation(session, pdu, "R2T length 0 or above MaxBurstLength");
    task->r2t_sn++;
    if (offset > task->buffer.len || len > task->buffer.len - offset) {
        session_violation(session, pdu, "R2T beyond the expected %u bytes", task->buffer.len);
        return;
    }
    task->solicited += len;
    check_open_r2ts(session, task, pdu);
    send_data_out(session, task, ttt, offset, len);
    g_queue_push_tail(&task->r2t_ends, GUINT_TO_POINTER(task->queued));
}

static void take_sense(Session *session, Task *task, const Pdu *pdu)
{
    uint32_t len;

    if (pdu->len == 0) {
        if (task->response == 0 && task->status == 0x02)
            session_violation(session, pdu, "CHECK CONDITION without sense data");
        return;
    }
    len = pdu->len >= 2 ? get_be16(pdu->data) : 0;
    if (pdu->len < 2 || len > pdu->len - 2) {
        session_violation(session, pdu, "SenseLength beyond the data segment");
        return;
    }
    task->sense_len = MIN(len, (uint32_t)sizeof(task->sense));
    memcpy(task->sense, pdu->data + 2, task->sense_len);
}

void task_response(Session *session, Task *task, const Pdu *pdu)
{
    uint32_t sns = get_be32(pdu->bhs + AT_DATA_SN);

    task->response = pdu->bhs[2];
    take_status(session, task, pdu, pdu->bhs[AT_FLAGS]);
    if (!(pdu->bhs[AT_FLAGS] & PDU_FINAL))
        session_violation(session, pdu, "bit 0 of the flags must be 1");
    if (pdu->bhs[AT_FLAGS] & FLAGS_BIDI || get_be32(pdu->bhs + AT_OFFSET))
        session_violation(session, pdu, "bidirectional residual for a one-way command");
    if (get_be32(pdu->bhs + AT_TTT))
        session_violation(session, pdu, "SNACK tag without SNACK");
    /* Section 11.4.8 counts Data-In and R2T, and in the next sentence wants 0 without Data-In. */
    if (session->wire->ops->data_in_pdus && sns != task->data_sn + task->r2t_sn &&
        (sns || task->data_sn))
        session_violation(session, pdu, "ExpDataSN is not %u", task->data_sn + task->r2t_sn);
    take_sense(session, task, pdu);
    if (task->response == 0)
        check_amount(session, task, pdu);
    finish(session, task);
}

/* The buffer is the caller's again only when the wire no longer reads it. */
static void finish(Session *session, Task *task)
{
    session->slots[task->itt % SESSION_SLOTS] = NULL;
    session->outstanding--;
    g_queue_push_tail(&session->draining, task);
}
