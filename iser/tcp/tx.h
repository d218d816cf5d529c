/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The output of a connection: one queue of PDUs and data movements, written in batches. */
#pragma once

#include "iser/iscsi/datamover.h"
#include "iser/tcp/cursor.h"
#include "iser/tcp/digest.h"

#include <glib.h>

typedef struct TcpConn TcpConn;
typedef struct TcpTxItem TcpTxItem;

#define TX_FRAMES 128u
#define TX_IOVS   512u

/* What of a PDU is neither data nor lasting: its header with digest, padding and data digest. */
typedef struct {
    uint8_t head[ISCSI_BHS_LEN + DIGEST_LEN];
    uint8_t tail[3 + DIGEST_LEN];
} TcpTxFrame;

typedef struct {
    TcpTxItem *first, **last; /* FIFO */
} TcpTxList;

/* The serial numbers that a PDU without status would carry now. */
typedef struct {
    uint32_t stat_sn, exp_cmd_sn, max_cmd_sn;
} TcpSerials;

/* On the home loop. Items wait in `queue`; a batch frames as many as fit and goes out by one system
 * call; those that it frames whole wait in `framed` until its last byte is accepted. */
typedef struct {
    TcpTxList queue, framed;
    TcpSerials serials; /* after what was queued last */
    unsigned count;     /* items in both */
    size_t copied;      /* bytes of control PDUs' data in both */
    TcpTxItem *free;    /* to be used again */
    GPtrArray *slabs;   /* of items */
    TcpTxFrame *frames; /* TX_FRAMES */
    struct iovec *iov;  /* TX_IOVS */
    unsigned n_frames, iov_at, n_iov;
    size_t batch_bytes;
    LoopFlush flush;
    bool running;             /* within tcp_tx_run() */
    bool blocked;             /* waits for the socket */
    GSource *watchdog;        /* while blocked, and somewhat longer */
    uint64_t sent, sent_then; /* bytes; then: at the watchdog's last look that saw some */
    unsigned still;           /* looks since */
} TcpTx;

void tcp_tx_init(TcpTx *tx);
void tcp_tx_deinit(TcpConn *conn); /* no item is left (asserted) */

/* DataSegmentLength is filled in; data is copied. */
void tcp_tx_send_control(TcpConn *conn, const uint8_t *bhs, const void *data, uint32_t len);
void tcp_tx_put(TcpConn *conn, DmMove *move);
/* Learns the serial numbers from a header that the session layer has just made. */
void tcp_tx_note_serials(TcpTx *tx, const uint8_t *bhs);
/* Takes the move out of the queue, or lets it end after what is on its way. */
void tcp_tx_cancel(TcpConn *conn, DmMove *move);
/* Drops everything, with done(-ECONNRESET) for moves. */
void tcp_tx_abandon_all(TcpConn *conn);
/* Writes until the queue is empty or the socket full. Calls done of moves. */
void tcp_tx_run(TcpConn *conn);
/* The peer takes so little that nothing more should be read from it. */
bool tcp_tx_is_congested(const TcpConn *conn);
