/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SCSI status codes, sense keys, additional sense codes, and sense data in both formats (SPC-4
 * 4.5). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENSE_MAX 64

enum {
    SCSI_GOOD = 0x00,
    SCSI_CHECK_CONDITION = 0x02,
    SCSI_CONDITION_MET = 0x04,
    SCSI_BUSY = 0x08,
    SCSI_RESERVATION_CONFLICT = 0x18,
    SCSI_TASK_SET_FULL = 0x28,
    SCSI_ACA_ACTIVE = 0x30,
    SCSI_TASK_ABORTED = 0x40,
};

/* Sense key, ASC and ASCQ in one number: 0xKKAAQQ. The names are those of SPC-4 annex E. */
typedef uint32_t SenseCode;
#define SENSE_CODE(key, asc, ascq) ((SenseCode)((key) << 16 | (asc) << 8 | (ascq)))
enum {
    SENSE_NO_SENSE = SENSE_CODE(0x0, 0x00, 0x00),
    SENSE_NOT_READY = SENSE_CODE(0x2, 0x04, 0x00),
    SENSE_START_REQUIRED = SENSE_CODE(0x2, 0x04, 0x02),
    SENSE_PORT_TRANSITION = SENSE_CODE(0x2, 0x04, 0x0a),
    SENSE_PORT_STANDBY = SENSE_CODE(0x2, 0x04, 0x0b),
    SENSE_PORT_UNAVAILABLE = SENSE_CODE(0x2, 0x04, 0x0c),
    SENSE_LUN_OFFLINE = SENSE_CODE(0x2, 0x04, 0x12),
    SENSE_FORMAT_IN_PROGRESS = SENSE_CODE(0x2, 0x04, 0x04),
    SENSE_SANITIZE_IN_PROGRESS = SENSE_CODE(0x2, 0x04, 0x1b),
    SENSE_MEDIUM_NOT_PRESENT = SENSE_CODE(0x2, 0x3a, 0x00),
    SENSE_WRITE_ERROR = SENSE_CODE(0x3, 0x0c, 0x02),
    SENSE_READ_ERROR = SENSE_CODE(0x3, 0x11, 0x00),
    SENSE_FORMAT_CORRUPT = SENSE_CODE(0x3, 0x31, 0x00),
    SENSE_FORMAT_FAILED = SENSE_CODE(0x3, 0x31, 0x01),
    SENSE_SANITIZE_FAILED = SENSE_CODE(0x3, 0x31, 0x03),
    SENSE_SELF_TEST_FAILED = SENSE_CODE(0x4, 0x3e, 0x03),
    SENSE_INTERNAL_TARGET_FAILURE = SENSE_CODE(0x4, 0x44, 0x00),
    SENSE_OPERATION_IN_PROGRESS = SENSE_CODE(0x5, 0x00, 0x16),
    SENSE_PARAMETER_LIST_LENGTH_ERROR = SENSE_CODE(0x5, 0x1a, 0x00),
    SENSE_INVALID_OPCODE = SENSE_CODE(0x5, 0x20, 0x00),
    SENSE_LBA_OUT_OF_RANGE = SENSE_CODE(0x5, 0x21, 0x00),
    SENSE_INVALID_FIELD_IN_CDB = SENSE_CODE(0x5, 0x24, 0x00),
    SENSE_LUN_NOT_SUPPORTED = SENSE_CODE(0x5, 0x25, 0x00),
    SENSE_INVALID_FIELD_IN_PARAMETER_LIST = SENSE_CODE(0x5, 0x26, 0x00),
    SENSE_INVALID_RELEASE = SENSE_CODE(0x5, 0x26, 0x04),
    SENSE_TOO_MANY_CSCDS = SENSE_CODE(0x5, 0x26, 0x06),
    SENSE_UNSUPPORTED_CSCD_TYPE = SENSE_CODE(0x5, 0x26, 0x07),
    SENSE_TOO_MANY_SEGMENTS = SENSE_CODE(0x5, 0x26, 0x08),
    SENSE_UNSUPPORTED_SEGMENT_TYPE = SENSE_CODE(0x5, 0x26, 0x09),
    SENSE_INLINE_DATA_LENGTH_EXCEEDED = SENSE_CODE(0x5, 0x26, 0x0b),
    SENSE_SAVING_NOT_SUPPORTED = SENSE_CODE(0x5, 0x39, 0x00),
    SENSE_INVALID_MESSAGE = SENSE_CODE(0x5, 0x49, 0x00),
    SENSE_INSUFFICIENT_REGISTRATION_RESOURCES = SENSE_CODE(0x5, 0x55, 0x04),
    SENSE_INVALID_FIELD_IN_IU = SENSE_CODE(0x5, 0x0e, 0x03),
    SENSE_REMOVAL_PREVENTED = SENSE_CODE(0x5, 0x53, 0x02),
    SENSE_MEDIUM_CHANGED = SENSE_CODE(0x6, 0x28, 0x00),
    SENSE_POWER_ON_RESET = SENSE_CODE(0x6, 0x29, 0x00),
    SENSE_BUS_RESET = SENSE_CODE(0x6, 0x29, 0x02),
    SENSE_DEVICE_RESET = SENSE_CODE(0x6, 0x29, 0x03),
    SENSE_NEXUS_LOSS = SENSE_CODE(0x6, 0x29, 0x07),
    SENSE_MODE_PARAMETERS_CHANGED = SENSE_CODE(0x6, 0x2a, 0x01),
    SENSE_LOG_PARAMETERS_CHANGED = SENSE_CODE(0x6, 0x2a, 0x02),
    SENSE_ALUA_STATE_CHANGED = SENSE_CODE(0x6, 0x2a, 0x06),
    SENSE_CAPACITY_CHANGED = SENSE_CODE(0x6, 0x2a, 0x09),
    SENSE_RESERVATIONS_PREEMPTED = SENSE_CODE(0x6, 0x2a, 0x03),
    SENSE_RESERVATIONS_RELEASED = SENSE_CODE(0x6, 0x2a, 0x04),
    SENSE_REGISTRATIONS_PREEMPTED = SENSE_CODE(0x6, 0x2a, 0x05),
    SENSE_COMMANDS_CLEARED = SENSE_CODE(0x6, 0x2f, 0x00),
    SENSE_INQUIRY_DATA_CHANGED = SENSE_CODE(0x6, 0x3f, 0x03),
    SENSE_LUNS_CHANGED = SENSE_CODE(0x6, 0x3f, 0x0e),
    SENSE_WRITE_PROTECTED = SENSE_CODE(0x7, 0x27, 0x00),
    SENSE_SPACE_ALLOCATION_FAILED = SENSE_CODE(0x7, 0x27, 0x07),
    SENSE_COPY_ABORTED = SENSE_CODE(0xa, 0x00, 0x00),
    SENSE_UNREACHABLE_COPY_TARGET = SENSE_CODE(0xa, 0x08, 0x04),
    SENSE_THIRD_PARTY_DEVICE_FAILURE = SENSE_CODE(0xa, 0x0d, 0x01),
    SENSE_COPY_TARGET_NOT_REACHABLE = SENSE_CODE(0xa, 0x0d, 0x02),
    SENSE_INCORRECT_COPY_TARGET_TYPE = SENSE_CODE(0xa, 0x0d, 0x03),
    SENSE_COPY_ABORTED_INVALID_FIELD = SENSE_CODE(0xa, 0x26, 0x00),
    SENSE_UNEXPECTED_INEXACT_SEGMENT = SENSE_CODE(0xa, 0x26, 0x0a),
    SENSE_ABORTED_COMMAND = SENSE_CODE(0xb, 0x00, 0x00),
    SENSE_MISCOMPARE = SENSE_CODE(0xe, 0x1d, 0x00),
};

/* Where a CDB or parameter list is wrong; byte < 0: not told. bit < 0: the whole byte. */
typedef struct {
    int byte, bit;
    bool in_cdb;
} SenseField;

/* Writes sense data in fixed or descriptor format; field may be NULL. Returns its length. */
unsigned sense_build(uint8_t out[SENSE_MAX], bool descriptor, SenseCode code,
                     const SenseField *field);
/* Adds the PROGRESS INDICATION, of 65536, to sense just built without a field, where the code is
 * one of an operation in progress (SPC-4 4.5.2.4.4). */
bool sense_has_progress(SenseCode code);
unsigned sense_set_progress(uint8_t out[SENSE_MAX], unsigned len, uint16_t progress);
/* Adds the INFORMATION field (an LBA, or an offset for a miscompare) to sense just built. */
unsigned sense_set_information(uint8_t out[SENSE_MAX], unsigned len, uint64_t information);

/* What a logical unit answered to a copy manager; status 0: nothing. */
typedef struct {
    uint8_t status;
    SenseCode code; /* with CHECK CONDITION */
} SenseStatus;
typedef enum { SENSE_OF_NOBODY, SENSE_OF_SOURCE, SENSE_OF_DESTINATION } SenseOrigin;
/* Adds to sense just built which segment of an EXTENDED COPY failed, and what the copy source or
 * destination said (SPC-4 5.16.7.4); after sense_set_information(). */
unsigned sense_set_segment(uint8_t out[SENSE_MAX], unsigned len, uint16_t segment,
                           SenseOrigin origin, SenseStatus said);
