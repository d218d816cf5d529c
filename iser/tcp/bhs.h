/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fields of a Basic Header Segment that the TCP datamover itself reads and fills in (RFC 7143
 * section 11). */
#pragma once

#include "core/base/bytes.h"
#include "iser/iscsi/datamover.h"

enum {
    BHS_SCSI_COMMAND = 0x01,
    BHS_DATA_OUT = 0x05,
    BHS_SCSI_RESPONSE = 0x21,
    BHS_DATA_IN = 0x25,
    BHS_R2T = 0x31,
};

enum {
    BHS_FINAL = 0x80,
    DATA_IN_ACKNOWLEDGE = 0x40,
    DATA_IN_OVERFLOW = 0x04,
    DATA_IN_UNDERFLOW = 0x02,
    DATA_IN_STATUS = 0x01,
};

/* Offsets that are the same in the PDUs named. */
enum {
    BHS_FLAGS = 1,
    BHS_STATUS = 3, /* SCSI Response, Data-In */
    BHS_AHS_WORDS = 4,
    BHS_DATA_LEN = 5,
    BHS_ITT = 16,
    BHS_TTT = 20,
    BHS_STAT_SN = 24,
    BHS_DATA_SN = 36,        /* Data-In, Data-Out; R2TSN of an R2T; ExpDataSN of a SCSI Response */
    BHS_BUFFER_OFFSET = 40,  /* Data-In, Data-Out, R2T */
    BHS_RESIDUAL = 44,       /* Data-In */
    BHS_DESIRED_LENGTH = 44, /* R2T */
};

#define BHS_NO_TAG  UINT32_C(0xffffffff)
#define BHS_AHS_MAX (255u * 4)

static inline unsigned bhs_opcode(const uint8_t *bhs)
{
    return bhs[0] & 0x3f;
}

static inline bool bhs_is_final(const uint8_t *bhs)
{
    return bhs[BHS_FLAGS] & BHS_FINAL;
}

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

static inline bool bhs_same_task(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a + BHS_ITT, b + BHS_ITT, 4) == 0;
}
