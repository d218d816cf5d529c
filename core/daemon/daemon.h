/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's whole life: options, start, service, orderly end. */
#pragma once

#include "core/daemon/transport.h"

/* What main() returns: 0; 1 for a failure; 2 for a wrong command line or configuration.
 * `transports` ends with NULL. */
int daemon_main(int argc, char **argv, const Transport *const *transports);
