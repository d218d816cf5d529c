/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registration of chunks as they come: a sparse table, filled one entry at a time. */
#include "aio/fixed.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define TABLE_SIZE 1024
#define PIECE_MOST ((size_t)1 << 30) /* the kernel's limit for one buffer */

typedef struct {
    uintptr_t start, end;
    int index;
} Piece;

void aio_fixed_init(AioFixed *fixed)
{
    *fixed = (AioFixed){.pieces = g_array_new(FALSE, FALSE, sizeof(Piece))};
}

void aio_fixed_deinit(AioFixed *fixed)
{
    g_array_free(fixed->pieces, TRUE);
}

/* Position of the first piece that ends behind the address. */
static unsigned fixed_position(const AioFixed *fixed, uintptr_t at)
{
    unsigned low = 0, high = fixed->pieces->len;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (g_array_index(fixed->pieces, Piece, middle).end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int fixed_register(AioFixed *fixed, struct io_uring *ring, void *base, size_t len)
{
    struct iovec iov = {base, len};
    __u64 tag = 0;
    unsigned index = fixed->pieces->len;

    int res = index == 0 ? io_uring_register_buffers_sparse(ring, TABLE_SIZE) : 0;
    if (res == 0 && index == TABLE_SIZE)
        res = -ENOSPC;
    if (res == 0)
        res = io_uring_register_buffers_update_tag(ring, index, &iov, &tag, 1);
    if (res < 0)
        return res;
    Piece piece = {(uintptr_t)base, (uintptr_t)base + len, (int)index};
    g_array_insert_val(fixed->pieces, fixed_position(fixed, piece.start), piece);
    return 0;
}

static void warn_once(int error)
{
    static gsize warned;
    if (g_once_init_enter(&warned)) {
        g_warning("io_uring: memory cannot be registered (%s), plain buffers are used; raise the "
                  "limit of locked memory (LimitMEMLOCK=, ulimit -l)",
                  g_strerror(-error));
        g_once_init_leave(&warned, 1);
    }
}

void aio_fixed_add(AioFixed *fixed, struct io_uring *ring, void *base, size_t len)
{
    char *at = base;

    while (len && !fixed->refused) {
        size_t piece = MIN(len, PIECE_MOST);
        int res = fixed_register(fixed, ring, at, piece);
        if (res < 0) {
            fixed->refused = true;
            warn_once(res);
        }
        at += piece;
        len -= piece;
    }
}

int aio_fixed_find(const AioFixed *fixed, const void *base, size_t len)
{
    unsigned at = fixed_position(fixed, (uintptr_t)base);
    if (at == fixed->pieces->len)
        return -1;
    const Piece *piece = &g_array_index(fixed->pieces, Piece, at);
    bool inside = (uintptr_t)base >= piece->start && len <= piece->end - (uintptr_t)base;
    return inside ? piece->index : -1;
}
