/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that ask after, or change, the state of a LUN: TEST UNIT READY, REQUEST SENSE, START
 * STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL, SYNCHRONIZE CACHE. */
#pragma once

#include "core/scsi/task.h"

void test_unit_ready_run(Task *task);
void request_sense_run(Task *task);
void start_stop_unit_run(Task *task);
void prevent_allow_run(Task *task);
void synchronize_cache_run(Task *task);
