/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A SCSI target device: a name and the logical units behind it, as each I/O loop sees them. */
#pragma once

#include "core/scsi/alua.h"
#include "core/scsi/lun.h"

typedef struct ScsiTarget ScsiTarget;

ScsiTarget *scsi_target_new(const char *name, Loop *const *loops, unsigned nloops); /* loop 0 */
void scsi_target_free(ScsiTarget *target);              /* no nexus, no LUN (asserted); loop 0 */
const char *scsi_target_name(const ScsiTarget *target); /* MT-SAFE */

/* Its target port groups; without them all ports are in group 1, optimized, implicit. Taken over.
 * Before the first nexus and LUN; loop 0. */
void scsi_target_set_alua(ScsiTarget *target, Alua *alua);
Alua *scsi_target_alua(const ScsiTarget *target); /* MT-SAFE */
/* An implicit transition: every nexus is told. False: there is no such group. Loop 0, which waits
 * for an I/O loop. */
bool scsi_target_set_alua_state(ScsiTarget *target, uint16_t group, AluaState state);

/* Shows / withdraws a LUN to every loop, at once; loop 0, which waits for the others. The nexuses
 * get REPORTED LUNS DATA HAS CHANGED. remove: tasks run to their end, and done(arg) runs on loop 0
 * when no loop knows the LUN any more: it may be closed then. */
void scsi_target_add_lun(ScsiTarget *target, Lun *lun);
void scsi_target_remove_lun(ScsiTarget *target, Lun *lun, LoopFn done, void *arg);

/* The logical unit number in an 8-byte LUN field (SAM-5 4.7: peripheral, flat, or extended flat
 * addressing); -1: another form, or out of range. */
int scsi_lun_number(uint64_t lun_field);
uint64_t scsi_lun_field(unsigned number); /* the form in which REPORT LUNS tells it */

/* On an I/O loop: the LUN of an 8-byte LUN field (peripheral, flat or extended flat addressing,
 * SAM-5 4.7.5), or NULL. */
LunShard *scsi_target_find(const ScsiTarget *target, const Loop *loop, uint64_t lun_field);
/* LUN numbers in ascending order, on an I/O loop; returns the count, fills at most max. */
unsigned scsi_target_lun_numbers(const ScsiTarget *target, const Loop *loop, unsigned *out,
                                 unsigned max);
