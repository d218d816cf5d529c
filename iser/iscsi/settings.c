/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings of targets from the keyfile. */
#include "iser/iscsi/settings.h"

#include "iser/iscsi/keys.h"

#include <gio/gio.h>

static bool complain(GError **error, const char *what)
{
    g_set_error_literal(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, what);
    return false;
}

static bool parse_tag(const char *text, uint16_t *tag)
{
    uint32_t number;
    if (!keys_parse_number(text, &number) || number > UINT16_MAX)
        return false;
    *tag = (uint16_t)number;
    return true;
}

char *settings_split_tag(const char *text, uint16_t *tag, GError **error)
{
    const char *comma = strchr(text, ',');
    if (!comma)
        return g_strdup(text);
    if (parse_tag(comma + 1, tag))
        return g_strndup(text, (gsize)(comma - text));
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                "%s: the portal group tag after the comma must be a number from 0 to 65535", text);
    return NULL;
}

static bool take_groups(GArray *groups, const char *value, GError **error)
{
    g_auto(GStrv) items = g_strsplit(value, ";", -1);
    for (char **item = items; *item; item++) {
        uint16_t tag;
        if (!*g_strstrip(*item) && !item[1])
            break;
        if (!parse_tag(*item, &tag))
            return complain(error, "must be a list of portal group tags, 0 to 65535");
        g_array_append_val(groups, tag);
    }
    return true;
}

/* Where the target has gone. A name is allowed: the initiator looks it up (13.8). */
static bool check_address(const char *value, GError **error)
{
    g_autoptr(GSocketConnectable) address = g_network_address_parse(value, 3260, NULL);
    if (address && !strpbrk(value, ", ;/@"))
        return true;
    return complain(error, "must be ADDRESS:PORT, [ADDRESS]:PORT or NAME:PORT");
}

static bool check_value(const char *key, const char *value, GError **error)
{
    if (g_str_has_prefix(key, "chap-"))
        return auth_check_key(key, value, error);
    if (g_str_has_prefix(key, "redirect"))
        return check_address(value, error);
    g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    return take_groups(groups, value, error);
}

bool settings_check(const char *key, const char *value, GError **error)
{
    if (check_value(key, value, error))
        return true;
    g_prefix_error(error, "%s=%s: ", key, value);
    return false;
}

static bool take_redirect(TargetSettings *settings, const char *key, const char *value,
                          GError **error)
{
    if (settings->redirect)
        return complain(error, "redirect= is there already");
    settings->redirect = g_strdup(value);
    settings->redirect_status =
        !strcmp(key, "redirect") ? LOGIN_TARGET_MOVED_TEMPORARILY : LOGIN_TARGET_MOVED_PERMANENTLY;
    return true;
}

static bool take_key(TargetSettings *settings, const char *key, const char *value, GError **error)
{
    if (g_str_has_prefix(key, "redirect"))
        return take_redirect(settings, key, value, error);
    if (strcmp(key, "portal-groups") != 0)
        return true;
    settings->groups = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    return take_groups(settings->groups, value, error);
}

bool settings_init(TargetSettings *settings, const char *const *keys, const char *const *values,
                   unsigned n, const Secrets *secrets, const char **culprit, GError **error)
{
    *settings = (TargetSettings){0};
    for (unsigned i = 0; i < n; i++) {
        *culprit = keys[i];
        if (!take_key(settings, keys[i], values[i], error))
            return false;
    }
    return auth_policy_new(&settings->auth, "", keys, values, n, secrets, culprit, error);
}

void settings_clear(TargetSettings *settings)
{
    g_clear_pointer(&settings->auth, auth_policy_free);
    g_clear_pointer(&settings->groups, g_array_unref);
    g_clear_pointer(&settings->redirect, g_free);
}

bool settings_have_group(const TargetSettings *settings, uint16_t tag)
{
    for (guint i = 0; settings->groups && i < settings->groups->len; i++)
        if (g_array_index(settings->groups, uint16_t, i) == tag)
            return true;
    return !settings->groups;
}
