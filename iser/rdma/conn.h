/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An iSER connection and its parts; for the files of this folder. Everything on its home loop. */
#pragma once

#include "core/rdma/qp.h"
#include "iser/iscsi/datamover.h"
#include "iser/rdma/wire.h"

#include <stdatomic.h>

#define ISER_RESERVE 32 /* receives beside those of SCSI commands, unless configured */

typedef struct IserConn IserConn;
typedef struct IserPdu IserPdu;
typedef struct IserTx IserTx;

/* --- receive.c ---------------------------------------------------------------------------------
 */

/* A receive buffer, and the PDU in it. */
struct IserPdu {
    DmPdu pdu; /* first */
    Recv recv;
    uint8_t *buffer;
    struct IserReceive *pool;
    IserHeader header;
    uint32_t unsolicited; /* bytes of data-out that the write STag does not cover */
    IserPdu *next;        /* in pool->free */
};

/* Buffers of one size. */
typedef struct IserReceive {
    IserPdu *pdus; /* `most`, of which those with a buffer count */
    unsigned most, count, posted;
    unsigned lent; /* to the session layer */
    size_t size;   /* of a buffer; bytes */
    bool repost;   /* buffers go back to the queue pair when released, instead of to `free` */
    IserPdu *free, *bare; /* bare: without a buffer */
} IserReceive;

/* For at most `most` buffers of `size` bytes (iser_receive_size()); none yet. */
void iser_receive_init(IserReceive *pool, unsigned most, size_t size);
/* Another n buffers, at most; how many there was memory for. */
unsigned iser_receive_add(IserReceive *pool, IserConn *conn, unsigned n);
void iser_receive_deinit(IserReceive *pool, IserConn *conn); /* nothing posted or lent (asserted) */
size_t iser_receive_size(uint32_t max_ahs, uint32_t max_data);
/* Posts up to n of the free ones. */
void iser_receive_post(IserReceive *pool, IserConn *conn, unsigned n);
void iser_receive_release(IserPdu *pdu);
/* Releases it, and its buffer for good. */
void iser_receive_drop(IserPdu *pdu);
/* The queue pair went without ever having been used: what was posted is free. */
void iser_receive_unpost(IserReceive *pool);

/* --- transmit.c --------------------------------------------------------------------------------
 */

/* A work request of the connection, and what depends on it. */
struct IserTx {
    Work work; /* first */
    IserConn *conn;
    uint8_t *slot;  /* message memory, back to the pool; or */
    uint8_t *large; /* a buffer of its own */
    size_t large_size;
    DmMove *move; /* ends with this */
    IserTx *next;
};

typedef struct {
    IserTx *free;
    GPtrArray *blocks;       /* of IserTx */
    uint8_t *free_slots;     /* linked through their first bytes */
    GPtrArray *slot_blocks;  /* arena buffers of ISER_SLOT_BLOCK */
    unsigned busy;           /* IserTx with the queue pair */
    DmMove *orphans, **tail; /* moves given to a connection that is gone */
    LoopFlush orphans_flush;
    GHashTable *commands; /* by ITT, those with an STag to invalidate; NULL: not agreed on */
} IserTransmit;

void iser_transmit_init(IserTransmit *tx);
void iser_transmit_deinit(IserTransmit *tx, IserConn *conn); /* nothing busy (asserted) */
/* Message memory for that many answers at a time. False: no memory. */
bool iser_transmit_reserve(IserTransmit *tx, IserConn *conn, unsigned answers);

void iser_send_control(DmConn *dm, const uint8_t bhs[ISCSI_BHS_LEN], const void *data,
                       uint32_t data_len);
void iser_send_held(IserConn *conn); /* pings that the initiator has room for now */
void iser_send_hello_reject(IserConn *conn);
/* Ends the moves that came when there was nothing to move them with. Not inside a call of the
 * session layer. */
void iser_end_orphans(IserConn *conn);
void iser_put_data(DmConn *dm, DmMove *move);
void iser_get_data(DmConn *dm, DmMove *move);
void iser_cancel(DmConn *dm, DmMove *move);

/* A command that may be answered with an invalidation came, or is forgotten. */
void iser_command_begins(IserConn *conn, IserPdu *pdu);
void iser_command_ends(IserConn *conn, IserPdu *pdu);

/* --- flow.c ------------------------------------------------------------------------------------
 */

/* PDUs the initiator did not ask for, against its MaxOutstandingUnexpectedPDUs. */
typedef struct {
    uint32_t limit;        /* 0: none */
    unsigned pings;        /* sent and not answered */
    unsigned openings;     /* NOP-Ins that want no answer, and no command has come since */
    unsigned notices;      /* asynchronous messages and rejects not acknowledged */
    uint32_t last_stat_sn; /* of the last notice */
    GQueue held;           /* pings that wait: uint8_t[ISCSI_BHS_LEN] */
} IserFlow;

void iser_flow_init(IserFlow *flow);
void iser_flow_deinit(IserFlow *flow);
/* False: it is held, copied; to be sent by iser_flow_next() later. */
bool iser_flow_may_send(IserFlow *flow, const uint8_t bhs[ISCSI_BHS_LEN]);
/* A PDU of the initiator: what it acknowledges. */
void iser_flow_received(IserFlow *flow, const uint8_t bhs[ISCSI_BHS_LEN]);
/* A held PDU that is to go now; the caller's, to be g_free()d. NULL: none. */
uint8_t *iser_flow_next(IserFlow *flow);

/* --- conn.c ------------------------------------------------------------------------------------
 */

typedef enum {
    ISER_NEW,          /* not accepted yet */
    ISER_LOGIN,        /* one receive at a time */
    ISER_ALLOCATED,    /* the last login response is yet to be sent */
    ISER_FULL_FEATURE, /* all receives posted */
    ISER_TERMINATED,   /* the queue pair is gone */
} IserState;

struct IserConn {
    DmConn dm; /* first */
    IserState state;
    QueuePair *qp; /* NULL: gone */
    Device *device;
    Arena *arena;
    ReceiveBudget *budget;
    IserReceive login, receive;
    size_t expected;    /* bytes of the budget that the login counts on */
    ReceiveShare share; /* of the buffers of `receive` */
    IserTransmit transmit;
    IserFlow flow;
    LoopFlush end; /* the terminated upcall */
    char *reason;
    bool solicited_only; /* the write STag begins behind the unsolicited data */
    bool closing;        /* nothing is sent or taken any more */
};

/* What a listener needs to make connections. */
typedef struct {
    Memory *memory;
    ReceiveBudget *budget;
    atomic_uint recv_slots; /* receives of a connection, at most; grows */
    DmAccepted accepted;
    void *arg;
} IserAccept;

/* What a connection to a target with these parameters needs. */
unsigned iser_recv_slots(const IscsiParams *offer);

/* Turns the request into a connection, or rejects it. On the home loop. */
void iser_conn_accept(ConnectRequest *request, const IserAccept *accept);

/* The initiator broke the protocol: ends the connection with that reason. */
void iser_conn_violation(IserConn *conn, const char *what, DmClose how);

extern const Datamover iser_datamover;
