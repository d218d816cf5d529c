/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the transports of the iSCSI family share: the targets and their parameters, who is connected
 * to them, reinstatement of sessions, addresses for SendTargets. A transport adds a listener that
 * hands its connections to iscsi_accept(). Everything lives on loop 0 unless it says otherwise. */
#pragma once

#include "core/daemon/transport.h"
#include "iser/iscsi/login.h"

typedef struct IscsiPortal IscsiPortal;
typedef struct PortalLink PortalLink;

typedef struct {
    const char *transport;     /* for SessionRecord; constant string */
    uint16_t group_tag;        /* target portal group tag where none is configured: one per
                                * transport, as each has target ports of its own */
    unsigned login_timeout_ms; /* 0: 15 s */
    unsigned max_logins;       /* connections without a session at a time, the oldest makes room;
                                * 0: 128 */
} IscsiPortalConfig;

/* Keys of the transport's own group, Transport.keys: login-timeout (seconds), max-logins, and how
 * discovery is authenticated; NULL-terminated. */
extern const char *const iscsi_portal_keys[];
/* Checks such a key and sets it, unless it is of authentication; config may be NULL. */
bool iscsi_portal_set(IscsiPortalConfig *config, const char *key, const char *value,
                      GError **error);

/* host stays valid until iscsi_portal_free(); its keys overrule the config. NULL with error: they
 * do not fit together. */
IscsiPortal *iscsi_portal_new(const TransportHost *host, const IscsiPortalConfig *config,
                              GError **error);
/* Ends the connections that are left (logins, discovery); runs loop 0 until they are gone. No
 * listener, no target is left (asserted). */
void iscsi_portal_free(IscsiPortal *portal);

/* "ADDRESS:PORT" or "ADDRESS:PORT,TAG" as the keyfile has it: the address, the caller's, and the
 * target portal group tag. NULL with error. */
char *iscsi_portal_listen_on(const IscsiPortal *portal, const char *text, uint16_t *group_tag,
                             GError **error);
/* Where this transport listens, and in which portal group. Copied. */
void iscsi_portal_add_address(IscsiPortal *portal, const struct sockaddr_storage *address,
                              uint16_t group_tag);
void iscsi_portal_remove_address(IscsiPortal *portal, const struct sockaddr_storage *address);

/* What members of Transport do; Transport.target_keys is iscsi_file_keys (keys.h). */
bool iscsi_portal_check_key(const char *key, const char *value, bool in_target, GError **error);
bool iscsi_portal_check_keys(const char *const *keys, const char *const *values, bool in_target,
                             const Secrets *secrets, const char **culprit, GError **error);
TransportTarget *iscsi_portal_add_target(IscsiPortal *portal, const TransportTargetSpec *spec,
                                         GError **error);
void iscsi_portal_remove_target(TransportTarget *target, LoopFn done, void *arg);

/* A DmAccepted; arg: the IscsiPortal. On the connection's home loop. False: too many logins. */
bool iscsi_accept(DmConn *conn, void *portal);

/* --- for connection.c: a connection as loop 0 knows it ------------------------------------------
 * The home loop fills a link in and asks by the functions below, one question at a time; loop 0
 * answers by calling `answered` on the home loop. Between, the link is loop 0's. */

typedef enum { LINK_PENDING, LINK_WAITING, LINK_SESSION, LINK_DISCOVERY } LinkState;

struct PortalLink {
    /* constant from attach on */
    IscsiPortal *portal;
    Loop *home;
    void *owner;     /* the argument of these three, which run on the home loop */
    LoopFn drop;     /* close the connection at once */
    LoopFn log_out;  /* ask the initiator to log out, then close */
    LoopFn detached; /* after portal_detach(): loop 0 has forgotten the link */
    struct sockaddr_storage local, peer;

    /* questions */
    LoopFn answered;
    const char *initiator, *target_name, *which; /* the owner's */
    uint8_t isid[6];
    uint16_t asked_tsih, cid;
    bool discovery;
    GVariant *negotiated;                                 /* floating; taken by register */
    const char *auth_method, *auth_algorithm, *auth_user; /* what was proved; the target's */

    /* answers */
    LoginTarget resolved;
    LoginStatus status;
    uint16_t tsih;
    ScsiTarget *scsi;
    GByteArray *targets; /* the owner takes it */

    /* loop 0's own */
    LinkState state;
    bool dropped, given_up;
    uint16_t group_tag; /* of the portal it came in by */
    TransportTarget *target;
    GList node;
    SessionRecord record; /* while LINK_SESSION; counters: the home loop's */
};

/* All of these may be called on the home loop. */
/* False: refused. */
bool portal_attach(PortalLink *link);
/* Finds the target that initiator, target_name and peer ask for -> resolved, scsi. */
void portal_resolve(PortalLink *link);
/* Makes the session known, after an older one of the same initiator port is gone -> status, tsih.
 */
void portal_register(PortalLink *link);
/* SendTargets -> targets. */
void portal_find_targets(PortalLink *link);
/* Drops every session of the link's target. No answer. */
void portal_drop_all(PortalLink *link);
/* The session waits for nothing but hung LUNs: from now on another may be in its place. No answer.
 */
void portal_give_up(PortalLink *link);
/* The connection is gone; ends with detached(). No question may be open. */
void portal_detach(PortalLink *link);
unsigned portal_login_timeout_ms(const IscsiPortal *portal);
