/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Information units of SRP (T10 SRP r16a section 6), and what SRP-2 adds for immediate data. */
#pragma once

enum {
    SRP_LOGIN_REQ = 0x00,
    SRP_TSK_MGMT = 0x01,
    SRP_CMD = 0x02,
    SRP_I_LOGOUT = 0x03,
    SRP_CRED_RSP = 0x41,
    SRP_AER_RSP = 0x42,
    SRP_T_LOGOUT = 0x80,
    SRP_CRED_REQ = 0x81,
    SRP_AER_REQ = 0x82,
    SRP_LOGIN_RSP = 0xc0,
    SRP_RSP = 0xc1,
    SRP_LOGIN_REJ = 0xc2,
};

/* Lengths of the fixed parts; bytes. */
enum {
    SRP_LOGIN_LEN = 56, /* the form of the RDMA connection manager */
    SRP_LOGIN_RSP_LEN = 52,
    SRP_LOGIN_REJ_LEN = 32,
    SRP_CMD_LEN = 48,
    SRP_TSK_MGMT_LEN = 48,
    SRP_RSP_LEN = 36,
    SRP_AER_REQ_LEN = 36,
    SRP_SHORT_LEN = 16, /* of all the others */
    SRP_DESCRIPTOR = 16,
    SRP_INDIRECT = 20, /* table descriptor and total length */
};

/* The login: required formats, and flags. */
enum { SRP_REQUIRE_DIRECT = 0x02, SRP_REQUIRE_INDIRECT = 0x04 };
enum {
    SRP_MULTICHANNEL = 0x01,
    SRP_LOSOLNT = 0x10,
    SRP_CRSOLNT = 0x20,
    SRP_AESOLNT = 0x40,
    SRP_IMMEDIATE = 0x80
};
enum { SRP_CHANNELS_NONE = 0, SRP_CHANNELS_TERMINATED = 1, SRP_CHANNELS_MAINTAINED = 2 };

enum {
    SRP_REJ_CANNOT_ESTABLISH = 0x10000,
    SRP_REJ_NO_RESOURCES = 0x10001,
    SRP_REJ_IU_TOO_LONG = 0x10002,
    SRP_REJ_CANNOT_ASSOCIATE = 0x10003,
    SRP_REJ_FORMAT = 0x10004,
    SRP_REJ_UNKNOWN_ACTION = 0x10005,
    SRP_REJ_CHANNEL_LIMIT = 0x10006,
};

/* Where an SRP_CMD or SRP_TSK_MGMT has what. */
enum {
    SRP_AT_SOLICIT = 1,
    SRP_AT_CREDITS = 4, /* of what the target sends; of an SRP_T_LOGOUT its reason */
    SRP_AT_FORMATS = 5,
    SRP_AT_OUT_COUNT = 6,
    SRP_AT_IN_COUNT = 7,
    SRP_AT_TAG = 8,
    SRP_AT_LUN = 20,
    SRP_AT_ATTRIBUTE = 29,
    SRP_AT_FUNCTION = 30,
    SRP_AT_CDB_MORE = 31, /* additional words, from bit 2 on */
    SRP_AT_CDB = 32,
    SRP_AT_SUBJECT = 32,
};

enum {
    SRP_NO_BUFFER = 0,
    SRP_DIRECT_BUFFER = 1,
    SRP_INDIRECT_BUFFER = 2,
    SRP_IMMEDIATE_BUFFER = 3
};
enum { SRP_SCSOLNT = 0x02, SRP_UCSOLNT = 0x04 };
enum { SRP_SOLNT = 0x01 };

enum { SRP_SIMPLE = 0, SRP_HEAD_OF_QUEUE = 1, SRP_ORDERED = 2 };

enum {
    SRP_ABORT_TASK = 0x01,
    SRP_ABORT_TASK_SET = 0x02,
    SRP_CLEAR_TASK_SET = 0x04,
    SRP_LUN_RESET = 0x08,
    SRP_CLEAR_ACA = 0x40,
};

/* SRP_RSP. */
enum {
    SRP_AT_RSP_FLAGS = 18,
    SRP_AT_STATUS = 19,
    SRP_AT_OUT_RESIDUAL = 20,
    SRP_AT_IN_RESIDUAL = 24
};
enum { SRP_AT_SENSE_LEN = 28, SRP_AT_RESPONSE_LEN = 32 };
enum {
    SRP_RSPVALID = 0x01,
    SRP_SNSVALID = 0x02,
    SRP_DOOVER = 0x04,
    SRP_DOUNDER = 0x08,
    SRP_DIOVER = 0x10,
    SRP_DIUNDER = 0x20,
};
enum {
    SRP_NO_FAILURE = 0,
    SRP_FIELDS_INVALID = 2,
    SRP_FUNCTION_NOT_SUPPORTED = 4,
    SRP_FUNCTION_FAILED = 5
};

enum {
    SRP_LOGOUT_INACTIVE = 1,
    SRP_LOGOUT_UNKNOWN_IU = 2,
    SRP_LOGOUT_UNASKED_RESPONSE = 3,
    SRP_LOGOUT_OTHER_CHANNEL = 4,
    SRP_LOGOUT_FORMAT_OUT = 6,
    SRP_LOGOUT_FORMAT_IN = 7,
};
