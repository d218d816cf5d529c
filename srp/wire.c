/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SRP coding. */
#include "srp/wire.h"

#include "core/base/bytes.h"

#include <glib.h>

/* login */
#define ACTION_MASK       0x03
#define ACTION_MULTI      0x01
#define LOGIN_LOSOLNT     0x10
#define LOGIN_CRSOLNT     0x20
#define LOGIN_AESOLNT     0x40
#define LOGIN_IMMEDIATE   0x80
#define FORMATS_SUPPORTED (SRP_FORMAT_DIRECT | SRP_FORMAT_INDIRECT)

/* commands */
#define SCSOLNT        0x02
#define UCSOLNT        0x04
#define ATTRIBUTE_MASK 0x07
#define AT_ATTRIBUTE   29 /* of an SRP_CMD */
#define CDB_LEN        16
#define CDB_REST_MASK  0xfc /* 4-byte words in bits 7..2, so these are bytes */

/* responses */
#define SOLNT           0x01
#define RSP_CODE_VALID  0x01
#define RSP_SENSE_VALID 0x02
#define RSP_OUT_OVER    0x04
#define RSP_OUT_UNDER   0x08
#define RSP_IN_OVER     0x10
#define RSP_IN_UNDER    0x20

enum { NO_DESCRIPTOR = 0, DIRECT = 1, INDIRECT = 2, IMMEDIATE = 3 };

/* --- login --------------------------------------------------------------------------------------
 */

static void take_port_id(ByteReader *r, uint8_t out[SRP_PORT_ID_LEN])
{
    const uint8_t *id = byte_reader_take(r, SRP_PORT_ID_LEN);
    if (id)
        memcpy(out, id, SRP_PORT_ID_LEN);
}

bool srp_login_decode(const uint8_t *data, size_t len, SrpLogin *out)
{
    *out = (SrpLogin){0};
    ByteReader r = byte_reader(data, len);
    out->tag = byte_reader_be64(&r);
    out->formats = byte_reader_be16(&r);
    uint8_t flags = byte_reader_u8(&r);
    uint8_t opcode = byte_reader_u8(&r);
    out->iu_len = byte_reader_be32(&r);
    take_port_id(&r, out->initiator);
    take_port_id(&r, out->target);
    out->immediate_offset = byte_reader_be16(&r);
    byte_reader_take(&r, 6);
    out->unknown_action = (flags & ACTION_MASK) > ACTION_MULTI;
    out->multichannel = (flags & ACTION_MASK) == ACTION_MULTI;
    out->immediate = flags & LOGIN_IMMEDIATE;
    out->solicit_logout = flags & LOGIN_LOSOLNT;
    out->solicit_credit = flags & LOGIN_CRSOLNT;
    out->solicit_event = flags & LOGIN_AESOLNT;
    return !r.bad && opcode == SRP_LOGIN_REQ;
}

void srp_login_rsp_encode(const SrpLoginRsp *rsp, uint8_t out[SRP_LOGIN_RSP_LEN])
{
    memset(out, 0, SRP_LOGIN_RSP_LEN);
    out[0] = SRP_LOGIN_RSP;
    put_be32(out + 4, rsp->credits);
    put_be64(out + 8, rsp->tag);
    put_be32(out + 16, rsp->max_in_len);
    put_be32(out + 20, rsp->max_out_len);
    put_be16(out + 24, FORMATS_SUPPORTED);
    out[26] = (uint8_t)(rsp->channels | (rsp->immediate ? LOGIN_IMMEDIATE : 0));
}

void srp_login_rej_encode(uint64_t tag, SrpRejReason reason, uint8_t out[SRP_LOGIN_REJ_LEN])
{
    memset(out, 0, SRP_LOGIN_REJ_LEN);
    out[0] = SRP_LOGIN_REJ;
    put_be32(out + 4, reason);
    put_be64(out + 8, tag);
    put_be16(out + 24, FORMATS_SUPPORTED);
}

const char *srp_rej_text(SrpRejReason reason)
{
    switch (reason) {
    case SRP_REJ_CANNOT_ESTABLISH:
        return "no channel can be established";
    case SRP_REJ_NO_RESOURCES:
        return "not enough receive memory";
    case SRP_REJ_IU_TOO_LONG:
        return "it wants to send longer information units than max-iu-length";
    case SRP_REJ_CANNOT_ASSOCIATE:
        return "no such target port, or the initiator is not allowed";
    case SRP_REJ_FORMAT:
        return "it requires a descriptor format that there is not";
    case SRP_REJ_MULTICHANNEL:
        return "unknown multichannel action";
    case SRP_REJ_CHANNEL_LIMIT:
        return "the session has max-channels channels";
    }
    return "unknown reason";
}

/* --- commands -----------------------------------------------------------------------------------
 */

static SrpDescriptor take_descriptor(ByteReader *r)
{
    SrpDescriptor d;
    d.address = byte_reader_be64(r);
    d.key = byte_reader_be32(r);
    d.len = byte_reader_be32(r);
    return d;
}

SrpDescriptor srp_buffer_descriptor(const SrpBuffer *buffer, unsigned i)
{
    g_assert(i < buffer->count && buffer->table);
    ByteReader r = byte_reader(buffer->table + (size_t)i * SRP_DESCRIPTOR_LEN, SRP_DESCRIPTOR_LEN);
    return take_descriptor(&r);
}

bool srp_buffer_set_table(SrpBuffer *buffer, const uint8_t *table)
{
    uint64_t sum = 0;
    buffer->table = table;
    for (unsigned i = 0; i < buffer->count; i++)
        sum += srp_buffer_descriptor(buffer, i).len;
    return sum == buffer->len;
}

/* One descriptor stands for a table of one. */
static bool take_direct(ByteReader *r, SrpBuffer *out)
{
    const uint8_t *table = byte_reader_take(r, SRP_DESCRIPTOR_LEN);
    if (!table)
        return false;
    out->count = 1;
    out->table = table;
    out->len = srp_buffer_descriptor(out, 0).len;
    return true;
}

/* Fewer descriptors in the IU than in the table: it has to be fetched as a whole. */
static bool take_indirect(ByteReader *r, unsigned in_iu, SrpBuffer *out)
{
    out->where = take_descriptor(r);
    out->len = byte_reader_be32(r);
    out->count = out->where.len / SRP_DESCRIPTOR_LEN;
    const uint8_t *table = byte_reader_take(r, (size_t)in_iu * SRP_DESCRIPTOR_LEN);
    if (!table || out->where.len % SRP_DESCRIPTOR_LEN != 0 || in_iu > out->count)
        return false;
    if (out->count == 0)
        return out->len == 0;
    return in_iu < out->count || srp_buffer_set_table(out, table);
}

static bool take_buffer(ByteReader *r, unsigned format, unsigned in_iu, SrpBuffer *out)
{
    if (format == DIRECT)
        return take_direct(r, out);
    return format != INDIRECT || take_indirect(r, in_iu, out);
}

/* The data lies at the agreed place, behind everything else. */
static bool take_immediate(const uint8_t *iu, size_t len, const uint8_t *end, unsigned offset,
                           SrpCommandIu *out)
{
    if (offset < (size_t)(end - iu) || offset > len || out->out.len > len - offset)
        return false;
    if (out->out.len > 0)
        out->immediate = iu + offset;
    return true;
}

uint8_t srp_command_attribute(const uint8_t *iu, size_t len)
{
    return len > AT_ATTRIBUTE ? iu[AT_ATTRIBUTE] & ATTRIBUTE_MASK : 0;
}

SrpIuError srp_command_decode(const uint8_t *iu, size_t len, unsigned immediate_offset,
                              SrpCommandIu *out)
{
    *out = (SrpCommandIu){0};
    ByteReader r = byte_reader(iu, len);
    byte_reader_u8(&r); /* opcode */
    uint8_t solicit = byte_reader_u8(&r);
    byte_reader_take(&r, 3);
    uint8_t formats = byte_reader_u8(&r);
    unsigned out_in_iu = byte_reader_u8(&r), in_in_iu = byte_reader_u8(&r);
    out->tag = byte_reader_be64(&r);
    byte_reader_take(&r, 4);
    out->lun = byte_reader_be64(&r);
    byte_reader_u8(&r);
    out->attribute = byte_reader_u8(&r) & ATTRIBUTE_MASK;
    byte_reader_u8(&r);
    out->cdb_rest_len = byte_reader_u8(&r) & CDB_REST_MASK;
    out->cdb = byte_reader_take(&r, CDB_LEN);
    out->solicit_success = solicit & SCSOLNT;
    out->solicit_failure = solicit & UCSOLNT;
    if (r.bad)
        return SRP_IU_SHORT;

    unsigned out_format = formats >> 4, in_format = formats & 0xf;
    if (out_format > (immediate_offset > 0 ? IMMEDIATE : INDIRECT))
        return SRP_IU_FORMAT_OUT;
    if (in_format > INDIRECT)
        return SRP_IU_FORMAT_IN;
    out->cdb_rest = byte_reader_take(&r, out->cdb_rest_len);
    if (out_format == IMMEDIATE)
        out->out.len = byte_reader_be32(&r);
    bool valid = take_buffer(&r, out_format, out_in_iu, &out->out) &&
                 take_buffer(&r, in_format, in_in_iu, &out->in) && !r.bad;
    if (valid && out_format == IMMEDIATE)
        valid = take_immediate(iu, len, r.at, immediate_offset, out);
    return valid ? SRP_IU_OK : SRP_IU_INVALID;
}

/* --- other requests -----------------------------------------------------------------------------
 */

bool srp_tsk_mgmt_decode(const uint8_t *iu, size_t len, SrpTskMgmt *out)
{
    *out = (SrpTskMgmt){0};
    ByteReader r = byte_reader(iu, len);
    byte_reader_u8(&r);
    uint8_t solicit = byte_reader_u8(&r);
    byte_reader_take(&r, 6);
    out->tag = byte_reader_be64(&r);
    byte_reader_take(&r, 4);
    out->lun = byte_reader_be64(&r);
    byte_reader_take(&r, 2);
    out->function = byte_reader_u8(&r);
    byte_reader_u8(&r);
    out->task_tag = byte_reader_be64(&r);
    byte_reader_take(&r, 8);
    out->solicit_success = solicit & SCSOLNT;
    out->solicit_failure = solicit & UCSOLNT;
    return !r.bad;
}

bool srp_tag_decode(const uint8_t *iu, size_t len, uint64_t *tag)
{
    ByteReader r = byte_reader(iu, len);
    byte_reader_take(&r, 8);
    *tag = byte_reader_be64(&r);
    return !r.bad;
}

/* --- what the target sends ----------------------------------------------------------------------
 */

static uint8_t residual_flags(const SrpResidual *residual, uint8_t over, uint8_t under)
{
    return residual->over ? over : residual->under ? under : 0;
}

size_t srp_rsp_encode(const SrpRsp *rsp, uint8_t out[SRP_RSP_MAX])
{
    memset(out, 0, SRP_RSP_LEN);
    out[0] = SRP_RSP;
    out[1] = rsp->solicited ? SOLNT : 0;
    put_be32(out + 4, rsp->credits);
    put_be64(out + 8, rsp->tag);
    out[18] = (uint8_t)((rsp->sense_len > 0 ? RSP_SENSE_VALID : 0) |
                        residual_flags(&rsp->out, RSP_OUT_OVER, RSP_OUT_UNDER) |
                        residual_flags(&rsp->in, RSP_IN_OVER, RSP_IN_UNDER));
    out[19] = rsp->status;
    put_be32(out + 20, rsp->out.count);
    put_be32(out + 24, rsp->in.count);
    put_be32(out + 28, rsp->sense_len);
    if (rsp->sense_len > 0)
        memcpy(out + SRP_RSP_LEN, rsp->sense, rsp->sense_len);
    return SRP_RSP_LEN + rsp->sense_len;
}

size_t srp_tmf_rsp_encode(uint64_t tag, uint32_t credits, bool solicited, SrpRspCode code,
                          uint8_t out[SRP_RSP_MAX])
{
    const SrpRsp plain = {.tag = tag, .credits = credits, .solicited = solicited};
    size_t len = srp_rsp_encode(&plain, out);
    out[18] = RSP_CODE_VALID;
    put_be32(out + 32, 4); /* response data */
    put_be32(out + len, code);
    return len + 4;
}

static void encode_request(SrpOpcode opcode, uint64_t tag, bool solicited, uint32_t value,
                           uint8_t *out)
{
    out[0] = (uint8_t)opcode;
    out[1] = solicited ? SOLNT : 0;
    out[2] = out[3] = 0;
    put_be32(out + 4, value);
    put_be64(out + 8, tag);
}

void srp_t_logout_encode(uint64_t tag, bool solicited, SrpLogoutReason reason,
                         uint8_t out[SRP_REQUEST_LEN])
{
    encode_request(SRP_T_LOGOUT, tag, solicited, reason, out);
}

void srp_cred_req_encode(uint64_t tag, bool solicited, uint32_t credits,
                         uint8_t out[SRP_REQUEST_LEN])
{
    encode_request(SRP_CRED_REQ, tag, solicited, credits, out);
}

size_t srp_aer_req_encode(uint64_t tag, bool solicited, uint32_t credits, uint64_t lun,
                          const uint8_t *sense, unsigned sense_len, uint8_t out[SRP_AER_REQ_MAX])
{
    encode_request(SRP_AER_REQ, tag, solicited, credits, out);
    put_be32(out + 16, 0);
    put_be64(out + 20, lun);
    put_be32(out + 28, sense_len);
    put_be32(out + 32, 0);
    memcpy(out + 36, sense, sense_len);
    return 36 + sense_len;
}
