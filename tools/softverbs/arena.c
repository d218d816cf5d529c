/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory that peers map, and its heap. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/process.h"

#include <sys/mman.h>
#include <sys/random.h>

static uint64_t heap_top;

static struct freeblk {
    struct freeblk *next;
    uint64_t off;
} * freelist[40];

void sv_mutex_shared(pthread_mutex_t *m)
{
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(m, &a);
    pthread_mutexattr_destroy(&a);
}

static int order(size_t n)
{
    int o = 12;

    while ((1ull << o) < n)
        o++;
    return o;
}

/* Power-of-two blocks of the shared heap; called with g.obj held. */
uint64_t sv_alloc(size_t n)
{
    int o = order(n);
    struct freeblk *f = freelist[o];
    uint64_t off;

    if (f) {
        freelist[o] = f->next;
        off = f->off;
        free(f);
        return off;
    }
    off = heap_top;
    if (off + (1ull << o) > SV_ARENA_SIZE)
        return 0;
    heap_top += 1ull << o;
    return off;
}

void sv_free(uint64_t off, size_t n)
{
    struct freeblk *f;
    int o = order(n);

    if (!off)
        return;
    if (o >= 16)
        fallocate(g.arenafd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, 1ull << o);
    f = malloc(sizeof(*f));
    if (!f)
        return;
    f->off = off;
    f->next = freelist[o];
    freelist[o] = f;
}

struct sv_arena *sv_arena_map(int fd)
{
    void *p = mmap(NULL, SV_ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

    if (p == MAP_FAILED)
        return NULL;
    madvise(p, SV_ARENA_SIZE, MADV_DONTDUMP);
    return p;
}

int sv_arena_make(void)
{
    struct sv_arena *a;
    int fd = memfd_create("softverbs", MFD_CLOEXEC);

    if (fd < 0)
        return errno;
    if (ftruncate(fd, SV_ARENA_SIZE) || !(a = sv_arena_map(fd))) {
        int e = errno;

        close(fd);
        return e;
    }
    a->magic = SV_MAGIC;
    a->pid = getpid();
    if (getrandom(&a->uuid, sizeof(a->uuid), 0) != sizeof(a->uuid))
        a->uuid = sv_now() ^ ((uint64_t)getpid() << 40);
    heap_top = (sizeof(*a) + 4095) & ~4095ull;
    g.arenafd = fd;
    g.a = a;
    return 0;
}
