/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads completions from the mapped ring, or asks the kernel where its layout is foreign. */
#include "aio/kring.h"

#include <stdint.h>
#include <time.h>

#define RING_MAGIC 0xa10a10a1u

/* fs/aio.c, struct aio_ring; io_context_t is its address. */
typedef struct {
    uint32_t id, nr; /* nr: events it can hold */
    uint32_t head;   /* written by whoever takes events */
    uint32_t tail;   /* written by the kernel */
    uint32_t magic, compat_features, incompat_features, header_length;
    struct io_event events[];
} Ring;

bool aio_kring_usable(io_context_t kernel_ctx)
{
    const Ring *ring = (const void *)kernel_ctx;
    return ring->magic == RING_MAGIC && ring->incompat_features == 0 &&
           ring->header_length == sizeof(Ring);
}

static unsigned ring_take(Ring *ring, struct io_event *events, unsigned max)
{
    uint32_t head = ring->head;
    uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    unsigned count = 0;

    while (head != tail && count < max) {
        events[count++] = ring->events[head];
        head = head + 1 == ring->nr ? 0 : head + 1;
    }
    if (count)
        __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
    return count;
}

unsigned aio_kring_take(io_context_t kernel_ctx, bool mapped, struct io_event *events, unsigned max)
{
    struct timespec now = {0};

    if (mapped)
        return ring_take((Ring *)(void *)kernel_ctx, events, max);
    int count = io_getevents(kernel_ctx, 0, max, events, &now);
    return count > 0 ? (unsigned)count : 0;
}
