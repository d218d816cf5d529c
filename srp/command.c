/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SCSI commands: from the information unit to the Task, and the Task's answers back. */
#include "core/base/counter.h"
#include "core/base/links.h"
#include "srp/channel.h"
#include "srp/session.h"

#include <errno.h>

#define CDB_IN_IU 16
#define BLOCK     16

static const TaskTransport command_transport;

/* --- the pool -----------------------------------------------------------------------------------
 */

void srp_commands_init(SrpCommands *commands)
{
    *commands = (SrpCommands){.blocks = g_ptr_array_new_with_free_func(g_free)};
}

void srp_commands_deinit(SrpCommands *commands)
{
    g_assert(g_queue_is_empty(&commands->busy));
    g_ptr_array_unref(commands->blocks);
}

static void add_block(SrpCommands *commands)
{
    SrpCommand *block = g_new0(SrpCommand, BLOCK);
    g_ptr_array_add(commands->blocks, block);
    for (unsigned i = 0; i < BLOCK; i++) {
        block[i].link.data = &block[i];
        g_queue_push_tail_link(&commands->free, &block[i].link);
    }
}

/* As many as there are receives; an initiator that has more does not get here. */
static SrpCommand *command_new(SrpChannel *channel, SrpIu *iu)
{
    SrpCommands *commands = &channel->commands;
    if (g_queue_is_empty(&commands->free))
        add_block(commands);
    GList *link = commands->free.head;
    SrpCommand *command = link->data;
    links_remove(&commands->free, link);
    links_push_tail(&commands->busy, link);
    command->channel = channel;
    command->iu = iu;
    command->out_place = command->in_place = (SrpPlace){0, 0};
    command->tables[0] = command->tables[1] = NULL;
    command->fetching = 0;
    command->fetch_error = 0;
    command->forgotten = false;
    return command;
}

static void give_receive_back(SrpCommand *command)
{
    SrpIu *iu = g_steal_pointer(&command->iu);
    if (iu)
        srp_ring_release(iu, true);
}

static void free_tables(SrpCommand *command)
{
    Arena *arena = command->channel->arena;
    arena_release(arena, command->tables[0], command->out.where.len);
    arena_release(arena, command->tables[1], command->in.where.len);
    command->tables[0] = command->tables[1] = NULL;
}

static void command_free(SrpCommand *command)
{
    SrpChannel *channel = command->channel;
    SrpCommands *commands = &channel->commands;
    free_tables(command);
    give_receive_back(command);
    commands->forgotten -= command->forgotten;
    links_remove(&commands->busy, &command->link);
    links_push_head(&commands->free, &command->link);
    srp_channel_settle(channel);
}

static void forget_orphan(gpointer data, gpointer user)
{
    SrpCommand *command = data;
    SrpCommands *commands = user;
    const SrpChannel *channel = command->channel;
    if (!command->iu || command->fetching || command->task.immediate_len ||
        commands->forgotten >= channel->ring.most || !task_is_orphaned_read(&command->task))
        return;
    command->forgotten = true;
    commands->forgotten++;
    give_receive_back(command);
}

void srp_commands_forget_orphans(SrpChannel *channel)
{
    g_queue_foreach(&channel->commands.busy, forget_orphan, &channel->commands);
}

/* --- answers without a task ---------------------------------------------------------------------
 */

static void answer(SrpChannel *channel, SrpRsp *rsp, bool solicit_success, bool solicit_failure)
{
    uint8_t iu[SRP_RSP_MAX];
    rsp->credits = srp_channel_take_credits(channel);
    rsp->solicited = rsp->status == SCSI_GOOD ? solicit_success : solicit_failure;
    size_t len = srp_rsp_encode(rsp, iu);
    srp_send(channel, iu, len, rsp->solicited, NULL);
}

static void refuse(SrpChannel *channel, SrpIu *iu, uint64_t tag, bool solicit, uint8_t status)
{
    uint8_t sense[SENSE_MAX];
    SrpRsp rsp = {.tag = tag, .status = status};
    if (status == SCSI_CHECK_CONDITION) {
        rsp.sense = sense;
        rsp.sense_len = sense_build(sense, false, SENSE_INVALID_FIELD_IN_IU, NULL);
    }
    srp_ring_release(iu, true);
    answer(channel, &rsp, false, solicit);
}

static void refuse_command(SrpCommand *command, uint8_t status)
{
    SrpChannel *channel = command->channel;
    SrpIu *iu = g_steal_pointer(&command->iu);
    refuse(channel, iu, command->task.tag, command->solicit_failure, status);
    command_free(command);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static TaskAttribute task_attribute(uint8_t attribute)
{
    static const TaskAttribute attributes[8] = {
        [1] = TASK_HEAD_OF_QUEUE, [2] = TASK_ORDERED, [4] = TASK_ACA};
    return attributes[attribute];
}

static void fill_task(SrpCommand *command, const SrpCommandIu *in)
{
    Task *task = &command->task;
    task->nexus = command->channel->nexus->nexus;
    task->transport = &command_transport;
    task->tag = in->tag;
    task->lun = in->lun;
    task->attribute = task_attribute(in->attribute);
    memcpy(task->cdb, in->cdb, CDB_IN_IU);
    if (in->cdb_rest_len > 0)
        memcpy(task->cdb + CDB_IN_IU, in->cdb_rest, in->cdb_rest_len);
    task->cdb_len = CDB_IN_IU + in->cdb_rest_len;
    task->data_out_len = in->out.len;
    task->data_in_len = in->in.len;
    task->immediate = in->immediate;
    task->immediate_len = in->immediate ? in->out.len : 0;
    task->state = TASK_IDLE;
    command->out = in->out;
    command->in = in->in;
    command->solicit_success = in->solicit_success;
    command->solicit_failure = in->solicit_failure;
}

static void submit(SrpCommand *command)
{
    counter_add(&command->channel->nexus->record.commands, 1);
    task_submit(&command->task);
}

static bool needs_table(const SrpBuffer *buffer)
{
    return buffer->count > 0 && !buffer->table;
}

/* --- tables that have to be fetched -------------------------------------------------------------
 */

static bool take_table(SrpBuffer *buffer, const uint8_t *table)
{
    return !table || srp_buffer_set_table(buffer, table);
}

void srp_command_fetched(SrpCommand *command, int error)
{
    if (error != 0)
        command->fetch_error = error;
    if (--command->fetching > 0)
        return;
    SrpNexus *nexus = command->channel->nexus;
    srp_order_fetched(command);
    if (command->fetch_error != 0 || command->channel->state == CHANNEL_CLOSING)
        command_free(command);
    else if (take_table(&command->out, command->tables[0]) &&
             take_table(&command->in, command->tables[1]))
        submit(command);
    else
        refuse_command(command, SCSI_CHECK_CONDITION);
    if (nexus)
        srp_order_go_on(nexus);
}

static bool get_table(SrpCommand *command, SrpBuffer *buffer, unsigned which)
{
    if (!needs_table(buffer))
        return true;
    command->tables[which] = arena_alloc(command->channel->arena, buffer->where.len);
    return command->tables[which] != NULL;
}

static void fetch_tables(SrpCommand *command)
{
    if (!get_table(command, &command->out, 0) || !get_table(command, &command->in, 1)) {
        refuse_command(command, SCSI_BUSY); /* no memory now */
        return;
    }
    command->fetching = (command->tables[0] != NULL) + (command->tables[1] != NULL);
    srp_order_fetching(command);
    if (command->tables[0])
        srp_fetch_table(command, &command->out, command->tables[0]);
    if (command->tables[1])
        srp_fetch_table(command, &command->in, command->tables[1]);
}

/* More than anybody has use for, or memory. */
static bool is_absurd(const SrpCommandIu *in)
{
    return in->cdb_rest_len > TASK_CDB_MAX - CDB_IN_IU ||
           (needs_table(&in->out) && in->out.where.len > ARENA_BUFFER_MAX) ||
           (needs_table(&in->in) && in->in.where.len > ARENA_BUFFER_MAX);
}

static void begin(SrpIu *iu, const SrpCommandIu *in)
{
    SrpCommand *command = command_new(iu->channel, iu);
    fill_task(command, in);
    if (needs_table(&command->out) || needs_table(&command->in))
        fetch_tables(command);
    else
        submit(command);
}

void srp_command_receive(SrpIu *iu)
{
    SrpChannel *channel = iu->channel;
    SrpCommandIu in;
    SrpIuError error =
        srp_command_decode(iu->buffer + channel->ring.pad, iu->len, channel->immediate_offset, &in);
    switch (error) {
    case SRP_IU_OK:
        if (is_absurd(&in))
            refuse(channel, iu, in.tag, in.solicit_failure, SCSI_CHECK_CONDITION);
        else
            begin(iu, &in);
        return;
    case SRP_IU_INVALID:
        refuse(channel, iu, in.tag, in.solicit_failure, SCSI_CHECK_CONDITION);
        return;
    case SRP_IU_SHORT:
        srp_channel_close(channel, "a command shorter than an SRP_CMD");
        break;
    case SRP_IU_FORMAT_OUT:
        srp_channel_log_out(channel, SRP_LOGOUT_FORMAT_OUT);
        break;
    case SRP_IU_FORMAT_IN:
        srp_channel_log_out(channel, SRP_LOGOUT_FORMAT_IN);
        break;
    }
    srp_ring_release(iu, true);
}

/* --- the task's answers -------------------------------------------------------------------------
 */

static SrpResidual residual(uint64_t offered, uint64_t wanted)
{
    uint64_t difference = wanted > offered ? wanted - offered : offered - wanted;
    return (SrpResidual){.over = wanted > offered,
                         .under = wanted < offered,
                         .count = (uint32_t)MIN(difference, UINT32_MAX)};
}

static void count_bytes(const Task *task, SessionRecord *record)
{
    counter_add(&record->read_bytes, MIN(task->data_in_wanted, task->data_in_len));
    counter_add(&record->write_bytes, MIN(task->data_out_wanted, task->data_out_len));
}

/* The receive goes back before the response, which tells the initiator of it. */
static void command_respond(Task *task, DataMove *last)
{
    SrpCommand *command = srp_command_of(task);
    SrpChannel *channel = command->channel;
    if (channel->state == CHANNEL_CLOSING) {
        if (last)
            srp_orphan(channel, last);
        return;
    }
    SrpRsp rsp = {.tag = task->tag,
                  .status = task->status,
                  .out = residual(task->data_out_len, task->data_out_wanted),
                  .in = residual(task->data_in_len, task->data_in_wanted),
                  .sense = task->sense,
                  .sense_len = task->sense_len};
    rsp.solicited = task->status == SCSI_GOOD ? command->solicit_success : command->solicit_failure;
    count_bytes(task, &channel->nexus->record);
    if (last && last->len > 0)
        srp_move_data(command, last, IBV_WR_RDMA_WRITE, false);
    give_receive_back(command);
    rsp.credits = srp_channel_take_credits(channel);
    uint8_t iu[SRP_RSP_MAX];
    size_t len = srp_rsp_encode(&rsp, iu);
    srp_send(channel, iu, len, rsp.solicited, last);
}

static void command_released(Task *task)
{
    command_free(srp_command_of(task));
}

static const TaskTransport command_transport = {
    .put_data = srp_put_data,
    .get_data = srp_get_data,
    .cancel = srp_cancel,
    .respond = command_respond,
    .released = command_released,
};
