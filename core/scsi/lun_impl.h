/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of core/scsi know of a LUN. */
#pragma once

#include <pthread.h>

#include "core/scsi/itl.h"
#include "core/scsi/log_sense.h"
#include "core/scsi/medium.h"
#include "core/scsi/mode_saved.h"
#include "core/scsi/operation.h"
#include "core/scsi/reserve.h"
#include "core/scsi/shard.h"

typedef struct Exchange Exchange; /* exchange.h */

struct Lun {
    LunSpec spec; /* strings owned; engine, params and mode as they are now: loop 0 */
    char *target_name, *path, *serial;
    Memory *memory;
    Loop *main; /* loop 0 */
    Loop **loops;
    unsigned nloops;
    LunShard **shards; /* by loop_index() */
    unsigned nshards;
    AioFile *file; /* loop 0; the shards have their own pointers */
    unsigned block_shift;
    Cache *cache;           /* NULL: there never was one; set under lock, loop 0 */
    size_t arena;           /* its limit, bytes; constant */
    const void *zeros;      /* see LunShard; constant: a store of this kind keeps its engine */
    bool thin;              /* UNMAP and its kin are there; constant */
    bool unmap_reads_zeros; /* constant */
    uint64_t discard_granularity;
    const struct Alua *alua; /* of the target that shows it, constant from then on */

    /* Any loop, atomic. */
    uint64_t blocks;
    unsigned atomic_blocks;
    bool write_cache, descriptor_sense, software_write_protect;
    unsigned hung_shards;   /* see hung.h */
    MediumState medium;     /* changed under lock */
    ModeValues saved_modes; /* each member */

    pthread_mutex_t lock;
    GQueue itls;   /* Itl of all loops; lock */
    GQueue claims; /* Claim of all loops, in the order they were made; lock */
    Reservations reservations;
    unsigned preventions; /* Itl that prevent the removal of the medium; lock */

    LunOperation operation;
    LogCounters log_zero[LOG_COUNTED]; /* what counters were when they were reset; lock */

    Exchange *exchange; /* the one under way; loop 0 */
    LoopFn closed;      /* lun_close() was called */
    void *closed_arg;
    int close_result;
    GThread *closer;
};

static inline bool lun_flag(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static inline bool lun_write_protected(const Lun *lun)
{
    return lun->spec.read_only || lun_flag(&lun->software_write_protect);
}

/* Establishes a unit attention for every I_T nexus that knows the LUN, but `except`. MT-SAFE. */
void lun_attention(Lun *lun, SenseCode code, const Itl *except);

/* Asks the file what it writes atomically; true when that changed. Loop 0. */
bool lun_measure_atomic(Lun *lun);

/* Go on with lun_close() after an exchange, or a background operation. */
void lun_exchange_ended(Lun *lun);
void lun_operation_ended(Lun *lun);
