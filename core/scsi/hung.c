/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Orphans of aborted tasks, by age, and the mark on the LUN. */
#include "core/scsi/hung.h"

#include "core/scsi/command.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/tmf.h"

static void mark(LunShard *shard)
{
    Lun *lun = shard->lun;
    shard->hung = true;
    if (__atomic_fetch_add(&lun->hung_shards, 1, __ATOMIC_RELAXED) == 0)
        g_warning("LUN %s/%u is hung: its store has not answered for %u ms; commands get BUSY "
                  "until it does",
                  lun->spec.target_name, lun->spec.number, tmf_timeout_ms);
    for (GList *l = shard->orphans.head; l; l = l->next)
        nexus_check_hung(((Task *)l->data)->nexus);
}

static void unmark(LunShard *shard)
{
    Lun *lun = shard->lun;
    if (!shard->hung)
        return;
    shard->hung = false;
    if (__atomic_sub_fetch(&lun->hung_shards, 1, __ATOMIC_RELAXED) == 0)
        g_message("LUN %s/%u goes on: its store has answered everything", lun->spec.target_name,
                  lun->spec.number);
}

static unsigned age_ms(const Task *task)
{
    return (unsigned)((g_get_monotonic_time() - task->aborted_at) / 1000);
}

static gboolean oldest_is_due(gpointer arg);

static void await_oldest(LunShard *shard)
{
    const Task *oldest = g_queue_peek_head(&shard->orphans);
    unsigned age = age_ms(oldest);
    unsigned left = age < tmf_timeout_ms ? tmf_timeout_ms - age : 0;
    shard->orphan_timer = loop_timer_start(shard->loop, MAX(left, 1), oldest_is_due, shard);
}

static gboolean oldest_is_due(gpointer arg)
{
    LunShard *shard = arg;
    loop_timer_stop(&shard->orphan_timer);
    if (age_ms(g_queue_peek_head(&shard->orphans)) >= tmf_timeout_ms)
        mark(shard);
    else
        await_oldest(shard);
    return G_SOURCE_REMOVE;
}

void hung_orphan_add(Task *task)
{
    LunShard *shard = task->itl->shard;
    task->aborted_at = g_get_monotonic_time();
    task->orphan = true;
    task->orphan_link = (GList){.data = task};
    task->nexus->orphans++;
    g_queue_push_tail_link(&shard->orphans, &task->orphan_link);
    if (!shard->hung && !shard->orphan_timer)
        await_oldest(shard);
}

void hung_orphan_back(Task *task)
{
    LunShard *shard = task->itl->shard;
    task->orphan = false;
    task->nexus->orphans--;
    g_queue_unlink(&shard->orphans, &task->orphan_link);
    if (!g_queue_is_empty(&shard->orphans))
        return;
    loop_timer_stop(&shard->orphan_timer);
    unmark(shard);
}

bool hung_answers(Task *task)
{
    if (G_LIKELY(!task->itl->shard || !lun_hung(task_lun(task))) ||
        (task->command->flags & COMMAND_WHEN_NOT_READY))
        return false;
    task->status = SCSI_BUSY;
    task_complete(task, NULL);
    return true;
}
