/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection as the connection manager sees it: the bridge from loop 0, where events arrive, to
 * the home loop of the queue pair that they concern. */
#pragma once

#include "core/base/loop.h"
#include "core/rdma/work.h"

#include <rdma/rdma_cma.h>

typedef struct CmId CmId;

/* Takes the id over; *alive counts it until it is destroyed. Loop 0, before anybody else knows the
 * id. */
CmId *cm_id_new(struct rdma_cm_id *id, Loop *home, Loop *main, unsigned *alive);

/* On loop 0, before the event is acknowledged: until then the CmId cannot be gone. */
void cm_id_pass_cm_event(CmId *id, enum rdma_cm_event_type event, int status);
void cm_id_pass_device_event(CmId *id, enum ibv_event_type event);

/* On the home loop. */
struct rdma_cm_id *cm_id_verbs(const CmId *id);
void cm_id_set_qp(CmId *id, QueuePair *qp); /* who gets the events */
/* Nobody gets events any more; the id is destroyed on loop 0, at once or - `late` - so much later
 * that a peer which is disconnecting need not hear of it while it does. */
void cm_id_release(CmId *id, bool late);
