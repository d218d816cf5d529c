/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input of a connection: headers by way of a staging buffer, data straight to its place. */
#pragma once

#include "iser/iscsi/datamover.h"
#include "iser/tcp/cursor.h"
#include "iser/tcp/pdu.h"

#include <glib.h>

typedef enum {
    TCP_RX_HEADER, /* BHS, AHS and their digest */
    TCP_RX_DATA,   /* the data segment */
    TCP_RX_TAIL,   /* its padding and digest */
} TcpRxState;

/* Why the socket is not read; a set. */
typedef enum {
    TCP_RX_WAITS_RELEASE = 1, /* the peer has more PDUs or data with us than its window allows */
    TCP_RX_WAITS_MEMORY = 2,  /* the arena has no buffer */
    TCP_RX_WAITS_OUTPUT = 4,  /* the peer does not take what is queued for it */
} TcpRxWait;

typedef struct {
    uint8_t *staging;
    unsigned head, tail; /* bytes received and not consumed lie between */
    TcpRxState state;
    /* The PDU being received, from its header on. Neither move nor pdu: its data is dropped. */
    uint8_t bhs[ISCSI_BHS_LEN];
    DmMove *move; /* a solicited Data-Out */
    TcpPdu *pdu;  /* any other */
    IovCursor to;
    struct iovec pdu_iov; /* the one piece of pdu's data */
    uint32_t left;        /* bytes of data still to come */
    uint32_t digest;
    unsigned waits; /* TcpRxWait */
    LoopFlush resume;
    GSource *retry; /* while waiting for memory */
} TcpRx;

void tcp_rx_init(TcpRx *rx);
void tcp_rx_deinit(TcpConn *conn);

/* The socket is readable. */
void tcp_rx_ready(TcpConn *conn);
/* Ends a wait, if there is one; goes on at the end of the round. */
void tcp_rx_resume(TcpConn *conn, unsigned waits);
/* The move's memory is taken back: data still arriving for it is dropped. */
void tcp_rx_forget(TcpConn *conn, const DmMove *move);
/* Gives back the PDU that was being received. */
void tcp_rx_abandon(TcpConn *conn);
/* After a graceful close: drops what comes; true when the peer has closed, too. */
bool tcp_rx_drain(TcpConn *conn);
