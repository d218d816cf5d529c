/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logical unit: its identity and settings (loop 0, or constant), what it is to each I/O loop (a
 * shard), its gate, and the exchange of its engine while commands run. */
#pragma once

#include "aio/aio.h"
#include "aio/file.h"
#include "core/base/loop.h"
#include "core/base/state_dir.h"
#include "core/cache/cache.h"
#include "core/mem/segment.h"
#include "core/scsi/engine.h"
#include "core/scsi/latency.h"

#include <glib.h>

typedef struct Lun Lun;
typedef struct LunShard LunShard;

typedef enum { LUN_THIN_AUTO, LUN_THIN_ON, LUN_THIN_OFF } LunThin;

typedef struct {
    const char *target_name; /* with number: what serial and NAA derive from */
    unsigned number;
    const char *path; /* NULL for the null engine */
    uint64_t size;    /* create, and null */
    bool create, read_only, write_cache;
    bool removable;
    unsigned block_size;          /* 512 or 4096 */
    unsigned physical_block_size; /* as initiators are told, at least block_size; 0: 4096 */
    const AioEngine *engine;
    AioParams params;
    AioMode mode;
    uint64_t max_transfer; /* bytes for VPD B0; 0: no limit */
    const char *serial;    /* NULL: derived */
    uint64_t naa;          /* 0: derived */
    LunThin thin;
    uint64_t cache_size; /* bytes, see core/cache; 0: no cache */
    bool readahead;      /* of sequential streams, into the cache */
    unsigned cache_slot; /* bytes; 0: the default */
    StateDir *state;     /* outlives the LUN; NULL: nothing can be kept over a restart */
} LunSpec;

/* What initiators know it by, given or derived: the NAA name, and the serial number (to be freed).
 * Without spec->naa and spec->serial both depend on target_name and number alone, so they are the
 * same after a restart, over every transport and for every store. No two LUNs may have one in
 * common. MT-SAFE. */
uint64_t lun_spec_naa(const LunSpec *spec);
char *lun_spec_serial(const LunSpec *spec);

/* Opens the store and makes a shard on every I/O loop. Copies what it keeps of spec. Blocks; loop
 * 0. NULL with error (names the LUN and the key at fault). */
Lun *lun_new(const LunSpec *spec, Memory *memory, Loop *const *loops, unsigned nloops,
             GError **error);
/* Closes after the last command; no nexus knows it any more. done(arg) runs on loop 0 when the file
 * is synchronised and closed. */
void lun_close(Lun *lun, LoopFn done, void *arg);

/* --- engine exchange (DESIGN.md section 5): gate closed, drained, synchronised, swapped, gate
 * open. The gate stands before the engine: commands go on arriving and moving data meanwhile, and
 * their requests wait in order; none fails. done runs on loop 0, possibly inside, with error ==
 * NULL, or with what failed - then everything is as it was. At most one exchange at a time per LUN.
 */
typedef void (*LunExchanged)(Lun *lun, const GError *error, void *arg);
void lun_set_engine(Lun *lun, const AioEngine *engine, const AioParams *params, AioMode mode,
                    unsigned drain_timeout_ms, LunExchanged done, void *arg);

#define LUN_CACHE_SLOT 16384 /* the default */

/* Gives the LUN a cache of this size, or the one it has another; 0: nothing is cached. The first
 * one is an exchange as above, with the engine that is there. */
void lun_set_cache(Lun *lun, uint64_t size, unsigned drain_timeout_ms, LunExchanged done,
                   void *arg);
uint64_t lun_cache_size(const Lun *lun); /* bytes; loop 0 */
/* Constant, or changed only while the gate is closed: MT-SAFE. */
const LunSpec *lun_spec(const Lun *lun); /* serial, naa, size resolved */
uint64_t lun_blocks(const Lun *lun);
const AioEngine *lun_engine(const Lun *lun);
const AioParams *lun_params(const Lun *lun);
AioMode lun_mode(const Lun *lun);
int lun_sync_error(const Lun *lun); /* -errno of the failed flush, or 0 */
void lun_clear_sync_error(Lun *lun);
bool lun_write_cache(const Lun *lun); /* WCE */
bool lun_is_block_device(const Lun *lun);
/* What the store writes as a whole or not at all, in blocks; 0: nothing. Changes with the mode. */
unsigned lun_atomic_blocks(const Lun *lun);
bool lun_hung(const Lun *lun); /* its store does not answer, see hung.h */
bool lun_thin(const Lun *lun); /* UNMAP is there: `thin` and the store allow it */

/* Makes the store longer or shorter: `size` bytes, a multiple of the block size, not for a block
 * device. Every nexus is told. A shorter one is cut while the gate is closed and nothing is in
 * flight; commands beyond the new end that were on their way fail with LBA OUT OF RANGE. done as
 * for lun_set_engine(), with which it excludes itself; loop 0. */
void lun_resize(Lun *lun, uint64_t size, unsigned drain_timeout_ms, LunExchanged done, void *arg);
/* Asks the store for its size again; true when it changed, which every nexus is then told. Loop 0.
 */
bool lun_refresh_size(Lun *lun);

/* Per-LUN statistics, summed over its shards; MT-SAFE, relaxed. */
typedef struct {
    uint64_t reads, writes, flushes, unmaps, others, errors; /* commands */
    uint64_t read_bytes, write_bytes;
    uint64_t read_errors, write_errors; /* of the store, told to initiators */
    uint64_t queued_by_gate;            /* requests to the engine, not commands */
    AioCounters engine;                 /* of the contexts this LUN uses (shared with other LUNs) */
    CacheStats cache;
} LunStats;
void lun_get_stats(Lun *lun, LunStats *out);
/* Tells the engine contexts it uses, which it may share with other LUNs; they stay while fn runs.
 * MT-SAFE. */
void lun_each_engine(Lun *lun, void (*fn)(const Engine *engine, void *arg), void *arg);
/* Adds the latencies of all its shards to *sums. MT-SAFE. */
void lun_add_latency(Lun *lun, LatencySums *sums);

/* The shard of the loop, touched there only. */
LunShard *lun_shard(Lun *lun, const Loop *loop);
