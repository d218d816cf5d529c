/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be asked about copies: RECEIVE COPY RESULTS (SPC-4 6.17 ff.) about those of an I_T_L
 * nexus by list identifier, and the VPD page and parameters that tell what the copy manager can. */
#pragma once

#include "core/scsi/task.h"

#define COPY_RESULTS_MAX 16 /* held of copies that have ended; the oldest make room */

/* One copy; in Itl.copies, on the home loop. */
typedef struct {
    uint8_t list_id;
    bool ended;
    uint16_t segments; /* begun */
    uint64_t written;  /* bytes */
    uint8_t status;    /* SCSI status, and its sense data */
    uint8_t sense[SENSE_MAX];
    unsigned sense_len;
    GList link;
} CopyResult;

/* A copy begins; what is held of an earlier one under this identifier is forgotten. NULL: the
 * earlier one is still under way. */
CopyResult *copy_result_new(Itl *itl, uint8_t list_id);
/* It has been answered with task->status: the result is held from now on. */
void copy_result_hold(Itl *itl, CopyResult *result, const Task *task);
void copy_result_free(Itl *itl, CopyResult *result);
/* The I_T_L nexus ends; no copy is under way (asserted). */
void copy_results_free(Itl *itl);

void receive_copy_status_run(Task *task);
void receive_copy_data_run(Task *task);
void receive_copy_parameters_run(Task *task);
void receive_copy_failure_run(Task *task);

/* VPD page 8Fh without its header; returns its length. */
unsigned copy_page_build(const Task *task, uint8_t *p);
