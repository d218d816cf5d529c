/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong only between groups: one file, or one name on the wire, in two LUNs. */
#include "core/daemon/config_groups.h"

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

/* Notes that `lun` has the identity; complains where another one has it. */
static void claim(const ConfigReader *reader, GHashTable *owners, char *identity,
                  const ConfigLun *lun, const char *key, const char *what)
{
    const ConfigLun *other = g_hash_table_lookup(owners, identity);
    if (other)
        config_reader_complain(reader, lun->group, key, "%s as [%s] on line %u", what, other->group,
                               config_scan_line(reader->scan, other->group, NULL));
    g_hash_table_insert(owners, identity, (void *)lun);
}

static void check_lun(const ConfigReader *reader, GHashTable *owners, const ConfigLun *lun)
{
    const LunSpec *spec = &lun->spec;
    if (spec->path && g_path_is_absolute(spec->path))
        claim(reader, owners, config_store_identity(spec->path), lun, "path", "is the same store");
    if (spec->naa)
        claim(reader, owners, g_strdup_printf("naa %jx", (uintmax_t)spec->naa), lun, "naa",
              "is the same name; initiators would take the two for one disk: the same");
    claim(reader, owners, g_strdup_printf("lun %s/%u", spec->target_name, spec->number), lun, NULL,
          "is the same LUN");
}

void config_check_luns(const ConfigReader *reader, const Config *config)
{
    g_autoptr(GHashTable) owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < config->targets->len; i++) {
        const ConfigTarget *target = config->targets->pdata[i];
        for (guint k = 0; k < target->luns->len; k++)
            check_lun(reader, owners, target->luns->pdata[k]);
    }
}
