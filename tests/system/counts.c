/* SPDX-License-Identifier: GPL-2.0-or-later */
/* To be preloaded: counts what a process asks of its libraries - memory, copies of 512 bytes and
 * more, event fds, the sleeps of GLib's loops - and prints it at the end. */
#include <dlfcn.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PAYLOAD_FROM 512 /* a copy of fewer bytes is of headers */

static struct {
    atomic_ulong allocations, arena_allocations, copied, event_writes, polls;
} n;

static void count(atomic_ulong *counter, unsigned long more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

#define REAL(name)                 \
    static __typeof__(name) *real; \
    if (!real)                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* --- memory ----------------------------------------------------------------------------------- */

void *malloc(size_t size)
{
    REAL(malloc);
    count(&n.allocations, 1);
    return real(size);
}

/* dlsym() itself asks for some before the real one is known. */
void *calloc(size_t members, size_t size)
{
    static _Alignas(16) char first[4096];
    static size_t used;
    static __typeof__(calloc) *real;
    static bool looking;
    if (!real && looking) {
        void *piece = first + used;
        used += (members * size + 15) & ~(size_t)15;
        return used <= sizeof first ? piece : NULL;
    }
    if (!real) {
        looking = true;
        real = (__typeof__(calloc) *)dlsym(RTLD_NEXT, "calloc");
    }
    count(&n.allocations, 1);
    return real(members, size);
}

void *realloc(void *old, size_t size)
{
    REAL(realloc);
    count(&n.allocations, 1);
    return real(old, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    REAL(posix_memalign);
    count(&n.allocations, 1);
    return real(out, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    REAL(aligned_alloc);
    count(&n.allocations, 1);
    return real(alignment, size);
}

/* jemalloc's own, of which the arena of registered memory is made. */
void *mallocx(size_t size, int flags);
void *mallocx(size_t size, int flags)
{
    REAL(mallocx);
    count(&n.arena_allocations, 1);
    return real(size, flags);
}

/* --- copies ----------------------------------------------------------------------------------- */

/* Those of the software device stand for what an adapter does. */
static bool is_the_device(const void *caller)
{
    static _Atomic(const void *) base;
    Dl_info info;
    if (!atomic_load(&base)) {
        void *symbol = dlsym(RTLD_DEFAULT, "ibv_create_comp_channel");
        atomic_store(&base, symbol && dladdr(symbol, &info) ? info.dli_fbase : (void *)&n);
    }
    return dladdr(caller, &info) && info.dli_fbase == atomic_load(&base);
}

static void count_copy(size_t len, const void *caller)
{
    if (len >= PAYLOAD_FROM && !is_the_device(caller))
        count(&n.copied, len);
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    REAL(memcpy);
    count_copy(len, __builtin_return_address(0));
    return real(to, from, len);
}

void *memmove(void *to, const void *from, size_t len)
{
    REAL(memmove);
    count_copy(len, __builtin_return_address(0));
    return real(to, from, len);
}

/* --- sleeping and waking ---------------------------------------------------------------------- */

static bool is_event_fd(int fd)
{
    char name[64], what[32] = "";
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return readlink(name, what, sizeof what - 1) > 0 && strstr(what, "[eventfd]");
}

ssize_t write(int fd, const void *data, size_t len)
{
    REAL(write);
    if (len == sizeof(eventfd_t) && is_event_fd(fd))
        count(&n.event_writes, 1);
    return real(fd, data, len);
}

int eventfd_write(int fd, eventfd_t value)
{
    REAL(eventfd_write);
    count(&n.event_writes, 1);
    return real(fd, value);
}

/* GLib's loops poll once in every iteration; nothing else here polls. */
int poll(struct pollfd *fds, nfds_t fds_n, int timeout)
{
    REAL(poll);
    count(&n.polls, 1);
    return real(fds, fds_n, timeout);
}

__attribute__((destructor)) static void print_counts(void)
{
    fprintf(stderr,
            "counts[%d]: allocations %lu arena_allocations %lu copied %lu event_writes %lu "
            "iterations %lu\n",
            (int)getpid(), n.allocations, n.arena_allocations, n.copied, n.event_writes, n.polls);
}
