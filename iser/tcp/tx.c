/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The output of a connection: control PDUs and Data-In PDUs framed in order and written in batches
 * straight from the memory of the moves. */
#include "iser/tcp/tx.h"

#include "iser/tcp/bhs.h"
#include "iser/tcp/conn.h"

#include <errno.h>
#include <sys/socket.h>

#define SLAB_ITEMS 32u
/* A batch ends at so many bytes, so that a slow peer does not hold the memory of all moves. */
#define BATCH_BYTES      ((size_t)1 << 20)
#define BATCHES_PER_RUN  4u
#define CONGESTED_ITEMS  256u /* besides two for each PDU that may be received */
#define CONGESTED_COPIED ((size_t)1 << 20)
#define WATCHDOG_MS      15000u
#define WATCHDOG_LOOKS   4u

struct TcpTxItem {
    TcpTxItem *next;
    DmMove *move; /* NULL: a control PDU */
    /* Of a move, its next PDU: where its data begins, how long its sequence may be, its number. */
    IovCursor from;
    uint32_t burst_left, sn;
    bool cancelled;
    bool header_digest, data_digest; /* as negotiated when it was queued */
    uint32_t max_send;               /* the same: its PDUs are counted from then on */
    uint8_t bhs[ISCSI_BHS_LEN];      /* of a control PDU */
    struct iovec data;               /* of a control PDU: a copy */
};

static void list_init(TcpTxList *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_append(TcpTxList *list, TcpTxItem *item)
{
    item->next = NULL;
    *list->last = item;
    list->last = &item->next;
}

static TcpTxItem *list_pop(TcpTxList *list)
{
    TcpTxItem *item = list->first;
    if (!item)
        return NULL;
    list->first = item->next;
    if (!list->first)
        list->last = &list->first;
    return item;
}

static void list_remove(TcpTxList *list, TcpTxItem *item)
{
    TcpTxItem **at = &list->first;
    while (*at != item)
        at = &(*at)->next;
    *at = item->next;
    if (!*at)
        list->last = at;
}

static TcpTxItem *list_find(const TcpTxList *list, const DmMove *move)
{
    TcpTxItem *item = list->first;
    while (item && item->move != move)
        item = item->next;
    return item;
}

static void flush_run(LoopFlush *flush)
{
    TcpConn *conn = TCP_CONN_OF(flush, tx.flush);
    if (conn->state == TCP_TERMINATED)
        tcp_tx_abandon_all(conn);
    else
        tcp_tx_run(conn);
}

void tcp_tx_init(TcpTx *tx)
{
    *tx = (TcpTx){.slabs = g_ptr_array_new_with_free_func(g_free),
                  .frames = g_new(TcpTxFrame, TX_FRAMES),
                  .iov = g_new(struct iovec, TX_IOVS),
                  .flush.run = flush_run};
    list_init(&tx->queue);
    list_init(&tx->framed);
}

void tcp_tx_deinit(TcpConn *conn)
{
    TcpTx *tx = &conn->tx;
    g_assert(tx->count == 0);
    loop_flush_cancel(conn->base.loop, &tx->flush);
    loop_timer_stop(&tx->watchdog);
    g_ptr_array_unref(tx->slabs);
    g_free(tx->frames);
    g_free(tx->iov);
}

/* --- items --- */

static void grow(TcpTx *tx)
{
    TcpTxItem *slab = g_new(TcpTxItem, SLAB_ITEMS);
    g_ptr_array_add(tx->slabs, slab);
    for (unsigned i = 0; i < SLAB_ITEMS; i++) {
        slab[i].next = tx->free;
        tx->free = &slab[i];
    }
}

static TcpTxItem *take_item(TcpConn *conn, DmMove *move)
{
    TcpTx *tx = &conn->tx;
    if (!tx->free)
        grow(tx);
    TcpTxItem *item = tx->free;
    tx->free = item->next;
    item->move = move;
    item->cancelled = false;
    item->header_digest = conn->limits.header_digest;
    item->data_digest = conn->limits.data_digest;
    item->max_send = conn->limits.max_send;
    item->data = (struct iovec){NULL, 0};
    tx->count++;
    return item;
}

static void enqueue(TcpConn *conn, TcpTxItem *item)
{
    list_append(&conn->tx.queue, item);
    if (!conn->tx.blocked && !conn->tx.running)
        loop_flush_later(conn->base.loop, &conn->tx.flush);
}

/* Ends an item that is in no list any more. */
static void finish(TcpTx *tx, TcpTxItem *item, int error)
{
    DmMove *move = item->move;
    if (item->cancelled && error == 0)
        error = -ECANCELED;
    if (item->data.iov_base) {
        tx->copied -= item->data.iov_len;
        g_free(item->data.iov_base);
    }
    item->next = tx->free;
    tx->free = item;
    tx->count--;
    if (move)
        move->done(move, error);
}

/* Whether the PDU takes a StatSN for itself, or only tells the next (RFC 7143 11.7.4, 11.8.4,
 * 11.19.3). */
static bool has_status(const uint8_t *bhs)
{
    switch (pdu_opcode(bhs)) {
    case ISCSI_R2T:
        return false;
    case ISCSI_NOP_IN:
        return pdu_itt(bhs) != ISCSI_NO_TAG;
    default:
        return true;
    }
}

void tcp_tx_note_serials(TcpTx *tx, const uint8_t *bhs)
{
    tx->serials.exp_cmd_sn = get_be32(bhs + PDU_EXP_CMD_SN);
    tx->serials.max_cmd_sn = get_be32(bhs + PDU_MAX_CMD_SN);
    /* StatSN is reserved in a Data-In without status. */
    if (pdu_opcode(bhs) != ISCSI_DATA_IN || bhs[PDU_FLAGS] & DATA_IN_STATUS)
        tx->serials.stat_sn = get_be32(bhs + PDU_STAT_SN) + has_status(bhs);
}

void tcp_tx_send_control(TcpConn *conn, const uint8_t *bhs, const void *data, uint32_t len)
{
    if (conn->state != TCP_OPEN)
        return;
    TcpTxItem *item = take_item(conn, NULL);
    tcp_tx_note_serials(&conn->tx, bhs);
    memcpy(item->bhs, bhs, ISCSI_BHS_LEN);
    if (len > 0)
        item->data = (struct iovec){g_memdup2(data, len), len};
    conn->tx.copied += len;
    enqueue(conn, item);
}

/* The length of the next Data-In of the `left` bytes from there, and of how many pieces of memory
 * it is made. */
static uint32_t next_len(const TcpConn *conn, const TcpTxItem *item, const IovCursor *from,
                         uint32_t *burst_left, uint32_t left, unsigned *pieces)
{
    if (*burst_left == 0)
        *burst_left = conn->limits.max_burst;
    uint32_t len = MIN(MIN(left, item->max_send), *burst_left);
    *pieces = iov_cursor_pieces(from, &len, TX_IOVS - 2);
    return len;
}

/* Numbers the Data-In PDUs of the move before they are framed: a response that is queued next tells
 * their count. */
static void number_data_in(TcpConn *conn, const TcpTxItem *item)
{
    TcpPdu *command = (TcpPdu *)item->move->command;
    IovCursor from = item->from;
    uint32_t left = item->move->len;
    unsigned pieces;
    do {
        uint32_t len = next_len(conn, item, &from, &command->burst_left, left, &pieces);
        command->burst_left -= len;
        command->base.exp_data_sn++;
        left -= len;
        if (left > 0)
            iov_cursor_advance(&from, len);
    } while (left > 0);
}

void tcp_tx_put(TcpConn *conn, DmMove *move)
{
    TcpTxItem *item = take_item(conn, move);
    tcp_tx_note_serials(&conn->tx, move->bhs);
    item->from = (IovCursor){move->iov, 0};
    item->burst_left = ((TcpPdu *)move->command)->burst_left;
    item->sn = move->command->exp_data_sn;
    move->moved = 0;
    number_data_in(conn, item);
    enqueue(conn, item);
}

void tcp_tx_cancel(TcpConn *conn, DmMove *move)
{
    TcpTx *tx = &conn->tx;
    TcpTxItem *item = list_find(&tx->queue, move);
    if (item && (move->moved == 0 || tx->n_iov == 0)) {
        list_remove(&tx->queue, item);
        item->cancelled = true;
        finish(tx, item, 0);
        return;
    }
    /* Headers that announce its bytes are on their way: they are followed by them. */
    if (!item)
        item = list_find(&tx->framed, move);
    g_assert(item);
    item->cancelled = true;
}

void tcp_tx_abandon_all(TcpConn *conn)
{
    TcpTx *tx = &conn->tx;
    TcpTxItem *item;
    tx->n_iov = tx->iov_at = tx->n_frames = 0;
    while ((item = list_pop(&tx->framed)) || (item = list_pop(&tx->queue)))
        finish(tx, item, -ECONNRESET);
}

bool tcp_tx_is_congested(const TcpConn *conn)
{
    return conn->tx.count >= CONGESTED_ITEMS + 2 * conn->pdus.limit ||
           conn->tx.copied >= CONGESTED_COPIED;
}

/* --- framing --- */

static bool has_room(const TcpTx *tx, unsigned pieces)
{
    return tx->n_frames < TX_FRAMES && tx->n_iov + pieces + 2 <= TX_IOVS &&
           tx->batch_bytes < BATCH_BYTES;
}

static void add_iov(TcpTx *tx, void *base, size_t len)
{
    tx->iov[tx->n_iov++] = (struct iovec){base, len};
    tx->batch_bytes += len;
}

static uint32_t digest_iov(uint32_t digest, const struct iovec *iov, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        digest = digest_add(digest, iov[i].iov_base, iov[i].iov_len);
    return digest;
}

/* Adds the frame whose header the caller has laid out in frames[n_frames]. */
static void add_frame(TcpTx *tx, const TcpTxItem *item, IovCursor *from, uint32_t len)
{
    TcpTxFrame *frame = &tx->frames[tx->n_frames++];
    size_t head_len = ISCSI_BHS_LEN, tail_len = bhs_padding(len);
    frame->head[BHS_AHS_WORDS] = 0;
    put_be24(frame->head + BHS_DATA_LEN, len);
    if (item->header_digest) {
        digest_put(digest_add(DIGEST_BEGIN, frame->head, head_len), frame->head + head_len);
        head_len += DIGEST_LEN;
    }
    add_iov(tx, frame->head, head_len);

    const struct iovec *data = tx->iov + tx->n_iov;
    unsigned pieces = iov_cursor_take(from, len, tx->iov + tx->n_iov);
    tx->n_iov += pieces;
    tx->batch_bytes += len;

    memset(frame->tail, 0, tail_len);
    if (item->data_digest && len > 0) {
        uint32_t digest = digest_iov(DIGEST_BEGIN, data, pieces);
        digest_put(digest_add(digest, frame->tail, tail_len), frame->tail + tail_len);
        tail_len += DIGEST_LEN;
    }
    if (tail_len > 0)
        add_iov(tx, frame->tail, tail_len);
}

/* The header of the Data-In with the next len bytes of the move (RFC 7143 11.7). */
static void lay_out_data_in(TcpTxItem *item, uint32_t len, uint8_t *bhs)
{
    const DmMove *move = item->move;
    memcpy(bhs, move->bhs, ISCSI_BHS_LEN);
    if (move->moved + len < move->len) {
        bhs[PDU_FLAGS] = 0;
        bhs[RESPONSE_STATUS] = 0;
        put_be32(bhs + PDU_STAT_SN, 0);
        put_be32(bhs + DATA_IN_RESIDUAL, 0);
    }
    if (item->burst_left == len)
        bhs[PDU_FLAGS] |= PDU_FINAL;
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    put_be32(bhs + DATA_SN, item->sn);
    put_be32(bhs + DATA_OFFSET, move->offset + move->moved);
}

/* Frames Data-In PDUs while there is room; true when the move has no more. */
static bool frame_move(TcpConn *conn, TcpTxItem *item)
{
    TcpTx *tx = &conn->tx;
    DmMove *move = item->move;
    do {
        unsigned pieces;
        uint32_t len =
            next_len(conn, item, &item->from, &item->burst_left, move->len - move->moved, &pieces);
        if (!has_room(tx, pieces))
            return false;
        lay_out_data_in(item, len, tx->frames[tx->n_frames].head);
        add_frame(tx, item, &item->from, len);
        item->burst_left -= len;
        item->sn++;
        move->moved += len;
    } while (move->moved < move->len);
    return true;
}

static bool frame_control(TcpTx *tx, TcpTxItem *item)
{
    IovCursor from = {&item->data, 0};
    if (!has_room(tx, 1))
        return false;
    memcpy(tx->frames[tx->n_frames].head, item->bhs, ISCSI_BHS_LEN);
    add_frame(tx, item, &from, (uint32_t)item->data.iov_len);
    return true;
}

static void frame_batch(TcpConn *conn)
{
    TcpTx *tx = &conn->tx;
    TcpTxItem *item;
    tx->n_frames = tx->n_iov = tx->iov_at = 0;
    tx->batch_bytes = 0;
    while ((item = tx->queue.first)) {
        bool whole = item->move ? frame_move(conn, item) : frame_control(tx, item);
        if (!whole)
            return;
        list_append(&tx->framed, list_pop(&tx->queue));
    }
}

/* --- writing --- */

static void pass_over(TcpTx *tx, size_t len)
{
    tx->sent += len;
    while (len > 0) {
        struct iovec *iov = &tx->iov[tx->iov_at];
        if (len < iov->iov_len) {
            iov->iov_base = (uint8_t *)iov->iov_base + len;
            iov->iov_len -= len;
            return;
        }
        len -= iov->iov_len;
        tx->iov_at++;
    }
}

/* 0: the whole batch is out; else -errno. */
static int write_batch(TcpConn *conn)
{
    TcpTx *tx = &conn->tx;
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (tx->queue.first ? MSG_MORE : 0);
    while (tx->iov_at < tx->n_iov) {
        struct msghdr msg = {.msg_iov = tx->iov + tx->iov_at, .msg_iovlen = tx->n_iov - tx->iov_at};
        ssize_t n = sendmsg(conn->lfd.fd, &msg, flags);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            pass_over(tx, (size_t)n);
    }
    return 0;
}

static void finish_batch(TcpConn *conn)
{
    TcpTx *tx = &conn->tx;
    TcpTxItem *item;
    tx->n_frames = tx->n_iov = tx->iov_at = 0;
    if (tx->queue.first && tx->queue.first->cancelled)
        list_append(&tx->framed, list_pop(&tx->queue));
    while ((item = list_pop(&tx->framed)))
        finish(tx, item, 0);
}

static gboolean watchdog_look(void *arg)
{
    TcpConn *conn = arg;
    TcpTx *tx = &conn->tx;
    if (!tx->blocked) {
        loop_timer_stop(&tx->watchdog);
        return G_SOURCE_REMOVE;
    }
    tx->still = tx->sent == tx->sent_then ? tx->still + 1 : 0;
    tx->sent_then = tx->sent;
    if (tx->still >= WATCHDOG_LOOKS)
        tcp_conn_fail(conn, "the peer takes no data");
    return G_SOURCE_CONTINUE;
}

static void set_blocked(TcpConn *conn, bool blocked)
{
    TcpTx *tx = &conn->tx;
    if (blocked && !tx->watchdog) {
        tx->sent_then = tx->sent;
        tx->still = 0;
        tx->watchdog = loop_timer_start(conn->base.loop, WATCHDOG_MS, watchdog_look, conn);
    }
    tx->blocked = blocked;
    tcp_conn_update_events(conn);
}

static bool load_batch(TcpConn *conn)
{
    if (conn->tx.n_iov == 0)
        frame_batch(conn);
    return conn->tx.n_iov > 0;
}

/* 0: everything is out; -EAGAIN: the socket is full, or others should have their turn. */
static int write_queue(TcpConn *conn)
{
    for (unsigned i = 0; load_batch(conn); i++) {
        int error = i < BATCHES_PER_RUN ? write_batch(conn) : -EAGAIN;
        if (error != 0)
            return error;
        finish_batch(conn);
        if (!tcp_conn_is_writable(conn))
            return 0;
    }
    return 0;
}

void tcp_tx_run(TcpConn *conn)
{
    TcpTx *tx = &conn->tx;
    if (!tcp_conn_is_writable(conn))
        return;
    tx->running = true;
    int error = write_queue(conn);
    tx->running = false;
    if (error != 0 && error != -EAGAIN) {
        tcp_conn_fail(conn, g_strerror(-error));
        return;
    }
    if (!tcp_conn_is_writable(conn))
        return;
    set_blocked(conn, error == -EAGAIN);
    if (!tcp_tx_is_congested(conn))
        tcp_rx_resume(conn, TCP_RX_WAITS_OUTPUT);
    if (tx->count == 0)
        tcp_conn_drained(conn);
}
