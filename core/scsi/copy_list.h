/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parameter list of EXTENDED COPY (LID1) (SPC-4 6.4.3): which logical units take part (CSCD
 * descriptors), and what is to be copied (segment descriptors). */
#pragma once

#include "core/scsi/sense.h"

enum {
    COPY_CSCDS_MAX = 16,
    COPY_SEGMENTS_MAX = 64,

    COPY_BLOCK_TO_BLOCK = 0x02,     /* the segment descriptor there is */
    COPY_IDENTIFICATION = 0xe4,     /* the CSCD descriptor there is */
    COPY_MANAGER_LUN_ID = 0xffff,   /* CSCD descriptor ID of the LUN that the command went to */
    COPY_CSCD_ID_INDEX_MAX = 0x7ff, /* IDs up to this one are indices of CSCD descriptors */

    COPY_HEADER_LEN = 16,
    COPY_CSCD_LEN = 32,
    COPY_SEGMENT_LEN = 28,
    COPY_DESCRIPTORS_LEN_MAX =
        COPY_CSCDS_MAX * COPY_CSCD_LEN + COPY_SEGMENTS_MAX * COPY_SEGMENT_LEN,
    COPY_LIST_LEN_MAX = COPY_HEADER_LEN + COPY_DESCRIPTORS_LEN_MAX,
};

typedef enum {
    COPY_ID_HOLD = 0,    /* the results are held under the list identifier */
    COPY_ID_DISCARD = 2, /* they need not be */
    COPY_ID_NONE = 3,    /* there is no list identifier */
} CopyIdUsage;

/* A logical unit, by a designator of its VPD page 83. */
typedef struct {
    bool null; /* nothing may be sent to it */
    uint8_t device_type;
    uint8_t code_set, type, len; /* as in a designation descriptor; type with association */
    uint8_t id[20];
    uint32_t block_size;
} CopyCscd;

typedef struct {
    uint16_t source, destination; /* CSCD descriptor IDs */
    uint16_t blocks;
    bool destination_blocks; /* DC: `blocks` counts the destination's */
    uint64_t source_lba, destination_lba;
} CopySegment;

typedef struct {
    uint8_t id;
    CopyIdUsage usage;
    unsigned ncscds, nsegments;
    CopyCscd cscds[COPY_CSCDS_MAX];
    CopySegment segments[COPY_SEGMENTS_MAX];
} CopyList;

/* Decodes `len` foreign bytes. SENSE_NO_SENSE, or what is wrong and where; *field says byte < 0
 * where the sense code says it all. */
SenseCode copy_list_parse(CopyList *list, const uint8_t *data, size_t len, SenseField *field);
