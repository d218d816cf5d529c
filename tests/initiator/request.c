/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building of SRP_CMD and SRP_TSK_MGMT (T10 SRP r16a sections 5.4, 6.7 and 6.8). */
#include "tests/initiator/request.h"

#include <string.h>

#include "tests/initiator/scsi.h"
#include "tests/initiator/srp.h"

/* In the IU as Linux has it by default; in a table behind it as many as there is room for. */
#define PIECES_IN_IU    12
#define PIECES_IN_TABLE 64
#define TAG_SLOTS       65536

void requests_init(Requests *requests, unsigned count, uint8_t *memory, uint32_t rkey)
{
    *requests = (Requests){.count = count, .rkey = rkey};
    requests->all = g_new0(Request, count);
    for (unsigned i = 0; i < count; i++) {
        requests->all[i].iu = memory + (size_t)i * REQUEST_SIZE;
        requests->all[i].table = requests->all[i].iu + REQUEST_IU_MAX;
        g_queue_push_tail(&requests->free, &requests->all[i]);
    }
    requests->last_tag = (uint64_t)g_random_int() << 32;
}

void requests_deinit(Requests *requests)
{
    g_queue_clear(&requests->free);
    g_clear_pointer(&requests->all, g_free);
}

Request *requests_take(Requests *requests)
{
    Request *request = g_queue_pop_head(&requests->free);

    if (!request)
        return NULL;
    requests->last_tag += TAG_SLOTS;
    request->tag = requests->last_tag | (uint64_t)(request - requests->all);
    request->data = NULL;
    request->data_len = 0;
    return request;
}

void requests_settle(Requests *requests, Request *request)
{
    if (!request->task && !request->sending)
        g_queue_push_tail(&requests->free, request);
}

Request *requests_find(const Requests *requests, uint64_t tag)
{
    Request *request = tag % TAG_SLOTS < requests->count ? &requests->all[tag % TAG_SLOTS] : NULL;

    return request && request->task && request->tag == tag ? request : NULL;
}

static uint8_t *put_descriptor(uint8_t *p, const uint8_t *base, uint32_t rkey, uint32_t len)
{
    put_be64(p, (uintptr_t)base);
    put_be32(p + 8, rkey);
    put_be32(p + 12, len);
    return p + SRP_DESCRIPTOR;
}

/* Cuts the buffer into pieces of uneven lengths; returns how many. */
static unsigned fill_table(const Requests *requests, uint8_t *table, const uint8_t *base,
                           uint32_t len, unsigned most)
{
    unsigned n = 0;
    uint32_t average = MAX(len / most, 1);

    while (len) {
        uint32_t most_of_it = MIN(len, 2 * average - 1);
        uint32_t piece =
            n + 1 == most ? len : (uint32_t)g_random_int_range(1, (gint32)most_of_it + 1);

        table = put_descriptor(table, base, requests->rkey, piece);
        base += piece;
        len -= piece;
        n++;
    }
    return n;
}

static void set_format(Request *request, bool to_target, uint8_t format, unsigned count)
{
    request->iu[SRP_AT_FORMATS] |= (uint8_t)(to_target ? format << 4 : format);
    request->iu[to_target ? SRP_AT_OUT_COUNT : SRP_AT_IN_COUNT] = (uint8_t)count;
}

void request_describe(const Requests *requests, Request *request, bool to_target,
                      const uint8_t *base, uint32_t len, RequestForm form)
{
    uint8_t *p = request->iu + request->len;
    /* Each direction has a half of the table's memory. */
    uint8_t *table = request->table + (to_target ? 0 : REQUEST_TABLE_MAX / 2);
    unsigned n, in_iu;

    if (form == REQUEST_MIXED)
        form = (RequestForm)g_random_int_range(REQUEST_DIRECT, REQUEST_MIXED);
    if (form == REQUEST_DIRECT) {
        put_descriptor(p, base, requests->rkey, len);
        set_format(request, to_target, SRP_DIRECT_BUFFER, 0);
        request->len += SRP_DESCRIPTOR;
        return;
    }
    n = fill_table(requests, table, base, len,
                   form == REQUEST_TABLE ? PIECES_IN_TABLE : PIECES_IN_IU);
    in_iu = form == REQUEST_INDIRECT
                ? n
                : (unsigned)g_random_int_range(0, (gint32)MIN(n, PIECES_IN_IU));
    p = put_descriptor(p, table, requests->rkey, n * SRP_DESCRIPTOR);
    put_be32(p, len);
    memcpy(p + 4, table, in_iu * SRP_DESCRIPTOR);
    set_format(request, to_target, SRP_INDIRECT_BUFFER, in_iu);
    request->len += SRP_INDIRECT + in_iu * SRP_DESCRIPTOR;
}

/* As Linux does it: an IU up to the agreed offset, and the data from where they are. */
static void attach(Request *request, const Task *task, uint16_t offset)
{
    set_format(request, true, SRP_IMMEDIATE_BUFFER, 0);
    put_be32(request->iu + SRP_CMD_LEN, task->buffer.len);
    memset(request->iu + SRP_CMD_LEN + 4, 0, offset - SRP_CMD_LEN - 4U);
    request->len = offset;
    request->data = task->buffer.base;
    request->data_len = task->buffer.len;
}

static uint8_t attribute_of(const Task *task)
{
    return task->attribute == 3   ? SRP_HEAD_OF_QUEUE
           : task->attribute == 2 ? SRP_ORDERED
                                  : SRP_SIMPLE;
}

void request_fill(const Requests *requests, Request *request, Task *task, RequestForm form,
                  uint16_t immediate)
{
    uint8_t *iu = request->iu;

    memset(iu, 0, SRP_CMD_LEN);
    iu[0] = task->management ? SRP_TSK_MGMT : SRP_CMD;
    iu[SRP_AT_SOLICIT] = task->solicit;
    put_be64(iu + SRP_AT_TAG, request->tag);
    scsi_put_lun(iu + SRP_AT_LUN, task->lun);
    request->len = SRP_CMD_LEN;
    request->task = task;
    task->tag = request->tag;
    if (task->management) {
        iu[SRP_AT_FUNCTION] = task->management;
        put_be64(iu + SRP_AT_SUBJECT, task->subject);
        return;
    }
    iu[SRP_AT_ATTRIBUTE] = attribute_of(task);
    memcpy(iu + SRP_AT_CDB, task->cdb, sizeof(task->cdb));
    if (task->write && immediate)
        attach(request, task, immediate);
    else if (task->buffer.len)
        request_describe(requests, request, task->write, task->buffer.base, task->buffer.len, form);
}
