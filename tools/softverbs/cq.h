/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completion queues. */
#pragma once

#include "tools/softverbs/arena.h"
#include "tools/softverbs/objects.h"

struct ibv_cq_ex *sv_create_cq_ex(struct ibv_context *c, struct ibv_cq_init_attr_ex *a);
void sv_cq_ex_ops(struct sv_cq *cq);
int sv_poll_cq(struct ibv_cq *cq, int num, struct ibv_wc *wc);
int sv_req_notify_cq(struct ibv_cq *cq, int solicited);
/* Adds a completion to a queue of any arena, and writes to its channel if it is armed.
 * kickfd wakes the owner of the arena if the queue overruns; chanfd may be -1. MT-SAFE. */
void sv_cq_push(struct sv_arena *a, int kickfd, uint32_t idx, const struct sv_cqe *e,
                bool solicited, int chanfd);
/* The end to write of the channel of an own queue, or -1. */
int sv_own_chan(struct ibv_cq *cq);
