/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work requests as their owners see them: one object from submission to its only done(). */
#pragma once

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdint.h>

#define WORK_SGES 16 /* most pieces of memory in one work request; the device may take fewer */

typedef struct QueuePair QueuePair;
typedef struct Work Work;
typedef struct Recv Recv;

/* A send, RDMA WRITE or RDMA READ. The owner sets done, prompt, sge, and in wr: opcode, num_sge,
 * send_flags (IBV_SEND_INLINE and _SOLICITED), wr.rdma, invalidate_rkey. The rest of wr is the
 * queue pair's. It is the queue pair's from qp_submit() until done. */
struct Work {
    struct ibv_send_wr wr;
    struct ibv_sge sge[WORK_SGES];
    /* 0: complete; the memory is free again, and what a READ fetched is there. -ECANCELED: the
     * connection ended first. -EIO: it failed and ended the connection. Exactly once, on the home
     * loop, never inside qp_submit(). */
    void (*done)(Work *work, int error);
    bool prompt; /* tell of its completion at once; otherwise with that of later work */
    QueuePair *qp;
    Work *next;
};

/* A posted receive: one buffer. */
struct Recv {
    struct ibv_recv_wr wr;
    struct ibv_sge sge; /* set by the owner; lkey too */
    /* 0: `len` bytes are in the buffer. Else as for Work. Exactly once, on the home loop. */
    void (*done)(Recv *recv, int error, uint32_t len);
    QueuePair *qp;
};
