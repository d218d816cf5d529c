/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbering, windows, dispatch and waiting. */
#include "tests/initiator/session.h"

#include <gio/gio.h>
#include <string.h>

#include "tests/initiator/login.h"
#include "tests/initiator/scsi.h"
#include "tests/initiator/task.h"

#define LOGIN_TIMEOUT_MS 10000
#define ABORT_TASK       1 /* RFC 7143 section 11.5.1 */
/* Beyond this many the target is broken, and the count says it. */
#define VIOLATIONS_PRINTED 5

static void received(void *user, const Pdu *pdu);
static const NexusOps session_ops;

void session_violation(Session *session, const Pdu *pdu, const char *format, ...)
{
    g_autofree char *what = NULL, *dump = NULL;
    va_list args;

    session->base.violations++;
    if (session->options.quiet || session->base.violations > VIOLATIONS_PRINTED)
        return;
    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    dump = pdu ? pdu_dump(pdu) : g_strdup("");
    g_printerr("violation: %s (CmdSN %u, StatSN %u, window %u..%u)\n%s", what, session->cmd_sn,
               session->stat_sn, session->exp_cmd_sn, session->max_cmd_sn, dump);
}

static void wire_violation(void *user, const Pdu *pdu, const char *what)
{
    session_violation(user, pdu, "%s", what);
}

void session_options_init(SessionOptions *options, Url *url)
{
    *options = (SessionOptions){
        .url = url,
        .initiator = "iqn.2024-01.org.rtgt:load",
        .isid = 0x800000000000 | g_random_int(),
        .target = url->target,
        .chap = {.user = url->user,
                 .secret = url->secret,
                 .target_user = url->target_user,
                 .target_secret = url->target_secret},
        .wire = {.arena = 1 << 20, .depth = 32, .max_data = 262144, .timeout_ms = LOGIN_TIMEOUT_MS},
    };
}

static const char *const usual_offers[][2] = {
    {"HeaderDigest", "None"},      {"DataDigest", "None"},     {"MaxConnections", "1"},
    {"InitialR2T", "Yes"},         {"ImmediateData", "Yes"},   {"MaxBurstLength", "262144"},
    {"FirstBurstLength", "65536"}, {"MaxOutstandingR2T", "1"}, {"DefaultTime2Wait", "2"},
    {"DefaultTime2Retain", "0"},   {"DataPDUInOrder", "Yes"},  {"DataSequenceInOrder", "Yes"},
    {"ErrorRecoveryLevel", "0"},
};

/* Most of these are irrelevant in a discovery session, and may not be sent there. */
static bool fits_discovery(const char *name)
{
    return g_str_has_suffix(name, "Digest") || g_str_has_prefix(name, "MaxRecv") ||
           g_str_has_prefix(name, "DefaultTime2") || g_str_has_prefix(name, "ErrorRec");
}

static TextKeys *make_offers(const SessionOptions *options)
{
    TextKeys *offers = text_keys_new();
    const char *name, *value;

    for (size_t i = 0; i < G_N_ELEMENTS(usual_offers); i++)
        if (options->target || fits_discovery(usual_offers[i][0]))
            text_keys_add(offers, usual_offers[i][0], usual_offers[i][1]);
    /* RFC 7145 section 6.3: its keys are irrelevant in a discovery session, too. */
    if (options->target)
        options->url->ops->add_offers(&options->wire, offers);
    for (unsigned i = 0; options->keys && i < text_keys_count(options->keys); i++) {
        text_keys_pair(options->keys, i, &name, &value);
        /* "Key=" takes a usual offer out. */
        text_keys_set(offers, name, value[0] ? value : NULL);
    }
    return offers;
}

Session *session_connect(const SessionOptions *options, GError **error)
{
    Session *session;
    WireSink sink = {received, wire_violation, NULL};

    if (!options->url->ops) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s is no kind of iSCSI",
                    options->url->scheme);
        return NULL;
    }
    session = sink.user = g_new0(Session, 1);
    session->base.ops = &session_ops;
    session->options = *options;
    session->options.wire.host = options->url->host;
    session->options.wire.port = options->url->port;
    session->tsih = options->tsih;
    session->send_limit = 8192;
    session->cmd_sn = g_random_int();
    session->exp_cmd_sn = session->cmd_sn;
    session->max_cmd_sn = session->cmd_sn - 1;
    session->next_itt = g_random_int();
    params_init(&session->params, make_offers(&session->options));
    session->options.wire.max_data =
        session->params
            .mine[options->url->ops->data_in_pdus ? KEY_MAX_RECV_DSL : KEY_INITIATOR_RECV_DSL];
    session->wire = options->url->ops->open(&session->options.wire, &sink, error);
    if (!session->wire) {
        session_free(session);
        return NULL;
    }
    return session;
}

Session *session_open(const SessionOptions *options, GError **error)
{
    g_autoptr(Session) session = session_connect(options, error);

    if (!session || !login_run(session, LOGIN_TIMEOUT_MS, error))
        return NULL;
    return g_steal_pointer(&session);
}

static void finish_lost(Task *task)
{
    g_queue_clear(&task->r2t_ends);
    task->lost = true;
    task->finished = true;
    if (task->done)
        task->done(task);
}

static void lose_all(Session *session)
{
    Task *task;

    for (int i = 0; i < SESSION_SLOTS && session->outstanding; i++) {
        task = session->slots[i];
        if (!task)
            continue;
        session->slots[i] = NULL;
        session->outstanding--;
        finish_lost(task);
    }
    while ((task = g_queue_pop_head(&session->draining)))
        finish_lost(task);
    while ((task = g_queue_pop_head(&session->waiting)))
        finish_lost(task);
}

static bool is_idle(const Session *session)
{
    return !session->outstanding && !session->waiting.length && !session->draining.length;
}

void session_free(Session *session)
{
    if (!session)
        return;
    if (session->wire)
        session->wire->ops->close(session->wire);
    session->wire = NULL;
    if (!session->base.error && !is_idle(session))
        session->base.error =
            g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED, "the session was closed");
    lose_all(session);
    g_queue_clear_full(&session->inbox, (GDestroyNotify)pdu_free);
    params_deinit(&session->params);
    g_clear_error(&session->base.error);
    g_free(session);
}

static bool counts_stat_sn(const Pdu *pdu)
{
    switch (pdu_opcode(pdu)) {
    case OP_R2T:
        return false;
    case OP_NOP_IN:
        return pdu_itt(pdu) != PDU_NO_TAG;
    case OP_DATA_IN:
        return pdu->bhs[AT_FLAGS] & 0x01;
    default:
        return true;
    }
}

static void check_stat_sn(Session *session, const Pdu *pdu)
{
    uint32_t sn = get_be32(pdu->bhs + AT_STAT_SN);

    if (session->in_login && session->login_class == 0xff) {
        session->stat_sn = sn; /* the target's first choice */
    } else if (pdu_opcode(pdu) == OP_DATA_IN && !counts_stat_sn(pdu)) {
        if (sn != 0 && sn != session->stat_sn)
            session_violation(session, pdu, "StatSN of a Data-In without status");
        return;
    }
    if (sn != session->stat_sn)
        session_violation(session, pdu, "StatSN is not %u", session->stat_sn);
    if (counts_stat_sn(pdu))
        session->stat_sn = sn + 1;
}

/* Section 4.2.2.1, for a connection that delivers in order: numbers never go back. */
static void check_window(Session *session, const Pdu *pdu)
{
    uint32_t expected = get_be32(pdu->bhs + AT_EXP_CMD_SN);
    uint32_t most = get_be32(pdu->bhs + AT_MAX_CMD_SN);

    if ((int32_t)(expected - session->exp_cmd_sn) < 0)
        session_violation(session, pdu, "ExpCmdSN went back");
    if ((int32_t)(session->cmd_sn - expected) < 0)
        session_violation(session, pdu, "ExpCmdSN acknowledges commands never sent");
    if ((int32_t)(most - (expected - 1)) < 0) {
        session_violation(session, pdu, "MaxCmdSN is less than ExpCmdSN - 1");
        return;
    }
    if ((int32_t)(most - session->max_cmd_sn) < 0)
        session_violation(session, pdu, "MaxCmdSN went back");
    session->exp_cmd_sn = expected;
    session->max_cmd_sn = most;
}

static void answer_ping(Session *session, const Pdu *pdu)
{
    uint32_t ttt = get_be32(pdu->bhs + AT_TTT);

    if (pdu_itt(pdu) != PDU_NO_TAG)
        session_violation(session, pdu, "NOP-In with both tags");
    session_nop_out(session, PDU_NO_TAG, ttt, pdu->data, pdu->len);
}

static void to_inbox(Session *session, const Pdu *pdu)
{
    if (pdu_opcode(pdu) == OP_REJECT) {
        session->base.rejects++;
        if (pdu_itt(pdu) != PDU_NO_TAG)
            session_violation(session, pdu, "Reject with a task tag");
        if (pdu->len < PDU_BHS)
            session_violation(session, pdu, "Reject without the header it is about");
    }
    if (pdu_opcode(pdu) == OP_NOP_IN && get_be32(pdu->bhs + AT_TTT) != PDU_NO_TAG &&
        !session->manual_nop)
        answer_ping(session, pdu);
    else
        g_queue_push_tail(&session->inbox, pdu_copy(pdu));
}

static void to_task(Session *session, const Pdu *pdu)
{
    Task *task = session->slots[pdu_itt(pdu) % SESSION_SLOTS];

    if (!task || task->itt != pdu_itt(pdu))
        session_violation(session, pdu, "no such task");
    else if (pdu_opcode(pdu) == OP_DATA_IN)
        task_data_in(session, task, pdu);
    else if (pdu_opcode(pdu) == OP_R2T)
        task_r2t(session, task, pdu);
    else
        task_response(session, task, pdu);
}

static void received(void *user, const Pdu *pdu)
{
    Session *session = user;
    PduOpcode opcode = pdu_opcode(pdu);
    int reserved = pdu_reserved(pdu);

    if (reserved >= 0)
        session_violation(session, pdu, "reserved bits set in byte %d", reserved);
    if (!(pdu->bhs[AT_FLAGS] & PDU_FINAL) && opcode != OP_DATA_IN && opcode != OP_LOGIN_RESPONSE &&
        opcode != OP_TEXT_RESPONSE)
        session_violation(session, pdu, "bit 0 of the flags must be 1");
    if (session->in_login != (opcode == OP_LOGIN_RESPONSE) && opcode != OP_REJECT)
        session_violation(session, pdu, "PDU of another phase");
    check_stat_sn(session, pdu);
    /* A failed login answers with numbers that mean nothing. */
    if (opcode != OP_LOGIN_RESPONSE || pdu->bhs[36] == 0)
        check_window(session, pdu);
    if (opcode == OP_RESPONSE || opcode == OP_DATA_IN || (opcode == OP_R2T && !session->manual_r2t))
        to_task(session, pdu);
    else
        to_inbox(session, pdu);
}

uint32_t session_window(const Session *session)
{
    int32_t room = (int32_t)(session->max_cmd_sn - session->cmd_sn + 1);

    return room > 0 ? (uint32_t)room : 0;
}

static void take_slot(Session *session, Task *task)
{
    task->itt = session_new_itt(session);
    session->slots[task->itt % SESSION_SLOTS] = task;
    session->outstanding++;
}

static void start_waiting(Session *session)
{
    while (!g_queue_is_empty(&session->waiting) && session_window(session) > 0 &&
           session->outstanding < session->options.wire.depth) {
        Task *task = g_queue_pop_head(&session->waiting);

        take_slot(session, task);
        task_start(session, task);
    }
}

/* `done` may submit again, so only those that were there are looked at. */
static void finish_drained(Session *session)
{
    for (unsigned n = g_queue_get_length(&session->draining); n > 0; n--) {
        Task *task = g_queue_pop_head(&session->draining);

        if (task->unsent) {
            g_queue_push_tail(&session->draining, task);
            continue;
        }
        g_queue_clear(&task->r2t_ends);
        task->finished = true;
        if (task->done)
            task->done(task);
    }
}

bool session_turn(Session *session, int timeout_ms)
{
    if (session->base.error)
        return false;
    start_waiting(session);
    if (!session->wire->ops->turn(session->wire, timeout_ms, &session->base.error)) {
        finish_drained(session);
        lose_all(session);
        return false;
    }
    finish_drained(session);
    return true;
}

static void reset(Session *session, Task *task)
{
    task->session = session;
    task->finished = task->lost = task->has_status = false;
    task->overflow = task->underflow = false;
    task->response = task->status = 0;
    task->residual = task->sense_len = 0;
    task->received = task->in_burst = task->data_sn = 0;
    task->solicited = task->sent = task->r2t_sn = 0;
    task->queued = 0;
}

void session_submit(Session *session, Task *task)
{
    reset(session, task);
    if (session->base.error) {
        finish_lost(task);
        return;
    }
    g_queue_push_tail(&session->waiting, task);
    start_waiting(session);
}

void session_expect(Session *session, Task *task)
{
    reset(session, task);
    take_slot(session, task);
}

bool session_run(Session *session, Task *task, int timeout_ms)
{
    return nexus_run(&session->base, task, timeout_ms);
}

void session_give_up(Session *session, Task *task)
{
    if (task->finished)
        return;
    if (session->slots[task->itt % SESSION_SLOTS] == task) {
        session->slots[task->itt % SESSION_SLOTS] = NULL;
        session->outstanding--;
    }
    g_queue_remove(&session->waiting, task);
    g_queue_remove(&session->draining, task);
    finish_lost(task);
}

uint32_t session_new_itt(Session *session)
{
    do
        session->next_itt++;
    while (session->next_itt == PDU_NO_TAG || session->slots[session->next_itt % SESSION_SLOTS]);
    return session->next_itt;
}

void session_number(Session *session, Pdu *pdu)
{
    put_be32(pdu->bhs + AT_CMD_SN, session->cmd_sn);
    put_be32(pdu->bhs + AT_EXP_STAT_SN, session->stat_sn);
    if (!(pdu->bhs[0] & PDU_IMMEDIATE))
        session->cmd_sn++;
}

void session_send(Session *session, Pdu *pdu)
{
    session_number(session, pdu);
    session->wire->ops->send(session->wire, pdu);
}

static Pdu *inbox_take(Session *session, PduOpcode opcode)
{
    for (GList *link = session->inbox.head; link; link = link->next) {
        Pdu *pdu = link->data;

        if (pdu_opcode(pdu) == opcode) {
            g_queue_delete_link(&session->inbox, link);
            return pdu;
        }
    }
    return NULL;
}

Pdu *session_await(Session *session, PduOpcode opcode, int timeout_ms)
{
    gint64 end = g_get_monotonic_time() + timeout_ms * (gint64)1000;
    Pdu *pdu;

    while (!(pdu = inbox_take(session, opcode))) {
        gint64 left = end - g_get_monotonic_time();

        if (left <= 0 || !session_turn(session, (int)(left / 1000) + 1))
            return inbox_take(session, opcode);
    }
    return pdu;
}

bool session_await_end(Session *session, int timeout_ms)
{
    const bool never = false;

    nexus_turn_until(&session->base, &never, timeout_ms);
    return session->base.error != NULL;
}

void session_nop_out(Session *session, uint32_t itt, uint32_t ttt, const void *data, uint32_t len)
{
    unsigned opcode = OP_NOP_OUT | (itt == PDU_NO_TAG ? PDU_IMMEDIATE : 0);
    Pdu pdu = pdu_new(opcode, PDU_FINAL, itt);

    put_be32(pdu.bhs + AT_TTT, ttt);
    pdu_set_data(&pdu, data, len);
    session_send(session, &pdu);
}

bool session_logout(Session *session, int timeout_ms)
{
    Pdu request = pdu_new(OP_LOGOUT | PDU_IMMEDIATE, PDU_FINAL, session_new_itt(session));
    g_autoptr(Pdu) answer = NULL;

    if (session->base.error)
        return false;
    session_send(session, &request);
    answer = session_await(session, OP_LOGOUT_RESPONSE, timeout_ms);
    if (answer && pdu_itt(answer) != pdu_itt(&request))
        session_violation(session, answer, "Logout Response with another tag");
    return answer && answer->bhs[2] == 0;
}

/* --- the seam --------------------------------------------------------------------------------- */

static uint8_t *base_memory(Nexus *nexus)
{
    Session *session = (Session *)nexus;

    return session->wire->ops->memory(session->wire);
}

static bool base_turn(Nexus *nexus, int timeout_ms)
{
    return session_turn((Session *)nexus, timeout_ms);
}

static void base_submit(Nexus *nexus, Task *task)
{
    session_submit((Session *)nexus, task);
}

static void base_give_up(Nexus *nexus, Task *task)
{
    session_give_up((Session *)nexus, task);
}

/* Immediate, both: they need no place in the window. */
static bool base_manage(Nexus *nexus, uint64_t lun, int timeout_ms)
{
    Session *session = (Session *)nexus;
    Pdu ping = pdu_new(OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL, session_new_itt(session));
    Pdu request = pdu_new(OP_TMF | PDU_IMMEDIATE, PDU_FINAL | ABORT_TASK, session_new_itt(session));
    g_autoptr(Pdu) answer = NULL, pong = NULL;

    put_be32(ping.bhs + AT_TTT, PDU_NO_TAG);
    session_send(session, &ping);
    scsi_put_lun(request.bhs + AT_LUN, lun);
    put_be32(request.bhs + AT_TTT, session_new_itt(session));
    put_be32(request.bhs + 32, session->cmd_sn - 1);
    session_send(session, &request);
    answer = session_await(session, OP_TMF_RESPONSE, timeout_ms);
    pong = session_await(session, OP_NOP_IN, timeout_ms);
    return answer && pong;
}

static bool base_log_out(Nexus *nexus, int timeout_ms)
{
    return session_logout((Session *)nexus, timeout_ms);
}

static void base_free(Nexus *nexus)
{
    session_free((Session *)nexus);
}

static const NexusOps session_ops = {
    .memory = base_memory,
    .turn = base_turn,
    .submit = base_submit,
    .give_up = base_give_up,
    .manage = base_manage,
    .log_out = base_log_out,
    .free = base_free,
};

Nexus *session_open_nexus(const NexusOptions *options, GError **error)
{
    SessionOptions so;
    Session *session;

    session_options_init(&so, options->url);
    so.isid += options->index;
    so.keys = options->keys;
    so.quiet = options->quiet;
    so.wire.depth = options->depth;
    so.wire.arena = MAX(options->arena, 4096);
    so.wire.invalidate = options->invalidate;
    session = session_open(&so, error);
    return session ? &session->base : NULL;
}
