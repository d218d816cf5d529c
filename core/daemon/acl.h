/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The access list of a target: who may log in, by initiator name and by address. Any thread. */
#pragma once

#include "core/daemon/transport.h"

#include <sys/socket.h>

typedef struct Acl Acl;

/* Copies. NULL with error: an address range that is none. */
Acl *acl_new(bool allow_all, const TransportAllow *allow, unsigned n, GError **error);
void acl_free(Acl *acl); /* NULL is allowed */
/* The initiator name in lower case; peer: AF_INET or AF_INET6. */
bool acl_admits(const Acl *acl, const char *initiator, const struct sockaddr_storage *peer);
