/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policies of authentication from the keyfile. */
#include "iser/iscsi/auth.h"

#include <string.h>

static const struct {
    const char *name;
    ChapAlgorithm algorithm;
} algorithms[CHAP_ALGORITHMS] = {
    {"SHA3-256", CHAP_SHA3_256},
    {"SHA-256", CHAP_SHA256},
    {"SHA1", CHAP_SHA1},
    {"MD5", CHAP_MD5},
};

const char *chap_algorithm_name(unsigned algorithm)
{
    for (unsigned i = 0; i < CHAP_ALGORITHMS; i++)
        if (algorithms[i].algorithm == algorithm)
            return algorithms[i].name;
    return "unknown";
}

static bool complain(GError **error, const char *format, const char *what)
{
    g_autofree char *text = g_strdup_printf("%s%s", format, what);
    g_set_error_literal(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, text);
    return false;
}

static char **split(const char *value)
{
    char **parts = g_strsplit(value, ";", -1);
    for (char **part = parts; *part; part++)
        g_strstrip(*part);
    return parts;
}

/* Items of a list; the last may be ended by a ';' too. */
static bool is_end(char *const *part)
{
    return !*part || (!**part && !part[1]);
}

static unsigned find_algorithm(const char *name)
{
    for (unsigned i = 0; i < CHAP_ALGORITHMS; i++)
        if (!strcmp(algorithms[i].name, name))
            return algorithms[i].algorithm;
    return 0;
}

static bool take_algorithms(uint8_t out[CHAP_ALGORITHMS], const char *value, GError **error)
{
    g_auto(GStrv) names = split(value);
    unsigned n = 0;
    memset(out, 0, CHAP_ALGORITHMS);
    for (char **name = names; !is_end(name); name++) {
        unsigned algorithm = find_algorithm(*name);
        if (!algorithm)
            return complain(error, "must be a list of SHA3-256, SHA-256, SHA1 and MD5, not ",
                            *name);
        if (memchr(out, (int)algorithm, n))
            return complain(error, *name, " is there twice");
        out[n++] = (uint8_t)algorithm;
    }
    return n > 0 || complain(error, "the list is empty", "");
}

static bool check_users(const char *value, GError **error)
{
    g_auto(GStrv) names = split(value);
    for (char **name = names; !is_end(name); name++) {
        if (!**name)
            return complain(error, "a name is empty", "");
        if (g_strv_contains((const char *const *)name + 1, *name))
            return complain(error, *name, " is there twice");
    }
    return !is_end(names) || complain(error, "the list is empty", "");
}

bool auth_check_key(const char *key, const char *value, GError **error)
{
    uint8_t scratch[CHAP_ALGORITHMS];
    if (g_str_has_suffix(key, "chap-algorithms"))
        return take_algorithms(scratch, value, error);
    return check_users(value, error);
}

/* --- policies ----------------------------------------------------------------------------------*/

void auth_policy_free(AuthPolicy *policy)
{
    if (!policy)
        return;
    for (Secret **user = policy->users; user && *user; user++)
        secret_free(*user);
    g_free(policy->users);
    secret_free(policy->own);
    g_free(policy);
}

const Secret *auth_policy_user(const AuthPolicy *policy, const char *name)
{
    for (Secret **user = policy->users; *user; user++)
        if (!strcmp((*user)->name, name))
            return *user;
    return NULL;
}

static Secret *take_secret(const Secrets *secrets, SecretRole role, const char *name,
                           GError **error)
{
    const Secret *secret = secrets_find(secrets, role, name);
    const char *group = role == SECRET_OF_INITIATOR ? "initiator" : "target";
    if (!secrets)
        complain(error, "its secret is missing: name a file with secrets= in [daemon]", "");
    else if (!secret)
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "there is no [%s %s] in the file of secrets", group, name);
    return secret_copy(secret);
}

static bool take_users(AuthPolicy *policy, const char *value, const Secrets *secrets,
                       GError **error)
{
    g_auto(GStrv) names = split(value);
    policy->users = g_new0(Secret *, g_strv_length(names) + 1);
    for (unsigned i = 0; !is_end(names + i); i++) {
        policy->users[i] = take_secret(secrets, SECRET_OF_INITIATOR, names[i], error);
        if (!policy->users[i])
            return false;
    }
    return true;
}

static bool take_key(AuthPolicy *policy, const char *key, const char *value, const Secrets *secrets,
                     GError **error)
{
    if (!strcmp(key, "chap-user"))
        return take_users(policy, value, secrets, error);
    if (!strcmp(key, "chap-algorithms"))
        return take_algorithms(policy->algorithms, value, error);
    policy->own = take_secret(secrets, SECRET_OF_TARGET, value, error);
    return policy->own != NULL;
}

static bool is_of_auth(const char *key, const char *prefix)
{
    return g_str_has_prefix(key, prefix) && g_str_has_prefix(key + strlen(prefix), "chap-");
}

static bool take_keys(AuthPolicy *policy, const char *prefix, const char *const *keys,
                      const char *const *values, unsigned n, const Secrets *secrets,
                      const char **culprit, GError **error)
{
    *culprit = NULL;
    for (unsigned i = 0; i < n; i++) {
        if (!is_of_auth(keys[i], prefix))
            continue;
        *culprit = keys[i];
        if (!take_key(policy, keys[i] + strlen(prefix), values[i], secrets, error))
            return false;
    }
    return !*culprit || policy->users ||
           complain(error, "has no effect without ",
                    *prefix ? "discovery-chap-user=" : "chap-user=");
}

bool auth_policy_new(AuthPolicy **out, const char *prefix, const char *const *keys,
                     const char *const *values, unsigned n, const Secrets *secrets,
                     const char **culprit, GError **error)
{
    AuthPolicy *policy = g_new0(AuthPolicy, 1);
    for (unsigned i = 0; i < CHAP_ALGORITHMS; i++)
        policy->algorithms[i] = (uint8_t)algorithms[i].algorithm;
    bool ok = take_keys(policy, prefix, keys, values, n, secrets, culprit, error);
    if (!ok || !policy->users)
        g_clear_pointer(&policy, auth_policy_free);
    *out = policy;
    return ok;
}
