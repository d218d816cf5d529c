/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decoding of EXTENDED COPY's parameter list. */
#include "core/scsi/copy_list.h"

#include "core/base/bytes.h"

#include <glib.h>

enum { USAGE_RESERVED = 1, NUL = 0x20, DC = 0x02, CAT = 0x01 };

typedef struct {
    CopyList *list;
    const uint8_t *start; /* of the parameter list: fields are told relative to it */
    SenseField *field;
} Parse;

static SenseCode invalid(const Parse *p, const uint8_t *byte, int bit)
{
    p->field->byte = (int)(byte - p->start);
    p->field->bit = bit;
    return SENSE_INVALID_FIELD_IN_PARAMETER_LIST;
}

/* --- CSCD descriptors (SPC-4 6.4.5) ----------------------------------------------------------- */

/* LU ID TYPE means nothing here (SPC-4 6.4.5.1). NUL is obsolete, but whoever sets it wants nothing
 * to be sent there. */
static SenseCode parse_cscd(Parse *p, const uint8_t *d)
{
    CopyList *list = p->list;
    if (d[0] != COPY_IDENTIFICATION)
        return SENSE_UNSUPPORTED_CSCD_TYPE;
    if (list->ncscds == COPY_CSCDS_MAX)
        return SENSE_TOO_MANY_CSCDS;
    CopyCscd *cscd = &list->cscds[list->ncscds++];
    *cscd = (CopyCscd){.null = d[1] & NUL, .device_type = d[1] & 0x1f};
    if (cscd->null) /* bytes 4 to 27 are ignored */
        return SENSE_NO_SENSE;
    if (d[7] > sizeof cscd->id)
        return invalid(p, d + 7, 7);
    cscd->code_set = d[4] & 0x0f;
    cscd->type = d[5] & 0x3f;
    cscd->len = d[7];
    memcpy(cscd->id, d + 8, cscd->len);
    cscd->block_size = get_be24(d + 29);
    return SENSE_NO_SENSE;
}

static SenseCode parse_cscds(Parse *p, ByteReader *r)
{
    if (byte_reader_left(r) % COPY_CSCD_LEN != 0)
        return invalid(p, p->start + 2, 7);
    for (const uint8_t *d; byte_reader_left(r) > 0;) {
        d = byte_reader_take(r, COPY_CSCD_LEN);
        SenseCode code = parse_cscd(p, d);
        if (code)
            return code;
    }
    return SENSE_NO_SENSE;
}

/* --- segment descriptors (SPC-4 6.4.6) -------------------------------------------------------- */

static SenseCode parse_segment(Parse *p, ByteReader *r)
{
    CopyList *list = p->list;
    const uint8_t *d = r->at;
    uint8_t type = byte_reader_u8(r), flags = byte_reader_u8(r);
    if (type != COPY_BLOCK_TO_BLOCK)
        return SENSE_UNSUPPORTED_SEGMENT_TYPE;
    if (list->nsegments == COPY_SEGMENTS_MAX)
        return SENSE_TOO_MANY_SEGMENTS;
    uint16_t length = byte_reader_be16(r);
    CopySegment *s = &list->segments[list->nsegments++];
    s->destination_blocks = flags & DC;
    s->source = byte_reader_be16(r);
    s->destination = byte_reader_be16(r);
    byte_reader_be16(r);
    s->blocks = byte_reader_be16(r);
    s->source_lba = byte_reader_be64(r);
    s->destination_lba = byte_reader_be64(r);
    if (r->bad)
        return SENSE_PARAMETER_LIST_LENGTH_ERROR;
    if (flags & ~(DC | CAT))
        return invalid(p, d + 1, 7);
    if (length != COPY_SEGMENT_LEN - 4)
        return invalid(p, d + 2, 7);
    return SENSE_NO_SENSE;
}

static SenseCode parse_segments(Parse *p, ByteReader *r)
{
    while (byte_reader_left(r) > 0) {
        SenseCode code = parse_segment(p, r);
        if (code)
            return code;
    }
    return SENSE_NO_SENSE;
}

/* --- the header ------------------------------------------------------------------------------- */

static SenseCode parse_flags(Parse *p, uint8_t flags)
{
    CopyList *list = p->list;
    unsigned usage = flags >> 3 & 3; /* STR and PRIORITY ask for nothing that is not done anyway */
    if (flags & 0xc0)
        return invalid(p, p->start + 1, 7);
    if (usage == USAGE_RESERVED)
        return invalid(p, p->start + 1, 4);
    if (usage == COPY_ID_NONE && list->id != 0)
        return invalid(p, p->start, 7);
    list->usage = (CopyIdUsage)usage;
    return SENSE_NO_SENSE;
}

SenseCode copy_list_parse(CopyList *list, const uint8_t *data, size_t len, SenseField *field)
{
    Parse p = {.list = list, .start = data, .field = field};
    ByteReader r = byte_reader(data, len);
    *field = (SenseField){.byte = -1};
    list->ncscds = list->nsegments = 0;

    list->id = byte_reader_u8(&r);
    uint8_t flags = byte_reader_u8(&r);
    size_t cscds_len = byte_reader_be16(&r);
    byte_reader_be32(&r);
    size_t segments_len = byte_reader_be32(&r);
    uint32_t inline_len = byte_reader_be32(&r);
    if (r.bad)
        return SENSE_PARAMETER_LIST_LENGTH_ERROR;
    SenseCode code = parse_flags(&p, flags);
    if (code)
        return code;
    if (inline_len > 0)
        return SENSE_INLINE_DATA_LENGTH_EXCEEDED;
    if (cscds_len + segments_len > MIN(byte_reader_left(&r), COPY_DESCRIPTORS_LEN_MAX))
        return SENSE_PARAMETER_LIST_LENGTH_ERROR;

    ByteReader cscds = byte_reader(byte_reader_take(&r, cscds_len), cscds_len);
    ByteReader segments = byte_reader(byte_reader_take(&r, segments_len), segments_len);
    code = parse_cscds(&p, &cscds);
    return code ? code : parse_segments(&p, &segments);
}
