/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chunks: a reservation of addresses, memory behind it step by step, extents cut from it. */
#include "core/mem/chunks.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/mman.h> /* MAP_HUGE_2MB */
#include <sys/mman.h>

static void *reserve(void *at, size_t size, int flags)
{
    return mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/* Made elsewhere and moved: huge pages with MAP_FIXED take the reservation away also where there
 * are none, which is what happens most. */
static void *make_huge(void)
{
    return mmap(NULL, ARENA_CHUNK_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | MAP_POPULATE, -1, 0);
}

typedef enum { MAPPED, NOT_MAPPED, RESERVATION_LOST } Mapping;

/* A move that fails may have taken the reservation away all the same (as kernels before 5.16 do,
 * which cannot move huge pages). The gap is closed, unless something is there: then it may be what
 * another thread has just mapped, and is not ours any more. */
static Mapping map_huge(void *at)
{
    void *memory = make_huge();
    if (memory == MAP_FAILED)
        return NOT_MAPPED;
    if (mremap(memory, ARENA_CHUNK_SIZE, ARENA_CHUNK_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at)
        return MAPPED;
    int e = errno;
    void *closed = reserve(at, ARENA_CHUNK_SIZE, MAP_FIXED_NOREPLACE);
    munmap(memory, ARENA_CHUNK_SIZE);
    errno = e;
    return closed == at ? NOT_MAPPED : RESERVATION_LOST;
}

/* Never by MAP_FIXED: that may fail when it has taken the reservation away. */
static Mapping map_plain(void *at)
{
    return mprotect(at, ARENA_CHUNK_SIZE, PROT_READ | PROT_WRITE) == 0 ? MAPPED : NOT_MAPPED;
}

static void fail(GError **error, const char *what)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", what, g_strerror(errno));
}

bool chunks_init(Chunks *chunks, const ArenaConfig *config, GError **error)
{
    unsigned limit = (unsigned)((config->limit + ARENA_CHUNK_SIZE - 1) >> ARENA_CHUNK_SHIFT);
    size_t size = (size_t)limit << ARENA_CHUNK_SHIFT;
    uint8_t *reserved = reserve(NULL, size + ARENA_CHUNK_SIZE, 0);
    if (reserved == MAP_FAILED) {
        fail(error, "cannot reserve addresses for the arena");
        return false;
    }
    uintptr_t aligned = ((uintptr_t)reserved + ARENA_CHUNK_SIZE - 1) & ~(ARENA_CHUNK_SIZE - 1);
    size_t before = aligned - (uintptr_t)reserved;
    if (before > 0)
        munmap(reserved, before);
    munmap((uint8_t *)aligned + size, ARENA_CHUNK_SIZE - before);

    *chunks = (Chunks){
        .base = (uint8_t *)aligned, .reserved = limit, .owned = limit, .huge = config->huge};
    chunks->used = g_new0(size_t, limit);
    pthread_mutex_init(&chunks->lock, NULL);
    return true;
}

void chunks_deinit(Chunks *chunks)
{
    munmap(chunks->base, (size_t)chunks->owned << ARENA_CHUNK_SHIFT);
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

static bool map_chunk(Chunks *chunks, void *at, GError **error)
{
    Mapping mapping = chunks->huge == ARENA_HUGE_OFF ? NOT_MAPPED : map_huge(at);
    if (mapping == RESERVATION_LOST) {
        fail(error, "huge pages cannot be moved into the arena, which ends here");
        chunks->owned = chunks->mapped; /* the rest is not touched again, not even to unmap it */
        chunks_end_growth(chunks);
        return false;
    }
    if (mapping == NOT_MAPPED && chunks->huge == ARENA_HUGE_ON) {
        fail(error, "no huge pages for the arena (hugepages=on in [memory]; see "
                    "/proc/sys/vm/nr_hugepages)");
        return false;
    }
    if (mapping == NOT_MAPPED && map_plain(at) != MAPPED) {
        fail(error, "no memory for the arena");
        return false;
    }
    if (mapping == NOT_MAPPED && chunks->huge == ARENA_HUGE_AUTO)
        madvise(at, ARENA_CHUNK_SIZE, MADV_HUGEPAGE);
    return true;
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
    if (!map_chunk(chunks, at, error))
        return NULL;
    /* A fork (none is planned) must not make the device write into the wrong copy of a page. */
    madvise(at, ARENA_CHUNK_SIZE, MADV_DONTFORK);
    if (++chunks->mapped == chunks->reserved)
        chunks_end_growth(chunks);
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
