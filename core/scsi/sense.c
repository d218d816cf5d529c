/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building sense data. */
#include "core/scsi/sense.h"

#include "core/base/bytes.h"

enum { FIXED_LEN = 18, FIXED_RESPONSE = 0x70, DESCRIPTOR_RESPONSE = 0x72, VALID = 0x80 };

/* Sense-key specific bytes of an ILLEGAL REQUEST: the field pointer (SPC-4 4.5.2.4.2). */
static void put_field_pointer(uint8_t p[3], const SenseField *field)
{
    p[0] = 0x80 | (field->in_cdb ? 0x40 : 0);
    if (field->bit >= 0)
        p[0] |= 0x08 | (field->bit & 7);
    put_be16(p + 1, (uint16_t)field->byte);
}

static unsigned build_fixed(uint8_t *out, SenseCode code, const SenseField *field)
{
    out[0] = FIXED_RESPONSE;
    out[2] = (uint8_t)(code >> 16);
    out[7] = FIXED_LEN - 8;
    out[12] = (uint8_t)(code >> 8);
    out[13] = (uint8_t)code;
    if (field)
        put_field_pointer(out + 15, field);
    return FIXED_LEN;
}

static unsigned build_descriptor(uint8_t *out, SenseCode code, const SenseField *field)
{
    out[0] = DESCRIPTOR_RESPONSE;
    out[1] = (uint8_t)(code >> 16);
    out[2] = (uint8_t)(code >> 8);
    out[3] = (uint8_t)code;
    if (!field)
        return 8;
    uint8_t *d = out + 8; /* sense-key specific descriptor */
    d[0] = 0x02;
    d[1] = 0x06;
    put_field_pointer(d + 4, field);
    out[7] = 8;
    return 16;
}

unsigned sense_build(uint8_t out[SENSE_MAX], bool descriptor, SenseCode code,
                     const SenseField *field)
{
    memset(out, 0, SENSE_MAX);
    if (field && field->byte < 0)
        field = NULL;
    return descriptor ? build_descriptor(out, code, field) : build_fixed(out, code, field);
}

unsigned sense_set_information(uint8_t out[SENSE_MAX], unsigned len, uint64_t information)
{
    if (out[0] == FIXED_RESPONSE) {
        if (information <= UINT32_MAX) { /* larger ones do not fit: the field stays not valid */
            out[0] |= VALID;
            put_be32(out + 3, (uint32_t)information);
        }
        return len;
    }
    uint8_t *d = out + len;
    d[0] = 0x00;
    d[1] = 0x0a;
    d[2] = VALID;
    put_be64(d + 4, information);
    out[7] += 12;
    return len + 12;
}

/* Behind the fixed part, where a byte of COMMAND-SPECIFIC INFORMATION points: the status, and the
 * sense data of the logical unit. */
static unsigned forward_fixed(uint8_t *out, unsigned len, SenseOrigin origin, SenseStatus said)
{
    uint8_t inner[SENSE_MAX];
    out[origin == SENSE_OF_SOURCE ? 8 : 9] = (uint8_t)len;
    out[len++] = said.status;
    if (said.status == SCSI_CHECK_CONDITION) {
        unsigned n = sense_build(inner, false, said.code, NULL);
        memcpy(out + len, inner, n);
        len += n;
    }
    out[7] = (uint8_t)(len - 8);
    return len;
}

/* A forwarded sense data descriptor. */
static unsigned forward_descriptor(uint8_t *out, unsigned len, SenseOrigin origin, SenseStatus said)
{
    uint8_t inner[SENSE_MAX], *d = out + len;
    unsigned n = 0;
    if (said.status == SCSI_CHECK_CONDITION)
        n = sense_build(inner, true, said.code, NULL);
    d[0] = 0x0c;
    d[1] = (uint8_t)(2 + n);
    d[2] = origin == SENSE_OF_SOURCE ? 0x01 : 0x02;
    d[3] = said.status;
    memcpy(d + 4, inner, n);
    out[7] = (uint8_t)(out[7] + 4 + n);
    return len + 4 + n;
}

unsigned sense_set_segment(uint8_t out[SENSE_MAX], unsigned len, uint16_t segment,
                           SenseOrigin origin, SenseStatus said)
{
    if (out[0] == DESCRIPTOR_RESPONSE) {
        uint8_t *d = out + len; /* command-specific information descriptor */
        d[0] = 0x01;
        d[1] = 0x0a;
        put_be16(d + 10, segment);
        out[7] += 12;
        len += 12;
        return said.status ? forward_descriptor(out, len, origin, said) : len;
    }
    put_be16(out + 10, segment);
    return said.status ? forward_fixed(out, len, origin, said) : len;
}

bool sense_has_progress(SenseCode code)
{
    return code == SENSE_FORMAT_IN_PROGRESS || code == SENSE_SANITIZE_IN_PROGRESS;
}

unsigned sense_set_progress(uint8_t out[SENSE_MAX], unsigned len, uint16_t progress)
{
    uint8_t *specific = out + 15;
    if (out[0] == DESCRIPTOR_RESPONSE) {
        uint8_t *d = out + len;
        d[0] = 0x02;
        d[1] = 0x06;
        specific = d + 4;
        out[7] += 8;
        len += 8;
    }
    specific[0] = 0x80; /* SKSV */
    put_be16(specific + 1, progress);
    return len;
}
