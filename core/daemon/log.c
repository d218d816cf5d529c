/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A GLib log writer with one line per message. */
#include "core/daemon/log.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool to_journal;
static GLogLevelFlags shown;

/* $JOURNAL_STREAM names the device and inode of the stream that the journal reads
 * (systemd.exec(5)); it is inherited, so standard error may have been redirected since. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static int priority(GLogLevelFlags level)
{
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return 3;
    if (level & G_LOG_LEVEL_WARNING)
        return 4;
    if (level & G_LOG_LEVEL_MESSAGE)
        return 5;
    return level & G_LOG_LEVEL_INFO ? 6 : 7;
}

static const char *word(GLogLevelFlags level)
{
    static const char *const words[] = {
        [3] = "error: ", [4] = "warning: ", [5] = "", [6] = "", [7] = "debug: "};
    return words[priority(level)];
}

static const char *field(const GLogField *fields, gsize n, const char *key)
{
    for (gsize i = 0; i < n; i++)
        if (strcmp(fields[i].key, key) == 0)
            return fields[i].value;
    return NULL;
}

static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize n,
                                  gpointer arg)
{
    (void)arg;
    const char *text = field(fields, n, "MESSAGE");
    const char *domain = field(fields, n, "GLIB_DOMAIN");
    if (!text || !(level & shown))
        return G_LOG_WRITER_HANDLED;
    g_autofree char *prefix = to_journal ? g_strdup_printf("<%d>", priority(level)) : g_strdup("");
    bool foreign = domain && strcmp(domain, G_LOG_DOMAIN) != 0;
    g_autofree char *line =
        g_strconcat(prefix, to_journal ? "" : word(level), foreign ? domain : "",
                    foreign ? ": " : "", text, "\n", NULL);
    if (fputs(line, stderr) == EOF)
        return G_LOG_WRITER_UNHANDLED;
    return G_LOG_WRITER_HANDLED;
}

void log_start(bool verbose)
{
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ); /* lines of several threads stay whole */
    to_journal = stderr_is_journal();
    shown = G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE;
    if (verbose)
        shown |= G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG;
    g_log_set_writer_func(write_log, NULL, NULL);
}
