/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Line by line, as the keyfile was written by somebody. */
#include "core/daemon/config_edit.h"

#include <string.h>

/* --- differences -------------------------------------------------------------------------------*/

static void free_difference(void *arg)
{
    ConfigDifference *difference = arg;
    g_free(difference->group);
    g_free(difference->key);
    g_free(difference);
}

static void note(GPtrArray *out, const char *group, const char *key, gboolean in_old,
                 gboolean in_new)
{
    ConfigDifference *difference = g_new(ConfigDifference, 1);
    *difference = (ConfigDifference){g_strdup(group), g_strdup(key), in_old, in_new};
    g_ptr_array_add(out, difference);
}

/* NULL: not there. Blanks at the ends mean nothing. */
static char *value_of(GKeyFile *file, const char *group, const char *key)
{
    char *value = g_key_file_get_value(file, group, key, NULL);
    return value ? g_strstrip(value) : NULL;
}

static void compare_group(GPtrArray *out, GKeyFile *before, GKeyFile *now, const char *group)
{
    g_auto(GStrv) keys = g_key_file_get_keys(now, group, NULL, NULL);
    for (char **key = keys; *key; key++) {
        g_autofree char *old = value_of(before, group, *key), *new = value_of(now, group, *key);
        if (g_strcmp0(old, new) != 0)
            note(out, group, *key, old != NULL, TRUE);
    }
    g_auto(GStrv) old_keys = g_key_file_get_keys(before, group, NULL, NULL);
    for (char **key = old_keys; *key; key++)
        if (!g_key_file_has_key(now, group, *key, NULL))
            note(out, group, *key, TRUE, FALSE);
}

GPtrArray *config_difference(GKeyFile *before, GKeyFile *now)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(free_difference);
    g_auto(GStrv) groups = g_key_file_get_groups(now, NULL);
    for (char **group = groups; *group; group++) {
        if (g_key_file_has_group(before, *group))
            compare_group(out, before, now, *group);
        else
            note(out, *group, NULL, FALSE, TRUE);
    }
    g_auto(GStrv) old_groups = g_key_file_get_groups(before, NULL);
    for (char **group = old_groups; *group; group++)
        if (!g_key_file_has_group(now, *group))
            note(out, *group, NULL, TRUE, FALSE);
    return out;
}

/* --- editing -----------------------------------------------------------------------------------*/

typedef struct {
    GKeyFile *now;
    GPtrArray *out;      /* char *, lines */
    GHashTable *groups;  /* names seen in the text */
    char *group;         /* where the pass is; NULL: before the first */
    gboolean kept;       /* the group is in `now` */
    GHashTable *written; /* its keys that are in `out` */
    guint end;           /* index in `out` behind its last key */
} Edit;

static void put(Edit *edit, char *line)
{
    g_ptr_array_add(edit->out, line);
}

static char *key_line(GKeyFile *file, const char *group, const char *key)
{
    g_autofree char *value = value_of(file, group, key);
    return g_strdup_printf("%s=%s", key, value);
}

static void end_group(Edit *edit)
{
    g_auto(GStrv) keys =
        edit->kept ? g_key_file_get_keys(edit->now, edit->group, NULL, NULL) : NULL;
    for (char **key = keys; key && *key; key++)
        if (!g_hash_table_contains(edit->written, *key))
            g_ptr_array_insert(edit->out, (gint)edit->end++,
                               key_line(edit->now, edit->group, *key));
    g_hash_table_remove_all(edit->written);
    g_clear_pointer(&edit->group, g_free);
    edit->kept = FALSE;
}

static void begin_group(Edit *edit, const char *line, const char *stripped)
{
    end_group(edit);
    edit->group = g_strndup(stripped + 1, strlen(stripped) - 2);
    edit->kept = g_key_file_has_group(edit->now, edit->group);
    g_hash_table_add(edit->groups, g_strdup(edit->group));
    if (edit->kept)
        put(edit, g_strdup(line));
    edit->end = edit->out->len;
}

static void edit_key(Edit *edit, const char *line)
{
    g_auto(GStrv) pair = g_strsplit(line, "=", 2);
    const char *key = g_strstrip(pair[0]);
    g_autofree char *value = edit->kept ? value_of(edit->now, edit->group, key) : NULL;
    if (!value)
        return;
    gboolean same = pair[1] && strcmp(g_strstrip(pair[1]), value) == 0;
    put(edit, same ? g_strdup(line) : key_line(edit->now, edit->group, key));
    g_hash_table_add(edit->written, g_strdup(key));
    edit->end = edit->out->len;
}

static void edit_line(Edit *edit, const char *line)
{
    g_autofree char *stripped = g_strstrip(g_strdup(line));
    if (*stripped == '[')
        begin_group(edit, line, stripped);
    else if (*stripped == '\0' || *stripped == '#')
        put(edit, g_strdup(line));
    else
        edit_key(edit, line);
}

static void append_new_groups(Edit *edit)
{
    g_auto(GStrv) groups = g_key_file_get_groups(edit->now, NULL);
    for (char **group = groups; *group; group++) {
        if (g_hash_table_contains(edit->groups, *group))
            continue;
        if (edit->out->len > 0)
            put(edit, g_strdup(""));
        put(edit, g_strdup_printf("[%s]", *group));
        g_auto(GStrv) keys = g_key_file_get_keys(edit->now, *group, NULL, NULL);
        for (char **key = keys; *key; key++)
            put(edit, key_line(edit->now, *group, *key));
    }
}

char *config_edit(const char *text, GKeyFile *now)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) written = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Edit edit = {.now = now, .out = out, .groups = groups, .written = written};
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint n = g_strv_length(lines);
    if (n > 0 && *lines[n - 1] == '\0') /* what is behind the last line feed */
        n--;
    for (guint i = 0; i < n; i++)
        edit_line(&edit, lines[i]);
    end_group(&edit);
    append_new_groups(&edit);
    put(&edit, g_strdup(""));
    put(&edit, NULL);
    return g_strjoinv("\n", (char **)out->pdata);
}
