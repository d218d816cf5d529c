/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of initiators before they may log in: CHAP by which users and algorithms, and who
 * the target is to those that ask back. Constant once made: any thread. */
#pragma once

#include "core/base/secrets.h"

typedef enum {
    CHAP_MD5 = 5,
    CHAP_SHA1 = 6,
    CHAP_SHA256 = 7,
    CHAP_SHA3_256 = 8,
} ChapAlgorithm; /* RFC 7143 12.1.3 */

#define CHAP_ALGORITHMS 4

typedef struct {
    Secret **users;                      /* NULL-terminated */
    Secret *own;                         /* NULL: the target does not prove who it is */
    uint8_t algorithms[CHAP_ALGORITHMS]; /* ChapAlgorithm, the one liked best first; 0 ends it */
} AuthPolicy;

/* As in the keyfile: "SHA-256"; "unknown" for others. */
const char *chap_algorithm_name(unsigned algorithm);

/* Checks one value of the keys below, without secrets. */
bool auth_check_key(const char *key, const char *value, GError **error);

/* Makes the policy that the keys PREFIXchap-user, PREFIXchap-mutual-user and PREFIXchap-algorithms
 * of a group ask for; NULL in *policy when they ask for nothing. False with error: they do not fit
 * together or to the secrets; *culprit is the key to complain of, one of `keys`. */
bool auth_policy_new(AuthPolicy **policy, const char *prefix, const char *const *keys,
                     const char *const *values, unsigned n, const Secrets *secrets,
                     const char **culprit, GError **error);
void auth_policy_free(AuthPolicy *policy); /* NULL is allowed */

/* The user of this name; NULL: none. */
const Secret *auth_policy_user(const AuthPolicy *policy, const char *name);
