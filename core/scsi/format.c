/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FORMAT UNIT: the parameter list, and which of it means something here. */
#include "core/scsi/format.h"

#include "core/base/bytes.h"
#include "core/scsi/operation.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <string.h>

#define LIST_MAX (8 + 4 + 4096)

enum { LONGLIST = 0x20, FMTDATA = 0x10, CMPLST = 0x08, DEFECT_LIST_FORMAT = 0x07 };
enum { FOV = 0x80, OPTIONS = 0x78, IP = 0x08, OBSOLETE = 0x05, IMMED = 0x02 };
enum { PATTERN_REPEAT = 1 }; /* 0: what the device likes */

/* Where a list is wrong: byte, bit; or too short. */
typedef struct {
    bool failed, is_short;
    int byte, bit;
} Complaint;

static void complain(Complaint *c, int byte, int bit)
{
    if (!c->failed)
        *c = (Complaint){.failed = true, .byte = byte, .bit = bit};
}

static unsigned header_length(const Task *task)
{
    return task->cdb[1] & LONGLIST ? 8 : 4;
}

/* Neither protection information nor lists of defects are to be had. */
static void check_header(const Task *task, const uint8_t *p, Complaint *c)
{
    bool is_long = task->cdb[1] & LONGLIST;
    if (p[0])
        complain(c, 0, 31 - __builtin_clz(p[0]));
    if (p[1] & OBSOLETE)
        complain(c, 1, 2);
    if (!(p[1] & FOV) && (p[1] & OPTIONS))
        complain(c, 1, 6);
    if (is_long && (p[2] || p[3]))
        complain(c, p[2] ? 2 : 3, 7);
    if (is_long ? get_be32(p + 4) : get_be16(p + 2))
        complain(c, is_long ? 4 : 2, 7);
}

/* The initialization pattern descriptor (SBC-3 5.3.2.3), at `at` of the list; returns its length.
 */
static unsigned take_pattern(const Task *task, const uint8_t *list, unsigned at, unsigned left,
                             OperationSpec *spec, Complaint *c)
{
    const uint8_t *p = list + at;
    unsigned len = left < 4 ? 0 : get_be16(p + 2);
    if (left < 4 || len > left - 4) {
        *c = (Complaint){.failed = true, .is_short = true};
        return 0;
    }
    if (p[0])
        complain(c, (int)at, 31 - __builtin_clz(p[0]));
    if (p[1] > PATTERN_REPEAT)
        complain(c, (int)at + 1, 7);
    if (p[1] == PATTERN_REPEAT ? len == 0 || len > task_lun(task)->spec.block_size : len > 0)
        complain(c, (int)at + 2, 7);
    if (p[1] == PATTERN_REPEAT) {
        spec->pattern = p + 4;
        spec->pattern_len = len;
    }
    return 4 + len;
}

static void begin(Transfer *t, OperationSpec *spec, bool immediate)
{
    Task *task = t->task;
    g_autofree uint8_t *pattern = g_memdup2(spec->pattern, spec->pattern_len);
    spec->pattern = pattern;
    task->busy++;
    transfer_end(t);
    operation_begin(task, spec, immediate);
    task_unbusy(task);
}

static void list_fetched(Transfer *t)
{
    Task *task = t->task;
    const uint8_t *list = parameter_data(t);
    unsigned used = header_length(task);
    OperationSpec spec = {.kind = OPERATION_FORMAT, .passes = 1};
    Complaint c = {.failed = t->len < used, .is_short = t->len < used};
    if (!c.failed)
        check_header(task, list, &c);
    if (!c.failed && (list[1] & IP))
        used += take_pattern(task, list, used, t->len - used, &spec, &c);
    task->data_out_wanted = used; /* only the list itself tells how long it is */
    if (c.is_short)
        task_fail(task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    else if (c.failed)
        task_fail_parameter(task, c.byte, c.bit);
    else
        begin(t, &spec, list[1] & IMMED);
}

static bool defect_format_known(unsigned format)
{
    return format == 0 || (format >= 3 && format <= 5);
}

void format_unit_run(Task *task)
{
    const OperationSpec plain = {.kind = OPERATION_FORMAT, .passes = 1};
    uint8_t flags = task->cdb[1];
    if (!(flags & FMTDATA) && (flags & (LONGLIST | CMPLST | DEFECT_LIST_FORMAT)))
        task_fail_cdb(task, 1, 31 - __builtin_clz(flags));
    else if (!defect_format_known(flags & DEFECT_LIST_FORMAT))
        task_fail_cdb(task, 1, 2);
    else if (flags & FMTDATA)
        parameter_fetch(task, MAX(MIN(task->data_out_len, LIST_MAX), header_length(task)),
                        list_fetched);
    else
        operation_begin(task, &plain, false);
}
