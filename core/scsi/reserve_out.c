/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PERSISTENT RESERVE OUT (SPC-4 6.16): the parameter list, one command at a time, saved before it
 * is in force, in force before it is answered. */
#include "core/base/bytes.h"
#include "core/scsi/alua.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/reply.h"
#include "core/scsi/reserve_impl.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/tmf.h"
#include "core/scsi/transfer.h"

#define LIST_LEN 24
#define LIST_MAX 65536 /* 260 TransportIDs of the longest kind */

/* One command between its parameter list and its answer. On its home loop. */
typedef struct {
    Task *task; /* kept busy */
    Loop *loop;
    ReserveRequest request;
    ReserveState draft;
    ReserveEffect effect;
} Out;

static void out_free(Out *out)
{
    reserve_request_clear(&out->request);
    reserve_state_clear(&out->draft);
    reserve_effect_clear(&out->effect);
    g_free(out);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void answer(Task *task, const ReserveEffect *effect)
{
    const SenseField *field = &effect->field;
    if (effect->status == SCSI_GOOD)
        task_complete(task, NULL);
    else if (effect->status == SCSI_RESERVATION_CONFLICT)
        reserve_conflict(task);
    else if (field->byte < 0)
        task_fail(task, effect->sense);
    else if (field->in_cdb)
        task_fail_cdb(task, field->byte, field->bit);
    else
        task_fail_parameter(task, field->byte, field->bit);
}

static void commands_aborted(Task *task, TmfResponse response)
{
    if (response == TMF_COMPLETE)
        task_complete(task, NULL);
    else /* preempted they are, but a write of theirs may still come */
        task_fail(task, SENSE_INTERNAL_TARGET_FAILURE);
}

static bool is_aborted(const Nexus *nexus, const void *arg)
{
    const GArray *names = arg;
    for (unsigned i = 0; i < names->len; i++)
        if (nexus_name_equal(&nexus->name, &g_array_index(names, NexusName, i)))
            return true;
    return false;
}

static void free_names(gpointer names)
{
    g_array_unref(names);
}

static void finish(Out *out)
{
    Task *task = out->task;
    if (task->state != TASK_RUNNING)
        ;
    else if (out->effect.aborted->len > 0)
        tmf_abort_nexuses(task, is_aborted, g_array_ref(out->effect.aborted), free_names,
                          SENSE_NO_SENSE, commands_aborted);
    else
        answer(task, &out->effect);
    out_free(out);
    task_unbusy(task);
}

/* --- one at a time ---------------------------------------------------------------------------- */

static void carry_out(void *arg);

static void leave(Out *out)
{
    Lun *lun = task_lun(out->task);
    pthread_mutex_lock(&lun->lock);
    Out *next = g_queue_pop_head(&lun->reservations.out_waiting);
    lun->reservations.out_busy = next != NULL;
    pthread_mutex_unlock(&lun->lock);
    if (next)
        loop_call(next->loop, carry_out, next);
    finish(out);
}

static void enter(Out *out)
{
    Reservations *reservations = &task_lun(out->task)->reservations;
    pthread_mutex_lock(&task_lun(out->task)->lock);
    bool wait = reservations->out_busy;
    reservations->out_busy = true;
    if (wait)
        g_queue_push_tail(&reservations->out_waiting, out);
    pthread_mutex_unlock(&task_lun(out->task)->lock);
    if (!wait)
        carry_out(out);
}

/* --- the change ------------------------------------------------------------------------------- */

static void commit(Out *out)
{
    reserve_commit(task_lun(out->task), &out->draft, &out->effect);
    leave(out);
}

static void set_doubtful(Lun *lun, bool doubtful)
{
    pthread_mutex_lock(&lun->lock);
    lun->reservations.doubtful = doubtful;
    pthread_mutex_unlock(&lun->lock);
}

static void saved(const GError *error, void *arg)
{
    Out *out = arg;
    Task *task = out->task;
    Lun *lun = task_lun(task);
    set_doubtful(lun, error != NULL);
    if (!error) {
        reserve_commit(lun, &out->draft, &out->effect);
    } else {
        g_warning("LUN %s/%u: persistent reservations stay as they are: %s", lun->spec.target_name,
                  lun->spec.number, error->message);
        reserve_effect_clear(&out->effect);
        reserve_effect_init(&out->effect);
        out->effect.status = SCSI_CHECK_CONDITION;
        out->effect.sense = SENSE_INTERNAL_TARGET_FAILURE;
        out->effect.field.byte = -1;
    }
    task->committing = false;
    task_settle(task);
    leave(out);
}

/* A state that shall not survive is no file: after a power loss there is nothing. */
static void save(Out *out)
{
    Lun *lun = task_lun(out->task);
    g_autoptr(GBytes) bytes = out->draft.aptpl ? reserve_to_bytes(&out->draft) : NULL;
    out->task->committing = true;
    state_dir_save(lun->spec.state, lun->reservations.file, bytes, out->loop, saved, out);
}

/* SPC-4 7.6.4.6: a device stands for the ports of it that are known, which are those that have
 * addressed the logical unit. Under the lock. False: there are none. */
static bool append_ports_of(const Lun *lun, const TransportId *device, GArray *ports)
{
    unsigned before = ports->len;
    for (GList *l = lun->itls.head; l; l = l->next) {
        const TransportId *port = &((Itl *)l->data)->nexus->name.initiator;
        bool listed = !transport_id_is_port_of(port, device);
        for (unsigned i = before; i < ports->len && !listed; i++)
            listed = transport_id_equal(&g_array_index(ports, TransportId, i), port);
        if (!listed)
            g_array_append_vals(ports, port, 1);
    }
    return ports->len > before;
}

static bool resolve_devices(const Lun *lun, ReserveRequest *request)
{
    if (!request->specify_ports)
        return true;
    GArray *ports = g_array_new(FALSE, FALSE, sizeof(TransportId));
    bool known = true;
    for (unsigned i = 0; i < request->initiators->len && known; i++) {
        const TransportId *id = &g_array_index(request->initiators, TransportId, i);
        if (transport_id_is_device(id))
            known = append_ports_of(lun, id, ports);
        else
            g_array_append_vals(ports, id, 1);
    }
    g_array_unref(request->initiators);
    request->initiators = ports;
    return known;
}

static void refuse_transport_id(Out *out)
{
    out->effect.status = SCSI_CHECK_CONDITION;
    out->effect.sense = SENSE_INVALID_FIELD_IN_PARAMETER_LIST;
    out->effect.field = (SenseField){.byte = LIST_LEN + 4, .bit = 7};
}

/* Makes the draft and the effect; returns whether the draft has to be saved. */
static bool draft(Out *out)
{
    Lun *lun = task_lun(out->task);
    Reservations *reservations = &lun->reservations;
    pthread_mutex_lock(&lun->lock);
    out->draft = reserve_state_copy(&reservations->state);
    bool saved_before = reservations->state.aptpl || reservations->doubtful;
    if (reservations->reserved_by)
        out->effect.status = SCSI_RESERVATION_CONFLICT;
    else if (!resolve_devices(lun, &out->request))
        refuse_transport_id(out);
    else
        reserve_act(&out->draft, &out->request, &out->effect);
    pthread_mutex_unlock(&lun->lock);
    return saved_before || out->draft.aptpl;
}

static void carry_out(void *arg)
{
    Out *out = arg;
    if (out->task->state != TASK_RUNNING) { /* aborted while it waited */
        leave(out);
        return;
    }
    bool to_save = draft(out);
    if (out->effect.status != SCSI_GOOD || !out->effect.changed)
        leave(out);
    else if (to_save)
        save(out);
    else
        commit(out);
}

/* --- the parameter list ----------------------------------------------------------------------- */

/* TransportIDs to the end of the reader; false where they are not that. */
static bool read_transport_ids(ByteReader *reader, GArray *ids)
{
    while (byte_reader_left(reader) > 0) {
        TransportId id;
        size_t len = transport_id_parse(&id, reader->at, byte_reader_left(reader));
        if (!byte_reader_take(reader, len) || len == 0)
            return false;
        g_array_append_val(ids, id);
    }
    return true;
}

/* SPEC_I_PT's list, or the port to move to: a length, and so many bytes. Byte 0 is `at` of the
 * parameter list, where an error is reported. */
static bool read_id_list(Task *task, ReserveRequest *request, ByteReader reader, int at)
{
    uint32_t len = byte_reader_be32(&reader);
    bool move = request->action == PR_REGISTER_AND_MOVE;
    if (reader.bad || len > byte_reader_left(&reader) || (move && (len < 24 || len % 4 != 0))) {
        task_fail_parameter(task, at, 7);
        return false;
    }
    reader.end = reader.at + len;
    if (read_transport_ids(&reader, request->initiators) &&
        (!move || request->initiators->len == 1))
        return true;
    task_fail_parameter(task, at + 4, 7);
    return false;
}

static bool read_move(Task *task, ReserveRequest *request, const uint8_t *list, size_t len)
{
    request->unregister = list[17] & 0x02;
    request->aptpl = list[17] & 0x01;
    request->move_port = get_be16(list + 18);
    return read_id_list(task, request, byte_reader(list + 20, len - 20), 20);
}

static bool read_basic(Task *task, ReserveRequest *request, const uint8_t *list, size_t len)
{
    enum { SPEC_I_PT = 0x08, ALL_TG_PT = 0x04, APTPL = 0x01 };
    bool registers = request->action == PR_REGISTER || request->action == PR_REGISTER_AND_IGNORE;
    request->specify_ports = list[20] & SPEC_I_PT;
    request->all_ports = list[20] & ALL_TG_PT;
    request->aptpl = registers && (list[20] & APTPL);
    if (!request->specify_ports && len != LIST_LEN) {
        task_fail(task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return false;
    }
    return !request->specify_ports || request->action != PR_REGISTER ||
           read_id_list(task, request, byte_reader(list + LIST_LEN, len - LIST_LEN), LIST_LEN);
}

/* False: the task has failed. */
static bool read_list(Task *task, ReserveRequest *request, const uint8_t *list, size_t len)
{
    request->nexus = task->nexus->name;
    request->ports = alua_ports(task_lun(task)->alua, &request->n_ports);
    request->action = task->cdb[1] & 0x1f;
    request->scope = task->cdb[2] >> 4;
    request->type = task->cdb[2] & 0x0f;
    request->key = get_be64(list);
    request->action_key = get_be64(list + 8);
    request->initiators = g_array_new(FALSE, FALSE, sizeof(TransportId));
    bool move = request->action == PR_REGISTER_AND_MOVE;
    if (!(move ? read_move : read_basic)(task, request, list, len))
        return false;
    if (request->aptpl && !reserve_can_persist(task_lun(task))) {
        task_fail_parameter(task, move ? 17 : 20, 0);
        return false;
    }
    return true;
}

static void fetched(Transfer *t)
{
    Task *task = t->task;
    Out *out = g_new0(Out, 1);
    out->task = task;
    out->loop = task->nexus->loop;
    reserve_effect_init(&out->effect);
    task->busy++; /* until finish() */
    if (t->len < LIST_LEN || t->len < get_be32(task->cdb + 5))
        task_fail(task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    else if (read_list(task, &out->request, parameter_data(t), t->len))
        transfer_end(t);
    if (!task->failed) {
        enter(out);
        return;
    }
    out_free(out);
    task_unbusy(task);
}

void reserve_out_run(Task *task)
{
    uint32_t length = get_be32(task->cdb + 5);
    if (reserve_is_reserved_6(task_lun(task)))
        reserve_conflict(task);
    else if (length < LIST_LEN || length > LIST_MAX)
        task_fail(task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    else
        parameter_fetch(task, length, fetched);
}
