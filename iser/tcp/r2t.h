/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Solicited data: moves that fetch a command's data by R2T, and the matching of Data-Out PDUs to
 * them (RFC 7143 sections 11.7 and 11.8). */
#pragma once

#include "iser/iscsi/datamover.h"
#include "iser/tcp/cursor.h"

typedef struct TcpConn TcpConn;
typedef struct TcpR2tSlot TcpR2tSlot;

/* The moves of a connection that wait for data. On the home loop. */
typedef struct {
    TcpR2tSlot *slots;
    unsigned made, used;
    unsigned first_free, last_free; /* FIFO: a tag comes back as late as possible */
} TcpR2ts;

typedef enum {
    TCP_R2T_LIVE,      /* for a move */
    TCP_R2T_CANCELLED, /* for a move that was cancelled: to be dropped */
    TCP_R2T_VIOLATION, /* answers nothing that was asked for */
} TcpR2tMatch;

void tcp_r2ts_init(TcpR2ts *r2ts);
void tcp_r2ts_deinit(TcpR2ts *r2ts); /* no move is left (asserted) */

void tcp_r2t_start(TcpConn *conn, DmMove *move); /* get_data */
void tcp_r2t_cancel(TcpConn *conn, DmMove *move);
/* Ends every move with done(-ECONNRESET). */
void tcp_r2t_abandon_all(TcpConn *conn);

/* Checks the header of a solicited Data-Out: ITT, TTT, offset, length and F bit. Of a LIVE one: its
 * move, and where its data goes. */
TcpR2tMatch tcp_r2t_match(TcpConn *conn, const uint8_t *bhs, DmMove **move, IovCursor *to);
/* The data of a LIVE Data-Out is in its place. When it was spoilt on the way, or its DataSN says
 * that another is missing (RFC 7143 7.8, 7.9), the move ends with -EBADMSG once everything asked
 * for has come. May call done. */
void tcp_r2t_arrived(TcpConn *conn, DmMove *move, const uint8_t *bhs, bool spoilt);
