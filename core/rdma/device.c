/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices: opening, registration, asynchronous events. */
#include "core/rdma/device.h"

#include "core/rdma/cm_id.h"
#include "core/rdma/cq.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define DEVICE_LOOPS 1024

struct Device {
    struct ibv_context *verbs;
    struct ibv_pd *pd;
    DeviceCaps caps;

    Arena *arena;
    ArenaObserver observer;
    bool observing;
    struct ibv_mr **mrs;   /* by chunk */
    struct ibv_mr **sinks; /* the same for the answers to RDMA READs; mrs where one will do */
    unsigned max_chunks;

    LoopFd async;
    Loop *loops[DEVICE_LOOPS]; /* where there is a completion queue */
    CompletionQueue *cqs[DEVICE_LOOPS];
    gint lost;
};

/* --- registration ----------------------------------------------------------------------------- */

static void explain_registration(GError **error, const Device *device, int code)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if ((code == ENOMEM || code == EAGAIN) && limit.rlim_cur != RLIM_INFINITY)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    "%s: cannot register %zu MiB: locked memory is limited to %llu KiB; raise it "
                    "(LimitMEMLOCK=infinity, ulimit -l) or lower [memory] arena",
                    device_name(device), ARENA_CHUNK_SIZE >> 20,
                    (unsigned long long)limit.rlim_cur >> 10);
    else
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code),
                    "%s: cannot register %zu MiB of the arena: %s", device_name(device),
                    ARENA_CHUNK_SIZE >> 20, g_strerror(code));
}

static bool register_chunk(ArenaObserver *observer, unsigned index, void *base, size_t len,
                           GError **error)
{
    Device *device = (Device *)((char *)observer - offsetof(Device, observer));
    if (device_is_lost(device))
        return true; /* nothing will use the chunk by it */
    g_assert(index < device->max_chunks && !device->mrs[index]);
    struct ibv_mr **mr = &device->mrs[index], **sink = &device->sinks[index];
    *mr = ibv_reg_mr(device->pd, base, len, IBV_ACCESS_LOCAL_WRITE);
    if (*mr && !*sink)
        *sink = ibv_reg_mr(device->pd, base, len, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    if (*mr && *sink)
        return true;
    explain_registration(error, device, errno);
    return false;
}

/* The answer to an RDMA READ is a tagged message on iWARP, written as if from outside. */
static void make_tables(Device *device)
{
    device->mrs = g_new0(struct ibv_mr *, device->max_chunks);
    device->sinks = device->mrs;
    if (device->verbs->device->transport_type != IBV_TRANSPORT_IWARP)
        return;
    device->sinks = g_new0(struct ibv_mr *, device->max_chunks);
    g_warning(
        "RDMA device %s: iWARP needs buffers that peers may write to, so each is registered a "
        "second time: use it on trusted networks only",
        device_name(device));
}

static bool register_arena(Device *device, GError **error)
{
    ArenaStats stats;
    arena_get_stats(device->arena, &stats);
    device->max_chunks = (unsigned)((stats.limit + ARENA_CHUNK_SIZE - 1) >> ARENA_CHUNK_SHIFT);
    make_tables(device);
    device->observer.chunk_added = register_chunk;
    device->observing = arena_add_observer(device->arena, &device->observer, error);
    return device->observing;
}

uint32_t device_lkey(const Device *device, const void *address)
{
    return device->mrs[arena_chunk_of(arena_base(device->arena), address)]->lkey;
}

uint32_t device_sink_lkey(const Device *device, const void *address)
{
    return device->sinks[arena_chunk_of(arena_base(device->arena), address)]->lkey;
}

/* --- events ----------------------------------------------------------------------------------- */

static void fail_cq(void *arg)
{
    cq_fail(arg, "the RDMA device is gone");
}

void device_fail(Device *device, const char *why)
{
    if (!g_atomic_int_compare_and_exchange(&device->lost, 0, 1))
        return;
    g_warning("RDMA device %s: %s; its connections end", device_name(device), why);
    for (unsigned i = 0; i < DEVICE_LOOPS; i++) {
        CompletionQueue *cq = g_atomic_pointer_get(&device->cqs[i]);
        if (cq)
            loop_call(device->loops[i], fail_cq, cq);
    }
}

static void handle_async_event(Device *device, const struct ibv_async_event *event)
{
    switch (event->event_type) {
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_PATH_MIG_ERR:
    case IBV_EVENT_COMM_EST:
        cm_id_pass_device_event(event->element.qp->qp_context, event->event_type);
        break;
    case IBV_EVENT_DEVICE_FATAL:
    case IBV_EVENT_CQ_ERR:
        device_fail(device, ibv_event_type_str(event->event_type));
        break;
    case IBV_EVENT_PORT_ACTIVE:
    case IBV_EVENT_PORT_ERR:
        g_message("RDMA device %s: port %d: %s", device_name(device), event->element.port_num,
                  ibv_event_type_str(event->event_type));
        break;
    default:
        break;
    }
}

static void take_async_events(LoopFd *lfd, uint32_t epoll_events)
{
    Device *device = (Device *)((char *)lfd - offsetof(Device, async));
    struct ibv_async_event event;
    (void)epoll_events;
    while (ibv_get_async_event(device->verbs, &event) == 0) {
        handle_async_event(device, &event);
        ibv_ack_async_event(&event);
    }
    if (errno != EAGAIN && errno != EINTR) {
        loop_remove_fd(&device->async); /* or it would stay readable for ever */
        device_fail(device, g_strerror(errno));
    }
}

static bool watch_async_events(Device *device, Loop *main, GError **error)
{
    int fd = device->verbs->async_fd;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
        loop_add_fd(main, &device->async, fd, EPOLLIN, take_async_events))
        return true;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: cannot watch events: %s",
                device_name(device), g_strerror(errno));
    return false;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static uint32_t query_max_message(const Device *device, unsigned ports)
{
    uint32_t least = UINT32_C(1) << 30;
    struct ibv_port_attr port;
    for (unsigned i = 1; i <= ports; i++)
        if (ibv_query_port(device->verbs, (uint8_t)i, &port) == 0 && port.max_msg_sz > 0)
            least = MIN(least, port.max_msg_sz);
    return least;
}

static bool query_caps(Device *device, GError **error)
{
    struct ibv_device_attr attr;
    int code = ibv_query_device(device->verbs, &attr);
    if (code != 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), "%s: cannot be queried: %s",
                    device_name(device), g_strerror(code));
        return false;
    }
    unsigned sge = CLAMP(attr.max_sge, 1, WORK_SGES);
    device->caps = (DeviceCaps){
        .max_sge = sge,
        .max_sge_read = attr.max_sge_rd > 0 ? MIN(sge, (unsigned)attr.max_sge_rd) : sge,
        .max_work = (unsigned)attr.max_qp_wr,
        .max_cqe = (unsigned)attr.max_cqe,
        .max_reads = (unsigned)MIN(attr.max_qp_init_rd_atom, 255),
        .max_message = query_max_message(device, attr.phys_port_cnt),
        .remote_invalidate = (attr.device_cap_flags & IBV_DEVICE_MEM_MGT_EXTENSIONS) != 0,
    };
    return true;
}

Device *device_new(struct ibv_context *verbs, Loop *main, Arena *arena, GError **error)
{
    Device *device = g_new0(Device, 1);
    device->verbs = verbs;
    device->arena = arena;
    if (!query_caps(device, error))
        goto free_device;
    device->pd = ibv_alloc_pd(verbs);
    if (!device->pd) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: no protection domain: %s",
                    device_name(device), g_strerror(errno));
        goto free_device;
    }
    if (!register_arena(device, error) || !watch_async_events(device, main, error))
        goto free_device;
    return device;

free_device:
    device_free(device);
    return NULL;
}

typedef struct {
    CompletionQueue *cq;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
} CqEnd;

static void end_cq(void *arg)
{
    CqEnd *end = arg;
    cq_free(end->cq);
    pthread_mutex_lock(&end->lock);
    end->done = true;
    pthread_cond_signal(&end->ended);
    pthread_mutex_unlock(&end->lock);
}

static void end_cq_on(Loop *loop, CompletionQueue *cq)
{
    CqEnd end = {.cq = cq};
    pthread_mutex_init(&end.lock, NULL);
    pthread_cond_init(&end.ended, NULL);
    if (loop == loop_self())
        end_cq(&end);
    else
        loop_call(loop, end_cq, &end);
    pthread_mutex_lock(&end.lock);
    while (!end.done)
        pthread_cond_wait(&end.ended, &end.lock);
    pthread_mutex_unlock(&end.lock);
    pthread_cond_destroy(&end.ended);
    pthread_mutex_destroy(&end.lock);
}

static void unregister(const Device *device, struct ibv_mr **mrs)
{
    for (unsigned i = 0; i < device->max_chunks; i++)
        if (mrs[i])
            ibv_dereg_mr(mrs[i]);
    g_free(mrs);
}

void device_free(Device *device)
{
    if (!device)
        return;
    loop_remove_fd(&device->async);
    for (unsigned i = 0; i < DEVICE_LOOPS; i++)
        if (device->cqs[i])
            end_cq_on(device->loops[i], device->cqs[i]);
    if (device->observing)
        arena_remove_observer(device->arena, &device->observer);
    unregister(device, device->mrs);
    if (device->sinks != device->mrs)
        unregister(device, device->sinks);
    if (device->pd)
        ibv_dealloc_pd(device->pd);
    g_free(device);
}

/* --- what it is ------------------------------------------------------------------------------- */

CompletionQueue *device_cq(Device *device, GError **error)
{
    Loop *loop = loop_self();
    unsigned i = loop_index(loop);
    g_assert(i < DEVICE_LOOPS);
    if (!device->cqs[i]) {
        device->loops[i] = loop;
        g_atomic_pointer_set(&device->cqs[i], cq_new(device, loop, error));
    }
    return device->cqs[i];
}

const char *device_name(const Device *device)
{
    return ibv_get_device_name(device->verbs->device);
}

const DeviceCaps *device_caps(const Device *device)
{
    return &device->caps;
}

struct ibv_context *device_verbs(const Device *device)
{
    return device->verbs;
}

struct ibv_pd *device_pd(const Device *device)
{
    return device->pd;
}

bool device_is_lost(const Device *device)
{
    return g_atomic_int_get(&device->lost) != 0;
}
