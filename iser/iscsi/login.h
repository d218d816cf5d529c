/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The login phase of one connection (RFC 7143 section 6.3): a state machine from Login Requests to
 * Login Responses. It sends nothing and knows no target: its owner does both when asked. */
#pragma once

#include "iser/iscsi/chap.h"
#include "iser/iscsi/keys.h"
#include "iser/iscsi/pdu.h"
#include "iser/iscsi/text.h"

#define ISCSI_NAME_MAX 223  /* bytes (4.2.7.1) */
#define LOGIN_DATA_MAX 8192 /* bytes of data a login PDU may carry (13.12: the default) */

typedef enum {
    LOGIN_FIRST, /* nothing has come */
    LOGIN_IN_SECURITY,
    LOGIN_IN_OPERATIONAL,
    LOGIN_RESOLVING,   /* the owner looks the target up */
    LOGIN_REGISTERING, /* the owner registers the session */
    LOGIN_COMPLETE,    /* full feature phase */
    LOGIN_FAILED,
} LoginState;

/* What the owner does next. */
typedef enum {
    LOGIN_REPLY,    /* send the reply, wait for the next request */
    LOGIN_RESOLVE,  /* find the target: login_resolved() */
    LOGIN_REGISTER, /* all is negotiated; make the session: login_registered() */
    LOGIN_SUCCEED,  /* send the reply; the full feature phase begins */
    LOGIN_FAIL,     /* send the reply, then close */
} LoginAction;

/* What login_resolved() is told of a target. */
typedef struct {
    LoginStatus status;
    IscsiParams offer; /* what may be negotiated on this connection */
    const char *alias; /* NULL: none; copied */
    uint16_t portal_group_tag;
    const AuthPolicy *auth; /* what the initiator must prove; NULL: nothing. Outlives the login */
    const char *moved_to;   /* with a status LOGIN_TARGET_MOVED_...; copied */
} LoginTarget;

typedef struct {
    LoginState state;
    /* From the first request; names in lower case, NULL until known. */
    uint8_t isid[6];
    uint16_t tsih, cid;
    uint32_t itt, cmd_sn;
    char *initiator_name, *initiator_alias, *target_name;
    bool discovery;

    KeyNegotiation keys;
    IscsiParams offer, negotiated;
    Chap chap; /* of use where it has a policy */

    /* The reply: valid after every function that returns a LoginAction but RESOLVE and REGISTER,
     * until the next. */
    uint8_t reply[ISCSI_BHS_LEN];
    TextWriter answer;
    LoginStatus status;
    const char *reason; /* of a failure, for the log */

    /* its own */
    uint32_t stat_sn; /* of the next response */
    TextCollector text;
    uint8_t flags;      /* of the request being worked on */
    LoginState next;    /* after it */
    char *session_type; /* as sent */
    bool names_known, own_declared, method_agreed;
} Login;

void login_init(Login *login);
void login_clear(Login *login);

/* A PDU that came before the full feature phase, whatever it is. */
LoginAction login_request(Login *login, const uint8_t bhs[ISCSI_BHS_LEN], const void *data,
                          size_t len);
LoginAction login_resolved(Login *login, const LoginTarget *target);
/* status LOGIN_SUCCESS: the session has this TSIH and takes `window` commands. */
LoginAction login_registered(Login *login, LoginStatus status, uint16_t tsih, unsigned window);
/* Gives up from any state, with this status in the reply. Returns LOGIN_FAIL. */
LoginAction login_refuse(Login *login, LoginStatus status, const char *reason);

/* An iSCSI name in the form it is compared in (lower case); NULL: no name (empty, longer than
 * ISCSI_NAME_MAX, blanks or control characters). The caller's. */
char *iscsi_name_normalize(const char *name);
