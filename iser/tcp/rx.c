/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input of a connection: one readv() takes the rest of a data segment to its place and what
 * follows it into the staging buffer, so many short PDUs cost one system call. */
#include "iser/tcp/rx.h"

#include "iser/tcp/bhs.h"
#include "iser/tcp/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define STAGING_LEN  (16u << 10)
#define DIRECT_IOVS  16u
#define READS_A_TURN 4u
#define RETRY_MS     5u

static void resume_run(LoopFlush *flush);

void tcp_rx_init(TcpRx *rx)
{
    *rx = (TcpRx){.staging = g_malloc(STAGING_LEN), .resume.run = resume_run};
}

void tcp_rx_deinit(TcpConn *conn)
{
    TcpRx *rx = &conn->rx;
    g_assert(!rx->pdu);
    loop_flush_cancel(conn->base.loop, &rx->resume);
    loop_timer_stop(&rx->retry);
    g_free(rx->staging);
}

static unsigned staged(const TcpRx *rx)
{
    return rx->tail - rx->head;
}

/* --- waiting --- */

static gboolean retry_memory(void *arg)
{
    TcpConn *conn = arg;
    loop_timer_stop(&conn->rx.retry);
    tcp_rx_resume(conn, TCP_RX_WAITS_MEMORY);
    return G_SOURCE_REMOVE;
}

static void wait_for(TcpConn *conn, TcpRxWait what)
{
    TcpRx *rx = &conn->rx;
    rx->waits |= what;
    /* Memory may be freed by others, of which nobody tells. */
    if (what == TCP_RX_WAITS_MEMORY && !rx->retry)
        rx->retry = loop_timer_start(conn->base.loop, RETRY_MS, retry_memory, conn);
    tcp_conn_update_events(conn);
}

void tcp_rx_resume(TcpConn *conn, unsigned waits)
{
    TcpRx *rx = &conn->rx;
    if (!(rx->waits & waits))
        return;
    rx->waits &= ~waits;
    if (rx->waits == 0)
        loop_flush_later(conn->base.loop, &rx->resume);
}

/* --- headers --- */

/* Where the data of a solicited Data-Out goes; false: the connection has failed. */
static bool route_data_out(TcpConn *conn, const uint8_t *bhs)
{
    TcpRx *rx = &conn->rx;
    switch (tcp_r2t_match(conn, bhs, &rx->move, &rx->to)) {
    case TCP_R2T_LIVE:
        return true;
    case TCP_R2T_CANCELLED:
        rx->move = NULL;
        return true;
    default:
        tcp_conn_fail(conn, "Data-Out that answers no R2T");
        return false;
    }
}

/* False: no room for it now. */
static bool route_pdu(TcpConn *conn, const uint8_t *header)
{
    TcpRx *rx = &conn->rx;
    switch (tcp_pdu_take(conn, header, &rx->pdu)) {
    case TCP_PDU_TAKEN:
        rx->pdu_iov = (struct iovec){rx->pdu->base.data, rx->pdu->base.data_len};
        rx->to = (IovCursor){&rx->pdu_iov, 0};
        return true;
    case TCP_PDU_NO_MEMORY:
        wait_for(conn, TCP_RX_WAITS_MEMORY);
        return false;
    default:
        wait_for(conn, TCP_RX_WAITS_RELEASE);
        return false;
    }
}

static bool is_solicited(const uint8_t *bhs)
{
    return pdu_opcode(bhs) == ISCSI_DATA_OUT && pdu_ttt(bhs) != ISCSI_NO_TAG;
}

/* What is wrong with a header that has arrived whole; NULL: nothing. */
static const char *find_fault(const TcpConn *conn, const uint8_t *header)
{
    uint32_t len = ISCSI_BHS_LEN + bhs_ahs_len(header);
    if (conn->limits.header_digest &&
        !digest_matches(digest_add(DIGEST_BEGIN, header, len), header + len))
        return "header digest error";
    if (bhs_data_len(header) > conn->limits.max_recv)
        return "data segment longer than MaxRecvDataSegmentLength";
    return NULL;
}

/* A PDU that is nothing but its header, as a read's is: no state follows. */
static void deliver_bare(TcpConn *conn)
{
    TcpPdu *pdu = g_steal_pointer(&conn->rx.pdu);
    conn->base.up->control(&conn->base, &pdu->base);
}

static bool take_header(TcpConn *conn)
{
    TcpRx *rx = &conn->rx;
    const uint8_t *header = rx->staging + rx->head;
    if (staged(rx) < ISCSI_BHS_LEN)
        return false;
    uint32_t len = ISCSI_BHS_LEN + bhs_ahs_len(header);
    if (conn->limits.header_digest)
        len += DIGEST_LEN;
    if (staged(rx) < len)
        return false;
    const char *fault = find_fault(conn, header);
    if (fault) {
        tcp_conn_fail(conn, fault);
        return false;
    }
    if (tcp_tx_is_congested(conn)) {
        wait_for(conn, TCP_RX_WAITS_OUTPUT);
        return false;
    }
    rx->move = NULL;
    rx->pdu = NULL;
    if (!(is_solicited(header) ? route_data_out(conn, header) : route_pdu(conn, header)))
        return false;
    rx->head += len;
    rx->left = bhs_data_len(header);
    if (rx->pdu && rx->left == 0) {
        deliver_bare(conn);
        return true;
    }
    memcpy(rx->bhs, header, ISCSI_BHS_LEN);
    rx->digest = DIGEST_BEGIN;
    rx->state = TCP_RX_DATA;
    return true;
}

/* --- data --- */

static void add_digest(const TcpConn *conn, TcpRx *rx, const void *bytes, size_t len)
{
    if (conn->limits.data_digest)
        rx->digest = digest_add(rx->digest, bytes, len);
}

/* Copies what came with the header. */
static void copy_staged(TcpConn *conn, size_t len)
{
    TcpRx *rx = &conn->rx;
    const uint8_t *from = rx->staging + rx->head;
    while (len > 0) {
        size_t piece = MIN(len, rx->to.iov->iov_len - rx->to.skip);
        memcpy((uint8_t *)rx->to.iov->iov_base + rx->to.skip, from, piece);
        add_digest(conn, rx, from, piece);
        iov_cursor_advance(&rx->to, piece);
        from += piece;
        len -= piece;
    }
}

static bool take_data(TcpConn *conn)
{
    TcpRx *rx = &conn->rx;
    unsigned len = MIN(rx->left, staged(rx));
    if (rx->move || rx->pdu)
        copy_staged(conn, len);
    rx->head += len;
    rx->left -= len;
    if (rx->left > 0)
        return false;
    rx->state = TCP_RX_TAIL;
    return true;
}

/* Hands the PDU on; the last use of rx's state, since the receiver may do anything to it. */
static void deliver(TcpConn *conn, bool spoilt)
{
    TcpRx *rx = &conn->rx;
    DmMove *move = rx->move;
    TcpPdu *pdu = rx->pdu;
    uint8_t bhs[ISCSI_BHS_LEN];
    memcpy(bhs, rx->bhs, sizeof bhs);
    rx->move = NULL;
    rx->pdu = NULL;
    rx->state = TCP_RX_HEADER;
    if (move)
        tcp_r2t_arrived(conn, move, bhs, spoilt);
    else if (pdu && !spoilt)
        conn->base.up->control(&conn->base, &pdu->base);
    else if (pdu)
        tcp_pdu_give_back(pdu);
    if (spoilt && conn->state == TCP_OPEN)
        conn->base.up->bad_digest(&conn->base, bhs);
}

static bool take_tail(TcpConn *conn)
{
    TcpRx *rx = &conn->rx;
    const uint8_t *tail = rx->staging + rx->head;
    uint32_t data_len = bhs_data_len(rx->bhs), padding = bhs_padding(data_len);
    bool digested = conn->limits.data_digest && data_len > 0;
    uint32_t len = padding + (digested ? DIGEST_LEN : 0);
    if (staged(rx) < len)
        return false;
    add_digest(conn, rx, tail, padding);
    /* The digest of dropped data was not computed. */
    bool spoilt = digested && (rx->move || rx->pdu) && !digest_matches(rx->digest, tail + padding);
    rx->head += len;
    deliver(conn, spoilt);
    return true;
}

static bool step(TcpConn *conn)
{
    switch (conn->rx.state) {
    case TCP_RX_HEADER:
        return take_header(conn);
    case TCP_RX_DATA:
        return take_data(conn);
    default:
        return take_tail(conn);
    }
}

static void consume(TcpConn *conn)
{
    while (conn->state == TCP_OPEN && conn->rx.waits == 0 && step(conn))
        ;
}

/* --- reading --- */

static void compact(TcpRx *rx)
{
    unsigned len = staged(rx);
    if (len > 0 && rx->head > 0)
        memmove(rx->staging, rx->staging + rx->head, len);
    rx->head = 0;
    rx->tail = len;
}

/* The next places of the data segment; how many bytes they hold. */
static size_t list_direct(const TcpRx *rx, struct iovec *iov, unsigned *n)
{
    *n = 0;
    if (rx->state != TCP_RX_DATA || !(rx->move || rx->pdu))
        return 0;
    IovCursor to = rx->to;
    uint32_t len = rx->left;
    iov_cursor_pieces(&to, &len, DIRECT_IOVS);
    *n = iov_cursor_take(&to, len, iov);
    return len;
}

static void account_direct(TcpConn *conn, const struct iovec *iov, size_t len)
{
    TcpRx *rx = &conn->rx;
    iov_cursor_advance(&rx->to, len);
    rx->left -= (uint32_t)len;
    for (; len > 0; iov++) {
        size_t piece = MIN(len, iov->iov_len);
        add_digest(conn, rx, iov->iov_base, piece);
        len -= piece;
    }
}

/* One readv(): what it returned, and whether it filled everything offered. */
static ssize_t fill(TcpConn *conn, bool *full)
{
    TcpRx *rx = &conn->rx;
    struct iovec iov[DIRECT_IOVS + 1];
    unsigned n;
    compact(rx);
    size_t direct = list_direct(rx, iov, &n), wanted = direct;
    if (direct == 0 || direct == rx->left) {
        iov[n++] = (struct iovec){rx->staging + rx->tail, STAGING_LEN - rx->tail};
        wanted += STAGING_LEN - rx->tail;
    }
    ssize_t got = readv(conn->lfd.fd, iov, (int)n);
    if (got <= 0)
        return got;
    *full = (size_t)got == wanted;
    size_t placed = MIN((size_t)got, direct);
    account_direct(conn, iov, placed);
    rx->tail += (unsigned)((size_t)got - placed);
    return got;
}

void tcp_rx_ready(TcpConn *conn)
{
    bool full = true;
    for (unsigned i = 0; full && i < READS_A_TURN; i++) {
        if (conn->state != TCP_OPEN || conn->rx.waits != 0)
            return;
        ssize_t got = fill(conn, &full);
        if (got == 0) {
            tcp_conn_fail(conn, "closed by the peer");
            return;
        }
        if (got < 0) {
            if (errno != EAGAIN && errno != EINTR)
                tcp_conn_fail(conn, g_strerror(errno));
            return;
        }
        consume(conn);
    }
}

static void resume_run(LoopFlush *flush)
{
    TcpConn *conn = TCP_CONN_OF(flush, rx.resume);
    if (conn->state != TCP_OPEN)
        return;
    consume(conn);
    tcp_conn_update_events(conn);
}

void tcp_rx_forget(TcpConn *conn, const DmMove *move)
{
    if (conn->rx.move == move)
        conn->rx.move = NULL;
}

void tcp_rx_abandon(TcpConn *conn)
{
    TcpRx *rx = &conn->rx;
    loop_timer_stop(&rx->retry);
    rx->move = NULL;
    if (rx->pdu)
        tcp_pdu_give_back(rx->pdu);
    rx->pdu = NULL;
}

bool tcp_rx_drain(TcpConn *conn)
{
    ssize_t got = recv(conn->lfd.fd, conn->rx.staging, STAGING_LEN, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}
