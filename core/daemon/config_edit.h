/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How two keyfiles differ, and changing one on paper as little as possible. */
#pragma once

#include <glib.h>

/* A key, or with key NULL a whole group, that is not the same in both. */
typedef struct {
    char *group, *key;
    gboolean in_old, in_new;
} ConfigDifference;

/* GPtrArray of ConfigDifference, g_ptr_array_unref(): in the order of `now`, then what is only in
 * `before`. */
GPtrArray *config_difference(GKeyFile *before, GKeyFile *now);

/* The text of a keyfile with its groups and keys as `now` has them: lines that say the same stay as
 * they are, comments all, and what is new stands at the end of its group or of the text. g_free().
 */
char *config_edit(const char *text, GKeyFile *now);
