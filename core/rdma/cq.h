/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A completion queue: one per (loop, device), polled in batches by the loop, armed only before it
 * sleeps. All on the home loop. */
#pragma once

#include "core/rdma/device.h"
#include "core/rdma/work.h"

CompletionQueue *cq_new(Device *device, Loop *loop, GError **error);
void cq_free(CompletionQueue *cq); /* no queue pair uses it (asserted) */

/* Room for `entries` more completions, growing it where needed. False with error. */
bool cq_add_qp(CompletionQueue *cq, QueuePair *qp, unsigned entries, GError **error);
void cq_remove_qp(CompletionQueue *cq, QueuePair *qp, unsigned entries);

/* Handles everything that is there now. Not from inside a done(). */
void cq_drain(CompletionQueue *cq);

/* Ends every queue pair on it, without waiting for the device. Not from inside a done(). */
void cq_fail(CompletionQueue *cq, const char *why);

struct ibv_cq *cq_verbs(const CompletionQueue *cq);
