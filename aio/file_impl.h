/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engines see of an open file. */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "aio/file.h"
#include "aio/ranges.h"

/* One backing store, shared by the files that are open on it in different modes. */
typedef struct {
    int refs; /* atomic */
    /* Holds the lock (OFD lock, O_EXCL) for as long as one file is left; buffered, no O_DIRECT.
     * -1 for the null store. */
    int fd;
    char *path;
    bool read_only, block, null;
    bool can_discard, discard_zeroes;
    uint64_t discard_granularity; /* bytes */
    unsigned sector;              /* of a block device, bytes */
    uint64_t size;                /* atomic, bytes */
    int sync_error;               /* atomic, -errno or 0 */
    AioRanges ranges;             /* writes to direct files */
} AioStore;

/* How inline reads fare on a file; written by all loops, so lost updates are accepted. */
typedef struct {
    unsigned probes, hits; /* of the current window, relaxed atomics */
    bool rare;             /* last window hit hardly ever: probe 1 in 16 */
    bool unsupported;      /* the file does not know RWF_NOWAIT */
    unsigned skipped;
} AioNowait;

struct AioFile {
    AioStore *store;
    int fd; /* in `mode`; -1 for the null store */
    AioMode mode;
    size_t offset_align, memory_align; /* powers of two */
    size_t atomic_min, atomic_max;     /* bytes, powers of two; 0: no atomic writes */
    bool submit_blocks;                /* atomic; libaio: RWF_NOWAIT is not known here */
    alignas(64) AioNowait nowait;      /* a cache line of its own: the rest is only read */
};

/* aio/probe.c: questions to the kernel about an open descriptor. All block. */
int aio_probe_size(int fd, bool block, uint64_t *size);
unsigned aio_probe_sector(int fd); /* of a block device */
/* 0, or -EINVAL where the file takes no direct I/O. */
int aio_probe_direct(int fd, bool block, size_t *offset_align, size_t *memory_align);
/* The least and the largest atomic write from one piece of memory, or 0. */
void aio_probe_atomic(int fd, size_t *min, size_t *max);
void aio_probe_discard(AioStore *store);
bool aio_probe_in_place(int fd); /* of a regular file */

/* The smallest unit of two writes that cannot disturb each other: a page, since unaligned tails go
 * through the page cache, or the device's block where that is larger. Bytes. */
uint64_t aio_file_lock_unit(const AioFile *file);

/* fdatasync until it is not interrupted; the latch is left alone. Blocks; any thread. */
int aio_file_fdatasync(const AioFile *file);

/* The result of something that had to reach stable storage: latches a failure, and turns a success
 * into the latched error, which the kernel tells only one of two concurrent callers. */
int aio_file_settle_sync(AioFile *file, int res);
