/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PDU construction, reserved fields, dumps, digests. */
#include "tests/initiator/pdu.h"

#include <isa-l/crc.h>
#include <string.h>

Pdu pdu_new(unsigned opcode, uint8_t flags, uint32_t itt)
{
    Pdu pdu = {0};

    pdu.bhs[0] = (uint8_t)opcode;
    pdu.bhs[AT_FLAGS] = flags;
    put_be32(pdu.bhs + AT_ITT, itt);
    return pdu;
}

void pdu_set_data(Pdu *pdu, const void *data, uint32_t len)
{
    pdu->data = data;
    pdu->len = len;
    put_be24(pdu->bhs + AT_DATA_LENGTH, len);
}

Pdu *pdu_copy(const Pdu *pdu)
{
    Pdu *copy = g_memdup2(pdu, sizeof(*pdu));

    copy->data = g_memdup2(pdu->data, pdu->len);
    copy->buffer = NULL;
    copy->unsent = NULL;
    return copy;
}

void pdu_free(Pdu *pdu)
{
    if (!pdu)
        return;
    g_free((void *)pdu->data);
    g_free(pdu);
}

typedef struct {
    uint8_t opcode;
    bool from_target;
    const char *name;
    /* The header as six big-endian words: the bits that must be zero. TotalAHSLength is among
     * them, for no PDU a target sends to this initiator has an AHS. */
    uint64_t reserved[6];
} Layout;

#define HIGH4 0xffffffff00000000
#define LOW4  0x00000000ffffffff
#define ALL8  0xffffffffffffffff

static const Layout layouts[] = {
    {OP_NOP_OUT, false, "NOP-Out"},
    {OP_COMMAND, false, "SCSI Command"},
    {OP_TMF, false, "Task Management Request"},
    {OP_LOGIN, false, "Login Request"},
    {OP_TEXT, false, "Text Request"},
    {OP_DATA_OUT, false, "Data-Out"},
    {OP_LOGOUT, false, "Logout Request"},
    {OP_SNACK, false, "SNACK Request"},
    {OP_NOP_IN, true, "NOP-In", {0xc07fffffff000000, 0, 0, 0, LOW4, ALL8}},
    {OP_RESPONSE, true, "SCSI Response", {0xc0610000ff000000, ALL8, LOW4, 0, 0, 0}},
    {OP_TMF_RESPONSE,
     true,
     "Task Management Response",
     {0xc07f00ffff000000, ALL8, LOW4, 0, LOW4, ALL8}},
    {OP_LOGIN_RESPONSE, true, "Login Response", {0xc0300000ff000000, 0, LOW4, 0, 0xffff, ALL8}},
    {OP_TEXT_RESPONSE, true, "Text Response", {0xc03fffffff000000, 0, 0, 0, LOW4, ALL8}},
    {OP_DATA_IN, true, "Data-In", {0xc038ff00ff000000, 0, 0, 0, 0, 0}},
    {OP_LOGOUT_RESPONSE, true, "Logout Response", {0xc07f00ffff000000, ALL8, LOW4, 0, LOW4, LOW4}},
    {OP_R2T, true, "R2T", {0xc07fffffff000000, 0, 0, 0, 0, 0}},
    {OP_ASYNC, true, "Asynchronous Message", {0xc07fffffff000000, 0, LOW4, 0, 0, LOW4}},
    {OP_REJECT, true, "Reject", {0xc07f00ffff000000, ALL8, LOW4, 0, 0, ALL8}},
};

static const Layout *layout_of(unsigned opcode)
{
    for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++)
        if (layouts[i].opcode == opcode)
            return &layouts[i];
    return NULL;
}

const char *pdu_name(unsigned opcode)
{
    const Layout *layout = layout_of(opcode);

    return layout ? layout->name : "unknown opcode";
}

int pdu_reserved(const Pdu *pdu)
{
    const Layout *layout = layout_of(pdu_opcode(pdu));

    if (!layout || !layout->from_target)
        return 0;
    for (int word = 0; word < 6; word++) {
        uint64_t set = get_be64(pdu->bhs + 8 * word) & layout->reserved[word];

        if (set)
            return 8 * word + __builtin_clzll(set) / 8;
    }
    return -1;
}

static void dump_bytes(GString *out, const char *label, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (i % 16 == 0)
            g_string_append_printf(out, "%s  %s %04zx:", i ? "\n" : "", label, i);
        g_string_append_printf(out, " %02x", p[i]);
    }
    g_string_append_c(out, '\n');
}

char *pdu_dump(const Pdu *pdu)
{
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "  %s, %u bytes of data\n", pdu_name(pdu_opcode(pdu)), pdu->len);
    dump_bytes(out, "bhs ", pdu->bhs, PDU_BHS);
    if (pdu->len)
        dump_bytes(out, "data", pdu->data, MIN(pdu->len, 128));
    return g_string_free(out, FALSE);
}

uint32_t pdu_crc32c(uint32_t seed, const void *data, size_t len)
{
    uint32_t crc = ~seed;

    for (const uint8_t *p = data; len;) {
        int piece = (int)MIN(len, 1U << 30);

        crc = crc32_iscsi((unsigned char *)p, piece, crc);
        p += piece;
        len -= (size_t)piece;
    }
    return ~crc;
}

void pdu_put_digest(uint8_t *p, uint32_t crc)
{
    /* Section 13.1: the digest goes out with its least significant byte first. */
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(crc >> (8 * i));
}
