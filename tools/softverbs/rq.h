/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receive queues, of a QP or shared. */
#pragma once

#include "tools/softverbs/arena.h"
#include "tools/softverbs/objects.h"

/* 0 or ENOMEM. Caller holds g.obj. */
int sv_rq_init(struct sv_shrq *rq, struct sv_rqlocal *l, uint32_t max_wr, uint32_t max_sge);
void sv_rq_fini(struct sv_shrq *rq, struct sv_rqlocal *l);
/* Gives the slot of a completed receive back. */
void sv_slot_free(struct sv_rqlocal *l, uint32_t slot);
/* Takes the oldest receive: its slot, or -1. For a peer, p notes what is taken: should the
 * peer be killed before it has written the completion, the owner will find it there. limit:
 * the queue is shared (it is locked); set to whether its limit was just reached. */
int sv_rq_pop(struct sv_arena *a, struct sv_shrq *rq, struct sv_shqp *p, bool *limit);
int sv_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
int sv_post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
