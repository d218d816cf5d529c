/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shared receive queue's entries in the table of a context. */
#pragma once

#include "tools/softverbs/sv.h"

struct ibv_srq *sv_create_srq_ex(struct ibv_context *c, struct ibv_srq_init_attr_ex *a);
int sv_get_srq_num(struct ibv_srq *s, uint32_t *n);
