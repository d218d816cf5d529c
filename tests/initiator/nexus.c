/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which protocol it is, and waiting. */
#include "tests/initiator/nexus.h"

#include "tests/initiator/channel.h"
#include "tests/initiator/session.h"

Nexus *nexus_open(const NexusOptions *options, GError **error)
{
    return options->url->ops ? session_open_nexus(options, error)
                             : channel_open_nexus(options, error);
}

void nexus_free(Nexus *nexus)
{
    if (nexus)
        nexus->ops->free(nexus);
}

uint8_t *nexus_memory(Nexus *nexus)
{
    return nexus->ops->memory(nexus);
}

bool nexus_turn(Nexus *nexus, int timeout_ms)
{
    return nexus->ops->turn(nexus, timeout_ms);
}

bool nexus_turn_until(Nexus *nexus, const bool *flag, int timeout_ms)
{
    gint64 end = g_get_monotonic_time() + timeout_ms * (gint64)1000;

    while (!*flag) {
        gint64 left = end - g_get_monotonic_time();

        if (left <= 0 || !nexus_turn(nexus, (int)(left / 1000) + 1))
            return *flag;
    }
    return true;
}

void nexus_submit(Nexus *nexus, Task *task)
{
    nexus->ops->submit(nexus, task);
}

bool nexus_run(Nexus *nexus, Task *task, int timeout_ms)
{
    nexus_submit(nexus, task);
    if (!nexus_turn_until(nexus, &task->finished, timeout_ms)) {
        if (!task->finished)
            nexus->ops->give_up(nexus, task);
        return false;
    }
    return !task->lost;
}

bool nexus_manage(Nexus *nexus, uint64_t lun, int timeout_ms)
{
    return nexus->ops->manage(nexus, lun, timeout_ms);
}

bool nexus_log_out(Nexus *nexus, int timeout_ms)
{
    return nexus->ops->log_out(nexus, timeout_ms);
}
