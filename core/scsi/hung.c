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
        nexus_check_hung(((Transfer *)l->data)->task->nexus);
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

static unsigned age_of_oldest_ms(const LunShard *shard)
{
    const Transfer *oldest = shard->orphans.head->data;
    return (unsigned)((g_get_monotonic_time() - oldest->task->aborted_at) / 1000);
}

static gboolean oldest_is_due(gpointer arg);

static void await_oldest(LunShard *shard)
{
    unsigned age = age_of_oldest_ms(shard);
    unsigned left = age < tmf_timeout_ms ? tmf_timeout_ms - age : 0;
    shard->orphan_timer = loop_timer_start(shard->loop, MAX(left, 1), oldest_is_due, shard);
}

static gboolean oldest_is_due(gpointer arg)
{
    LunShard *shard = arg;
    loop_timer_stop(&shard->orphan_timer);
    if (age_of_oldest_ms(shard) >= tmf_timeout_ms)
        mark(shard);
    else
        await_oldest(shard);
    return G_SOURCE_REMOVE;
}

static void add(Transfer *t)
{
    LunShard *shard = t->shard;
    t->orphan = true;
    t->orphan_link = (GList){.data = t};
    if (t->task->orphans++ == 0)
        t->task->nexus->orphans++;
    g_queue_push_tail_link(&shard->orphans, &t->orphan_link);
    if (!shard->hung && !shard->orphan_timer)
        await_oldest(shard);
}

void hung_orphans_add(Task *task)
{
    if (task->orphans == 0)
        task->aborted_at = g_get_monotonic_time();
    for (unsigned i = 0; i < TASK_TRANSFERS; i++) {
        Transfer *t = &task->transfers[i];
        if (t->state == TRANSFER_STORAGE && !t->orphan)
            add(t);
    }
}

void hung_orphan_back(Transfer *t)
{
    LunShard *shard = t->shard;
    t->orphan = false;
    if (--t->task->orphans == 0)
        t->task->nexus->orphans--;
    g_queue_unlink(&shard->orphans, &t->orphan_link);
    if (!g_queue_is_empty(&shard->orphans))
        return;
    loop_timer_stop(&shard->orphan_timer);
    unmark(shard);
}

static bool hangs(const Task *task)
{
    for (unsigned i = 0; i < TASK_TRANSFERS; i++)
        if (task->transfers[i].orphan && task->transfers[i].shard->hung)
            return true;
    return false;
}

bool hung_has_all(const Itl *itl)
{
    for (GList *l = itl->tasks.head; l; l = l->next)
        if (!hangs(l->data))
            return false;
    return true;
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
