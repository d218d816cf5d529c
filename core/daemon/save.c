/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs from the start, noted by key, and edited into the file's text. */
#include "core/daemon/save.h"

#include "core/daemon/config_edit.h"
#include "core/daemon/exchange.h"
#include "core/daemon/manager_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void note_key(GKeyFile *settings, const char *group, const char *key, const char *value,
                     const char *otherwise)
{
    g_autofree char *now = g_key_file_get_string(settings, group, key, NULL);
    if (strcmp(value, now ? g_strchomp(now) : otherwise) == 0)
        return;
    if (*value)
        g_key_file_set_string(settings, group, key, value);
    else
        g_key_file_remove_key(settings, group, key, NULL);
}

static bool same_strings(const char *const *a, char *const *b)
{
    return g_strv_equal(a, (const char *const *)b);
}

static char *join_options(const ExchangeRequest *chosen)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < chosen->n; i++)
        g_string_append_printf(text, "%s%s=%s", i ? ";" : "", chosen->keys[i], chosen->values[i]);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void note_lun(GKeyFile *settings, const ExportLun *lun)
{
    const ConfigLun *config = lun->config;
    const ExchangeRequest chosen = exchange_chosen(lun);
    note_key(settings, config->group, "engine", chosen.engine, aio_engines[0]->name);
    if (config->spec.path)
        note_key(settings, config->group, "mode", chosen.mode, config_modes[AIO_BUFFERED]);
    if (same_strings(chosen.keys, config->option_keys) &&
        same_strings(chosen.values, config->option_values))
        return;
    g_autofree char *options = join_options(&chosen);
    note_key(settings, config->group, "engine-options", options, "");
}

static void note_port_groups(GKeyFile *settings, const Export *export)
{
    const GPtrArray *groups = export_config(export)->port_groups;
    for (guint i = 0; i < groups->len; i++) {
        const ConfigPortGroup *config = groups->pdata[i];
        AluaState state;
        if (alua_get_state(scsi_target_alua(export_scsi(export)), config->spec.id, &state))
            note_key(settings, config->group, "state", config_alua_state_name(state),
                     config_alua_state_name(ALUA_OPTIMIZED));
    }
}

void manager_note_settings(Manager *manager)
{
    for (guint i = 0; i < manager->exports->len; i++) {
        const GPtrArray *luns = export_luns(manager->exports->pdata[i]);
        note_port_groups(manager->settings, manager->exports->pdata[i]);
        for (guint k = 0; k < luns->len; k++)
            note_lun(manager->settings, luns->pdata[k]);
    }
}

static bool replace_file(const char *path, const char *text, GError **error)
{
    struct stat st;
    g_autofree char *real = realpath(path, NULL);
    int mode = stat(path, &st) == 0 ? (int)(st.st_mode & 0777) : 0600;
    return g_file_set_contents_full(real ? real : path, text, -1,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                    mode, error);
}

bool save_settings(Manager *manager, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *text = NULL;
    const char *path = manager->config->path;
    manager_note_settings(manager);
    if (!g_file_get_contents(path, &text, NULL, &failure) &&
        !g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_FAILED, "%s", failure->message);
        return false;
    }
    g_clear_error(&failure);
    g_autofree char *edited = config_edit(text ? text : "", manager->settings);
    if (!replace_file(path, edited, &failure)) {
        g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_FAILED, "%s", failure->message);
        return false;
    }
    g_message("%s: saved", path);
    return true;
}
