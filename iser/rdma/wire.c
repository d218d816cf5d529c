/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iSER coding. */
#include "iser/rdma/wire.h"

#include "core/base/bytes.h"
#include "iser/iscsi/datamover.h"

#define CM_ZERO_BASED_NOT 0x80
#define CM_INVALIDATE_NOT 0x40
#define CM_RESERVED       0x3f

#define OPCODE_MASK  0x3f
#define SCSI_COMMAND 0x01

#define HEADER_WSV   0x08
#define HEADER_RSV   0x04
#define HELLO_REJ    0x01
#define HELLO_LEVELS 0xaa /* MaxVer and CurVer: 10, as RFC 7145 has it */

const char *iser_cm_decode(const uint8_t *data, size_t len, IserCm *out)
{
    *out = (IserCm){false, false};
    if (len == 0)
        return NULL; /* nothing said: nothing supported */
    ByteReader r = byte_reader(data, len);
    uint8_t flags = byte_reader_u8(&r);
    uint8_t reserved = byte_reader_u8(&r);
    reserved |= byte_reader_u8(&r);
    reserved |= byte_reader_u8(&r);
    if (r.bad)
        return "shorter than an iSER header";
    if ((flags & CM_RESERVED) || reserved)
        return "reserved bits of the iSER header are set";
    if (flags == 0) /* could be the padding of some devices: take it for nothing said */
        return NULL;
    out->zero_based = !(flags & CM_ZERO_BASED_NOT);
    out->remote_invalidate = !(flags & CM_INVALIDATE_NOT);
    return NULL;
}

void iser_cm_encode(const IserCm *cm, uint8_t out[ISER_CM_LEN])
{
    memset(out, 0, ISER_CM_LEN);
    out[0] = (uint8_t)((cm->zero_based ? 0 : CM_ZERO_BASED_NOT) |
                       (cm->remote_invalidate ? 0 : CM_INVALIDATE_NOT));
}

bool iser_header_decode(const uint8_t *message, size_t len, IserHeader *out)
{
    ByteReader r = byte_reader(message, len);
    const uint8_t *header = byte_reader_take(&r, ISER_HEADER_LEN);
    *out = (IserHeader){0};
    if (!header)
        return false;
    out->type = header[0] >> 4;
    out->write_valid = header[0] & HEADER_WSV;
    out->read_valid = header[0] & HEADER_RSV;
    if (out->write_valid) {
        out->write_stag = get_be32(header + 4);
        out->write_base = get_be64(header + 8);
    }
    if (out->read_valid) {
        out->read_stag = get_be32(header + 16);
        out->read_base = get_be64(header + 20);
    }
    return true;
}

void iser_header_encode(uint8_t out[ISER_HEADER_LEN])
{
    memset(out, 0, ISER_HEADER_LEN);
    out[0] = ISER_CONTROL << 4;
}

void iser_hello_reject_encode(uint8_t out[ISER_HEADER_LEN])
{
    memset(out, 0, ISER_HEADER_LEN);
    out[0] = ISER_HELLO_REPLY << 4 | HELLO_REJ;
    out[1] = HELLO_LEVELS;
}

/* libiscsi up to 1.19 agrees to immediate data, says how much there is, and sends none; its STag
 * covers everything. */
static bool lacks_promised_data(const IserMessage *m, size_t left)
{
    return (m->bhs[0] & OPCODE_MASK) == SCSI_COMMAND && m->header.write_valid && left == 0;
}

const char *iser_message_decode(const uint8_t *message, size_t len, IserMessage *out)
{
    *out = (IserMessage){0};
    if (!iser_header_decode(message, len, &out->header))
        return "message shorter than an iSER header";
    if (out->header.type == ISER_HELLO)
        return "iSER Hello, which was not asked for";
    if (out->header.type != ISER_CONTROL)
        return "unknown type of iSER message";
    ByteReader r = byte_reader(message + ISER_HEADER_LEN, len - ISER_HEADER_LEN);
    out->bhs = byte_reader_take(&r, ISCSI_BHS_LEN);
    if (!out->bhs)
        return "message shorter than its headers";
    out->ahs_len = (uint32_t)out->bhs[4] * 4;
    out->data_len = get_be24(out->bhs + 5);
    out->ahs = byte_reader_take(&r, out->ahs_len);
    if (!r.bad && lacks_promised_data(out, byte_reader_left(&r)))
        out->data_len = 0;
    out->data = byte_reader_take(&r, out->data_len);
    if (r.bad)
        return "message shorter than its PDU";
    if (byte_reader_left(&r) > 3)
        return "message longer than its PDU";
    return NULL;
}

enum { /* offsets in both PDUs */
       AT_FLAGS = 1,
       AT_RESPONSE = 2,
       AT_STATUS = 3,
       AT_ITT = 16,
       AT_STAT_SN = 24, /* with ExpCmdSN and MaxCmdSN behind it */
       AT_RESIDUAL = 44,
};
#define FLAG_FINAL     0x80
#define FLAGS_RESIDUAL 0x06 /* O and U, the same in both */

void iser_response_from_data_in(const uint8_t *data_in, uint8_t *response)
{
    memset(response, 0, ISCSI_BHS_LEN);
    response[0] = 0x21;
    response[AT_FLAGS] = FLAG_FINAL | (data_in[AT_FLAGS] & FLAGS_RESIDUAL);
    response[AT_RESPONSE] = 0; /* command completed at target */
    response[AT_STATUS] = data_in[AT_STATUS];
    memcpy(response + AT_ITT, data_in + AT_ITT, 4);
    memcpy(response + AT_STAT_SN, data_in + AT_STAT_SN, 12);
    memcpy(response + AT_RESIDUAL, data_in + AT_RESIDUAL, 4);
}
