/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Judges the difference, opens what is new without showing it, exchanges engines, and only then
 * shows and withdraws: until the last step everything can be undone. */
#include "core/daemon/reload.h"

#include "core/daemon/config_edit.h"
#include "core/daemon/exchange.h"
#include "core/daemon/manager_impl.h"
#include "core/daemon/online.h"

#include <stdlib.h>
#include <string.h>

/* The exchange of one LUN's engine, and the way back. */
typedef struct {
    ExportLun *lun;
    ConfigLun *config; /* the new one; a reference */
    char *engine, *mode;
    char **keys, **values; /* of the engine that was at work */
} EngineChange;

typedef struct {
    Manager *manager;
    Config *config;
    GPtrArray *targets;      /* Export *, made and not shown */
    GPtrArray *luns;         /* ExportLun *, opened and not shown */
    GPtrArray *gone_targets; /* Export * */
    GPtrArray *gone_luns;    /* ExportLun * */
    GPtrArray *sized;        /* EngineChange *, of null stores: the config alone */
    GPtrArray *engines;      /* EngineChange * */
    guint next;              /* of engines: how many are exchanged */
    guint left;              /* changes of the last step that have not ended */
    GString *complaints;
    GError *error; /* why it is being undone */
    ReloadDone done;
    void *arg;
} Reload;

static void free_change(void *arg)
{
    EngineChange *change = arg;
    config_lun_unref(change->config);
    g_free(change->engine);
    g_free(change->mode);
    g_strfreev(change->keys);
    g_strfreev(change->values);
    g_free(change);
}

static Reload *reload_new(Manager *manager, ReloadDone done, void *arg)
{
    Reload *reload = g_new(Reload, 1);
    *reload = (Reload){.manager = manager,
                       .targets = g_ptr_array_new(),
                       .luns = g_ptr_array_new(),
                       .gone_targets = g_ptr_array_new(),
                       .gone_luns = g_ptr_array_new(),
                       .sized = g_ptr_array_new_with_free_func(free_change),
                       .engines = g_ptr_array_new_with_free_func(free_change),
                       .complaints = g_string_new(NULL),
                       .done = done,
                       .arg = arg};
    return reload;
}

static void reload_free(Reload *reload)
{
    config_free(reload->config);
    g_ptr_array_unref(reload->targets);
    g_ptr_array_unref(reload->luns);
    g_ptr_array_unref(reload->gone_targets);
    g_ptr_array_unref(reload->gone_luns);
    g_ptr_array_unref(reload->sized);
    g_ptr_array_unref(reload->engines);
    g_string_free(reload->complaints, TRUE);
    g_clear_error(&reload->error);
    g_free(reload);
}

static void finish(Reload *reload)
{
    if (!reload->error)
        g_message("%s: reloaded", reload->config->path);
    reload->done(reload->error, reload->arg);
    reload_free(reload);
}

/* --- judging -----------------------------------------------------------------------------------*/

static bool is_lun(const char *group)
{
    return g_str_has_prefix(group, "lun ");
}

static bool is_port_group(const char *group)
{
    return g_str_has_prefix(group, "port-group ");
}

/* Keys that can be changed in a LUN or port group that is there. */
static bool is_changeable(const ConfigDifference *difference)
{
    static const char *const of_lun[] = {"engine", "engine-options", "mode", "size", "cache", NULL};
    static const char *const of_port_group[] = {"state", NULL};
    return (is_lun(difference->group) && g_strv_contains(of_lun, difference->key)) ||
           (is_port_group(difference->group) && g_strv_contains(of_port_group, difference->key));
}

static void complain(Reload *reload, const ConfigDifference *difference)
{
    g_string_append_printf(
        reload->complaints, "%s[%s]%s%s: %s", reload->complaints->len ? "\n" : "",
        difference->group, difference->key ? " " : "", difference->key ? difference->key : "",
        is_lun(difference->group)
            ? "cannot be changed while the LUN is there: remove it, and add it anew"
            : "takes effect only when the daemon starts anew");
}

static Export *find_export(const Manager *manager, const char *group)
{
    for (guint i = 0; i < manager->exports->len; i++)
        if (strcmp(export_config(manager->exports->pdata[i])->group, group) == 0)
            return manager->exports->pdata[i];
    return NULL;
}

/* Whether the target of a port group was there, and stays. */
static bool is_of_lasting_target(const Reload *reload, const char *group)
{
    const char *name = group + strlen("port-group ");
    g_autofree char *target = g_strdup_printf("target %.*s", (int)strcspn(name, "/"), name);
    return g_key_file_has_group(reload->config->keys, target) &&
           g_key_file_has_group(reload->manager->settings, target);
}

static void judge_group(Reload *reload, const ConfigDifference *difference)
{
    GKeyFile *keys = difference->in_new ? reload->config->keys : reload->manager->settings;
    g_auto(GStrv) contents = g_key_file_get_keys(keys, difference->group, NULL, NULL);
    if (g_str_has_prefix(difference->group, "target ")) {
        if (difference->in_old)
            g_ptr_array_add(reload->gone_targets, find_export(reload->manager, difference->group));
    } else if (is_port_group(difference->group)) {
        if (is_of_lasting_target(reload, difference->group))
            complain(reload, difference);
    } else if (!is_lun(difference->group) && *contents) { /* an empty one means nothing */
        complain(reload, difference);
    }
}

static void judge(Reload *reload)
{
    g_autoptr(GPtrArray) differences =
        config_difference(reload->manager->settings, reload->config->keys);
    for (guint i = 0; i < differences->len; i++) {
        const ConfigDifference *difference = differences->pdata[i];
        if (!difference->key)
            judge_group(reload, difference);
        else if (!is_changeable(difference))
            complain(reload, difference);
    }
}

/* --- what the new file wants of a target -------------------------------------------------------*/

static bool same_engine(const ExportLun *lun, const ConfigLun *config)
{
    const ExchangeRequest chosen = exchange_chosen(lun);
    return strcmp(chosen.engine, config->spec.engine->name) == 0 &&
           strcmp(chosen.mode, config_modes[config->spec.mode]) == 0 &&
           g_strv_equal(chosen.keys, (const char *const *)config->option_keys) &&
           g_strv_equal(chosen.values, (const char *const *)config->option_values);
}

static EngineChange *change_new(ExportLun *lun, ConfigLun *config)
{
    EngineChange *change = g_new(EngineChange, 1);
    *change = (EngineChange){.lun = lun,
                             .config = config_lun_ref(config),
                             .engine = g_strdup(lun_engine(lun->lun)->name),
                             .mode = g_strdup(config_modes[lun_mode(lun->lun)]),
                             .keys = g_strdupv(lun->option_keys),
                             .values = g_strdupv(lun->option_values)};
    return change;
}

static bool open_lun(Reload *reload, Export *export, ConfigLun *config)
{
    ExportLun *lun = export_open_lun(export, config, &reload->error);
    if (!lun) {
        g_prefix_error(&reload->error, "%s: ", config->where);
        return false;
    }
    g_ptr_array_add(reload->luns, lun);
    return true;
}

static bool prepare_lun(Reload *reload, Export *export, ConfigLun *config)
{
    ExportLun *lun = export_find_lun(export, config->spec.number);
    if (!lun)
        return open_lun(reload, export, config);
    bool same = same_engine(lun, config);
    bool is_null = !config->spec.path;
    g_ptr_array_add(same || is_null ? reload->sized : reload->engines, change_new(lun, config));
    if (is_null && !same)
        g_set_error(&reload->error, MANAGER_ERROR, MANAGER_ERROR_NOT_SUPPORTED,
                    "%s: the engine of a LUN without a path cannot be changed", config->where);
    return !reload->error;
}

static int compare_number(const void *number, const void *entry)
{
    unsigned wanted = *(const unsigned *)number, found = (*(ConfigLun *const *)entry)->spec.number;
    return (wanted > found) - (wanted < found);
}

static bool is_configured(const ConfigTarget *target, unsigned number)
{
    const GPtrArray *luns = target->luns; /* by number */
    return luns->len > 0 &&
           bsearch(&number, luns->pdata, luns->len, sizeof luns->pdata[0], compare_number);
}

static bool prepare_target(Reload *reload, ConfigTarget *config)
{
    Export *export = find_export(reload->manager, config->group);
    if (!export) {
        export = manager_make_export(reload->manager, config, &reload->error);
        if (export)
            g_ptr_array_add(reload->targets, export);
        return export != NULL;
    }
    for (guint i = 0; i < config->luns->len; i++)
        if (!prepare_lun(reload, export, config->luns->pdata[i]))
            return false;
    const GPtrArray *luns = export_luns(export);
    for (guint i = 0; i < luns->len; i++) {
        ExportLun *lun = luns->pdata[i];
        if (!is_configured(config, lun->config->spec.number))
            g_ptr_array_add(reload->gone_luns, lun);
    }
    return true;
}

static bool prepare(Reload *reload)
{
    for (guint i = 0; i < reload->config->targets->len; i++)
        if (!prepare_target(reload, reload->config->targets->pdata[i]))
            return false;
    return true;
}

/* --- the way back ------------------------------------------------------------------------------*/

static void exchange_back(Reload *reload);

static void went_back(ExportLun *lun, const GError *error, void *arg)
{
    if (error)
        g_warning("LUN %s/%u: %s", lun->config->spec.target_name, lun->config->spec.number,
                  error->message);
    exchange_back(arg);
}

static void exchange_back(Reload *reload)
{
    if (reload->next == 0) {
        reload->manager->changing = false;
        finish(reload);
        return;
    }
    const EngineChange *change = reload->engines->pdata[--reload->next];
    const ExchangeRequest request = {.engine = change->engine,
                                     .mode = change->mode,
                                     .keys = (const char *const *)change->keys,
                                     .values = (const char *const *)change->values,
                                     .n = g_strv_length(change->keys)};
    g_autoptr(GError) error = NULL;
    if (!exchange_start(change->lun, &request, went_back, reload, &error))
        went_back(change->lun, error, reload);
}

static void undo(Reload *reload)
{
    for (guint i = 0; i < reload->luns->len; i++)
        export_discard_lun(reload->luns->pdata[i]);
    for (guint i = 0; i < reload->targets->len; i++)
        manager_close_export(reload->manager, reload->targets->pdata[i], NULL, NULL);
    exchange_back(reload);
}

/* --- the last step, which cannot fail ----------------------------------------------------------*/

static void adopt(ExportLun *lun, ConfigLun *config)
{
    config_lun_unref(lun->config);
    lun->config = config_lun_ref(config);
}

/* One of the last step has ended, or is late and goes on by itself. */
static void step_ended(const GError *error, void *arg)
{
    Reload *reload = arg;
    if (error)
        g_warning("%s", error->message);
    if (--reload->left == 0)
        finish(reload);
}

static void adopt_size(Reload *reload, const EngineChange *change)
{
    const LunSpec *spec = &change->config->spec;
    adopt(change->lun, change->config);
    uint64_t size = spec->path ? 0 : spec->size;
    reload->left++;
    online_resize_lun(reload->manager, change->lun, size, true, step_ended, reload);
    reload->left++;
    online_set_cache(reload->manager, change->lun, spec->cache_size, step_ended, reload);
}

static void set_states(Reload *reload)
{
    const GPtrArray *targets = reload->config->targets;
    for (guint i = 0; i < targets->len; i++) {
        const ConfigTarget *config = targets->pdata[i];
        Export *export = find_export(reload->manager, config->group);
        for (guint k = 0; export && k < config->port_groups->len; k++) {
            const AluaGroupSpec *spec = &((ConfigPortGroup *)config->port_groups->pdata[k])->spec;
            scsi_target_set_alua_state(export_scsi(export), spec->id, spec->state);
        }
    }
}

static void withdraw(Reload *reload)
{
    reload->left += reload->gone_luns->len + reload->gone_targets->len;
    for (guint i = 0; i < reload->gone_luns->len; i++)
        online_remove_lun(reload->manager, reload->gone_luns->pdata[i], step_ended, reload);
    for (guint i = 0; i < reload->gone_targets->len; i++)
        online_remove_target(reload->manager, reload->gone_targets->pdata[i], step_ended, reload);
}

static void show(Reload *reload)
{
    Manager *manager = reload->manager;
    for (guint i = 0; i < reload->luns->len; i++) {
        export_show_lun(reload->luns->pdata[i]);
        if (manager->watch)
            manager->watch->lun_added(manager->watch_arg, reload->luns->pdata[i]);
    }
    for (guint i = 0; i < reload->targets->len; i++)
        manager_show_export(manager, reload->targets->pdata[i]);
    for (guint i = 0; manager->watch && i < reload->engines->len; i++)
        manager->watch->lun_changed(manager->watch_arg,
                                    ((EngineChange *)reload->engines->pdata[i])->lun);
}

static void commit(Reload *reload)
{
    Manager *manager = reload->manager;
    manager->changing = false; /* what follows are changes like any others */
    reload->left = 1;
    for (guint i = 0; i < reload->engines->len; i++)
        adopt_size(reload, reload->engines->pdata[i]);
    for (guint i = 0; i < reload->sized->len; i++)
        adopt_size(reload, reload->sized->pdata[i]);
    set_states(reload);
    withdraw(reload);
    show(reload);
    g_key_file_unref(manager->settings);
    manager->settings = g_key_file_ref(reload->config->keys);
    step_ended(NULL, reload);
}

/* --- engines, one after the other --------------------------------------------------------------*/

static void exchange_next(Reload *reload);

static void exchanged(ExportLun *lun, const GError *error, void *arg)
{
    Reload *reload = arg;
    (void)lun;
    if (error) {
        reload->error = g_error_copy(error);
        undo(reload);
        return;
    }
    reload->next++;
    exchange_next(reload);
}

static void exchange_next(Reload *reload)
{
    if (reload->next == reload->engines->len) {
        commit(reload);
        return;
    }
    const EngineChange *change = reload->engines->pdata[reload->next];
    const ConfigLun *config = change->config;
    const ExchangeRequest request = {.engine = config->spec.engine->name,
                                     .mode = config_modes[config->spec.mode],
                                     .keys = (const char *const *)config->option_keys,
                                     .values = (const char *const *)config->option_values,
                                     .n = g_strv_length(config->option_keys)};
    if (!exchange_start(change->lun, &request, exchanged, reload, &reload->error))
        undo(reload);
}

/* --- the beginning -----------------------------------------------------------------------------*/

static const Transport **known_transports(const Config *config)
{
    const Transport **known = g_new0(const Transport *, config->transports->len + 1);
    for (guint i = 0; i < config->transports->len; i++)
        known[i] = ((const ConfigTransport *)config->transports->pdata[i])->transport;
    return known;
}

static bool read_file(Reload *reload)
{
    Manager *manager = reload->manager;
    g_autofree const Transport **known = known_transports(manager->config);
    reload->config = config_load(manager->config->path, known, &reload->error);
    if (!reload->config)
        return false;
    for (char **warning = reload->config->warnings; *warning; warning++)
        g_warning("%s", *warning);
    manager_note_settings(manager);
    judge(reload);
    if (reload->complaints->len > 0)
        g_set_error(&reload->error, MANAGER_ERROR, MANAGER_ERROR_NOT_SUPPORTED, "%s",
                    reload->complaints->str);
    return !reload->error;
}

static void set_domain(GError *error, ManagerError code)
{
    if (error->domain == MANAGER_ERROR)
        return;
    error->domain = MANAGER_ERROR;
    error->code = (gint)code;
}

void reload_start(Manager *manager, ReloadDone done, void *arg)
{
    g_autoptr(GError) busy = NULL;
    if (manager->changing) {
        busy = g_error_new(MANAGER_ERROR, MANAGER_ERROR_BUSY, "another reload goes on");
        done(busy, arg);
        return;
    }
    Reload *reload = reload_new(manager, done, arg);
    manager->changing = true;
    if (!read_file(reload)) {
        set_domain(reload->error, MANAGER_ERROR_INVALID);
        manager->changing = false;
        finish(reload);
    } else if (!prepare(reload)) {
        set_domain(reload->error, MANAGER_ERROR_FAILED);
        undo(reload);
    } else {
        exchange_next(reload);
    }
}
