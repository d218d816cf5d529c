/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies and parameter lists. */
#include "core/scsi/reply.h"

#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <string.h>

void reply_send(Transfer *t, unsigned len, uint32_t allocation_length)
{
    Task *task = t->task;
    g_assert(len <= t->segment.len);
    task->data_in_wanted = MIN(len, allocation_length);
    t->len = (uint32_t)MIN(task->data_in_wanted, task->data_in_len);
    if (t->len > 0) {
        transfer_put_last(t);
        return;
    }
    transfer_end(t);
    task_complete(task, NULL);
}

static void build_reply(Transfer *t)
{
    Task *task = t->task;
    uint8_t *data = t->segment.iov[0].iov_base;
    memset(data, 0, t->segment.len);
    task->busy++; /* build() may fail the task, and t with it */
    unsigned len = task->build(task, data);
    if (task->failed) {
        task_unbusy(task);
        return;
    }
    task->busy--;
    reply_send(t, len, (uint32_t)task->end);
}

void reply(Task *task, unsigned max, uint32_t allocation_length, ReplyBuild build)
{
    g_assert(max <= ARENA_BUFFER_MAX);
    task->build = build;
    task->end = allocation_length;
    transfer_begin(&task->transfers[0], 0, 0, max, build_reply);
}

static void parameter_memory_ready(Transfer *t)
{
    transfer_fetch(t, 0, t->len, t->task->fetched);
}

void parameter_fetch(Task *task, uint32_t length, void (*then)(Transfer *transfer))
{
    g_assert(length > 0 && length <= ARENA_BUFFER_MAX);
    uint32_t len = MIN(length, task->data_out_len);
    task->data_out_wanted = length;
    task->fetched = then;
    transfer_begin(&task->transfers[0], 0, len, MAX(len, 1), parameter_memory_ready);
}
