/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event channel of the connection manager, listeners, and the hand-over of requests. */
#include "core/rdma/fabric.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

#define BACKLOG 128

struct Fabric {
    unsigned users;
    Loop *main;
    Arena *arena;
    struct rdma_event_channel *channel;
    LoopFd events;
    GPtrArray *devices;
    unsigned ids; /* of connections, not yet destroyed */
    GPtrArray *listeners;
};

struct FabricListener {
    Fabric *fabric;
    struct rdma_cm_id *id;
    Loop *const *loops;
    unsigned nloops, next;
    FabricAccept accept;
    FabricRoute route; /* NULL: the loops take turns */
    FabricLate late;
    void *arg;
    gint refs;            /* loop 0's, and one for every request on its way to a loop */
    pthread_mutex_t lock; /* protects the rest */
    pthread_cond_t idle;
    unsigned accepting; /* calls of accept */
    bool closed;
};

typedef struct {
    ConnectRequest request;
    FabricListener *listener;
    uint8_t private_data[256];
} HandOver;

/* --- devices ---------------------------------------------------------------------------------- */

static Device *find_device(Fabric *fabric, struct ibv_context *verbs, GError **error)
{
    for (unsigned i = 0; i < fabric->devices->len; i++) {
        Device *device = fabric->devices->pdata[i];
        if (device_verbs(device) != verbs)
            continue;
        if (!device_is_lost(device))
            return device;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CLOSED, "%s: the device is gone",
                    device_name(device));
        return NULL;
    }
    Device *device = device_new(verbs, fabric->main, fabric->arena, error);
    if (device)
        g_ptr_array_add(fabric->devices, device);
    return device;
}

static bool open_devices(Fabric *fabric, GError **error)
{
    int n = 0;
    struct ibv_context **list = rdma_get_devices(&n);
    g_autoptr(GError) last = NULL;
    for (int i = 0; i < n; i++) {
        g_autoptr(GError) refused = NULL;
        if (find_device(fabric, list[i], &refused))
            continue;
        g_warning("RDMA device %s", refused->message);
        g_clear_error(&last);
        last = g_steal_pointer(&refused);
    }
    if (list)
        rdma_free_devices(list);
    if (fabric->devices->len > 0)
        return true;
    if (last)
        g_propagate_error(error, g_steal_pointer(&last));
    else
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no RDMA device");
    return false;
}

/* --- requests --------------------------------------------------------------------------------- */

static void listener_unref(FabricListener *listener)
{
    if (!g_atomic_int_dec_and_test(&listener->refs))
        return;
    pthread_cond_destroy(&listener->idle);
    pthread_mutex_destroy(&listener->lock);
    g_free(listener);
}

static bool begin_accept(FabricListener *listener)
{
    pthread_mutex_lock(&listener->lock);
    bool open = !listener->closed;
    listener->accepting += open;
    pthread_mutex_unlock(&listener->lock);
    return open;
}

static void end_accept(FabricListener *listener)
{
    pthread_mutex_lock(&listener->lock);
    if (--listener->accepting == 0)
        pthread_cond_signal(&listener->idle);
    pthread_mutex_unlock(&listener->lock);
}

/* On the home loop. */
static void hand_over(void *arg)
{
    HandOver *over = arg;
    FabricListener *listener = over->listener;
    if (begin_accept(listener)) {
        listener->accept(&over->request, listener->arg);
        end_accept(listener);
    } else {
        if (over->request.routed)
            listener->late(over->request.routed);
        fabric_reject(&over->request, NULL, 0);
    }
    listener_unref(listener);
    g_free(over);
}

/* On loop 0, the event acknowledged afterwards: copies what is needed of it. */
static HandOver *take_request(FabricListener *listener, const struct rdma_cm_event *event,
                              Loop **home, GError **error)
{
    const struct rdma_conn_param *param = &event->param.conn;
    Device *device = find_device(listener->fabric, event->id->verbs, error);
    if (!device)
        return NULL;
    HandOver *over = g_new0(HandOver, 1);
    over->listener = listener;
    memcpy(over->private_data, param->private_data ? param->private_data : "",
           param->private_data ? param->private_data_len : 0);
    over->request = (ConnectRequest){
        .device = device,
        .private_data = over->private_data,
        .private_len = param->private_data ? param->private_data_len : 0,
        .peer_reads = param->initiator_depth, /* already seen from here (rdma_get_cm_event(3)) */
    };
    memcpy(&over->request.local, rdma_get_local_addr(event->id), sizeof over->request.local);
    memcpy(&over->request.peer, rdma_get_peer_addr(event->id), sizeof over->request.peer);
    memcpy(over->request.peer_gid, &event->id->route.addr.addr.ibaddr.dgid,
           sizeof over->request.peer_gid);
    *home = listener->route ? listener->route(&over->request, listener->arg)
                            : listener->loops[listener->next++ % listener->nloops];
    over->request.id = cm_id_new(event->id, *home, listener->fabric->main, &listener->fabric->ids);
    return over;
}

static void handle_request(struct rdma_cm_event *event)
{
    g_autoptr(GError) error = NULL;
    FabricListener *listener = event->listen_id->context;
    struct rdma_cm_id *id = event->id;
    Loop *home = NULL;
    HandOver *over = take_request(listener, event, &home, &error);
    rdma_ack_cm_event(event);
    if (!over) {
        g_warning("RDMA connection refused: %s", error->message);
        rdma_reject(id, NULL, 0);
        rdma_destroy_id(id);
        return;
    }
    g_atomic_int_inc(&listener->refs);
    loop_call(home, hand_over, over);
}

void fabric_reject(ConnectRequest *request, const void *private_data, uint8_t len)
{
    rdma_reject(cm_id_verbs(request->id), private_data, len);
    cm_id_release(request->id, false);
}

/* --- events ----------------------------------------------------------------------------------- */

/* A listener's own events: its device goes, or its address. */
static bool is_listener(const Fabric *fabric, const struct rdma_cm_id *id)
{
    for (unsigned i = 0; i < fabric->listeners->len; i++)
        if (((FabricListener *)fabric->listeners->pdata[i])->id == id)
            return true;
    return false;
}

static void take_cm_events(LoopFd *lfd, uint32_t epoll_events)
{
    Fabric *fabric = (Fabric *)((char *)lfd - offsetof(Fabric, events));
    struct rdma_cm_event *event;
    (void)epoll_events;
    while (rdma_get_cm_event(fabric->channel, &event) == 0) {
        if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST) {
            handle_request(event);
            continue;
        }
        if (is_listener(fabric, event->id))
            g_warning("RDMA listener: %s", rdma_event_str(event->event));
        else
            cm_id_pass_cm_event(event->id->context, event->event, event->status);
        rdma_ack_cm_event(event);
    }
}

static void fabric_free(Fabric *fabric)
{
    g_assert(fabric->listeners->len == 0);
    while (fabric->ids > 0)
        g_main_context_iteration(loop_context(fabric->main), TRUE);
    loop_remove_fd(&fabric->events);
    g_ptr_array_unref(fabric->devices);
    g_ptr_array_unref(fabric->listeners);
    if (fabric->channel)
        rdma_destroy_event_channel(fabric->channel);
    g_free(fabric);
}

static Fabric *fabric_new(Loop *main, Arena *arena, GError **error)
{
    Fabric *fabric = g_new0(Fabric, 1);
    fabric->main = main;
    fabric->arena = arena;
    fabric->devices = g_ptr_array_new_with_free_func((GDestroyNotify)device_free);
    fabric->listeners = g_ptr_array_new();
    fabric->channel = rdma_create_event_channel();
    if (!fabric->channel) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "no RDMA connection manager (module rdma_ucm): %s", g_strerror(errno));
        goto free_fabric;
    }
    int flags = fcntl(fabric->channel->fd, F_GETFL);
    if (flags < 0 || fcntl(fabric->channel->fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        !loop_add_fd(main, &fabric->events, fabric->channel->fd, EPOLLIN, take_cm_events)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "RDMA event channel: %s",
                    g_strerror(errno));
        goto free_fabric;
    }
    if (open_devices(fabric, error))
        return fabric;

free_fabric:
    fabric_free(fabric);
    return NULL;
}

static Fabric *the_fabric; /* loop 0 only */

Fabric *fabric_get(Loop *main, Arena *arena, GError **error)
{
    if (!the_fabric)
        the_fabric = fabric_new(main, arena, error);
    g_assert(!the_fabric || (the_fabric->main == main && the_fabric->arena == arena));
    if (the_fabric)
        the_fabric->users++;
    return the_fabric;
}

void fabric_put(Fabric *fabric)
{
    if (!fabric || --fabric->users > 0)
        return;
    fabric_free(fabric);
    the_fabric = NULL;
}

uint64_t fabric_node_guid(const Fabric *fabric)
{
    const Device *first = fabric->devices->pdata[0];
    return be64toh(ibv_get_device_guid(device_verbs(first)->device));
}

/* --- listening -------------------------------------------------------------------------------- */

static bool parse_address(const char *text, struct sockaddr_storage *out, GError **error)
{
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    g_autofree char *host = g_strdup(text);
    char *colon = strrchr(host, ':');
    char *start = host;
    int code = EAI_NONAME;
    if (colon && colon[1] != '\0') {
        *colon = '\0';
        size_t len = strlen(host);
        if (host[0] == '[' && host[len - 1] == ']') {
            host[len - 1] = '\0';
            start++;
        }
        code = getaddrinfo(start, colon + 1, &hints, &found);
    }
    if (code != 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "%s: expected ADDRESS:PORT or [ADDRESS]:PORT", text);
        return false;
    }
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

static bool start_listening(FabricListener *listener, struct sockaddr_storage *address)
{
    struct rdma_event_channel *channel = listener->fabric->channel;
    int only = 1;
    if (rdma_create_id(channel, &listener->id, listener, RDMA_PS_TCP) != 0)
        return false;
    if (address->ss_family == AF_INET6 &&
        rdma_set_option(listener->id, RDMA_OPTION_ID, RDMA_OPTION_ID_AFONLY, &only, sizeof only))
        return false;
    return rdma_bind_addr(listener->id, (struct sockaddr *)address) == 0 &&
           rdma_listen(listener->id, BACKLOG) == 0;
}

FabricListener *fabric_listen(Fabric *fabric, const char *address, Loop *const *loops,
                              unsigned nloops, FabricAccept accept, void *arg, GError **error)
{
    struct sockaddr_storage parsed = {0};
    if (!parse_address(address, &parsed, error))
        return NULL;
    FabricListener *listener = g_new0(FabricListener, 1);
    *listener = (FabricListener){.fabric = fabric,
                                 .loops = loops,
                                 .nloops = nloops,
                                 .accept = accept,
                                 .arg = arg,
                                 .refs = 1};
    pthread_mutex_init(&listener->lock, NULL);
    pthread_cond_init(&listener->idle, NULL);
    g_ptr_array_add(fabric->listeners, listener);
    if (start_listening(listener, &parsed))
        return listener;
    int code = errno;
    const char *why = code == EADDRINUSE      ? "the port is in use by another listener"
                      : code == EADDRNOTAVAIL ? "no interface has this address"
                      : code == ENODEV        ? "no RDMA device has this address"
                                              : g_strerror(code);
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), "RDMA cannot listen on %s: %s",
                address, why);
    fabric_unlisten(listener);
    return NULL;
}

void fabric_listener_route(FabricListener *listener, FabricRoute route, FabricLate late)
{
    listener->route = route;
    listener->late = late;
}

void fabric_unlisten(FabricListener *listener)
{
    if (!listener)
        return;
    if (listener->id)
        rdma_destroy_id(listener->id);
    g_ptr_array_remove_fast(listener->fabric->listeners, listener);
    pthread_mutex_lock(&listener->lock);
    listener->closed = true;
    while (listener->accepting > 0)
        pthread_cond_wait(&listener->idle, &listener->lock);
    pthread_mutex_unlock(&listener->lock);
    listener_unref(listener);
}

void fabric_listener_get_address(const FabricListener *listener, struct sockaddr_storage *out)
{
    memcpy(out, rdma_get_local_addr(listener->id), sizeof *out);
}
