/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a test program again with the software RDMA device preloaded, strict: a complaint of it
 * about a programming error fails the program. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOFTVERBS_LIBRARY "tools/softverbs/.libs/libsoftverbs.so"
#define SOFTVERBS_INSIDE  "RTGT_TEST_SOFTVERBS"

static bool softverbs_is_complaint(const char *line, const char *const *provoked)
{
    for (unsigned i = 0; provoked[i]; i++)
        if (strstr(line, provoked[i]))
            return false;
    return g_str_has_prefix(line, "softverbs");
}

/* Copies the child's stderr; true when the device complained of what was not provoked. */
static bool softverbs_watch(int fd, const char *const *provoked)
{
    bool complained = false;
    char *line = NULL;
    size_t size = 0;
    FILE *from = fdopen(fd, "r");
    while (getline(&line, &size, from) > 0) {
        complained |= softverbs_is_complaint(line, provoked);
        fputs(line, stderr);
    }
    free(line);
    fclose(from);
    return complained;
}

static void softverbs_exec(char **argv, const char *dir, const char *faults, int log)
{
    dup2(log, STDERR_FILENO);
    setenv("LD_PRELOAD", SOFTVERBS_LIBRARY, 1);
    setenv("SOFTVERBS_STRICT", "1", 1);
    setenv("SOFTVERBS_POISON", "1", 1);
    setenv("SOFTVERBS_DIR", dir, 1);
    setenv("SOFTVERBS_FAULT_FILE", faults, 1);
    setenv(SOFTVERBS_INSIDE, "1", 1);
    execv("/proc/self/exe", argv);
    _exit(127);
}

static void softverbs_remove(const char *dir)
{
    const char *name;
    GDir *open = g_dir_open(dir, 0, NULL);
    while (open && (name = g_dir_read_name(open))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    if (open)
        g_dir_close(open);
    g_rmdir(dir);
}

/* True: this is the process with the device; go on. False: *status is what main should return.
 * provoked: parts of the complaints that the tests cause on purpose; NULL-terminated. */
static bool softverbs_begin(char **argv, const char *const *provoked, int *status)
{
    if (getenv(SOFTVERBS_INSIDE))
        return true;
    *status = 77;
    if (access(SOFTVERBS_LIBRARY, R_OK) != 0) {
        puts("skipped: " SOFTVERBS_LIBRARY " is not built");
        return false;
    }
    int log[2];
    g_autofree char *dir = g_dir_make_tmp("rtgt-test-XXXXXX", NULL);
    g_autofree char *faults = g_build_filename(dir, "faults", NULL);
    if (!dir || pipe(log) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        close(log[0]);
        softverbs_exec(argv, dir, faults, log[1]);
    }
    close(log[1]);
    bool complained = softverbs_watch(log[0], provoked);
    int ended = 0;
    waitpid(child, &ended, 0);
    softverbs_remove(dir);
    *status = complained || !WIFEXITED(ended) ? 1 : WEXITSTATUS(ended);
    if (complained)
        puts("the device complained of programming errors");
    return false;
}
