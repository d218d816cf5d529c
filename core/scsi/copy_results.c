/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Results of copies, and the copy manager's figures. */
#include "core/scsi/copy_results.h"

#include "core/base/bytes.h"
#include "core/scsi/copy_list.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"

/* --- what is held ----------------------------------------------------------------------------- */

static CopyResult *find(const Itl *itl, uint8_t list_id)
{
    for (GList *l = itl->copies.head; l; l = l->next) {
        CopyResult *result = l->data;
        if (result->list_id == list_id)
            return result;
    }
    return NULL;
}

void copy_result_free(Itl *itl, CopyResult *result)
{
    g_queue_unlink(&itl->copies, &result->link);
    g_free(result);
}

CopyResult *copy_result_new(Itl *itl, uint8_t list_id)
{
    CopyResult *result = find(itl, list_id);
    if (result && !result->ended)
        return NULL;
    if (result)
        copy_result_free(itl, result);
    result = g_new0(CopyResult, 1);
    result->list_id = list_id;
    result->link.data = result;
    g_queue_push_tail_link(&itl->copies, &result->link);
    return result;
}

static void drop_oldest(Itl *itl)
{
    unsigned held = 0;
    for (GList *l = itl->copies.tail, *earlier; l; l = earlier) {
        CopyResult *result = l->data;
        earlier = l->prev;
        if (result->ended && ++held > COPY_RESULTS_MAX)
            copy_result_free(itl, result);
    }
}

void copy_result_hold(Itl *itl, CopyResult *result, const Task *task)
{
    result->ended = true;
    result->status = task->status;
    result->sense_len = task->sense_len;
    memcpy(result->sense, task->sense, task->sense_len);
    g_queue_unlink(&itl->copies, &result->link); /* in the order in which they ended */
    g_queue_push_tail_link(&itl->copies, &result->link);
    drop_oldest(itl);
}

void copy_results_free(Itl *itl)
{
    for (CopyResult *result; (result = g_queue_peek_head(&itl->copies));) {
        g_assert(result->ended);
        copy_result_free(itl, result);
    }
}

/* --- RECEIVE COPY RESULTS --------------------------------------------------------------------- */

/* The copy that the CDB names; NULL after task_fail(). */
static const CopyResult *named(Task *task, bool must_have_ended)
{
    const CopyResult *result = find(task->itl, task->cdb[2]);
    if (result && (result->ended || !must_have_ended))
        return result;
    task_fail_cdb(task, 2, 7);
    return NULL;
}

/* Writes the count, in the smallest unit in which it fits into four bytes, and the unit. */
static void put_transfer_count(uint8_t *p, uint64_t bytes)
{
    uint8_t unit = 0; /* bytes, KiB, MiB ... */
    for (; bytes > UINT32_MAX; bytes >>= 10)
        unit++;
    p[0] = unit;
    put_be32(p + 1, (uint32_t)bytes);
}

static unsigned copy_status(Task *task, uint8_t *p)
{
    enum { IN_PROGRESS = 0, DONE = 1, FAILED = 2 };
    const CopyResult *result = named(task, false);
    if (!result)
        return 0;
    put_be32(p, 8);
    if (result->ended)
        p[4] = result->status == SCSI_GOOD ? DONE : FAILED;
    put_be16(p + 5, result->segments);
    put_transfer_count(p + 7, result->written);
    return 12;
}

/* No segment descriptor that is supported holds data for the initiator. */
static unsigned held_data(Task *task, uint8_t *p)
{
    (void)p; /* AVAILABLE DATA is 0 */
    return named(task, true) ? 4 : 0;
}

static unsigned failure_details(Task *task, uint8_t *p)
{
    const CopyResult *result = named(task, true);
    if (!result)
        return 0;
    if (result->status == SCSI_GOOD) /* AVAILABLE DATA is 0 */
        return 4;
    put_be32(p, 56 + result->sense_len);
    p[56] = result->status;
    put_be16(p + 58, (uint16_t)result->sense_len);
    memcpy(p + 60, result->sense, result->sense_len);
    return 60 + result->sense_len;
}

static uint32_t allocation_length(const Task *task)
{
    return get_be32(task->cdb + 10);
}

void receive_copy_status_run(Task *task)
{
    reply(task, 12, allocation_length(task), copy_status);
}

void receive_copy_data_run(Task *task)
{
    reply(task, 4, allocation_length(task), held_data);
}

void receive_copy_failure_run(Task *task)
{
    reply(task, 60 + SENSE_MAX, allocation_length(task), failure_details);
}

/* --- figures ---------------------------------------------------------------------------------- */

/* Each copy that has a list identifier of one byte needs its own; beyond that only the number of
 * commands that a session may have outstanding is a limit. */
enum { CONCURRENT_COPIES = 255 };

static const uint8_t descriptor_types[] = {COPY_BLOCK_TO_BLOCK, COPY_IDENTIFICATION};

static unsigned parameters(Task *task, uint8_t *p)
{
    p[4] = 0x01; /* SNLID: copies without list identifier */
    put_be16(p + 8, COPY_CSCDS_MAX);
    put_be16(p + 10, COPY_SEGMENTS_MAX);
    put_be32(p + 12, COPY_DESCRIPTORS_LEN_MAX);
    /* no limit of the segment's length; no inline data, no held data, no streams */
    put_be16(p + 34, CONCURRENT_COPIES);
    p[36] = CONCURRENT_COPIES;
    p[37] = (uint8_t)task->itl->shard->block_shift;
    p[43] = sizeof descriptor_types;
    memcpy(p + 44, descriptor_types, sizeof descriptor_types);
    put_be32(p, 40 + sizeof descriptor_types);
    return 44 + sizeof descriptor_types;
}

void receive_copy_parameters_run(Task *task)
{
    reply(task, 44 + sizeof descriptor_types, allocation_length(task), parameters);
}

/* --- VPD page 8Fh (SPC-4 7.8.17): each writes one third-party copy descriptor -------------------
 */

static unsigned begin_descriptor(uint8_t *p, uint16_t type, uint16_t len)
{
    put_be16(p, type);
    put_be16(p + 2, len);
    return 4 + len;
}

static unsigned supported_commands(uint8_t *p)
{
    static const uint8_t list[] = {0x83, 1, 0x00, 0x84, 4, 0x00, 0x01, 0x03, 0x04};
    p[4] = sizeof list;
    memcpy(p + 5, list, sizeof list);
    return begin_descriptor(p, 0x0001, (1 + sizeof list + 3) & ~3u);
}

static unsigned parameter_data_limits(uint8_t *p)
{
    put_be16(p + 8, COPY_CSCDS_MAX);
    put_be16(p + 10, COPY_SEGMENTS_MAX);
    put_be32(p + 12, COPY_DESCRIPTORS_LEN_MAX);
    return begin_descriptor(p, 0x0004, 28);
}

static unsigned supported_descriptors(uint8_t *p)
{
    p[4] = sizeof descriptor_types;
    memcpy(p + 5, descriptor_types, sizeof descriptor_types);
    return begin_descriptor(p, 0x0008, (1 + sizeof descriptor_types + 3) & ~3u);
}

static unsigned supported_cscd_ids(uint8_t *p)
{
    put_be16(p + 4, 2);
    put_be16(p + 6, COPY_MANAGER_LUN_ID);
    return begin_descriptor(p, 0x000c, 4);
}

static unsigned general_copy_operations(uint8_t *p, unsigned block_shift)
{
    put_be32(p + 4, CONCURRENT_COPIES);
    put_be32(p + 8, CONCURRENT_COPIES);
    p[16] = (uint8_t)block_shift;
    return begin_descriptor(p, 0x8001, 32);
}

static unsigned held_data_limits(uint8_t *p)
{
    return begin_descriptor(p, 0xc001, 28);
}

unsigned copy_page_build(const Task *task, uint8_t *p)
{
    unsigned n = supported_commands(p);
    n += parameter_data_limits(p + n);
    n += supported_descriptors(p + n);
    n += supported_cscd_ids(p + n);
    n += general_copy_operations(p + n, task->itl->shard->block_shift);
    n += held_data_limits(p + n);
    return n;
}
