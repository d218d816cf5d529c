/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection from accept to the end: the login phase, then a session; and the way down, in which
 * the wire, the session and loop 0 let go of it in turn. */
#include "core/base/log_limit.h"
#include "iser/iscsi/address.h"
#include "iser/iscsi/portal.h"
#include "iser/iscsi/session.h"

#define LINGER_MS 5000 /* what was sent last may take so long to leave */

typedef struct {
    DmConn *dm;
    PortalLink link;
    Login login;
    IscsiSession *session; /* in the full feature phase */
    GSource *timer;        /* login timeout, later: linger */
    bool closing;          /* terminate was called */
    bool wire_gone;        /* terminated has come */
    bool session_over;     /* and the session holds nothing any more */
    bool asked;            /* a question to loop 0 is open */
    char *which;           /* of SendTargets, while asked */
} IscsiConnection;

/* --- the way down ------------------------------------------------------------------------------*/

/* The wire is gone -> the session is over -> no question is open -> loop 0 has forgotten it. */

static void connection_detached(void *arg)
{
    IscsiConnection *connection = arg;
    session_free(connection->session);
    login_clear(&connection->login);
    connection->dm->dm->free(connection->dm);
    g_free(connection->which);
    g_free(connection);
}

static void detach_when_idle(IscsiConnection *connection)
{
    if (connection->session_over && !connection->asked)
        portal_detach(&connection->link);
}

static void session_closed(void *arg)
{
    IscsiConnection *connection = arg;
    connection->session_over = true;
    detach_when_idle(connection);
}

static void connection_terminated(DmConn *dm, const char *reason)
{
    IscsiConnection *connection = dm->session;
    g_autofree char *peer = address_print(&dm->peer);
    g_debug("%s connection of %s ended: %s", dm->dm->name, peer, reason);
    loop_timer_stop(&connection->timer);
    connection->closing = connection->wire_gone = true;
    if (connection->session)
        session_close(connection->session, session_closed, connection);
    else
        session_closed(connection);
}

static gboolean linger_over(gpointer arg)
{
    IscsiConnection *connection = arg;
    connection->dm->dm->terminate(connection->dm, DM_CLOSE_NOW);
    return G_SOURCE_CONTINUE;
}

static void connection_close(void *arg, DmClose how)
{
    IscsiConnection *connection = arg;
    connection->closing = true;
    loop_timer_stop(&connection->timer);
    if (how == DM_CLOSE_GRACEFUL)
        connection->timer =
            loop_timer_start(connection->dm->loop, LINGER_MS, linger_over, connection);
    connection->dm->dm->terminate(connection->dm, how);
}

static void connection_drop(void *arg)
{
    IscsiConnection *connection = arg;
    if (!connection->wire_gone)
        connection_close(connection, DM_CLOSE_NOW);
}

static void connection_log_out(void *arg)
{
    IscsiConnection *connection = arg;
    if (connection->session && !connection->closing)
        session_ask_logout(connection->session);
    else
        connection_drop(connection);
}

/* --- questions to loop 0 -----------------------------------------------------------------------*/

static void ask(IscsiConnection *connection, void (*question)(PortalLink *), LoopFn answered)
{
    connection->asked = true;
    connection->link.answered = answered;
    question(&connection->link);
}

/* False: nobody is there any more for the answer. */
static bool still_wanted(IscsiConnection *connection)
{
    connection->asked = false;
    if (!connection->closing)
        return true;
    detach_when_idle(connection);
    return false;
}

/* --- login -------------------------------------------------------------------------------------*/

static void login_act(IscsiConnection *connection, LoginAction action);

static void send_reply(IscsiConnection *connection)
{
    const GByteArray *answer = connection->login.answer.bytes;
    connection->dm->dm->send_control(connection->dm, connection->login.reply, answer->data,
                                     answer->len);
}

/* Strangers cause these lines, and may try a password every few microseconds. */
static void log_refusal(const IscsiConnection *connection)
{
    static LogLimit limit = LOG_LIMIT_INIT(20, 10);
    const Login *login = &connection->login;
    g_autofree char *peer = address_print(&connection->dm->peer);
    /* What never named itself may be a port scanner: not for everybody to read. */
    GLogLevelFlags level = login->initiator_name ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_DEBUG;
    unsigned kept;
    if (!log_limit_admits(&limit, g_get_monotonic_time(), &kept))
        return;
    if (kept)
        g_message("%u more logins were refused", kept);
    g_log(G_LOG_DOMAIN, level, "login of %s from %s to %s refused: %s (%s)",
          login->initiator_name ? login->initiator_name : "unnamed initiator", peer,
          login->target_name ? login->target_name
          : login->discovery ? "discovery"
                             : "no target",
          login_status_name(login->status), login->reason);
}

static void login_failed(IscsiConnection *connection)
{
    log_refusal(connection);
    send_reply(connection);
    connection_close(connection, DM_CLOSE_GRACEFUL);
}

static gboolean login_timed_out(gpointer arg)
{
    IscsiConnection *connection = arg;
    login_act(connection,
              login_refuse(&connection->login, LOGIN_SERVICE_UNAVAILABLE, "login timeout"));
    return G_SOURCE_REMOVE;
}

static void targets_found(void *arg)
{
    IscsiConnection *connection = arg;
    g_autoptr(GByteArray) targets = g_steal_pointer(&connection->link.targets);
    g_clear_pointer(&connection->which, g_free);
    if (still_wanted(connection))
        session_targets(connection->session, targets->data, targets->len);
}

static void find_targets(void *arg, const char *which)
{
    IscsiConnection *connection = arg;
    connection->which = g_strdup(which);
    connection->link.which = connection->which;
    ask(connection, portal_find_targets, targets_found);
}

static void drop_all(void *arg)
{
    IscsiConnection *connection = arg;
    portal_drop_all(&connection->link);
}

static void only_hung_left(void *arg)
{
    IscsiConnection *connection = arg;
    portal_give_up(&connection->link);
}

static const SessionOwner session_owner = {
    .close = connection_close,
    .find_targets = find_targets,
    .drop_all = drop_all,
    .only_hung_left = only_hung_left,
};

/* The last login response goes out before the negotiated keys hold, and both before anything of the
 * session. */
static void login_succeeded(IscsiConnection *connection, unsigned window)
{
    Login *login = &connection->login;
    DmConn *dm = connection->dm;
    loop_timer_stop(&connection->timer);
    send_reply(connection);
    dm->dm->enable(dm, &login->negotiated);
    connection->session = session_new(&(SessionSpec){
        .dm = dm,
        .params = &login->negotiated,
        .window = window,
        .cmd_sn = login->cmd_sn,
        .stat_sn = login->stat_sn,
        .cid = login->cid,
        .target = connection->link.scsi,
        .initiator = login->initiator_name,
        .isid = login->isid,
        .record = login->discovery ? NULL : &connection->link.record,
        .owner = &session_owner,
        .owner_arg = connection,
    });
    text_writer_clear(&login->answer);
}

static void login_registered_by_portal(void *arg)
{
    IscsiConnection *connection = arg;
    Login *login = &connection->login;
    if (!still_wanted(connection))
        return;
    LoginStatus status = connection->link.status;
    unsigned window = 0;
    if (status == LOGIN_SUCCESS) {
        window = connection->dm->dm->allocate(connection->dm, &login->negotiated);
        if (!window)
            status = LOGIN_OUT_OF_RESOURCES;
    }
    LoginAction action = login_registered(login, status, connection->link.tsih, window);
    if (action == LOGIN_SUCCEED)
        login_succeeded(connection, window);
    else
        login_act(connection, action);
}

static void login_resolved_by_portal(void *arg)
{
    IscsiConnection *connection = arg;
    if (!still_wanted(connection))
        return;
    LoginTarget *target = &connection->link.resolved;
    if (target->status == LOGIN_SUCCESS)
        connection->dm->dm->limit_keys(connection->dm, &target->offer);
    login_act(connection, login_resolved(&connection->login, target));
}

static void begin_resolve(IscsiConnection *connection)
{
    PortalLink *link = &connection->link;
    const Login *login = &connection->login;
    link->initiator = login->initiator_name;
    link->target_name = login->target_name;
    link->discovery = login->discovery;
    link->asked_tsih = login->tsih;
    link->cid = login->cid;
    memcpy(link->isid, login->isid, sizeof link->isid);
    ask(connection, portal_resolve, login_resolved_by_portal);
}

static void begin_register(IscsiConnection *connection)
{
    PortalLink *link = &connection->link;
    const Chap *chap = &connection->login.chap;
    link->negotiated = keys_to_variant(&connection->login.negotiated);
    link->auth_method = !chap->user ? "None" : chap->mutual ? "CHAP mutual" : "CHAP";
    link->auth_algorithm = chap->user ? chap_algorithm_name(chap->algorithm) : "";
    link->auth_user = chap->user ? chap->user : "";
    ask(connection, portal_register, login_registered_by_portal);
}

static void login_act(IscsiConnection *connection, LoginAction action)
{
    switch (action) {
    case LOGIN_REPLY:
        send_reply(connection);
        break;
    case LOGIN_RESOLVE:
        begin_resolve(connection);
        break;
    case LOGIN_REGISTER:
        begin_register(connection);
        break;
    case LOGIN_SUCCEED: /* only login_registered() says so */
        g_assert_not_reached();
    case LOGIN_FAIL:
        login_failed(connection);
        break;
    }
}

/* --- upcalls -----------------------------------------------------------------------------------*/

static void connection_control(DmConn *dm, DmPdu *pdu)
{
    IscsiConnection *connection = dm->session;
    if (connection->session) {
        session_receive(connection->session, pdu);
        return;
    }
    if (!connection->closing)
        login_act(connection,
                  login_request(&connection->login, pdu->bhs, pdu->data, pdu->data_len));
    dm->dm->release_pdu(pdu);
}

static void connection_bad_digest(DmConn *dm, const uint8_t bhs[ISCSI_BHS_LEN])
{
    IscsiConnection *connection = dm->session;
    if (connection->session)
        session_bad_digest(connection->session, bhs);
}

static const DmUpcalls upcalls = {
    .control = connection_control,
    .bad_digest = connection_bad_digest,
    .terminated = connection_terminated,
};

bool iscsi_accept(DmConn *dm, void *portal)
{
    IscsiConnection *connection = g_new0(IscsiConnection, 1);
    connection->dm = dm;
    connection->link = (PortalLink){
        .portal = portal,
        .home = dm->loop,
        .owner = connection,
        .drop = connection_drop,
        .log_out = connection_log_out,
        .detached = connection_detached,
        .local = dm->local,
        .peer = dm->peer,
    };
    if (!portal_attach(&connection->link)) {
        g_free(connection);
        return false;
    }
    login_init(&connection->login);
    connection->timer =
        loop_timer_start(dm->loop, portal_login_timeout_ms(portal), login_timed_out, connection);
    dm->up = &upcalls;
    dm->session = connection;
    return true;
}
