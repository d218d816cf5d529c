/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TCP wire: PDUs as a byte stream with padding and digests (RFC 7143 sections 11.2 and 13.1).
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/initiator/wire.h"

#define RX_LEAST     (256U << 10)
#define LOGIN_DSL    8192U
#define IOV_MOST     96
#define DIGEST_BYTES 4U

typedef struct {
    uint8_t head[PDU_BHS + DIGEST_BYTES];
    uint8_t tail[3 + DIGEST_BYTES]; /* padding, digest */
    uint8_t head_len, tail_len;
    bool owned; /* `data` is ours to free */
    const uint8_t *data;
    uint32_t len;
    unsigned *unsent;
} TxItem;

typedef struct {
    Wire base;
    int fd;
    uint8_t *memory;
    uint8_t *rx;
    size_t rx_size, rx_at, rx_end;
    GArray *tx;
    guint tx_first;
    size_t tx_done; /* bytes of the first item that are out */
    uint32_t data_limit, declared_limit;
    bool full_feature, header_digest, data_digest, spoil_header, spoil_data;
} TcpWire;

static bool fail(GError **error, const char *what, int err)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(err), "%s: %s", what, g_strerror(err));
    return false;
}

static bool wait_connected(int fd, int timeout_ms)
{
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof(errno);
    int ready = poll(&pfd, 1, timeout_ms), err = ETIMEDOUT;

    if (ready > 0)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    errno = err;
    return err == 0;
}

static int connect_one(const struct addrinfo *ai, int timeout_ms)
{
    int one = 1, fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 &&
        (errno != EINPROGRESS || !wait_connected(fd, timeout_ms))) {
        int err = errno;

        close(fd);
        errno = err;
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static int connect_any(const WireOptions *options, GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int fd = -1, rc = getaddrinfo(options->host, options->port, &hints, &list);

    if (rc != 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_HOST_NOT_FOUND, "%s port %s: %s", options->host,
                    options->port, gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = connect_one(ai, options->timeout_ms);
    if (fd < 0)
        fail(error, "connect", errno);
    freeaddrinfo(list);
    return fd;
}

static void tx_item_clear(void *p)
{
    TxItem *item = p;

    if (item->owned)
        g_free((void *)item->data);
    if (item->unsent)
        --*item->unsent;
}

static Wire *tcp_open(const WireOptions *options, const WireSink *sink, GError **error)
{
    int fd = connect_any(options, error);
    TcpWire *w;

    if (fd < 0)
        return NULL;
    w = g_new0(TcpWire, 1);
    w->base = (Wire){&wire_tcp, *sink};
    w->fd = fd;
    w->memory = g_malloc0(options->arena);
    w->declared_limit = options->max_data;
    w->data_limit = LOGIN_DSL;
    w->rx_size = MAX(RX_LEAST, MAX(LOGIN_DSL, options->max_data) + PDU_BHS + 1024 + 16);
    w->rx = g_malloc(w->rx_size);
    w->tx = g_array_new(FALSE, FALSE, sizeof(TxItem));
    g_array_set_clear_func(w->tx, tx_item_clear);
    return &w->base;
}

static void tx_drop_done(TcpWire *w, guint count)
{
    for (guint i = 0; i < count; i++) {
        TxItem *item = &g_array_index(w->tx, TxItem, w->tx_first + i);

        tx_item_clear(item);
        *item = (TxItem){0};
    }
    w->tx_first += count;
    if (w->tx_first == w->tx->len || w->tx_first > 1024) {
        g_array_remove_range(w->tx, 0, w->tx_first);
        w->tx_first = 0;
    }
}

static void tcp_close(Wire *wire)
{
    TcpWire *w = (TcpWire *)wire;

    close(w->fd);
    g_array_unref(w->tx);
    g_free(w->rx);
    g_free(w->memory);
    g_free(w);
}

static uint8_t *tcp_memory(Wire *wire)
{
    return ((TcpWire *)wire)->memory;
}

static void tcp_add_offers(const WireOptions *options, TextKeys *offers)
{
    char number[16];

    g_snprintf(number, sizeof(number), "%u", options->max_data);
    text_keys_set(offers, "MaxRecvDataSegmentLength", number);
}

static bool tcp_full_feature(Wire *wire, const Params *params, GError **error)
{
    TcpWire *w = (TcpWire *)wire;

    (void)error;
    w->full_feature = true;
    w->header_digest = params->value[KEY_HEADER_DIGEST];
    w->data_digest = params->value[KEY_DATA_DIGEST];
    w->data_limit = MIN(w->declared_limit, params->mine[KEY_MAX_RECV_DSL]);
    return true;
}

static void tcp_spoil_digest(Wire *wire, bool header, bool data)
{
    TcpWire *w = (TcpWire *)wire;

    w->spoil_header = header;
    w->spoil_data = data;
}

static void tcp_send(Wire *wire, const Pdu *pdu)
{
    TcpWire *w = (TcpWire *)wire;
    TxItem item = {.head_len = PDU_BHS, .data = pdu->data, .len = pdu->len, .unsent = pdu->unsent};
    uint32_t crc;

    memcpy(item.head, pdu->bhs, PDU_BHS);
    if (w->header_digest) {
        crc = pdu_crc32c(0, pdu->bhs, PDU_BHS) ^ (w->spoil_header ? 1 : 0);
        pdu_put_digest(item.head + PDU_BHS, crc);
        item.head_len += DIGEST_BYTES;
    }
    item.tail_len = (uint8_t)(-pdu->len & 3);
    if (w->data_digest && pdu->len) {
        crc = pdu_crc32c(0, pdu->data, pdu->len);
        crc = pdu_crc32c(crc, item.tail, item.tail_len) ^ (w->spoil_data ? 1 : 0);
        pdu_put_digest(item.tail + item.tail_len, crc);
        item.tail_len += DIGEST_BYTES;
    }
    if (!item.unsent && item.len) {
        item.data = g_memdup2(pdu->data, pdu->len);
        item.owned = true;
    }
    if (item.unsent)
        ++*item.unsent;
    g_array_append_val(w->tx, item);
}

static void tcp_send_raw(Wire *wire, const void *bytes, size_t len)
{
    TxItem item = {.data = g_memdup2(bytes, len), .len = (uint32_t)len, .owned = true};

    g_array_append_val(((TcpWire *)wire)->tx, item);
}

/* Adds one piece of an item, less what has been sent of it. */
static void iov_add(struct iovec *iov, int *count, const void *base, size_t len, size_t *skip)
{
    size_t cut = MIN(*skip, len);

    *skip -= cut;
    if (len > cut)
        iov[(*count)++] = (struct iovec){(uint8_t *)base + cut, len - cut};
}

static guint tx_items_done(TcpWire *w, size_t written)
{
    guint done = 0;

    written += w->tx_done;
    while (w->tx_first + done < w->tx->len) {
        const TxItem *item = &g_array_index(w->tx, TxItem, w->tx_first + done);
        size_t size = (size_t)item->head_len + item->len + item->tail_len;

        if (written < size)
            break;
        written -= size;
        done++;
    }
    w->tx_done = written;
    return done;
}

static bool flush(TcpWire *w, bool *blocked, GError **error)
{
    *blocked = false;
    while (w->tx_first < w->tx->len) {
        struct iovec iov[IOV_MOST + 3];
        struct msghdr msg = {.msg_iov = iov};
        size_t skip = w->tx_done;
        int count = 0;
        ssize_t n;

        for (guint i = w->tx_first; i < w->tx->len && count < IOV_MOST; i++) {
            const TxItem *item = &g_array_index(w->tx, TxItem, i);

            iov_add(iov, &count, item->head, item->head_len, &skip);
            iov_add(iov, &count, item->data, item->len, &skip);
            iov_add(iov, &count, item->tail, item->tail_len, &skip);
        }
        msg.msg_iovlen = (size_t)count;
        n = sendmsg(w->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            *blocked = true;
            return true;
        }
        if (n < 0 && errno != EINTR)
            return fail(error, "send", errno);
        if (n > 0)
            tx_drop_done(w, tx_items_done(w, (size_t)n));
    }
    return true;
}

static bool protocol_error(TcpWire *w, const Pdu *pdu, const char *what, GError **error)
{
    w->base.sink.violation(w->base.sink.user, pdu, what);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s", what);
    return false;
}

static bool digest_is(const uint8_t *p, uint32_t crc)
{
    uint8_t good[DIGEST_BYTES];

    pdu_put_digest(good, crc);
    return memcmp(p, good, DIGEST_BYTES) == 0;
}

/* Takes one PDU off the buffer. `*took` is false when it is not all there. */
static bool take_pdu(TcpWire *w, bool *took, GError **error)
{
    const uint8_t *p = w->rx + w->rx_at;
    size_t have = w->rx_end - w->rx_at, head, padded, all;
    Pdu pdu = {0};

    *took = false;
    if (have < PDU_BHS)
        return true;
    memcpy(pdu.bhs, p, PDU_BHS);
    pdu.len = get_be24(p + AT_DATA_LENGTH);
    padded = ((size_t)pdu.len + 3) & ~(size_t)3;
    head = PDU_BHS + 4U * p[4] + (w->header_digest ? DIGEST_BYTES : 0);
    all = head + padded + (w->data_digest && pdu.len ? DIGEST_BYTES : 0);
    if (pdu.len > w->data_limit) {
        pdu.len = 0;
        return protocol_error(w, &pdu, "data segment longer than declared", error);
    }
    if (have < all)
        return true;
    if (w->header_digest &&
        !digest_is(p + head - DIGEST_BYTES, pdu_crc32c(0, p, head - DIGEST_BYTES)))
        return protocol_error(w, &pdu, "wrong header digest", error);
    pdu.data = p + head;
    if (w->data_digest && pdu.len && !digest_is(pdu.data + padded, pdu_crc32c(0, pdu.data, padded)))
        return protocol_error(w, &pdu, "wrong data digest", error);
    for (size_t i = pdu.len; i < padded; i++)
        if (pdu.data[i])
            w->base.sink.violation(w->base.sink.user, &pdu, "padding is not zero");
    w->rx_at += all;
    *took = true;
    w->base.sink.received(w->base.sink.user, &pdu);
    return true;
}

/* While in login one PDU at a time: what follows the last one is under other rules. */
static bool take_pdus(TcpWire *w, bool *any, GError **error)
{
    bool took;

    *any = false;
    do {
        if (!take_pdu(w, &took, error))
            return false;
        *any |= took;
    } while (took && w->full_feature);
    return true;
}

static bool fill(TcpWire *w, bool *got, GError **error)
{
    ssize_t n;

    *got = false;
    if (w->rx_at == w->rx_end) {
        w->rx_at = w->rx_end = 0;
    } else if (w->rx_at && w->rx_size - w->rx_end < w->rx_size / 2) {
        memmove(w->rx, w->rx + w->rx_at, w->rx_end - w->rx_at);
        w->rx_end -= w->rx_at;
        w->rx_at = 0;
    }
    n = recv(w->fd, w->rx + w->rx_end, w->rx_size - w->rx_end, 0);
    if (n > 0) {
        w->rx_end += (size_t)n;
        *got = true;
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n < 0)
        return fail(error, "receive", errno);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "target closed the connection%s",
                w->rx_end ? " in the middle of a PDU" : "");
    return false;
}

static bool tcp_turn(Wire *wire, int timeout_ms, GError **error)
{
    TcpWire *w = (TcpWire *)wire;
    bool blocked, any, got;
    struct pollfd pfd = {.fd = w->fd};
    GError *send_error = NULL;

    /* A target that closes may have said why: read that before complaining of the send. */
    if (!flush(w, &blocked, &send_error))
        timeout_ms = 0;
    if (!take_pdus(w, &any, error) || (!any && !fill(w, &got, error))) {
        g_clear_error(&send_error);
        return false;
    }
    if (!any && !got && !send_error && timeout_ms != 0) {
        pfd.events = (short)(POLLIN | (blocked ? POLLOUT : 0));
        poll(&pfd, 1, timeout_ms);
        if (pfd.revents & ~POLLOUT && !fill(w, &got, error))
            return false;
    }
    if (!any && !take_pdus(w, &any, error)) {
        g_clear_error(&send_error);
        return false;
    }
    if (send_error && !any) {
        g_propagate_error(error, send_error);
        return false;
    }
    g_clear_error(&send_error);
    return true;
}

const WireOps wire_tcp = {
    .data_in_pdus = true,
    .open = tcp_open,
    .close = tcp_close,
    .memory = tcp_memory,
    .add_offers = tcp_add_offers,
    .full_feature = tcp_full_feature,
    .send = tcp_send,
    .send_raw = tcp_send_raw,
    .spoil_digest = tcp_spoil_digest,
    .turn = tcp_turn,
};
