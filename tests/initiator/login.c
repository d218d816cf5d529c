/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Login Requests, their answers, and the two stages in a row. */
#include "tests/initiator/login.h"

#include <gio/gio.h>
#include <string.h>

#define ROUNDS_MOST 20

Pdu login_request(Session *session, uint8_t flags)
{
    Pdu pdu = pdu_new(OP_LOGIN | PDU_IMMEDIATE, flags, 0);

    put_be16(pdu.bhs + 8, (uint16_t)(session->options.isid >> 32));
    put_be32(pdu.bhs + 10, (uint32_t)session->options.isid);
    put_be16(pdu.bhs + 14, session->tsih);
    return pdu;
}

static void check_answer(Session *session, const Pdu *request, const Pdu *answer)
{
    uint8_t asked = request->bhs[AT_FLAGS], flags = answer->bhs[AT_FLAGS];

    session->login_class = answer->bhs[36];
    session->login_detail = answer->bhs[37];
    if (pdu_itt(answer) != pdu_itt(request))
        session_violation(session, answer, "Login Response with another tag");
    if (memcmp(answer->bhs + 8, request->bhs + 8, 6) != 0)
        session_violation(session, answer, "Login Response with another ISID");
    if (answer->bhs[36] != 0)
        return;
    if (answer->bhs[2] != 0 || answer->bhs[3] != 0)
        session_violation(session, answer, "version other than 0");
    if ((flags & LOGIN_TRANSIT) && !(asked & LOGIN_TRANSIT))
        session_violation(session, answer, "transit that was not asked for");
    if ((flags & LOGIN_TRANSIT) && (flags & LOGIN_CONTINUE))
        session_violation(session, answer, "T and C bits at once");
    if ((flags & 0x0c) != (asked & 0x0c))
        session_violation(session, answer, "answer from another stage");
    if ((flags & LOGIN_TRANSIT) && (flags & 0x03) != (asked & 0x03))
        session_violation(session, answer, "transit to another stage");
    if (!(flags & LOGIN_TRANSIT) && (flags & 0x03))
        session_violation(session, answer, "next stage without transit");
    if ((flags & 0x83) == (LOGIN_TRANSIT | STAGE_FULL_FEATURE) && get_be16(answer->bhs + 14) == 0)
        session_violation(session, answer, "final Login Response without TSIH");
}

Pdu *login_exchange(Session *session, uint8_t flags, const TextKeys *keys, int timeout_ms)
{
    g_autoptr(GByteArray) text = text_keys_encode(keys);
    Pdu request = login_request(session, flags), *answer;

    if (!session->in_login) {
        session->in_login = true;
        session->login_class = 0xff;
    }
    pdu_set_data(&request, text->data, text->len);
    session_send(session, &request);
    answer = session_await(session, OP_LOGIN_RESPONSE, timeout_ms);
    if (answer)
        check_answer(session, &request, answer);
    return answer;
}

TextKeys *login_names(const Session *session)
{
    const SessionOptions *options = &session->options;
    TextKeys *keys = text_keys_new();

    text_keys_add(keys, "InitiatorName", options->initiator);
    text_keys_add(keys, "SessionType", options->target ? "Normal" : "Discovery");
    if (options->target)
        text_keys_add(keys, "TargetName", options->target);
    text_keys_add(keys, "AuthMethod", options->chap.user ? "CHAP,None" : "None");
    return keys;
}

static bool refused(const Session *session, GError **error)
{
    bool busy = session->login_class == 3 && session->login_detail == 2;

    g_set_error(error, G_IO_ERROR, busy ? G_IO_ERROR_BUSY : G_IO_ERROR_PERMISSION_DENIED,
                "login refused: %02x/%02x", session->login_class, session->login_detail);
    return false;
}

/* One stage: sends `keys`, then answers what the target says, until it lets us through. */
static bool run_stage(Session *session, uint8_t flags, TextKeys *keys, int timeout_ms,
                      GError **error)
{
    g_autoptr(GByteArray) text = g_byte_array_new();

    for (int round = 0; round < ROUNDS_MOST; round++) {
        g_autoptr(Pdu) answer = login_exchange(session, flags, keys, timeout_ms);
        g_autoptr(TextKeys) from_target = NULL;

        if (!answer) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "no Login Response: %s",
                        session->base.error ? session->base.error->message : "timeout");
            return false;
        }
        if (session->login_class != 0)
            return refused(session, error);
        session->tsih = get_be16(answer->bhs + 14);
        g_byte_array_append(text, answer->data, answer->len);
        while (text_keys_count(keys)) {
            const char *name, *value;

            text_keys_pair(keys, 0, &name, &value);
            text_keys_set(keys, name, NULL);
        }
        if (answer->bhs[AT_FLAGS] & LOGIN_CONTINUE)
            continue;
        from_target = text_keys_parse(text->data, text->len, error);
        if (!from_target ||
            !chap_take(&session->options.chap, &session->chap, from_target, keys, error) ||
            !params_take(&session->params, from_target, keys, error))
            return false;
        g_byte_array_set_size(text, 0);
        if (answer->bhs[AT_FLAGS] & LOGIN_TRANSIT)
            return true;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "the target never ends the login");
    return false;
}

bool login_finish(Session *session, GError **error)
{
    const uint32_t *agreed = session->params.value;

    if (!params_complete(&session->params, error))
        return false;
    session->in_login = false;
    session->full_feature = true;
    session->send_limit =
        session->wire->ops->data_in_pdus ? agreed[KEY_MAX_RECV_DSL] : agreed[KEY_TARGET_RECV_DSL];
    return session->wire->ops->full_feature(session->wire, &session->params, error);
}

bool login_run(Session *session, int timeout_ms, GError **error)
{
    g_autoptr(TextKeys) names = login_names(session), offers = text_keys_new();
    const char *name, *value;

    for (unsigned i = 0; i < text_keys_count(session->params.offers); i++) {
        text_keys_pair(session->params.offers, i, &name, &value);
        text_keys_add(offers, name, value);
    }
    return run_stage(session, LOGIN_FLAGS(STAGE_SECURITY, STAGE_OPERATIONAL), names, timeout_ms,
                     error) &&
           chap_complete(&session->options.chap, &session->chap, error) &&
           run_stage(session, LOGIN_FLAGS(STAGE_OPERATIONAL, STAGE_FULL_FEATURE), offers,
                     timeout_ms, error) &&
           login_finish(session, error);
}
