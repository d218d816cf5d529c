/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing of target URLs. */
#include "tests/initiator/url.h"

#include <gio/gio.h>
#include <string.h>

static const WireOps *const wires[] = {&wire_tcp, &wire_iser};

static const WireOps *find_wire(const char *text, const char **rest)
{
    for (size_t i = 0; i < G_N_ELEMENTS(wires); i++) {
        size_t len = strlen(wires[i]->scheme);

        if (strncmp(text, wires[i]->scheme, len) == 0 && strncmp(text + len, "://", 3) == 0) {
            *rest = text + len + 3;
            return wires[i];
        }
    }
    return NULL;
}

static gboolean split_portal(Url *url, const char *portal)
{
    const char *colon = strrchr(portal, ':'), *end = strchr(portal, ']');
    size_t host_len;

    if (portal[0] == '[' && !end)
        return FALSE;
    if (colon && end && colon < end)
        colon = NULL;
    host_len = colon ? (size_t)(colon - portal) : strlen(portal);
    if (portal[0] == '[') {
        portal++;
        host_len -= 2;
    }
    url->host = g_strndup(portal, host_len);
    url->port = g_strdup(colon ? colon + 1 : url->ops->default_port);
    return host_len > 0 && url->port[0];
}

/* "user%secret@" in front: *text is moved behind it. */
static gboolean split_user(Url *url, const char **text)
{
    const char *at = strchr(*text, '@'), *percent = strchr(*text, '%');

    if (!at)
        return TRUE;
    if (!percent || percent > at)
        return FALSE;
    url->user = g_strndup(*text, (size_t)(percent - *text));
    url->secret = g_strndup(percent + 1, (size_t)(at - percent - 1));
    *text = at + 1;
    return TRUE;
}

/* "?key=value&key=value" at the end, which is cut off. */
static gboolean split_query(Url *url, char *text)
{
    char *query = strchr(text, '?');
    g_auto(GStrv) pairs = g_strsplit(query ? query + 1 : "", "&", -1);

    if (query)
        *query = '\0';
    for (char **pair = pairs; *pair; pair++) {
        if (g_str_has_prefix(*pair, "target_user="))
            url->target_user = g_strdup(strchr(*pair, '=') + 1);
        else if (g_str_has_prefix(*pair, "target_password="))
            url->target_secret = g_strdup(strchr(*pair, '=') + 1);
        else
            return FALSE;
    }
    return !url->target_user == !url->target_secret && (url->user || !url->target_user);
}

Url *url_parse(const char *text, GError **error)
{
    g_autoptr(Url) url = g_new0(Url, 1);
    g_auto(GStrv) parts = NULL;
    const char *rest = NULL;

    url->ops = find_wire(text, &rest);
    if (url->ops && split_user(url, &rest)) {
        g_autofree char *copy = g_strdup(rest);

        if (split_query(url, copy))
            parts = g_strsplit(copy, "/", -1);
    }
    if (!parts || g_strv_length(parts) != 3 || !parts[1][0] || !split_portal(url, parts[0]) ||
        !g_ascii_string_to_unsigned(parts[2], 10, 0, 16383, &url->lun, NULL)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "'%s' is not iscsi://HOST[:PORT]/IQN/LUN or iser://HOST[:PORT]/IQN/LUN", text);
        return NULL;
    }
    url->target = g_strdup(parts[1]);
    return g_steal_pointer(&url);
}

void url_free(Url *url)
{
    if (!url)
        return;
    g_free(url->host);
    g_free(url->port);
    g_free(url->target);
    g_free(url->user);
    g_free(url->secret);
    g_free(url->target_user);
    g_free(url->target_secret);
    g_free(url);
}
