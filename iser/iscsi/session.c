/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The full feature phase: requests in order to those who serve them, serial numbers, keep-alive,
 * logout. */
#include "iser/iscsi/session.h"

#include <stdio.h>

#define LOGOUT_GRACE 2 /* seconds an initiator has to log out when asked */

static void arm_keep_alive(IscsiSession *session);

/* --- life --------------------------------------------------------------------------------------*/

/* SPC-4 7.6.4.6: "NAME,i,0xISID", NUL-terminated, padded to four bytes. */
static Nexus *make_nexus(const SessionSpec *spec)
{
    uint8_t id[4 + 256] = {0x45}; /* format 01b, protocol iSCSI */
    const uint8_t *isid = spec->isid;
    int len = snprintf((char *)id + 4, sizeof id - 4, "%s,i,0x%02x%02x%02x%02x%02x%02x",
                       spec->initiator, isid[0], isid[1], isid[2], isid[3], isid[4], isid[5]);
    unsigned padded = MAX(((unsigned)len + 1 + 3) & ~3u, 20u);
    put_be16(id + 2, (uint16_t)padded);
    Nexus *nexus =
        nexus_new(spec->target, spec->dm->loop, spec->dm->memory, spec->initiator, id, 4 + padded);
    nexus_set_port(nexus, spec->target_port);
    return nexus;
}

static const NexusEvents nexus_events;

static void note_window(IscsiSession *session)
{
    command_pool_limit(&session->commands, session->window.size);
    if (session->record)
        __atomic_store_n(&session->record->window, session->window.size, __ATOMIC_RELAXED);
}

IscsiSession *session_new(const SessionSpec *spec)
{
    IscsiSession *session = g_new0(IscsiSession, 1);
    session->dm = spec->dm;
    session->params = *spec->params;
    session->cid = spec->cid;
    session->stat_sn = spec->stat_sn;
    session->record = spec->record;
    session->owner = spec->owner;
    session->owner_arg = spec->owner_arg;
    unsigned most = MAX(spec->window, spec->params->queue_depth);
    cmd_window_init(&session->window, spec->cmd_sn, spec->window, most);
    session->told_max = session->window.max_cmd_sn;
    command_pool_init(&session->commands, most);
    note_window(session);
    session_text_init(session);
    if (spec->target) {
        session->nexus = make_nexus(spec);
        nexus_watch(session->nexus, &nexus_events, session);
        arm_keep_alive(session);
    }
    return session;
}

static void nexus_closed(void *arg)
{
    IscsiSession *session = arg;
    session->nexus = NULL;
    tmf_forget(session);
    command_forget_held(session);
    session->closed(session->closed_arg);
}

void session_close(IscsiSession *session, LoopFn closed, void *arg)
{
    session->quiet = true;
    session->closed = closed;
    session->closed_arg = arg;
    loop_timer_stop(&session->nop_timer);
    loop_timer_stop(&session->deadline);
    DmPdu *pdu;
    while ((pdu = cmd_window_drain(&session->window)))
        session->dm->dm->release_pdu(pdu);
    if (session->nexus)
        nexus_close(session->nexus, nexus_closed, session);
    else
        nexus_closed(session);
}

void session_free(IscsiSession *session)
{
    if (!session)
        return;
    command_pool_clear(&session->commands);
    cmd_window_clear(&session->window);
    session_text_clear(session);
    g_free(session);
}

/* --- sending -----------------------------------------------------------------------------------*/

void session_stamp(IscsiSession *session, uint8_t bhs[ISCSI_BHS_LEN])
{
    put_be32(bhs + PDU_STAT_SN, session->stat_sn);
    put_be32(bhs + PDU_EXP_CMD_SN, session->window.exp_cmd_sn);
    put_be32(bhs + PDU_MAX_CMD_SN, session->window.max_cmd_sn);
    session->told_max = session->window.max_cmd_sn;
}

static void send_unnumbered(IscsiSession *session, uint8_t bhs[ISCSI_BHS_LEN], const void *data,
                            size_t len)
{
    if (session->quiet)
        return;
    session_stamp(session, bhs);
    session->dm->dm->send_control(session->dm, bhs, data, (uint32_t)len);
}

void session_send(IscsiSession *session, uint8_t bhs[ISCSI_BHS_LEN], const void *data, size_t len)
{
    send_unnumbered(session, bhs, data, len);
    session->stat_sn++;
}

size_t session_send_limit(const IscsiSession *session)
{
    const IscsiParams *params = &session->params;
    return params->rdma_extensions ? params->initiator_recv_data_segment_length
                                   : params->peer_max_recv_data_segment_length;
}

void session_reject(IscsiSession *session, RejectReason reason, const uint8_t *offender)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_REJECT, PDU_FINAL, ISCSI_NO_TAG);
    bhs[REJECT_REASON] = (uint8_t)reason;
    session_send(session, bhs, offender, ISCSI_BHS_LEN);
}

static void send_async(IscsiSession *session, AsyncEvent event, uint16_t parameter3)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_ASYNC_MESSAGE, PDU_FINAL, ISCSI_NO_TAG);
    bhs[ASYNC_EVENT] = (uint8_t)event;
    if (event == ASYNC_CONNECTION_DROP)
        put_be16(bhs + ASYNC_PARAMETER1, session->cid);
    put_be16(bhs + ASYNC_PARAMETER3, parameter3);
    session_send(session, bhs, NULL, 0);
}

/* A SCSI event (11.9.1) of LUN 0, which stands for the target. Initiators look for LUNs then, which
 * a unit attention makes them do only when they send a command. */
static void luns_changed(void *arg)
{
    uint8_t bhs[ISCSI_BHS_LEN], data[2 + SENSE_MAX];
    pdu_begin(bhs, ISCSI_ASYNC_MESSAGE, PDU_FINAL, ISCSI_NO_TAG);
    bhs[ASYNC_EVENT] = ASYNC_SCSI_EVENT;
    unsigned len = sense_build(data + 2, false, SENSE_LUNS_CHANGED, NULL);
    put_be16(data, (uint16_t)len);
    session_send(arg, bhs, data, 2 + len);
}

static void only_hung_left(void *arg)
{
    const IscsiSession *session = arg;
    session->owner->only_hung_left(session->owner_arg);
}

static const NexusEvents nexus_events = {
    .luns_changed = luns_changed,
    .only_hung_left = only_hung_left,
};

static void end(IscsiSession *session, DmClose how)
{
    session->quiet = true;
    loop_timer_stop(&session->nop_timer);
    loop_timer_stop(&session->deadline);
    session->owner->close(session->owner_arg, how);
}

void session_fail(IscsiSession *session, const char *why)
{
    if (session->quiet)
        return;
    g_message("session closed: %s", why);
    end(session, DM_CLOSE_GRACEFUL);
}

/* --- NOP both ways -----------------------------------------------------------------------------*/

static void send_nop_in(IscsiSession *session, uint32_t ttt)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_NOP_IN, PDU_FINAL, ISCSI_NO_TAG);
    put_be32(bhs + PDU_TTT, ttt);
    send_unnumbered(session, bhs, NULL, 0);
}

static gboolean ping_expired(gpointer arg)
{
    IscsiSession *session = arg;
    if (session->heard) {
        loop_timer_stop(&session->deadline);
    } else {
        g_message("session closed: no answer to NOP-In within %u s", session->params.nop_timeout);
        end(session, DM_CLOSE_NOW);
    }
    return G_SOURCE_REMOVE;
}

static gboolean look_for_silence(gpointer arg)
{
    IscsiSession *session = arg;
    if (session->heard) {
        loop_timer_stop(&session->deadline);
    } else if (!session->deadline) {
        send_nop_in(session, ++session->next_ttt & INT32_MAX);
        session->deadline = loop_timer_start(session->dm->loop, session->params.nop_timeout * 1000,
                                             ping_expired, session);
    }
    session->heard = false;
    return G_SOURCE_CONTINUE;
}

static void arm_keep_alive(IscsiSession *session)
{
    if (session->params.nop_interval)
        session->nop_timer = loop_timer_start(
            session->dm->loop, session->params.nop_interval * 1000, look_for_silence, session);
}

static void nop_out(IscsiSession *session, DmPdu *pdu)
{
    if (pdu_itt(pdu->bhs) != ISCSI_NO_TAG) {
        uint8_t bhs[ISCSI_BHS_LEN];
        pdu_begin(bhs, ISCSI_NOP_IN, PDU_FINAL, pdu_itt(pdu->bhs));
        put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
        session_send(session, bhs, pdu->data, MIN(pdu->data_len, session_send_limit(session)));
    }
    session->dm->dm->release_pdu(pdu);
}

/* --- logout ------------------------------------------------------------------------------------*/

static LogoutResponse judge_logout(const IscsiSession *session, const uint8_t *bhs)
{
    switch (bhs[PDU_FLAGS] & LOGOUT_REASON_MASK) {
    case LOGOUT_CLOSE_SESSION:
        return LOGOUT_CLOSED;
    case LOGOUT_CLOSE_CONNECTION:
        return get_be16(bhs + LOGOUT_CID) == session->cid ? LOGOUT_CLOSED : LOGOUT_NO_CONNECTION;
    default:
        return LOGOUT_NO_RECOVERY;
    }
}

static void logout(IscsiSession *session, DmPdu *pdu)
{
    uint8_t request[ISCSI_BHS_LEN], bhs[ISCSI_BHS_LEN];
    memcpy(request, pdu->bhs, sizeof request);
    session->dm->dm->release_pdu(pdu);
    if ((request[PDU_FLAGS] & LOGOUT_REASON_MASK) > LOGOUT_FOR_RECOVERY) {
        session_reject(session, REJECT_INVALID_PDU_FIELD, request);
        return;
    }
    LogoutResponse response = judge_logout(session, request);
    pdu_begin(bhs, ISCSI_LOGOUT_RESPONSE, PDU_FINAL, pdu_itt(request));
    bhs[LOGOUT_RESPONSE_CODE] = (uint8_t)response;
    put_be16(bhs + LOGOUT_TIME2WAIT, (uint16_t)session->params.default_time2wait);
    put_be16(bhs + LOGOUT_TIME2RETAIN, (uint16_t)session->params.default_time2retain);
    if (response == LOGOUT_CLOSED && session->nexus)
        nexus_lost(session->nexus);
    session_send(session, bhs, NULL, 0);
    if (response == LOGOUT_CLOSED)
        end(session, DM_CLOSE_GRACEFUL);
}

static gboolean logout_overdue(gpointer arg)
{
    IscsiSession *session = arg;
    send_async(session, ASYNC_SESSION_DROP, 0);
    end(session, DM_CLOSE_GRACEFUL);
    return G_SOURCE_REMOVE;
}

void session_ask_logout(IscsiSession *session)
{
    if (session->quiet)
        return;
    loop_timer_stop(&session->nop_timer);
    loop_timer_stop(&session->deadline);
    send_async(session, ASYNC_LOGOUT_REQUEST, LOGOUT_GRACE);
    session->deadline =
        loop_timer_start(session->dm->loop, LOGOUT_GRACE * 1000, logout_overdue, session);
}

/* --- requests ----------------------------------------------------------------------------------*/

static void snack(IscsiSession *session, DmPdu *pdu)
{
    session_reject(session, REJECT_SNACK, pdu->bhs);
    session->dm->dm->release_pdu(pdu);
}

static void login_again(IscsiSession *session, DmPdu *pdu)
{
    session_reject(session, REJECT_PROTOCOL_ERROR, pdu->bhs);
    session->dm->dm->release_pdu(pdu);
    session_fail(session, "Login Request in the full feature phase");
}

/* A row per opcode an initiator may send. */
static const struct {
    void (*handle)(IscsiSession *session, DmPdu *pdu);
    bool numbered;     /* has a CmdSN */
    bool holds_window; /* keeps its place in the window after the handler has returned */
    bool in_discovery;
} requests[PDU_OPCODE_MASK + 1] = {
    [ISCSI_NOP_OUT] = {nop_out, true, false, false},
    [ISCSI_SCSI_COMMAND] = {command_receive, true, true, false},
    [ISCSI_TMF_REQUEST] = {tmf_receive, true, false, false},
    [ISCSI_LOGIN_REQUEST] = {login_again, false, false, true},
    [ISCSI_TEXT_REQUEST] = {session_text_request, true, false, true},
    [ISCSI_DATA_OUT] = {unsolicited_receive, false, false, false},
    [ISCSI_LOGOUT_REQUEST] = {logout, true, false, true},
    [ISCSI_SNACK_REQUEST] = {snack, false, false, false},
};

static void refuse(IscsiSession *session, DmPdu *pdu)
{
    bool held = requests[pdu_opcode(pdu->bhs)].holds_window && !pdu_immediate(pdu->bhs);
    session_reject(session, REJECT_NOT_SUPPORTED, pdu->bhs);
    if (held)
        session_retire(session, pdu);
    else
        session->dm->dm->release_pdu(pdu);
}

static void deliver(IscsiSession *session, DmPdu *pdu)
{
    IscsiOpcode opcode = pdu_opcode(pdu->bhs);
    if (!requests[opcode].holds_window && requests[opcode].numbered && !pdu_immediate(pdu->bhs))
        cmd_window_open(&session->window);
    if (session->nexus || requests[opcode].in_discovery)
        requests[opcode].handle(session, pdu);
    else
        refuse(session, pdu);
}

void session_advance(IscsiSession *session)
{
    DmPdu *pdu;
    while (!session->quiet && (pdu = cmd_window_next(&session->window)))
        deliver(session, pdu);
    if (session->tmfs.waiting && !session->quiet)
        tmf_window_advanced(session);
}

/* Before the request is served: its answer is the first to tell of a larger window. */
static void grow_window(IscsiSession *session)
{
    unsigned more = session->dm->dm->grow(session->dm);
    if (more == 0)
        return;
    cmd_window_grow(&session->window, more);
    note_window(session);
}

/* The initiator sent this when it had seen the answers up to its ExpStatSN, so what it knew of
 * MaxCmdSN lacks the places that the later ones offer: with those its window was used up. */
static bool wants_more(const IscsiSession *session, const DmPdu *pdu)
{
    uint32_t unseen = session->stat_sn - pdu_exp_stat_sn(pdu->bhs);
    return serial_before(session->told_max - unseen, session->window.exp_cmd_sn);
}

static void receive_numbered(IscsiSession *session, DmPdu *pdu)
{
    switch (cmd_window_receive(&session->window, pdu_cmd_sn(pdu->bhs), pdu)) {
    case WINDOW_DELIVER:
        if (wants_more(session, pdu))
            grow_window(session);
        deliver(session, pdu);
        session_advance(session);
        break;
    case WINDOW_DROP:
        session->dm->dm->release_pdu(pdu);
        break;
    case WINDOW_PARKED:
        break;
    }
}

void session_receive(IscsiSession *session, DmPdu *pdu)
{
    IscsiOpcode opcode = pdu_opcode(pdu->bhs);
    session->heard = true;
    if (session->quiet) {
        session->dm->dm->release_pdu(pdu);
    } else if (!requests[opcode].handle) {
        refuse(session, pdu);
    } else if (requests[opcode].numbered && !pdu_immediate(pdu->bhs)) {
        receive_numbered(session, pdu);
    } else {
        deliver(session, pdu);
    }
}

static bool is_used_up(const IscsiSession *session)
{
    return serial_before(session->told_max, session->window.exp_cmd_sn);
}

/* Where the window was closed when the initiator last heard of it, and nothing is left that would
 * be answered, a NOP-In tells that it is open again. */
void session_retire(IscsiSession *session, DmPdu *pdu)
{
    if (session->dm->dm->retire(pdu)) {
        cmd_window_open(&session->window);
    } else {
        cmd_window_shrink(&session->window);
        note_window(session);
    }
    if (!session->commands.in_use && is_used_up(session))
        send_nop_in(session, ISCSI_NO_TAG);
}

/* The PDU is gone, the session goes on (7143 7.8). Of data, the command it belonged to fails: what
 * was solicited, the datamover tells itself. Of a numbered request, its number is missing until the
 * initiator sends it again or ends the session (7.2.1). */
void session_bad_digest(IscsiSession *session, const uint8_t bhs[ISCSI_BHS_LEN])
{
    if (session->quiet)
        return;
    session->heard = true;
    session_reject(session, REJECT_DATA_DIGEST, bhs);
    if (pdu_opcode(bhs) == ISCSI_DATA_OUT && pdu_ttt(bhs) == ISCSI_NO_TAG)
        unsolicited_spoilt(session, bhs);
}
