/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading ahead of sequential streams, into the cache of a LUN. */
#pragma once

#include "core/scsi/task.h"

/* Looks at a read of the task before it is done, reads ahead of its stream where that is worth it,
 * and returns what its hold is to know: CACHE_NO_USE of a stream, CACHE_NO_ADMISSION of one that
 * has got too long for the cache. */
unsigned readahead_see(const Task *task, uint64_t offset, size_t size);
