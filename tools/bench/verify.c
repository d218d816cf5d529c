/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A digest and a claim for each block. */
#include "tools/bench/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MOST_BLOCKS (UINT64_C(1) << 26) /* 17 bytes each */
#define WRITING     UINT8_MAX

struct Verify {
    char *path;
    uint64_t block_size, blocks;
    uint64_t *expected; /* digests; 0: not known */
    uint64_t *writing;  /* digests of what is on its way */
    uint8_t *claims;    /* WRITING, or how many read */
    uint64_t stamp;     /* of the last write */
};

/* Any change of a byte changes it: each step is a bijection of the state. Never 0. */
static uint64_t digest_of(const void *buffer, uint64_t size)
{
    const char *bytes = buffer;
    uint64_t digest = size;

    while (size) {
        uint64_t word = 0, n = MIN(size, sizeof(word));
        memcpy(&word, bytes, n);
        digest = (digest ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        digest ^= digest >> 29;
        bytes += n;
        size -= n;
    }
    return digest ? digest : 1;
}

static bool set_error(GError **error, const Verify *verify, int number)
{
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(number), "%s: cannot be verified: %s",
                verify->path, g_strerror(number));
    return false;
}

/* EIO stands for an end before the block's. */
static int read_block(int fd, void *buffer, uint64_t size, uint64_t offset)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0)
            return EIO;
        if (n > 0)
            done += (uint64_t)n;
    }
    return 0;
}

/* Reads every block: remembers its digest, or counts it where it is another than that. */
static bool scan(Verify *verify, bool remember, int64_t *wrong, GError **error)
{
    g_autofree void *buffer = g_malloc(verify->block_size);
    int fd = open(verify->path, O_RDONLY | O_CLOEXEC), res = fd < 0 ? errno : 0;

    *wrong = 0;
    for (uint64_t block = 0; res == 0 && block < verify->blocks; block++) {
        res = read_block(fd, buffer, verify->block_size, block * verify->block_size);
        uint64_t digest = digest_of(buffer, verify->block_size);
        if (remember)
            verify->expected[block] = digest;
        else if (res == 0 && verify->expected[block] && verify->expected[block] != digest)
            ++*wrong;
    }
    if (fd >= 0)
        close(fd);
    return res == 0 || set_error(error, verify, res);
}

static bool count_blocks(Verify *verify, GError **error)
{
    int fd = open(verify->path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END); /* of a block device, too */

    if (size < 0)
        set_error(error, verify, errno);
    if (fd >= 0)
        close(fd);
    verify->blocks = size < 0 ? 0 : (uint64_t)size / verify->block_size;
    if (size >= 0 && verify->blocks > MOST_BLOCKS)
        return set_error(error, verify, EFBIG);
    return size >= 0;
}

Verify *verify_new(const char *path, uint64_t block_size, GError **error)
{
    g_autoptr(Verify) verify = g_new0(Verify, 1);
    int64_t wrong;

    verify->path = g_strdup(path);
    verify->block_size = block_size;
    verify->stamp = (uint64_t)g_get_real_time();
    if (!count_blocks(verify, error))
        return NULL;
    verify->expected = g_new0(uint64_t, verify->blocks);
    verify->writing = g_new0(uint64_t, verify->blocks);
    verify->claims = g_new0(uint8_t, verify->blocks);
    if (!scan(verify, true, &wrong, error))
        return NULL;
    return g_steal_pointer(&verify);
}

void verify_free(Verify *verify)
{
    if (!verify)
        return;
    g_free(verify->path);
    g_free(verify->expected);
    g_free(verify->writing);
    g_free(verify->claims);
    g_free(verify);
}

bool verify_claim(Verify *verify, uint64_t block, bool write)
{
    uint8_t *claim = &verify->claims[block];

    if (*claim >= WRITING - 1 || (write && *claim))
        return false;
    *claim = write ? WRITING : *claim + 1;
    return true;
}

void verify_release(Verify *verify, uint64_t block, bool write)
{
    uint8_t *claim = &verify->claims[block];
    *claim = write ? 0 : *claim - 1;
}

void verify_fill(Verify *verify, uint64_t block, void *buffer)
{
    uint64_t word = ++verify->stamp * UINT64_C(0x2545f4914f6cdd1d) ^ block;
    char *bytes = buffer;

    for (uint64_t left = verify->block_size; left;) {
        uint64_t n = MIN(left, sizeof(word));
        memcpy(bytes, &word, n);
        word = word * UINT64_C(6364136223846793005) + 1;
        bytes += n;
        left -= n;
    }
    verify->writing[block] = digest_of(buffer, verify->block_size);
}

bool verify_done(Verify *verify, uint64_t block, bool write, bool ok, const void *buffer)
{
    verify_release(verify, block, write);
    if (write) {
        verify->expected[block] = ok ? verify->writing[block] : 0;
        return true;
    }
    return !ok || !verify->expected[block] ||
           verify->expected[block] == digest_of(buffer, verify->block_size);
}

int64_t verify_all(Verify *verify, GError **error)
{
    int64_t wrong;
    return scan(verify, false, &wrong, error) ? wrong : -1;
}
