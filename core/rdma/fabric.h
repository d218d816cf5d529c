/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RDMA side of the process: its devices, its listeners and the connection manager's events,
 * taken on loop 0 and passed on to the loop of the connection they belong to. */
#pragma once

#include "core/rdma/cm_id.h"
#include "core/rdma/device.h"

#include <sys/socket.h>

typedef struct Fabric Fabric;
typedef struct FabricListener FabricListener;

/* Opens every device there is; those that cannot be used are named in a warning. NULL with error
 * when none is left. Loop 0; may block. */
Fabric *fabric_new(Loop *main, Arena *arena, GError **error);
/* No listener and no queue pair is left (asserted). Runs loop 0 until requests that came too late
 * are refused and the last connections forgotten. Loop 0. NULL is allowed. */
void fabric_free(Fabric *fabric);

/* An incoming connection, on its home loop. Constant, valid until accept returns. */
typedef struct {
    CmId *id;
    Device *device;
    const uint8_t *private_data; /* as the peer sent it; padded with zeros by some devices */
    unsigned private_len;
    unsigned peer_reads; /* RDMA READs the peer serves at a time */
    struct sockaddr_storage local, peer;
} ConnectRequest;

/* Called on the connection's home loop; must hand the request to qp_new() or fabric_reject(). */
typedef void (*FabricAccept)(ConnectRequest *request, void *arg);

/* Listens on "ADDRESS:PORT" or "[ADDRESS]:PORT" and gives connections to the loops in turn. The
 * error names the address. Loop 0. */
FabricListener *fabric_listen(Fabric *fabric, const char *address, Loop *const *loops,
                              unsigned nloops, FabricAccept accept, void *arg, GError **error);
/* No accept comes after it has returned; connections stay. Waits for those under way on other
 * loops. Loop 0. NULL is allowed. */
void fabric_unlisten(FabricListener *listener);

/* Where it listens. */
void fabric_listener_get_address(const FabricListener *listener, struct sockaddr_storage *out);

void fabric_reject(ConnectRequest *request, const void *private_data, uint8_t len);
