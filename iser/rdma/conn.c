/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iSER connections: from the connection request to the terminated upcall. */
#include "iser/rdma/conn.h"

#include "core/base/address.h"

#define LOGIN_BUFFERS 2    /* one posted, one with the session layer */
#define LOGIN_DATA    8192 /* RFC 7145 5.1: what a login PDU carries at most */
#define LOGIN_ANSWERS 8
#define LEAST_WINDOW  8
#define LEAST_RESERVE 8
#define MOST_RESERVE  256
#define MOST_AHS      1020 /* what TotalAHSLength can say, in bytes */
#define LEAST_DATA    512
#define MOST_DATA     131072 /* of a received PDU: fits one arena buffer with its headers */
#define INLINE_MAX    96     /* an answer without sense data */

/* What its receive buffers will take once the login is over, instead of what was expected before.
 * False: better less. */
static bool expect(IserConn *conn, size_t bytes)
{
    receive_budget_expect_no_more(conn->budget, conn->expected);
    conn->expected = bytes;
    return receive_budget_expect(conn->budget, bytes);
}

/* --- ending -------------------------------------------------------------------------------------
 */

static void destroy(IserConn *conn)
{
    loop_flush_cancel(conn->dm.loop, &conn->end);
    iser_transmit_deinit(&conn->transmit, conn);
    iser_receive_deinit(&conn->receive, conn);
    iser_receive_deinit(&conn->login, conn);
    receive_share_leave(&conn->share);
    expect(conn, 0);
    iser_flow_deinit(&conn->flow);
    g_free(conn->reason);
    g_free(conn);
}

static void iser_free(DmConn *dm)
{
    IserConn *conn = (IserConn *)dm;
    g_assert(conn->state == ISER_TERMINATED);
    destroy(conn);
}

static void terminated(IserConn *conn)
{
    g_autofree char *reason = g_steal_pointer(&conn->reason);
    conn->state = ISER_TERMINATED;
    conn->closing = true;
    iser_end_orphans(conn);
    conn->dm.up->terminated(&conn->dm, reason ? reason : "closed");
}

static void run_end(LoopFlush *flush)
{
    terminated((IserConn *)((char *)flush - offsetof(IserConn, end)));
}

static void note_reason(IserConn *conn, const char *reason)
{
    g_autofree char *peer = address_print(&conn->dm.peer);
    if (conn->reason)
        return;
    conn->reason = g_strdup(reason);
    g_message("iSER connection of %s ends: %s", peer, reason);
}

static void on_lost(QueuePair *qp, const char *reason)
{
    IserConn *conn = qp_owner(qp);
    conn->closing = true;
    note_reason(conn, reason);
}

static void on_drained(QueuePair *qp)
{
    IserConn *conn = qp_owner(qp);
    qp_free(qp);
    conn->qp = NULL;
    terminated(conn);
}

static const QueuePairEvents qp_events = {.lost = on_lost, .drained = on_drained};

static void iser_terminate(DmConn *dm, DmClose how)
{
    IserConn *conn = (IserConn *)dm;
    conn->closing = true;
    if (conn->qp && conn->state != ISER_NEW)
        qp_close(conn->qp, how == DM_CLOSE_GRACEFUL);
}

void iser_conn_violation(IserConn *conn, const char *what, DmClose how)
{
    note_reason(conn, what);
    iser_terminate(&conn->dm, how);
}

/* --- negotiation --------------------------------------------------------------------------------
 */

/* What keeps a session's receive buffers few and small: with little left, immediate data and
 * unexpected PDUs are what it can do without. */
static void offer_little(IscsiParams *offer)
{
    offer->immediate_data = false;
    offer->target_recv_data_segment_length = LEAST_DATA;
    offer->max_outstanding_unexpected_pdus = LEAST_RESERVE;
}

/* Receives beside those of SCSI commands. */
static unsigned reserve_of(const IscsiParams *params)
{
    uint32_t unexpected = params->max_outstanding_unexpected_pdus;
    return unexpected > 0 ? CLAMP(unexpected, LEAST_RESERVE, MOST_RESERVE) : ISER_RESERVE;
}

static size_t buffer_size(const IscsiParams *params)
{
    uint32_t most = params->max_ahs_length > 0 ? MIN(params->max_ahs_length, MOST_AHS) : MOST_AHS;
    return iser_receive_size((most + 3) & ~3U, params->target_recv_data_segment_length);
}

/* The least that a session with these parameters takes of the budget; bytes. */
static size_t needs(const IscsiParams *params)
{
    return (LEAST_WINDOW + reserve_of(params)) * arena_cost(buffer_size(params));
}

static void iser_limit_keys(DmConn *dm, IscsiParams *offer)
{
    IserConn *conn = (IserConn *)dm;
    offer->rdma_extensions = true;
    offer->iser_hello_required = false;
    offer->header_digest = offer->data_digest = ISCSI_DIGEST_NONE;
    offer->initial_r2t = true; /* unsolicited data comes with the command or not at all */
    offer->max_connections = 1;
    offer->target_recv_data_segment_length =
        CLAMP(offer->target_recv_data_segment_length, LEAST_DATA, MOST_DATA);
    offer->max_recv_data_segment_length = offer->target_recv_data_segment_length;
    if (offer->max_outstanding_unexpected_pdus == 0)
        offer->max_outstanding_unexpected_pdus = ISER_RESERVE;
    if (expect(conn, needs(offer)))
        return;
    offer_little(offer);
    expect(conn, needs(offer));
}

/* Buffers for what the share holds, as far as there is memory for more than there are; how many. */
static unsigned fill_share(IserConn *conn)
{
    unsigned missing = conn->share.held - conn->receive.count;
    if (!iser_transmit_reserve(&conn->transmit, conn, 2 * conn->share.held))
        return 0;
    return iser_receive_add(&conn->receive, conn, missing);
}

static bool get_receives(IserConn *conn, unsigned least, unsigned most, size_t size)
{
    unsigned count = receive_share_take(&conn->share, conn->budget, least, most, size);
    if (count == 0)
        return false;
    iser_receive_init(&conn->receive, most, size);
    if (fill_share(conn) == count)
        return true;
    g_warning("iSER: no memory for %u receive buffers of %zu bytes", count, size);
    iser_receive_deinit(&conn->receive, conn);
    receive_share_leave(&conn->share);
    return false;
}

unsigned iser_recv_slots(const IscsiParams *offer)
{
    return MAX(offer->queue_depth, LEAST_WINDOW) + reserve_of(offer);
}

static unsigned iser_allocate(DmConn *dm, const IscsiParams *negotiated)
{
    IserConn *conn = (IserConn *)dm;
    unsigned reserve = reserve_of(negotiated);
    unsigned room = qp_recv_slots(conn->qp);
    if (!negotiated->rdma_extensions)
        g_message("iSER: the initiator did not agree to RDMAExtensions=Yes");
    if (conn->closing || !negotiated->rdma_extensions || room < reserve + LEAST_WINDOW)
        return 0;
    unsigned wanted = CLAMP(negotiated->queue_depth, LEAST_WINDOW, room - reserve);
    expect(conn, 0);
    if (!get_receives(conn, LEAST_WINDOW + reserve, wanted + reserve, buffer_size(negotiated)))
        return 0;
    conn->receive.repost = true;
    conn->solicited_only = negotiated->tagged_buffer_for_solicited_data_only;
    conn->flow.limit = negotiated->peer_max_outstanding_unexpected_pdus;
    conn->state = ISER_ALLOCATED;
    return conn->receive.count - reserve;
}

static void iser_enable(DmConn *dm, const IscsiParams *negotiated)
{
    (void)dm, (void)negotiated; /* the receives went out with the last login response */
}

static void iser_release_pdu(DmPdu *dm_pdu)
{
    IserPdu *pdu = (IserPdu *)dm_pdu;
    iser_command_ends((IserConn *)dm_pdu->conn, pdu);
    iser_receive_release(pdu);
}

static bool iser_retire(DmPdu *dm_pdu)
{
    IserPdu *pdu = (IserPdu *)dm_pdu;
    IserConn *conn = (IserConn *)dm_pdu->conn;
    if (pdu->pool != &conn->receive || !receive_share_shrink(&conn->share)) {
        iser_release_pdu(dm_pdu);
        return true;
    }
    iser_command_ends(conn, pdu);
    iser_receive_drop(pdu);
    return false;
}

/* The receives are in the queue before the MaxCmdSN that lets the initiator use them. */
static unsigned iser_grow(DmConn *dm)
{
    IserConn *conn = (IserConn *)dm;
    unsigned more = conn->closing ? 0 : receive_share_grow(&conn->share);
    if (more == 0)
        return 0;
    unsigned made = fill_share(conn);
    iser_receive_post(&conn->receive, conn, made);
    if (made < more)
        receive_share_return(&conn->share, more - made);
    return made;
}

const Datamover iser_datamover = {
    .name = "iser",
    .limit_keys = iser_limit_keys,
    .allocate = iser_allocate,
    .enable = iser_enable,
    .send_control = iser_send_control,
    .put_data = iser_put_data,
    .get_data = iser_get_data,
    .cancel = iser_cancel,
    .release_pdu = iser_release_pdu,
    .retire = iser_retire,
    .grow = iser_grow,
    .terminate = iser_terminate,
    .free = iser_free,
};

/* --- accepting ----------------------------------------------------------------------------------
 */

/* NULL, or why the initiator cannot be served. */
static const char *check_request(const ConnectRequest *request, IserCm *cm)
{
    const char *wrong = iser_cm_decode(request->private_data, request->private_len, cm);
    if (!wrong && request->peer_reads == 0)
        wrong = "it serves no RDMA READ";
    return wrong;
}

static IserConn *conn_new(ConnectRequest *request, const IserAccept *accept)
{
    IserConn *conn = g_new0(IserConn, 1);
    conn->dm = (DmConn){.dm = &iser_datamover,
                        .loop = loop_self(),
                        .memory = accept->memory,
                        .local = request->local,
                        .peer = request->peer};
    conn->device = request->device;
    conn->arena = memory_arena(accept->memory);
    conn->budget = accept->budget;
    conn->end.run = run_end;
    iser_flow_init(&conn->flow);
    iser_transmit_init(&conn->transmit);
    return conn;
}

static bool prepare(IserConn *conn, ConnectRequest *request, unsigned recv_slots)
{
    g_autoptr(GError) error = NULL;
    QueuePairConfig config = {
        .send_slots = 2 * recv_slots, .recv_slots = recv_slots, .inline_max = INLINE_MAX};
    iser_receive_init(&conn->login, LOGIN_BUFFERS, iser_receive_size(0, LOGIN_DATA));
    if (iser_receive_add(&conn->login, conn, LOGIN_BUFFERS) < LOGIN_BUFFERS ||
        !iser_transmit_reserve(&conn->transmit, conn, LOGIN_ANSWERS)) {
        g_warning("iSER: no memory for a connection");
        fabric_reject(request, NULL, 0);
        return false;
    }
    conn->qp = qp_new(request, &config, &qp_events, conn, &error);
    if (!conn->qp)
        g_warning("iSER: no connection: %s", error->message);
    return conn->qp != NULL;
}

/* The session layer is there: from now on everything ends with its terminated upcall. */
static void open_conn(IserConn *conn, const IserCm *cm)
{
    g_autoptr(GError) error = NULL;
    uint8_t answer[ISER_CM_LEN];
    iser_cm_encode(cm, answer);
    iser_receive_post(&conn->login, conn, 1);
    if (conn->closing || !qp_accept(conn->qp, answer, sizeof answer, &error)) {
        conn->reason = g_strdup(error ? error->message : "refused");
        g_clear_pointer(&conn->qp, qp_free);
        iser_receive_unpost(&conn->login);
        loop_flush_later(conn->dm.loop, &conn->end);
        return;
    }
    conn->state = ISER_LOGIN;
}

void iser_conn_accept(ConnectRequest *request, const IserAccept *accept)
{
    IserCm cm;
    const char *wrong = check_request(request, &cm);
    if (wrong) {
        g_autofree char *peer = address_print(&request->peer);
        g_message("iSER connection of %s rejected: %s", peer, wrong);
        fabric_reject(request, NULL, 0);
        return;
    }
    IserConn *conn = conn_new(request, accept);
    if (!prepare(conn, request, MAX(accept->recv_slots, LEAST_WINDOW))) {
        destroy(conn);
        return;
    }
    cm.zero_based = false;
    cm.remote_invalidate &= device_caps(conn->device)->remote_invalidate;
    if (cm.remote_invalidate)
        conn->transmit.commands = g_hash_table_new(NULL, NULL);
    if (accept->accepted(&conn->dm, accept->arg)) {
        open_conn(conn, &cm);
        return;
    }
    qp_free(conn->qp);
    destroy(conn);
}
