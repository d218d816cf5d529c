/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Header and data digests by ISA-L's CRC32C. */
#include "iser/tcp/digest.h"

#include <isa-l/crc.h>
#include <string.h>

/* ISA-L takes the length as an int. */
#define DIGEST_PIECE ((size_t)1 << 30)

uint32_t digest_add(uint32_t digest, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        size_t piece = len < DIGEST_PIECE ? len : DIGEST_PIECE;
        /* The prototype lacks a const: the bytes are only read. */
        digest = crc32_iscsi((unsigned char *)at, (int)piece, digest);
        at += piece;
        len -= piece;
    }
    return digest;
}

void digest_put(uint32_t digest, uint8_t wire[DIGEST_LEN])
{
    digest = ~digest;
    /* Least significant byte first: the one field of iSCSI that is not big-endian. */
    wire[0] = (uint8_t)digest;
    wire[1] = (uint8_t)(digest >> 8);
    wire[2] = (uint8_t)(digest >> 16);
    wire[3] = (uint8_t)(digest >> 24);
}

bool digest_matches(uint32_t digest, const uint8_t wire[DIGEST_LEN])
{
    uint8_t right[DIGEST_LEN];
    digest_put(digest, right);
    return memcmp(right, wire, DIGEST_LEN) == 0;
}
