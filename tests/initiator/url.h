/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iscsi://[USER%SECRET@]HOST[:PORT]/IQN/LUN[?target_user=NAME&target_password=SECRET], the same
 * with iser://, and srp://HOST[:PORT]/ID_EXT-IOC_GUID/LUN (16 hexadecimal digits each). */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "tests/initiator/wire.h"

typedef struct {
    const char *scheme;
    const WireOps *ops; /* of iSCSI; NULL: SRP */
    char *host;         /* without the brackets of IPv6 */
    char *port;
    char *target;
    uint64_t lun;
    char *user, *secret, *target_user, *target_secret; /* of CHAP; NULL: not given */
} Url;

Url *url_parse(const char *text, GError **error);
void url_free(Url *url);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Url, url_free)
