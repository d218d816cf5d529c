/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Spares: buffers of the sizes that commands mostly have, kept by one loop for its next commands,
 * as jemalloc's own caches hold few of them and take hundreds of instructions. On one loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SPARES_LEAST  ((size_t)512)
#define SPARES_MOST   ((size_t)256 << 10)
#define SPARES_SIZES  10                /* the powers of two between them */
#define SPARES_NUMBER 256               /* at most of a size */
#define SPARES_BYTES  ((size_t)1 << 20) /* at most in all */

typedef struct {
    unsigned count[SPARES_SIZES];
    size_t bytes;
    void *buffers[SPARES_SIZES][SPARES_NUMBER];
} Spares;

/* Sizes that are kept are jemalloc's as they are. */
static inline bool spares_keep(size_t size)
{
    return (size & (size - 1)) == 0 && size >= SPARES_LEAST && size <= SPARES_MOST;
}

static inline unsigned spares_index(size_t size)
{
    return (unsigned)__builtin_ctzl(size / SPARES_LEAST);
}

/* The one that came last, as it may still be in the CPU's cache; NULL: none. A size that is kept.
 */
static inline void *spares_take(Spares *spares, size_t size)
{
    unsigned i = spares_index(size);
    if (spares->count[i] == 0)
        return NULL;
    spares->bytes -= size;
    return spares->buffers[i][--spares->count[i]];
}

/* False: there are enough. A size that is kept. */
static inline bool spares_give(Spares *spares, void *buffer, size_t size)
{
    unsigned i = spares_index(size);
    if (spares->count[i] == SPARES_NUMBER || spares->bytes + size > SPARES_BYTES)
        return false;
    spares->bytes += size;
    spares->buffers[i][spares->count[i]++] = buffer;
    return true;
}
