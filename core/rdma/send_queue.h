/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a send queue holds and what still waits for room in it: order, slots, RDMA READ depth, and
 * which work requests are signalled. Knows no device. On one loop. */
#pragma once

#include "core/rdma/work.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    Work *head, *tail;
} WorkList;

typedef struct {
    unsigned slots, read_depth; /* limits */
    unsigned posted_n, reads_n; /* slots in use; RDMA READs among them */
    WorkList posted;            /* in the device's queue, oldest first */
    WorkList waiting;           /* sends and WRITEs, in order */
    WorkList waiting_reads;
    uint64_t posts, signalled; /* counters */
} SendQueue;

/* slots >= 2: the device's send queue; read_depth: RDMA READs at a time, 0: none is possible. */
void send_queue_init(SendQueue *queue, unsigned slots, unsigned read_depth);

/* Sends and WRITEs keep their order. READs overtake them, so that a full READ depth never holds
 * up an answer. */
void send_queue_push(SendQueue *queue, Work *work);

/* The chain (by wr.next) of everything that has room now, moved to `posted`; NULL when there is
 * nothing. The last one of the chain is signalled, so everything posted completes in the end and
 * never more is unsignalled than the queue has slots. */
Work *send_queue_take(SendQueue *queue);

/* The device refused the chain from `first` on: these wait again. */
void send_queue_untake(SendQueue *queue, Work *first);

/* A completion of `work`: calls done of it (with error), and before that of all posted before it
 * (with 0: those that fail always complete by themselves). */
void send_queue_complete(SendQueue *queue, Work *work, int error);

/* Calls done(error) of what waits; of what is posted too when the device has let go of it. */
void send_queue_cancel(SendQueue *queue, bool posted_too, int error);

bool send_queue_empty(const SendQueue *queue);
