/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bar and the running medians. */
#include "tools/report/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/report/figures.h"

#define BAR 20
/* rewrites the line from its beginning */
#define REWRITE "\r\033[K"

/* 812, 8.12k, 81.2k, 812k, 8.12M */
static char *shorten(double value)
{
    static const char *const units[] = {"", "k", "M", "G"};
    unsigned unit = 0;

    for (; value >= 999.5 && unit < G_N_ELEMENTS(units) - 1; unit++)
        value /= 1000;
    return g_strdup_printf("%.*f%s",
                           value >= 100 || !unit ? 0
                           : value >= 10         ? 1
                                                 : 2,
                           value, units[unit]);
}

char *progress_line(const ReportSection *section, double share, const char *what, unsigned width)
{
    g_autoptr(GString) line = g_string_new("[");
    double done = CLAMP(share, 0, 1);

    for (int i = 0; i < BAR; i++)
        g_string_append_c(line, i < (int)(done * BAR) ? '#' : '-');
    g_string_append_printf(line, "] %3.0f %%  %s", done * 100, what);
    for (guint i = 0; i < section->variants->len; i++) {
        const ReportVariant *variant = section->variants->pdata[i];
        ReportSpread iops = variant_spread(section, variant, slot_iops);
        g_autofree char *number = shorten(iops.median);
        if (iops.count)
            g_string_append_printf(line, "%s%s %s", i ? ", " : " | ", variant->name, number);
    }
    return g_utf8_substring(line->str, 0, MIN((glong)width, g_utf8_strlen(line->str, -1)));
}

void progress_show(const ReportSection *section, double share, const char *what)
{
    struct winsize size = {.ws_col = 80};

    if (!isatty(STDERR_FILENO))
        return;
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    g_autofree char *line =
        progress_line(section, share, what, size.ws_col > 1 ? size.ws_col - 1u : 79);
    fprintf(stderr, REWRITE "%s", line);
}

void progress_clear(void)
{
    if (isatty(STDERR_FILENO))
        fputs(REWRITE, stderr);
}
