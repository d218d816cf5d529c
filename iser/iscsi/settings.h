/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the keyfile says of a target besides parameters of the login: who must prove what, in which
 * portal groups it is, whether it has moved. Constant once made: any thread. */
#pragma once

#include "iser/iscsi/auth.h"
#include "iser/iscsi/pdu.h"

typedef struct {
    AuthPolicy *auth; /* NULL: None */
    GArray *groups;   /* uint16_t, target portal group tags; NULL: all */
    char *redirect;   /* "ADDRESS:PORT"; NULL: it is here */
    LoginStatus redirect_status;
} TargetSettings;

/* One value alone; false with "KEY=VALUE: what would be right". */
bool settings_check(const char *key, const char *value, GError **error);

/* All keys of a [target] group, those of others are passed over. False with error: they do not fit
 * together or to the secrets; *culprit: the key to complain of. settings_clear() in both cases. */
bool settings_init(TargetSettings *settings, const char *const *keys, const char *const *values,
                   unsigned n, const Secrets *secrets, const char **culprit, GError **error);
void settings_clear(TargetSettings *settings);

bool settings_have_group(const TargetSettings *settings, uint16_t tag);

/* "ADDRESS:PORT" or "[ADDRESS]:PORT", with ",TAG" or without: then *tag stays as it is. The address
 * alone, the caller's; NULL with error: the tag is no number from 0 to 65535. */
char *settings_split_tag(const char *text, uint16_t *tag, GError **error);
