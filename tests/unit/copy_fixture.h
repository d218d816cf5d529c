/* SPDX-License-Identifier: GPL-2.0-or-later */
/* More LUNs beside the fixture's one, and EXTENDED COPY commands between them. */
#pragma once

#include "core/scsi/copy_list.h"
#include "tests/unit/scsi_fixture.h"

/* LUN 0 is the fixture's; LUN 1 of the same target and LUN 0 of another one, all on files. */
typedef struct {
    Scsi *s;
    Lun *second, *foreign;
    ScsiTarget *elsewhere;
} CopyRig;

CopyRig *copy_rig_new(void (*change)(LunSpec *spec)); /* of all LUNs */
void copy_rig_free(CopyRig *rig);
/* The LUN is shown no more; it is closed when nothing uses it, and *closed is set then. */
void copy_rig_remove(CopyRig *rig, Lun **lun, bool *closed);
/* A byte pattern that tells positions apart, and what is there now. */
void lun_fill(const Lun *lun, uint8_t seed, uint64_t offset, size_t len);
void lun_check(const Lun *lun, uint8_t seed, uint64_t offset, size_t len);

/* A parameter list under construction; list identifier 1, held. */
typedef struct {
    uint8_t data[COPY_LIST_LEN_MAX];
    unsigned cscds, segments;
} List;

List *list_new(void);
uint8_t *list_add_cscd(List *list, const Lun *lun); /* by NAA; the descriptor, to be changed */
uint8_t *list_add_segment(List *list, unsigned source, unsigned destination, uint64_t from,
                          uint64_t to, unsigned blocks);
Cmd *copy_start(Nexus *nexus, const List *list); /* of LUN 0 */
SenseCode copy_run(Nexus *nexus, const List *list);
/* RECEIVE COPY RESULTS of LUN 0, which must be GOOD. */
Cmd *copy_results(Nexus *nexus, uint8_t action, uint8_t list_id);
