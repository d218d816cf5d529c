/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The [target NAME] groups: who may log in, over which transports, with which parameters. */
#include "core/daemon/config_groups.h"
#include "core/daemon/config_text.h"

#include <string.h>

static const char *const own_keys[] = {"transports", "allow", "alua", NULL};

static void clear_allow(void *row)
{
    TransportAllow *allow = row;
    g_free((char *)allow->initiator_glob);
    g_free((char *)allow->address);
}

static const Transport *find_transport(const Transport *const *transports, const char *name)
{
    for (; *transports; transports++)
        if (strcmp((*transports)->name, name) == 0)
            return *transports;
    return NULL;
}

static void read_transports(const ConfigReader *reader, ConfigTarget *target,
                            const Transport *const *known)
{
    g_auto(GStrv) names = config_reader_list(reader, target->group, "transports");
    for (char **name = names; name && *name; name++) {
        const Transport *transport = find_transport(known, *name);
        if (!transport)
            config_reader_complain(reader, target->group, "transports", "there is no transport %s",
                                   *name);
        else if (g_ptr_array_find(target->transports, transport, NULL))
            config_reader_complain(reader, target->group, "transports", "%s is there twice", *name);
        else
            g_ptr_array_add(target->transports, (void *)transport);
    }
    for (; !names && *known; known++)
        g_ptr_array_add(target->transports, (void *)*known);
}

static void read_allow_entry(const ConfigReader *reader, ConfigTarget *target, const char *entry)
{
    TransportAllow row = {.address = text_to_network(entry)};
    if (!row.address) {
        const char *complaint = text_name_glob_complaint(entry);
        if (complaint)
            config_reader_complain(reader, target->group, "allow",
                                   "%s: %s; or write an address or a range of addresses, as in "
                                   "10.0.0.0/8 (no bits set beyond the mask)",
                                   entry, complaint);
        row.initiator_glob = g_strdup(entry);
    }
    g_array_append_val(target->allow, row);
}

static void read_allow(const ConfigReader *reader, ConfigTarget *target)
{
    target->allow_text = config_reader_list(reader, target->group, "allow");
    if (!target->allow_text) {
        target->allow_text = g_new0(char *, 1);
        config_reader_warn(reader, target->group, NULL,
                           "no initiator may log in: there is no allow=; write allow=all, or a "
                           "list of initiator names and addresses");
        return;
    }
    const char *const *entries = (const char *const *)target->allow_text;
    target->allow_all = g_strv_contains(entries, "all");
    if (target->allow_all && entries[1])
        config_reader_complain(reader, target->group, "allow", "all must stand alone");
    for (; !target->allow_all && *entries; entries++)
        read_allow_entry(reader, target, *entries);
}

/* A key may belong to several of the target's transports: each checks it, the value is kept once.
 */
static void read_parameters(const ConfigReader *reader, ConfigTarget *target)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new(), values = g_strv_builder_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < target->transports->len; i++) {
        const Transport *transport = target->transports->pdata[i];
        g_auto(GStrv) texts = NULL;
        g_auto(GStrv) names = config_transport_keys(reader, target->group, transport,
                                                    transport->target_keys, true, &texts);
        for (guint k = 0; names[k]; k++) {
            if (!g_hash_table_add(seen, (void *)g_intern_string(names[k])))
                continue;
            g_strv_builder_add(keys, names[k]);
            g_strv_builder_add(values, texts[k]);
        }
    }
    target->keys = g_strv_builder_end(keys);
    target->values = g_strv_builder_end(values);
}

static void check_keys(const ConfigReader *reader, const ConfigTarget *target)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    g_ptr_array_add(known, (void *)own_keys);
    for (guint i = 0; i < target->transports->len; i++)
        g_ptr_array_add(known,
                        (void *)((const Transport *)target->transports->pdata[i])->target_keys);
    g_ptr_array_add(known, NULL);
    config_check_keys(reader, target->group, (const char *const *const *)known->pdata);
}

static void free_port_group(void *port_group)
{
    config_port_group_free(port_group);
}

static void free_lun(void *lun)
{
    config_lun_unref(lun);
}

ConfigTarget *config_target_read(const ConfigReader *reader, const char *group,
                                 const Transport *const *transports)
{
    g_autofree char *name = g_strstrip(g_strdup(group + strlen("target ")));
    const char *complaint = text_name_complaint(name);
    if (complaint) {
        config_reader_complain(reader, group, NULL, "%s", complaint);
        return NULL;
    }
    ConfigTarget *target = g_new0(ConfigTarget, 1);
    target->refs = 1;
    target->group = g_strdup(group);
    target->name = g_steal_pointer(&name);
    target->transports = g_ptr_array_new();
    target->luns = g_ptr_array_new_with_free_func(free_lun);
    target->port_groups = g_ptr_array_new_with_free_func(free_port_group);
    target->allow = g_array_new(FALSE, FALSE, sizeof(TransportAllow));
    g_array_set_clear_func(target->allow, clear_allow);
    read_transports(reader, target, transports);
    read_allow(reader, target);
    target->alua = config_reader_choice(reader, group, "alua", config_alua, 1);
    check_keys(reader, target);
    read_parameters(reader, target);
    return target;
}

ConfigTarget *config_target_ref(ConfigTarget *target)
{
    target->refs++;
    return target;
}

void config_target_unref(ConfigTarget *target)
{
    if (!target || --target->refs > 0)
        return;
    g_free(target->group);
    g_free(target->name);
    g_ptr_array_unref(target->transports);
    g_array_unref(target->allow);
    g_strfreev(target->allow_text);
    g_strfreev(target->keys);
    g_strfreev(target->values);
    g_ptr_array_unref(target->luns);
    g_ptr_array_unref(target->port_groups);
    g_free(target);
}
