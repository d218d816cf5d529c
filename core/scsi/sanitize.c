/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SANITIZE OVERWRITE and EXIT FAILURE MODE. */
#include "core/scsi/sanitize.h"

#include "core/base/bytes.h"
#include "core/scsi/operation.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#define HEADER 4

enum { IMMED = 0x80, AUSE = 0x20 };                          /* byte 1 of the CDB */
enum { INVERT = 0x80, TEST = 0x60, OVERWRITE_COUNT = 0x1f }; /* byte 0 of the list */

/* What was deallocated is with the file system, out of reach. */
bool sanitize_possible(const Lun *lun)
{
    const AioFile *file = lun->shards[loop_index(loop_self())]->file;
    if (!lun->spec.state || !aio_file_overwrites_in_place(file))
        return false;
    return !lun->thin || aio_file_is_block_device(file);
}

static void begin(Transfer *t)
{
    Task *task = t->task;
    const uint8_t *list = parameter_data(t);
    unsigned len = get_be16(list + 2);
    g_autofree uint8_t *pattern = g_memdup2(list + HEADER, len);
    const OperationSpec spec = {.kind = OPERATION_SANITIZE,
                                .pattern = pattern,
                                .pattern_len = len,
                                .passes = list[0] & OVERWRITE_COUNT,
                                .invert = list[0] & INVERT,
                                .unrestricted = task->cdb[1] & AUSE};
    task->busy++;
    transfer_end(t);
    operation_begin(task, &spec, task->cdb[1] & IMMED);
    task_unbusy(task);
}

/* Clients expect INVALID FIELD IN CDB for lists that are wrong, too. */
static void list_fetched(Transfer *t)
{
    Task *task = t->task;
    const uint8_t *list = parameter_data(t);
    if (t->len < HEADER) {
        task_fail(task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
        return;
    }
    unsigned len = get_be16(list + 2);
    if ((list[0] & OVERWRITE_COUNT) == 0 || len == 0 || len > task_lun(task)->spec.block_size)
        task_fail_cdb(task, 7, 7);
    else if ((list[0] & TEST) || list[1])
        task_fail_parameter(task, list[1] ? 1 : 0, list[1] ? 7 : 6);
    else if (len > t->len - HEADER)
        task_fail(task, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    else
        begin(t);
}

/* A failure that only another sanitize may end stays one of those (SBC-3 4.11.3). */
static bool exit_would_be_allowed(Task *task)
{
    Lun *lun = task_lun(task);
    pthread_mutex_lock(&lun->lock);
    bool restricted =
        lun->operation.condition == MEDIUM_NOT_SANITIZED && !lun->operation.unrestricted;
    pthread_mutex_unlock(&lun->lock);
    return restricted && (task->cdb[1] & AUSE);
}

void sanitize_overwrite_run(Task *task)
{
    uint32_t length = get_be16(task->cdb + 7);
    if (length <= HEADER || length > HEADER + task_lun(task)->spec.block_size)
        task_fail_cdb(task, 7, 7);
    else if (exit_would_be_allowed(task))
        task_fail_cdb(task, 1, 5);
    else
        parameter_fetch(task, length, list_fetched);
}

void sanitize_exit_failure_run(Task *task)
{
    if (get_be16(task->cdb + 7) != 0)
        task_fail_cdb(task, 7, 7);
    else if (!operation_exit_failure(task))
        task_fail_cdb(task, 1, 4);
}
