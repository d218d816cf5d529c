/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: SRP logins, their rejections, channels and logouts (SRP r16a sections
 * 4, 6.2-6.6). */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol-srp.h"

#define LBA          4096
#define CHANNELS_TOP 128

static void test_plain(void **state)
{
    Channel *channel = srp_open(NULL);

    (void)state;
    assert_int_equal(channel->reply.flags & 3, SRP_CHANNELS_NONE);
    assert_true(channel->reply.credits >= 8);
    srp_write_read(channel, LBA, 8192, REQUEST_DIRECT);
    srp_close(channel);
}

/* What a login asks for is what it gets. */
static void test_flags(void **state)
{
    static const uint8_t flags[] = {0, SRP_IMMEDIATE, SRP_LOSOLNT | SRP_CRSOLNT | SRP_AESOLNT,
                                    SRP_MULTICHANNEL | SRP_IMMEDIATE | SRP_AESOLNT};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        ChannelOptions options;
        Channel *channel;

        srp_options(&options);
        options.flags = flags[i];
        channel = srp_open(&options);
        assert_int_equal(channel->immediate, !!(flags[i] & SRP_IMMEDIATE));
        srp_write_read(channel, LBA, 4096, REQUEST_DIRECT);
        srp_close(channel);
    }
}

static void test_formats(void **state)
{
    (void)state;
    for (uint16_t formats = 0; formats <= 6; formats = (uint16_t)(formats + 2)) {
        ChannelOptions options;

        srp_options(&options);
        options.formats = formats;
        srp_close(srp_open(&options));
    }
}

static void test_no_srp_login(void **state)
{
    static const uint8_t opcodes[] = {SRP_TSK_MGMT, SRP_CMD, SRP_LOGIN_RSP, 0xff};
    static const uint8_t lengths[] = {0, 1, 11, 12, 47};
    const LargestIntegralType reasons[] = {SRP_REJ_CANNOT_ESTABLISH, SRP_REJ_CANNOT_ASSOCIATE};
    ChannelOptions options;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        srp_options(&options);
        options.opcode = opcodes[i];
        assert_int_equal(srp_rejected(&options), SRP_REJ_CANNOT_ESTABLISH);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        srp_options(&options);
        options.login_len = lengths[i];
        /* InfiniBand pads with zeros: then it is a login, but to no target. */
        assert_in_set(srp_rejected(&options), reasons, G_N_ELEMENTS(reasons));
    }
}

static void test_iu_length(void **state)
{
    static const uint32_t too_long[] = {1U << 20, 0x80000000, 0xffffffff};
    ChannelOptions options;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(too_long); i++) {
        srp_options(&options);
        options.iu_len = too_long[i];
        assert_int_equal(srp_rejected(&options), SRP_REJ_IU_TOO_LONG);
    }
    srp_options(&options);
    options.iu_len = 16; /* not even a command fits */
    assert_int_equal(srp_rejected(&options), SRP_REJ_CANNOT_ESTABLISH);
    srp_options(&options);
    options.flags = 0;
    options.iu_len = SRP_CMD_LEN + SRP_DESCRIPTOR;
    srp_close(srp_open(&options));
}

static void test_unknown_target(void **state)
{
    ChannelOptions options;

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        srp_options(&options);
        options.target[i] ^= 0x10;
        assert_int_equal(srp_rejected(&options), SRP_REJ_CANNOT_ASSOCIATE);
    }
}

static void test_unknown_format(void **state)
{
    static const uint16_t formats[] = {0x0001, 0x0008, 0x8006, 0xffff};
    ChannelOptions options;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        srp_options(&options);
        options.formats = formats[i];
        assert_int_equal(srp_rejected(&options), SRP_REJ_FORMAT);
    }
}

static void test_unknown_action(void **state)
{
    ChannelOptions options;

    (void)state;
    for (uint8_t action = 2; action <= 3; action++) {
        srp_options(&options);
        options.flags |= action;
        assert_int_equal(srp_rejected(&options), SRP_REJ_UNKNOWN_ACTION);
    }
}

/* Opens channels until one is rejected, for that reason; all others must work then. */
static void fill_up(ChannelOptions *options, bool same_port, uint32_t reason)
{
    Channel *channels[CHANNELS_TOP];
    ChannelReply reply = {0};
    unsigned n = 0;

    while (n < CHANNELS_TOP && (channels[n] = channel_open(options, &reply, NULL))) {
        n++;
        if (!same_port)
            put_be32(options->initiator, srp_new_number());
    }
    for (unsigned i = 0; i < n; i++) {
        srp_clear_attentions(channels[i]);
        srp_write_read(channels[i], LBA, 4096, REQUEST_DIRECT);
    }
    for (unsigned i = 0; i < n; i++)
        srp_close(channels[i]);
    assert_in_range(n, 2, CHANNELS_TOP - 1);
    assert_int_equal(reply.opcode, SRP_LOGIN_REJ);
    assert_int_equal(reply.reason, reason);
}

static void test_channel_limit(void **state)
{
    ChannelOptions options;

    (void)state;
    srp_options(&options);
    options.flags = SRP_MULTICHANNEL;
    options.iu_len = 1024;
    options.depth = 8;
    options.arena = 8192;
    fill_up(&options, true, SRP_REJ_CHANNEL_LIMIT);
}

static void test_no_resources(void **state)
{
    ChannelOptions options;

    (void)state;
    srp_options(&options);
    options.iu_len = 65536;
    options.depth = 8;
    options.arena = 8192;
    fill_up(&options, false, SRP_REJ_NO_RESOURCES);
}

/* Two channels of one nexus, and a login that ends both. */
static void test_channels(void **state)
{
    ChannelOptions options;
    Channel *first, *second, *alone;

    (void)state;
    srp_options(&options);
    options.flags |= SRP_MULTICHANNEL;
    first = srp_open(&options);
    second = srp_open(&options);
    assert_int_equal(first->reply.flags & 3, SRP_CHANNELS_NONE);
    assert_int_equal(second->reply.flags & 3, SRP_CHANNELS_MAINTAINED);
    srp_write_read(first, LBA, 65536, REQUEST_INDIRECT);
    srp_write_read(second, LBA, 65536, REQUEST_TABLE);
    options.flags &= (uint8_t)~SRP_MULTICHANNEL;
    alone = srp_open(&options);
    assert_int_equal(alone->reply.flags & 3, SRP_CHANNELS_TERMINATED);
    assert_true(channel_await_end(first, PATIENCE_MS));
    assert_true(channel_await_end(second, PATIENCE_MS));
    assert_true(first->logged_out && second->logged_out);
    assert_int_equal(first->logout_reason, SRP_LOGOUT_OTHER_CHANNEL);
    assert_int_equal(second->logout_reason, SRP_LOGOUT_OTHER_CHANNEL);
    assert_int_equal(first->base.violations + second->base.violations, 0);
    channel_free(first);
    channel_free(second);
    srp_write_read(alone, LBA, 65536, REQUEST_DIRECT);
    srp_close(alone);
}

/* A logout of one channel leaves the others alone. */
static void test_logout_of_one(void **state)
{
    ChannelOptions options;
    Channel *first, *second;

    (void)state;
    srp_options(&options);
    options.flags |= SRP_MULTICHANNEL;
    first = srp_open(&options);
    second = srp_open(&options);
    srp_close(first);
    srp_write_read(second, LBA, 4096, REQUEST_DIRECT);
    channel_free(second); /* and without a word */
}

/* It is the target that ends the connection if the initiator does not. */
static void test_logout_alone(void **state)
{
    Channel *channel = srp_open(NULL);

    (void)state;
    channel_send(channel, channel_blank(channel, SRP_I_LOGOUT, SRP_SHORT_LEN));
    assert_true(channel_await_end(channel, PATIENCE_MS));
    assert_false(channel->logged_out);
    assert_int_equal(channel->base.violations, 0);
    channel_free(channel);
}

/* What is under way is given up. */
static void test_logout_under_load(void **state)
{
    Channel *channel = srp_open(NULL);
    Task tasks[8];

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(tasks); i++) {
        srp_transfer(channel, &tasks[i], i % 2, LBA, 65536);
        channel_send(channel, channel_prepare(channel, &tasks[i], REQUEST_MIXED));
    }
    srp_close(channel);
    for (size_t i = 0; i < G_N_ELEMENTS(tasks); i++)
        assert_true(tasks[i].finished);
}

int protocol_srp_login_tests(void)
{
    const struct CMUnitTest tests[] = {
        SRP_TEST(test_plain),          SRP_TEST(test_flags),
        SRP_TEST(test_formats),        SRP_TEST(test_no_srp_login),
        SRP_TEST(test_iu_length),      SRP_TEST(test_unknown_target),
        SRP_TEST(test_unknown_format), SRP_TEST(test_unknown_action),
        SRP_TEST(test_channel_limit),  SRP_TEST(test_no_resources),
        SRP_TEST(test_channels),       SRP_TEST(test_logout_of_one),
        SRP_TEST(test_logout_alone),   SRP_TEST(test_logout_under_load),
    };

    return unit_run(tests);
}
