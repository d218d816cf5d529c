/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text Requests in the full feature phase (RFC 7143 11.10, 11.11, appendix C): SendTargets, in
 * answers of any length. */
#include "iser/iscsi/session.h"

void session_text_init(IscsiSession *session)
{
    session->text_out = text_writer(TEXT_MAX);
    session->text_ttt = ISCSI_NO_TAG;
}

void session_text_clear(IscsiSession *session)
{
    text_collector_clear(&session->text_in);
    text_writer_clear(&session->text_out);
}

static void reset_exchange(IscsiSession *session)
{
    text_collector_clear(&session->text_in);
    g_byte_array_set_size(session->text_out.bytes, 0);
    session->text_out.full = false;
    session->text_sent = 0;
    session->text_ttt = ISCSI_NO_TAG;
}

static uint32_t new_ttt(IscsiSession *session)
{
    if (++session->next_ttt == ISCSI_NO_TAG)
        session->next_ttt = 1;
    return session->next_ttt;
}

/* One Text Response. An exchange that goes on (there is more to send, or F was not set in the
 * request) has a TTT for the next request to quote. */
static void send_text(IscsiSession *session, uint8_t flags, const void *data, size_t len)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    session->text_ttt = flags & PDU_FINAL ? ISCSI_NO_TAG : new_ttt(session);
    pdu_begin(bhs, ISCSI_TEXT_RESPONSE, flags, session->text_itt);
    put_be32(bhs + PDU_TTT, session->text_ttt);
    session_send(session, bhs, data, len);
}

static void send_chunk(IscsiSession *session)
{
    const GByteArray *out = session->text_out.bytes;
    size_t left = out->len - session->text_sent;
    size_t len = MIN(left, session_send_limit(session));
    uint8_t flags = len < left ? TEXT_CONTINUE : session->text_final ? PDU_FINAL : 0;
    const uint8_t *data = out->data ? out->data + session->text_sent : NULL;
    session->text_sent += len;
    send_text(session, flags, data, len);
    if (flags != TEXT_CONTINUE) {
        g_byte_array_set_size(session->text_out.bytes, 0);
        session->text_sent = 0;
    }
}

/* The one parameter that can change now: what the initiator can receive (13.12). It said so before
 * it sent this, so what is sent from now on may be as long, and must not be longer. */
static void take_up(IscsiSession *session, const IscsiParams *changed)
{
    uint32_t limit = changed->peer_max_recv_data_segment_length;
    if (limit == session->params.peer_max_recv_data_segment_length)
        return;
    session->params.peer_max_recv_data_segment_length = limit;
    session->dm->dm->enable(session->dm, &session->params);
}

/* Works through the request. Returns the value of SendTargets or NULL; false in *ok: malformed. */
static char *negotiate(IscsiSession *session, bool *ok)
{
    IscsiParams scratch = session->params;
    KeyNegotiation keys = {.offer = &session->params,
                           .negotiated = &scratch,
                           .discovery = !session->nexus,
                           .phase = KEY_IN_FULL_FEATURE};
    TextReader reader = text_reader(session->text_in.bytes->data, session->text_in.bytes->len);
    g_autofree char *which = NULL;
    char answer[KEY_ANSWER_MAX];
    TextResult result;
    while ((result = text_read(&reader)) == TEXT_PAIR) {
        KeyOutcome outcome = keys_negotiate(&keys, reader.key, reader.value, answer);
        if (outcome == KEY_DUPLICATE)
            break;
        if (outcome == KEY_ANSWER) {
            text_write(&session->text_out, reader.key, answer);
        } else if (outcome == KEY_CALLER && !strcmp(reader.key, "SendTargets")) {
            g_free(which);
            which = g_strdup(reader.value);
        }
    }
    *ok = result == TEXT_END;
    if (*ok)
        take_up(session, &scratch);
    return g_steal_pointer(&which);
}

/* "All" is for discovery sessions only; an empty value means the session's own target. */
static void answer_request(IscsiSession *session, const uint8_t *offender)
{
    bool ok;
    g_autofree char *which = negotiate(session, &ok);
    text_collector_clear(&session->text_in);
    if (!ok) {
        reset_exchange(session);
        session_reject(session, REJECT_PROTOCOL_ERROR, offender);
        return;
    }
    if (which && !strcmp(which, "All") && session->nexus) {
        text_write(&session->text_out, "SendTargets", "Reject");
    } else if (which) {
        session->text_waiting = true;
        session->owner->find_targets(session->owner_arg, which);
        return;
    }
    send_chunk(session);
}

void session_targets(IscsiSession *session, const void *text, size_t len)
{
    session->text_waiting = false;
    if (len <= TEXT_MAX - session->text_out.bytes->len)
        g_byte_array_append(session->text_out.bytes, text, (guint)len);
    send_chunk(session);
}

static void take_request(IscsiSession *session, const DmPdu *pdu)
{
    uint8_t flags = pdu->bhs[PDU_FLAGS];
    bool more = flags & TEXT_CONTINUE;
    if (session->text_waiting || (more && flags & PDU_FINAL)) {
        session_reject(session, REJECT_PROTOCOL_ERROR, pdu->bhs);
        return;
    }
    if (pdu_ttt(pdu->bhs) == ISCSI_NO_TAG)
        reset_exchange(session);
    else if (pdu_ttt(pdu->bhs) != session->text_ttt) {
        session_reject(session, REJECT_INVALID_PDU_FIELD, pdu->bhs);
        return;
    }
    session->text_itt = pdu_itt(pdu->bhs);
    session->text_final = flags & PDU_FINAL;
    if (session->text_sent) {
        send_chunk(session);
    } else if (!text_collect(&session->text_in, pdu->data, pdu->data_len)) {
        reset_exchange(session);
        session_reject(session, REJECT_PROTOCOL_ERROR, pdu->bhs);
    } else if (more) {
        send_text(session, 0, NULL, 0);
    } else {
        answer_request(session, pdu->bhs);
    }
}

void session_text_request(IscsiSession *session, DmPdu *pdu)
{
    take_request(session, pdu);
    session->dm->dm->release_pdu(pdu);
}
