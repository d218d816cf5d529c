/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libmicrohttpd's epoll set as one source of loop 0. */
#include "core/daemon/metrics_http.h"

#include "core/base/address.h"
#include "core/daemon/metrics.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTIONS    16
#define PER_ADDRESS    8
#define IDLE_SECONDS   5
#define REQUEST_MEMORY 8192
#define FRESH_US       (G_USEC_PER_SEC / 4)

struct MetricsServer {
    Manager *manager;
    struct MHD_Daemon *http;
    guint events, timer; /* sources; 0: none */
    char *text;
    gint64 made; /* microseconds */
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static const char *fresh_text(MetricsServer *server)
{
    gint64 now = g_get_monotonic_time();
    if (!server->text || now - server->made > FRESH_US) {
        g_free(server->text);
        server->text = metrics_text(server->manager);
        server->made = now;
    }
    return server->text;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **context)
{
    (void)version, (void)upload, (void)context;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        if (*upload_size) { /* dropped as it comes; the answer follows its end */
            *upload_size = 0;
            return MHD_YES;
        }
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
                      "Only GET and HEAD are here.\n");
    }
    if (strcmp(url, "/metrics") != 0)
        return answer(connection, MHD_HTTP_NOT_FOUND, "text/plain", "See /metrics.\n");
    return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                  fresh_text(arg));
}

/* --- its turns on loop 0 -----------------------------------------------------------------------*/

static void run(MetricsServer *server);

static gboolean timed_out(void *arg)
{
    MetricsServer *server = arg;
    server->timer = 0;
    run(server);
    return G_SOURCE_REMOVE;
}

/* Idle connections end in time even when nothing comes. */
static void run(MetricsServer *server)
{
    MHD_UNSIGNED_LONG_LONG ms;
    MHD_run(server->http);
    if (server->timer)
        g_source_remove(server->timer);
    server->timer = 0;
    if (MHD_get_timeout(server->http, &ms) == MHD_YES)
        server->timer = g_timeout_add((guint)MIN(ms, 1000), timed_out, server);
}

static gboolean ready(int fd, GIOCondition condition, void *arg)
{
    (void)fd, (void)condition;
    run(arg);
    return G_SOURCE_CONTINUE;
}

/* --- beginning and end -------------------------------------------------------------------------*/

static void keep_quiet(void *arg, const char *format, va_list args)
{
    (void)arg;
    char text[256];
    g_vsnprintf(text, sizeof text, format, args);
    g_debug("metrics: %s", g_strchomp(text));
}

MetricsServer *metrics_server_new(const char *address, Manager *manager, GError **error)
{
    struct sockaddr_storage parsed;
    bool good = address_parse(address, &parsed);
    g_assert(good); /* the configuration was checked */
    MetricsServer *server = g_new0(MetricsServer, 1);
    unsigned family = parsed.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0;
    server->manager = manager;
    server->http = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG | family, 0, NULL, NULL, handle, server,
        MHD_OPTION_EXTERNAL_LOGGER, keep_quiet, NULL, MHD_OPTION_SOCK_ADDR, &parsed,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT, PER_ADDRESS,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)REQUEST_MEMORY, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!server->http) {
        int failure = errno;
        g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(failure), "%s: %s", address,
                    g_strerror(failure));
        g_free(server);
        return NULL;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->http, MHD_DAEMON_INFO_EPOLL_FD);
    server->events = g_unix_fd_add(info->epoll_fd, G_IO_IN, ready, server);
    g_message("metrics at http://%s/metrics", address);
    return server;
}

void metrics_server_free(MetricsServer *server)
{
    if (!server)
        return;
    if (server->timer)
        g_source_remove(server->timer);
    g_source_remove(server->events);
    MHD_stop_daemon(server->http);
    g_free(server->text);
    g_free(server);
}
