/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nexuses: which LUN a task means, and the end of a session. */
#include "core/scsi/nexus.h"

#include "core/scsi/alua.h"
#include "core/scsi/hung.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/medium.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/target_impl.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/tmf.h"

#include <string.h>

/* A name that does not follow the rules is taken as it is: it stands for itself only. */
static void name_nexus(NexusName *name, const uint8_t *transport_id, size_t len)
{
    if (transport_id_parse(&name->initiator, transport_id, len) > 0)
        return;
    name->initiator.len = (uint8_t)MIN(len, TRANSPORT_ID_MAX);
    if (len > 0)
        memcpy(name->initiator.bytes, transport_id, name->initiator.len);
}

void nexus_set_port(Nexus *nexus, uint16_t port)
{
    nexus->name.port = port;
    nexus->group = alua_group_of_port(scsi_target_alua(nexus->target), port);
}

Nexus *nexus_new(ScsiTarget *target, Loop *home, Memory *memory, const char *initiator,
                 const uint8_t *transport_id, size_t transport_id_len)
{
    Nexus *nexus = g_new0(Nexus, 1);
    nexus->target = target;
    nexus->loop = home;
    nexus->client = memory_client_new(memory, home);
    nexus->initiator = g_strdup(initiator);
    name_nexus(&nexus->name, transport_id, transport_id_len);
    nexus->nowhere.nexus = nexus;
    nexus_set_port(nexus, 1);
    nexus->target_link.data = nexus;
    g_queue_push_tail_link(&target_view(target, home)->nexuses, &nexus->target_link);
    return nexus;
}

static Itl *make_itl(Nexus *nexus, uint64_t lun_field)
{
    LunShard *shard = scsi_target_find(nexus->target, nexus->loop, lun_field);
    if (!shard)
        return &nexus->nowhere;
    unsigned number = lun_spec(shard->lun)->number;
    if (number >= nexus->numbers) {
        unsigned wanted = MAX(number + 1, 2 * nexus->numbers);
        nexus->by_number = g_renew(Itl *, nexus->by_number, wanted);
        for (; nexus->numbers < wanted; nexus->numbers++)
            nexus->by_number[nexus->numbers] = NULL;
    }
    Itl *itl = itl_new(nexus, shard);
    g_queue_push_tail_link(&nexus->itls, &itl->nexus_link);
    nexus->by_number[number] = itl;
    return itl;
}

Itl *nexus_itl(Nexus *nexus, uint64_t lun_field)
{
    int number = scsi_lun_number(lun_field);
    if (number >= 0 && (unsigned)number < nexus->numbers && nexus->by_number[number])
        return nexus->by_number[number];
    return make_itl(nexus, lun_field);
}

static void forget_itl(Nexus *nexus, Itl *itl)
{
    g_queue_unlink(&nexus->itls, &itl->nexus_link);
    itl_free(itl);
}

static void free_nexus(Nexus *nexus)
{
    while (!g_queue_is_empty(&nexus->itls))
        forget_itl(nexus, g_queue_peek_head(&nexus->itls));
    g_assert(!nexus->tmfs);
    g_queue_unlink(&target_view(nexus->target, nexus->loop)->nexuses, &nexus->target_link);
    memory_client_free(nexus->client);
    LoopFn closed = nexus->closed;
    void *arg = nexus->closed_arg;
    g_free(nexus->by_number);
    g_free(nexus->initiator);
    g_free(nexus);
    closed(arg);
}

static void free_withdrawn(Itl *itl)
{
    if (itl->withdrawn && !itl->walkers && g_queue_is_empty(&itl->tasks) &&
        g_queue_is_empty(&itl->blocked)) {
        LunShard *shard = itl->shard;
        forget_itl(itl->nexus, itl);
        target_shard_left(shard);
    }
}

void nexus_watch(Nexus *nexus, const NexusEvents *events, void *arg)
{
    nexus->events = events;
    nexus->events_arg = arg;
}

void nexus_luns_changed(Nexus *nexus)
{
    for (GList *l = nexus->itls.head; l; l = l->next)
        itl_add_attention(l->data, SENSE_LUNS_CHANGED);
    if (nexus->events && !nexus->closed)
        nexus->events->luns_changed(nexus->events_arg);
}

void nexus_check_hung(Nexus *nexus)
{
    if (!nexus->closed || !nexus->events || nexus->told_hung || nexus->tasks != nexus->orphans)
        return;
    for (GList *l = nexus->itls.head; l; l = l->next)
        if (!hung_has_all(l->data))
            return;
    nexus->told_hung = true;
    nexus->events->only_hung_left(nexus->events_arg);
}

void nexus_task_released(Itl *itl)
{
    Nexus *nexus = itl->nexus;
    nexus->tasks--;
    free_withdrawn(itl);
    if (G_LIKELY(!nexus->closed))
        return;
    if (nexus->tasks == 0)
        free_nexus(nexus);
    else
        nexus_check_hung(nexus);
}

void nexus_withdraw_lun(Nexus *nexus, unsigned number)
{
    Itl *itl = number < nexus->numbers ? nexus->by_number[number] : NULL;
    if (!itl)
        return;
    nexus->by_number[number] = NULL;
    itl->withdrawn = true;
    free_withdrawn(itl);
}

/* --- closing ---------------------------------------------------------------------------------- */

/* A task that fn ends is gone; the others stay where they are, as nothing is started meanwhile. */
static void for_each_in(GQueue *queue, void (*fn)(Task *task, void *arg), void *arg)
{
    g_autoptr(GPtrArray) tasks = g_ptr_array_sized_new(queue->length);
    for (GList *l = queue->head; l; l = l->next)
        g_ptr_array_add(tasks, l->data);
    for (unsigned i = 0; i < tasks->len; i++)
        if (g_queue_find(queue, tasks->pdata[i]))
            fn(tasks->pdata[i], arg);
}

void itl_for_each_task(Itl *itl, void (*fn)(Task *task, void *arg), void *arg)
{
    itl->walkers++;
    for_each_in(&itl->blocked, fn, arg);
    for_each_in(&itl->tasks, fn, arg);
    itl->walkers--;
    itl_start_blocked(itl);
    free_withdrawn(itl);
}

void nexus_for_each_task(Nexus *nexus, void (*fn)(Task *task, void *arg), void *arg)
{
    for (GList *l = nexus->itls.head, *next; l; l = next) {
        next = l->next; /* a withdrawn one goes with its last task */
        itl_for_each_task(l->data, fn, arg);
    }
    itl_for_each_task(&nexus->nowhere, fn, arg);
}

static void abort_one(Task *task, void *arg)
{
    (void)arg;
    task_abort(task);
}

typedef struct {
    bool (*match)(const Task *task, void *arg);
    void *arg;
} Choice;

static void abort_chosen(Task *task, void *arg)
{
    const Choice *choice = arg;
    if (choice->match(task, choice->arg))
        task_abort(task);
}

void nexus_abort(Nexus *nexus, bool (*match)(const Task *task, void *arg), void *arg)
{
    Choice choice = {match, arg};
    nexus_for_each_task(nexus, abort_chosen, &choice);
}

void nexus_lost(Nexus *nexus)
{
    for (GList *l = nexus->itls.head; l; l = l->next) {
        Itl *itl = l->data;
        reserve_forget_nexus(itl->shard->lun, nexus);
        medium_allow_removal(itl);
    }
}

void nexus_close(Nexus *nexus, LoopFn closed, void *arg)
{
    tmf_forget_all(nexus);
    nexus_lost(nexus);
    nexus->tasks++; /* keeps the nexus while its tasks go */
    nexus->closed = closed;
    nexus->closed_arg = arg;
    nexus_for_each_task(nexus, abort_one, NULL);
    if (--nexus->tasks == 0)
        free_nexus(nexus);
    else
        nexus_check_hung(nexus);
}

/* --- what others ask -------------------------------------------------------------------------- */

ScsiTarget *nexus_target(const Nexus *nexus)
{
    return nexus->target;
}

Loop *nexus_loop(const Nexus *nexus)
{
    return nexus->loop;
}

const char *nexus_initiator(const Nexus *nexus)
{
    return nexus->initiator;
}

unsigned nexus_task_count(const Nexus *nexus)
{
    return nexus->tasks;
}
