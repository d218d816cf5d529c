/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks the kernel what a file or device can do. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "aio/file_impl.h"
#include "aio/sys.h"

int aio_probe_size(int fd, bool block, uint64_t *size)
{
    struct stat st;

    if (block)
        return ioctl(fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    *size = (uint64_t)st.st_size;
    return 0;
}

unsigned aio_probe_sector(int fd)
{
    int sector;
    return ioctl(fd, BLKSSZGET, &sector) < 0 ? 4096 : (unsigned)sector;
}

/* Where the kernel does not say: the device's sector, or a sector if reading one works. */
static size_t guess_alignment(int fd, bool block)
{
    alignas(4096) char page[4096];
    if (block)
        return aio_probe_sector(fd);
    return pread(fd, page, 512, 0) == 512 ? 512 : 4096;
}

int aio_probe_direct(int fd, bool block, size_t *offset_align, size_t *memory_align)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
        (stx.stx_mask & STATX_DIOALIGN)) {
        *offset_align = stx.stx_dio_offset_align;
        *memory_align = stx.stx_dio_mem_align;
    } else {
        *offset_align = *memory_align = guess_alignment(fd, block);
    }
    return *offset_align && *memory_align ? 0 : -EINVAL;
}

void aio_probe_atomic(int fd, size_t *min, size_t *max)
{
    AioAtomicLimits limits;

    *min = *max = 0;
    if (aio_sys.atomic_limits(fd, &limits) < 0 || limits.segments_max < 1 || limits.unit_max == 0)
        return;
    *min = limits.unit_min;
    *max = (size_t)1 << (31 - __builtin_clz(limits.unit_max));
}

/* A number of /sys/dev/block/MAJOR:MINOR/queue; partitions have their queue one level up. */
static uint64_t probe_queue(dev_t device, const char *attribute)
{
    static const char *const places[] = {"queue", "../queue"};
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/%s/%s", major(device),
                                                minor(device), places[i], attribute);
        g_autofree char *text = NULL;
        if (g_file_get_contents(path, &text, NULL, NULL))
            return g_ascii_strtoull(text, NULL, 10);
    }
    return 0;
}

void aio_probe_discard(AioStore *store)
{
    struct stat st;

    if (store->read_only || fstat(store->fd, &st) < 0)
        return;
    if (store->block) {
        store->can_discard = probe_queue(st.st_rdev, "discard_max_bytes") > 0;
        store->discard_granularity = probe_queue(st.st_rdev, "discard_granularity");
    } else {
        /* behind the end there is nothing to lose */
        store->can_discard =
            aio_sys.fallocate(store->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              (st.st_size + 65535) / 65536 * 65536, 65536) == 0;
        store->discard_zeroes = store->can_discard;
        store->discard_granularity = (uint64_t)st.st_blksize;
    }
    if (!store->can_discard)
        store->discard_granularity = 0;
    else if (!store->discard_granularity)
        store->discard_granularity = 512;
}

bool aio_probe_in_place(int fd)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return false;
    bool known = fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == TMPFS_MAGIC;
    return known && (uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size;
}
