/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of states, events and errors. */
#include "tools/softverbs/sv.h"

#define NAME_OF(tab, i) ((unsigned)(i) < sizeof(tab) / sizeof(*tab) && tab[i] ? tab[i] : "unknown")

EXPORT const char *ibv_wc_status_str(enum ibv_wc_status s)
{
    static const char *const t[] = {
        "success",
        "local length error",
        "local QP operation error",
        "local EE context operation error",
        "local protection error",
        "Work Request Flushed Error",
        "memory bind operation error",
        "bad response error",
        "local access error",
        "remote invalid request error",
        "remote access error",
        "remote operation error",
        "transport retry counter exceeded",
        "RNR retry counter exceeded",
        "local RDD violation error",
        "remote invalid RD request",
        "aborted error",
        "invalid EE context number",
        "invalid EE context state",
        "fatal error",
        "response timeout error",
        "general error",
        "TM error",
        "TM software rendezvous",
    };

    return NAME_OF(t, s);
}

EXPORT const char *ibv_event_type_str(enum ibv_event_type e)
{
    static const char *const t[] = {
        "CQ error",
        "local work queue catastrophic error",
        "invalid request local work queue error",
        "local access violation work queue error",
        "communication established",
        "send queue drained",
        "path migrated",
        "path migration request error",
        "local catastrophic error",
        "port active",
        "port error",
        "LID change",
        "P_Key change",
        "SM change",
        "SRQ catastrophic error",
        "SRQ limit reached",
        "last WQE reached",
        "client reregistration",
        "GID table change",
        "WQ fatal",
    };

    return NAME_OF(t, e);
}

EXPORT const char *ibv_node_type_str(enum ibv_node_type n)
{
    static const char *const t[] = {
        NULL,
        "InfiniBand channel adapter",
        "InfiniBand switch",
        "InfiniBand router",
        "iWARP NIC",
        "usNIC",
        "usNIC UDP",
        "unspecified",
    };

    return NAME_OF(t, n);
}

EXPORT const char *ibv_port_state_str(enum ibv_port_state s)
{
    static const char *const t[] = {
        "no state change (NOP)", "PORT_DOWN",         "PORT_INIT", "PORT_ARMED",
        "PORT_ACTIVE",           "PORT_ACTIVE_DEFER",
    };

    return NAME_OF(t, s);
}

EXPORT const char *rdma_event_str(enum rdma_cm_event_type e)
{
    static const char *const t[] = {
        "RDMA_CM_EVENT_ADDR_RESOLVED",   "RDMA_CM_EVENT_ADDR_ERROR",
        "RDMA_CM_EVENT_ROUTE_RESOLVED",  "RDMA_CM_EVENT_ROUTE_ERROR",
        "RDMA_CM_EVENT_CONNECT_REQUEST", "RDMA_CM_EVENT_CONNECT_RESPONSE",
        "RDMA_CM_EVENT_CONNECT_ERROR",   "RDMA_CM_EVENT_UNREACHABLE",
        "RDMA_CM_EVENT_REJECTED",        "RDMA_CM_EVENT_ESTABLISHED",
        "RDMA_CM_EVENT_DISCONNECTED",    "RDMA_CM_EVENT_DEVICE_REMOVAL",
        "RDMA_CM_EVENT_MULTICAST_JOIN",  "RDMA_CM_EVENT_MULTICAST_ERROR",
        "RDMA_CM_EVENT_ADDR_CHANGE",     "RDMA_CM_EVENT_TIMEWAIT_EXIT",
    };

    return NAME_OF(t, e);
}
