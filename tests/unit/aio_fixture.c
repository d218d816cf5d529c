/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places, driver and faults for the tests of aio/. */
#include "tests/unit/aio_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <libaio.h>
#include <linux/loop.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aio/sys.h"

const char *const place_names[PLACES] = {"disk", "tmpfs", "loop"};

static const char *make_in(const char *folder, const char **why)
{
    static char path[4096];
    g_snprintf(path, sizeof(path), "%s/rtgt-aio-XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    *why = "no file can be made there";
    if (fd < 0)
        return NULL;
    int res = ftruncate(fd, FILE_SIZE);
    close(fd);
    if (res == 0)
        return path;
    unlink(path);
    return NULL;
}

static const char *disk_folder(void)
{
    return g_getenv("TMPDIR") ?: ".";
}

/* The device goes by itself when the process ends: autoclear, and its file is unlinked at once. */
static const char *make_loop(const char **why)
{
    static char device[64];
    struct loop_config config = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
    static int held = -1;
    const char *file;

    if (held >= 0)
        return device;
    *why = "no loop device can be had (not root?)";
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    if (control >= 0)
        close(control);
    if (number < 0 || !(file = make_in(disk_folder(), why)))
        return NULL;
    g_snprintf(device, sizeof(device), "/dev/loop%d", number);
    int backing = open(file, O_RDWR | O_CLOEXEC);
    unlink(file);
    held = open(device, O_RDWR | O_CLOEXEC);
    config.fd = (uint32_t)backing;
    if (held >= 0 && ioctl(held, LOOP_CONFIGURE, &config) < 0) {
        close(held);
        held = -1;
    }
    close(backing);
    return held < 0 ? NULL : device;
}

const char *place_make(Place place, const char **why)
{
    if (place == PLACE_LOOP)
        return make_loop(why);
    return make_in(place == PLACE_TMPFS ? "/dev/shm" : disk_folder(), why);
}

void place_remove(Place place, const char *path)
{
    if (place != PLACE_LOOP)
        unlink(path);
}

const char *rig_open(Rig *rig)
{
    static char reason[256];
    g_autofree char *why = NULL;
    const char *text = NULL;

    rig->path = place_make(rig->place, &text);
    if (!rig->path)
        return text;
    AioFileSpec spec = {.path = rig->path, .mode = rig->mode};
    if (aio_file_open(&spec, &rig->file, &why) < 0) {
        g_strlcpy(reason, why, sizeof(reason));
        place_remove(rig->place, rig->path);
        return reason;
    }
    int res = 0;
    if (rig->engine->accepts(rig->file, &rig->params, &text) == 0 &&
        (res = rig->engine->open(&rig->params, &rig->ctx)) == 0)
        return NULL;
    if (res < 0)
        text = g_strerror(-res);
    aio_file_close(rig->file);
    place_remove(rig->place, rig->path);
    return text;
}

void rig_close(Rig *rig)
{
    rig->engine->close(rig->ctx);
    aio_file_close(rig->file);
    place_remove(rig->place, rig->path);
}

bool rig_wait(Rig *rig, unsigned *left)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    while (*left) {
        rig->engine->flush(rig->ctx);
        while (rig->engine->reap(rig->ctx, 16) == 16)
            ;
        if (!*left)
            break;
        struct pollfd event = {.fd = rig->engine->event_fd(rig->ctx), .events = POLLIN};
        if (g_get_monotonic_time() > deadline)
            return false;
        rig->engine->flush(rig->ctx); /* done may have queued more */
        if (rig->engine->reap(rig->ctx, 16) == 0)
            poll(&event, 1, 10000);
    }
    return true;
}

typedef struct {
    AioReq req;
    unsigned left;
} Single;

static void single_done(AioReq *req)
{
    ((Single *)req)->left = 0;
}

static ssize_t run_single(Rig *rig, Single *single)
{
    single->left = 1;
    single->req.file = rig->file;
    single->req.done = single_done;
    if (!rig->engine->queue(rig->ctx, &single->req))
        return -EBUSY;
    return rig_wait(rig, &single->left) ? single->req.res : -ETIME;
}

ssize_t rig_run(Rig *rig, AioOp op, unsigned flags, void *data, uint64_t offset, uint64_t len)
{
    struct iovec iov = {data, len};
    Single single = {
        .req = {.op = op,
                .flags = flags,
                .iov = &iov,
                .iovcnt = data ? 1 : 0,
                .offset = offset,
                .len = len},
    };
    return run_single(rig, &single);
}

ssize_t rig_extent(Rig *rig, uint64_t offset, uint64_t len, bool *hole)
{
    Single single = {.req = {.op = AIO_EXTENT, .offset = offset, .len = len, .hole = true}};
    ssize_t res = run_single(rig, &single);
    *hole = single.req.hole;
    return res;
}

void pattern_fill(void *data, uint64_t seed, uint64_t offset, size_t len)
{
    uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        uint64_t at = (offset + i) * 0x9e3779b97f4a7c15u + seed * 0xbf58476d1ce4e5b9u;
        bytes[i] = (uint8_t)(at >> 56) | 1;
    }
}

void *page_alloc(size_t len)
{
    return aligned_alloc(4096, (len + 4095) / 4096 * 4096);
}

/* ---- faults ---- */

static struct {
    unsigned on;
    int result;
    unsigned left;
    bool delays, refuse_dsync;
    unsigned calls[7];
    unsigned dsync_writes, atomic_writes, atomic_unit;
    AioSys real;
    bool installed;
} fault;

/* True: the fault hits this call. Called by any thread. */
static bool fault_hits(unsigned kind)
{
    __atomic_add_fetch(&fault.calls[__builtin_ctz(kind)], 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&fault.delays, __ATOMIC_RELAXED))
        g_usleep(g_random_int_range(0, 300));
    if (!(__atomic_load_n(&fault.on, __ATOMIC_RELAXED) & kind))
        return false;
    unsigned left = __atomic_load_n(&fault.left, __ATOMIC_RELAXED);
    while (left && !__atomic_compare_exchange_n(&fault.left, &left, left - 1, false,
                                                __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return left > 0;
}

static int64_t faulty(int64_t real)
{
    return real > 0 ? MIN(real, fault.result) : real;
}

static ssize_t fault_preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    bool hit = fault_hits(flags & RWF_NOWAIT ? ON_NOWAIT : ON_READ);
    if (hit && fault.result <= 0)
        return fault.result;
    ssize_t n = fault.real.preadv2(fd, iov, iovcnt, offset, flags);
    return hit ? faulty(n) : n;
}

static ssize_t fault_pwritev2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)
{
    if (flags & RWF_DSYNC) {
        __atomic_add_fetch(&fault.dsync_writes, 1, __ATOMIC_RELAXED);
        if (fault.refuse_dsync)
            return -EOPNOTSUPP;
    }
    if (flags & RWF_ATOMIC)
        __atomic_add_fetch(&fault.atomic_writes, 1, __ATOMIC_RELAXED);
    bool hit = fault_hits(ON_WRITE);
    if (hit && fault.result <= 0)
        return fault.result;
    if (fault.atomic_unit)
        flags &= ~RWF_ATOMIC;
    ssize_t n = fault.real.pwritev2(fd, iov, iovcnt, offset, flags);
    return hit ? faulty(n) : n;
}

static int fault_fdatasync(int fd)
{
    return fault_hits(ON_SYNC) ? fault.result : fault.real.fdatasync(fd);
}

static int fault_fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fault_hits(ON_ALLOCATE) ? fault.result : fault.real.fallocate(fd, mode, offset, len);
}

static int fault_blkdiscard(int fd, uint64_t offset, uint64_t len)
{
    return fault_hits(ON_ALLOCATE) ? fault.result : fault.real.blkdiscard(fd, offset, len);
}

static int64_t fault_seek(int fd, uint64_t offset, int whence)
{
    return fault_hits(ON_SEEK) ? fault.result : fault.real.seek(fd, offset, whence);
}

static int fault_limits(int fd, AioAtomicLimits *limits)
{
    if (!fault.atomic_unit)
        return fault.real.atomic_limits(fd, limits);
    *limits = (AioAtomicLimits){.unit_min = 4096, .unit_max = fault.atomic_unit, .segments_max = 1};
    return 0;
}

static int fault_io_submit(void *kernel_ctx, long count, struct iocb **iocbs)
{
    for (long i = 0; i < count; i++) {
        if (iocbs[i]->aio_rw_flags & RWF_DSYNC)
            __atomic_add_fetch(&fault.dsync_writes, 1, __ATOMIC_RELAXED);
        if (iocbs[i]->aio_rw_flags & RWF_ATOMIC)
            __atomic_add_fetch(&fault.atomic_writes, 1, __ATOMIC_RELAXED);
    }
    bool hit = fault_hits(ON_SUBMIT);
    if (hit && fault.result <= 0)
        return fault.result;
    return fault.real.io_submit(kernel_ctx, hit ? MIN(count, fault.result) : count, iocbs);
}

static int fault_uring_submit(struct io_uring *ring)
{
    return fault_hits(ON_SUBMIT) && fault.result < 0 ? fault.result : fault.real.uring_submit(ring);
}

static int64_t fault_completed(const AioReq *req, int64_t res)
{
    static const unsigned kinds[AIO_OPS] = {ON_READ,     ON_WRITE, ON_SYNC, ON_ALLOCATE,
                                            ON_ALLOCATE, ON_SEEK,  ON_READ};
    bool refused = res < 0 && !(req->flags & AIO_ATOMIC); /* which the kernel does not know here */
    if (refused || !fault_hits(kinds[req->op]))
        return res;
    if (res < 0)
        return fault.result;
    return fault.result > 0 ? faulty(res) : fault.result;
}

static void fault_install(void)
{
    if (fault.installed)
        return;
    fault.real = aio_sys;
    fault.installed = true;
    aio_sys = (AioSys){
        .preadv2 = fault_preadv2,
        .pwritev2 = fault_pwritev2,
        .fdatasync = fault_fdatasync,
        .fallocate = fault_fallocate,
        .blkdiscard = fault_blkdiscard,
        .seek = fault_seek,
        .advise = aio_sys.advise,
        .atomic_limits = fault_limits,
        .io_submit = fault_io_submit,
        .uring_submit = fault_uring_submit,
        .completed = fault_completed,
    };
}

void fault_arm(unsigned on, int result, unsigned times)
{
    fault_install();
    fault.result = result;
    fault.left = times;
    fault.on = on;
}

unsigned fault_left(void)
{
    return __atomic_load_n(&fault.left, __ATOMIC_RELAXED);
}

void fault_delays(bool on)
{
    fault_install();
    fault.delays = on;
}

void fault_clear(void)
{
    fault_install();
    fault.on = fault.left = 0;
    fault.delays = fault.refuse_dsync = false;
    fault.dsync_writes = fault.atomic_writes = fault.atomic_unit = 0;
    memset(fault.calls, 0, sizeof(fault.calls));
}

unsigned fault_calls(unsigned on)
{
    return __atomic_load_n(&fault.calls[__builtin_ctz(on)], __ATOMIC_RELAXED);
}

unsigned fault_dsync_writes(void)
{
    return __atomic_load_n(&fault.dsync_writes, __ATOMIC_RELAXED);
}

void fault_atomic(unsigned unit)
{
    fault_install();
    fault.atomic_unit = unit;
}

unsigned fault_atomic_writes(void)
{
    return __atomic_load_n(&fault.atomic_writes, __ATOMIC_RELAXED);
}

void fault_refuse_dsync(void)
{
    fault_install();
    fault.refuse_dsync = true;
}
