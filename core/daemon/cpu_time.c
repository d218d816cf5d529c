/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engines' share is what the other threads have not used: those stay, workers come and go. */
#include "core/daemon/cpu_time.h"

#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0)
        return 0; /* the thread has just ended */
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* What pthread_getcpuclockid() makes of a thread: the kernel's CPUCLOCK_SCHED | per thread. */
static clockid_t clock_of_thread(int tid)
{
    return (clockid_t)(~(unsigned)tid << 3 | 6);
}

static bool is_of_engine(const char *tid)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", tid);
    g_autofree char *name = NULL;
    return g_file_get_contents(path, &name, NULL, NULL) &&
           (g_str_has_prefix(name, "rtgt-worker") || g_str_has_prefix(name, "iou-"));
}

void cpu_time_get(CpuTime *out)
{
    g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
    const char *tid;
    uint64_t others = 0;
    while (tasks && (tid = g_dir_read_name(tasks)))
        if (!is_of_engine(tid))
            others += read_clock(clock_of_thread(atoi(tid)));
    out->process = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    out->engines = tasks && out->process > others ? out->process - others : 0;
}
