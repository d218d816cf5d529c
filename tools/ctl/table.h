/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text in columns. */
#pragma once

#include <glib.h>

typedef struct Table Table;

/* One heading per column; a heading that begins with '>' is a column of numbers, set to the right.
 * NULL-terminated; NULL alone: no heading line. */
Table *table_new(guint columns, const char *const *headings);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* The next cell, front to back; taken with g_free() later. */
void table_add(Table *table, char *cell);
void table_add_number(Table *table, guint64 number);
/* Whole lines, without blanks at their ends; g_free(). */
char *table_print(const Table *table);
