/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A place in an iovec list, for taking the data of one PDU after the other from it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* No piece of the list is empty: a cursor would not get past it. */
typedef struct {
    const struct iovec *iov;
    size_t skip; /* bytes of iov[0] already behind the cursor */
} IovCursor;

/* The list must hold what is passed over. */
static inline void iov_cursor_advance(IovCursor *cursor, size_t len)
{
    while (len > 0) {
        size_t left = cursor->iov->iov_len - cursor->skip;
        if (len < left) {
            cursor->skip += len;
            return;
        }
        len -= left;
        cursor->iov++;
        cursor->skip = 0;
    }
}

/* How many pieces the next *len bytes lie in; no more than max: *len is then cut. */
static inline unsigned iov_cursor_pieces(const IovCursor *cursor, uint32_t *len, unsigned max)
{
    size_t found = 0, skip = cursor->skip;
    unsigned n = 0;
    for (const struct iovec *iov = cursor->iov; found < *len && n < max; iov++, n++) {
        found += iov->iov_len - skip;
        skip = 0;
    }
    if (found < *len)
        *len = (uint32_t)found;
    return n;
}

/* Lists the pieces of the next len bytes and passes over them; `out` has room for all of them. */
static inline unsigned iov_cursor_take(IovCursor *cursor, size_t len, struct iovec *out)
{
    unsigned n = 0;
    while (len > 0) {
        size_t piece = cursor->iov->iov_len - cursor->skip;
        if (piece > len)
            piece = len;
        out[n++] = (struct iovec){(uint8_t *)cursor->iov->iov_base + cursor->skip, piece};
        iov_cursor_advance(cursor, piece);
        len -= piece;
    }
    return n;
}
