/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of LUNs behind a target. */
#include "core/scsi/report_luns.h"

#include "core/base/bytes.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"

enum { SELECT_ADDRESSABLE = 0, SELECT_WELL_KNOWN = 1, SELECT_ALL = 2 };

static unsigned count_luns(const Task *task)
{
    return scsi_target_lun_numbers(task->nexus->target, task->nexus->loop, NULL, 0);
}

static unsigned lun_list(Task *task, uint8_t *p)
{
    unsigned room = (unsigned)(task->transfers[0].segment.len - 8) / 8; /* LUNs may have come */
    unsigned count = task->cdb[2] == SELECT_WELL_KNOWN ? 0 : MIN(count_luns(task), room);
    g_autofree unsigned *numbers = g_new(unsigned, count + 1);
    scsi_target_lun_numbers(task->nexus->target, task->nexus->loop, numbers, count);
    put_be32(p, 8 * count);
    for (unsigned i = 0; i < count; i++)
        put_be64(p + 8 + 8 * i, scsi_lun_field(numbers[i]));
    /* what the attention would have told is known now, on every LUN (SPC-4 6.33.1) */
    for (GList *l = task->nexus->itls.head; l; l = l->next)
        itl_drop_attention(l->data, SENSE_LUNS_CHANGED);
    return 8 + 8 * count;
}

void report_luns_run(Task *task)
{
    uint32_t allocation_length = get_be32(task->cdb + 6);
    if (task->cdb[2] > SELECT_ALL)
        task_fail_cdb(task, 2, 7);
    else if (allocation_length < 16)
        task_fail_cdb(task, 6, 7);
    else
        reply(task, 8 + 8 * count_luns(task), allocation_length, lun_list);
}
