/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RDMA side of the process: its devices, its listeners and the connection manager's events,
 * taken on loop 0 and passed on to the loop of the connection they belong to. */
#pragma once

#include "core/rdma/cm_id.h"
#include "core/rdma/device.h"

#include <sys/socket.h>

typedef struct Fabric Fabric;
typedef struct FabricListener FabricListener;

/* The fabric of the process, made for the first who asks and shared by all who do before it is
 * freed, so that each chunk is registered once per device. Opens every device there is; those that
 * cannot be used are named in a warning. NULL with error when none is left. Loop 0; may block. */
Fabric *fabric_get(Loop *main, Arena *arena, GError **error);
/* The last one who asked for it frees it: no listener and no queue pair is left then (asserted);
 * runs loop 0 until requests that came too late are refused and the last connections forgotten.
 * Loop 0. NULL is allowed. */
void fabric_put(Fabric *fabric);

/* The node GUID of the first device. Loop 0. */
uint64_t fabric_node_guid(const Fabric *fabric);

/* An incoming connection, on its home loop. Constant, valid until accept returns. */
typedef struct {
    CmId *id; /* NULL while it is being routed */
    Device *device;
    const uint8_t *private_data; /* as the peer sent it; padded with zeros by some devices */
    unsigned private_len;
    unsigned peer_reads; /* RDMA READs the peer serves at a time */
    struct sockaddr_storage local, peer;
    uint8_t peer_gid[16];
    void *routed; /* what the route left; NULL */
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

/* Chooses the home loop of a connection; on loop 0. May leave something in request->routed, which
 * goes to accept, or to `late` where the listener was closed meanwhile and the request is refused.
 */
typedef Loop *(*FabricRoute)(ConnectRequest *request, void *arg);
typedef void (*FabricLate)(void *routed); /* on that loop */
/* Right after fabric_listen(); `arg` as given there. */
void fabric_listener_route(FabricListener *listener, FabricRoute route, FabricLate late);

/* Where it listens. */
void fabric_listener_get_address(const FabricListener *listener, struct sockaddr_storage *out);

void fabric_reject(ConnectRequest *request, const void *private_data, uint8_t len);
