/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of claims, and what each loop knows of the exclusive ones. */
#include "core/scsi/claim.h"

#include "core/scsi/command.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/task_impl.h"

typedef struct {
    uint64_t lba, end; /* end not included */
} Blocks;

/* What an exclusive claim is to the shard of one loop; touched there. */
typedef struct {
    Claim *claim;
    LunShard *shard;
    unsigned running; /* commands on the range that had begun before, and have not left */
    GList link;       /* in LunShard.exclusives */
} Part;

/* Freed with the last reference: of who made it, of the parts that shards know, and of calls that
 * are on their way to a loop. */
struct Claim {
    unsigned refs;   /* atomic */
    LunShard *shard; /* valid until it is released */
    Loop *loop;      /* the shard's */
    ClaimMode mode;
    Blocks blocks;
    ClaimGranted granted;
    void *arg;
    bool announced, released;
    unsigned nparts;
    unsigned uncleared; /* parts that have not reported */
    unsigned waits_for; /* earlier claims; lock: Lun.lock */
    GList link;         /* in Lun.claims; lock: Lun.lock */
    Part parts[];
};

static Claim *claim_ref(Claim *claim)
{
    __atomic_add_fetch(&claim->refs, 1, __ATOMIC_RELAXED);
    return claim;
}

static void claim_unref(Claim *claim)
{
    if (__atomic_sub_fetch(&claim->refs, 1, __ATOMIC_ACQ_REL) == 0)
        g_free(claim);
}

static bool overlap(const Blocks *a, const Blocks *b)
{
    return a->lba < b->end && b->lba < a->end;
}

static bool exclude(const Claim *a, const Claim *b)
{
    return (a->mode == CLAIM_EXCLUSIVE || b->mode == CLAIM_EXCLUSIVE) &&
           overlap(&a->blocks, &b->blocks);
}

static Blocks blocks_from(uint64_t lba, uint64_t count)
{
    return (Blocks){lba, lba + MIN(count, UINT64_MAX - lba)};
}

/* What the command may touch; false: nothing. */
static bool blocks_of(const Task *task, Blocks *blocks)
{
    unsigned flags = task->command->flags;
    if (flags & COMMAND_ON_MEDIUM) {
        *blocks = blocks_from(0, UINT64_MAX);
        return true;
    }
    if (!(flags & COMMAND_ON_RANGE))
        return false;
    uint32_t count = cdb_blocks(task->cdb);
    if (count == 0 && task->cdb[0] < 0x20) /* READ (6) and WRITE (6) */
        count = 256;
    *blocks = blocks_from(cdb_lba(task->cdb), count);
    return count > 0;
}

/* Whether the part has to do with a task of its shard that has no claim of its own. */
static bool part_concerns(const Part *part, const Task *task)
{
    Blocks blocks;
    return task->begun && !task->claim && blocks_of(task, &blocks) &&
           overlap(&blocks, &part->claim->blocks);
}

/* --- what a shard knows ----------------------------------------------------------------------- */

/* On the claim's loop. */
static void part_cleared(void *arg)
{
    Claim *claim = arg;
    if (--claim->uncleared == 0 && !claim->released)
        claim->granted(claim, claim->arg);
    claim_unref(claim);
}

static void report_clear(const Part *part)
{
    loop_call(part->claim->loop, part_cleared, claim_ref(part->claim));
}

static unsigned count_running(const Part *part)
{
    unsigned count = 0;
    for (GList *i = part->shard->itls.head; i; i = i->next)
        for (GList *t = ((Itl *)i->data)->tasks.head; t; t = t->next)
            count += part_concerns(part, t->data);
    return count;
}

/* True when no command has to be waited for. */
static bool part_announce(Part *part)
{
    LunShard *shard = part->shard;
    part->link.data = part;
    g_queue_push_tail_link(&shard->exclusives, &part->link);
    shard->claims++;
    part->running = count_running(part);
    return part->running == 0;
}

static void part_announced(void *arg)
{
    Part *part = arg;
    if (part_announce(part))
        report_clear(part);
}

static void part_left(void *arg)
{
    Part *part = arg;
    g_queue_unlink(&part->shard->exclusives, &part->link);
    part->shard->claims--;
    claim_unref(part->claim);
}

/* --- the queue -------------------------------------------------------------------------------- */

/* The other loops first: the part of this one may lead to the end of the claim. */
static void announce(Claim *claim)
{
    Part *here = NULL;
    claim->announced = true;
    claim->uncleared = claim->nparts;
    for (unsigned i = 0; i < claim->nparts; i++) {
        Part *part = &claim->parts[i];
        claim_ref(claim);
        if (part->shard == claim->shard)
            here = part;
        else
            loop_call(part->shard->loop, part_announced, part);
    }
    if (part_announce(here))
        part_cleared(claim_ref(claim));
}

/* No earlier claim is in the way. */
static void turn_has_come(Claim *claim)
{
    if (claim->mode == CLAIM_EXCLUSIVE)
        announce(claim);
    else
        claim->granted(claim, claim->arg);
}

static void turn_came(void *arg)
{
    Claim *claim = arg;
    if (!claim->released)
        turn_has_come(claim);
    claim_unref(claim);
}

static Claim *claim_new(LunShard *shard, ClaimMode mode, Blocks blocks)
{
    const Lun *lun = shard->lun;
    unsigned nparts = mode == CLAIM_EXCLUSIVE ? lun->nloops : 0;
    Claim *claim = g_malloc0(sizeof *claim + nparts * sizeof(Part));
    claim->refs = 1;
    claim->shard = shard;
    claim->loop = shard->loop;
    claim->mode = mode;
    claim->blocks = blocks;
    claim->link.data = claim;
    claim->nparts = nparts;
    for (unsigned i = 0; i < nparts; i++)
        claim->parts[i] = (Part){.claim = claim, .shard = lun->shards[loop_index(lun->loops[i])]};
    return claim;
}

/* Returns how many claims are in the way. */
static unsigned enqueue(Lun *lun, Claim *claim)
{
    unsigned waits_for = 0;
    pthread_mutex_lock(&lun->lock);
    for (GList *l = lun->claims.head; l; l = l->next)
        waits_for += exclude(l->data, claim);
    claim->waits_for = waits_for;
    g_queue_push_tail_link(&lun->claims, &claim->link);
    pthread_mutex_unlock(&lun->lock);
    return waits_for;
}

void claim_make(Claim **out, LunShard *shard, ClaimMode mode, uint64_t lba, uint64_t blocks,
                ClaimGranted granted, void *arg)
{
    Claim *claim = claim_new(shard, mode, blocks_from(lba, blocks));
    claim->granted = granted;
    claim->arg = arg;
    shard->claims++;
    *out = claim;
    if (enqueue(shard->lun, claim) == 0)
        turn_has_come(claim);
}

int claim_order(const LunShard *a, const LunShard *b)
{
    uintptr_t first = (uintptr_t)a->lun, second = (uintptr_t)b->lun;
    return (first > second) - (first < second);
}

/* Whose turn has come is told by a call on its loop even where that is this one: what it does then
 * is not done in the middle of the end of another command. */
static void dequeue(Lun *lun, Claim *claim)
{
    pthread_mutex_lock(&lun->lock);
    for (GList *l = claim->link.next; l; l = l->next) {
        Claim *later = l->data;
        if (exclude(claim, later) && --later->waits_for == 0)
            loop_call(later->loop, turn_came, claim_ref(later));
    }
    g_queue_unlink(&lun->claims, &claim->link);
    pthread_mutex_unlock(&lun->lock);
}

/* The shards are told first. So commands that they start now come before the next claim. */
void claim_release(Claim *claim)
{
    LunShard *shard = claim->shard;
    g_assert(!claim->released);
    claim->released = true;
    shard->claims--;
    for (unsigned i = 0; claim->announced && i < claim->nparts; i++) {
        Part *part = &claim->parts[i];
        if (part->shard == shard)
            part_left(part);
        else
            loop_call(part->shard->loop, part_left, part);
    }
    dequeue(shard->lun, claim);
    claim_unref(claim);
}

/* --- tasks ------------------------------------------------------------------------------------ */

static bool is_claimed(const LunShard *shard, const Blocks *blocks)
{
    for (GList *l = shard->exclusives.head; l; l = l->next)
        if (overlap(blocks, &((Part *)l->data)->claim->blocks))
            return true;
    return false;
}

static void task_granted(Claim *claim, void *arg)
{
    (void)claim;
    task_run(arg);
}

void claim_admit(Task *task)
{
    LunShard *shard = task->itl->shard;
    ClaimMode mode = task->command->flags & COMMAND_EXCLUSIVE ? CLAIM_EXCLUSIVE : CLAIM_SHARED;
    Blocks blocks;
    if (!blocks_of(task, &blocks) || (mode == CLAIM_SHARED && !is_claimed(shard, &blocks)))
        task_run(task);
    else
        claim_make(&task->claim, shard, mode, blocks.lba, blocks.end - blocks.lba, task_granted,
                   task);
}

void claim_task_left(Task *task)
{
    if (task->claim) {
        claim_release(g_steal_pointer(&task->claim));
        return;
    }
    for (GList *l = task->itl->shard->exclusives.head; l; l = l->next) {
        Part *part = l->data;
        if (part_concerns(part, task) && --part->running == 0)
            report_clear(part);
    }
}
