/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chunks: a reservation of addresses, memory behind it step by step, extents cut from it. */
#include "core/mem/chunks.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/mman.h> /* MAP_HUGE_2MB */
#include <sys/mman.h>

/* Made elsewhere and moved: huge pages with MAP_FIXED take the reservation away also where they
 * then fail, and another thread could map something into the gap before a second try. */
static void *map_huge(void *at)
{
    void *memory =
        mmap(NULL, ARENA_CHUNK_SIZE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return MAP_FAILED;
    void *moved =
        mremap(memory, ARENA_CHUNK_SIZE, ARENA_CHUNK_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
    if (moved == MAP_FAILED) {
        int e = errno;
        munmap(memory, ARENA_CHUNK_SIZE);
        errno = e;
    }
    return moved;
}

static void *map_plain(void *at)
{
    return mmap(at, ARENA_CHUNK_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void fail(GError **error, const char *what)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", what, g_strerror(errno));
}

bool chunks_init(Chunks *chunks, const ArenaConfig *config, GError **error)
{
    unsigned limit = (unsigned)((config->limit + ARENA_CHUNK_SIZE - 1) >> ARENA_CHUNK_SHIFT);
    size_t size = (size_t)limit << ARENA_CHUNK_SHIFT;
    uint8_t *reserved = mmap(NULL, size + ARENA_CHUNK_SIZE, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
        fail(error, "cannot reserve addresses for the arena");
        return false;
    }
    uintptr_t aligned = ((uintptr_t)reserved + ARENA_CHUNK_SIZE - 1) & ~(ARENA_CHUNK_SIZE - 1);
    size_t before = aligned - (uintptr_t)reserved;
    if (before > 0)
        munmap(reserved, before);
    munmap((uint8_t *)aligned + size, ARENA_CHUNK_SIZE - before);

    *chunks = (Chunks){.base = (uint8_t *)aligned, .reserved = limit, .huge = config->huge};
    chunks->used = g_new0(size_t, limit);
    pthread_mutex_init(&chunks->lock, NULL);
    return true;
}

void chunks_deinit(Chunks *chunks)
{
    munmap(chunks->base, (size_t)chunks->reserved << ARENA_CHUNK_SHIFT);
    pthread_mutex_destroy(&chunks->lock);
    g_free(chunks->used);
}

bool chunks_can_grow(const Chunks *chunks)
{
    return !__atomic_load_n(&chunks->full, __ATOMIC_RELAXED);
}

void chunks_end_growth(Chunks *chunks)
{
    __atomic_store_n(&chunks->full, true, __ATOMIC_RELAXED);
}

void *chunks_map_next(Chunks *chunks, GError **error)
{
    if (!chunks_can_grow(chunks)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    "the arena has reached its limit of %u MiB (key arena= in [memory])",
                    chunks->mapped << (ARENA_CHUNK_SHIFT - 20));
        return NULL;
    }
    uint8_t *at = chunks->base + ((size_t)chunks->mapped << ARENA_CHUNK_SHIFT);
    void *memory = chunks->huge == ARENA_HUGE_OFF ? MAP_FAILED : map_huge(at);
    if (memory == MAP_FAILED && chunks->huge == ARENA_HUGE_ON) {
        fail(error, "no huge pages for the arena (hugepages=on in [memory]; see "
                    "/proc/sys/vm/nr_hugepages)");
        return NULL;
    }
    if (memory == MAP_FAILED) {
        memory = map_plain(at);
        if (memory == MAP_FAILED) {
            fail(error, "no memory for the arena");
            return NULL;
        }
        if (chunks->huge == ARENA_HUGE_AUTO)
            madvise(at, ARENA_CHUNK_SIZE, MADV_HUGEPAGE);
    }
    /* A fork (none is planned) must not make the device write into the wrong copy of a page. */
    madvise(at, ARENA_CHUNK_SIZE, MADV_DONTFORK);
    if (++chunks->mapped == chunks->reserved)
        chunks_end_growth(chunks);
    return memory;
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
