/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a fuzzer makes once, because it is dear and keeps nothing of an input: the loop, the arena,
 * a directory. LUNs are made anew for every input. */
#pragma once

#include "core/base/loop.h"
#include "core/mem/receive.h"
#include "core/mem/segment.h"
#include "core/scsi/lun.h"
#include "core/scsi/target.h"

#define WORLD_LUN_0 UINT64_C(0x3000000000000000) /* NAA; that of LUN n is this plus n */

typedef struct {
    Loop *loop; /* the main loop is the I/O loop */
    Arena *arena;
    Memory *memory;
    ReceiveBudget *budget;
    char *dir; /* a directory of its own in TMPDIR, removed at exit */
    char *state_path;
    StateDir *state;
} World;

/* Makes it when called first. */
World *world_get(void);
/* The directory `state` has no files. */
void world_forget_state(World *world);

/* Writes a fresh store of `size` bytes. allocated: all its blocks are there. */
void world_make_store(World *world, unsigned number, uint64_t size, bool allocated);
/* The spec of LUN `number` on its store: inline engine, 512-byte blocks, no state directory. Valid
 * until the next call. */
LunSpec *world_spec(World *world, unsigned number);
/* NULL: the target does not know it. Waits. */
void world_drop_lun(ScsiTarget *target, Lun *lun);
