/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU time of the process, and what of it the engines' own threads have used. */
#pragma once

#include <stdint.h>

/* Nanoseconds since the start; of threads that have ended, too. Engines' threads are the workers of
 * aio/ and those that the kernel has for io_uring. */
typedef struct {
    uint64_t process, engines;
} CpuTime;

/* Reads /proc; where that is not there, all but the process counts as 0. MT-SAFE. */
void cpu_time_get(CpuTime *out);
