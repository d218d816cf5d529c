/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The iSCSI PDU: basic header segment, data segment, and what a strict receiver may demand of its
 * reserved fields (RFC 7143 section 11). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/initiator/bytes.h"

#define PDU_BHS      48
#define PDU_NO_TAG   0xffffffffU
#define PDU_DATA_MAX 0xffffffU

typedef enum {
    OP_NOP_OUT = 0x00,
    OP_COMMAND = 0x01,
    OP_TMF = 0x02,
    OP_LOGIN = 0x03,
    OP_TEXT = 0x04,
    OP_DATA_OUT = 0x05,
    OP_LOGOUT = 0x06,
    OP_SNACK = 0x10,
    OP_NOP_IN = 0x20,
    OP_RESPONSE = 0x21,
    OP_TMF_RESPONSE = 0x22,
    OP_LOGIN_RESPONSE = 0x23,
    OP_TEXT_RESPONSE = 0x24,
    OP_DATA_IN = 0x25,
    OP_LOGOUT_RESPONSE = 0x26,
    OP_R2T = 0x31,
    OP_ASYNC = 0x32,
    OP_REJECT = 0x3f,
} PduOpcode;

enum { PDU_IMMEDIATE = 0x40, PDU_FINAL = 0x80, PDU_CONTINUE = 0x40 };

/* Offsets of the fields most PDUs share. */
enum {
    AT_FLAGS = 1,
    AT_DATA_LENGTH = 5,
    AT_LUN = 8,
    AT_ITT = 16,
    AT_TTT = 20,
    AT_CMD_SN = 24,
    AT_EXP_STAT_SN = 28,
    AT_STAT_SN = 24,
    AT_EXP_CMD_SN = 28,
    AT_MAX_CMD_SN = 32,
    AT_DATA_SN = 36,
    AT_OFFSET = 40,
    AT_LENGTH = 44,
    AT_RESIDUAL = 44,
};

/* Memory that a command moves data to or from; lent until the command is done. */
typedef struct {
    uint8_t *base;
    uint32_t len;
    bool to_target;
    uint32_t unsolicited; /* bytes from the start that the wire need not fetch */
} PduBuffer;

typedef struct {
    uint8_t bhs[PDU_BHS];
    const uint8_t *data; /* lent */
    uint32_t len;        /* what the data length field says of `data`, without padding */
    /* Sending only. */
    const PduBuffer *buffer; /* NULL, or what a wire with remote placement advertises */
    unsigned *unsent;        /* NULL, or counted up when queued and down when `data` is free */
} Pdu;

static inline PduOpcode pdu_opcode(const Pdu *pdu)
{
    return (PduOpcode)(pdu->bhs[0] & 0x3f);
}

static inline uint32_t pdu_itt(const Pdu *pdu)
{
    return get_be32(pdu->bhs + AT_ITT);
}

/* A zeroed header with opcode and flags; `opcode` may carry PDU_IMMEDIATE. */
Pdu pdu_new(unsigned opcode, uint8_t flags, uint32_t itt);
/* Sets the data segment and its length field. */
void pdu_set_data(Pdu *pdu, const void *data, uint32_t len);

/* A copy with its own data; free with pdu_free. */
Pdu *pdu_copy(const Pdu *pdu);
void pdu_free(Pdu *pdu);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pdu, pdu_free)

const char *pdu_name(unsigned opcode);

/* The offset of the first header byte with a reserved bit set, or -1; opcodes a target does not
 * send give 0. */
int pdu_reserved(const Pdu *pdu);

/* Header and the first bytes of data in hex, 16 a line; owned by the caller. */
char *pdu_dump(const Pdu *pdu);

/* CRC32C as the digests carry it: `seed` is 0 for the first piece. */
uint32_t pdu_crc32c(uint32_t seed, const void *data, size_t len);
/* The four digest bytes in wire order. */
void pdu_put_digest(uint8_t *p, uint32_t crc);
