/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iscsi://[USER%SECRET@]HOST[:PORT]/IQN/LUN[?target_user=NAME&target_password=SECRET] and the same
 * with iser://. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "tests/initiator/wire.h"

typedef struct {
    const WireOps *ops;
    char *host; /* without the brackets of IPv6 */
    char *port;
    char *target;
    uint64_t lun;
    char *user, *secret, *target_user, *target_secret; /* of CHAP; NULL: not given */
} Url;

Url *url_parse(const char *text, GError **error);
void url_free(Url *url);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Url, url_free)
