/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task management: aborts here and on other loops, and the wait for writes that are in flight. */
#include "core/scsi/tmf.h"

#include "core/scsi/itl.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/target_impl.h"
#include "core/scsi/task_impl.h"

unsigned tmf_timeout_ms = 30000;

/* One function of one nexus. Lives until every part has ended, answered or not. */
typedef struct {
    Nexus *nexus; /* NULL: answered, or nobody left to answer */
    Loop *loop;
    TmfResponse response;
    TmfDone done;
    void *arg;
    unsigned parts; /* that have not ended */
    GSource *timer;
} Tmf;

/* The share of one loop: tasks that it aborted and whose writes it waits for. */
typedef struct {
    Tmf *tmf;
    ScsiTarget *target;
    Loop *loop;
    int lun; /* -1: all */
    unsigned waiting;
} Part;

static void answer(Tmf *tmf)
{
    if (!tmf->nexus)
        return;
    tmf->nexus->tmfs = g_slist_remove(tmf->nexus->tmfs, tmf);
    tmf->nexus = NULL;
    loop_timer_stop(&tmf->timer);
    tmf->done(tmf->response, tmf->arg);
}

static gboolean timed_out(gpointer arg)
{
    Tmf *tmf = arg;
    g_warning("%s: task management rejected: writes did not return in %u s",
              nexus_initiator(tmf->nexus), tmf_timeout_ms / 1000);
    tmf->response = TMF_REJECTED;
    answer(tmf);
    return G_SOURCE_REMOVE;
}

static void part_ended(void *arg)
{
    Part *part = arg;
    Tmf *tmf = part->tmf;
    g_free(part);
    if (--tmf->parts > 0)
        return;
    answer(tmf);
    g_free(tmf);
}

static void part_unwait(Part *part)
{
    if (--part->waiting > 0)
        return;
    if (part->loop == part->tmf->loop)
        part_ended(part);
    else
        loop_call(part->tmf->loop, part_ended, part);
}

void tmf_task_settled(Task *task)
{
    GSList *waiters = g_steal_pointer(&task->waiters);
    for (GSList *w = waiters; w; w = w->next)
        part_unwait(w->data);
    g_slist_free(waiters);
}

/* Aborts the task; a write that the engine has is waited for. */
static void abort_task(Task *task, void *arg)
{
    Part *part = arg;
    if (task->state == TASK_RESPONDED) /* it has left the task set */
        return;
    if (task_may_write(task)) {
        task->waiters = g_slist_prepend(task->waiters, part);
        part->waiting++;
    }
    task_abort(task);
}

static Part *part_new(Tmf *tmf, Loop *loop, int lun)
{
    Part *part = g_new0(Part, 1);
    part->tmf = tmf;
    part->target = tmf->nexus->target;
    part->loop = loop;
    part->lun = lun;
    part->waiting = 1; /* until everything is aborted */
    tmf->parts++;
    return part;
}

static Tmf *tmf_new(Nexus *nexus, TmfDone done, void *arg)
{
    Tmf *tmf = g_new0(Tmf, 1);
    tmf->nexus = nexus;
    tmf->loop = nexus->loop;
    tmf->response = TMF_COMPLETE;
    tmf->done = done;
    tmf->arg = arg;
    tmf->timer = loop_timer_start(nexus->loop, tmf_timeout_ms, timed_out, tmf);
    nexus->tmfs = g_slist_prepend(nexus->tmfs, tmf);
    return tmf;
}

void tmf_forget_all(Nexus *nexus)
{
    for (GSList *l = nexus->tmfs; l; l = l->next) {
        Tmf *tmf = l->data;
        tmf->nexus = NULL;
        loop_timer_stop(&tmf->timer);
    }
    g_slist_free(g_steal_pointer(&nexus->tmfs));
}

/* --- within the nexus ------------------------------------------------------------------------- */

typedef struct {
    uint64_t tag;
    Task *found;
} Search;

static void match(Task *task, void *arg)
{
    Search *search = arg;
    if (task->tag == search->tag && task->state < TASK_RESPONDED)
        search->found = task;
}

static Task *find_task(Itl *itl, uint64_t tag)
{
    Search search = {.tag = tag};
    itl_for_each_task(itl, match, &search);
    return search.found;
}

static void note_task(Task *task, void *arg)
{
    bool *found = arg;
    *found |= task->state < TASK_RESPONDED;
}

static void manage_task(Itl *itl, TmfFunction function, uint64_t tag, TmfDone done, void *arg)
{
    Task *task = find_task(itl, tag);
    if (function == TMF_QUERY_TASK) {
        done(task ? TMF_SUCCEEDED : TMF_COMPLETE, arg);
    } else if (!task) {
        done(TMF_TASK_NOT_FOUND, arg);
    } else {
        Part *part = part_new(tmf_new(itl->nexus, done, arg), itl->nexus->loop, -1);
        abort_task(task, part);
        part_unwait(part);
    }
}

static void query_task_set(Itl *itl, TmfDone done, void *arg)
{
    bool found = false;
    itl_for_each_task(itl, note_task, &found);
    done(found ? TMF_SUCCEEDED : TMF_COMPLETE, arg);
}

static void abort_task_set(Itl *itl, TmfDone done, void *arg)
{
    Part *part = part_new(tmf_new(itl->nexus, done, arg), itl->nexus->loop, -1);
    itl_for_each_task(itl, abort_task, part);
    part_unwait(part);
}

static void reset_nexus(Nexus *nexus, TmfDone done, void *arg)
{
    Part *part = part_new(tmf_new(nexus, done, arg), nexus->loop, -1);
    nexus_for_each_task(nexus, abort_task, part);
    for (GList *l = nexus->itls.head; l; l = l->next) {
        medium_allow_removal(l->data);
        itl_add_attention(l->data, SENSE_NEXUS_LOSS);
    }
    part_unwait(part);
}

/* --- on all loops ----------------------------------------------------------------------------- */

static void reset_shard(LunShard *shard, Part *part, SenseCode attention)
{
    for (GList *l = shard->itls.head, *next; l; l = next) {
        Itl *itl = l->data;
        next = l->next;
        itl_for_each_task(itl, abort_task, part);
    }
    for (GList *l = shard->itls.head; l; l = l->next) {
        medium_allow_removal(l->data);
        itl_add_attention(l->data, attention);
    }
}

/* The LUN is looked up anew on each loop: it may have been removed since the function was sent. */
static void reset_luns_here(void *arg)
{
    Part *part = arg;
    const TargetView *view = target_view(part->target, part->loop);
    for (unsigned i = 0; i < view->numbers; i++)
        if (view->luns[i] && (part->lun < 0 || part->lun == (int)i))
            reset_shard(view->luns[i], part, part->lun < 0 ? SENSE_BUS_RESET : SENSE_DEVICE_RESET);
    part_unwait(part);
}

static void reset_luns(Nexus *nexus, int lun, TmfDone done, void *arg)
{
    Tmf *tmf = tmf_new(nexus, done, arg);
    unsigned nloops;
    Loop *const *loops = target_loops(nexus->target, &nloops);
    Part *here = NULL;
    for (unsigned i = 0; i < nloops; i++) {
        Part *part = part_new(tmf, loops[i], lun);
        if (loops[i] == nexus->loop)
            here = part;
        else
            loop_call(loops[i], reset_luns_here, part);
    }
    reset_luns_here(here);
}

void nexus_manage(Nexus *nexus, TmfFunction function, uint64_t lun, uint64_t tag, TmfDone done,
                  void *arg)
{
    switch (function) {
    case TMF_I_T_NEXUS_RESET:
        reset_nexus(nexus, done, arg);
        return;
    case TMF_TARGET_WARM_RESET:
    case TMF_TARGET_COLD_RESET:
        reset_luns(nexus, -1, done, arg);
        return;
    case TMF_CLEAR_ACA: /* NormACA = 0 */
    case TMF_QUERY_ASYNC_EVENT:
        done(TMF_REJECTED, arg);
        return;
    default:
        break;
    }

    Itl *itl = nexus_itl(nexus, lun);
    if (!itl->shard)
        done(TMF_INCORRECT_LUN, arg);
    else if (function == TMF_LOGICAL_UNIT_RESET)
        reset_luns(nexus, scsi_lun_number(lun), done, arg);
    else if (function == TMF_QUERY_TASK_SET)
        query_task_set(itl, done, arg);
    else if (function == TMF_ABORT_TASK_SET || function == TMF_CLEAR_TASK_SET)
        abort_task_set(itl, done, arg); /* the same thing: TST = 1, the task set is the nexus's */
    else
        manage_task(itl, function, tag, done, arg);
}
