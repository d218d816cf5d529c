/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection of the TCP datamover: its states, and what its parts share. */
#pragma once

#include "iser/iscsi/datamover.h"
#include "iser/tcp/pdu.h"
#include "iser/tcp/r2t.h"
#include "iser/tcp/rx.h"
#include "iser/tcp/tx.h"

#include <stddef.h>

#define TCP_MAX_RECV      ((uint32_t)ARENA_BUFFER_MAX) /* a data segment is one buffer */
#define TCP_LOGIN_SEGMENT 8192u /* MaxRecvDataSegmentLength until it is negotiated */

typedef enum {
    TCP_OPEN,
    TCP_DRAINING,   /* graceful close: what is queued goes out, nothing is read */
    TCP_LINGERING,  /* everything and the FIN are out: waits for the peer's */
    TCP_CLOSED,     /* to be torn down at the loop's next chance */
    TCP_TERMINATED, /* torn down, upcall made */
} TcpState;

/* What holds for the PDUs of the connection: of the login, then as negotiated. */
typedef struct {
    uint32_t max_recv, max_send, max_burst; /* bytes */
    uint32_t max_r2t;
    bool header_digest, data_digest;
} TcpLimits;

struct TcpConn {
    DmConn base;
    TcpState state;
    bool full_feature; /* enable was called */
    TcpLimits limits;
    LoopFd lfd; /* fd -1: closed */
    TcpPduPool pdus;
    TcpR2ts r2ts;
    TcpRx rx;
    TcpTx tx;
    ReceiveBudget *budget;
    ReceiveShare share; /* the window, in PDUs of share_size bytes of data */
    size_t share_size;
    GSource *grace; /* bounds DRAINING and LINGERING */
    char reason[96];
    void (*freed)(void *arg); /* told when the connection is gone */
    void *freed_arg;
};

#define TCP_CONN_OF(part, member) ((TcpConn *)(void *)((char *)(part)-offsetof(TcpConn, member)))

static inline TcpConn *tcp_conn(DmConn *conn)
{
    return (TcpConn *)conn;
}

extern const Datamover tcp_datamover;

/* Takes over the connected socket `fd` and sets its options. NULL (fd closed) when the peer has
 * gone already. On `loop`, as is everything else. */
TcpConn *tcp_conn_new(Loop *loop, Memory *memory, ReceiveBudget *budget, int fd);
/* Begins to receive, after the session layer was attached. False (errno) where the loop refuses. */
bool tcp_conn_start(TcpConn *conn);
/* Of a connection that was never started or has terminated. */
void tcp_conn_free(TcpConn *conn);

/* Ends the connection at once, without being asked to; the first reason counts. The upcall
 * follows, never inside. */
void tcp_conn_fail(TcpConn *conn, const char *reason);
/* Waits for what the parts can use now. */
void tcp_conn_update_events(TcpConn *conn);
/* Output may still go out. */
bool tcp_conn_is_writable(const TcpConn *conn);
/* The output queue is empty. */
void tcp_conn_drained(TcpConn *conn);
