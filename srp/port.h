/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SRP target ports: which targets there are and by which identifiers, who may log in, on which
 * loop a session lives, and what management sees of it. Everything on loop 0 unless it says
 * otherwise. */
#pragma once

#include "core/daemon/transport.h"
#include "core/rdma/fabric.h"
#include "srp/session.h"

extern const char *const srp_port_keys[];   /* of the transport's own group; NULL-terminated */
extern const char *const srp_target_keys[]; /* of a [target] group */
/* Checks such a key; what Transport.check_key does. */
bool srp_port_check_key(const char *key, const char *value, bool in_target, GError **error);

/* What Transport.check_keys does. */
bool srp_port_check_keys(const char *const *keys, const char *const *values, bool in_target,
                         const Secrets *secrets, const char **culprit, GError **error);

/* host and fabric stay valid until srp_port_free(). */
SrpPort *srp_port_new(const TransportHost *host, const Fabric *fabric);
/* Runs loop 0 until the last session is gone. No listener, no target is left (asserted). */
void srp_port_free(SrpPort *port);

TransportTarget *srp_port_add_target(SrpPort *port, const TransportTargetSpec *spec,
                                     GError **error);
void srp_port_describe(TransportTarget *target,
                       void (*tell)(void *arg, const char *name, const char *value), void *arg);
void srp_port_remove_target(TransportTarget *target, LoopFn done, void *arg);

/* What became of a login on loop 0; goes with the connection request to the home loop, and from
 * then on with the channel. */
struct SrpTicket {
    SrpLogin login;
    SrpRejReason reason; /* 0: welcome */
    SrpSession *session; /* NULL: not welcome */
};
Loop *srp_port_route(ConnectRequest *request, void *port); /* FabricRoute */
void srp_ticket_free(void *ticket);                        /* FabricLate; MT-SAFE */

void srp_session_unref(SrpSession *session); /* MT-SAFE */

/* From the home loop of a session, in this order. */
void srp_port_nexus_added(void *nexus);                             /* LoopFn */
void srp_port_nexus_changed(SrpNexus *nexus, GVariant *negotiated); /* MT-SAFE; takes it */
void srp_port_nexus_gone(void *nexus);                              /* LoopFn; frees it */
void srp_port_drop(SessionRecord *record);                          /* SessionRecord.drop */

char *srp_port_id_print(const uint8_t id[SRP_PORT_ID_LEN]); /* "0x" and 32 digits. MT-SAFE */
