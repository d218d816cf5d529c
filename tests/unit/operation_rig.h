/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUNs to format and to sanitize, and waiting for that: what the tests of both share. */
#pragma once

#include "tests/unit/scsi_fixture.h"
#include "tests/unit/state_fixture.h"

#define TUR                  CDB(0, 0, 0, 0, 0, 0)
#define READ                 CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)
#define FORMAT(flags)        CDB(0x04, flags, 0, 0, 0, 0)
#define FMTDATA              0x10
#define LONGLIST             0x20
#define SIZE                 (4 * MIB)
#define SANITIZE(byte1, len) CDB(0x48, byte1, 0, 0, 0, 0, 0, (len) >> 8, (len)&0xff, 0)

extern StateFixture operation_state; /* of the test under way */
int operation_setup(void **state);
int operation_teardown(void **state);

/* For started(): of SIZE, with the state directory; on the slow engine; with all blocks there, so
 * that an overwrite is in place. */
void small(LunSpec *spec);
void slow(LunSpec *spec);
void allocated(LunSpec *spec);
void allocated_slow(LunSpec *spec);
/* A LUN whose state outlives scsi_free(), for another start; the attention is taken. */
Scsi *started(void (*change)(LunSpec *spec));
/* The same; skips where temporary files are on a file system that does not overwrite in place. */
Scsi *sanitizable(void (*change)(LunSpec *spec));
bool offered(Scsi *s); /* SANITIZE */

SenseCode sense_of(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len);
/* Until TEST UNIT READY has another answer than NOT READY. */
SenseCode settled(Scsi *s);
void wait_for_requests(unsigned count); /* at the slow engine */
Cmd *submit_out(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, const void *list, uint32_t len);
/* All blocks hold the pattern, again and again. */
void check_medium(const Scsi *s, const void *pattern, size_t len);
