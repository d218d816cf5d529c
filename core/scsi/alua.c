/* SPDX-License-Identifier: GPL-2.0-or-later */
/* States of target port groups: looked at by every command, reported, and set from both sides. */
#include "core/scsi/alua.h"

#include "core/base/bytes.h"
#include "core/scsi/command.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/on_loops.h"
#include "core/scsi/reply.h"
#include "core/scsi/target_impl.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <glib.h>

/* Why a group is in its state (SPC-4 table 246). */
typedef enum { CHANGED_NEVER = 0, CHANGED_BY_COMMAND = 1, CHANGED_IMPLICITLY = 2 } Cause;

struct AluaGroup {
    uint16_t id;
    const uint16_t *ports; /* in Alua.ports */
    unsigned n_ports;
    bool preferred;
    uint8_t state, cause; /* any loop, atomic */
};

struct Alua {
    bool implicit, explicit;
    AluaGroup *groups;
    unsigned n;
    uint16_t *ports; /* of all groups */
    unsigned n_ports;
};

Alua *alua_new(bool implicit, bool explicit, const AluaGroupSpec *groups, unsigned n)
{
    g_assert(n > 0);
    Alua *alua = g_new0(Alua, 1);
    unsigned n_ports = 0;
    for (unsigned i = 0; i < n; i++)
        n_ports += groups[i].n_ports;
    *alua = (Alua){implicit, explicit, g_new(AluaGroup, n), n, g_new(uint16_t, n_ports), 0};
    for (unsigned i = 0; i < n; i++) {
        uint16_t *ports = alua->ports + alua->n_ports;
        for (unsigned k = 0; k < groups[i].n_ports; k++)
            alua->ports[alua->n_ports++] = groups[i].ports[k];
        alua->groups[i] = (AluaGroup){.id = groups[i].id,
                                      .ports = ports,
                                      .n_ports = groups[i].n_ports,
                                      .preferred = groups[i].preferred,
                                      .state = (uint8_t)groups[i].state};
    }
    return alua;
}

void alua_free(Alua *alua)
{
    if (!alua)
        return;
    g_free(alua->ports);
    g_free(alua->groups);
    g_free(alua);
}

static AluaState state_of(const AluaGroup *group)
{
    return __atomic_load_n(&group->state, __ATOMIC_RELAXED);
}

static AluaGroup *find_group(const Alua *alua, uint16_t id)
{
    for (unsigned i = 0; i < alua->n; i++)
        if (alua->groups[i].id == id)
            return &alua->groups[i];
    return NULL;
}

AluaGroup *alua_group_of_port(const Alua *alua, uint16_t port)
{
    for (unsigned i = 0; i < alua->n; i++)
        for (unsigned k = 0; k < alua->groups[i].n_ports; k++)
            if (alua->groups[i].ports[k] == port)
                return &alua->groups[i];
    return &alua->groups[0];
}

uint16_t alua_group_id(const AluaGroup *group)
{
    return group->id;
}

unsigned alua_tpgs(const Alua *alua)
{
    return (alua->explicit ? 2u : 0) | (alua->implicit ? 1u : 0);
}

const uint16_t *alua_ports(const Alua *alua, unsigned *n)
{
    *n = alua->n_ports;
    return alua->ports;
}

bool alua_get_group(const Alua *alua, unsigned index, AluaGroupSpec *out)
{
    if (index >= alua->n)
        return false;
    const AluaGroup *group = &alua->groups[index];
    *out =
        (AluaGroupSpec){group->id, group->ports, group->n_ports, state_of(group), group->preferred};
    return true;
}

bool alua_is_explicit(const Alua *alua)
{
    return alua->explicit;
}

bool alua_get_state(const Alua *alua, uint16_t group, AluaState *state)
{
    const AluaGroup *found = find_group(alua, group);
    if (found)
        *state = state_of(found);
    return found != NULL;
}

/* --- what a state allows (SPC-4 5.15.2.4) ----------------------------------------------------- */

static SenseCode refusal(AluaState state, unsigned flags)
{
    switch (state) {
    case ALUA_OPTIMIZED:
    case ALUA_NON_OPTIMIZED:
        return SENSE_NO_SENSE;
    case ALUA_STANDBY:
        return flags & COMMAND_IN_STANDBY ? SENSE_NO_SENSE : SENSE_PORT_STANDBY;
    default:
        break;
    }
    if (flags & COMMAND_WHEN_UNAVAILABLE)
        return SENSE_NO_SENSE;
    return state == ALUA_TRANSITIONING ? SENSE_PORT_TRANSITION
           : state == ALUA_OFFLINE     ? SENSE_LUN_OFFLINE
                                       : SENSE_PORT_UNAVAILABLE;
}

SenseCode alua_sense(const Alua *alua, uint16_t port)
{
    return refusal(state_of(alua_group_of_port(alua, port)), 0);
}

bool alua_refuses(Task *task)
{
    AluaState state = state_of(task->nexus->group);
    if (G_LIKELY(state == ALUA_OPTIMIZED) || !task->itl->shard)
        return false;
    SenseCode code = refusal(state, task->command ? task->command->flags : 0);
    if (code == SENSE_NO_SENSE)
        return false;
    task_fail(task, code);
    return true;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* On an I/O loop: tells all nexuses of all loops, by the LUNs, but `except`. */
static void announce(Loop *loop, const ScsiTarget *target, const Nexus *except)
{
    const TargetView *view = target_view(target, loop);
    for (unsigned i = 0; i < view->numbers; i++) {
        const Itl *own = except && i < except->numbers ? except->by_number[i] : NULL;
        if (view->luns[i])
            lun_attention(view->luns[i]->lun, SENSE_ALUA_STATE_CHANGED, own);
    }
}

static void announce_to_all(Loop *loop, void *target)
{
    announce(loop, target, NULL);
}

/* True when it was another state. */
static bool change(AluaGroup *group, AluaState state, Cause cause)
{
    uint8_t before = __atomic_exchange_n(&group->state, (uint8_t)state, __ATOMIC_RELAXED);
    if (before == state)
        return false;
    __atomic_store_n(&group->cause, (uint8_t)cause, __ATOMIC_RELAXED);
    return true;
}

bool scsi_target_set_alua_state(ScsiTarget *target, uint16_t group, AluaState state)
{
    AluaGroup *found = find_group(scsi_target_alua(target), group);
    unsigned nloops;
    Loop *const *loops = target_loops(target, &nloops);
    if (found && change(found, state, CHANGED_IMPLICITLY))
        on_loops(loops, 1, announce_to_all, target);
    return found != NULL;
}

/* --- REPORT TARGET PORT GROUPS ---------------------------------------------------------------- */

enum {
    FORMAT_LENGTH_ONLY = 0,
    FORMAT_EXTENDED = 1,
    EXTENDED_HEADER = 0x10,
    PREFERRED = 0x80,
    SUPPORTED = 0xcf, /* every state but the LBA-dependent one */
};

static unsigned put_group(const AluaGroup *group, uint8_t *p)
{
    p[0] = (uint8_t)((group->preferred ? PREFERRED : 0) | state_of(group));
    p[1] = SUPPORTED;
    put_be16(p + 2, group->id);
    p[5] = __atomic_load_n(&group->cause, __ATOMIC_RELAXED);
    p[7] = (uint8_t)group->n_ports;
    for (unsigned i = 0; i < group->n_ports; i++)
        put_be16(p + 8 + 4 * i + 2, group->ports[i]);
    return 8 + 4 * group->n_ports;
}

static unsigned format_of(const Task *task)
{
    return task->cdb[1] >> 5;
}

static unsigned group_list(Task *task, uint8_t *p)
{
    const Alua *alua = scsi_target_alua(task->nexus->target);
    unsigned n = 4;
    if (format_of(task) == FORMAT_EXTENDED) {
        p[4] = EXTENDED_HEADER; /* no time is named for implicit transitions: they are instant */
        n += 4;
    }
    for (unsigned i = 0; i < alua->n; i++)
        n += put_group(&alua->groups[i], p + n);
    put_be32(p, n - 4);
    return n;
}

void report_target_port_groups_run(Task *task)
{
    const Alua *alua = scsi_target_alua(task->nexus->target);
    unsigned max = 8;
    for (unsigned i = 0; i < alua->n; i++)
        max += 8 + 4 * alua->groups[i].n_ports;
    if (format_of(task) > FORMAT_EXTENDED)
        task_fail_cdb(task, 1, 7);
    else
        reply(task, max, get_be32(task->cdb + 6), group_list);
}

/* --- SET TARGET PORT GROUPS ------------------------------------------------------------------- */

#define LIST_HEADER     4
#define LIST_DESCRIPTOR 4
#define LIST_MAX        4096

/* Offline would be asked for a single port (SPC-4 6.45), and states are those of groups here. */
static bool can_be_asked_for(unsigned state)
{
    return state <= ALUA_UNAVAILABLE;
}

/* Where the list is wrong, as an offset into it; 0: nowhere. */
static unsigned check_list(const Alua *alua, const uint8_t *list, unsigned len)
{
    for (unsigned at = LIST_HEADER; at < len; at += LIST_DESCRIPTOR) {
        if (!can_be_asked_for(list[at] & 0x0f))
            return at;
        if (!find_group(alua, get_be16(list + at + 2)))
            return at + 2;
    }
    return 0;
}

static void list_came(Transfer *t)
{
    Task *task = t->task;
    const Alua *alua = scsi_target_alua(task->nexus->target);
    const uint8_t *list = parameter_data(t);
    unsigned wrong = check_list(alua, list, t->len);
    bool changed = false;
    if (wrong) {
        task_fail_parameter(task, (int)wrong, wrong % LIST_DESCRIPTOR ? 7 : 3);
        return;
    }
    for (unsigned at = LIST_HEADER; at < t->len; at += LIST_DESCRIPTOR)
        changed |=
            change(find_group(alua, get_be16(list + at + 2)), list[at] & 0x0f, CHANGED_BY_COMMAND);
    if (changed)
        announce(task->nexus->loop, task->nexus->target, task->nexus);
    transfer_end(t);
    task_complete(task, NULL);
}

void set_target_port_groups_run(Task *task)
{
    uint32_t length = get_be32(task->cdb + 6);
    if (length == 0)
        task_complete(task, NULL);
    else if (length < LIST_HEADER || length % LIST_DESCRIPTOR != 0 || length > LIST_MAX)
        task_fail_cdb(task, 6, 7);
    else if (task->data_out_len < length)
        task_fail(task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    else
        parameter_fetch(task, length, list_came);
}
