/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task sets: who may start, and who must wait. */
#include "core/scsi/itl.h"

#include "core/base/links.h"
#include "core/scsi/claim.h"
#include "core/scsi/command.h"
#include "core/scsi/copy_results.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/task_impl.h"

Itl *itl_new(Nexus *nexus, LunShard *shard)
{
    Lun *lun = shard->lun;
    Itl *itl = g_new0(Itl, 1);
    itl->nexus = nexus;
    itl->shard = shard;
    itl->lun_link.data = itl->shard_link.data = itl->nexus_link.data = itl;
    g_queue_push_tail_link(&shard->itls, &itl->shard_link);
    pthread_mutex_lock(&lun->lock);
    unit_attentions_add(&itl->attentions, SENSE_POWER_ON_RESET);
    g_queue_push_tail_link(&lun->itls, &itl->lun_link);
    pthread_mutex_unlock(&lun->lock);
    return itl;
}

void itl_free(Itl *itl)
{
    Lun *lun = itl->shard->lun;
    g_assert(g_queue_is_empty(&itl->tasks) && g_queue_is_empty(&itl->blocked));
    reserve_forget_nexus(lun, itl->nexus);
    copy_results_free(itl);
    g_queue_unlink(&itl->shard->itls, &itl->shard_link);
    medium_allow_removal(itl);
    pthread_mutex_lock(&lun->lock);
    g_queue_unlink(&lun->itls, &itl->lun_link);
    pthread_mutex_unlock(&lun->lock);
    g_free(itl);
}

static bool is_barrier(const Task *task)
{
    return task->attribute == TASK_ORDERED || task->attribute == TASK_HEAD_OF_QUEUE;
}

static bool may_start(const Itl *itl, const Task *task)
{
    return task->attribute == TASK_ORDERED ? itl->running == 0 : itl->barriers == 0;
}

static void start(Itl *itl, Task *task)
{
    itl->running++;
    itl->barriers += is_barrier(task);
    links_push_tail(&itl->tasks, &task->link);
    task_start(task);
}

static bool overtakes(const Task *task)
{
    return task->attribute == TASK_HEAD_OF_QUEUE ||
           (task->command && (task->command->flags & COMMAND_AT_ONCE));
}

/* A hung LUN answers at once, whatever the order: those before may take for ever. */
static bool starts_at_once(const Itl *itl, const Task *task)
{
    return (G_LIKELY(!itl->blocked.head) && may_start(itl, task)) || overtakes(task) ||
           (itl->shard && lun_hung(itl->shard->lun));
}

void itl_admit(Itl *itl, Task *task)
{
    if (starts_at_once(itl, task)) {
        start(itl, task);
        return;
    }
    task->state = TASK_BLOCKED;
    g_queue_push_tail_link(&itl->blocked, &task->link);
}

void itl_start_blocked(Itl *itl)
{
    if (itl->starting || itl->walkers) /* below this in the stack: that loop goes on */
        return;
    itl->starting = true;
    while (itl->blocked.head) {
        Task *first = itl->blocked.head->data;
        if (!may_start(itl, first))
            break;
        links_remove(&itl->blocked, &first->link);
        start(itl, first);
    }
    itl->starting = false;
}

void itl_leave(Itl *itl, Task *task)
{
    if (G_UNLIKELY(itl->shard && itl->shard->claims > 0))
        claim_task_left(task);
    task->begun = false;
    itl->running--;
    itl->barriers -= is_barrier(task);
    itl_start_blocked(itl);
}

static SenseCode take_attention(Itl *itl, bool only_reset)
{
    SenseCode code = SENSE_NO_SENSE;
    if (!unit_attentions_pending(&itl->attentions))
        return code;
    pthread_mutex_lock(&itl->shard->lun->lock);
    if (!only_reset || unit_attentions_begin_with_reset(&itl->attentions))
        code = unit_attentions_take(&itl->attentions);
    pthread_mutex_unlock(&itl->shard->lun->lock);
    return code;
}

SenseCode itl_take_attention(Itl *itl)
{
    return take_attention(itl, false);
}

SenseCode itl_take_reset(Itl *itl)
{
    return take_attention(itl, true);
}

void itl_add_attention(Itl *itl, SenseCode code)
{
    pthread_mutex_lock(&itl->shard->lun->lock);
    unit_attentions_add(&itl->attentions, code);
    pthread_mutex_unlock(&itl->shard->lun->lock);
}

void itl_drop_attention(Itl *itl, SenseCode code)
{
    if (!unit_attentions_pending(&itl->attentions))
        return;
    pthread_mutex_lock(&itl->shard->lun->lock);
    unit_attentions_drop(&itl->attentions, code);
    pthread_mutex_unlock(&itl->shard->lun->lock);
}
