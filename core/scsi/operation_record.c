/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyfile of a background operation. */
#include "core/scsi/operation_record.h"

#include "core/scsi/lun_impl.h"
#include "core/scsi/lun_state.h"

#define STATE "operation"

static const char *const names[] = {
    [OPERATION_FORMAT] = "format", [OPERATION_SANITIZE] = "sanitize"};

const char *operation_name(OperationKind kind)
{
    return names[kind];
}

void operation_record_clear(OperationRecord *record)
{
    g_free((void *)record->spec.pattern);
    *record = (OperationRecord){0};
}

/* --- the pattern in hexadecimal digits -------------------------------------------------------- */

static char *to_text(const uint8_t *pattern, uint32_t len)
{
    GString *text = g_string_sized_new(2 * len);
    for (uint32_t i = 0; i < len; i++)
        g_string_append_printf(text, "%02x", pattern[i]);
    return g_string_free(text, FALSE);
}

/* False where it is none. */
static bool from_text(const char *text, OperationSpec *spec)
{
    size_t len = text ? strlen(text) : 0;
    if (len == 0 || len % 2 != 0 || strspn(text, "0123456789abcdef") != len)
        return false;
    uint8_t *pattern = g_malloc(len / 2);
    for (size_t i = 0; i < len; i += 2)
        pattern[i / 2] =
            (uint8_t)(g_ascii_xdigit_value(text[i]) << 4 | g_ascii_xdigit_value(text[i + 1]));
    spec->pattern = pattern;
    spec->pattern_len = (uint32_t)(len / 2);
    return true;
}

/* --- loading ---------------------------------------------------------------------------------- */

static bool can_go_on(const Lun *lun, const OperationRecord *record)
{
    const OperationSpec *spec = &record->spec;
    return spec->kind == OPERATION_SANITIZE && spec->pattern_len <= lun->spec.block_size &&
           record->pass < spec->passes;
}

static OperationRecord *parse(const Lun *lun, GKeyFile *file)
{
    OperationRecord *record = g_new0(OperationRecord, 1);
    OperationSpec *spec = &record->spec;
    g_autofree char *kind = g_key_file_get_string(file, STATE, "kind", NULL);
    g_autofree char *pattern = g_key_file_get_string(file, STATE, "pattern", NULL);
    bool format = g_strcmp0(kind, names[OPERATION_FORMAT]) == 0;
    spec->kind = format ? OPERATION_FORMAT : OPERATION_SANITIZE;
    spec->passes = (unsigned)g_key_file_get_integer(file, STATE, "passes", NULL);
    spec->invert = g_key_file_get_boolean(file, STATE, "invert", NULL);
    spec->unrestricted = g_key_file_get_boolean(file, STATE, "unrestricted", NULL);
    record->pass = (unsigned)g_key_file_get_integer(file, STATE, "pass", NULL);
    record->failed = g_key_file_get_boolean(file, STATE, "failed", NULL) ||
                     !from_text(pattern, spec) || !can_go_on(lun, record);
    return record;
}

bool operation_record_load(const Lun *lun, OperationRecord **record, GError **error)
{
    g_autoptr(GKeyFile) file = NULL;
    *record = NULL;
    if (!lun_state_load(lun, STATE, &file, error))
        return false;
    if (file)
        *record = parse(lun, file);
    return true;
}

/* --- saving ----------------------------------------------------------------------------------- */

static void save(const Lun *lun, GKeyFile *file, Loop *loop, StateSaved done, void *arg)
{
    if (lun->spec.state)
        lun_state_save(lun, STATE, file, loop, done, arg);
    else
        done(NULL, arg);
}

void operation_record_save(const Lun *lun, const OperationRecord *record, Loop *loop,
                           StateSaved done, void *arg)
{
    const OperationSpec *spec = &record->spec;
    g_autofree char *pattern = to_text(spec->pattern, spec->pattern_len);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_set_string(file, STATE, "kind", names[spec->kind]);
    g_key_file_set_string(file, STATE, "pattern", pattern);
    g_key_file_set_integer(file, STATE, "passes", (int)spec->passes);
    g_key_file_set_boolean(file, STATE, "invert", spec->invert);
    g_key_file_set_boolean(file, STATE, "unrestricted", spec->unrestricted);
    g_key_file_set_integer(file, STATE, "pass", (int)record->pass);
    g_key_file_set_boolean(file, STATE, "failed", record->failed);
    save(lun, file, loop, done, arg);
}

void operation_record_forget(const Lun *lun, Loop *loop, StateSaved done, void *arg)
{
    save(lun, NULL, loop, done, arg);
}
