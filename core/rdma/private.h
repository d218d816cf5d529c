/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of this folder tell each other about a queue pair. On its home loop. */
#pragma once

#include "core/rdma/work.h"

#include <rdma/rdma_cma.h>

/* From the completion queue: what a work request or a receive came to. */
void qp_work_completed(QueuePair *qp, Work *work, const struct ibv_wc *wc);
void qp_recv_completed(QueuePair *qp, Recv *recv, const struct ibv_wc *wc);

/* From the connection manager and from the device. */
void qp_cm_event(QueuePair *qp, enum rdma_cm_event_type event, int status);
void qp_device_event(QueuePair *qp, enum ibv_event_type event);

/* The device will bring nothing back: destroys the queue pair, then completes what is left. Not
 * from inside a done(). */
void qp_abandon(QueuePair *qp, const char *why);
