/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each block of the file must hold, so that every byte read can be judged. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Verify Verify;

/* Reads the whole file and remembers a digest of each block; a block is written, or read, by one
 * request at a time. One thread. NULL with *error. */
Verify *verify_new(const char *path, uint64_t block_size, GError **error);
void verify_free(Verify *verify); /* NULL is allowed; nothing is claimed any more */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Verify, verify_free)

/* Takes a block for a request; false while another one has it that cannot be beside this one. */
bool verify_claim(Verify *verify, uint64_t block, bool write);
/* The request was not made. */
void verify_release(Verify *verify, uint64_t block, bool write);
/* Before a write: puts bytes into the buffer that were never in the file, to be remembered. */
void verify_fill(Verify *verify, uint64_t block, void *buffer);
/* The request is done, well or not: false when what was read is not what must be there. After a
 * write that failed the block may hold anything, and is not judged until it is written again. */
bool verify_done(Verify *verify, uint64_t block, bool write, bool ok, const void *buffer);

/* Reads the whole file again, past every engine: how many blocks are not what they must be;
 * -1 with *error. */
int64_t verify_all(Verify *verify, GError **error);
