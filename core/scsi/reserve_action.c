/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Register, reserve, release, clear, preempt, move. */
#include "core/scsi/reserve_action.h"

/* Where things are in the parameter list (SPC-4 tables 214, 217). */
enum { AT_ACTION_KEY = 8, AT_MOVE_PORT = 18, AT_FLAGS = 20, AT_TRANSPORT_IDS = 24 };
enum { SPEC_I_PT_BIT = 3 };

typedef struct {
    ReserveState *state;
    const ReserveRequest *request;
    ReserveEffect *effect;
} Act;

void reserve_request_clear(ReserveRequest *request)
{
    if (request->initiators)
        g_array_unref(request->initiators);
    request->initiators = NULL;
}

void reserve_effect_init(ReserveEffect *effect)
{
    *effect = (ReserveEffect){.attentions = g_array_new(FALSE, FALSE, sizeof(ReserveAttention)),
                              .aborted = g_array_new(FALSE, FALSE, sizeof(NexusName))};
}

void reserve_effect_clear(ReserveEffect *effect)
{
    g_array_unref(effect->attentions);
    g_array_unref(effect->aborted);
    *effect = (ReserveEffect){0};
}

/* --- outcomes --------------------------------------------------------------------------------- */

static void conflict(Act *act)
{
    act->effect->status = SCSI_RESERVATION_CONFLICT;
}

static void fail(Act *act, SenseCode sense, bool in_cdb, int byte, int bit)
{
    act->effect->status = SCSI_CHECK_CONDITION;
    act->effect->sense = sense;
    act->effect->field = (SenseField){.byte = byte, .bit = bit, .in_cdb = in_cdb};
}

static void fail_parameter(Act *act, int byte, int bit)
{
    fail(act, SENSE_INVALID_FIELD_IN_PARAMETER_LIST, false, byte, bit);
}

static void fail_cdb(Act *act, int byte, int bit)
{
    fail(act, SENSE_INVALID_FIELD_IN_CDB, true, byte, bit);
}

static bool is_good(const Act *act)
{
    return act->effect->status == SCSI_GOOD;
}

static bool is_requester(const Act *act, const Registration *registration)
{
    return nexus_name_equal(&registration->nexus, &act->request->nexus);
}

static void attend(Act *act, const Registration *registration, SenseCode code)
{
    if (is_requester(act, registration))
        return;
    const ReserveAttention attention = {registration->nexus, code};
    g_array_append_val(act->effect->attentions, attention);
}

/* To every registered nexus, but the one that asks. */
static void attend_all(Act *act, SenseCode code)
{
    for (unsigned i = 0; i < act->state->registrations->len; i++)
        attend(act, reserve_registration(act->state, i), code);
}

/* A new reservation has a scope and a type that exist. */
static bool check_scope_and_type(Act *act)
{
    if (act->request->scope != 0)
        fail_cdb(act, 2, 7);
    else if (!reserve_type_valid(act->request->type))
        fail_cdb(act, 2, 3);
    return is_good(act);
}

/* --- register --------------------------------------------------------------------------------- */

static bool add(Act *act, const NexusName *nexus)
{
    if (act->state->registrations->len >= REGISTRATIONS_MAX) {
        fail(act, SENSE_INSUFFICIENT_REGISTRATION_RESOURCES, false, -1, -1);
        return false;
    }
    const Registration registration = {.nexus = *nexus, .key = act->request->action_key};
    g_array_append_val(act->state->registrations, registration);
    return true;
}

static void unregister(Act *act, Registration *registration)
{
    ReserveState *state = act->state;
    bool was_holder = registration->holder;
    g_array_remove_index(state->registrations,
                         (guint)(registration - reserve_registration(state, 0)));
    if (was_holder && reserve_type_registrants_only(state->type))
        attend_all(act, SENSE_RESERVATIONS_RELEASED);
    if (was_holder || state->registrations->len == 0)
        state->type = RESERVE_NONE;
}

/* The nexus that asks, through one target port (SPC-4 tables 67, 68). True when something was done.
 */
static bool register_requester(Act *act, const NexusName *nexus)
{
    const ReserveRequest *request = act->request;
    Registration *registration = reserve_find(act->state, nexus);
    if (request->action == PR_REGISTER && request->key != (registration ? registration->key : 0)) {
        conflict(act);
        return false;
    }
    if (registration && request->specify_ports) {
        fail_parameter(act, AT_FLAGS, SPEC_I_PT_BIT);
        return false;
    }
    if (request->action_key == 0) {
        if (registration)
            unregister(act, registration);
        return registration != NULL;
    }
    if (!registration)
        return add(act, nexus);
    registration->key = request->action_key;
    return true;
}

static void register_specified(Act *act, const NexusName *nexus)
{
    if (reserve_find(act->state, nexus))
        fail_parameter(act, AT_TRANSPORT_IDS, 7);
    else
        add(act, nexus);
}

static void register_through(Act *act, uint16_t port)
{
    const ReserveRequest *request = act->request;
    NexusName nexus = {.initiator = request->nexus.initiator, .port = port};
    act->effect->changed |= register_requester(act, &nexus);
    if (!request->specify_ports || request->action_key == 0)
        return;
    for (unsigned i = 0; i < request->initiators->len && is_good(act); i++) {
        nexus.initiator = g_array_index(request->initiators, TransportId, i);
        register_specified(act, &nexus);
    }
}

static void act_register(Act *act)
{
    const ReserveRequest *request = act->request;
    if (!request->all_ports)
        register_through(act, request->nexus.port);
    else
        for (unsigned i = 0; i < request->n_ports && is_good(act); i++)
            register_through(act, request->ports[i]);
    if (act->effect->changed)
        act->state->aptpl = request->aptpl;
}

/* --- reserve, release, clear ------------------------------------------------------------------ */

static void hold(Act *act)
{
    ReserveState *state = act->state;
    state->type = act->request->type;
    for (unsigned i = 0; i < state->registrations->len; i++) {
        Registration *registration = reserve_registration(state, i);
        registration->holder =
            is_requester(act, registration) && !reserve_type_all_registrants(state->type);
    }
    act->effect->changed = true;
}

static void act_reserve(Act *act, const Registration *requester)
{
    const ReserveState *state = act->state;
    if (!check_scope_and_type(act))
        return;
    if (state->type == RESERVE_NONE)
        hold(act);
    else if (!reserve_holds(state, requester) || state->type != act->request->type)
        conflict(act);
}

static void drop_reservation(ReserveState *state)
{
    state->type = RESERVE_NONE;
    for (unsigned i = 0; i < state->registrations->len; i++)
        reserve_registration(state, i)->holder = false;
}

static void act_release(Act *act, const Registration *requester)
{
    ReserveState *state = act->state;
    if (!reserve_holds(state, requester))
        return;
    if (act->request->scope != 0 || act->request->type != state->type) {
        fail(act, SENSE_INVALID_RELEASE, false, -1, -1);
        return;
    }
    if (reserve_type_registrants_only(state->type) || reserve_type_all_registrants(state->type))
        attend_all(act, SENSE_RESERVATIONS_RELEASED);
    drop_reservation(state);
    act->effect->changed = true;
}

static void act_clear(Act *act)
{
    attend_all(act, SENSE_RESERVATIONS_PREEMPTED);
    g_array_set_size(act->state->registrations, 0);
    act->state->type = RESERVE_NONE;
    act->effect->changed = true;
}

/* --- preempt ---------------------------------------------------------------------------------- */

/* Those with the key, or all where it is 0; the requester only with the others of its key, and only
 * when it is not `spared`. Returns how many were meant. */
static unsigned remove_registrations(Act *act, bool spare_requester)
{
    GArray *registrations = act->state->registrations;
    uint64_t key = act->request->action_key;
    unsigned meant = 0;
    for (unsigned i = 0; i < registrations->len;) {
        const Registration *registration = reserve_registration(act->state, i);
        if (key != 0 && registration->key != key) {
            i++;
            continue;
        }
        meant++;
        g_array_append_val(act->effect->aborted, registration->nexus);
        if (spare_requester && is_requester(act, registration)) {
            i++;
            continue;
        }
        attend(act, registration, SENSE_REGISTRATIONS_PREEMPTED);
        g_array_remove_index(registrations, i);
    }
    return meant;
}

static void preempt_reservation(Act *act)
{
    ReserveType old = act->state->type;
    if (!check_scope_and_type(act))
        return;
    remove_registrations(act, true);
    hold(act);
    if (act->state->type != old)
        attend_all(act, SENSE_RESERVATIONS_RELEASED);
}

static void preempt_registrations(Act *act)
{
    if (remove_registrations(act, false) == 0) {
        conflict(act);
        return;
    }
    if (act->state->registrations->len == 0)
        act->state->type = RESERVE_NONE;
    act->effect->changed = true;
}

static void act_preempt(Act *act)
{
    const ReserveState *state = act->state;
    uint64_t key = act->request->action_key;
    bool of_all = reserve_type_all_registrants(state->type);
    if (key == 0 && !of_all)
        fail_parameter(act, AT_ACTION_KEY, 7);
    else if (key == 0 || (state->type != RESERVE_NONE && key == reserve_holder_key(state)))
        preempt_reservation(act);
    else
        preempt_registrations(act);
}

/* --- register and move ------------------------------------------------------------------------ */

static bool is_there(const ReserveRequest *request, uint16_t port)
{
    for (unsigned i = 0; i < request->n_ports; i++)
        if (request->ports[i] == port)
            return true;
    return false;
}

static bool check_move(Act *act, const Registration *requester)
{
    const ReserveRequest *request = act->request;
    const TransportId *to = &g_array_index(request->initiators, TransportId, 0);
    if (act->state->type == RESERVE_NONE)
        fail_cdb(act, 1, 4);
    else if (!requester->holder)
        conflict(act);
    else if (request->action_key == 0)
        fail_parameter(act, AT_ACTION_KEY, 7);
    else if (!is_there(request, request->move_port))
        fail_parameter(act, AT_MOVE_PORT, 7);
    else if (transport_id_is_device(to) || transport_id_equal(to, &request->nexus.initiator))
        fail_parameter(act, AT_TRANSPORT_IDS, 7);
    return is_good(act);
}

static void act_move(Act *act, const Registration *requester)
{
    const ReserveRequest *request = act->request;
    if (!check_move(act, requester))
        return;
    const NexusName to = {.initiator = g_array_index(request->initiators, TransportId, 0),
                          .port = request->move_port};
    if (!reserve_find(act->state, &to) && !add(act, &to))
        return;
    Registration *from = reserve_find(act->state, &request->nexus);
    Registration *new_holder = reserve_find(act->state, &to);
    from->holder = false;
    new_holder->holder = true;
    new_holder->key = request->action_key;
    if (request->unregister)
        unregister(act, from);
    act->state->aptpl = request->aptpl;
    act->effect->changed = true;
}

/* --- all ---------------------------------------------------------------------------------------*/

static void act_as_registered(Act *act)
{
    const Registration *requester = reserve_find(act->state, &act->request->nexus);
    if (!requester || requester->key != act->request->key) {
        conflict(act);
        return;
    }
    switch (act->request->action) {
    case PR_RESERVE:
        act_reserve(act, requester);
        return;
    case PR_RELEASE:
        act_release(act, requester);
        return;
    case PR_CLEAR:
        act_clear(act);
        return;
    case PR_PREEMPT:
    case PR_PREEMPT_AND_ABORT:
        act_preempt(act);
        return;
    default:
        act_move(act, requester);
    }
}

void reserve_act(ReserveState *draft, const ReserveRequest *request, ReserveEffect *effect)
{
    Act act = {draft, request, effect};
    ReserveAction action = request->action;
    if (request->specify_ports && action != PR_REGISTER)
        fail_parameter(&act, AT_FLAGS, SPEC_I_PT_BIT);
    else if (action == PR_REGISTER || action == PR_REGISTER_AND_IGNORE)
        act_register(&act);
    else
        act_as_registered(&act);
    if (is_good(&act) && effect->changed && action != PR_RESERVE && action != PR_RELEASE)
        draft->generation++;
    if (action != PR_PREEMPT_AND_ABORT || !is_good(&act))
        g_array_set_size(effect->aborted, 0);
}
