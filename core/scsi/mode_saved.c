/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mode parameters as a keyfile in the state directory. */
#include "core/scsi/mode_saved.h"

#include "core/scsi/lun_state.h"
#include "core/scsi/mode_pages.h"
#include "core/scsi/task_impl.h"

#define GROUP "modes"

static const struct {
    const char *key;
    size_t at; /* in ModeValues */
} keys[] = {
    {"write-cache", offsetof(ModeValues, write_cache)},
    {"descriptor-sense", offsetof(ModeValues, descriptor_sense)},
    {"software-write-protect", offsetof(ModeValues, software_write_protect)},
};

static bool *member(ModeValues *values, unsigned i)
{
    return (bool *)((char *)values + keys[i].at);
}

ModeValues mode_values(const Lun *lun, ModeControl control)
{
    if (control == MODE_CURRENT)
        return (ModeValues){.write_cache = lun_flag(&lun->write_cache),
                            .descriptor_sense = lun_flag(&lun->descriptor_sense),
                            .software_write_protect = lun_flag(&lun->software_write_protect)};
    if (control == MODE_SAVED)
        return (ModeValues){.write_cache = lun_flag(&lun->saved_modes.write_cache),
                            .descriptor_sense = lun_flag(&lun->saved_modes.descriptor_sense),
                            .software_write_protect =
                                lun_flag(&lun->saved_modes.software_write_protect)};
    return (ModeValues){.write_cache = lun->spec.write_cache};
}

bool mode_values_equal(ModeValues a, ModeValues b)
{
    return a.write_cache == b.write_cache && a.descriptor_sense == b.descriptor_sense &&
           a.software_write_protect == b.software_write_protect;
}

bool mode_can_save(const Lun *lun)
{
    return lun->spec.state != NULL;
}

static void set_saved(Lun *lun, ModeValues values)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        __atomic_store_n(member(&lun->saved_modes, i), *member(&values, i), __ATOMIC_RELAXED);
}

bool mode_load_saved(Lun *lun, GError **error)
{
    GError *damage = NULL;
    ModeValues values = mode_values(lun, MODE_DEFAULT);
    g_autoptr(GKeyFile) file = NULL;
    if (!lun_state_load(lun, GROUP, &file, error))
        return false;
    for (unsigned i = 0; file && i < G_N_ELEMENTS(keys) && !damage; i++)
        *member(&values, i) = g_key_file_get_boolean(file, GROUP, keys[i].key, &damage);
    if (damage) {
        g_propagate_prefixed_error(error, damage, "saved modes: ");
        return false;
    }
    set_saved(lun, values);
    lun->write_cache = values.write_cache;
    lun->descriptor_sense = values.descriptor_sense;
    lun->software_write_protect = values.software_write_protect;
    return true;
}

bool mode_restore_saved(Lun *lun)
{
    ModeValues before = mode_values(lun, MODE_CURRENT), values = mode_values(lun, MODE_SAVED);
    mode_apply(lun, &before, &values);
    if (!mode_values_equal(before, values))
        lun_attention(lun, SENSE_MODE_PARAMETERS_CHANGED, NULL);
    return before.write_cache && !values.write_cache && !lun->spec.read_only;
}

typedef struct {
    Task *task;
    ModeValues values;
} Saving;

static void saved(const GError *error, void *arg)
{
    Saving *saving = arg;
    Task *task = saving->task;
    if (error) /* told in the log by lun_state_save() */
        task_fail_if_running(task, SENSE_INTERNAL_TARGET_FAILURE);
    else {
        set_saved(task_lun(task), saving->values);
        if (task->state == TASK_RUNNING)
            task_complete(task, NULL);
    }
    task_unbusy(task);
    g_free(saving);
}

void mode_save_and_complete(Task *task)
{
    Lun *lun = task_lun(task);
    Saving *saving = g_new0(Saving, 1);
    *saving = (Saving){.task = task, .values = mode_values(lun, MODE_CURRENT)};
    g_autoptr(GKeyFile) file = g_key_file_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        g_key_file_set_boolean(file, GROUP, keys[i].key, *member(&saving->values, i));
    task->busy++;
    lun_state_save(lun, GROUP, file, task->itl->shard->loop, saved, saving);
}
