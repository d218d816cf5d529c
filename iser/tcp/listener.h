/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening sockets on loop 0, which hand each accepted connection to the I/O loop that has the
 * fewest. */
#pragma once

#include "core/base/loop.h"
#include "iser/iscsi/datamover.h"

#include <gio/gio.h>

/* Where connections go; shared by listeners and connections, which outlive it in the hands of its
 * maker. MT-SAFE. */
typedef struct TcpHost TcpHost;
typedef struct {
    Loop *main;
    Loop *const *io_loops; /* copied */
    unsigned n_io_loops;
    Memory *memory;
    ReceiveBudget *receive;
    DmAccepted accepted; /* on the home loop */
    void *arg;
    unsigned max_connections; /* more are closed as they come */
} TcpHostConfig;

TcpHost *tcp_host_new(const TcpHostConfig *config);
void tcp_host_unref(TcpHost *host); /* NULL is allowed */
/* Runs loop 0 until every accepted connection has been shown to `accepted`; there is no listener
 * any more. Loop 0. */
void tcp_host_settle(TcpHost *host);
unsigned tcp_host_count(const TcpHost *host); /* connections there are; MT-SAFE */

typedef struct TcpListener TcpListener;
/* `address` is "ADDRESS:PORT" or "[ADDRESS]:PORT"; port 0 takes a free one. Loop 0. */
TcpListener *tcp_listener_new(TcpHost *host, const char *address, GError **error);
/* Where it listens. */
void tcp_listener_get_address(const TcpListener *listener, struct sockaddr_storage *out);
void tcp_listener_free(TcpListener *listener); /* NULL is allowed; loop 0 */
