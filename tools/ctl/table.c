/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Columns as wide as their widest cell, in characters. */
#include "tools/ctl/table.h"

#define GAP 2

struct Table {
    guint columns;
    gboolean *right; /* columns of numbers */
    GPtrArray *cells;
};

Table *table_new(guint columns, const char *const *headings)
{
    Table *table = g_new0(Table, 1);
    table->columns = columns;
    table->right = g_new0(gboolean, columns);
    table->cells = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; headings && headings[i]; i++) {
        table->right[i] = headings[i][0] == '>';
        table_add(table, g_strdup(headings[i] + (table->right[i] ? 1 : 0)));
    }
    return table;
}

void table_free(Table *table)
{
    if (!table)
        return;
    g_free(table->right);
    g_ptr_array_unref(table->cells);
    g_free(table);
}

void table_add(Table *table, char *cell)
{
    g_ptr_array_add(table->cells, cell);
}

void table_add_number(Table *table, guint64 number)
{
    table_add(table, g_strdup_printf("%" G_GUINT64_FORMAT, number));
}

static glong width_of(const Table *table, guint column)
{
    glong width = 0;
    for (guint i = column; i < table->cells->len; i += table->columns)
        width = MAX(width, g_utf8_strlen(table->cells->pdata[i], -1));
    return width;
}

static void append_blanks(GString *line, glong n)
{
    for (; n > 0; n--)
        g_string_append_c(line, ' ');
}

static void append_cell(GString *line, const char *cell, glong width, gboolean right)
{
    glong padding = width - g_utf8_strlen(cell, -1);
    if (right)
        append_blanks(line, padding);
    g_string_append(line, cell);
    if (!right)
        append_blanks(line, padding);
}

char *table_print(const Table *table)
{
    g_autofree glong *widths = g_new(glong, table->columns);
    for (guint i = 0; i < table->columns; i++)
        widths[i] = width_of(table, i);
    GString *out = g_string_new(NULL);
    g_autoptr(GString) line = g_string_new(NULL);
    for (guint i = 0; i < table->cells->len; i++) {
        guint column = i % table->columns;
        append_cell(line, table->cells->pdata[i], widths[column], table->right[column]);
        append_blanks(line, GAP);
        if (column + 1 < table->columns)
            continue;
        g_string_append_printf(out, "%s\n", g_strchomp(line->str));
        g_string_truncate(line, 0);
    }
    return g_string_free(out, FALSE);
}
