/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Big-endian fields in byte arrays, as SCSI and iSCSI lay them out, and a bounds-checked reader. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be24(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t get_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_be24(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 16);
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

/* Reads foreign bytes front to back. A read past the end yields zeros and latches `bad`, so a
 * decoder reads everything and checks once. */
typedef struct {
    const uint8_t *at, *end;
    bool bad;
} ByteReader;

/* NULL with 0 is allowed. */
static inline ByteReader byte_reader(const void *data, size_t len)
{
    const uint8_t *p = len > 0 ? data : (const uint8_t *)"";
    return (ByteReader){.at = p, .end = p + len};
}

static inline size_t byte_reader_left(const ByteReader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next n bytes, or NULL (and bad) when there are fewer. */
static inline const uint8_t *byte_reader_take(ByteReader *r, size_t n)
{
    if (n > byte_reader_left(r)) {
        r->bad = true;
        r->at = r->end;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}

static inline uint8_t byte_reader_u8(ByteReader *r)
{
    const uint8_t *p = byte_reader_take(r, 1);
    return p ? *p : 0;
}

static inline uint16_t byte_reader_be16(ByteReader *r)
{
    const uint8_t *p = byte_reader_take(r, 2);
    return p ? get_be16(p) : 0;
}

static inline uint32_t byte_reader_be32(ByteReader *r)
{
    const uint8_t *p = byte_reader_take(r, 4);
    return p ? get_be32(p) : 0;
}

static inline uint64_t byte_reader_be64(ByteReader *r)
{
    const uint8_t *p = byte_reader_take(r, 8);
    return p ? get_be64(p) : 0;
}
