/* SPDX-License-Identifier: GPL-2.0-or-later */
/* START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL. */
#include "core/scsi/medium.h"

#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

enum { START = 0x01, LOEJ = 0x02, POWER_CONDITION = 0xf0 };

MediumState medium_state(const Lun *lun)
{
    return __atomic_load_n(&lun->medium, __ATOMIC_RELAXED);
}

/* --- PREVENT ALLOW MEDIUM REMOVAL ------------------------------------------------------------- */

static void set_prevention(Itl *itl, bool prevents)
{
    Lun *lun = itl->shard->lun;
    pthread_mutex_lock(&lun->lock);
    lun->preventions += (unsigned)prevents - (unsigned)itl->prevents_removal;
    itl->prevents_removal = prevents;
    pthread_mutex_unlock(&lun->lock);
}

void medium_allow_removal(Itl *itl)
{
    set_prevention(itl, false);
}

void prevent_allow_run(Task *task)
{
    set_prevention(task->itl, task->cdb[4] & 0x01);
    task_complete(task, NULL);
}

/* --- START STOP UNIT -------------------------------------------------------------------------- */

/* True when the medium is in the state now; false where it would have to be moved, and somebody
 * prevents that. */
static bool enter(Lun *lun, MediumState state)
{
    pthread_mutex_lock(&lun->lock);
    bool moves = (state == MEDIUM_EJECTED) != (lun->medium == MEDIUM_EJECTED);
    bool allowed = !moves || lun->preventions == 0;
    if (allowed)
        __atomic_store_n(&lun->medium, state, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lun->lock);
    return allowed;
}

static void start(Task *task)
{
    Lun *lun = task_lun(task);
    bool was_ejected = medium_state(lun) == MEDIUM_EJECTED;
    if (was_ejected && !(task->cdb[4] & LOEJ)) {
        task_fail(task, SENSE_MEDIUM_NOT_PRESENT);
        return;
    }
    if (!enter(lun, MEDIUM_STARTED)) {
        task_fail(task, SENSE_REMOVAL_PREVENTED);
        return;
    }
    if (was_ejected)
        lun_attention(lun, SENSE_MEDIUM_CHANGED, task->itl);
    task_complete(task, NULL);
}

static void flushed(Transfer *t)
{
    Task *task = t->task;
    transfer_end(t);
    task_complete(task, NULL);
}

/* A removable medium that stops starts by itself when it is accessed: only ejected it is out of
 * reach. */
static MediumState state_after_stop(const Task *task)
{
    if (task->cdb[4] & LOEJ)
        return MEDIUM_EJECTED;
    return task_lun(task)->spec.removable ? medium_state(task_lun(task)) : MEDIUM_STOPPED;
}

static void flush_store(Transfer *t)
{
    transfer_store(t, AIO_FLUSH, 0, 0, 0, NULL, 0, flushed);
}

/* NO_FLUSH = 1 and IMMED = 1 are permissions of which no use is made: what the cache holds is safe
 * before the initiator is told that the medium is at rest. */
static void stop(Task *task)
{
    if (!enter(task_lun(task), state_after_stop(task)))
        task_fail(task, SENSE_REMOVAL_PREVENTED);
    else if (task_lun(task)->spec.read_only)
        task_complete(task, NULL);
    else
        transfer_begin(&task->transfers[0], 0, 0, 0, flush_store);
}

/* There is one power condition: asked for any, the LUN is in it (START and LOEJ mean nothing then).
 */
void start_stop_unit_run(Task *task)
{
    const uint8_t *cdb = task->cdb;
    if (cdb[4] & POWER_CONDITION)
        task_complete(task, NULL);
    else if ((cdb[4] & LOEJ) && !task_lun(task)->spec.removable)
        task_fail_cdb(task, 4, 1);
    else if (cdb[4] & START)
        start(task);
    else
        stop(task);
}
