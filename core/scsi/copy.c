/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying segment after segment, part after part. */
#include "core/scsi/copy.h"

#include "core/base/bytes.h"
#include "core/scsi/claim.h"
#include "core/scsi/copy_list.h"
#include "core/scsi/copy_results.h"
#include "core/scsi/directory.h"
#include "core/scsi/hung.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/readiness.h"
#include "core/scsi/reply.h"
#include "core/scsi/target_impl.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#define PART ARENA_BUFFER_MAX

/* One command; task->own. position, end and finished of the task are those of the segment. */
typedef struct {
    CopyList list;
    CopyResult *result; /* NULL: without a list identifier */
    unsigned segment;   /* the one under way */
    /* Guests there while the segment is under way. */
    LunShard *source, *destination;
    uint64_t from, to; /* offsets in the stores; bytes */
    bool overlaps;     /* parts must not overtake each other */
    bool backwards;    /* the last part first */
    struct {
        Claim *source, *destination; /* within one LUN the former is on all of it */
    } claims[TASK_TRANSFERS];        /* of the part of each transfer */
} Copy;

static Copy *copy_of(const Task *task)
{
    return task->own;
}

/* --- the logical units of a segment ----------------------------------------------------------- */

static void enter(Task *task, LunShard *shard)
{
    g_queue_push_tail(&shard->guests, task);
}

static void leave(Task *task, LunShard *shard)
{
    if (!shard)
        return;
    g_queue_remove(&shard->guests, task);
    target_shard_left(shard);
}

static void leave_both(Task *task)
{
    Copy *copy = copy_of(task);
    leave(task, g_steal_pointer(&copy->source));
    leave(task, g_steal_pointer(&copy->destination));
}

/* --- failure ---------------------------------------------------------------------------------- */

/* What was written without a gap from the segment's beginning; bytes. */
static uint64_t written_in_order(const Task *task)
{
    uint64_t end = task->position;
    if (copy_of(task)->backwards)
        return 0;
    for (unsigned i = 0; i < TASK_TRANSFERS; i++)
        if (!transfer_is_idle(&task->transfers[i]))
            end = MIN(end, task->transfers[i].offset);
    return end;
}

/* COPY ABORTED, in the segment under way; `said` is what one of its LUNs answered. */
static void fail_segment(Task *task, SenseCode code, SenseOrigin origin, SenseStatus said)
{
    const Copy *copy = copy_of(task);
    uint8_t sense[SENSE_MAX];
    unsigned len = sense_build(sense, task_descriptor_sense(task), code, NULL);
    if (task->finished > 0) /* in blocks of the destination */
        len = sense_set_information(
            sense, len, (task->end - written_in_order(task)) >> copy->destination->block_shift);
    len = sense_set_segment(sense, len, (uint16_t)copy->segment, origin, said);
    task_fail_sense(task, sense, len);
}

static void device_failed(Task *task, SenseOrigin origin, SenseStatus said)
{
    fail_segment(task, SENSE_THIRD_PARTY_DEVICE_FAILURE, origin, said);
}

static void store_failed(Transfer *t)
{
    SenseOrigin origin = t->req.op == AIO_READ ? SENSE_OF_SOURCE : SENSE_OF_DESTINATION;
    SenseCode code = task_errno_sense(t->req.op, (int)t->req.res);
    device_failed(t->task, origin, (SenseStatus){SCSI_CHECK_CONDITION, code});
}

void copy_device_reset(Task *task, const LunShard *shard)
{
    SenseOrigin origin = shard == copy_of(task)->source ? SENSE_OF_SOURCE : SENSE_OF_DESTINATION;
    hung_orphans_add(task);
    device_failed(task, origin, (SenseStatus){.status = SCSI_TASK_ABORTED});
}

/* --- the beginning of a segment --------------------------------------------------------------- */

/* The LUN of a CSCD descriptor ID; NULL with what the segment fails with. */
static LunShard *find_device(const Task *task, uint16_t id, SenseCode *code)
{
    const CopyList *list = &copy_of(task)->list;
    if (id == COPY_MANAGER_LUN_ID)
        return task->itl->shard;
    *code = SENSE_UNREACHABLE_COPY_TARGET;
    if (id >= list->ncscds)
        return NULL;
    const CopyCscd *cscd = &list->cscds[id];
    *code = SENSE_COPY_TARGET_NOT_REACHABLE;
    if (cscd->null)
        return NULL;
    LunShard *shard = directory_find(task->nexus, cscd->code_set, cscd->type, cscd->id, cscd->len);
    if (!shard)
        return NULL;
    *code = SENSE_INCORRECT_COPY_TARGET_TYPE;
    if (cscd->device_type != 0)
        return NULL;
    *code = SENSE_COPY_ABORTED_INVALID_FIELD;
    return cscd->block_size == shard->lun->spec.block_size ? shard : NULL;
}

static bool find_devices(Task *task, const CopySegment *segment)
{
    Copy *copy = copy_of(task);
    SenseCode code;
    LunShard *source = find_device(task, segment->source, &code);
    LunShard *destination = source ? find_device(task, segment->destination, &code) : NULL;
    if (!destination) {
        fail_segment(task, code, SENSE_OF_NOBODY, (SenseStatus){0});
        return false;
    }
    enter(task, copy->source = source);
    enter(task, copy->destination = destination);
    return true;
}

static bool check_range(Task *task, const LunShard *shard, uint64_t lba, SenseOrigin origin)
{
    uint64_t total = lun_blocks(shard->lun), blocks = task->end >> shard->block_shift;
    if (lba <= total && blocks <= total - lba)
        return true;
    fail_segment(task, SENSE_COPY_ABORTED, origin,
                 (SenseStatus){SCSI_CHECK_CONDITION, SENSE_LBA_OUT_OF_RANGE});
    return false;
}

/* Whole blocks on both sides: there is no residue to pad or to carry to the next segment. */
static bool check_blocks(Task *task)
{
    const Copy *copy = copy_of(task);
    unsigned shift = MAX(copy->source->block_shift, copy->destination->block_shift);
    if (task->end % (UINT64_C(1) << shift) == 0)
        return true;
    fail_segment(task, SENSE_UNEXPECTED_INEXACT_SEGMENT, SENSE_OF_NOBODY, (SenseStatus){0});
    return false;
}

static void find_overlap(Task *task)
{
    Copy *copy = copy_of(task);
    copy->overlaps = copy->source == copy->destination && copy->from < copy->to + task->end &&
                     copy->to < copy->from + task->end;
    copy->backwards = copy->overlaps && copy->to > copy->from;
}

/* False after fail_segment(). */
static bool begin_segment(Task *task)
{
    Copy *copy = copy_of(task);
    const CopySegment *s = &copy->list.segments[copy->segment];
    task->position = task->finished = task->end = 0;
    if (copy->result)
        copy->result->segments++;
    if (!find_devices(task, s))
        return false;
    const LunShard *from = copy->source, *to = copy->destination;
    task->end = (uint64_t)s->blocks << (s->destination_blocks ? to : from)->block_shift;
    if (!check_blocks(task) || !check_range(task, from, s->source_lba, SENSE_OF_SOURCE) ||
        !check_range(task, to, s->destination_lba, SENSE_OF_DESTINATION))
        return false;
    copy->from = s->source_lba << from->block_shift;
    copy->to = s->destination_lba << to->block_shift;
    find_overlap(task);
    return true;
}

/* --- what keeps a copy out of a LUN ----------------------------------------------------------- */

/* What the LUN answers to the copy manager's READs or WRITEs: whatever keeps the initiator's own
 * commands out of it, in the order of task_start(), for a copy is one by other means. A LUN of
 * another target takes the nexus for one through its own port of the same number. */
static SenseStatus answer_of(const Task *task, const LunShard *shard, bool write)
{
    Lun *lun = shard->lun;
    uint16_t progress;
    if (reserve_denies(lun, task->nexus, write))
        return (SenseStatus){.status = SCSI_RESERVATION_CONFLICT};
    SenseCode code = alua_sense(lun->alua, task->nexus->name.port);
    if (code == SENSE_NO_SENSE && lun_hung(lun))
        return (SenseStatus){.status = SCSI_BUSY};
    if (code == SENSE_NO_SENSE)
        code = readiness_sense(lun, &progress);
    if (code == SENSE_NO_SENSE && write && lun_write_protected(lun))
        code = SENSE_WRITE_PROTECTED;
    return (SenseStatus){code ? SCSI_CHECK_CONDITION : SCSI_GOOD, code};
}

static bool check_access(Task *task, const LunShard *shard, SenseOrigin origin)
{
    SenseStatus said = answer_of(task, shard, origin == SENSE_OF_DESTINATION);
    if (said.status == SCSI_GOOD)
        return true;
    device_failed(task, origin, said);
    return false;
}

/* --- claims of a part ------------------------------------------------------------------------- */

static unsigned index_of(const Transfer *t)
{
    return (unsigned)(t - t->task->transfers);
}

static void release_claim(Claim **claim)
{
    if (*claim)
        claim_release(g_steal_pointer(claim));
}

static void release_claims(Copy *copy, unsigned i)
{
    release_claim(&copy->claims[i].source);
    release_claim(&copy->claims[i].destination);
}

static void claim_store(Transfer *t, bool source, ClaimGranted granted)
{
    Copy *copy = copy_of(t->task);
    LunShard *shard = source ? copy->source : copy->destination;
    uint64_t at = (source ? copy->from : copy->to) + t->offset;
    Claim **claim =
        source ? &copy->claims[index_of(t)].source : &copy->claims[index_of(t)].destination;
    claim_make(claim, shard, CLAIM_SHARED, at >> shard->block_shift, t->len >> shard->block_shift,
               granted, t);
}

/* Within one LUN, two claims could have one of somebody else's between them, which overlaps both:
 * what lies between the blocks is claimed too. */
static void claim_both(Transfer *t, ClaimGranted granted)
{
    Copy *copy = copy_of(t->task);
    LunShard *shard = copy->source;
    uint64_t first = MIN(copy->from, copy->to) + t->offset,
             end = MAX(copy->from, copy->to) + t->offset + t->len;
    claim_make(&copy->claims[index_of(t)].source, shard, CLAIM_SHARED, first >> shard->block_shift,
               (end - first) >> shard->block_shift, granted, t);
}

static void read_part(Transfer *t);

/* A long wait may be over: it is now that the LUNs must let the copy in. */
static void part_claimed(Claim *claim, void *arg)
{
    (void)claim;
    Transfer *t = arg;
    const Copy *copy = copy_of(t->task);
    if (check_access(t->task, copy->source, SENSE_OF_SOURCE) &&
        check_access(t->task, copy->destination, SENSE_OF_DESTINATION))
        transfer_acquire(t, t->len, read_part);
}

static void first_claimed(Claim *claim, void *arg)
{
    Transfer *t = arg;
    claim_store(t, claim != copy_of(t->task)->claims[index_of(t)].source, part_claimed);
}

static void claim_part(Transfer *t)
{
    const Copy *copy = copy_of(t->task);
    if (copy->source == copy->destination)
        claim_both(t, part_claimed);
    else
        claim_store(t, claim_order(copy->source, copy->destination) < 0, first_claimed);
}

static void stopped(Task *task)
{
    for (unsigned i = 0; i < TASK_TRANSFERS; i++)
        if (transfer_is_idle(&task->transfers[i]))
            release_claims(copy_of(task), i);
}

/* --- its parts -------------------------------------------------------------------------------- */

static void next_segment(Task *task);
static void begin_parts(Task *task);

static void part_written(Transfer *t)
{
    Task *task = t->task;
    Copy *copy = copy_of(task);
    task->finished += t->len;
    if (copy->result)
        copy->result->written += t->len;
    release_claims(copy, index_of(t));
    transfer_end(t);
    if (task->finished < task->end) {
        begin_parts(task);
        return;
    }
    leave_both(task);
    copy->segment++;
    next_segment(task);
}

static void write_part(Transfer *t)
{
    Copy *copy = copy_of(t->task);
    if (copy->source != copy->destination)
        release_claim(&copy->claims[index_of(t)].source);
    unsigned flags = lun_write_cache(copy->destination->lun) ? 0 : AIO_FUA;
    transfer_store_on(t, copy->destination, AIO_WRITE, flags, copy->to + t->offset, t->len,
                      t->segment.iov, t->segment.iovcnt, part_written);
}

static void read_part(Transfer *t)
{
    const Copy *copy = copy_of(t->task);
    transfer_store_on(t, copy->source, AIO_READ, 0, copy->from + t->offset, t->len, t->segment.iov,
                      t->segment.iovcnt, write_part);
}

/* Each transfer reads and writes its part with the claims and the memory that it has: none waits
 * for another one while it holds some. */
static void begin_parts(Task *task)
{
    const Copy *copy = copy_of(task);
    unsigned transfers = copy->overlaps ? 1 : TASK_TRANSFERS;
    task->busy++; /* one may fail at once, and the copy is gone then */
    for (unsigned i = 0; i < transfers && !task->failed && task->position < task->end; i++) {
        Transfer *t = &task->transfers[i];
        if (!transfer_is_idle(t))
            continue;
        uint32_t len = (uint32_t)MIN(PART, task->end - task->position);
        uint64_t offset = copy->backwards ? task->end - task->position - len : task->position;
        task->position += len;
        transfer_begin(t, (uint32_t)offset, len, 0, claim_part);
    }
    task_unbusy(task);
}

static void next_segment(Task *task)
{
    Copy *copy = copy_of(task);
    for (; copy->segment < copy->list.nsegments; copy->segment++) {
        if (!begin_segment(task))
            return;
        if (task->end > 0) {
            begin_parts(task);
            return;
        }
        leave_both(task);
    }
    task_complete(task, NULL);
}

/* --- the command ------------------------------------------------------------------------------ */

static void ended(Task *task)
{
    Copy *copy = copy_of(task);
    CopyResult *result = copy->result;
    for (unsigned i = 0; i < TASK_TRANSFERS; i++)
        release_claims(copy, i);
    leave_both(task);
    if (result && task->state == TASK_RESPONDED && copy->list.usage == COPY_ID_HOLD)
        copy_result_hold(task->itl, result, task);
    else if (result)
        copy_result_free(task->itl, result);
    g_free(copy);
}

static const TaskOwnOps copy_ops = {
    .store_failed = store_failed, .stopped = stopped, .ended = ended};

static void list_fetched(Transfer *t)
{
    Task *task = t->task;
    g_autofree Copy *copy = g_new0(Copy, 1);
    SenseField field;
    SenseCode code = copy_list_parse(&copy->list, parameter_data(t), t->len, &field);
    if (code) {
        task_fail_field(task, code, &field);
        return;
    }
    if (copy->list.usage != COPY_ID_NONE) {
        copy->result = copy_result_new(task->itl, copy->list.id);
        if (!copy->result) {
            task_fail(task, SENSE_OPERATION_IN_PROGRESS);
            return;
        }
    }
    transfer_end(t);
    task->own = g_steal_pointer(&copy);
    task->own_ops = &copy_ops;
    next_segment(task);
}

void extended_copy_run(Task *task)
{
    uint32_t length = get_be32(task->cdb + 10);
    if (length == 0)
        task_complete(task, NULL);
    else
        parameter_fetch(task, MIN(length, COPY_LIST_LEN_MAX), list_fetched);
}
