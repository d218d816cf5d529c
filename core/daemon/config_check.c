/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong only between keys and groups: one file, or one name on the wire, in two LUNs; what
 * transports find in several keys. */
#include "core/daemon/config_groups.h"
#include "core/daemon/config_text.h"

#include <string.h>
#include <sys/stat.h>

/* A file that is still to be made is told by its directory and name. */
char *config_store_identity(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISBLK(st.st_mode)
                   ? g_strdup_printf("device %jx", (uintmax_t)st.st_rdev)
                   : g_strdup_printf("inode %jx %jx", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    g_autofree char *canonical = g_canonicalize_filename(path, "/");
    g_autofree char *directory = g_path_get_dirname(canonical);
    g_autofree char *name = g_path_get_basename(canonical);
    if (stat(directory, &st) != 0)
        return g_steal_pointer(&canonical);
    return g_strdup_printf("name %jx %jx %s", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, name);
}

/* Notes that `lun` has the identity; false, with a complaint, where another one has it. */
static bool claim(const ConfigReader *reader, GHashTable *owners, char *identity,
                  const ConfigLun *lun, const char *key, const char *what)
{
    const ConfigLun *other = g_hash_table_lookup(owners, identity);
    if (other)
        config_reader_complain(reader, lun->group, key, "%s as [%s] on line %u", what, other->group,
                               config_scan_line(reader->scan, other->group, NULL));
    g_hash_table_insert(owners, identity, (void *)lun);
    return !other;
}

/* Both are in VPD page 83h, and the state of a LUN is kept under the former. */
static void claim_names(const ConfigReader *reader, GHashTable *owners, const ConfigLun *lun)
{
    static const char what[] = "initiators would take the two for one disk: the same";
    const LunSpec *spec = &lun->spec;
    g_autofree char *serial = lun_spec_serial(spec);
    claim(reader, owners, g_strdup_printf("naa %jx", (uintmax_t)lun_spec_naa(spec)), lun,
          spec->naa ? "naa" : NULL, what);
    claim(reader, owners, g_strdup_printf("serial %s", serial), lun, spec->serial ? "serial" : NULL,
          what);
}

static void check_lun(const ConfigReader *reader, GHashTable *owners, const ConfigLun *lun)
{
    const LunSpec *spec = &lun->spec;
    if (spec->path && g_path_is_absolute(spec->path))
        claim(reader, owners, config_store_identity(spec->path), lun, "path", "is the same store");
    if (claim(reader, owners, g_strdup_printf("lun %s/%u", spec->target_name, spec->number), lun,
              NULL, "is the same LUN"))
        claim_names(reader, owners, lun);
}

/* Caches have their blocks of the arena for good, beside what commands need. */
static void check_caches(const ConfigReader *reader, const Config *config)
{
    size_t left = memory_spare(config_admitted(config));
    for (guint i = 0; i < config->targets->len; i++) {
        const ConfigTarget *target = config->targets->pdata[i];
        for (guint k = 0; k < target->luns->len; k++) {
            const ConfigLun *lun = target->luns->pdata[k];
            size_t cost = cache_cost(lun->spec.cache_size);
            if (cost > left) {
                g_autofree char *arena = text_from_size(config->arena.limit);
                config_reader_complain(reader, lun->group, "cache",
                                       "the caches need more of the arena than commands can spare: "
                                       "of arena=%s, %zuM are left for this one",
                                       arena, left >> 20);
                return;
            }
            left -= cost;
        }
    }
}

void config_check_luns(const ConfigReader *reader, const Config *config)
{
    check_caches(reader, config);
    g_autoptr(GHashTable) owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < config->targets->len; i++) {
        const ConfigTarget *target = config->targets->pdata[i];
        for (guint k = 0; k < target->luns->len; k++)
            check_lun(reader, owners, target->luns->pdata[k]);
    }
}

/* --- keys of transports ------------------------------------------------------------------------*/

/* Hands the transport those of its keys that the group has. False: it has complained. */
static bool check_group(const ConfigReader *reader, const Config *config, const char *group,
                        const Transport *transport, bool in_target, char *const *keys,
                        char *const *values)
{
    const char *const *known = in_target ? transport->target_keys : transport->keys;
    g_autoptr(GPtrArray) its_keys = g_ptr_array_new(), its_values = g_ptr_array_new();
    for (unsigned i = 0; keys[i]; i++) {
        if (!g_strv_contains(known, keys[i]))
            continue;
        g_ptr_array_add(its_keys, keys[i]);
        g_ptr_array_add(its_values, values[i]);
    }
    g_ptr_array_add(its_keys, NULL);
    g_ptr_array_add(its_values, NULL);
    g_autoptr(GError) error = NULL;
    const char *culprit = NULL;
    if (transport->check_keys((const char *const *)its_keys->pdata,
                              (const char *const *)its_values->pdata, in_target, config->secrets,
                              &culprit, &error))
        return true;
    config_reader_complain(reader, group, culprit, "%s", error->message);
    return false;
}

/* Where two transports would find the same, once is enough. */
static void check_target(const ConfigReader *reader, const Config *config,
                         const ConfigTarget *target)
{
    for (guint i = 0; i < target->transports->len; i++)
        if (!check_group(reader, config, target->group, target->transports->pdata[i], true,
                         target->keys, target->values))
            return;
}

void config_check_transport_keys(const ConfigReader *reader, const Config *config)
{
    for (guint i = 0; i < config->transports->len; i++) {
        const ConfigTransport *own = config->transports->pdata[i];
        check_group(reader, config, own->transport->name, own->transport, false, own->keys,
                    own->values);
    }
    for (guint i = 0; i < config->targets->len; i++)
        check_target(reader, config, config->targets->pdata[i]);
}
