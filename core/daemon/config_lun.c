/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The [lun NAME/NUMBER] groups: which store, through which engine, shown to initiators as what. */
#include "core/daemon/config_groups.h"
#include "core/daemon/config_text.h"

#include <string.h>

#define TRANSFER_MIN ((uint64_t)4 << 10)
#define TRANSFER_MAX ((uint64_t)16 << 20)
#define SERIAL_MAX   36
#define CACHE_MAX    ((uint64_t)1 << 40)

static const char *const own_keys[] = {
    "path",   "size",       "create",     "engine",      "engine-options",
    "mode",   "block-size", "read-only",  "write-cache", "max-transfer",
    "serial", "naa",        "thin",       "removable",   "physical-block-size",
    "cache",  "cache-mode", "cache-slot", "readahead",   NULL,
};
static const char *const block_sizes[] = {"512", "4096", NULL};

const char *const config_modes[] = {[AIO_BUFFERED] = "buffered", [AIO_DIRECT] = "direct", NULL};
const char *const config_thin[] = {
    [LUN_THIN_AUTO] = "auto", [LUN_THIN_ON] = "on", [LUN_THIN_OFF] = "off", NULL};

bool config_split_name(const char *group, char **name, uint64_t *number)
{
    g_autofree char *whole = g_strstrip(g_strdup(strchr(group, ' ')));
    char *slash = strrchr(whole, '/');
    if (!slash || !text_to_number(slash + 1, number))
        return false;
    *slash = '\0';
    *name = g_steal_pointer(&whole);
    return true;
}

static bool read_name(const ConfigReader *reader, ConfigLun *lun)
{
    char *name = NULL;
    uint64_t number;
    bool split = config_split_name(lun->group, &name, &number);
    lun->spec.target_name = name;
    if (!split || number > CONFIG_LUN_MAX) {
        config_reader_complain(reader, lun->group, NULL,
                               "the name of a LUN is that of its target, / and a number from 0 to "
                               "%d, as in [lun iqn.2026-01.org.example:disk/0]",
                               CONFIG_LUN_MAX);
        return false;
    }
    lun->spec.number = (unsigned)number;
    return true;
}

static void read_engine(const ConfigReader *reader, ConfigLun *lun)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const AioEngine *const *engine = aio_engines; *engine; engine++)
        g_ptr_array_add(names, (void *)(*engine)->name);
    g_ptr_array_add(names, NULL);
    unsigned index =
        config_reader_choice(reader, lun->group, "engine", (const char *const *)names->pdata, 0);
    lun->spec.engine = aio_engines[index];
    aio_params_init(&lun->spec.params);
}

static void read_engine_options(const ConfigReader *reader, ConfigLun *lun)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new(), values = g_strv_builder_new();
    g_auto(GStrv) options = config_reader_list(reader, lun->group, "engine-options");
    for (char **option = options; option && *option; option++) {
        g_auto(GStrv) pair = g_strsplit(*option, "=", 2);
        g_autofree char *error = NULL;
        if (!pair[1]) {
            config_reader_complain(reader, lun->group, "engine-options",
                                   "%s: an option is written name=value", *option);
            continue;
        }
        if (!aio_params_set(&lun->spec.params, lun->spec.engine, g_strchomp(pair[0]),
                            g_strchug(pair[1]), &error))
            config_reader_complain(reader, lun->group, "engine-options", "%s", error);
        g_strv_builder_add(keys, pair[0]);
        g_strv_builder_add(values, pair[1]);
    }
    lun->option_keys = g_strv_builder_end(keys);
    lun->option_values = g_strv_builder_end(values);
}

static char *read_serial(const ConfigReader *reader, const char *group)
{
    g_autofree char *serial = config_reader_string(reader, group, "serial");
    bool good = serial && strlen(serial) <= SERIAL_MAX;
    for (const char *p = serial; good && *p; p++)
        good = g_ascii_isgraph(*p);
    if (serial && !good)
        config_reader_complain(reader, group, "serial",
                               "must be 1 to %d ASCII letters, digits and signs, without spaces",
                               SERIAL_MAX);
    return good ? g_steal_pointer(&serial) : NULL;
}

static uint64_t read_naa(const ConfigReader *reader, const char *group)
{
    g_autofree char *text = config_reader_string(reader, group, "naa");
    guint64 naa = 0;
    if (!text)
        return 0;
    const char *digits = g_str_has_prefix(text, "0x") ? text + 2 : text;
    if (strlen(digits) == 16 &&
        g_ascii_string_to_unsigned(digits, 16, 0, G_MAXUINT64, &naa, NULL) &&
        (naa >> 60 == 2 || naa >> 60 == 3 || naa >> 60 == 5))
        return naa;
    config_reader_complain(reader, group, "naa",
                           "must be 16 hexadecimal digits that begin with 2, 3 or 5 (3: locally "
                           "assigned)");
    return 0;
}

/* The physical one is by default what page caches and most disks write as a whole. */
static void read_block_sizes(const ConfigReader *reader, const char *group, LunSpec *spec)
{
    static const unsigned sizes[] = {512, 4096};
    spec->block_size = sizes[config_reader_choice(reader, group, "block-size", block_sizes, 0)];
    spec->physical_block_size =
        sizes[config_reader_choice(reader, group, "physical-block-size", block_sizes, 1)];
    if (spec->physical_block_size < spec->block_size)
        config_reader_complain(reader, group, "physical-block-size",
                               "must be at least block-size=%u", spec->block_size);
}

static void read_identity(const ConfigReader *reader, const char *group, LunSpec *spec)
{
    read_block_sizes(reader, group, spec);
    spec->read_only = config_reader_bool(reader, group, "read-only", false);
    spec->removable = config_reader_bool(reader, group, "removable", false);
    spec->write_cache = config_reader_bool(reader, group, "write-cache", true);
    spec->thin = config_reader_choice(reader, group, "thin", config_thin, LUN_THIN_AUTO);
    spec->max_transfer =
        config_reader_size(reader, group, "max-transfer", "auto", 0, TRANSFER_MIN, TRANSFER_MAX);
    if (spec->max_transfer % spec->block_size != 0)
        config_reader_complain(reader, group, "max-transfer", "must be a multiple of block-size=%u",
                               spec->block_size);
    spec->serial = read_serial(reader, group);
    spec->naa = read_naa(reader, group);
}

static void read_cache(const ConfigReader *reader, const char *group, LunSpec *spec)
{
    static const char *const modes[] = {"write-through", "write-back", NULL};
    spec->cache_size = config_reader_size(reader, group, "cache", NULL, 0, 0, CACHE_MAX);
    uint64_t slot = config_reader_size(reader, group, "cache-slot", NULL, LUN_CACHE_SLOT,
                                       CACHE_UNIT, CACHE_SLOT_MAX);
    if (!cache_slot_valid(slot))
        config_reader_complain(reader, group, "cache-slot", "must be a power of two, 4K to 256K");
    spec->cache_slot = (unsigned)slot;
    spec->readahead = config_reader_bool(reader, group, "readahead", true);
    if (config_reader_choice(reader, group, "cache-mode", modes, 0) > 0)
        config_reader_complain(reader, group, "cache-mode",
                               "this version has no write-back cache: take write-through");
}

static void read_store(const ConfigReader *reader, const char *group, LunSpec *spec)
{
    spec->path = config_reader_string(reader, group, "path");
    spec->create = config_reader_bool(reader, group, "create", false);
    /* What is cached here needs no second copy in the page cache. */
    spec->mode = config_reader_choice(reader, group, "mode", config_modes,
                                      spec->cache_size > 0 ? AIO_DIRECT : AIO_BUFFERED);
    spec->size = config_reader_size(reader, group, "size", NULL, 0, spec->block_size, INT64_MAX);
    if (spec->size % spec->block_size != 0)
        config_reader_complain(reader, group, "size", "must be a multiple of block-size=%u",
                               spec->block_size);
    if (spec->path && !g_path_is_absolute(spec->path))
        config_reader_complain(reader, group, "path", "must be an absolute path, beginning with /");
}

static void check_null_store(const ConfigReader *reader, const char *group)
{
    static const char *const senseless[] = {"path", "create", "mode", "cache"};
    if (!config_reader_has(reader, group, "size"))
        config_reader_complain(reader, group, "engine", "the null engine has no store: add size=");
    for (size_t i = 0; i < G_N_ELEMENTS(senseless); i++)
        if (config_reader_has(reader, group, senseless[i]))
            config_reader_complain(reader, group, senseless[i],
                                   "engine=null has no store: take this key out");
}

static void check_file_store(const ConfigReader *reader, const char *group, const LunSpec *spec)
{
    bool sized = config_reader_has(reader, group, "size");
    if (!config_reader_has(reader, group, "path"))
        config_reader_complain(reader, group, NULL,
                               "there is no path=: name the file or block device");
    if (spec->create && !sized)
        config_reader_complain(reader, group, "create", "add size=, the size of the file to make");
    if (spec->create && spec->read_only)
        config_reader_complain(reader, group, "create", "a read-only LUN cannot make its file");
    if (sized && !spec->create)
        config_reader_warn(reader, group, "size",
                           "has no effect without create=true: the size is the file's own");
}

ConfigLun *config_lun_read(const ConfigReader *reader, const char *group)
{
    ConfigLun *lun = g_new0(ConfigLun, 1);
    lun->refs = 1;
    lun->group = g_strdup(group);
    lun->where = config_reader_where(reader, group, NULL);
    if (!read_name(reader, lun)) {
        config_lun_unref(lun);
        return NULL;
    }
    config_check_keys(reader, group, (const char *const *const[]){own_keys, NULL});
    read_engine(reader, lun);
    read_engine_options(reader, lun);
    read_identity(reader, group, &lun->spec);
    read_cache(reader, group, &lun->spec);
    read_store(reader, group, &lun->spec);
    if (strcmp(lun->spec.engine->name, "null") == 0)
        check_null_store(reader, group);
    else
        check_file_store(reader, group, &lun->spec);
    return lun;
}

ConfigLun *config_lun_ref(ConfigLun *lun)
{
    lun->refs++;
    return lun;
}

void config_lun_unref(ConfigLun *lun)
{
    if (!lun || --lun->refs > 0)
        return;
    g_free(lun->group);
    g_free(lun->where);
    g_free((char *)lun->spec.target_name);
    g_free((char *)lun->spec.path);
    g_free((char *)lun->spec.serial);
    g_strfreev(lun->option_keys);
    g_strfreev(lun->option_values);
    g_free(lun);
}
