/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Serves the metrics over HTTP at /metrics. Runs on loop 0, without a thread of its own, and makes
 * a new text at most four times a second: a client can take little from the daemon. */
#pragma once

#include "core/daemon/manager.h"

typedef struct MetricsServer MetricsServer;

/* `address` is one that address_parse() takes; NULL with error. The manager outlives it. */
MetricsServer *metrics_server_new(const char *address, Manager *manager, GError **error);
void metrics_server_free(MetricsServer *server); /* NULL is allowed */
