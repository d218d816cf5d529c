/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stamping and judging blocks. */
#include "tests/initiator/verify.h"

#include <string.h>

#include "tests/initiator/bytes.h"
#include "tests/initiator/pdu.h"

#define MAGIC 0x7274677462c04be5U

/* A block: magic, address, run, generation, checksum of the rest, then noise. */
enum { AT_MAGIC = 0, AT_LBA = 8, AT_RUN = 16, AT_GENERATION = 24, AT_SUM = 28, AT_NOISE = 32 };

struct Verifier {
    uint64_t first, blocks, run;
    uint32_t block_size;
    uint32_t *generation; /* 0: not written by this run */
    uint8_t *reserved;
};

Verifier *verifier_new(uint64_t first, uint64_t blocks, uint32_t block_size, uint64_t run)
{
    Verifier *v = g_new0(Verifier, 1);

    *v = (Verifier){.first = first, .blocks = blocks, .run = run, .block_size = block_size};
    v->generation = g_new0(uint32_t, blocks);
    v->reserved = g_new0(uint8_t, blocks);
    return v;
}

void verifier_free(Verifier *v)
{
    if (!v)
        return;
    g_free(v->generation);
    g_free(v->reserved);
    g_free(v);
}

bool verifier_reserve(Verifier *v, uint64_t lba, uint32_t count)
{
    uint8_t *reserved = v->reserved + (lba - v->first);

    if (memchr(reserved, 1, count))
        return false;
    memset(reserved, 1, count);
    return true;
}

void verifier_release(Verifier *v, uint64_t lba, uint32_t count)
{
    memset(v->reserved + (lba - v->first), 0, count);
}

static uint32_t checksum(const uint8_t *block, uint32_t size)
{
    return pdu_crc32c(pdu_crc32c(0, block, AT_SUM), block + AT_NOISE, size - AT_NOISE);
}

/* Noise that differs between any two blocks and generations, so a mixture never fits. */
static void fill_noise(uint8_t *p, uint32_t len, uint64_t seed)
{
    for (uint32_t i = 0; i + 8 <= len; i += 8) {
        uint64_t word;

        seed += 0x9e3779b97f4a7c15;
        word = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9;
        word ^= word >> 27;
        memcpy(p + i, &word, sizeof(word));
    }
}

void verify_stamp(uint8_t *block, uint32_t size, uint64_t lba, uint64_t run, uint32_t generation)
{
    put_be64(block + AT_MAGIC, MAGIC);
    put_be64(block + AT_LBA, lba);
    put_be64(block + AT_RUN, run);
    put_be32(block + AT_GENERATION, generation);
    fill_noise(block + AT_NOISE, size - AT_NOISE, run ^ lba << 20 ^ (uint64_t)generation << 44);
    put_be32(block + AT_SUM, checksum(block, size));
}

VerifyResult verify_stamped(const uint8_t *block, uint32_t size, uint64_t lba, uint64_t *run,
                            uint32_t *generation)
{
    *run = get_be64(block + AT_RUN);
    *generation = get_be32(block + AT_GENERATION);
    if (get_be64(block + AT_MAGIC) != MAGIC)
        return VERIFY_FOREIGN;
    if (get_be32(block + AT_SUM) != checksum(block, size))
        return VERIFY_TORN;
    return get_be64(block + AT_LBA) == lba ? VERIFY_GOOD : VERIFY_MISPLACED;
}

void verifier_fill(const Verifier *v, uint64_t lba, uint32_t count, uint8_t *data)
{
    for (uint32_t i = 0; i < count; i++)
        verify_stamp(data + (size_t)i * v->block_size, v->block_size, lba + i, v->run,
                     v->generation[lba + i - v->first] + 1);
}

void verifier_commit(Verifier *v, uint64_t lba, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        v->generation[lba + i - v->first]++;
}

void verifier_doubt(Verifier *v, uint64_t lba, uint32_t count)
{
    memset(v->generation + (lba - v->first), 0, count * sizeof(v->generation[0]));
}

static VerifyResult judge(const Verifier *v, const uint8_t *block, uint64_t lba, VerifyFault *fault)
{
    *fault = (VerifyFault){.lba = lba,
                           .found_lba = get_be64(block + AT_LBA),
                           .generation = v->generation[lba - v->first]};
    VerifyResult result =
        verify_stamped(block, v->block_size, lba, &fault->found_run, &fault->found_generation);
    if (result != VERIFY_GOOD)
        return result;
    if (fault->generation == 0)
        return VERIFY_GOOD;
    if (fault->found_run != v->run || fault->found_generation < fault->generation)
        return VERIFY_STALE;
    return fault->found_generation > fault->generation ? VERIFY_AHEAD : VERIFY_GOOD;
}

bool verifier_check(const Verifier *v, uint64_t lba, uint32_t count, const uint8_t *data,
                    VerifyFault *fault)
{
    for (uint32_t i = 0; i < count; i++) {
        VerifyResult result = judge(v, data + (size_t)i * v->block_size, lba + i, fault);

        fault->result = result;
        if (result != VERIFY_GOOD)
            return false;
    }
    return true;
}

const char *verify_result_name(VerifyResult result)
{
    static const char *const names[] = {"good", "foreign", "torn", "misplaced", "stale", "ahead"};

    return names[result];
}
