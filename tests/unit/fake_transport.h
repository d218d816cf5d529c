/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A transport without a wire, for tests of the daemon: it counts what it is asked to do, and
 * sessions log in when a test says so. */
#pragma once

#include "core/daemon/transport.h"

typedef struct {
    bool cannot_start;           /* as without a device */
    const char *refused_address; /* listen() fails for it */
    const TransportHost *host;   /* while it is started */
    unsigned starts, stops;
    unsigned listeners, targets; /* there are now */
    char *last_spec;             /* of the last add_target: "NAME KEY=VALUE ... ALLOW ..." */
    GPtrArray *sessions;         /* SessionRecord * */
} FakeTransport;

extern FakeTransport fake;
extern const Transport fake_transport; /* named "fake"; target keys "burst" and "depth" */

void fake_reset(void);
/* A session of the target (NULL: discovery) from now on; it ends by drop, or with the target. */
SessionRecord *fake_login(const char *target, const char *initiator);
