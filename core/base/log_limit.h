/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A bound on lines in the log that strangers can cause. MT-SAFE. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Up to `burst` lines in any period of `period_us`, which begins with its first line. */
typedef struct {
    unsigned burst;
    int64_t period_us;
    pthread_mutex_t lock;
    int64_t since; /* the rest is under the lock */
    unsigned lines, kept;
} LogLimit;

#define LOG_LIMIT_INIT(lines_, seconds)                             \
    {                                                               \
        .burst = (lines_), .period_us = (seconds)*INT64_C(1000000), \
        .lock = PTHREAD_MUTEX_INITIALIZER                           \
    }

/* Whether a line may be written now (monotonic microseconds); *kept: how many were not since the
 * last that was. */
bool log_limit_admits(LogLimit *limit, int64_t now, unsigned *kept);
