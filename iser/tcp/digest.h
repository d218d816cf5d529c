/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Header and data digests: CRC32C as iSCSI puts it on the wire (RFC 7143 section 13.1). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN   4u
#define DIGEST_BEGIN UINT32_C(0xffffffff)

/* Runs the digest over more bytes; begin with DIGEST_BEGIN. */
uint32_t digest_add(uint32_t digest, const void *bytes, size_t len);
/* Writes the finished digest in wire order. */
void digest_put(uint32_t digest, uint8_t wire[DIGEST_LEN]);
bool digest_matches(uint32_t digest, const uint8_t wire[DIGEST_LEN]);
