/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks that need all targets, the change itself, and the note of it for a later save. */
#include "core/daemon/online.h"

#include "core/daemon/config_text.h"
#include "core/daemon/manager_impl.h"

#include <string.h>

#define DRAIN_TIMEOUT_MS 10000

unsigned online_timeout_ms = 10000;

static GError *refusal(ManagerError code, const char *format, ...) G_GNUC_PRINTF(2, 3);
static GError *refusal(ManagerError code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    GError *error = g_error_new_valist(MANAGER_ERROR, (gint)code, format, args);
    va_end(args);
    return error;
}

static GError *check_idle(const Manager *manager)
{
    return manager->changing ? refusal(MANAGER_ERROR_BUSY, "a reload goes on") : NULL;
}

/* Takes over `error` into *out; true when there was none. */
static bool passed(GError *error, GError **out)
{
    if (error)
        g_propagate_error(out, error);
    return !error;
}

/* What the keyfile says is told as invalid, what the machine says as failed. */
static void set_code(GError **error, ManagerError code)
{
    if (!error || !*error)
        return;
    (*error)->domain = MANAGER_ERROR;
    (*error)->code = (gint)code;
}

/* --- notes for a later save --------------------------------------------------------------------*/

static void note_group(Manager *manager, const char *group, const ConfigSettings *settings)
{
    g_key_file_set_value(manager->settings, group, "-", "");
    g_key_file_remove_key(manager->settings, group, "-", NULL); /* leaves the group */
    for (unsigned i = 0; settings->keys[i]; i++)
        g_key_file_set_string(manager->settings, group, settings->keys[i], settings->values[i]);
}

static void forget_group(Manager *manager, const char *group)
{
    g_key_file_remove_group(manager->settings, group, NULL);
}

/* --- LUNs: add ---------------------------------------------------------------------------------*/

static const char *clash(const ExportLun *lun, const char *identity, uint64_t naa,
                         const char *serial)
{
    const LunSpec *spec = lun_spec(lun->lun);
    if (identity && g_strcmp0(lun->identity, identity) == 0)
        return "path";
    if (spec->naa == naa)
        return "naa";
    return strcmp(spec->serial, serial) == 0 ? "serial" : NULL;
}

/* One store, or one name, in two LUNs. */
static bool check_unique(const Manager *manager, const LunSpec *spec, GError **error)
{
    g_autofree char *identity = spec->path ? config_store_identity(spec->path) : NULL;
    g_autofree char *serial = lun_spec_serial(spec);
    uint64_t naa = lun_spec_naa(spec);
    for (guint i = 0; i < manager->exports->len; i++) {
        const GPtrArray *luns = export_luns(manager->exports->pdata[i]);
        for (guint k = 0; k < luns->len; k++) {
            const ExportLun *other = luns->pdata[k];
            const char *key = clash(other, identity, naa, serial);
            if (key)
                return passed(refusal(MANAGER_ERROR_INVALID,
                                      "[lun %s/%u] %s: is the same as of LUN %s/%u",
                                      spec->target_name, spec->number, key,
                                      other->config->spec.target_name, other->config->spec.number),
                              error);
        }
    }
    return true;
}

static bool check_number(const Export *export, unsigned number, GError **error)
{
    const char *target = export_config(export)->name;
    if (number > CONFIG_LUN_MAX)
        return passed(refusal(MANAGER_ERROR_INVALID, "%u: the number of a LUN is at most %d",
                              number, CONFIG_LUN_MAX),
                      error);
    if (export_find_lun(export, number))
        return passed(
            refusal(MANAGER_ERROR_INVALID, "target %s has a LUN %u already", target, number),
            error);
    return true;
}

ExportLun *online_add_lun(Manager *manager, Export *export, unsigned number,
                          const ConfigSettings *settings, GError **error)
{
    if (!passed(check_idle(manager), error) || !check_number(export, number, error))
        return NULL;
    g_autoptr(ConfigLun) config =
        config_lun_parse(export_config(export)->name, number, settings, error);
    if (!config) {
        set_code(error, MANAGER_ERROR_INVALID);
        return NULL;
    }
    if (!check_unique(manager, &config->spec, error))
        return NULL;
    ExportLun *lun = export_open_lun(export, config, error);
    if (!lun) {
        set_code(error, MANAGER_ERROR_FAILED);
        return NULL;
    }
    export_show_lun(lun);
    note_group(manager, config->group, settings);
    if (manager->watch)
        manager->watch->lun_added(manager->watch_arg, lun);
    return lun;
}

/* --- removal, bounded --------------------------------------------------------------------------*/

/* A call that waits. Freed when both the caller was told and the object is gone. */
typedef struct {
    char *what;
    GSource *timer; /* of a target's removal */
    OnlineDone done;
    void *arg;
} Waiting;

static Waiting *waiting_new(char *what, OnlineDone done, void *arg)
{
    Waiting *waiting = g_new(Waiting, 1);
    *waiting = (Waiting){.what = what, .done = done, .arg = arg};
    return waiting;
}

static void waiting_tell(Waiting *waiting, bool late)
{
    g_autoptr(GError) error =
        late ? refusal(MANAGER_ERROR_BUSY,
                       "%s is withdrawn, but commands that run in it do not end; it is closed when "
                       "they do",
                       waiting->what)
             : NULL;
    g_steal_pointer (&waiting->done)(error, waiting->arg);
}

static void waiting_free(Waiting *waiting)
{
    loop_timer_stop(&waiting->timer);
    g_free(waiting->what);
    g_free(waiting);
}

static void lun_gone(bool late, void *arg)
{
    Waiting *waiting = arg;
    if (!late)
        g_message("%s is removed", waiting->what);
    waiting_tell(waiting, late);
    waiting_free(waiting);
}

void online_remove_lun(Manager *manager, ExportLun *lun, OnlineDone done, void *arg)
{
    const LunSpec *spec = &lun->config->spec;
    g_autoptr(GError) busy = check_idle(manager);
    if (busy) {
        done(busy, arg);
        return;
    }
    char *what = g_strdup_printf("LUN %s/%u", spec->target_name, spec->number);
    forget_group(manager, lun->config->group);
    if (manager->watch)
        manager->watch->lun_removed(manager->watch_arg, lun);
    export_remove_lun(lun, online_timeout_ms, lun_gone, waiting_new(what, done, arg));
}

/* --- LUNs: size --------------------------------------------------------------------------------*/

typedef struct {
    Manager *manager;
    ExportLun *lun;
    OnlineDone done;
    void *arg;
} Resize;

static void announce_size(const ExportLun *lun, const Lun *at_work)
{
    g_autofree char *size = text_from_size(lun_spec(at_work)->size);
    g_message("LUN %s/%u: %s bytes", lun->config->spec.target_name, lun->config->spec.number, size);
}

static void resized(Lun *at_work, const GError *error, void *arg)
{
    Resize *resize = arg;
    ExportLun *lun = resize->lun;
    GKeyFile *settings = resize->manager->settings;
    const char *group = lun->config->group;
    g_autoptr(GError) failure =
        error ? refusal(MANAGER_ERROR_FAILED, "LUN %s/%u keeps its size: %s",
                        lun->config->spec.target_name, lun->config->spec.number, error->message)
              : NULL;
    lun->exchanging = false;
    if (!error) {
        announce_size(lun, at_work);
        if (g_key_file_has_key(settings, group, "size", NULL)) {
            g_autofree char *size = text_from_size(lun_spec(at_work)->size);
            g_key_file_set_string(settings, group, "size", size);
        }
    }
    resize->done(failure, resize->arg);
    g_free(resize);
}

static GError *check_resize(const Manager *manager, const ExportLun *lun, uint64_t size,
                            bool shrink)
{
    GError *busy = check_idle(manager);
    const LunSpec *spec = lun_spec(lun->lun);
    if (busy)
        return busy;
    if (lun->exchanging)
        return refusal(MANAGER_ERROR_BUSY, "another change of this LUN goes on");
    if (size == 0)
        return NULL;
    if (lun_is_block_device(lun->lun))
        return refusal(MANAGER_ERROR_NOT_SUPPORTED,
                       "%s is a block device: resize it by its own means, and then the LUN without "
                       "a size",
                       spec->path);
    if (spec->read_only)
        return refusal(MANAGER_ERROR_NOT_SUPPORTED, "the LUN is read-only");
    if (size % spec->block_size != 0 || size > INT64_MAX)
        return refusal(MANAGER_ERROR_INVALID, "the size must be a multiple of block-size=%u",
                       spec->block_size);
    if (size < spec->size && !shrink)
        return refusal(MANAGER_ERROR_INVALID,
                       "that is less than now: what lies behind it would be lost; shrink must be "
                       "asked for");
    return NULL;
}

static GError *read_size_again(ExportLun *lun)
{
    const LunSpec *spec = lun_spec(lun->lun);
    if (lun_refresh_size(lun->lun))
        announce_size(lun, lun->lun);
    return lun_blocks(lun->lun) > 0
               ? NULL
               : refusal(MANAGER_ERROR_FAILED, "%s is smaller than one block now", spec->path);
}

void online_resize_lun(Manager *manager, ExportLun *lun, uint64_t size, bool shrink,
                       OnlineDone done, void *arg)
{
    g_autoptr(GError) error = check_resize(manager, lun, size, shrink);
    if (!error && size == 0)
        error = read_size_again(lun);
    if (error || size == 0 || size == lun_spec(lun->lun)->size) {
        done(error, arg);
        return;
    }
    Resize *resize = g_new(Resize, 1);
    *resize = (Resize){manager, lun, done, arg};
    lun->exchanging = true;
    lun_resize(lun->lun, size, DRAIN_TIMEOUT_MS, resized, resize);
}

/* --- caches ------------------------------------------------------------------------------------*/

static void cache_set(Lun *at_work, const GError *error, void *arg)
{
    Resize *change = arg;
    ExportLun *lun = change->lun;
    const char *target = lun->config->spec.target_name;
    unsigned number = lun->config->spec.number;
    g_autoptr(GError) failure =
        error ? refusal(MANAGER_ERROR_FAILED, "LUN %s/%u keeps its cache as it is: %s", target,
                        number, error->message)
              : NULL;
    lun->exchanging = false;
    if (!error) {
        g_autofree char *size = text_from_size(lun_cache_size(at_work));
        g_message("LUN %s/%u: a cache of %s bytes", target, number, size);
        g_key_file_set_string(change->manager->settings, lun->config->group, "cache", size);
    }
    change->done(failure, change->arg);
    g_free(change);
}

void online_set_cache(Manager *manager, ExportLun *lun, uint64_t size, OnlineDone done, void *arg)
{
    g_autoptr(GError) error = check_idle(manager);
    if (!error && lun->exchanging)
        error = refusal(MANAGER_ERROR_BUSY, "another change of this LUN goes on");
    if (!error && size > 0 && !lun_spec(lun->lun)->path)
        error = refusal(MANAGER_ERROR_NOT_SUPPORTED, "a LUN without a store needs no cache");
    if (error || size == lun_cache_size(lun->lun)) {
        done(error, arg);
        return;
    }
    Resize *change = g_new(Resize, 1);
    *change = (Resize){manager, lun, done, arg};
    lun->exchanging = true;
    lun_set_cache(lun->lun, size, DRAIN_TIMEOUT_MS, cache_set, change);
}

/* --- target port groups ------------------------------------------------------------------------*/

bool online_set_group_state(Manager *manager, Export *export, unsigned group, const char *state,
                            GError **error)
{
    const ConfigTarget *config = export_config(export);
    AluaState wanted;
    if (!passed(check_idle(manager), error))
        return false;
    if (!(config->alua & 1))
        return passed(refusal(MANAGER_ERROR_NOT_SUPPORTED,
                              "the states of target %s do not change implicitly: alua=%s",
                              config->name, config_alua[config->alua]),
                      error);
    if (!config_alua_state(state, &wanted))
        return passed(refusal(MANAGER_ERROR_INVALID,
                              "%s: a state is active/optimized, active/non-optimized, standby, "
                              "unavailable, offline or transitioning",
                              state),
                      error);
    if (group > UINT16_MAX ||
        !scsi_target_set_alua_state(export_scsi(export), (uint16_t)group, wanted))
        return passed(
            refusal(MANAGER_ERROR_NOT_FOUND, "target %s has no port group %u", config->name, group),
            error);
    g_message("target %s: port group %u is %s", config->name, group, state);
    return true;
}

/* --- targets -----------------------------------------------------------------------------------*/

static bool check_name(const Manager *manager, const char *name, GError **error)
{
    for (guint i = 0; i < manager->exports->len; i++)
        if (strcmp(export_config(manager->exports->pdata[i])->name, name) == 0)
            return passed(refusal(MANAGER_ERROR_INVALID, "there is a target %s already", name),
                          error);
    return true;
}

static ConfigTarget *parse_target(const Manager *manager, const char *name,
                                  const ConfigSettings *settings, GError **error)
{
    const GPtrArray *configured = manager->config->transports;
    g_autofree const Transport **known = g_new0(const Transport *, configured->len + 1);
    for (guint i = 0; i < configured->len; i++)
        known[i] = ((const ConfigTransport *)configured->pdata[i])->transport;
    ConfigTarget *config = config_target_parse(name, settings, known, error);
    if (!config)
        set_code(error, MANAGER_ERROR_INVALID);
    return config;
}

Export *online_add_target(Manager *manager, const char *name, const ConfigSettings *settings,
                          GError **error)
{
    if (!passed(check_idle(manager), error) || !check_name(manager, name, error))
        return NULL;
    g_autoptr(ConfigTarget) config = parse_target(manager, name, settings, error);
    if (!config)
        return NULL;
    Export *export = manager_make_export(manager, config, error);
    if (!export) {
        set_code(error, MANAGER_ERROR_FAILED);
        return NULL;
    }
    note_group(manager, config->group, settings);
    manager_show_export(manager, export);
    return export;
}

static void target_gone(void *arg)
{
    Waiting *waiting = arg;
    g_message("%s is removed", waiting->what);
    if (waiting->done)
        waiting_tell(waiting, false);
    waiting_free(waiting);
}

static gboolean target_is_late(void *arg)
{
    Waiting *waiting = arg;
    loop_timer_stop(&waiting->timer);
    waiting_tell(waiting, true);
    return G_SOURCE_REMOVE;
}

void online_remove_target(Manager *manager, Export *export, OnlineDone done, void *arg)
{
    const ConfigTarget *config = export_config(export);
    g_autoptr(GError) busy = check_idle(manager);
    if (busy) {
        done(busy, arg);
        return;
    }
    const GPtrArray *luns = export_luns(export);
    for (guint i = 0; i < luns->len; i++)
        forget_group(manager, ((const ExportLun *)luns->pdata[i])->config->group);
    for (guint i = 0; i < config->port_groups->len; i++)
        forget_group(manager, ((const ConfigPortGroup *)config->port_groups->pdata[i])->group);
    forget_group(manager, config->group);
    Waiting *waiting = waiting_new(g_strdup_printf("target %s", config->name), done, arg);
    waiting->timer = loop_timer_start(manager->main, online_timeout_ms, target_is_late, waiting);
    manager_hide_export(manager, export);
    manager_close_export(manager, export, target_gone, waiting);
}
