/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of a few lines: TEST UNIT READY, REQUEST SENSE, SYNCHRONIZE CACHE. */
#pragma once

#include "core/scsi/task.h"

void test_unit_ready_run(Task *task);
void request_sense_run(Task *task);
void synchronize_cache_run(Task *task);
