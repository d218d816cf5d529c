/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counting of log lines. */
#include "core/base/log_limit.h"

bool log_limit_admits(LogLimit *limit, int64_t now, unsigned *kept)
{
    pthread_mutex_lock(&limit->lock);
    if (now - limit->since >= limit->period_us || limit->lines == 0) {
        limit->since = now;
        limit->lines = 0;
    }
    bool admitted = limit->lines < limit->burst;
    if (admitted) {
        limit->lines++;
        *kept = limit->kept;
        limit->kept = 0;
    } else {
        limit->kept++;
    }
    pthread_mutex_unlock(&limit->lock);
    return admitted;
}
