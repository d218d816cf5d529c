/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The conflict decision, and the state's changes as all loops see them. */
#include "core/scsi/reserve.h"

#include "core/scsi/command.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/reserve_impl.h"
#include "core/scsi/task_impl.h"

/* --- who may do what -------------------------------------------------------------------------- */

static ReserveAccess access_of(const Reservations *reservations, const Nexus *nexus)
{
    const ReserveState *state = &reservations->state;
    if (reservations->reserved_by)
        return reservations->reserved_by == nexus ? RESERVE_ACCESS_ALL : RESERVE_ACCESS_SPC2;
    if (state->type == RESERVE_NONE)
        return RESERVE_ACCESS_ALL;
    const Registration *registration = reserve_find(state, &nexus->name);
    if (registration &&
        (reserve_holds(state, registration) || reserve_type_registrants_only(state->type)))
        return RESERVE_ACCESS_ALL;
    return reserve_type_exclusive(state->type) ? RESERVE_ACCESS_NONE : RESERVE_ACCESS_READ;
}

static ReserveAccess look_up(Itl *itl, unsigned stamp)
{
    ReserveVerdict *verdict = &itl->reserve_verdict;
    if (verdict->stamp == stamp)
        return verdict->access;
    Lun *lun = itl->shard->lun;
    pthread_mutex_lock(&lun->lock);
    verdict->stamp = lun->reservations.stamp;
    verdict->access = access_of(&lun->reservations, itl->nexus);
    pthread_mutex_unlock(&lun->lock);
    return verdict->access;
}

/* Commands that conflict or not by what else is in their CDB: starting the unit does no harm, nor
 * does it to let go of the medium (SBC-3 table 13). */
static bool is_harmless(const uint8_t *cdb)
{
    enum { START_STOP_UNIT = 0x1b, START = 0x01, POWER_CONDITION = 0xf0 };
    enum { PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1e, PREVENT = 0x03 };
    switch (cdb[0]) {
    case START_STOP_UNIT:
        return (cdb[4] & (START | POWER_CONDITION)) == START;
    case PREVENT_ALLOW_MEDIUM_REMOVAL:
        return (cdb[4] & PREVENT) == 0;
    default:
        return false;
    }
}

static bool is_allowed(const Task *task, ReserveAccess access)
{
    enum { TEST_UNIT_READY = 0x00 };
    unsigned flags = task->command->flags;
    if (access == RESERVE_ACCESS_ALL || is_harmless(task->cdb))
        return true;
    if (access == RESERVE_ACCESS_READ)
        return !(flags & (COMMAND_WRITES | COMMAND_CONFLICTS));
    if (access == RESERVE_ACCESS_SPC2 && task->cdb[0] == TEST_UNIT_READY)
        return false; /* the one that SPC-2 refuses and persistent reservations allow */
    return flags & COMMAND_PASSES_RESERVATION;
}

bool reserve_refuses(Task *task)
{
    Itl *itl = task->itl;
    if (!itl->shard || !task->command)
        return false;
    unsigned stamp = __atomic_load_n(&itl->shard->lun->reservations.stamp, __ATOMIC_RELAXED);
    if (G_LIKELY(stamp == 0) || is_allowed(task, look_up(itl, stamp)))
        return false;
    reserve_conflict(task);
    return true;
}

bool reserve_denies(Lun *lun, const Nexus *nexus, bool write)
{
    if (G_LIKELY(__atomic_load_n(&lun->reservations.stamp, __ATOMIC_RELAXED) == 0))
        return false;
    pthread_mutex_lock(&lun->lock);
    ReserveAccess access = access_of(&lun->reservations, nexus);
    pthread_mutex_unlock(&lun->lock);
    return access != RESERVE_ACCESS_ALL && (write || access != RESERVE_ACCESS_READ);
}

void reserve_conflict(Task *task)
{
    task->status = SCSI_RESERVATION_CONFLICT;
    task_complete(task, NULL);
}

/* --- changes ---------------------------------------------------------------------------------- */

void reserve_changed(Reservations *reservations)
{
    bool reserved = reservations->reserved_by || reservations->state.type != RESERVE_NONE;
    if (++reservations->changes == 0)
        reservations->changes = 1;
    __atomic_store_n(&reservations->stamp, reserved ? reservations->changes : 0, __ATOMIC_RELAXED);
}

static void attend(Lun *lun, const ReserveAttention *attention)
{
    for (GList *l = lun->itls.head; l; l = l->next) {
        Itl *itl = l->data;
        if (nexus_name_equal(&itl->nexus->name, &attention->nexus))
            unit_attentions_add(&itl->attentions, attention->code);
    }
}

void reserve_commit(Lun *lun, ReserveState *draft, const ReserveEffect *effect)
{
    Reservations *reservations = &lun->reservations;
    pthread_mutex_lock(&lun->lock);
    ReserveState old = reservations->state;
    reservations->state = *draft;
    reserve_changed(reservations);
    for (unsigned i = 0; i < effect->attentions->len; i++)
        attend(lun, &g_array_index(effect->attentions, ReserveAttention, i));
    pthread_mutex_unlock(&lun->lock);
    reserve_state_clear(&old);
    *draft = (ReserveState){0};
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool restore(Lun *lun, GError **error)
{
    const LunSpec *spec = &lun->spec;
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes = state_dir_load(spec->state, lun->reservations.file, &why);
    if (bytes && reserve_from_bytes(&lun->reservations.state, bytes, &why))
        reserve_changed(&lun->reservations);
    if (!why)
        return true;
    g_set_error(error, why->domain, why->code,
                "LUN %s/%u: its persistent reservations (%s in state-dir) cannot be restored: %s",
                spec->target_name, spec->number, lun->reservations.file, why->message);
    return false;
}

bool reserve_open(Lun *lun, GError **error)
{
    Reservations *reservations = &lun->reservations;
    reserve_state_init(&reservations->state);
    g_queue_init(&reservations->out_waiting);
    reservations->file = g_strdup_printf("reservations-%016" G_GINT64_MODIFIER "x", lun->spec.naa);
    return !lun->spec.state || restore(lun, error);
}

void reserve_close(Lun *lun)
{
    Reservations *reservations = &lun->reservations;
    g_assert(!reservations->out_busy && g_queue_is_empty(&reservations->out_waiting));
    reserve_state_clear(&reservations->state);
    g_free(reservations->file);
}

bool reserve_can_persist(const Lun *lun)
{
    return lun->spec.state != NULL;
}

/* --- reports ---------------------------------------------------------------------------------- */

static void list_holders(const Reservations *reservations, GStrvBuilder *holders)
{
    const ReserveState *state = &reservations->state;
    if (reservations->reserved_by)
        g_strv_builder_add(holders, reservations->reserved_by->initiator);
    for (unsigned i = 0; i < state->registrations->len; i++) {
        const Registration *registration = reserve_registration(state, i);
        g_autofree char *name = transport_id_text(&registration->nexus.initiator);
        if (reserve_holds(state, registration))
            g_strv_builder_add(holders, name);
    }
}

void reserve_report(Lun *lun, ReserveReport *report)
{
    const Reservations *reservations = &lun->reservations;
    g_autoptr(GStrvBuilder) holders = g_strv_builder_new();
    pthread_mutex_lock(&lun->lock);
    const ReserveState *state = &reservations->state;
    *report = (ReserveReport){
        .type = reservations->reserved_by ? "reserve-6" : reserve_type_text(state->type),
        .persists = state->aptpl,
        .generation = state->generation,
        .registrations = g_array_copy(state->registrations),
    };
    list_holders(reservations, holders);
    pthread_mutex_unlock(&lun->lock);
    report->holders = g_strv_builder_end(holders);
}

void reserve_report_clear(ReserveReport *report)
{
    g_strfreev(report->holders);
    g_array_unref(report->registrations);
    *report = (ReserveReport){0};
}
