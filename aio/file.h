/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An open backing store: a file or a block device, shared by the engine contexts of all loops. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AioFile AioFile;

typedef enum { AIO_BUFFERED, AIO_DIRECT } AioMode;

typedef struct {
    const char *path;
    AioMode mode;
    bool read_only;
    bool create;   /* make a missing file, of `size` bytes; an existing one is left as it is */
    uint64_t size; /* for create, and for the null store (path NULL) */
} AioFileSpec;

/* Opens and locks (OFD write lock on files - read lock when read_only -, O_EXCL on block devices).
 * 0 and *file, or -errno with *why (g_free) that names the path and what is wrong: missing, a
 * directory, held by another process, mounted, no O_DIRECT on this file system. Blocks; any thread.
 * path NULL makes the null store's file. */
int aio_file_open(const AioFileSpec *spec, AioFile **file, char **why);

/* The same store in another mode, the lock carried over without a gap; the old file stays valid
 * and is closed separately. */
int aio_file_reopen(AioFile *old, AioMode mode, AioFile **file, char **why);

/* The caller knows that no request is out. NULL is allowed. */
void aio_file_close(AioFile *file);

/* Blocking fdatasync, for engine switch and shutdown; 0 or -errno. */
int aio_file_sync(AioFile *file);
/* Asks the kernel again for the size (a resized file or device); 0 or -errno. */
int aio_file_refresh_size(AioFile *file);

/* Makes the store longer or shorter, and knows it; what a shorter one loses is gone. Durable with
 * the next sync. -EINVAL for a block device, whose size is not ours. The caller sees to requests
 * beyond the new end, which would make the file longer again. 0 or -errno. */
int aio_file_resize(AioFile *file, uint64_t size);

uint64_t aio_file_size(const AioFile *file); /* bytes; MT-SAFE */
AioMode aio_file_mode(const AioFile *file);
bool aio_file_read_only(const AioFile *file);
bool aio_file_is_null(const AioFile *file);
/* Every read gives zeros, whatever was written: it need not be done. */
bool aio_file_reads_zeros(const AioFile *file);
bool aio_file_is_block_device(const AioFile *file);
/* True where a write replaces the bytes that were there, on the medium, as far as it can be told: a
 * block device, or a file that has all its blocks on a file system which neither copies on write
 * nor keeps a log of data. Asks the kernel, but not the disk; any thread. */
bool aio_file_overwrites_in_place(const AioFile *file);
/* Smallest request that needs no read-modify-write (1 when buffered); offset and length, bytes. */
size_t aio_file_offset_align(const AioFile *file);
size_t aio_file_memory_align(const AioFile *file);
/* The largest length, at most `most`, that the file writes as a whole or not at all with
 * AIO_ATOMIC; a power of two, as is `most`. 0: none. */
size_t aio_file_atomic_unit(const AioFile *file, size_t most);
bool aio_file_can_discard(const AioFile *file);             /* hole punching / BLKDISCARD works */
bool aio_file_discard_zeroes(const AioFile *file);          /* reads after a discard return zeros */
uint64_t aio_file_discard_granularity(const AioFile *file); /* bytes, 0 when it cannot */

/* After a failed flush or FUA write (a full disk excepted: FUA writes that met it were not taken at
 * all) every FLUSH and FUA request ends with this -errno (a second
 * fsync that succeeds proves nothing) until it is cleared; a reopened file inherits it. 0: none.
 * MT-SAFE. */
int aio_file_sync_error(const AioFile *file);
void aio_file_clear_sync_error(AioFile *file);
