/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An RDMA channel (SRP 4.4): one connection, its login, its credits, its receives, its commands;
 * for the files of this folder. Everything on its home loop.
 *
 * Credits: the initiator may send a request for every one it was given (REQUEST LIMIT DELTA), and a
 * receive is posted before it is given. `granted` is what it may still send, `owed` are receives
 * that it has not been told of: the next response tells it, or a CRED_REQ where there is no next
 * one. They are never taken back: a window shrinks as used ones are not given again. */
#pragma once

#include "core/mem/receive.h"
#include "core/rdma/qp.h"
#include "core/scsi/task.h"
#include "srp/wire.h"

typedef struct SrpChannel SrpChannel;
typedef struct SrpSession SrpSession; /* session.h */
typedef struct SrpNexus SrpNexus;     /* session.h */
typedef struct SrpTicket SrpTicket;   /* port.h */
typedef struct SrpIu SrpIu;
typedef struct SrpTx SrpTx;
typedef struct SrpCommand SrpCommand;

/* Receives beside those of requests: answers to CRED_REQ and AER_REQ, an I_LOGOUT, and one by which
 * an initiator that sends too much is caught rather than stalled. */
#define SRP_RESERVE      4
#define SRP_LEAST_WINDOW 8

/* --- receive.c ---------------------------------------------------------------------------------
 */

struct SrpIu {
    Recv recv; /* first */
    SrpChannel *channel;
    uint8_t *buffer;
    uint32_t len; /* bytes received */
    SrpIu *next;  /* in ring->free or ring->bare */
};

typedef struct {
    SrpIu *ius; /* `most`, of which those with a buffer count */
    unsigned most, count, posted, lent;
    size_t size, pad;   /* of a buffer; bytes before the IU, so that immediate data is aligned */
    SrpIu *free, *bare; /* bare: without a buffer */
    ReceiveShare share;
} SrpRing;

/* Buffers for at most `window` requests of at most iu_len bytes, and posts them. Returns how many
 * requests there is room for to begin with; 0: no memory, nothing is held. */
unsigned srp_ring_open(SrpChannel *channel, ReceiveBudget *budget, unsigned window, uint32_t iu_len,
                       unsigned immediate_offset);
void srp_ring_close(SrpChannel *channel); /* nothing posted or lent (asserted); repeating: no-op */
/* The queue pair went without having been accepted: nothing is posted. */
void srp_ring_unpost(SrpChannel *channel);
/* A received IU is done with: its receive is posted again, and owed to the initiator when it was a
 * request - unless others need the memory more; but what task management takes it gets back. */
void srp_ring_release(SrpIu *iu, bool request);
/* The initiator has used up its credits: gives it more where there is memory. */
void srp_ring_grow(SrpChannel *channel);

/* --- transmit.c --------------------------------------------------------------------------------
 */

/* A work request, and what depends on it. */
struct SrpTx {
    Work work; /* first */
    SrpChannel *channel;
    uint8_t *slot;     /* message memory, back to the pool */
    DataMove *move;    /* ends with this */
    SrpCommand *fetch; /* waits for its descriptors */
    SrpTx *next;
};

typedef struct {
    SrpTx *free;
    GPtrArray *blocks;      /* of SrpTx */
    uint8_t *free_slots;    /* linked through their first bytes */
    GPtrArray *slot_blocks; /* arena buffers */
    unsigned busy;          /* SrpTx with the queue pair */
} SrpTransmit;

void srp_transmit_init(SrpTransmit *transmit);
void srp_transmit_deinit(SrpChannel *channel); /* nothing busy (asserted) */
/* Message memory for that many IUs at a time. False: no memory. */
bool srp_transmit_reserve(SrpChannel *channel, unsigned messages);

SrpTx *srp_tx_get(SrpChannel *channel);
void srp_tx_put(SrpTx *tx);
/* Sends an IU of at most SRP_RSP_MAX bytes; `last`, which may be NULL, ends with it. Ends the
 * channel, and `last` by itself, when there is no memory. Not on a closing channel. */
void srp_send(SrpChannel *channel, const uint8_t *iu, size_t len, bool solicited, DataMove *last);

/* --- data.c ------------------------------------------------------------------------------------
 */

/* Moves given to a channel that is gone: they end at the end of the round. */
typedef struct {
    DataMove *head, **tail;
    LoopFlush flush;
} SrpOrphans;

void srp_orphans_init(SrpChannel *channel);
void srp_orphans_end(SrpChannel *channel);
void srp_orphan(SrpChannel *channel, DataMove *move);

/* RDMA WRITEs, or READs, for all of the move; the last one ends it if `ends`. */
void srp_move_data(SrpCommand *command, DataMove *move, enum ibv_wr_opcode opcode, bool ends);
/* Reads a descriptor table into command memory; srp_command_fetched() follows. */
void srp_fetch_table(SrpCommand *command, const SrpBuffer *buffer, uint8_t *table);

void srp_put_data(Task *task, DataMove *move);
void srp_get_data(Task *task, DataMove *move);
void srp_cancel(Task *task, DataMove *move);

/* --- command.c ---------------------------------------------------------------------------------
 */

/* Where the last move was in the initiator's memory: they come in order. */
typedef struct {
    unsigned index;
    uint64_t start; /* offset of the descriptor in the data */
} SrpPlace;

struct SrpCommand {
    Task task; /* first */
    SrpChannel *channel;
    SrpIu *iu; /* NULL: given back */
    SrpBuffer out, in;
    SrpPlace out_place, in_place;
    uint8_t *tables[2]; /* fetched ones: out, in */
    unsigned fetching;
    int fetch_error;
    bool forgotten; /* see srp_commands_forget_orphans() */
    bool solicit_success, solicit_failure;
    GList link; /* in busy or free */
};

typedef struct {
    GQueue busy, free;
    GPtrArray *blocks;
    unsigned forgotten; /* of busy */
} SrpCommands;

void srp_commands_init(SrpCommands *commands);
void srp_commands_deinit(SrpCommands *commands); /* none busy (asserted) */
void srp_command_receive(SrpIu *iu);
void srp_command_fetched(SrpCommand *command, int error);
/* Before a management function is answered: aborted reads whose buffers the store still has give
 * their receives back, as far as there are commands to spare. */
void srp_commands_forget_orphans(SrpChannel *channel);

static inline SrpCommand *srp_command_of(Task *task)
{
    return (SrpCommand *)task;
}

/* --- order.c ------------------------------------------------------------------------------------
 */

/* An SRP_CMD or SRP_TSK_MGMT: received now, or when what must come before it is a task. */
void srp_order_take(SrpIu *iu);
void srp_order_fetching(const SrpCommand *command); /* its descriptor table */
void srp_order_fetched(const SrpCommand *command);
void srp_order_go_on(SrpNexus *nexus); /* after that, when the command is a task or gone */
/* It is closing: its requests are dropped, and nobody waits for its commands any more. */
void srp_order_leave(SrpChannel *channel);

/* --- tsk_mgmt.c --------------------------------------------------------------------------------
 */

typedef struct SrpTmf SrpTmf;
void srp_tsk_mgmt_receive(SrpIu *iu);
void srp_tsk_mgmt_leave(SrpChannel *channel); /* it is closing: nobody to answer any more */
bool srp_tsk_mgmt_is_busy(const SrpChannel *channel);
void srp_tsk_mgmt_forget(SrpNexus *nexus); /* its last channel has left, and it is closed */

/* --- channel.c ---------------------------------------------------------------------------------
 */

typedef enum {
    CHANNEL_WAITING, /* for an earlier nexus of the initiator port to end; not accepted */
    CHANNEL_OPEN,
    CHANNEL_CLOSING, /* nothing is taken or sent any more; waits for device and commands */
} SrpChannelState;

/* A target request under way: one of each kind at most. */
typedef struct {
    bool out;
    uint64_t tag;
} SrpRequest;

struct SrpChannel {
    SrpChannelState state;
    Loop *loop;
    QueuePair *qp; /* NULL: gone */
    Device *device;
    Arena *arena;
    SrpTicket *ticket;
    SrpSession *session;
    struct sockaddr_storage local, peer;
    SrpNexus *nexus; /* NULL: not established, or closing and left */
    GList link;      /* in the nexus's channels, or in the session's waiting ones */
    bool alone;      /* it has terminated the others */

    unsigned granted, owed;
    unsigned immediate_offset; /* 0: not agreed on */
    SrpRing ring;
    SrpTransmit transmit;
    SrpOrphans orphans;
    SrpCommands commands;
    SrpRequest credit, event;
    bool event_pending; /* another one, when the first is answered */
    uint64_t last_tag;
    LoopFlush settle; /* credits owed to an initiator gone quiet; freeing */
    GSource *idle;
    bool heard; /* since the idle timer last ran */
    char *name;
};

/* Of receive.c: something came. */
void srp_channel_receive(SrpIu *iu);

/* Takes the request, which the port has routed here. On its home loop. */
void srp_channel_accept(ConnectRequest *request, void *arg);
/* Of session.c: gets receives; false: no memory. */
bool srp_channel_prepare(SrpChannel *channel);
/* Of session.c: accepts the channel, which has its nexus now; so was done with the other channels
 * of the initiator port. */
void srp_channel_establish(SrpChannel *channel, SrpChannels others);
unsigned srp_channel_window(const SrpChannel *channel); /* requests it may have outstanding */
void srp_channel_refuse(SrpChannel *channel, SrpRejReason reason); /* one that waits; frees it */

/* Ends it: tells the initiator why. Repeating: no-op. */
void srp_channel_log_out(SrpChannel *channel, SrpLogoutReason reason);
/* Ends it without a word. */
void srp_channel_close(SrpChannel *channel, const char *reason);
/* LUNs came or went: tells the initiator (AER_REQ). */
void srp_channel_report_luns(SrpChannel *channel);

/* What a response gives back; it must be sent. */
uint32_t srp_channel_take_credits(SrpChannel *channel);
/* Something of the channel was given back: see `settle`. */
void srp_channel_settle(SrpChannel *channel);
