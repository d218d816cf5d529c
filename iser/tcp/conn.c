/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection of the TCP datamover: socket, states and the operational primitives. */
#include "iser/tcp/conn.h"

#include "iser/tcp/bhs.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#define GRACE_MS        5000u
#define KEEPALIVE_IDLE  30 /* seconds */
#define KEEPALIVE_EVERY 10
#define KEEPALIVE_COUNT 3
#define USER_TIMEOUT_MS 60000
#define LOGIN_PDUS      8u
/* PDUs beyond the window: immediate ones, and unsolicited Data-Out. */
#define EXTRA_PDUS   64u
#define LEAST_WINDOW 8u
#define WINDOW_MAX   1024u
#define R2TS_MAX     64u
/* What the keys of lengths may be (RFC 7143 13.12, 13.13). */
#define LENGTH_MIN 512u
#define LENGTH_MAX 0xffffffu
/* Reserved for a command that brings no data. */
#define BARE_COMMAND ((size_t)512)

static void conn_ready(LoopFd *lfd, uint32_t events);

/* --- life --- */

static void set_option(int fd, int level, int option, int value)
{
    /* All of these are improvements that a socket may lack: a UNIX socket pair in a test does. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

static void set_options(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}

static bool get_addresses(int fd, DmConn *conn)
{
    socklen_t local_len = sizeof conn->local, peer_len = sizeof conn->peer;
    return getsockname(fd, (struct sockaddr *)&conn->local, &local_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&conn->peer, &peer_len) == 0;
}

TcpConn *tcp_conn_new(Loop *loop, Memory *memory, ReceiveBudget *budget, int fd)
{
    DmConn base = {.dm = &tcp_datamover, .loop = loop, .memory = memory};
    if (!get_addresses(fd, &base)) {
        close(fd);
        return NULL;
    }
    set_options(fd);
    TcpConn *conn = g_new0(TcpConn, 1);
    conn->base = base;
    conn->budget = budget;
    conn->lfd.fd = fd;
    conn->limits = (TcpLimits){.max_recv = TCP_LOGIN_SEGMENT,
                               .max_send = TCP_LOGIN_SEGMENT,
                               .max_burst = TCP_LOGIN_SEGMENT,
                               .max_r2t = 1};
    tcp_pdu_pool_init(&conn->pdus, LOGIN_PDUS, LOGIN_PDUS * TCP_LOGIN_SEGMENT);
    tcp_r2ts_init(&conn->r2ts);
    tcp_rx_init(&conn->rx);
    tcp_tx_init(&conn->tx);
    return conn;
}

bool tcp_conn_start(TcpConn *conn)
{
    return loop_add_fd(conn->base.loop, &conn->lfd, conn->lfd.fd, EPOLLIN, conn_ready);
}

static void close_socket(TcpConn *conn)
{
    if (conn->lfd.loop)
        loop_remove_fd(&conn->lfd);
    if (conn->lfd.fd >= 0)
        close(conn->lfd.fd);
    conn->lfd.fd = -1;
}

void tcp_conn_free(TcpConn *conn)
{
    close_socket(conn);
    tcp_rx_deinit(conn);
    tcp_tx_deinit(conn);
    tcp_r2ts_deinit(&conn->r2ts);
    tcp_pdu_pool_deinit(&conn->pdus);
    receive_share_leave(&conn->share);
    if (conn->freed)
        conn->freed(conn->freed_arg);
    g_free(conn);
}

/* --- ending --- */

static void tear_down(void *arg)
{
    TcpConn *conn = arg;
    loop_timer_stop(&conn->grace);
    close_socket(conn);
    tcp_rx_abandon(conn);
    /* A move's done may start another. */
    do {
        tcp_r2t_abandon_all(conn);
        tcp_tx_abandon_all(conn);
    } while (conn->r2ts.used > 0);
    conn->state = TCP_TERMINATED;
    conn->base.up->terminated(&conn->base, conn->reason);
}

static void close_now(TcpConn *conn, const char *reason)
{
    if (conn->state >= TCP_CLOSED)
        return;
    if (conn->state == TCP_OPEN)
        g_strlcpy(conn->reason, reason, sizeof conn->reason);
    conn->state = TCP_CLOSED;
    if (conn->lfd.loop)
        loop_remove_fd(&conn->lfd);
    loop_call(conn->base.loop, tear_down, conn);
}

void tcp_conn_fail(TcpConn *conn, const char *reason)
{
    close_now(conn, reason);
}

static gboolean grace_over(void *arg)
{
    TcpConn *conn = arg;
    loop_timer_stop(&conn->grace);
    close_now(conn, "");
    return G_SOURCE_REMOVE;
}

static void close_gracefully(TcpConn *conn)
{
    if (conn->state != TCP_OPEN)
        return;
    g_strlcpy(conn->reason, "closed by the target", sizeof conn->reason);
    conn->state = TCP_DRAINING;
    conn->grace = loop_timer_start(conn->base.loop, GRACE_MS, grace_over, conn);
    tcp_conn_update_events(conn);
    loop_flush_later(conn->base.loop, &conn->tx.flush);
}

void tcp_conn_drained(TcpConn *conn)
{
    if (conn->state != TCP_DRAINING)
        return;
    /* Closing with input unread would reset the connection and take the output with it. */
    conn->state = TCP_LINGERING;
    if (shutdown(conn->lfd.fd, SHUT_WR) != 0)
        close_now(conn, "");
    else
        tcp_conn_update_events(conn);
}

/* --- events --- */

bool tcp_conn_is_writable(const TcpConn *conn)
{
    return conn->state == TCP_OPEN || conn->state == TCP_DRAINING;
}

void tcp_conn_update_events(TcpConn *conn)
{
    if (!conn->lfd.loop || conn->state >= TCP_CLOSED)
        return;
    bool reads = (conn->state == TCP_OPEN && conn->rx.waits == 0) || conn->state == TCP_LINGERING;
    bool writes = conn->tx.blocked && tcp_conn_is_writable(conn);
    loop_set_fd_events(&conn->lfd, (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0));
}

static void conn_ready(LoopFd *lfd, uint32_t events)
{
    TcpConn *conn = TCP_CONN_OF(lfd, lfd);
    bool broken = events & (EPOLLERR | EPOLLHUP);
    if (events & EPOLLOUT)
        tcp_tx_run(conn);
    if (conn->state == TCP_OPEN && conn->rx.waits == 0 && (broken || (events & EPOLLIN)))
        tcp_rx_ready(conn);
    else if (conn->state == TCP_LINGERING && tcp_rx_drain(conn))
        close_now(conn, "");
    else if (broken)
        close_now(conn, "connection lost");
}

/* --- operational primitives --- */

static void limit_keys(DmConn *base, IscsiParams *offer)
{
    (void)base;
    offer->rdma_extensions = false;
    offer->error_recovery_level = 0;
    offer->max_connections = 1;
    offer->data_pdu_in_order = offer->data_sequence_in_order = true;
    offer->max_recv_data_segment_length = MIN(offer->max_recv_data_segment_length, TCP_MAX_RECV);
}

/* The most unsolicited data that a command may bring; bytes. */
static size_t unsolicited(const IscsiParams *params)
{
    if (!params->initial_r2t)
        return params->first_burst_length;
    if (params->immediate_data)
        return MIN(params->first_burst_length, params->max_recv_data_segment_length);
    return 0;
}

static unsigned allocate(DmConn *base, const IscsiParams *negotiated)
{
    TcpConn *conn = tcp_conn(base);
    unsigned wanted = CLAMP(negotiated->queue_depth, 1, WINDOW_MAX);
    receive_share_leave(&conn->share);
    conn->share_size = MAX(unsolicited(negotiated), BARE_COMMAND);
    return receive_share_take(&conn->share, conn->budget, MIN(wanted, LEAST_WINDOW), wanted,
                              conn->share_size);
}

/* The PDUs and bytes that the peer may have here before it has to wait. */
static void limit_pdus(TcpConn *conn)
{
    conn->pdus.limit = conn->share.held + EXTRA_PDUS;
    /* One segment more, so that a ping with data is taken when the window is used up. */
    conn->pdus.quota = conn->share.held * conn->share_size + conn->limits.max_recv;
}

static void enable(DmConn *base, const IscsiParams *negotiated)
{
    TcpConn *conn = tcp_conn(base);
    conn->limits = (TcpLimits){
        .max_recv = MIN(negotiated->max_recv_data_segment_length, TCP_MAX_RECV),
        .max_send = CLAMP(negotiated->peer_max_recv_data_segment_length, LENGTH_MIN, LENGTH_MAX),
        .max_burst = CLAMP(negotiated->max_burst_length, LENGTH_MIN, LENGTH_MAX),
        .max_r2t = CLAMP(negotiated->max_outstanding_r2t, 1, R2TS_MAX),
        .header_digest = negotiated->header_digest == ISCSI_DIGEST_CRC32C,
        .data_digest = negotiated->data_digest == ISCSI_DIGEST_CRC32C,
    };
    limit_pdus(conn);
    conn->full_feature = true;
}

static void send_control(DmConn *base, const uint8_t bhs[ISCSI_BHS_LEN], const void *data,
                         uint32_t data_len)
{
    tcp_tx_send_control(tcp_conn(base), bhs, data, data_len);
}

static void put_data(DmConn *base, DmMove *move)
{
    tcp_tx_put(tcp_conn(base), move);
}

static void get_data(DmConn *base, DmMove *move)
{
    TcpConn *conn = tcp_conn(base);
    if (conn->state == TCP_TERMINATED)
        tcp_tx_put(conn, move); /* its queue is where late moves are ended */
    else
        tcp_r2t_start(conn, move);
}

static void cancel(DmConn *base, DmMove *move)
{
    if (pdu_opcode(move->bhs) == ISCSI_R2T)
        tcp_r2t_cancel(tcp_conn(base), move);
    else
        tcp_tx_cancel(tcp_conn(base), move);
}

static void release_pdu(DmPdu *pdu)
{
    TcpConn *conn = tcp_conn(pdu->conn);
    tcp_pdu_give_back((TcpPdu *)pdu);
    tcp_rx_resume(conn, TCP_RX_WAITS_RELEASE | TCP_RX_WAITS_MEMORY);
}

static bool retire(DmPdu *command)
{
    TcpConn *conn = tcp_conn(command->conn);
    bool again = !receive_share_shrink(&conn->share);
    if (!again)
        limit_pdus(conn);
    release_pdu(command);
    return again;
}

static unsigned grow(DmConn *base)
{
    TcpConn *conn = tcp_conn(base);
    unsigned more = receive_share_grow(&conn->share);
    if (more > 0)
        limit_pdus(conn);
    return more;
}

static void terminate(DmConn *base, DmClose how)
{
    if (how == DM_CLOSE_NOW)
        close_now(tcp_conn(base), "ended by the target");
    else
        close_gracefully(tcp_conn(base));
}

static void free_conn(DmConn *base)
{
    g_assert(tcp_conn(base)->state == TCP_TERMINATED);
    tcp_conn_free(tcp_conn(base));
}

const Datamover tcp_datamover = {
    .name = "tcp",
    .limit_keys = limit_keys,
    .allocate = allocate,
    .enable = enable,
    .send_control = send_control,
    .put_data = put_data,
    .get_data = get_data,
    .cancel = cancel,
    .release_pdu = release_pdu,
    .retire = retire,
    .grow = grow,
    .terminate = terminate,
    .free = free_conn,
};
