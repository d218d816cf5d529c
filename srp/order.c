/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A command whose descriptor table is still being fetched is no task yet. What SAM orders after it
 * waits meanwhile: a task management function, which would not find it; an ordered command; and
 * everything after an ordered one. */
#include "srp/channel.h"
#include "srp/session.h"

static uint8_t opcode_of(const SrpIu *iu)
{
    return iu->buffer[iu->channel->ring.pad];
}

static void run(SrpIu *iu)
{
    if (iu->channel->state == CHANNEL_CLOSING)
        srp_ring_release(iu, true);
    else if (opcode_of(iu) == SRP_TSK_MGMT)
        srp_tsk_mgmt_receive(iu);
    else
        srp_command_receive(iu);
}

static bool is_ordered(const SrpIu *iu)
{
    return srp_command_attribute(iu->buffer + iu->channel->ring.pad, iu->len) ==
           SRP_ATTRIBUTE_ORDERED;
}

static bool must_wait(const SrpNexus *nexus, const SrpIu *iu)
{
    if (nexus->fetching == 0)
        return false;
    return nexus->fetching_ordered > 0 || opcode_of(iu) == SRP_TSK_MGMT || is_ordered(iu);
}

void srp_order_take(SrpIu *iu)
{
    SrpNexus *nexus = iu->channel->nexus;
    if (G_LIKELY(g_queue_is_empty(&nexus->held) && !must_wait(nexus, iu)))
        run(iu);
    else
        g_queue_push_tail(&nexus->held, iu);
}

void srp_order_fetching(const SrpCommand *command)
{
    SrpNexus *nexus = command->channel->nexus;
    nexus->fetching++;
    nexus->fetching_ordered += command->task.attribute == TASK_ORDERED;
}

void srp_order_fetched(const SrpCommand *command)
{
    SrpNexus *nexus = command->channel->nexus;
    if (!nexus) /* it was forgotten when the channel left */
        return;
    nexus->fetching--;
    nexus->fetching_ordered -= command->task.attribute == TASK_ORDERED;
}

void srp_order_go_on(SrpNexus *nexus)
{
    SrpIu *iu;
    while ((iu = g_queue_peek_head(&nexus->held)) && !must_wait(nexus, iu)) {
        g_queue_pop_head(&nexus->held);
        run(iu);
    }
}

void srp_order_leave(SrpChannel *channel)
{
    SrpNexus *nexus = channel->nexus;
    for (GList *l = channel->commands.busy.head; l; l = l->next) {
        const SrpCommand *command = l->data;
        if (command->fetching > 0)
            srp_order_fetched(command);
    }
    for (GList *l = nexus->held.head, *next; l; l = next) {
        SrpIu *iu = l->data;
        next = l->next;
        if (iu->channel != channel)
            continue;
        g_queue_delete_link(&nexus->held, l);
        srp_ring_release(iu, true);
    }
}
