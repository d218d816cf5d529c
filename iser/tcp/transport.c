/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transport "iscsi": the targets and sessions of the iSCSI family behind TCP listeners. */
#include "iser/tcp/transport.h"

#include "iser/iscsi/keys.h"
#include "iser/iscsi/portal.h"
#include "iser/tcp/listener.h"

#define GROUP_TAG       1
#define CONNECTIONS_MAX 1024

struct TransportListener {
    TcpListener *tcp;
    struct sockaddr_storage address;
};

/* From start to stop; a daemon has one of each transport. */
static IscsiPortal *portal;
static TcpHost *host;

static bool start(const TransportHost *daemon, GError **error)
{
    static const IscsiPortalConfig config = {.transport = "iscsi", .group_tag = GROUP_TAG};
    portal = iscsi_portal_new(daemon, &config, error);
    if (!portal)
        return false;
    host = tcp_host_new(&(TcpHostConfig){
        .main = daemon->main,
        .io_loops = daemon->io_loops,
        .n_io_loops = daemon->n_io_loops,
        .memory = daemon->memory,
        .receive = daemon->receive,
        .accepted = iscsi_accept,
        .arg = portal,
        .max_connections = CONNECTIONS_MAX,
    });
    return true;
}

static TransportListener *start_listening(const char *address, GError **error)
{
    uint16_t group_tag;
    g_autofree char *plain = iscsi_portal_listen_on(portal, address, &group_tag, error);
    TcpListener *tcp = plain ? tcp_listener_new(host, plain, error) : NULL;
    if (!tcp)
        return NULL;
    TransportListener *listener = g_new(TransportListener, 1);
    listener->tcp = tcp;
    tcp_listener_get_address(tcp, &listener->address);
    iscsi_portal_add_address(portal, &listener->address, group_tag);
    return listener;
}

static void unlisten(TransportListener *listener)
{
    iscsi_portal_remove_address(portal, &listener->address);
    tcp_listener_free(listener->tcp);
    g_free(listener);
}

static TransportTarget *add_target(const TransportTargetSpec *spec, GError **error)
{
    return iscsi_portal_add_target(portal, spec, error);
}

static void stop(void)
{
    tcp_host_settle(host);
    iscsi_portal_free(g_steal_pointer(&portal));
    tcp_host_unref(g_steal_pointer(&host));
}

const Transport iscsi_transport = {
    .name = "iscsi",
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
