/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iSCSI protocol data units (RFC 7143 section 11): names for codes and for the fields of the basic
 * header segment, checked decoding of what follows it, and the frames of what a target sends. */
#pragma once

#include "core/base/bytes.h"
#include "iser/iscsi/datamover.h"

#include <glib.h>

/* --- codes -------------------------------------------------------------------------------------*/

typedef enum {
    ISCSI_NOP_OUT = 0x00,
    ISCSI_SCSI_COMMAND = 0x01,
    ISCSI_TMF_REQUEST = 0x02,
    ISCSI_LOGIN_REQUEST = 0x03,
    ISCSI_TEXT_REQUEST = 0x04,
    ISCSI_DATA_OUT = 0x05,
    ISCSI_LOGOUT_REQUEST = 0x06,
    ISCSI_SNACK_REQUEST = 0x10,
    ISCSI_NOP_IN = 0x20,
    ISCSI_SCSI_RESPONSE = 0x21,
    ISCSI_TMF_RESPONSE = 0x22,
    ISCSI_LOGIN_RESPONSE = 0x23,
    ISCSI_TEXT_RESPONSE = 0x24,
    ISCSI_DATA_IN = 0x25,
    ISCSI_LOGOUT_RESPONSE = 0x26,
    ISCSI_R2T = 0x31,
    ISCSI_ASYNC_MESSAGE = 0x32,
    ISCSI_REJECT = 0x3f,
} IscsiOpcode;

#define ISCSI_NO_TAG 0xffffffffu

/* Byte 0. */
#define PDU_IMMEDIATE   0x40
#define PDU_OPCODE_MASK 0x3f
/* Byte 1, by PDU. */
#define PDU_FINAL                   0x80
#define COMMAND_READ                0x40
#define COMMAND_WRITE               0x20
#define COMMAND_ATTR_MASK           0x07
#define RESPONSE_OVERFLOW           0x04
#define RESPONSE_UNDERFLOW          0x02
#define DATA_IN_STATUS              0x01
#define TEXT_CONTINUE               0x40
#define LOGIN_TRANSIT               0x80
#define LOGIN_CONTINUE              0x40
#define LOGIN_CSG(flags)            ((flags) >> 2 & 3)
#define LOGIN_NSG(flags)            ((flags)&3)
#define LOGIN_STAGES(current, next) ((current) << 2 | (next))
#define TMF_FUNCTION_MASK           0x7f
#define LOGOUT_REASON_MASK          0x7f

/* The login stages (RFC 7143 11.12.3). */
typedef enum {
    LOGIN_STAGE_SECURITY = 0,
    LOGIN_STAGE_OPERATIONAL = 1,
    LOGIN_STAGE_RESERVED = 2,
    LOGIN_STAGE_FULL_FEATURE = 3,
} LoginStage;

/* Reject reasons (11.17.1). */
typedef enum {
    REJECT_DATA_DIGEST = 0x02,
    REJECT_SNACK = 0x03,
    REJECT_PROTOCOL_ERROR = 0x04,
    REJECT_NOT_SUPPORTED = 0x05,
    REJECT_TOO_MANY_IMMEDIATE = 0x06,
    REJECT_TASK_IN_PROGRESS = 0x07,
    REJECT_INVALID_DATA_ACK = 0x08,
    REJECT_INVALID_PDU_FIELD = 0x09,
    REJECT_LONG_OPERATION = 0x0a,
    REJECT_WAITING_FOR_LOGOUT = 0x0c,
} RejectReason;

/* Status-Class and Status-Detail of a Login Response in one number (11.13.5). */
typedef enum {
    LOGIN_SUCCESS = 0x0000,
    LOGIN_TARGET_MOVED_TEMPORARILY = 0x0101,
    LOGIN_TARGET_MOVED_PERMANENTLY = 0x0102,
    LOGIN_INITIATOR_ERROR = 0x0200,
    LOGIN_AUTHENTICATION_FAILURE = 0x0201,
    LOGIN_AUTHORIZATION_FAILURE = 0x0202,
    LOGIN_NOT_FOUND = 0x0203,
    LOGIN_TARGET_REMOVED = 0x0204,
    LOGIN_UNSUPPORTED_VERSION = 0x0205,
    LOGIN_TOO_MANY_CONNECTIONS = 0x0206,
    LOGIN_MISSING_PARAMETER = 0x0207,
    LOGIN_CANNOT_INCLUDE_IN_SESSION = 0x0208,
    LOGIN_SESSION_TYPE_NOT_SUPPORTED = 0x0209,
    LOGIN_NO_SESSION = 0x020a,
    LOGIN_INVALID_DURING_LOGIN = 0x020b,
    LOGIN_TARGET_ERROR = 0x0300,
    LOGIN_SERVICE_UNAVAILABLE = 0x0301,
    LOGIN_OUT_OF_RESOURCES = 0x0302,
} LoginStatus;

/* Task management (11.5.1, RFC 7144 5.1) and its answers (11.6.1). */
typedef enum {
    ISCSI_TMF_ABORT_TASK = 1,
    ISCSI_TMF_ABORT_TASK_SET = 2,
    ISCSI_TMF_CLEAR_ACA = 3,
    ISCSI_TMF_CLEAR_TASK_SET = 4,
    ISCSI_TMF_LOGICAL_UNIT_RESET = 5,
    ISCSI_TMF_TARGET_WARM_RESET = 6,
    ISCSI_TMF_TARGET_COLD_RESET = 7,
    ISCSI_TMF_TASK_REASSIGN = 8,
    ISCSI_TMF_QUERY_TASK = 9,
    ISCSI_TMF_QUERY_TASK_SET = 10,
    ISCSI_TMF_I_T_NEXUS_RESET = 11,
    ISCSI_TMF_QUERY_ASYNC_EVENT = 12,
} IscsiTmf;

typedef enum {
    TMF_RESPONSE_COMPLETE = 0,
    TMF_RESPONSE_NO_TASK = 1,
    TMF_RESPONSE_NO_LUN = 2,
    TMF_RESPONSE_STILL_ALLEGIANT = 3,
    TMF_RESPONSE_NO_REASSIGN = 4,
    TMF_RESPONSE_NOT_SUPPORTED = 5,
    TMF_RESPONSE_NOT_AUTHORIZED = 6,
    TMF_RESPONSE_SUCCEEDED = 7,
    TMF_RESPONSE_REJECTED = 255,
} IscsiTmfResponse;

/* Logout (11.14.1, 11.15.1). */
typedef enum {
    LOGOUT_CLOSE_SESSION = 0,
    LOGOUT_CLOSE_CONNECTION = 1,
    LOGOUT_FOR_RECOVERY = 2,
} LogoutReason;

typedef enum {
    LOGOUT_CLOSED = 0,
    LOGOUT_NO_CONNECTION = 1,
    LOGOUT_NO_RECOVERY = 2,
    LOGOUT_CLEANUP_FAILED = 3,
} LogoutResponse;

/* Asynchronous messages (11.9.1). */
typedef enum {
    ASYNC_SCSI_EVENT = 0,
    ASYNC_LOGOUT_REQUEST = 1,
    ASYNC_CONNECTION_DROP = 2,
    ASYNC_SESSION_DROP = 3,
    ASYNC_NEGOTIATION_REQUEST = 4,
} AsyncEvent;

/* --- serial numbers (RFC 1982, RFC 7143 4.2.2) -------------------------------------------------*/

static inline bool serial_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* --- fields --------------------------------------------------------------------------------------
 * Offsets in the basic header segment; those used by one PDU alone carry its name. */
enum {
    PDU_FLAGS = 1,
    PDU_LUN = 8,
    PDU_ITT = 16,
    PDU_TTT = 20,
    PDU_CMD_SN = 24,      /* requests */
    PDU_STAT_SN = 24,     /* responses */
    PDU_EXP_STAT_SN = 28, /* requests */
    PDU_EXP_CMD_SN = 28,  /* responses */
    PDU_MAX_CMD_SN = 32,
    COMMAND_EDTL = 20,
    COMMAND_CDB = 32,
    RESPONSE_RESPONSE = 2,
    RESPONSE_STATUS = 3,
    RESPONSE_EXP_DATA_SN = 36,
    RESPONSE_RESIDUAL = 44,
    DATA_SN = 36,
    DATA_OFFSET = 40,
    DATA_IN_RESIDUAL = 44,
    TMF_REFERENCED_TAG = 20,
    TMF_REF_CMD_SN = 32,
    TMF_RESPONSE_CODE = 2,
    LOGIN_VERSION_MAX = 2,
    LOGIN_VERSION_MIN = 3, /* a response: the active version */
    LOGIN_ISID = 8,
    LOGIN_TSIH = 14,
    LOGIN_CID = 20,
    LOGIN_STATUS = 36,
    LOGOUT_CID = 20,
    LOGOUT_RESPONSE_CODE = 2,
    LOGOUT_TIME2WAIT = 40,
    LOGOUT_TIME2RETAIN = 42,
    ASYNC_EVENT = 36,
    ASYNC_PARAMETER1 = 38,
    ASYNC_PARAMETER2 = 40,
    ASYNC_PARAMETER3 = 42,
    REJECT_REASON = 2,
};

static inline IscsiOpcode pdu_opcode(const uint8_t *bhs)
{
    return (IscsiOpcode)(bhs[0] & PDU_OPCODE_MASK);
}

static inline bool pdu_immediate(const uint8_t *bhs)
{
    return bhs[0] & PDU_IMMEDIATE;
}

static inline bool pdu_final(const uint8_t *bhs)
{
    return bhs[PDU_FLAGS] & PDU_FINAL;
}

static inline uint64_t pdu_lun(const uint8_t *bhs)
{
    return get_be64(bhs + PDU_LUN);
}

static inline uint32_t pdu_itt(const uint8_t *bhs)
{
    return get_be32(bhs + PDU_ITT);
}

static inline uint32_t pdu_ttt(const uint8_t *bhs)
{
    return get_be32(bhs + PDU_TTT);
}

static inline uint32_t pdu_cmd_sn(const uint8_t *bhs)
{
    return get_be32(bhs + PDU_CMD_SN);
}

static inline uint32_t pdu_exp_stat_sn(const uint8_t *bhs)
{
    return get_be32(bhs + PDU_EXP_STAT_SN);
}

/* For messages; never NULL. */
const char *pdu_opcode_name(uint8_t opcode);
const char *login_status_name(LoginStatus status);

/* --- additional header segments (11.2.2) -------------------------------------------------------*/

typedef struct {
    const uint8_t *extended_cdb; /* bytes 16.. of the CDB, or NULL */
    uint32_t extended_cdb_len;
    bool has_read_length; /* bidirectional: expected read data length */
    uint32_t read_length;
} PduAhs;

/* Walks the segments; unknown types are passed over. False: malformed. Pure. */
bool pdu_decode_ahs(const uint8_t *ahs, size_t len, PduAhs *out);

/* --- frames of what a target sends -------------------------------------------------------------*/

/* Zeroes the header and sets opcode, F and ITT. */
static inline void pdu_begin(uint8_t bhs[ISCSI_BHS_LEN], IscsiOpcode opcode, uint8_t flags,
                             uint32_t itt)
{
    memset(bhs, 0, ISCSI_BHS_LEN);
    bhs[0] = (uint8_t)opcode;
    bhs[PDU_FLAGS] = flags;
    put_be32(bhs + PDU_ITT, itt);
}
