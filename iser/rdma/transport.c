/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transport "iser": the targets and sessions of the iSCSI family behind RDMA listeners. */
#include "iser/rdma/transport.h"

#include "iser/iscsi/keys.h"
#include "iser/iscsi/portal.h"
#include "iser/rdma/conn.h"

#define GROUP_TAG 2

struct TransportListener {
    FabricListener *rdma;
    struct sockaddr_storage address;
};

/* From start to stop; a daemon has one of each transport. */
static struct {
    const TransportHost *host;
    IscsiPortal *portal;
    Fabric *fabric;
    IserAccept accept;
} iser;

static bool start(const TransportHost *host, GError **error)
{
    static const IscsiPortalConfig config = {.transport = "iser", .group_tag = GROUP_TAG};
    iser.fabric = fabric_new(host->main, memory_arena(host->memory), error);
    if (!iser.fabric)
        return false;
    iser.host = host;
    iser.portal = iscsi_portal_new(host, &config, error);
    if (!iser.portal) {
        fabric_free(g_steal_pointer(&iser.fabric));
        return false;
    }
    iser.accept.memory = host->memory;
    iser.accept.budget = host->receive;
    iser.accept.accepted = iscsi_accept;
    iser.accept.arg = iser.portal;
    iser.accept.recv_slots = 0;
    return true;
}

static void on_request(ConnectRequest *request, void *arg)
{
    iser_conn_accept(request, arg);
}

static TransportListener *start_listening(const char *address, GError **error)
{
    uint16_t group_tag;
    g_autofree char *plain = iscsi_portal_listen_on(iser.portal, address, &group_tag, error);
    FabricListener *rdma =
        plain ? fabric_listen(iser.fabric, plain, iser.host->io_loops, iser.host->n_io_loops,
                              on_request, &iser.accept, error)
              : NULL;
    if (!rdma)
        return NULL;
    TransportListener *listener = g_new(TransportListener, 1);
    listener->rdma = rdma;
    fabric_listener_get_address(rdma, &listener->address);
    iscsi_portal_add_address(iser.portal, &listener->address, group_tag);
    return listener;
}

static void unlisten(TransportListener *listener)
{
    iscsi_portal_remove_address(iser.portal, &listener->address);
    fabric_unlisten(listener->rdma);
    g_free(listener);
}

/* A queue pair is made before its target is known: it has room for the largest of them. */
static void make_room(const TransportTargetSpec *spec)
{
    IscsiParams params;
    keys_ours(&params);
    for (unsigned i = 0; i < spec->n_keys; i++)
        keys_set(&params, spec->keys[i], spec->values[i], NULL);
    unsigned slots = iser_recv_slots(&params);
    if (slots > iser.accept.recv_slots)
        iser.accept.recv_slots = slots;
}

static TransportTarget *add_target(const TransportTargetSpec *spec, GError **error)
{
    TransportTarget *target = iscsi_portal_add_target(iser.portal, spec, error);
    if (target)
        make_room(spec);
    return target;
}

static void stop(void)
{
    iscsi_portal_free(g_steal_pointer(&iser.portal));
    fabric_free(g_steal_pointer(&iser.fabric));
}

const Transport iser_transport = {
    .name = "iser",
    .keys = iscsi_portal_keys,
    .target_keys = iscsi_file_keys,
    .default_listen = "0.0.0.0:3260;[::]:3260",
    .check_key = iscsi_portal_check_key,
    .check_keys = iscsi_portal_check_keys,
    .start = start,
    .listen = start_listening,
    .unlisten = unlisten,
    .add_target = add_target,
    .remove_target = iscsi_portal_remove_target,
    .stop = stop,
};
