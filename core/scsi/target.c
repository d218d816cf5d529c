/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The LUNs of a target: how they are addressed, shown and withdrawn. */
#include "core/scsi/target.h"

#include "core/scsi/directory.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/on_loops.h"
#include "core/scsi/target_impl.h"

struct ScsiTarget {
    char *name;
    Loop *main, **loops;
    unsigned nloops;
    TargetView *views; /* by loop_index() */
    unsigned nviews;
    unsigned luns;
};

ScsiTarget *scsi_target_new(const char *name, Loop *const *loops, unsigned nloops)
{
    ScsiTarget *target = g_new0(ScsiTarget, 1);
    target->name = g_strdup(name);
    target->main = loop_self();
    target->loops = g_memdup2(loops, nloops * sizeof *loops);
    target->nloops = nloops;
    for (unsigned i = 0; i < nloops; i++)
        target->nviews = MAX(target->nviews, loop_index(loops[i]) + 1);
    target->views = g_new0(TargetView, target->nviews);
    return target;
}

void scsi_target_free(ScsiTarget *target)
{
    if (!target)
        return;
    g_assert(target->luns == 0);
    for (unsigned i = 0; i < target->nviews; i++) {
        g_assert(g_queue_is_empty(&target->views[i].nexuses));
        g_free(target->views[i].luns);
    }
    g_free(target->views);
    g_free(target->loops);
    g_free(target->name);
    g_free(target);
}

const char *scsi_target_name(const ScsiTarget *target)
{
    return target->name;
}

TargetView *target_view(const ScsiTarget *target, const Loop *loop)
{
    g_assert(loop_index(loop) < target->nviews);
    return &target->views[loop_index(loop)];
}

Loop *const *target_loops(const ScsiTarget *target, unsigned *nloops)
{
    *nloops = target->nloops;
    return target->loops;
}

/* --- addressing ------------------------------------------------------------------------------- */

int scsi_lun_number(uint64_t field)
{
    unsigned first = (unsigned)(field >> 56);
    if (first == 0x00 && !(field & UINT64_C(0xffffffffffff))) /* peripheral device, bus 0 */
        return (int)(field >> 48 & 0xff);
    if (first >> 6 == 1 && !(field & UINT64_C(0xffffffffffff))) /* flat space */
        return (int)(field >> 48 & 0x3fff);
    if (first == 0xd2 && !(field & 0xffffffff)) { /* extended flat space, 24 bits */
        unsigned number = (unsigned)(field >> 32 & 0xffffff);
        return number <= LUN_NUMBER_MAX ? (int)number : -1;
    }
    return -1;
}

uint64_t scsi_lun_field(unsigned number)
{
    return (uint64_t)(number < 256 ? number : 0x4000 | number) << 48;
}

LunShard *scsi_target_find(const ScsiTarget *target, const Loop *loop, uint64_t lun_field)
{
    const TargetView *view = target_view(target, loop);
    int number = scsi_lun_number(lun_field);
    return number >= 0 && (unsigned)number < view->numbers ? view->luns[number] : NULL;
}

unsigned scsi_target_lun_numbers(const ScsiTarget *target, const Loop *loop, unsigned *out,
                                 unsigned max)
{
    const TargetView *view = target_view(target, loop);
    unsigned count = 0;
    for (unsigned i = 0; i < view->numbers; i++) {
        if (!view->luns[i])
            continue;
        if (count < max)
            out[count] = i;
        count++;
    }
    return count;
}

/* --- showing and withdrawing ------------------------------------------------------------------ */

typedef struct Removal {
    ScsiTarget *target;
    Lun *lun;
    unsigned left; /* loops that still know the LUN; loop 0 */
    LoopFn done;
    void *arg;
} Removal;

static void announce_change(const TargetView *view)
{
    for (GList *n = view->nexuses.head; n; n = n->next)
        nexus_luns_changed(n->data);
}

typedef struct {
    ScsiTarget *target;
    Lun *lun;
} Addition;

static void add_to_view(Loop *loop, void *arg)
{
    const Addition *addition = arg;
    TargetView *view = target_view(addition->target, loop);
    unsigned number = lun_spec(addition->lun)->number;
    if (number >= view->numbers) {
        view->luns = g_renew(LunShard *, view->luns, number + 1);
        for (; view->numbers <= number; view->numbers++)
            view->luns[view->numbers] = NULL;
    }
    g_assert(!view->luns[number]);
    view->luns[number] = lun_shard(addition->lun, loop);
    directory_add(view->luns[number]);
    announce_change(view);
}

void scsi_target_add_lun(ScsiTarget *target, Lun *lun)
{
    g_assert(lun_spec(lun)->number <= LUN_NUMBER_MAX);
    Addition addition = {.target = target, .lun = lun};
    on_loops(target->loops, target->nloops, add_to_view, &addition);
    target->luns++;
}

static void one_loop_left(void *arg)
{
    Removal *removal = arg;
    if (--removal->left > 0)
        return;
    removal->target->luns--;
    removal->done(removal->arg);
    g_free(removal);
}

void target_shard_left(LunShard *shard)
{
    Removal *removal = shard->removal;
    if (!removal || !g_queue_is_empty(&shard->itls) || !g_queue_is_empty(&shard->guests))
        return;
    shard->removal = NULL;
    loop_call(removal->target->main, one_loop_left, removal);
}

static void remove_from_view(Loop *loop, void *arg)
{
    Removal *removal = arg;
    TargetView *view = target_view(removal->target, loop);
    unsigned number = lun_spec(removal->lun)->number;
    LunShard *shard = view->luns[number];
    view->luns[number] = NULL;
    directory_remove(shard);
    announce_change(view);
    for (GList *n = view->nexuses.head; n; n = n->next)
        nexus_withdraw_lun(n->data, number);
    shard->removal = removal;
    target_shard_left(shard);
}

void scsi_target_remove_lun(ScsiTarget *target, Lun *lun, LoopFn done, void *arg)
{
    Removal *removal = g_new0(Removal, 1);
    operation_stop(lun); /* a task may wait for its end */
    *removal =
        (Removal){.target = target, .lun = lun, .left = target->nloops, .done = done, .arg = arg};
    on_loops(target->loops, target->nloops, remove_from_view, removal);
}
