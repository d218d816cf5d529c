/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening sockets: one for each address, IPv4 and IPv6 apart, so both wildcards can be had. */
#include "iser/tcp/listener.h"

#include "iser/tcp/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG        256
#define ACCEPTS_A_TURN 32u
#define PAUSE_MS       200u

/* Counts connections, by loop and over all. */
struct TcpHost {
    TcpHostConfig config;
    gint total;
    gint *by_loop;
    gint arriving; /* accepted, and not yet seen by their loops */
};

struct TcpListener {
    TcpHost *host;
    LoopFd lfd;
    GSource *pause; /* while there are no descriptors to accept with */
    bool warned;    /* since the last connection that was let in */
    char *address;
};

/* A connection on its way to its loop; afterwards its place in the counts. */
typedef struct {
    TcpHost *host;
    unsigned loop;
    int fd;
} Place;

/* --- the host --- */

static void host_clear(void *data)
{
    TcpHost *host = data;
    g_assert(g_atomic_int_get(&host->total) == 0);
    g_free((void *)host->config.io_loops);
    g_free(host->by_loop);
}

TcpHost *tcp_host_new(const TcpHostConfig *config)
{
    TcpHost *host = g_atomic_rc_box_new0(TcpHost);
    host->config = *config;
    host->config.io_loops =
        g_memdup2(config->io_loops, config->n_io_loops * sizeof config->io_loops[0]);
    host->by_loop = g_new0(gint, config->n_io_loops);
    return host;
}

void tcp_host_unref(TcpHost *host)
{
    if (host)
        g_atomic_rc_box_release_full(host, host_clear);
}

void tcp_host_settle(TcpHost *host)
{
    while (g_atomic_int_get(&host->arriving) > 0)
        if (!g_main_context_iteration(loop_context(host->config.main), FALSE))
            sched_yield();
}

unsigned tcp_host_count(const TcpHost *host)
{
    return (unsigned)g_atomic_int_get(&host->total);
}

static Place *place_take(TcpHost *host, int fd)
{
    unsigned least = 0;
    for (unsigned i = 1; i < host->config.n_io_loops; i++)
        if (g_atomic_int_get(&host->by_loop[i]) < g_atomic_int_get(&host->by_loop[least]))
            least = i;
    g_atomic_int_inc(&host->total);
    g_atomic_int_inc(&host->by_loop[least]);
    Place *place = g_new(Place, 1);
    *place = (Place){g_atomic_rc_box_acquire(host), least, fd};
    return place;
}

static void place_leave(void *arg)
{
    Place *place = arg;
    g_atomic_int_add(&place->host->by_loop[place->loop], -1);
    g_atomic_int_add(&place->host->total, -1);
    tcp_host_unref(place->host);
    g_free(place);
}

static void let_in(Place *place)
{
    const TcpHostConfig *config = &place->host->config;
    TcpConn *conn =
        tcp_conn_new(config->io_loops[place->loop], config->memory, config->receive, place->fd);
    if (!conn) {
        place_leave(place);
        return;
    }
    conn->freed = place_leave;
    conn->freed_arg = place;
    if (!config->accepted(&conn->base, config->arg))
        tcp_conn_free(conn);
    else if (!tcp_conn_start(conn))
        tcp_conn_fail(conn, "the loop takes no more connections");
}

/* On the home loop. */
static void arrive(void *arg)
{
    Place *place = arg;
    TcpHost *host = g_atomic_rc_box_acquire(place->host); /* the place may be gone after this */
    let_in(place);
    g_atomic_int_add(&host->arriving, -1);
    tcp_host_unref(host);
}

/* --- accepting --- */

static gboolean pause_over(void *arg)
{
    TcpListener *listener = arg;
    loop_timer_stop(&listener->pause);
    loop_set_fd_events(&listener->lfd, EPOLLIN);
    return G_SOURCE_REMOVE;
}

/* A flood of connections is not to flood the log. */
static void warn_once(TcpListener *listener, const char *why)
{
    if (!listener->warned)
        g_warning("%s: cannot accept connections: %s", listener->address, why);
    listener->warned = true;
}

/* The connection that cannot be accepted stays in the backlog, and epoll would tell of it without
 * end. */
static void pause_accepting(TcpListener *listener, int error)
{
    warn_once(listener, g_strerror(error));
    loop_set_fd_events(&listener->lfd, 0);
    listener->pause = loop_timer_start(listener->host->config.main, PAUSE_MS, pause_over, listener);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void admit(TcpListener *listener, int fd)
{
    TcpHost *host = listener->host;
    if (tcp_host_count(host) >= host->config.max_connections) {
        warn_once(listener, "there are as many as are allowed");
        close(fd);
        return;
    }
    listener->warned = false;
    Place *place = place_take(host, fd);
    g_atomic_int_inc(&host->arriving);
    loop_call(host->config.io_loops[place->loop], arrive, place);
}

static void listener_ready(LoopFd *lfd, uint32_t events)
{
    TcpListener *listener = (TcpListener *)(void *)((char *)lfd - offsetof(TcpListener, lfd));
    (void)events;
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(lfd->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            admit(listener, fd);
        else if (errno == EAGAIN)
            return;
        else if (is_shortage(errno)) {
            pause_accepting(listener, errno);
            return;
        } /* else the peer has gone again: on to the next */
    }
}

/* --- opening --- */

static GSocketAddress *parse(const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    g_autofree char *host = bracketed ? g_strndup(text + 1, len - 2) : g_strndup(text, len);
    guint64 port;
    if (colon && g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &port, NULL) &&
        bracketed == (strchr(host, ':') != NULL)) {
        GSocketAddress *address = g_inet_socket_address_new_from_string(host, (guint)port);
        if (address)
            return address;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                "%s: not an address to listen on; ADDRESS:PORT or [ADDRESS]:PORT, in numbers",
                text);
    return NULL;
}

static void set_flag(int fd, int level, int option)
{
    int one = 1;
    (void)setsockopt(fd, level, option, &one, sizeof one);
}

/* The socket, or -1 with errno. */
static int open_socket(const struct sockaddr_storage *address, socklen_t len)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    if (address->ss_family == AF_INET6)
        set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind(fd, (const struct sockaddr *)address, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int open_address(const char *text, GError **error)
{
    struct sockaddr_storage storage = {0};
    g_autoptr(GSocketAddress) address = parse(text, error);
    if (!address || !g_socket_address_to_native(address, &storage, sizeof storage, error))
        return -1;
    int fd = open_socket(&storage, (socklen_t)g_socket_address_get_native_size(address));
    if (fd < 0) {
        int saved = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(saved), "cannot listen on %s: %s",
                    text, saved == EADDRINUSE ? "address already in use" : g_strerror(saved));
    }
    return fd;
}

TcpListener *tcp_listener_new(TcpHost *host, const char *address, GError **error)
{
    int fd = open_address(address, error);
    if (fd < 0)
        return NULL;
    TcpListener *listener = g_new0(TcpListener, 1);
    listener->host = g_atomic_rc_box_acquire(host);
    listener->address = g_strdup(address);
    if (!loop_add_fd(host->config.main, &listener->lfd, fd, EPOLLIN, listener_ready)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot listen on %s: %s",
                    address, g_strerror(errno));
        tcp_listener_free(listener);
        return NULL;
    }
    return listener;
}

void tcp_listener_get_address(const TcpListener *listener, struct sockaddr_storage *out)
{
    socklen_t len = sizeof *out;
    *out = (struct sockaddr_storage){0};
    (void)getsockname(listener->lfd.fd, (struct sockaddr *)out, &len);
}

void tcp_listener_free(TcpListener *listener)
{
    if (!listener)
        return;
    loop_timer_stop(&listener->pause);
    loop_remove_fd(&listener->lfd);
    close(listener->lfd.fd);
    tcp_host_unref(listener->host);
    g_free(listener->address);
    g_free(listener);
}
