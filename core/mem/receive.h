/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The budget for receive buffers: what a session may be sent before its commands have memory of
 * their own. It is apart from the segments' so that neither can starve the other. */
#pragma once

#include "core/mem/arena.h"

typedef struct ReceiveBudget ReceiveBudget;

/* Of `bytes` bytes, of which 1/8 is kept for control PDUs (login, NOP, task management). */
ReceiveBudget *receive_budget_new(Arena *arena, size_t bytes);
void receive_budget_free(ReceiveBudget *budget);    /* all returned (asserted) */
Arena *receive_budget_arena(ReceiveBudget *budget); /* where the buffers come from; MT-SAFE */

/* How many of `wanted` buffers of `size` bytes a new session gets: its fair share of what is left,
 * and 0 when that is less than `least` (the login is then rejected). Reserves them. MT-SAFE. */
unsigned receive_budget_reserve(ReceiveBudget *budget, unsigned wanted, unsigned least,
                                size_t size);
void receive_budget_unreserve(ReceiveBudget *budget, unsigned count, size_t size); /* MT-SAFE */
