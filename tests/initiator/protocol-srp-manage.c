/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: task management, credits and requests of the target over SRP (SRP r16a sections
 * 4.6, 6.7, 6.10-6.13). */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol-srp.h"

#include <stdlib.h>

#define LBA     16384
#define WRITES  16
#define WRITTEN 262144U

static uint8_t manage(Channel *channel, uint8_t function, uint64_t lun, uint64_t subject)
{
    Task task;

    channel_manage(&task, function, lun, subject);
    task.solicit = SRP_SCSOLNT;
    assert_int_not_equal(srp_run(channel, &task, REQUEST_DIRECT), OUTCOME_NOTHING);
    assert_false(task.lost);
    return task.response;
}

static void test_functions(void **state)
{
    static const uint8_t known[] = {SRP_ABORT_TASK, SRP_ABORT_TASK_SET, SRP_CLEAR_TASK_SET,
                                    SRP_LUN_RESET};
    static const uint8_t unknown[] = {0x03, 0x10, 0x80, 0xff};
    Channel *channel = srp_open(NULL);
    uint64_t lun = protocol_url->lun;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        assert_int_equal(manage(channel, known[i], lun, 12345), SRP_NO_FAILURE);
    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
        assert_int_equal(manage(channel, unknown[i], lun, 0), SRP_FUNCTION_NOT_SUPPORTED);
    assert_int_equal(manage(channel, SRP_CLEAR_ACA, lun, 0), SRP_FUNCTION_NOT_SUPPORTED);
    assert_int_equal(manage(channel, SRP_LUN_RESET, 200, 0), SRP_FIELDS_INVALID);
    srp_clear_attentions(channel);
    srp_write_read(channel, LBA, 4096, REQUEST_DIRECT);
    srp_await_credits(channel);
    srp_close(channel);
}

/* Once the function is answered, what it aborted says no more, and its credits come back. */
static void abort_writes(uint8_t function, RequestForm form, Channel *channel, Channel *manager)
{
    Task writes[WRITES];
    bool one = function == SRP_ABORT_TASK;

    for (unsigned i = 0; i < WRITES; i++) {
        srp_transfer(channel, &writes[i], true, LBA + i * 512, WRITTEN);
        channel_send(channel, channel_prepare(channel, &writes[i], form));
    }
    assert_int_equal(manage(manager, function, protocol_url->lun, one ? writes[WRITES - 1].tag : 0),
                     SRP_NO_FAILURE);
    /* What was sent before the answer is here now, or comes next when it is another channel's. */
    for (unsigned i = 0; manager != channel && i < 4; i++)
        channel_turn(channel, 50);
    for (unsigned i = one ? WRITES - 1 : 0; i < WRITES; i++)
        if (!writes[i].finished)
            channel->base.ops->give_up(&channel->base, &writes[i]);
    for (unsigned i = 0; i < WRITES; i++)
        assert_true(nexus_turn_until(&channel->base, &writes[i].finished, PATIENCE_MS));
    srp_clear_attentions(channel);
    srp_await_credits(channel);
    srp_write_read(channel, LBA, 65536, REQUEST_TABLE);
}

static void test_aborts(void **state)
{
    static const uint8_t functions[] = {SRP_ABORT_TASK, SRP_ABORT_TASK_SET, SRP_CLEAR_TASK_SET,
                                        SRP_LUN_RESET};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
        for (RequestForm form = REQUEST_DIRECT; form < REQUEST_MIXED; form++) {
            Channel *channel = srp_open(NULL);

            abort_writes(functions[i], form, channel, channel);
            srp_close(channel);
        }
}

/* As Linux does it: the function comes on another channel than the tasks. */
static void test_aborts_across_channels(void **state)
{
    ChannelOptions options;
    Channel *channel, *manager;

    (void)state;
    srp_options(&options);
    options.flags |= SRP_MULTICHANNEL;
    manager = srp_open(&options);
    channel = srp_open(&options);
    abort_writes(SRP_ABORT_TASK_SET, REQUEST_MIXED, channel, manager);
    abort_writes(SRP_ABORT_TASK, REQUEST_MIXED, channel, manager);
    srp_close(manager);
    srp_close(channel);
}

/* One request at a time gets its credit back with its answer, or soon after. */
static void test_credits_one_by_one(void **state)
{
    Channel *channel = srp_open(NULL);
    int64_t limit = channel->credits;
    Task task;

    (void)state;
    for (int i = 0; i < 2 * limit + 10; i++) {
        srp_transfer(channel, &task, i % 2, LBA, 512);
        assert_true(channel->credits > 0);
        assert_int_equal(srp_run(channel, &task, REQUEST_MIXED), OUTCOME_GOOD);
    }
    srp_await_credits(channel);
    srp_close(channel);
}

/* A target that owes credits asks for nothing else; without an answer it must not ask again. */
static void test_unanswered_credits(void **state)
{
    Channel *channel = srp_open(NULL);
    Task tasks[WRITES];

    (void)state;
    channel->manual = true;
    for (int round = 0; round < 4; round++) {
        for (unsigned i = 0; i < WRITES && channel->credits > 0; i++) {
            srp_transfer(channel, &tasks[i], false, LBA, 4096);
            assert_int_equal(srp_run(channel, &tasks[i], REQUEST_DIRECT), OUTCOME_GOOD);
        }
        assert_in_range(g_queue_get_length(&channel->inbox), 0, 1);
    }
    srp_close(channel);
}

/* RTGT_LUNS: a command that adds or removes a LUN of the target. */
static void test_event(void **state)
{
    const char *command = g_getenv("RTGT_LUNS");
    ChannelOptions options;
    g_autoptr(GBytes) event = NULL;
    const uint8_t *iu;
    Channel *channel;
    Request *answer;

    (void)state;
    if (!command)
        skip();
    srp_options(&options);
    options.flags |= SRP_AESOLNT;
    channel = srp_open(&options);
    channel->manual = true;
    assert_int_equal(system(command), 0);
    event = channel_await(channel, SRP_AER_REQ, PATIENCE_MS);
    assert_non_null(event);
    iu = g_bytes_get_data(event, NULL);
    /* Unit attention, REPORTED LUNS DATA HAS CHANGED */
    assert_int_equal(iu[36 + 2] & 0xf, 6);
    assert_int_equal(iu[36 + 12], 0x3f);
    assert_int_equal(iu[36 + 13], 0x0e);
    answer = channel_blank(channel, SRP_AER_RSP, SRP_SHORT_LEN);
    put_be64(answer->iu + SRP_AT_TAG, get_be64(iu + SRP_AT_TAG));
    channel_send(channel, answer);
    srp_clear_attentions(channel);
    srp_write_read(channel, LBA, 4096, REQUEST_DIRECT);
    srp_close(channel);
}

int protocol_srp_manage_tests(void)
{
    const struct CMUnitTest tests[] = {
        SRP_TEST(test_functions),
        SRP_TEST(test_aborts),
        SRP_TEST(test_aborts_across_channels),
        SRP_TEST(test_credits_one_by_one),
        SRP_TEST(test_unanswered_credits),
        SRP_TEST(test_event),
    };

    return unit_run(tests);
}

/* --- a target that soon asks ------------------------------------------------------------------ */

/* Who says nothing is asked, and stays when it answers. */
static void test_quiet(void **state)
{
    ChannelOptions options;
    Channel *channel;

    (void)state;
    srp_options(&options);
    options.flags |= SRP_CRSOLNT;
    channel = srp_open(&options);
    channel->manual = true;
    for (int i = 0; i < 3; i++) {
        g_autoptr(GBytes) request = channel_await(channel, SRP_CRED_REQ, PATIENCE_MS);
        const uint8_t *iu;
        Request *answer;

        assert_non_null(request);
        iu = g_bytes_get_data(request, NULL);
        answer = channel_blank(channel, SRP_CRED_RSP, SRP_SHORT_LEN);
        put_be64(answer->iu + SRP_AT_TAG, get_be64(iu + SRP_AT_TAG));
        channel_send(channel, answer);
    }
    srp_write_read(channel, LBA, 4096, REQUEST_DIRECT);
    srp_close(channel);
}

static void test_silent(void **state)
{
    ChannelOptions options;
    Channel *channel;

    (void)state;
    srp_options(&options);
    options.flags |= SRP_LOSOLNT;
    channel = srp_open(&options);
    channel->manual = true;
    assert_true(channel_await_end(channel, PATIENCE_MS));
    assert_true(channel->logged_out);
    assert_int_equal(channel->logout_reason, SRP_LOGOUT_INACTIVE);
    assert_int_equal(channel->base.violations, 0);
    channel_free(channel);
}

int protocol_srp_idle_tests(void)
{
    /* A witness would be quiet, too. */
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quiet), cmocka_unit_test(test_silent)};

    return unit_run(tests);
}
