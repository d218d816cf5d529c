/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A channel from the connection request to its end: login, credits, requests of either side. */
#include "srp/channel.h"

#include "core/base/address.h"
#include "core/base/log_limit.h"
#include "srp/port.h"
#include "srp/session.h"

#define INLINE_MAX 96 /* a response without sense data */

/* --- ending -------------------------------------------------------------------------------------
 */

static void channel_free(SrpChannel *channel)
{
    loop_flush_cancel(channel->loop, &channel->settle);
    loop_flush_cancel(channel->loop, &channel->orphans.flush);
    srp_commands_deinit(&channel->commands);
    srp_transmit_deinit(channel);
    srp_ring_close(channel);
    srp_ticket_free(channel->ticket);
    g_free(channel->name);
    g_free(channel);
}

static bool belongs_to(const Task *task, void *channel)
{
    return ((const SrpCommand *)task)->channel == channel;
}

/* Nothing is taken or sent from here on. The nexus is left later, outside of calls by its tasks. */
static void shut(SrpChannel *channel, bool graceful)
{
    channel->state = CHANNEL_CLOSING;
    loop_timer_stop(&channel->idle);
    if (channel->qp)
        qp_close(channel->qp, graceful);
    if (channel->nexus && channel->nexus->nexus)
        nexus_abort(channel->nexus->nexus, belongs_to, channel);
    srp_channel_settle(channel);
}

void srp_channel_close(SrpChannel *channel, const char *reason)
{
    if (channel->state != CHANNEL_OPEN)
        return;
    g_message("SRP channel of %s ends: %s", channel->name, reason);
    shut(channel, false);
}

static const char *logout_text(SrpLogoutReason reason)
{
    switch (reason) {
    case SRP_LOGOUT_NO_REASON:
        return "logged out by the target";
    case SRP_LOGOUT_INACTIVE:
        return "the initiator does not answer";
    case SRP_LOGOUT_UNKNOWN_IU:
        return "an information unit of unknown type";
    case SRP_LOGOUT_UNASKED_RESPONSE:
        return "an answer to nothing";
    case SRP_LOGOUT_OTHER_CHANNEL:
        return "the initiator port logged in again";
    case SRP_LOGOUT_FORMAT_OUT:
        return "an unknown format of data-out buffer descriptors";
    case SRP_LOGOUT_FORMAT_IN:
        return "an unknown format of data-in buffer descriptors";
    }
    return "unknown reason";
}

void srp_channel_log_out(SrpChannel *channel, SrpLogoutReason reason)
{
    uint8_t iu[SRP_REQUEST_LEN];
    if (channel->state != CHANNEL_OPEN)
        return;
    g_message("SRP channel of %s ends: %s", channel->name, logout_text(reason));
    bool solicited = channel->ticket->login.solicit_logout;
    srp_t_logout_encode(++channel->last_tag, solicited, reason, iu);
    srp_send(channel, iu, sizeof iu, solicited, NULL);
    shut(channel, true);
}

static void on_lost(QueuePair *qp, const char *reason)
{
    srp_channel_close(qp_owner(qp), reason);
}

/* A waiting channel comes here when its initiator has given up. */
static void on_drained(QueuePair *qp)
{
    SrpChannel *channel = qp_owner(qp);
    bool waiting = channel->state == CHANNEL_WAITING;
    qp_free(qp);
    channel->qp = NULL;
    if (waiting) {
        srp_session_stop_waiting(channel);
        channel->state = CHANNEL_CLOSING;
    }
    srp_channel_settle(channel);
}

static const QueuePairEvents qp_events = {.lost = on_lost, .drained = on_drained};

static bool is_unused(const SrpChannel *channel)
{
    return !channel->qp && !channel->commands.busy.head && channel->transmit.busy == 0 &&
           channel->ring.lent == 0 && !channel->orphans.head;
}

/* --- credits and requests of the target ---------------------------------------------------------
 */

uint32_t srp_channel_take_credits(SrpChannel *channel)
{
    unsigned credits = channel->owed;
    channel->owed = 0;
    channel->granted += credits;
    return credits;
}

unsigned srp_channel_window(const SrpChannel *channel)
{
    unsigned held = channel->ring.share.held;
    return held > SRP_RESERVE ? held - SRP_RESERVE : 0;
}

static void send_credits(SrpChannel *channel)
{
    uint8_t iu[SRP_REQUEST_LEN];
    bool solicited = channel->ticket->login.solicit_credit;
    channel->credit = (SrpRequest){true, ++channel->last_tag};
    srp_cred_req_encode(channel->credit.tag, solicited, srp_channel_take_credits(channel), iu);
    srp_send(channel, iu, sizeof iu, solicited, NULL);
}

/* Whether a response will come that tells of what is owed, before the initiator runs dry. */
static bool will_respond(const SrpChannel *channel)
{
    return channel->granted > 0 && (channel->commands.busy.head || srp_tsk_mgmt_is_busy(channel));
}

static void settle(LoopFlush *flush)
{
    SrpChannel *channel = (SrpChannel *)((char *)flush - offsetof(SrpChannel, settle));
    if (channel->state == CHANNEL_OPEN) {
        if (channel->owed > 0 && !channel->credit.out && !will_respond(channel))
            send_credits(channel);
    } else if (channel->state == CHANNEL_CLOSING) {
        srp_session_leave(channel);
        if (is_unused(channel))
            channel_free(channel);
    }
}

void srp_channel_settle(SrpChannel *channel)
{
    loop_flush_later(channel->loop, &channel->settle);
}

/* An initiator that says nothing is asked, so that the device notices when there is none. */
static gboolean on_idle(gpointer arg)
{
    SrpChannel *channel = arg;
    if (!channel->heard && !channel->credit.out)
        send_credits(channel);
    else if (!channel->heard) {
        srp_channel_log_out(channel, SRP_LOGOUT_INACTIVE);
        return G_SOURCE_REMOVE;
    }
    channel->heard = false;
    return G_SOURCE_CONTINUE;
}

void srp_channel_report_luns(SrpChannel *channel)
{
    uint8_t sense[SENSE_MAX], iu[SRP_AER_REQ_MAX];
    if (channel->state != CHANNEL_OPEN)
        return;
    channel->event_pending = channel->event.out;
    if (channel->event.out)
        return;
    bool solicited = channel->ticket->login.solicit_event;
    unsigned sense_len = sense_build(sense, false, SENSE_LUNS_CHANGED, NULL);
    channel->event = (SrpRequest){true, ++channel->last_tag};
    size_t len =
        srp_aer_req_encode(channel->event.tag, solicited, srp_channel_take_credits(channel),
                           scsi_lun_field(0), sense, sense_len, iu);
    srp_send(channel, iu, len, solicited, NULL);
}

/* --- what comes ---------------------------------------------------------------------------------
 */

static void take_answer(SrpIu *iu, SrpRequest *request)
{
    SrpChannel *channel = iu->channel;
    uint64_t tag;
    if (!srp_tag_decode(iu->buffer + channel->ring.pad, iu->len, &tag))
        srp_channel_close(channel, "a response that is too short");
    else if (!request->out || request->tag != tag)
        srp_channel_log_out(channel, SRP_LOGOUT_UNASKED_RESPONSE);
    request->out = false;
    srp_ring_release(iu, false);
    srp_channel_settle(channel);
}

static void take_logout(SrpIu *iu)
{
    SrpChannel *channel = iu->channel;
    if (channel->state == CHANNEL_OPEN) {
        g_message("SRP channel of %s: the initiator logs out", channel->name);
        shut(channel, false); /* it waits for nothing but the end */
    }
    srp_ring_release(iu, false);
}

static void take_request(SrpIu *iu)
{
    SrpChannel *channel = iu->channel;
    if (channel->granted == 0) {
        srp_channel_close(channel, "it sent more requests than its request limit");
        srp_ring_release(iu, true);
        return;
    }
    if (--channel->granted == 0)
        srp_ring_grow(channel);
    srp_order_take(iu);
}

void srp_channel_receive(SrpIu *iu)
{
    SrpChannel *channel = iu->channel;
    channel->heard = true;
    switch (iu->len > 0 ? iu->buffer[channel->ring.pad] : SRP_LOGIN_REQ) {
    case SRP_CMD:
    case SRP_TSK_MGMT:
        take_request(iu);
        return;
    case SRP_CRED_RSP:
        take_answer(iu, &channel->credit);
        return;
    case SRP_AER_RSP:
        take_answer(iu, &channel->event);
        if (channel->event_pending && !channel->event.out)
            srp_channel_report_luns(channel);
        return;
    case SRP_I_LOGOUT:
        take_logout(iu);
        return;
    default:
        srp_channel_log_out(channel, SRP_LOGOUT_UNKNOWN_IU);
        srp_ring_release(iu, false);
    }
}

/* --- login --------------------------------------------------------------------------------------
 */

static void log_refusal(const char *name, SrpRejReason reason)
{
    static LogLimit limit = LOG_LIMIT_INIT(10, 60);
    unsigned kept;
    if (!log_limit_admits(&limit, g_get_monotonic_time(), &kept))
        return;
    if (kept > 0)
        g_message("SRP: %u more logins were rejected", kept);
    g_message("SRP login of %s rejected: %s", name, srp_rej_text(reason));
}

void srp_channel_refuse(SrpChannel *channel, SrpRejReason reason)
{
    uint8_t rej[SRP_LOGIN_REJ_LEN];
    log_refusal(channel->name, reason);
    srp_login_rej_encode(channel->ticket->login.tag, reason, rej);
    qp_reject(channel->qp, rej, sizeof rej);
    channel_free(channel);
}

/* The data has to lie behind the longest command. */
static unsigned agree_on_immediate(const SrpLogin *login)
{
    bool fits =
        login->immediate_offset >= SRP_IMMEDIATE_LEAST && login->immediate_offset < login->iu_len;
    return login->immediate && fits ? login->immediate_offset : 0;
}

bool srp_channel_prepare(SrpChannel *channel)
{
    const SrpLogin *login = &channel->ticket->login;
    const SrpSession *session = channel->session;
    channel->immediate_offset = agree_on_immediate(login);
    channel->granted = srp_ring_open(channel, session->host->receive, session->depth, login->iu_len,
                                     channel->immediate_offset);
    return channel->granted > 0;
}

void srp_channel_establish(SrpChannel *channel, SrpChannels others)
{
    const SrpLogin *login = &channel->ticket->login;
    g_autoptr(GError) error = NULL;
    uint8_t out[SRP_LOGIN_RSP_LEN];
    const SrpLoginRsp rsp = {.tag = login->tag,
                             .credits = channel->granted,
                             .max_in_len = login->iu_len,
                             .max_out_len = SRP_RSP_MAX,
                             .channels = others,
                             .immediate = channel->immediate_offset > 0};
    srp_login_rsp_encode(&rsp, out);
    if (qp_accept(channel->qp, out, sizeof out, &error)) {
        channel->state = CHANNEL_OPEN;
        channel->idle =
            loop_timer_start(channel->loop, channel->session->idle_ms, on_idle, channel);
        return;
    }
    g_message("SRP login of %s failed: %s", channel->name, error->message);
    g_clear_pointer(&channel->qp, qp_free);
    srp_ring_unpost(channel);
    shut(channel, false);
}

static SrpChannel *channel_new(ConnectRequest *request)
{
    SrpTicket *ticket = request->routed;
    SrpChannel *channel = g_new0(SrpChannel, 1);
    g_autofree char *peer = address_print(&request->peer);
    channel->loop = loop_self();
    channel->device = request->device;
    channel->arena = memory_arena(ticket->session->host->memory);
    channel->ticket = ticket;
    channel->session = ticket->session;
    channel->local = request->local;
    channel->peer = request->peer;
    channel->link.data = channel;
    channel->settle.run = settle;
    channel->name = g_strdup_printf("%s (%s)", channel->session->initiator, peer);
    srp_transmit_init(&channel->transmit);
    srp_orphans_init(channel);
    srp_commands_init(&channel->commands);
    return channel;
}

static void reject(ConnectRequest *request, SrpRejReason reason)
{
    SrpTicket *ticket = request->routed;
    uint8_t rej[SRP_LOGIN_REJ_LEN];
    g_autofree char *peer = address_print(&request->peer);
    log_refusal(peer, reason);
    srp_login_rej_encode(ticket->login.tag, reason, rej);
    srp_ticket_free(ticket);
    fabric_reject(request, rej, sizeof rej);
}

void srp_channel_accept(ConnectRequest *request, void *arg)
{
    SrpTicket *ticket = request->routed;
    g_autoptr(GError) error = NULL;
    (void)arg;
    if (ticket->reason) {
        reject(request, ticket->reason);
        return;
    }
    SrpChannel *channel = channel_new(request);
    unsigned receives = channel->session->depth + SRP_RESERVE;
    QueuePairConfig config = {
        .send_slots = 2 * receives, .recv_slots = receives, .inline_max = INLINE_MAX};
    channel->qp = qp_new(request, &config, &qp_events, channel, &error);
    if (!channel->qp) {
        g_warning("SRP: no channel: %s", error->message);
        channel_free(channel);
        return;
    }
    srp_session_login(channel->session, channel);
}
