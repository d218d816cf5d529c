/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions: which channels a nexus has, and who has to wait for whom. */
#include "srp/session.h"

#include "core/base/address.h"
#include "srp/port.h"

#define TRANSPORT_ID_LEN 24
#define PROTOCOL_SRP     0x04
#define RELATIVE_PORT    3 /* 1 and 2 are those of iSCSI and iSER */

/* --- what management sees -----------------------------------------------------------------------
 */

static GVariant *print_negotiated(const SrpNexus *nexus)
{
    const SrpSession *session = nexus->session;
    const SrpChannel *first = nexus->channels.head->data;
    const SrpLogin *login = &first->ticket->login;
    g_autofree char *target = srp_port_id_print(session->target_id);
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "InitiatorPortIdentifier", "s", session->initiator);
    g_variant_dict_insert(&dict, "TargetPortIdentifier", "s", target);
    g_variant_dict_insert(&dict, "Channels", "u", nexus->channels.length);
    g_variant_dict_insert(&dict, "RequestLimit", "u", nexus->record.window);
    g_variant_dict_insert(&dict, "MaxInitiatorToTargetIuLength", "u", login->iu_len);
    g_variant_dict_insert(&dict, "MaxTargetToInitiatorIuLength", "u", SRP_RSP_MAX);
    g_variant_dict_insert(&dict, "ImmediateDataOffset", "u", first->immediate_offset);
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

static void record_fill(SrpNexus *nexus)
{
    const SrpSession *session = nexus->session;
    const SrpChannel *first = nexus->channels.head->data;
    SessionRecord *record = &nexus->record;
    record->transport = "srp";
    record->target = session->target_name;
    record->initiator = session->initiator;
    record->local_address = address_print(&first->local);
    record->peer_address = address_print(&first->peer);
    record->loop = loop_index(session->home);
    record->negotiated = print_negotiated(nexus);
    record->auth_method = "None";
    record->auth_algorithm = record->auth_user = "";
    record->drop = srp_port_drop;
}

static void add_window(SrpNexus *nexus, int by)
{
    unsigned *window = &nexus->record.window;
    __atomic_store_n(window, *window + (unsigned)by, __ATOMIC_RELAXED);
}

void srp_session_window_changed(SrpChannel *channel, int by)
{
    if (channel->nexus)
        add_window(channel->nexus, by);
}

/* --- the nexus ----------------------------------------------------------------------------------
 */

static void admit_waiting(SrpSession *session);

static void out_of_the_way(SrpNexus *nexus)
{
    if (!nexus->in_the_way)
        return;
    nexus->in_the_way = false;
    nexus->session->in_the_way--;
    admit_waiting(nexus->session);
}

static void luns_changed(void *arg)
{
    SrpNexus *nexus = arg;
    SrpChannel *first = g_queue_peek_head(&nexus->channels);
    if (first)
        srp_channel_report_luns(first);
}

static void only_hung_left(void *arg)
{
    out_of_the_way(arg);
}

static const NexusEvents nexus_events = {
    .luns_changed = luns_changed,
    .only_hung_left = only_hung_left,
};

static void nexus_closed(void *arg)
{
    SrpNexus *nexus = arg;
    nexus->nexus = NULL;
    out_of_the_way(nexus);
    loop_call(nexus->session->host->main, srp_port_nexus_gone, nexus);
}

/* SPC-4 7.6.4.6 */
static void make_transport_id(const SrpSession *session, uint8_t out[TRANSPORT_ID_LEN])
{
    memset(out, 0, TRANSPORT_ID_LEN);
    out[0] = PROTOCOL_SRP;
    memcpy(out + 8, session->initiator_id, SRP_PORT_ID_LEN);
}

static SrpNexus *nexus_begin(SrpSession *session)
{
    uint8_t id[TRANSPORT_ID_LEN];
    SrpNexus *nexus = g_new0(SrpNexus, 1);
    make_transport_id(session, id);
    g_atomic_int_inc(&session->refs);
    nexus->session = session;
    nexus->nexus = nexus_new(session->scsi, session->home, session->host->memory,
                             session->initiator, id, sizeof id);
    nexus_set_port(nexus->nexus, RELATIVE_PORT);
    nexus_watch(nexus->nexus, &nexus_events, nexus);
    session->nexus = nexus;
    return nexus;
}

/* Its channels have left, or are closing and leave here. */
static void nexus_end(SrpNexus *nexus)
{
    SrpSession *session = nexus->session;
    SrpChannel *channel;
    session->nexus = NULL;
    nexus->in_the_way = true;
    session->in_the_way++;
    while ((channel = g_queue_peek_head(&nexus->channels))) {
        srp_order_leave(channel);
        srp_tsk_mgmt_leave(channel);
        g_queue_unlink(&nexus->channels, &channel->link);
        channel->nexus = NULL;
    }
    srp_tsk_mgmt_forget(nexus);
    nexus_close(nexus->nexus, nexus_closed, nexus);
}

static void log_out_channels(SrpNexus *nexus, SrpLogoutReason reason)
{
    for (GList *l = nexus->channels.head; l; l = l->next)
        srp_channel_log_out(l->data, reason);
}

/* --- logins -------------------------------------------------------------------------------------
 */

static void add_channel(SrpNexus *nexus, SrpChannel *channel)
{
    g_queue_push_tail_link(&nexus->channels, &channel->link);
    channel->nexus = nexus;
    add_window(nexus, (int)srp_channel_window(channel));
}

static void admit_to_new(SrpSession *session, SrpChannel *channel)
{
    SrpNexus *nexus = nexus_begin(session);
    add_channel(nexus, channel);
    record_fill(nexus);
    loop_call(session->host->main, srp_port_nexus_added, nexus);
    srp_channel_establish(channel, channel->alone ? SRP_CHANNELS_TERMINATED : SRP_CHANNELS_NONE);
}

static void admit(SrpSession *session, SrpChannel *channel)
{
    SrpNexus *nexus = session->nexus;
    if (nexus && nexus->channels.length >= session->max_channels) {
        srp_channel_refuse(channel, SRP_REJ_CHANNEL_LIMIT);
    } else if (!srp_channel_prepare(channel)) {
        srp_channel_refuse(channel, SRP_REJ_NO_RESOURCES);
    } else if (!nexus) {
        admit_to_new(session, channel);
    } else {
        add_channel(nexus, channel);
        srp_port_nexus_changed(nexus, print_negotiated(nexus));
        srp_channel_establish(channel, SRP_CHANNELS_MAINTAINED);
    }
}

/* One at a time: each decides what becomes of those before it. */
static void admit_waiting(SrpSession *session)
{
    if (session->admitting)
        return;
    session->admitting = true;
    g_atomic_int_inc(&session->refs); /* a refused channel may have the last one */
    SrpChannel *channel;
    while (session->in_the_way == 0 && (channel = g_queue_peek_head(&session->waiting))) {
        if (session->nexus && !channel->ticket->login.multichannel) {
            SrpNexus *old = session->nexus;
            channel->alone = true;
            log_out_channels(old, SRP_LOGOUT_OTHER_CHANNEL);
            nexus_end(old);
            continue;
        }
        g_queue_unlink(&session->waiting, &channel->link);
        admit(session, channel);
    }
    session->admitting = false;
    srp_session_unref(session);
}

void srp_session_login(SrpSession *session, SrpChannel *channel)
{
    if (session->ended) {
        srp_channel_refuse(channel, SRP_REJ_CANNOT_ESTABLISH);
        return;
    }
    g_queue_push_tail_link(&session->waiting, &channel->link);
    admit_waiting(session);
}

void srp_session_leave(SrpChannel *channel)
{
    SrpNexus *nexus = channel->nexus;
    if (!nexus)
        return;
    srp_order_leave(channel);
    srp_tsk_mgmt_leave(channel);
    g_queue_unlink(&nexus->channels, &channel->link);
    channel->nexus = NULL;
    add_window(nexus, -(int)srp_channel_window(channel));
    if (g_queue_is_empty(&nexus->channels)) {
        nexus_end(nexus);
    } else {
        srp_port_nexus_changed(nexus, print_negotiated(nexus));
        srp_order_go_on(nexus);
    }
}

void srp_session_stop_waiting(SrpChannel *channel)
{
    g_queue_unlink(&channel->session->waiting, &channel->link);
}

void srp_session_log_out(void *arg)
{
    SrpSession *session = arg;
    if (session->nexus)
        log_out_channels(session->nexus, SRP_LOGOUT_NO_REASON);
    srp_session_unref(session);
}

void srp_session_end(void *arg)
{
    SrpSession *session = arg;
    GList *link;
    session->ended = true;
    while ((link = g_queue_pop_head_link(&session->waiting)))
        srp_channel_refuse(link->data, SRP_REJ_CANNOT_ESTABLISH);
    srp_session_log_out(session);
}
