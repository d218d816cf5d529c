/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engines, for the table. */
#pragma once

#include "aio/aio.h"

extern const AioEngine aio_engine_syslet, aio_engine_libaio, aio_engine_io_uring, aio_engine_null;

/* add_memory of an engine without use for it. */
void aio_ignore_memory(AioCtx *ctx, void *base, size_t len);
