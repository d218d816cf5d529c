/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A queue pair: an RDMA connection from its acceptance until the last posted work request is
 * back. All on its home loop. */
#pragma once

#include "core/rdma/device.h"
#include "core/rdma/fabric.h"
#include "core/rdma/work.h"

typedef struct {
    /* The connection is gone or useless: what is posted comes back now with -ECANCELED. `reason` is
     * for a log. At most once, and not after qp_close(). Never inside a call of the owner. */
    void (*lost)(QueuePair *qp, const char *reason);
    /* After lost or qp_close(): every done() was called, the device has let go of all memory. The
     * last upcall; the owner calls qp_free(), inside it or later. */
    void (*drained)(QueuePair *qp);
} QueuePairEvents;

typedef struct {
    unsigned send_slots, recv_slots; /* work requests; cut to what the device has */
    unsigned inline_max;             /* bytes; 0 where the device refuses */
} QueuePairConfig;

/* Takes the request; qp_accept() or qp_free(), which refuses it, must follow. NULL with error: the
 * request is refused and gone. */
QueuePair *qp_new(ConnectRequest *request, const QueuePairConfig *config,
                  const QueuePairEvents *events, void *owner, GError **error);
/* After drained, or before qp_accept(). NULL is allowed. */
void qp_free(QueuePair *qp);

/* Answers the request. Receives should be posted before; sends may be submitted at once. False
 * with error: only qp_free() is left to do - the receives' done() are not called. */
bool qp_accept(QueuePair *qp, const void *private_data, uint8_t len, GError **error);

/* Instead of qp_accept(): refuses with a word to the peer, and frees. */
void qp_reject(QueuePair *qp, const void *private_data, uint8_t len);

/* Posted at the end of the round, before the sends of the round. At most recv_slots at a time. */
void qp_receive(QueuePair *qp, Recv *recv);
/* Posted at the end of the round, in order, or when there is room. Not after drained. */
void qp_submit(QueuePair *qp, Work *work);

/* Ends the connection: at once, or when everything submitted has been acknowledged by the peer (5 s
 * at most) and it has disconnected, or was given 2 s to. Repeating is harmless; an abrupt one
 * overtakes a graceful one. */
void qp_close(QueuePair *qp, bool graceful);

void *qp_owner(const QueuePair *qp);
Device *qp_device(const QueuePair *qp);
unsigned qp_recv_slots(const QueuePair *qp);
unsigned qp_inline_max(const QueuePair *qp); /* bytes */
unsigned qp_read_depth(const QueuePair *qp); /* RDMA READs at a time */

typedef struct {
    uint64_t posts;     /* calls of ibv_post_send() */
    uint64_t signalled; /* work requests that asked for a completion */
} QueuePairCounters;
void qp_get_counters(const QueuePair *qp, QueuePairCounters *out);
