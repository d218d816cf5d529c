/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fixed buffers of one io_uring: memory that the kernel pinned once, found by address. */
#pragma once

#include <glib.h>
#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    GArray *pieces; /* sorted by address */
    bool refused;   /* the kernel wants no more: plain buffers for the rest */
} AioFixed;

void aio_fixed_init(AioFixed *fixed);
void aio_fixed_deinit(AioFixed *fixed); /* the ring is gone already */

/* Registers memory (that stays mapped as long as the ring lives); warns once when it cannot. */
void aio_fixed_add(AioFixed *fixed, struct io_uring *ring, void *base, size_t len);

/* The index of the buffer that holds all these bytes, or -1. */
int aio_fixed_find(const AioFixed *fixed, const void *base, size_t len);
