/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way of a work request: send queue, execution, transfer or delivery. */
#pragma once

#include "tools/softverbs/arena.h"
#include "tools/softverbs/objects.h"

/* What sv_execute() returns besides an ibv_wc_status: not now (no receive, or the peer is not
 * there), or executed and completed. */
enum { BLOCK_RNR = 0x1000, BLOCK_PEER, DONE };

/* The local memory of a work request. */
struct sv_op {
    struct iovec iov[SV_MAX_SGE];
    int n;
    uint64_t len;
};

int sv_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
/* Goes on with what waits in the send queue; sqlock held. */
void sv_run_sq(struct sv_qp *qp);
/* CM thread: retries that ran out. Returns the next deadline (ns; UINT64_MAX: none). */
uint64_t sv_blocked_scan(void);
/* Writes the completion of a work request. */
void sv_complete(struct sv_qp *qp, const struct ibv_send_wr *wr, uint64_t seq, int status,
                 uint32_t len);

/* Runs a work request; inl: its inline data, or NULL. Sets *len to its length. sqlock held. */
int sv_execute(struct sv_qp *qp, const struct ibv_send_wr *wr, const void *inl, uint32_t *len,
               uint64_t seq);

/* The parts of it return an ibv_wc_status or one of the above. The peer's rlock is held. */
int sv_rdma(struct sv_qp *qp, const struct ibv_send_wr *wr, struct sv_op *o, bool out);
/* Hands a message (or the immediate of a write) to a posted receive. */
int sv_deliver(struct sv_qp *qp, const struct ibv_send_wr *wr, struct sv_op *o, bool payload,
               uint64_t seq);
/* Checks the local memory of a request and finds it. */
int sv_gather(struct sv_qp *qp, const struct ibv_send_wr *wr, bool local_write, struct sv_op *o);
/* Checks memory of the peer. NULL: not allowed; else the caller drops its refs. */
struct sv_mr *sv_peer_mr(struct sv_qp *qp, uint64_t addr, uint64_t len, uint32_t key, bool remote,
                         uint32_t need);
/* Moves len bytes between local and remote memory: 0, ESRCH (no such process) or EFAULT. */
int sv_xfer(struct sv_qp *qp, const struct iovec *l, int nl, const struct iovec *r, int nr,
            uint64_t len, bool out);
/* The status for that; fault: what EFAULT means here. */
int sv_xfer_status(int e, int fault);
