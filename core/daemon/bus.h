/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manager's objects as D-Bus shows them: a view that checks, calls and replies. On loop 0. */
#pragma once

#include "core/daemon/manager.h"

#include <gio/gio.h>

#define BUS_NAME "org.rtgt"
#define BUS_ROOT "/org/rtgt"

typedef struct Bus Bus;

/* Connects, exports every object and takes the name. `where`: system, session or an address of a
 * message bus. Blocks. The manager must outlive it; it uses the manager's watch. */
Bus *bus_new(const char *where, Manager *manager, GError **error);
void bus_free(Bus *bus); /* NULL is allowed */
