/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VERIFY, and WRITE AND VERIFY (SBC-3 5.29 - 5.31, 5.39 - 5.41). */
#pragma once

#include "core/scsi/task.h"

void verify_run(Task *task);
void write_and_verify_run(Task *task);
