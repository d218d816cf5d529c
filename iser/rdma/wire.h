/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What iSER puts on the wire: the private data of the connection manager (IBTA annex A12) and the
 * header in front of every message (RFC 7145 section 9). Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- connection manager ------------------------------------------------------------------------
 */

#define ISER_CM_LEN 4

/* The initiator's capabilities, or what the target will make use of. */
typedef struct {
    bool zero_based;        /* addresses counted from the start of the STag */
    bool remote_invalidate; /* SEND with Invalidate */
} IserCm;

/* Private data of a REQ. What follows the header is padding or somebody else's. NULL, or what is
 * wrong with it. */
const char *iser_cm_decode(const uint8_t *data, size_t len, IserCm *out);
void iser_cm_encode(const IserCm *cm, uint8_t out[ISER_CM_LEN]); /* for a REP */

/* --- messages ----------------------------------------------------------------------------------
 */

#define ISER_HEADER_LEN 28

typedef enum {
    ISER_CONTROL = 0x1, /* an iSCSI PDU follows */
    ISER_HELLO = 0x2,
    ISER_HELLO_REPLY = 0x3,
} IserType;

typedef struct {
    unsigned type;
    bool write_valid, read_valid; /* WSV, RSV */
    uint32_t write_stag, read_stag;
    uint64_t write_base, read_base;
} IserHeader;

/* False: shorter than a header. STags that are not valid come as 0. */
bool iser_header_decode(const uint8_t *message, size_t len, IserHeader *out);
/* A target's header of a control-type PDU: it advertises nothing. */
void iser_header_encode(uint8_t out[ISER_HEADER_LEN]);
/* HelloReply that rejects the Hello (RFC 7145 9.4). */
void iser_hello_reject_encode(uint8_t out[ISER_HEADER_LEN]);

/* --- PDUs --------------------------------------------------------------------------------------
 */

/* Where the parts of a control-type PDU lie in a message. */
typedef struct {
    IserHeader header;
    const uint8_t *bhs, *ahs, *data;
    uint32_t ahs_len, data_len; /* bytes; the data's padding not included; may be 0 where the header
                                 * says more: none came, and the write STag covers it */
} IserMessage;

/* NULL, or why the message is none (then only header is set, where there is one). */
const char *iser_message_decode(const uint8_t *message, size_t len, IserMessage *out);

/* Makes the SCSI Response (RFC 7143 11.4) of the Data-In PDU with status (11.7) given as template.
 * Both are 48 bytes. */
void iser_response_from_data_in(const uint8_t *data_in, uint8_t *response);
