/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RESERVE (6) and RELEASE (6) of SPC-2 5.5, with the exceptions of SPC-4 5.13.3: reservations of a
 * session, gone with it. */
#include "core/scsi/nexus_impl.h"
#include "core/scsi/reserve_impl.h"
#include "core/scsi/task_impl.h"

bool reserve_is_reserved_6(Lun *lun)
{
    pthread_mutex_lock(&lun->lock);
    bool reserved = lun->reservations.reserved_by != NULL;
    pthread_mutex_unlock(&lun->lock);
    return reserved;
}

static void set_holder(Reservations *reservations, const Nexus *nexus)
{
    if (reservations->reserved_by == nexus)
        return;
    reservations->reserved_by = nexus;
    reserve_changed(reservations);
}

void reserve_forget_nexus(Lun *lun, const Nexus *nexus)
{
    pthread_mutex_lock(&lun->lock);
    if (lun->reservations.reserved_by == nexus)
        set_holder(&lun->reservations, NULL);
    pthread_mutex_unlock(&lun->lock);
}

void reserve_reset(Lun *lun)
{
    pthread_mutex_lock(&lun->lock);
    set_holder(&lun->reservations, NULL);
    pthread_mutex_unlock(&lun->lock);
}

/* With persistent reservations about: those who have the access already are told that they have it,
 * and nothing changes; everybody else conflicts. */
static bool is_conflict(const ReserveState *state, const Nexus *nexus)
{
    const Registration *registration = reserve_find(state, &nexus->name);
    return !registration ||
           !(reserve_holds(state, registration) || reserve_type_registrants_only(state->type));
}

/* False: conflict. */
static bool reserve_6(Reservations *reservations, const Nexus *nexus)
{
    const Nexus *holder = reservations->reserved_by;
    if (reservations->state.registrations->len > 0)
        return !is_conflict(&reservations->state, nexus);
    if (holder && holder != nexus)
        return false;
    set_holder(reservations, nexus);
    return true;
}

static bool release_6(Reservations *reservations, const Nexus *nexus)
{
    if (reservations->state.registrations->len > 0)
        return !is_conflict(&reservations->state, nexus);
    if (reservations->reserved_by == nexus)
        set_holder(reservations, NULL);
    return true;
}

static void run(Task *task, bool (*act)(Reservations *, const Nexus *))
{
    Lun *lun = task_lun(task);
    pthread_mutex_lock(&lun->lock);
    bool good = act(&lun->reservations, task->nexus);
    pthread_mutex_unlock(&lun->lock);
    if (good)
        task_complete(task, NULL);
    else
        reserve_conflict(task);
}

void reserve_6_run(Task *task)
{
    run(task, reserve_6);
}

void release_6_run(Task *task)
{
    run(task, release_6);
}
