/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What SRP puts on the wire (T10 SRP r16a section 6; immediate data: SRP-2): the information units
 * and the logins that travel in the private data of the connection manager. Decoders never read
 * beyond the bytes they are given, and leave `out` complete in any case. Pure, any thread. */
#pragma once

#include "core/scsi/sense.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRP_PORT_ID_LEN 16

typedef enum {
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
} SrpOpcode;

/* Buffer descriptor formats, as a login names them. */
enum { SRP_FORMAT_DIRECT = 0x02, SRP_FORMAT_INDIRECT = 0x04 };

/* --- login --------------------------------------------------------------------------------------
 */

#define SRP_IMMEDIATE_LEAST (48 + 4) /* offset of immediate data: a command and its length */
#define SRP_LOGIN_LEN       56       /* the form of the RDMA connection manager */
#define SRP_LOGIN_RSP_LEN   52
#define SRP_LOGIN_REJ_LEN   32

typedef struct {
    uint64_t tag;
    uint16_t formats;    /* SRP_FORMAT_... the initiator requires */
    bool unknown_action; /* the multichannel action code is a reserved one */
    bool multichannel;   /* keep the other channels of the nexus; false: terminate them */
    bool immediate;      /* wants to send data-out in the command IU */
    bool solicit_logout, solicit_credit, solicit_event; /* LOSOLNT, CRSOLNT, AESOLNT */
    uint32_t iu_len;                                    /* longest IU it will send; bytes */
    uint16_t immediate_offset;                          /* of the data in the IU */
    uint8_t initiator[SRP_PORT_ID_LEN], target[SRP_PORT_ID_LEN];
} SrpLogin;

/* False: no login of this form. What follows it is padding. */
bool srp_login_decode(const uint8_t *data, size_t len, SrpLogin *out);

typedef enum {
    SRP_CHANNELS_NONE = 0,       /* there were no others */
    SRP_CHANNELS_TERMINATED = 1, /* this is the only one now */
    SRP_CHANNELS_MAINTAINED = 2,
} SrpChannels;

typedef struct {
    uint64_t tag;
    uint32_t credits;                 /* REQUEST LIMIT DELTA */
    uint32_t max_in_len, max_out_len; /* IUs to and from the target; bytes */
    SrpChannels channels;
    bool immediate;
} SrpLoginRsp;
void srp_login_rsp_encode(const SrpLoginRsp *rsp, uint8_t out[SRP_LOGIN_RSP_LEN]);

typedef enum {
    SRP_REJ_CANNOT_ESTABLISH = 0x10000,
    SRP_REJ_NO_RESOURCES = 0x10001,
    SRP_REJ_IU_TOO_LONG = 0x10002,
    SRP_REJ_CANNOT_ASSOCIATE = 0x10003,
    SRP_REJ_FORMAT = 0x10004,
    SRP_REJ_MULTICHANNEL = 0x10005,
    SRP_REJ_CHANNEL_LIMIT = 0x10006,
} SrpRejReason;
void srp_login_rej_encode(uint64_t tag, SrpRejReason reason, uint8_t out[SRP_LOGIN_REJ_LEN]);
const char *srp_rej_text(SrpRejReason reason);

/* --- commands -----------------------------------------------------------------------------------
 */

#define SRP_DESCRIPTOR_LEN 16

typedef struct {
    uint64_t address;
    uint32_t key, len;
} SrpDescriptor;

/* The initiator's memory for the data of one direction. */
typedef struct {
    uint32_t len;         /* bytes of all */
    unsigned count;       /* descriptors; 0 and len > 0: immediate data */
    const uint8_t *table; /* of them, as they were sent; NULL: `where` has to be fetched */
    SrpDescriptor where;  /* the table in the initiator's memory */
} SrpBuffer;

enum { SRP_ATTRIBUTE_ORDERED = 2 };

typedef struct {
    uint64_t tag, lun;
    uint8_t attribute;                     /* TASK ATTRIBUTE; SRP_ATTRIBUTE_ORDERED */
    bool solicit_success, solicit_failure; /* SCSOLNT, UCSOLNT */
    const uint8_t *cdb, *cdb_rest;         /* 16 bytes; cdb_rest_len bytes */
    unsigned cdb_rest_len;
    SrpBuffer out, in;
    const uint8_t *immediate; /* out.len bytes; NULL: none */
} SrpCommandIu;

typedef enum {
    SRP_IU_OK,
    SRP_IU_SHORT,      /* not even the fixed part is there: only the tag may be valid */
    SRP_IU_FORMAT_OUT, /* a format that is not supported, of data-out or data-in */
    SRP_IU_FORMAT_IN,
    SRP_IU_INVALID, /* lengths or counts contradict each other or the IU */
} SrpIuError;

/* Pointers in `out` are into the IU. immediate_offset: as agreed in the login, 0: not agreed. */
SrpIuError srp_command_decode(const uint8_t *iu, size_t len, unsigned immediate_offset,
                              SrpCommandIu *out);
/* Its TASK ATTRIBUTE alone; 0 where the IU is too short to have one. */
uint8_t srp_command_attribute(const uint8_t *iu, size_t len);
/* The descriptors of a table that was fetched; false: they are not of buffer->len bytes. */
bool srp_buffer_set_table(SrpBuffer *buffer, const uint8_t *table);
/* i < buffer->count, and there is a table. */
SrpDescriptor srp_buffer_descriptor(const SrpBuffer *buffer, unsigned i);

/* --- other requests of the initiator ------------------------------------------------------------
 */

enum {
    SRP_TMF_ABORT_TASK = 0x01,
    SRP_TMF_ABORT_TASK_SET = 0x02,
    SRP_TMF_CLEAR_TASK_SET = 0x04,
    SRP_TMF_LUN_RESET = 0x08,
    SRP_TMF_TARGET_RESET = 0x20, /* of r10 */
    SRP_TMF_CLEAR_ACA = 0x40,
};

typedef struct {
    uint64_t tag, lun, task_tag;
    uint8_t function;
    bool solicit_success, solicit_failure;
} SrpTskMgmt;
bool srp_tsk_mgmt_decode(const uint8_t *iu, size_t len, SrpTskMgmt *out); /* false: too short */

/* The tag of an I_LOGOUT, CRED_RSP or AER_RSP; false: too short. */
bool srp_tag_decode(const uint8_t *iu, size_t len, uint64_t *tag);

/* --- what the target sends ----------------------------------------------------------------------
 */

#define SRP_RSP_LEN     36
#define SRP_RSP_MAX     (SRP_RSP_LEN + 4 + SENSE_MAX)
#define SRP_REQUEST_LEN 16 /* CRED_REQ and T_LOGOUT */
#define SRP_AER_REQ_MAX (36 + SENSE_MAX)

/* How much less (under) or more (over) a command moved than it was offered; bytes. */
typedef struct {
    bool over, under;
    uint32_t count;
} SrpResidual;

typedef struct {
    uint64_t tag;
    uint32_t credits;
    bool solicited;
    uint8_t status;
    SrpResidual out, in;
    const uint8_t *sense;
    unsigned sense_len;
} SrpRsp;
size_t srp_rsp_encode(const SrpRsp *rsp, uint8_t out[SRP_RSP_MAX]);

typedef enum {
    SRP_TMF_DONE = 0x00, /* also: no failure */
    SRP_TMF_FIELDS_INVALID = 0x02,
    SRP_TMF_NOT_SUPPORTED = 0x04,
    SRP_TMF_FAILED = 0x05,
} SrpRspCode;
/* The answer to a TSK_MGMT; returns its length. */
size_t srp_tmf_rsp_encode(uint64_t tag, uint32_t credits, bool solicited, SrpRspCode code,
                          uint8_t out[SRP_RSP_MAX]);

typedef enum {
    SRP_LOGOUT_NO_REASON = 0,
    SRP_LOGOUT_INACTIVE = 1,
    SRP_LOGOUT_UNKNOWN_IU = 2,
    SRP_LOGOUT_UNASKED_RESPONSE = 3,
    SRP_LOGOUT_OTHER_CHANNEL = 4, /* the multichannel action of a new login */
    SRP_LOGOUT_FORMAT_OUT = 6,
    SRP_LOGOUT_FORMAT_IN = 7,
} SrpLogoutReason;
void srp_t_logout_encode(uint64_t tag, bool solicited, SrpLogoutReason reason,
                         uint8_t out[SRP_REQUEST_LEN]);
void srp_cred_req_encode(uint64_t tag, bool solicited, uint32_t credits,
                         uint8_t out[SRP_REQUEST_LEN]);
/* Returns the length; sense_len <= SENSE_MAX. */
size_t srp_aer_req_encode(uint64_t tag, bool solicited, uint32_t credits, uint64_t lun,
                          const uint8_t *sense, unsigned sense_len, uint8_t out[SRP_AER_REQ_MAX]);
