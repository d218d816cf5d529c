/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyfiles of a LUN. */
#include "core/scsi/lun_state.h"

#include "core/scsi/lun_impl.h"

static char *file_name(const Lun *lun, const char *kind)
{
    return g_strdup_printf("lun-%016" G_GINT64_MODIFIER "x.%s", lun->spec.naa, kind);
}

bool lun_state_load(const Lun *lun, const char *kind, GKeyFile **file, GError **error)
{
    *file = NULL;
    if (!lun->spec.state)
        return true;
    GError *failure = NULL;
    g_autofree char *name = file_name(lun, kind);
    g_autoptr(GBytes) bytes = state_dir_load(lun->spec.state, name, &failure);
    g_autoptr(GKeyFile) loaded = g_key_file_new();
    if (bytes && g_key_file_load_from_bytes(loaded, bytes, G_KEY_FILE_NONE, &failure))
        *file = g_steal_pointer(&loaded);
    if (!failure)
        return true;
    g_propagate_prefixed_error(error, failure, "%s: ", name);
    return false;
}

typedef struct {
    char *name;
    StateSaved done;
    void *arg;
} Saving;

static void saved(const GError *error, void *arg)
{
    Saving *saving = arg;
    if (error)
        g_warning("state directory: %s: %s", saving->name, error->message);
    saving->done(error, saving->arg);
    g_free(saving->name);
    g_free(saving);
}

void lun_state_save(const Lun *lun, const char *kind, GKeyFile *file, Loop *loop, StateSaved done,
                    void *arg)
{
    Saving *saving = g_new0(Saving, 1);
    *saving = (Saving){.name = file_name(lun, kind), .done = done, .arg = arg};
    g_autoptr(GBytes) bytes = NULL;
    if (file) {
        gsize len;
        char *text = g_key_file_to_data(file, &len, NULL);
        bytes = g_bytes_new_take(text, len);
    }
    state_dir_save(lun->spec.state, saving->name, bytes, loop, saved, saving);
}
