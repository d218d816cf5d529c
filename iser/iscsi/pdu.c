/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of iSCSI codes and the decoding of additional header segments. */
#include "iser/iscsi/pdu.h"

enum {
    AHS_EXTENDED_CDB = 1,
    AHS_READ_LENGTH = 2,
};

static const char *const opcode_names[0x40] = {
    [ISCSI_NOP_OUT] = "NOP-Out",
    [ISCSI_SCSI_COMMAND] = "SCSI Command",
    [ISCSI_TMF_REQUEST] = "Task Management Function Request",
    [ISCSI_LOGIN_REQUEST] = "Login Request",
    [ISCSI_TEXT_REQUEST] = "Text Request",
    [ISCSI_DATA_OUT] = "SCSI Data-Out",
    [ISCSI_LOGOUT_REQUEST] = "Logout Request",
    [ISCSI_SNACK_REQUEST] = "SNACK Request",
    [ISCSI_NOP_IN] = "NOP-In",
    [ISCSI_SCSI_RESPONSE] = "SCSI Response",
    [ISCSI_TMF_RESPONSE] = "Task Management Function Response",
    [ISCSI_LOGIN_RESPONSE] = "Login Response",
    [ISCSI_TEXT_RESPONSE] = "Text Response",
    [ISCSI_DATA_IN] = "SCSI Data-In",
    [ISCSI_LOGOUT_RESPONSE] = "Logout Response",
    [ISCSI_R2T] = "Ready To Transfer",
    [ISCSI_ASYNC_MESSAGE] = "Asynchronous Message",
    [ISCSI_REJECT] = "Reject",
};

static const struct {
    LoginStatus status;
    const char *name;
} login_status_names[] = {
    {LOGIN_SUCCESS, "success"},
    {LOGIN_TARGET_MOVED_TEMPORARILY, "target moved temporarily"},
    {LOGIN_TARGET_MOVED_PERMANENTLY, "target moved permanently"},
    {LOGIN_INITIATOR_ERROR, "initiator error"},
    {LOGIN_AUTHENTICATION_FAILURE, "authentication failure"},
    {LOGIN_AUTHORIZATION_FAILURE, "authorization failure"},
    {LOGIN_NOT_FOUND, "target not found"},
    {LOGIN_TARGET_REMOVED, "target removed"},
    {LOGIN_UNSUPPORTED_VERSION, "unsupported version"},
    {LOGIN_TOO_MANY_CONNECTIONS, "too many connections"},
    {LOGIN_MISSING_PARAMETER, "missing parameter"},
    {LOGIN_CANNOT_INCLUDE_IN_SESSION, "cannot include in session"},
    {LOGIN_SESSION_TYPE_NOT_SUPPORTED, "session type not supported"},
    {LOGIN_NO_SESSION, "session does not exist"},
    {LOGIN_INVALID_DURING_LOGIN, "invalid during login"},
    {LOGIN_TARGET_ERROR, "target error"},
    {LOGIN_SERVICE_UNAVAILABLE, "service unavailable"},
    {LOGIN_OUT_OF_RESOURCES, "out of resources"},
};

const char *pdu_opcode_name(uint8_t opcode)
{
    const char *name = opcode_names[opcode & PDU_OPCODE_MASK];
    return name ? name : "unknown opcode";
}

const char *login_status_name(LoginStatus status)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(login_status_names); i++)
        if (login_status_names[i].status == status)
            return login_status_names[i].name;
    return "unknown status";
}

/* Each segment: AHSLength (of the specific part, which starts at byte 3), AHSType, the specific
 * part, padding to four bytes. */
static bool decode_segment(ByteReader *r, PduAhs *out)
{
    uint16_t len = byte_reader_be16(r);
    uint8_t type = byte_reader_u8(r);
    const uint8_t *specific = byte_reader_take(r, len);
    if (!specific || !byte_reader_take(r, -(len + 3u) % 4))
        return false;
    if (type == AHS_EXTENDED_CDB) {
        if (len < 2)
            return false;
        out->extended_cdb = specific + 1;
        out->extended_cdb_len = len - 1u;
    } else if (type == AHS_READ_LENGTH) {
        if (len != 5)
            return false;
        out->has_read_length = true;
        out->read_length = get_be32(specific + 1);
    }
    return true;
}

bool pdu_decode_ahs(const uint8_t *ahs, size_t len, PduAhs *out)
{
    *out = (PduAhs){0};
    ByteReader r = byte_reader(ahs, len);
    while (byte_reader_left(&r))
        if (!decode_segment(&r, out))
            return false;
    return true;
}
