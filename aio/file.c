/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening, locking and describing backing stores. */
#include "aio/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aio/file_impl.h"
#include "aio/sys.h"

G_GNUC_PRINTF(3, 4) static int refuse(char **why, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *why = g_strdup_vprintf(format, args);
    va_end(args);
    return error;
}

static void store_unref(AioStore *store)
{
    if (__atomic_sub_fetch(&store->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (store->fd >= 0)
        close(store->fd);
    aio_ranges_deinit(&store->ranges);
    g_free(store->path);
    g_free(store);
}

static AioStore *store_new(const AioFileSpec *spec)
{
    AioStore *store = g_new0(AioStore, 1);
    store->refs = 1;
    store->fd = -1;
    store->path = g_strdup(spec->path);
    store->read_only = spec->read_only;
    store->size = spec->size;
    store->null = store->can_discard = store->discard_zeroes = !spec->path;
    store->discard_granularity = store->null ? 512 : 0;
    aio_ranges_init(&store->ranges);
    return store;
}

static int store_lock(AioStore *store, char **why)
{
    struct flock lock = {.l_type = store->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (store->block || fcntl(store->fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return refuse(why, -EBUSY, "%s: in use, locked by another process or LUN", store->path);
    int error = -errno;
    return refuse(why, error, "%s: cannot be locked: %s", store->path, g_strerror(-error));
}

/* The directory entry must be as durable as the data which will be acknowledged. */
static int sync_directory(const char *path)
{
    g_autofree char *name = g_path_get_dirname(path);
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int res = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
    close(fd);
    return res;
}

/* Makes the missing file; locked before it has its size, so that nobody can use half of it. */
static int store_create(AioStore *store, uint64_t size, char **why)
{
    if (!size)
        return refuse(why, -EINVAL, "%s: to create it, its size must be given", store->path);
    store->fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (store->fd < 0) {
        int error = -errno;
        return refuse(why, error, "%s: cannot be created: %s", store->path, g_strerror(-error));
    }
    int res = store_lock(store, why);
    if (res < 0)
        return res;
    if (ftruncate(store->fd, (off_t)size) < 0 || fsync(store->fd) < 0)
        res = -errno;
    else
        res = sync_directory(store->path);
    if (res < 0) {
        unlink(store->path);
        return refuse(why, res, "%s: cannot be created: %s", store->path, g_strerror(-res));
    }
    return 0;
}

static int store_open_existing(AioStore *store, mode_t type, char **why)
{
    if (S_ISDIR(type))
        return refuse(why, -EISDIR, "%s: is a directory", store->path);
    if (!S_ISREG(type) && !S_ISBLK(type))
        return refuse(why, -EINVAL, "%s: neither a file nor a block device", store->path);

    store->block = S_ISBLK(type);
    store->fd = open(store->path, (store->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                                      (store->block ? O_EXCL : 0));
    if (store->fd >= 0)
        return store_lock(store, why);
    int error = -errno;
    if (store->block && error == -EBUSY)
        return refuse(why, error, "%s: in use: mounted, or held by another process", store->path);
    return refuse(why, error, "%s: cannot be opened: %s", store->path, g_strerror(-error));
}

static int store_open(AioStore *store, const AioFileSpec *spec, char **why)
{
    struct stat st;
    int res;

    if (stat(store->path, &st) == 0)
        res = store_open_existing(store, st.st_mode, why);
    else if (errno != ENOENT)
        res = -errno, refuse(why, 0, "%s: %s", store->path, g_strerror(-res));
    else if (!spec->create || spec->read_only)
        res = refuse(why, -ENOENT, "%s: no such file", store->path);
    else
        res = store_create(store, spec->size, why);
    if (res < 0)
        return res;

    res = aio_probe_size(store->fd, store->block, &store->size);
    if (res < 0)
        return refuse(why, res, "%s: its size is unknown: %s", store->path, g_strerror(-res));
    if (store->block)
        store->sector = aio_probe_sector(store->fd);
    aio_probe_discard(store);
    return 0;
}

/* Opens the file itself, beside the descriptor that holds the lock. By way of /proc it is the same
 * inode for sure, whatever became of the path. */
static int file_attach(AioFile *file, char **why)
{
    const AioStore *store = file->store;
    char proc[64];

    file->offset_align = file->memory_align = 1;
    if (store->null)
        return 0;
    g_snprintf(proc, sizeof(proc), "/proc/self/fd/%d", store->fd);
    file->fd = open(proc, (store->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                              (file->mode == AIO_DIRECT ? O_DIRECT : 0));
    int res = file->fd < 0 ? -errno : 0;
    if (res == 0 && file->mode == AIO_DIRECT)
        res = aio_probe_direct(file->fd, store->block, &file->offset_align, &file->memory_align);
    if (res == 0 && file->mode == AIO_DIRECT && !store->read_only)
        aio_probe_atomic(file->fd, &file->atomic_min, &file->atomic_max);
    if (res == -EINVAL && file->mode == AIO_DIRECT)
        return refuse(why, res, "%s: its file system has no direct I/O", store->path);
    if (res < 0)
        return refuse(why, res, "%s: cannot be opened by way of %s: %s", store->path, proc,
                      g_strerror(-res));
    return 0;
}

/* Takes over the reference to the store. */
static int file_new(AioStore *store, AioMode mode, AioFile **file, char **why)
{
    AioFile *made = g_aligned_alloc0(1, sizeof(AioFile), alignof(AioFile));
    made->store = store;
    made->fd = -1;
    made->mode = mode;
    int res = file_attach(made, why);
    if (res < 0) {
        aio_file_close(made);
        return res;
    }
    *file = made;
    return 0;
}

int aio_file_open(const AioFileSpec *spec, AioFile **file, char **why)
{
    *why = NULL;
    AioStore *store = store_new(spec);
    int res = store->null ? 0 : store_open(store, spec, why);
    if (res < 0) {
        store_unref(store);
        return res;
    }
    return file_new(store, spec->mode, file, why);
}

int aio_file_reopen(AioFile *old, AioMode mode, AioFile **file, char **why)
{
    *why = NULL;
    __atomic_add_fetch(&old->store->refs, 1, __ATOMIC_RELAXED);
    return file_new(old->store, mode, file, why);
}

void aio_file_close(AioFile *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    store_unref(file->store);
    g_aligned_free(file);
}

int aio_file_fdatasync(const AioFile *file)
{
    int res;
    do
        res = aio_sys.fdatasync(file->fd);
    while (res == -EINTR);
    return res;
}

int aio_file_sync(AioFile *file)
{
    if (file->store->null)
        return 0;
    int res = aio_file_sync_error(file);
    return aio_file_settle_sync(file, res < 0 ? res : aio_file_fdatasync(file));
}

int aio_file_refresh_size(AioFile *file)
{
    uint64_t size;

    if (file->store->null)
        return 0;
    int res = aio_probe_size(file->fd, file->store->block, &size);
    if (res == 0)
        __atomic_store_n(&file->store->size, size, __ATOMIC_RELAXED);
    return res;
}

int aio_file_resize(AioFile *file, uint64_t size)
{
    AioStore *store = file->store;

    if (store->block)
        return -EINVAL;
    if (!store->null && ftruncate(store->fd, (off_t)size) < 0)
        return -errno;
    __atomic_store_n(&store->size, size, __ATOMIC_RELAXED);
    return 0;
}

uint64_t aio_file_size(const AioFile *file)
{
    return __atomic_load_n(&file->store->size, __ATOMIC_RELAXED);
}

AioMode aio_file_mode(const AioFile *file)
{
    return file->mode;
}

bool aio_file_read_only(const AioFile *file)
{
    return file->store->read_only;
}

bool aio_file_is_null(const AioFile *file)
{
    return file->store->null;
}

bool aio_file_is_block_device(const AioFile *file)
{
    return file->store->block;
}

bool aio_file_overwrites_in_place(const AioFile *file)
{
    return file->store->block || (!file->store->null && aio_probe_in_place(file->store->fd));
}

size_t aio_file_offset_align(const AioFile *file)
{
    return file->offset_align;
}

size_t aio_file_memory_align(const AioFile *file)
{
    return file->memory_align;
}

size_t aio_file_atomic_unit(const AioFile *file, size_t most)
{
    size_t unit = file->atomic_max < most ? file->atomic_max : most;
    return unit >= file->atomic_min ? unit : 0;
}

bool aio_file_can_discard(const AioFile *file)
{
    return file->store->can_discard;
}

bool aio_file_reads_zeros(const AioFile *file)
{
    return file->store->null;
}

bool aio_file_discard_zeroes(const AioFile *file)
{
    return file->store->discard_zeroes;
}

uint64_t aio_file_discard_granularity(const AioFile *file)
{
    return file->store->discard_granularity;
}

uint64_t aio_file_lock_unit(const AioFile *file)
{
    return MAX(file->offset_align, (uint64_t)sysconf(_SC_PAGESIZE));
}

int aio_file_sync_error(const AioFile *file)
{
    return __atomic_load_n(&file->store->sync_error, __ATOMIC_ACQUIRE);
}

void aio_file_clear_sync_error(AioFile *file)
{
    __atomic_store_n(&file->store->sync_error, 0, __ATOMIC_RELEASE);
}

/* A request that was refused for what it is says nothing about the data. */
static bool tells_of_loss(int res)
{
    return res < 0 && res != -EOPNOTSUPP && res != -EINVAL && res != -EROFS;
}

int aio_file_settle_sync(AioFile *file, int res)
{
    int none = 0;

    if (tells_of_loss(res))
        __atomic_compare_exchange_n(&file->store->sync_error, &none, res, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED);
    return res < 0 ? res : aio_file_sync_error(file);
}
