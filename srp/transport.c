/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transport "srp": the port behind RDMA listeners. */
#include "srp/transport.h"

#include "srp/port.h"

struct TransportListener {
    FabricListener *rdma;
};

/* From start to stop; a daemon has one of each transport. */
static struct {
    const TransportHost *host;
    Fabric *fabric;
    SrpPort *port;
} srp;

static bool start(const TransportHost *host, GError **error)
{
    srp.fabric = fabric_get(host->main, memory_arena(host->memory), error);
    if (!srp.fabric)
        return false;
    srp.host = host;
    srp.port = srp_port_new(host, srp.fabric);
    return true;
}

static TransportListener *start_listening(const char *address, GError **error)
{
    if (strchr(address, ',')) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "%s: a target has one SRP target port: no number can be given", address);
        return NULL;
    }
    FabricListener *rdma = fabric_listen(srp.fabric, address, srp.host->io_loops,
                                         srp.host->n_io_loops, srp_channel_accept, srp.port, error);
    if (!rdma)
        return NULL;
    fabric_listener_route(rdma, srp_port_route, srp_ticket_free);
    TransportListener *listener = g_new(TransportListener, 1);
    listener->rdma = rdma;
    return listener;
}

static void unlisten(TransportListener *listener)
{
    fabric_unlisten(listener->rdma);
    g_free(listener);
}

static TransportTarget *add_target(const TransportTargetSpec *spec, GError **error)
{
    return srp_port_add_target(srp.port, spec, error);
}

static void stop(void)
{
    srp_port_free(g_steal_pointer(&srp.port));
    fabric_put(g_steal_pointer(&srp.fabric));
}

const Transport srp_transport = {
    .name = "srp",
    .keys = srp_port_keys,
    .target_keys = srp_target_keys,
    .default_listen = "0.0.0.0:5555;[::]:5555",
    .check_key = srp_port_check_key,
    .check_keys = srp_port_check_keys,
    .start = start,
    .listen = start_listening,
    .unlisten = unlisten,
    .add_target = add_target,
    .describe = srp_port_describe,
    .remove_target = srp_port_remove_target,
    .stop = stop,
};
