/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fields of a Basic Header Segment that are the affair of the wire alone: lengths, padding,
 * what R2Ts ask for (RFC 7143 section 11). */
#pragma once

#include "iser/iscsi/pdu.h"

enum {
    BHS_AHS_WORDS = 4,
    BHS_DATA_LEN = 5,
    R2T_SN = 36,
    R2T_DESIRED_LENGTH = 44,
};

/* Bytes, padding included. */
static inline uint32_t bhs_ahs_len(const uint8_t *bhs)
{
    return bhs[BHS_AHS_WORDS] * 4u;
}

/* Bytes, padding not included. */
static inline uint32_t bhs_data_len(const uint8_t *bhs)
{
    return get_be24(bhs + BHS_DATA_LEN);
}

static inline uint32_t bhs_padding(uint32_t data_len)
{
    return -data_len & 3;
}
