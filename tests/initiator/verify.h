/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blocks that say who they are: every block written carries its address, the run, a generation and
 * a checksum, so that whatever comes back can be judged.
 *
 * One thread. A verifier owns a stripe of the disk that nobody else writes to. Commands reserve
 * their blocks, so at any time a block has at most one command. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Verifier Verifier;

typedef enum {
    VERIFY_GOOD,
    VERIFY_FOREIGN,   /* not one of our blocks at all */
    VERIFY_TORN,      /* one of ours, but its checksum is wrong */
    VERIFY_MISPLACED, /* a good block of another address */
    VERIFY_STALE,     /* an older generation, or one of an earlier run */
    VERIFY_AHEAD,     /* a generation that was never written */
} VerifyResult;

typedef struct {
    VerifyResult result;
    uint64_t lba;                  /* where it was read */
    uint64_t found_lba, found_run; /* what the block says */
    uint32_t generation, found_generation;
} VerifyFault;

#define VERIFY_LEAST_BLOCK 64

/* One block of `size` bytes by itself. */
void verify_stamp(uint8_t *block, uint32_t size, uint64_t lba, uint64_t run, uint32_t generation);
/* Good, foreign, torn or misplaced; run and generation as the block says. */
VerifyResult verify_stamped(const uint8_t *block, uint32_t size, uint64_t lba, uint64_t *run,
                            uint32_t *generation);

/* For `blocks` blocks from `first`. `run` tells this run's blocks from those of others. */
Verifier *verifier_new(uint64_t first, uint64_t blocks, uint32_t block_size, uint64_t run);
void verifier_free(Verifier *verifier);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Verifier, verifier_free)

/* False, and nothing reserved, when a command has one of the blocks. */
bool verifier_reserve(Verifier *verifier, uint64_t lba, uint32_t count);
void verifier_release(Verifier *verifier, uint64_t lba, uint32_t count);

/* Fills a write of reserved blocks with their next generation. */
void verifier_fill(const Verifier *verifier, uint64_t lba, uint32_t count, uint8_t *data);
/* The write succeeded: from now on only that generation is right. */
void verifier_commit(Verifier *verifier, uint64_t lba, uint32_t count);
/* The write failed: the blocks may be anything of ours. */
void verifier_doubt(Verifier *verifier, uint64_t lba, uint32_t count);

/* Judges a read of reserved blocks. A block that was never written here need only be a good block
 * of its address, of any run. */
bool verifier_check(const Verifier *verifier, uint64_t lba, uint32_t count, const uint8_t *data,
                    VerifyFault *fault);
const char *verify_result_name(VerifyResult result);
