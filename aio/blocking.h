/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Performs one request with blocking system calls: what worker threads do. */
#pragma once

#include "aio/aio.h"

/* Does what is left of an admitted request from req->moved on, whatever its alignment, and sets
 * req->res. Blocks; any thread that holds no range of the file. */
void aio_blocking_perform(AioReq *req, AioCounters *counters);
