/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session: an initiator port's I_T nexus with a target port, over one or several channels (SRP
 * 4.5). On its home loop.
 *
 * All channels of a session live on one loop and share one Nexus, because what SCSI knows of an
 * initiator is per I_T nexus, not per channel: a TSK_MGMT names a task that may have come on
 * another channel (the Linux initiator sends it on the first), ordered tasks wait for those of all
 * channels, a unit attention is reported once, and a reservation has one holder. Several loops
 * would have to agree on every one of these; a busy initiator gets more loops by more sessions. So
 * the port chooses the loop by session when the connection request comes (srp_port_route()). */
#pragma once

#include "core/daemon/transport.h"
#include "core/scsi/nexus.h"
#include "srp/channel.h"

typedef struct SrpPort SrpPort; /* port.h */

/* A nexus from its first channel until its last task is gone. A session may have old ones that wait
 * for a hung store. */
struct SrpNexus {
    Nexus *nexus;
    SrpSession *session;
    GQueue channels;                     /* SrpChannel, in the order of their logins */
    GSList *tmfs;                        /* SrpTmf */
    unsigned fetching, fetching_ordered; /* commands that wait for a table: see order.c */
    GQueue held;                         /* SrpIu, in order: requests that wait for them */
    bool in_the_way;                     /* it is being closed, and another has to wait for that */
    SessionRecord record;
    GList node; /* in the port's list; loop 0 */
};

struct SrpSession {
    /* constant */
    SrpPort *port;
    TransportTarget *target; /* loop 0 only looks inside */
    ScsiTarget *scsi;
    const TransportHost *host;
    Loop *home;
    char *initiator, *target_name;
    uint8_t initiator_id[SRP_PORT_ID_LEN], target_id[SRP_PORT_ID_LEN];
    unsigned depth, max_channels, idle_ms;

    gint refs; /* of tickets and nexuses; the last one goes on loop 0 */

    /* the home loop's */
    SrpNexus *nexus; /* NULL: none, or it is being closed */
    GQueue waiting;  /* SrpChannel, in the order of their logins */
    unsigned in_the_way;
    bool admitting, ended;
};

/* A new channel, not established yet: it is admitted, refused or waits. Takes it over. */
void srp_session_login(SrpSession *session, SrpChannel *channel);
/* The channel is closing: it leaves its nexus, which ends with the last one. */
void srp_session_leave(SrpChannel *channel);
void srp_session_stop_waiting(SrpChannel *channel); /* its initiator has gone away */
/* LoopFns: log every channel out, and admit none any more (end). A reference of the SrpSession
 * comes with them. */
void srp_session_log_out(void *session);
void srp_session_end(void *session);
/* The channel's initiator may have so many more requests outstanding, or fewer. */
void srp_session_window_changed(SrpChannel *channel, int by);
