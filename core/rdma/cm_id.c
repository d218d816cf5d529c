/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Passing connection manager and device events to the home loop. */
#include "core/rdma/cm_id.h"

#include "core/rdma/private.h"

#define LATE_MS 100

struct CmId {
    gint refs; /* the owner's, and one for every event under way to the home loop */
    struct rdma_cm_id *verbs;
    Loop *home, *main;
    unsigned *alive; /* loop 0's */
    GSource *timer;  /* the same */
    QueuePair *qp;
};

typedef struct {
    CmId *id;
    bool from_cm;
    int event, status;
} Passed;

CmId *cm_id_new(struct rdma_cm_id *verbs, Loop *home, Loop *main, unsigned *alive)
{
    CmId *id = g_new0(CmId, 1);
    id->refs = 1;
    id->verbs = verbs;
    id->home = home;
    id->main = main;
    id->alive = alive;
    ++*alive;
    verbs->context = id;
    return id;
}

static void cm_id_unref(CmId *id)
{
    if (g_atomic_int_dec_and_test(&id->refs))
        g_free(id);
}

static void deliver(void *arg)
{
    Passed *passed = arg;
    QueuePair *qp = passed->id->qp;
    if (qp && passed->from_cm)
        qp_cm_event(qp, passed->event, passed->status);
    else if (qp)
        qp_device_event(qp, passed->event);
    cm_id_unref(passed->id);
    g_free(passed);
}

static void pass(CmId *id, bool from_cm, int event, int status)
{
    Passed *passed = g_new(Passed, 1);
    *passed = (Passed){.id = id, .from_cm = from_cm, .event = event, .status = status};
    g_atomic_int_inc(&id->refs);
    loop_call(id->home, deliver, passed);
}

void cm_id_pass_cm_event(CmId *id, enum rdma_cm_event_type event, int status)
{
    pass(id, true, (int)event, status);
}

void cm_id_pass_device_event(CmId *id, enum ibv_event_type event)
{
    pass(id, false, (int)event, 0);
}

struct rdma_cm_id *cm_id_verbs(const CmId *id)
{
    return id->verbs;
}

void cm_id_set_qp(CmId *id, QueuePair *qp)
{
    id->qp = qp;
}

/* On loop 0, which takes the events: none is half taken here. */
static void destroy(void *arg)
{
    CmId *id = arg;
    loop_timer_stop(&id->timer);
    rdma_destroy_id(id->verbs);
    --*id->alive;
    cm_id_unref(id);
}

static gboolean destroy_now(gpointer arg)
{
    destroy(arg);
    return G_SOURCE_REMOVE;
}

static void destroy_late(void *arg)
{
    CmId *id = arg;
    id->timer = loop_timer_start(id->main, LATE_MS, destroy_now, id);
}

void cm_id_release(CmId *id, bool late)
{
    id->qp = NULL;
    loop_call(id->main, late ? destroy_late : destroy, id);
}
