/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Received PDUs of a connection and the memory of their data segments. */
#pragma once

#include "iser/iscsi/datamover.h"

#include <glib.h>

typedef struct TcpConn TcpConn;
typedef struct TcpPdu TcpPdu;

struct TcpPdu {
    DmPdu base;
    TcpPdu *next; /* in the pool */
    size_t room;  /* of base.data, as it was allocated; 0: none */
    bool from_heap;
    /* Of a SCSI command: how much a sequence of Data-In may still hold after everything that was
     * queued; 0 at the start of one. Bytes. */
    uint32_t burst_left;
    /* Of a SCSI command: its moves that wait for Data-Out, in the order of get_data, and how many
     * R2Ts of it are open. */
    DmMove *gets;
    unsigned open_r2ts;
};

/* All on the home loop. Both limits stop a peer that sends more than its window: its socket is not
 * read until something is released. */
typedef struct {
    TcpPdu *free;
    GPtrArray *slabs;
    unsigned made, used, limit; /* PDUs */
    size_t held, quota;         /* bytes of data segments */
} TcpPduPool;

typedef enum {
    TCP_PDU_TAKEN,
    TCP_PDU_OVER_LIMIT, /* wait for a release on this connection */
    TCP_PDU_NO_MEMORY,  /* the arena has none now */
} TcpPduResult;

void tcp_pdu_pool_init(TcpPduPool *pool, unsigned limit, size_t quota);
void tcp_pdu_pool_deinit(TcpPduPool *pool); /* every PDU is back (asserted) */

/* A PDU for the header (BHS with its AHS, copied), with room for its data segment. */
TcpPduResult tcp_pdu_take(TcpConn *conn, const uint8_t *header, TcpPdu **out);
void tcp_pdu_give_back(TcpPdu *pdu);
