/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The groups of the transports, and the keys that are theirs in any group. */
#include "core/daemon/config_groups.h"
#include "core/daemon/config_text.h"

#include <string.h>

void config_check_keys(const ConfigReader *reader, const char *group,
                       const char *const *const *known)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (; *known; known++)
        for (const char *const *name = *known; *name; name++)
            g_ptr_array_add(names, (void *)*name);
    g_ptr_array_add(names, NULL);
    const char *const *all = (const char *const *)names->pdata;

    g_auto(GStrv) keys = g_key_file_get_keys(reader->keys, group, NULL, NULL);
    for (char **key = keys; *key; key++) {
        if (g_strv_contains(all, *key))
            continue;
        const char *meant = text_suggest(*key, all);
        if (meant) {
            config_reader_complain(reader, group, *key, "no such key here; is %s meant?", meant);
        } else {
            g_autofree char *list = g_strjoinv(", ", (char **)all);
            config_reader_complain(reader, group, *key, "no such key here; there are: %s", list);
        }
    }
}

/* Transports may name the key in their message; here it is named already. */
static const char *without_name(const char *message, const char *key, const char *value)
{
    g_autofree char *name = g_strdup_printf("%s=%s: ", key, value);
    return g_str_has_prefix(message, name) ? message + strlen(name) : message;
}

char **config_transport_keys(const ConfigReader *reader, const char *group,
                             const Transport *transport, const char *const *known, bool in_target,
                             char ***values)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new(), texts = g_strv_builder_new();
    for (; *known; known++) {
        g_autofree char *value = config_reader_string(reader, group, *known);
        g_autoptr(GError) error = NULL;
        if (!value)
            continue;
        if (!transport->check_key(*known, value, in_target, &error))
            config_reader_complain(reader, group, *known, "%s",
                                   without_name(error->message, *known, value));
        g_strv_builder_add(keys, *known);
        g_strv_builder_add(texts, value);
    }
    *values = g_strv_builder_end(texts);
    return g_strv_builder_end(keys);
}

static void check_addresses(const ConfigReader *reader, const char *group, char **listen)
{
    for (char **address = listen; *address; address++) {
        if (!text_to_portal(*address))
            config_reader_complain(reader, group, "listen",
                                   "%s is no address to listen on; write ADDRESS:PORT or "
                                   "[ADDRESS]:PORT, with numbers, and perhaps ,GROUP",
                                   *address);
        if (g_strv_contains((const char *const *)address + 1, *address))
            config_reader_complain(reader, group, "listen", "%s is there twice", *address);
    }
}

ConfigTransport *config_transport_read(const ConfigReader *reader, const Transport *transport)
{
    static const char *const own[] = {"listen", NULL};
    ConfigTransport *out = g_new0(ConfigTransport, 1);
    const char *group = transport->name;

    out->transport = transport;
    if (g_key_file_has_group(reader->keys, group))
        config_check_keys(reader, group, (const char *const *const[]){own, transport->keys, NULL});
    out->keys =
        config_transport_keys(reader, group, transport, transport->keys, false, &out->values);
    out->listen = config_reader_list(reader, group, "listen");
    out->listen_chosen = out->listen != NULL;
    out->where = config_reader_where(reader, group, "listen");
    if (out->listen)
        check_addresses(reader, group, out->listen);
    else
        out->listen = g_strsplit(transport->default_listen, ";", -1);
    return out;
}

void config_transport_free(ConfigTransport *transport)
{
    if (!transport)
        return;
    g_strfreev(transport->listen);
    g_free(transport->where);
    g_strfreev(transport->keys);
    g_strfreev(transport->values);
    g_free(transport);
}
