/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The portal's own state, for portal.c, link.c and discovery.c. On loop 0. */
#pragma once

#include "iser/iscsi/acl.h"
#include "iser/iscsi/portal.h"
#include "iser/iscsi/settings.h"

/* A listener's. */
typedef struct {
    struct sockaddr_storage address;
    uint16_t group_tag;
} PortalAddress;

struct IscsiPortal {
    const TransportHost *host;
    IscsiPortalConfig config;
    AuthPolicy *discovery_auth; /* NULL: None */
    GHashTable *targets;        /* name -> TransportTarget */
    GArray *addresses;          /* PortalAddress */
    GQueue links;               /* oldest first */
    unsigned attached;          /* connections, those included whose link is on its way; atomic */
    unsigned pending;           /* of them, those without a session; atomic */
    uint16_t last_tsih;
    bool stopping;
};

struct TransportTarget {
    IscsiPortal *portal;
    char *name, *alias;
    ScsiTarget *scsi;
    Acl *acl;
    TargetSettings settings;
    IscsiParams offer;
    unsigned users; /* links */
    bool removing;
    LoopFn done;
    void *done_arg;
};

void portal_link_drop(PortalLink *link);
/* A link that was counted in `users` is gone; may free the target. */
void portal_target_leave(TransportTarget *target);
/* The answer to SendTargets=which for this link. The caller's. */
GByteArray *portal_list_targets(const PortalLink *link);
