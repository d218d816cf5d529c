/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory regions and windows: entries of the key table. */
#pragma once

#include "tools/softverbs/arena.h"

/* An entry of this process's table and its index, or NULL. */
struct sv_mr *sv_mr_alloc(uint32_t *idx);
/* Takes an entry's keys away, and waits until no peer uses it. */
void sv_mr_release(uint32_t idx);
/* The entry behind a key, kept from being released until its refs are dropped; or NULL. */
struct sv_mr *sv_mr_hold(struct sv_arena *a, uint32_t key, bool remote);
/* The own region of an lkey in that PD, or NULL. */
struct sv_mr *sv_own_mr(uint32_t lkey, uint32_t pd);

struct sv_qp;
struct ibv_mw *sv_alloc_mw(struct ibv_pd *pd, enum ibv_mw_type type);
int sv_bind_mw(struct ibv_qp *q, struct ibv_mw *mw, struct ibv_mw_bind *b);
int sv_dealloc_mw(struct ibv_mw *mw);
/* The effects of work requests: 0 or EINVAL. The second works on the arena of a peer too. */
int sv_bind(struct sv_qp *qp, struct ibv_mw *mw, uint32_t rkey, const struct ibv_mw_bind_info *bi);
int sv_local_inv(struct sv_arena *a, uint32_t rkey, uint32_t pd, uint32_t qpn);
