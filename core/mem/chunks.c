/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chunks: a reservation of addresses, memory behind it step by step, extents cut from it. */
#include "core/mem/chunks.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/mman.h>
#include <sys/mman.h>

/* Huge pages come elsewhere first: an mmap over the reservation that fails, as it does where there
 * are none, leaves a hole there for the mmap of any other thread. Not larger ones than fit a chunk.
 */
static void *map_huge(void)
{
    return mmap(NULL, ARENA_CHUNK_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | MAP_POPULATE, -1, 0);
}

static void fail(GError **error, const char *what)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", what, g_strerror(errno));
}

bool chunks_init(Chunks *chunks, const ArenaConfig *config, GError **error)
{
    unsigned limit = (unsigned)((config->limit + ARENA_CHUNK_SIZE - 1) >> ARENA_CHUNK_SHIFT);
    size_t size = (size_t)limit << ARENA_CHUNK_SHIFT;
    uint8_t *reserved =
        mmap(NULL, size + ARENA_CHUNK_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reserved == MAP_FAILED) {
        fail(error, "cannot reserve addresses for the arena");
        return false;
    }
    uintptr_t aligned = ((uintptr_t)reserved + ARENA_CHUNK_SIZE - 1) & ~(ARENA_CHUNK_SIZE - 1);
    size_t before = aligned - (uintptr_t)reserved;
    if (before > 0)
        munmap(reserved, before);
    munmap((uint8_t *)aligned + size, ARENA_CHUNK_SIZE - before);

    *chunks = (Chunks){.base = (uint8_t *)aligned, .limit = limit, .huge = config->huge};
    chunks->used = g_new0(size_t, limit);
    pthread_mutex_init(&chunks->lock, NULL);
    return true;
}

void chunks_deinit(Chunks *chunks)
{
    munmap(chunks->base, (size_t)chunks->limit << ARENA_CHUNK_SHIFT);
    pthread_mutex_destroy(&chunks->lock);
    g_free(chunks->used);
}

static bool move_huge(Chunks *chunks, void *pages, void *at, GError **error)
{
    if (mremap(pages, ARENA_CHUNK_SIZE, ARENA_CHUNK_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at)
        return true;
    fail(error, "the kernel moves no huge pages (Linux 5.16 does; hugepages=off in [memory])");
    munmap(pages, ARENA_CHUNK_SIZE);
    chunks->limit = chunks->mapped; /* behind it there may be a hole now */
    return false;
}

static bool map_plain(Chunks *chunks, void *at, GError **error)
{
    if (mprotect(at, ARENA_CHUNK_SIZE, PROT_READ | PROT_WRITE) != 0) {
        fail(error, "no memory for the arena");
        return false;
    }
    if (chunks->huge == ARENA_HUGE_AUTO)
        madvise(at, ARENA_CHUNK_SIZE, MADV_HUGEPAGE);
    return true;
}

void *chunks_map_next(Chunks *chunks, GError **error)
{
    if (chunks->mapped == chunks->limit) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    "the arena has reached its limit of %u MiB (key arena= in [memory])",
                    chunks->limit << (ARENA_CHUNK_SHIFT - 20));
        return NULL;
    }
    uint8_t *at = chunks->base + ((size_t)chunks->mapped << ARENA_CHUNK_SHIFT);
    void *pages = chunks->huge == ARENA_HUGE_OFF ? MAP_FAILED : map_huge();
    if (pages == MAP_FAILED && chunks->huge == ARENA_HUGE_ON) {
        fail(error, "no huge pages for the arena (hugepages=on in [memory]; see "
                    "/proc/sys/vm/nr_hugepages)");
        return NULL;
    }
    if (pages != MAP_FAILED ? !move_huge(chunks, pages, at, error) : !map_plain(chunks, at, error))
        return NULL;
    /* A fork (none is planned) must not make the device write into the wrong copy of a page. */
    madvise(at, ARENA_CHUNK_SIZE, MADV_DONTFORK);
    chunks->mapped++;
    return at;
}

void chunks_publish(Chunks *chunks)
{
    __atomic_store_n(&chunks->usable, chunks->mapped, __ATOMIC_RELEASE);
}

void *chunks_cut(Chunks *chunks, size_t size, size_t alignment)
{
    unsigned usable = __atomic_load_n(&chunks->usable, __ATOMIC_ACQUIRE);
    void *extent = NULL;
    pthread_mutex_lock(&chunks->lock);
    for (unsigned i = 0; i < usable && !extent; i++) {
        size_t start = (chunks->used[i] + alignment - 1) & ~(alignment - 1);
        if (start > ARENA_CHUNK_SIZE || size > ARENA_CHUNK_SIZE - start)
            continue;
        extent = chunks->base + ((size_t)i << ARENA_CHUNK_SHIFT) + start;
        chunks->used[i] = start + size;
    }
    pthread_mutex_unlock(&chunks->lock);
    return extent;
}

size_t chunks_left(Chunks *chunks)
{
    unsigned usable = __atomic_load_n(&chunks->usable, __ATOMIC_ACQUIRE);
    size_t left = 0;
    pthread_mutex_lock(&chunks->lock);
    for (unsigned i = 0; i < usable; i++)
        left += ARENA_CHUNK_SIZE - chunks->used[i];
    pthread_mutex_unlock(&chunks->lock);
    return left;
}
