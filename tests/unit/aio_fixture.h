/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of aio/ share: places for files, a driver for contexts, injected faults. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "aio/aio.h"
#include "aio/file.h"

/* ---- places ---- */

typedef enum { PLACE_DISK, PLACE_TMPFS, PLACE_LOOP } Place;
#define PLACES 3
extern const char *const place_names[PLACES];

#define FILE_SIZE (8u << 20)

/* Path (static) of an existing file or device of FILE_SIZE bytes (a new file: a hole), or NULL and
 * *why. Ended by place_remove. */
const char *place_make(Place place, const char **why);
void place_remove(Place place, const char *path);

/* ---- one context with one file ---- */

typedef struct {
    const AioEngine *engine;
    AioMode mode;
    Place place;
    AioParams params;
    const char *path;
    AioFile *file;
    AioCtx *ctx;
} Rig;

/* Opens all of it; NULL, or why not (static text). rig holds engine, mode, place and params. */
const char *rig_open(Rig *rig);
void rig_close(Rig *rig);

/* Flushes and reaps until *left is 0 (decremented by done callbacks); false after 60 s. */
bool rig_wait(Rig *rig, unsigned *left);

/* Runs one request to its end; its res, or -ETIME. */
ssize_t rig_run(Rig *rig, AioOp op, unsigned flags, void *data, uint64_t offset, uint64_t len);

/* The same for AIO_EXTENT; *hole is its other result. */
ssize_t rig_extent(Rig *rig, uint64_t offset, uint64_t len, bool *hole);

/* Bytes that depend on seed and position, never 0. */
void pattern_fill(void *data, uint64_t seed, uint64_t offset, size_t len);

/* Memory for direct I/O; free(). */
void *page_alloc(size_t len);

/* ---- faults ---- */

enum {
    ON_READ = 1,
    ON_WRITE = 2,
    ON_SYNC = 4,
    ON_ALLOCATE = 8,
    ON_SUBMIT = 16,
    ON_NOWAIT = 32,
    ON_SEEK = 64
};

/* The next `times` calls of the kinds `on` give `result`: -errno or 0 without doing anything, or
 * what really happened but at most `result` bytes of it; ON_SEEK finds `result` itself. ON_NOWAIT
 * are the inline reads alone. */
void fault_arm(unsigned on, int result, unsigned times);
unsigned fault_left(void);         /* times not used up */
void fault_delays(bool on);        /* every call may be late by a random while */
void fault_clear(void);            /* the real calls again; counters to 0 */
unsigned fault_calls(unsigned on); /* calls of one kind since fault_clear */
unsigned
fault_dsync_writes(void); /* writes with RWF_DSYNC that rtgt's code issued (not io_uring) */
/* Files opened from now on say that they write `unit` bytes atomically, and blocking calls do so.
 */
void fault_atomic(unsigned unit);
unsigned fault_atomic_writes(void); /* with RWF_ATOMIC, that rtgt's code issued (not io_uring) */
void fault_refuse_dsync(void);      /* writes with RWF_DSYNC give -EOPNOTSUPP */
