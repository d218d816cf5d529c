/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue pairs: life, states, failure. */
#pragma once

#include "tools/softverbs/arena.h"
#include "tools/softverbs/objects.h"

struct ibv_qp *sv_create_qp_ex(struct ibv_context *c, struct ibv_qp_init_attr_ex *a);
/* Fills in the ibv_wr_* functions. */
void sv_qp_ex_init(struct sv_qp *qp);
/* ibv_modify_qp, but leaves errno alone. */
int sv_modify_qp(struct sv_qp *qp, struct ibv_qp_attr *attr, int mask);
/* Lets go of the peer. */
void sv_qp_detach(struct sv_qp *qp);

/* To ERR, everything posted flushed; event: an ibv_event_type to report, or -1. */
void sv_qp_flush(struct sv_qp *qp);
void sv_qp_error(struct sv_qp *qp, int event);
/* The same with the sqlock held. */
void sv_enter_error(struct sv_qp *qp);
void sv_flush_sq(struct sv_qp *qp);
void sv_flush_rq(struct sv_qp *qp);
/* The responder's QP fails; its owner will flush it. Its rlock is held. */
void sv_fail_peer(struct sv_qp *qp, int event);
/* Tells a peer that waits for a receive, or for our state, to try again. */
void sv_wake_peer(struct sv_qp *qp);
