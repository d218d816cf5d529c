/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Channels, transfers and the witness of the protocol tests of SRP. */
#include "tests/initiator/protocol-srp.h"

#include <string.h>

#define WITNESS_LBA 0
#define WITNESS_LEN 65536
#define BLOCK       512

static uint32_t numbers;

static bool lenient(void)
{
    return g_getenv("RTGT_LENIENT") != NULL;
}

uint32_t srp_new_number(void)
{
    return ++numbers;
}

void srp_options(ChannelOptions *options)
{
    g_autoptr(GError) error = NULL;

    if (!channel_options_init(options, protocol_url, &error))
        fail_msg("%s", error->message);
    options->arena = SRP_ARENA;
    options->depth = PROTOCOL_DEPTH;
    options->quiet = lenient();
    put_be32(options->initiator, srp_new_number());
}

Channel *srp_open(const ChannelOptions *options)
{
    g_autoptr(GError) error = NULL;
    ChannelOptions usual;
    ScsiCapacity capacity;
    Channel *channel;

    srp_options(&usual);
    channel = channel_open(options ? options : &usual, NULL, &error);
    if (!channel || !scsi_wait_ready(&channel->base, protocol_url->lun, &capacity, &error)) {
        channel_free(channel);
        fail_msg("%s", error->message);
    }
    assert_int_equal(capacity.block_size, BLOCK);
    return channel;
}

Channel *srp_open_rogue(void)
{
    Channel *channel = srp_open(NULL);

    channel->options.quiet = true;
    return channel;
}

void srp_close(Channel *channel)
{
    bool agreed = channel_log_out(channel, PATIENCE_MS);
    unsigned violations = channel->base.violations;

    channel_free(channel);
    assert_true(agreed);
    if (!lenient())
        assert_int_equal(violations, 0);
}

uint32_t srp_rejected(const ChannelOptions *options)
{
    ChannelReply reply;
    Channel *channel = channel_open(options, &reply, NULL);

    channel_free(channel);
    assert_null(channel);
    assert_int_equal(reply.opcode, SRP_LOGIN_REJ);
    return reply.reason;
}

uint8_t *srp_memory(Channel *channel)
{
    return nexus_memory(&channel->base);
}

void srp_transfer(Channel *channel, Task *task, bool write, uint64_t lba, uint32_t len)
{
    *task = (Task){0};
    scsi_transfer(task, protocol_url->lun, write, lba, len / BLOCK, BLOCK, false,
                  srp_memory(channel));
}

Outcome srp_finish(Channel *channel, Task *task, Request *request)
{
    channel_send(channel, request);
    nexus_turn_until(&channel->base, &task->finished, PATIENCE_MS);
    if (channel->base.error)
        return OUTCOME_CLOSED;
    if (!task->finished)
        return OUTCOME_NOTHING;
    return task->status || task->response ? OUTCOME_STATUS : OUTCOME_GOOD;
}

Outcome srp_run(Channel *channel, Task *task, RequestForm form)
{
    return srp_finish(channel, task, channel_prepare(channel, task, form));
}

void srp_clear_attentions(Channel *channel)
{
    assert_true(scsi_clear_attentions(&channel->base, protocol_url->lun, NULL));
}

void srp_write_read(Channel *channel, uint64_t lba, uint32_t len, RequestForm form)
{
    uint32_t seed = srp_new_number();
    uint8_t *memory = srp_memory(channel);
    Task task;

    protocol_pattern(memory, len, seed);
    srp_transfer(channel, &task, true, lba, len);
    assert_int_equal(srp_run(channel, &task, form), OUTCOME_GOOD);
    assert_int_equal(task.residual, 0);
    memset(memory, 0xee, len + 1);
    srp_transfer(channel, &task, false, lba, len);
    assert_int_equal(srp_run(channel, &task, form), OUTCOME_GOOD);
    assert_int_equal(task.residual, 0);
    assert_true(protocol_is_pattern(memory, len, seed));
    assert_int_equal(memory[len], 0xee);
}

void srp_await_credits(Channel *channel)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_MS * (gint64)1000;

    while (channel->credits < channel->reply.credits && g_get_monotonic_time() < end &&
           channel_turn(channel, 20))
        ;
    assert_true(channel->credits >= channel->reply.credits);
}

int srp_setup(void **state)
{
    *state = srp_open(NULL);
    return 0;
}

int srp_teardown(void **state)
{
    Channel *fresh = srp_open(NULL);

    srp_clear_attentions(*state);
    srp_write_read(*state, WITNESS_LBA, WITNESS_LEN, REQUEST_MIXED);
    srp_clear_attentions(fresh);
    srp_write_read(fresh, WITNESS_LBA, WITNESS_LEN, REQUEST_MIXED);
    srp_close(fresh);
    srp_close(*state);
    return 0;
}

int protocol_srp_tests(void)
{
    int failed = 0;

    if (g_getenv("RTGT_IDLE"))
        return protocol_srp_idle_tests() == 1;
    failed |= protocol_srp_login_tests() == 1;
    failed |= protocol_srp_data_tests() == 1;
    failed |= protocol_srp_manage_tests() == 1;
    failed |= protocol_srp_bad_tests() == 1;
    return failed;
}
