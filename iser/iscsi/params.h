/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operational parameters of a session: values that were offered, configured or negotiated
 * (RFC 7143 section 13, RFC 7145 section 6, RFC 7144). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    ISCSI_DIGEST_NONE = 1,
    ISCSI_DIGEST_CRC32C = 2
} IscsiDigest; /* a set when offered */

typedef enum {
    ISCSI_REPORT_RFC3720 = 1,
    ISCSI_REPORT_RESPONSE_FENCE = 2,
    ISCSI_REPORT_FAST_ABORT = 4
} IscsiTaskReporting;

typedef struct {
    unsigned header_digest, data_digest; /* IscsiDigest: a set when offered, one when negotiated */
    bool initial_r2t, immediate_data;
    bool data_pdu_in_order, data_sequence_in_order;
    uint32_t max_connections, error_recovery_level;
    uint32_t max_burst_length, first_burst_length; /* bytes */
    uint32_t max_recv_data_segment_length;         /* ours: what we declare; bytes */
    uint32_t peer_max_recv_data_segment_length;    /* theirs: limit of what we send */
    uint32_t max_outstanding_r2t;
    uint32_t default_time2wait, default_time2retain; /* seconds */
    uint32_t iscsi_protocol_level;                   /* RFC 7144 */
    unsigned task_reporting; /* IscsiTaskReporting: a set when offered, one when negotiated */
    /* iSER */
    bool rdma_extensions;
    uint32_t initiator_recv_data_segment_length, target_recv_data_segment_length; /* bytes */
    uint32_t max_ahs_length;
    uint32_t max_outstanding_unexpected_pdus; /* 0: no limit declared */
    uint32_t peer_max_outstanding_unexpected_pdus;
    bool tagged_buffer_for_solicited_data_only;
    bool iser_hello_required;
    /* rtgt's own, not negotiated */
    uint32_t queue_depth;  /* most commands outstanding in one session */
    uint32_t nop_interval; /* seconds of silence before a NOP-In asks; 0: never */
    uint32_t nop_timeout;  /* seconds it may take to answer */
    uint32_t max_sessions, max_sessions_per_initiator; /* of the target; 0: no limit */
} IscsiParams;
