/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task management: aborts here and on other loops, and the wait for writes that are in flight. */
#include "core/scsi/tmf.h"

#include "core/scsi/copy.h"
#include "core/scsi/itl.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/target_impl.h"
#include "core/scsi/task_impl.h"

unsigned tmf_timeout_ms = 30000;

/* A LUN is marked as hung before the functions that wait for it are rejected: what the initiator
 * sends next shall find the mark. */
#define MARK_FIRST_MS 50

/* What is aborted. Read on all loops, constant. */
typedef struct {
    ScsiTarget *target;
    int lun;            /* -1: all */
    SenseCode reset;    /* for all nexuses; SENSE_NO_SENSE: no reset */
    SenseCode cleared;  /* for other nexuses that lost a task; SENSE_NO_SENSE: none */
    const Nexus *whose; /* not for other_lost() */
    const Task *spared; /* not aborted */
    TmfMatch match;     /* NULL: every nexus */
    void *arg;
    GDestroyNotify free_arg;
} Scope;

/* One function of one nexus. Lives until every part has ended, answered or not. */
typedef struct {
    Nexus *nexus; /* NULL: answered, or nobody left to answer */
    Loop *loop;
    Scope scope;
    TmfResponse response;
    TmfDone done;
    void *arg;
    Task *task; /* a command whose act this is, instead of arg; kept busy */
    TmfTaskDone task_done;
    unsigned parts; /* that have not ended */
    GSource *timer;
} Tmf;

/* The share of one loop: tasks that it aborted and whose writes it waits for. */
typedef struct {
    Tmf *tmf;
    Loop *loop;
    unsigned waiting;
    unsigned aborted; /* tasks, of the I_T_L nexus being looked at */
} Part;

/* --- answers ---------------------------------------------------------------------------------- */

static void answer_task(Tmf *tmf, bool answered)
{
    Task *task = g_steal_pointer(&tmf->task);
    if (answered && task->state == TASK_RUNNING)
        tmf->task_done(task, tmf->response);
    task_unbusy(task);
}

static void answer(Tmf *tmf)
{
    if (!tmf->nexus)
        return;
    tmf->nexus->tmfs = g_slist_remove(tmf->nexus->tmfs, tmf);
    tmf->nexus = NULL;
    loop_timer_stop(&tmf->timer);
    if (tmf->task)
        answer_task(tmf, true);
    else
        tmf->done(tmf->response, tmf->arg);
}

static gboolean timed_out(gpointer arg)
{
    Tmf *tmf = arg;
    g_message("%s: task management rejected: writes did not return in %u ms",
              nexus_initiator(tmf->nexus), tmf_timeout_ms);
    tmf->response = TMF_REJECTED;
    answer(tmf);
    return G_SOURCE_REMOVE;
}

void tmf_forget_all(Nexus *nexus)
{
    while (nexus->tmfs) {
        Tmf *tmf = nexus->tmfs->data;
        nexus->tmfs = g_slist_delete_link(nexus->tmfs, nexus->tmfs);
        tmf->nexus = NULL;
        loop_timer_stop(&tmf->timer);
        if (tmf->task)
            answer_task(tmf, false);
    }
}

/* --- parts ------------------------------------------------------------------------------------ */

static void part_ended(void *arg)
{
    Part *part = arg;
    Tmf *tmf = part->tmf;
    g_free(part);
    if (--tmf->parts > 0)
        return;
    answer(tmf);
    if (tmf->scope.free_arg)
        tmf->scope.free_arg(tmf->scope.arg);
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

/* Makes the function wait for what the engine has of the task's writes. */
static void wait_for_writes(Task *task, Part *part)
{
    if (!task_may_write(task))
        return;
    task->waiters = g_slist_prepend(task->waiters, part);
    part->waiting++;
}

/* Aborts the task; a write that the engine has is waited for. */
static void abort_task(Task *task, void *arg)
{
    Part *part = arg;
    if (task->state == TASK_RESPONDED || task == part->tmf->scope.spared)
        return; /* the former has left the task set */
    part->aborted++;
    if (task->state == TASK_BLOCKED) {
        task_abort(task);
        return;
    }
    task->busy++;
    task_abort(task);
    wait_for_writes(task, part);
    task_unbusy(task);
}

static Part *part_new(Tmf *tmf, Loop *loop)
{
    Part *part = g_new0(Part, 1);
    part->tmf = tmf;
    part->loop = loop;
    part->waiting = 1; /* until everything is aborted */
    tmf->parts++;
    return part;
}

static Tmf *tmf_new(Nexus *nexus, const Scope *scope, TmfDone done, void *arg)
{
    Tmf *tmf = g_new0(Tmf, 1);
    tmf->nexus = nexus;
    tmf->loop = nexus->loop;
    tmf->scope = *scope;
    tmf->scope.target = nexus->target;
    tmf->scope.whose = nexus;
    tmf->response = TMF_COMPLETE;
    tmf->done = done;
    tmf->arg = arg;
    tmf->timer = loop_timer_start(nexus->loop, tmf_timeout_ms + MARK_FIRST_MS, timed_out, tmf);
    nexus->tmfs = g_slist_prepend(nexus->tmfs, tmf);
    return tmf;
}

/* --- within the nexus ------------------------------------------------------------------------- */

static Part *part_here(Nexus *nexus, TmfDone done, void *arg)
{
    return part_new(tmf_new(nexus, &(Scope){0}, done, arg), nexus->loop);
}

typedef struct {
    uint64_t tag;
    Task *found;
} Search;

/* One that was aborted already, but may write still, must not be denied: the initiator would take
 * it for gone. */
static void match_tag(Task *task, void *arg)
{
    Search *search = arg;
    bool present = task->state < TASK_RESPONDED || task_may_write(task);
    if (task->tag == search->tag && present)
        search->found = task;
}

static Task *find_task(Itl *itl, uint64_t tag)
{
    Search search = {.tag = tag};
    itl_for_each_task(itl, match_tag, &search);
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
        done(task && task->state < TASK_RESPONDED ? TMF_SUCCEEDED : TMF_COMPLETE, arg);
    } else if (!task) {
        done(TMF_TASK_NOT_FOUND, arg);
    } else {
        Part *part = part_here(itl->nexus, done, arg);
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
    Part *part = part_here(itl->nexus, done, arg);
    itl_for_each_task(itl, abort_task, part);
    part_unwait(part);
}

static void reset_nexus(Nexus *nexus, TmfDone done, void *arg)
{
    Part *part = part_here(nexus, done, arg);
    nexus_for_each_task(nexus, abort_task, part);
    for (GList *l = nexus->itls.head; l; l = l->next) {
        medium_allow_removal(l->data);
        itl_add_attention(l->data, SENSE_NEXUS_LOSS);
        reserve_forget_nexus(((Itl *)l->data)->shard->lun, nexus);
    }
    part_unwait(part);
}

/* --- on all loops ----------------------------------------------------------------------------- */

/* The copies that commands to other LUNs make from or to this one: they fail and say why, for their
 * initiators learn of the reset in no other way. Those of its own commands are aborted with them.
 */
static void fail_guests(LunShard *shard, Part *part)
{
    for (GList *l = shard->guests.head; l; l = l->next)
        wait_for_writes(l->data, part);
    for (GList *l = shard->guests.head; l;) {
        Task *task = l->data;
        l = l->next;
        if (task->itl->shard != shard && task->state == TASK_RUNNING && !task->failed) {
            copy_device_reset(task, shard);
            l = shard->guests.head; /* it may have left, and others with it */
        }
    }
}

static void abort_in_itl(Itl *itl, Part *part)
{
    const Scope *scope = &part->tmf->scope;
    if (scope->match && !scope->match(itl->nexus, scope->arg))
        return;
    bool other = itl->nexus != scope->whose;
    part->aborted = 0;
    itl_for_each_task(itl, abort_task, part); /* not withdrawn: it stays */
    if (scope->match && other) /* SPC-4 5.13.11.2.6: preempted, it keeps nobody's medium in */
        medium_allow_removal(itl);
    if (scope->cleared != SENSE_NO_SENSE && part->aborted > 0 && other)
        itl_add_attention(itl, scope->cleared);
}

static void abort_in_shard(LunShard *shard, Part *part)
{
    const Scope *scope = &part->tmf->scope;
    if (scope->reset != SENSE_NO_SENSE)
        fail_guests(shard, part);
    for (GList *l = shard->itls.head; l; l = l->next)
        abort_in_itl(l->data, part);
    for (GList *l = shard->itls.head; l && scope->reset != SENSE_NO_SENSE; l = l->next) {
        medium_allow_removal(l->data);
        itl_add_attention(l->data, scope->reset);
    }
}

/* The LUN is looked up anew on each loop: it may have been removed since the function was sent. */
static void run_part(void *arg)
{
    Part *part = arg;
    const Scope *scope = &part->tmf->scope;
    const TargetView *view = target_view(scope->target, part->loop);
    for (unsigned i = 0; i < view->numbers; i++)
        if (view->luns[i] && (scope->lun < 0 || scope->lun == (int)i))
            abort_in_shard(view->luns[i], part);
    part_unwait(part);
}

static void run_on_all_loops(Tmf *tmf)
{
    unsigned nloops;
    Loop *const *loops = target_loops(tmf->scope.target, &nloops);
    Part *here = NULL;
    for (unsigned i = 0; i < nloops; i++) {
        Part *part = part_new(tmf, loops[i]);
        if (loops[i] == tmf->loop)
            here = part;
        else
            loop_call(loops[i], run_part, part);
    }
    run_part(here);
}

static void cache_flushed(int res, void *arg)
{
    Part *part = arg;
    if (res < 0)
        part->tmf->response = TMF_REJECTED;
    part_unwait(part);
}

/* Here and now, not on each loop when it gets to it: what is reserved or selected after this stays
 * so. */
static void reset_settings(Tmf *tmf)
{
    const TargetView *view = target_view(tmf->scope.target, tmf->loop);
    for (unsigned i = 0; i < view->numbers; i++) {
        LunShard *shard = view->luns[i];
        if (!shard || (tmf->scope.lun >= 0 && tmf->scope.lun != (int)i))
            continue;
        reserve_reset(shard->lun);
        if (mode_restore_saved(shard->lun))
            operation_flush(shard, cache_flushed, part_new(tmf, tmf->loop));
    }
}

static void reset_luns(Nexus *nexus, int lun, SenseCode attention, TmfDone done, void *arg)
{
    const Scope scope = {.lun = lun, .reset = attention};
    Tmf *tmf = tmf_new(nexus, &scope, done, arg);
    reset_settings(tmf);
    run_on_all_loops(tmf);
}

void tmf_abort_nexuses(Task *task, TmfMatch match, void *arg, GDestroyNotify free_arg,
                       SenseCode attention, TmfTaskDone done)
{
    const Scope scope = {.lun = (int)lun_spec(task_lun(task))->number,
                         .cleared = attention,
                         .spared = task,
                         .match = match,
                         .arg = arg,
                         .free_arg = free_arg};
    Tmf *tmf = tmf_new(task->nexus, &scope, NULL, NULL);
    tmf->task = task;
    tmf->task_done = done;
    task->busy++;
    run_on_all_loops(tmf);
}

/* --- the functions ---------------------------------------------------------------------------- */

static void manage_lun(Nexus *nexus, TmfFunction function, uint64_t lun, uint64_t tag, TmfDone done,
                       void *arg)
{
    Itl *itl = nexus_itl(nexus, lun);
    if (!itl->shard)
        done(TMF_INCORRECT_LUN, arg);
    else if (function == TMF_LOGICAL_UNIT_RESET)
        reset_luns(nexus, scsi_lun_number(lun), SENSE_DEVICE_RESET, done, arg);
    else if (function == TMF_QUERY_TASK_SET)
        query_task_set(itl, done, arg);
    else if (function == TMF_ABORT_TASK_SET || function == TMF_CLEAR_TASK_SET)
        abort_task_set(itl, done, arg); /* the same thing: TST = 1, the task set is the nexus's */
    else
        manage_task(itl, function, tag, done, arg);
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
        reset_luns(nexus, -1, SENSE_BUS_RESET, done, arg);
        return;
    case TMF_CLEAR_ACA: /* NormACA = 0 */
    case TMF_QUERY_ASYNC_EVENT:
        done(TMF_REJECTED, arg);
        return;
    default:
        manage_lun(nexus, function, lun, tag, done, arg);
    }
}
