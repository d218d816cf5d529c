/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data-in that a command makes up itself, and parameter lists that it receives: one contiguous
 * buffer of arena memory. */
#pragma once

#include "core/scsi/task.h"

/* Writes the reply to data, `max` zeroed bytes, and returns its length; 0 after task_fail(). */
typedef unsigned (*ReplyBuild)(Task *task, uint8_t *data);

/* Answers with what build() makes, cut to the allocation length and to what the initiator has room
 * for. max <= ARENA_BUFFER_MAX. Ends the task. */
void reply(Task *task, unsigned max, uint32_t allocation_length, ReplyBuild build);

/* The end of a reply made in a transfer of the handler's own: sends the first `len` bytes of its
 * segment, which is contiguous, cut in the same way. Ends the task. */
void reply_send(Transfer *transfer, unsigned len, uint32_t allocation_length);

/* Fetches a parameter list; then(transfer) finds its bytes, of which there are transfer->len
 * (less than `length` where the initiator offered less), at parameter_data(). The transfer is
 * then() 's to end. length <= ARENA_BUFFER_MAX, not 0. */
void parameter_fetch(Task *task, uint32_t length, void (*then)(Transfer *transfer));
static inline const uint8_t *parameter_data(const Transfer *transfer)
{
    return transfer->segment.iov[0].iov_base;
}
