/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: SRP information units that are wrong, and initiators that send too much. Each
 * ends in a status, or in the end of that channel alone. */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol-srp.h"

#include <string.h>

#define LBA     24576
#define LEN     4096U
#define GAP     0xee
#define GUARDED 65536U

/* Where a command that reads by an indirect descriptor has what. */
enum { AT_TABLE = SRP_CMD_LEN, AT_TOTAL = SRP_CMD_LEN + 16, AT_FIRST = SRP_CMD_LEN + SRP_INDIRECT };

/* A command that went wrong in the way `spoil` makes it. */
typedef struct {
    RequestForm form;
    bool write;
    void (*spoil)(Request *request, uint32_t value);
    uint32_t value;
} Case;

static void expect_failure(const Case *what, unsigned number)
{
    Channel *channel = srp_open_rogue();
    uint8_t *memory = srp_memory(channel);
    Request *request;
    Outcome outcome;
    Task task;

    memset(memory, GAP, GUARDED);
    srp_transfer(channel, &task, what->write, LBA, LEN);
    channel->immediate = false;
    request = channel_prepare(channel, &task, what->form);
    what->spoil(request, what->value);
    outcome = srp_finish(channel, &task, request);
    if (outcome != OUTCOME_STATUS && outcome != OUTCOME_CLOSED)
        print_error("case %u: outcome %d\n", number, outcome);
    assert_true(outcome == OUTCOME_STATUS || outcome == OUTCOME_CLOSED);
    for (uint32_t i = LEN; i < GUARDED; i++)
        assert_int_equal(memory[i], GAP);
    if (outcome == OUTCOME_STATUS) {
        srp_await_credits(channel);
        srp_write_read(channel, LBA, LEN, REQUEST_DIRECT);
    }
    channel_free(channel);
}

static void run_cases(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_failure(&cases[i], (unsigned)i);
}

static void set_len(Request *request, uint32_t len)
{
    request->len = len;
}

static void shorten(Request *request, uint32_t by)
{
    request->len -= by;
}

static void set_total(Request *request, uint32_t total)
{
    put_be32(request->iu + AT_TOTAL, total);
}

static void add_to_total(Request *request, uint32_t more)
{
    put_be32(request->iu + AT_TOTAL, get_be32(request->iu + AT_TOTAL) + more);
}

static void set_table_len(Request *request, uint32_t len)
{
    put_be32(request->iu + AT_TABLE + 12, len);
}

static void set_in_count(Request *request, uint32_t count)
{
    request->iu[SRP_AT_IN_COUNT] = (uint8_t)count;
}

static void set_out_count(Request *request, uint32_t count)
{
    request->iu[SRP_AT_OUT_COUNT] = (uint8_t)count;
}

static void set_first_len(Request *request, uint32_t len)
{
    put_be32(request->iu + AT_FIRST + 12, len);
}

static void set_more_cdb(Request *request, uint32_t words)
{
    request->iu[SRP_AT_CDB_MORE] = (uint8_t)(words << 2);
}

static void set_formats(Request *request, uint32_t formats)
{
    request->iu[SRP_AT_FORMATS] = (uint8_t)formats;
}

static void test_truncated(void **state)
{
    static const Case cases[] = {
        {REQUEST_DIRECT, false, set_len, 1},
        {REQUEST_DIRECT, false, set_len, 8},
        {REQUEST_DIRECT, false, set_len, 16},
        {REQUEST_DIRECT, false, set_len, 31},
        {REQUEST_DIRECT, false, set_len, 47},
        {REQUEST_DIRECT, false, set_len, 48},
        {REQUEST_DIRECT, true, set_len, 48},
        {REQUEST_DIRECT, false, shorten, 1},
        {REQUEST_DIRECT, true, shorten, 1},
        {REQUEST_INDIRECT, false, set_len, SRP_CMD_LEN + 15},
        {REQUEST_INDIRECT, false, set_len, SRP_CMD_LEN + 19},
        {REQUEST_INDIRECT, true, set_len, SRP_CMD_LEN + 19},
        {REQUEST_INDIRECT, false, shorten, 1},
        {REQUEST_INDIRECT, true, shorten, 16},
    };

    (void)state;
    run_cases(cases, G_N_ELEMENTS(cases));
}

static void test_lying_lengths(void **state)
{
    static const Case cases[] = {
        {REQUEST_INDIRECT, false, add_to_total, 512},
        {REQUEST_INDIRECT, false, add_to_total, (uint32_t)-512},
        {REQUEST_INDIRECT, true, add_to_total, 1},
        {REQUEST_INDIRECT, false, set_total, 0xffffffff},
        {REQUEST_INDIRECT, true, set_total, 0x80000000},
        {REQUEST_INDIRECT, true, set_total, 0},
        {REQUEST_INDIRECT, false, set_first_len, 0xffffffff},
        {REQUEST_INDIRECT, true, set_first_len, 0xfffff000},
        {REQUEST_TABLE, false, add_to_total, 512},
        {REQUEST_TABLE, true, set_total, 0xffffffff},
    };

    (void)state;
    run_cases(cases, G_N_ELEMENTS(cases));
}

static void test_lying_tables(void **state)
{
    static const Case cases[] = {
        {REQUEST_INDIRECT, false, set_table_len, 0},
        {REQUEST_INDIRECT, true, set_table_len, 16 * 3 + 1},
        {REQUEST_INDIRECT, false, set_table_len, 15},
        {REQUEST_INDIRECT, false, set_table_len, 0xfffffff0},
        {REQUEST_INDIRECT, true, set_table_len, 0xffffffff},
        {REQUEST_TABLE, true, set_table_len, 0x7ffffff0},
        {REQUEST_TABLE, false, set_table_len, 16},
        {REQUEST_INDIRECT, false, set_in_count, 255},
        {REQUEST_INDIRECT, true, set_out_count, 255},
        {REQUEST_TABLE, false, set_in_count, 255},
        {REQUEST_INDIRECT, false, set_more_cdb, 63},
        {REQUEST_DIRECT, true, set_more_cdb, 63},
        {REQUEST_DIRECT, true, set_more_cdb, 3},
    };

    (void)state;
    run_cases(cases, G_N_ELEMENTS(cases));
}

static void break_key(Request *request, uint32_t value)
{
    put_be32(request->iu + SRP_CMD_LEN + 8, value);
}

static void break_address(Request *request, uint32_t value)
{
    put_be64(request->iu + SRP_CMD_LEN, value ? UINT64_MAX - value : 0);
}

static void break_piece_key(Request *request, uint32_t value)
{
    put_be32(request->iu + AT_FIRST + 8, value);
}

static void break_table(Request *request, uint32_t value)
{
    for (unsigned i = 0; i < REQUEST_TABLE_MAX; i++)
        request->table[i] = (uint8_t)value;
}

/* Memory that is not the initiator's to give. */
static void test_foreign_memory(void **state)
{
    static const Case cases[] = {
        {REQUEST_DIRECT, false, break_key, 0xdeadbeef},
        {REQUEST_DIRECT, true, break_key, 0},
        {REQUEST_DIRECT, false, break_address, 0},
        {REQUEST_DIRECT, true, break_address, 16},
        {REQUEST_INDIRECT, false, break_piece_key, 0xdeadbeef},
        {REQUEST_INDIRECT, true, break_piece_key, 1},
        {REQUEST_TABLE, false, break_key, 0xdeadbeef},
        {REQUEST_TABLE, true, break_address, 256},
        {REQUEST_TABLE, false, break_table, 0},
        {REQUEST_TABLE, true, break_table, 0xff},
    };

    (void)state;
    run_cases(cases, G_N_ELEMENTS(cases));
}

/* Does not wait for the target to end the connection, which may take it a while. */
static void expect_logout(Channel *channel, uint32_t reason)
{
    nexus_turn_until(&channel->base, &channel->logged_out, PATIENCE_MS);
    assert_true(channel->logged_out);
    assert_int_equal(channel->logout_reason, reason);
    channel_free(channel);
}

static void test_unknown_formats(void **state)
{
    (void)state;
    for (uint32_t format = 3; format < 16; format++)
        for (int out = 0; out < 2; out++) {
            ChannelOptions options;
            Channel *channel;
            Request *request;
            Task task;

            srp_options(&options);
            options.flags = out ? 0 : SRP_IMMEDIATE;
            channel = srp_open(&options);
            channel->options.quiet = true;
            srp_transfer(channel, &task, out, LBA, LEN);
            request = channel_prepare(channel, &task, REQUEST_DIRECT);
            set_formats(request, out ? format << 4 : format);
            channel_send(channel, request);
            expect_logout(channel, out ? SRP_LOGOUT_FORMAT_OUT : SRP_LOGOUT_FORMAT_IN);
        }
}

static void test_unknown_units(void **state)
{
    static const uint8_t opcodes[] = {SRP_LOGIN_REQ, 0x04,         0x3f,    0x43,          0x7f,
                                      SRP_T_LOGOUT,  SRP_CRED_REQ, SRP_RSP, SRP_LOGIN_REJ, 0xff};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        Channel *channel = srp_open_rogue();

        channel_send(channel, channel_blank(channel, opcodes[i], 64));
        expect_logout(channel, SRP_LOGOUT_UNKNOWN_IU);
    }
}

/* Answers to what the target has not asked. */
static void test_unasked_responses(void **state)
{
    (void)state;
    for (int event = 0; event < 2; event++) {
        Channel *channel = srp_open_rogue();
        Request *answer = channel_blank(channel, event ? SRP_AER_RSP : SRP_CRED_RSP, SRP_SHORT_LEN);

        put_be64(answer->iu + SRP_AT_TAG, 0x1234567812345678);
        channel_send(channel, answer);
        expect_logout(channel, SRP_LOGOUT_UNASKED_RESPONSE);
    }
}

/* The rest of the kinds, cut short; and nothing at all. */
static void test_short_units(void **state)
{
    static const struct {
        uint8_t opcode;
        uint32_t len;
    } units[] = {{SRP_TSK_MGMT, 1}, {SRP_TSK_MGMT, 47}, {SRP_CRED_RSP, 1}, {SRP_CRED_RSP, 15},
                 {SRP_AER_RSP, 15}, {SRP_I_LOGOUT, 1},  {SRP_CMD, 0}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        Channel *channel = srp_open_rogue();

        channel_send(channel, channel_blank(channel, units[i].opcode, units[i].len));
        assert_true(channel_await_end(channel, PATIENCE_MS));
        channel_free(channel);
    }
}

static void test_too_long(void **state)
{
    ChannelOptions options;
    Channel *channel;

    (void)state;
    srp_options(&options);
    options.flags = 0;
    options.iu_len = 256;
    channel = srp_open(&options);
    channel->options.quiet = true;
    channel_send(channel, channel_blank(channel, SRP_CMD, 4096));
    assert_true(channel_await_end(channel, PATIENCE_MS));
    channel_free(channel);
}

/* Immediate data that are not there, or lie elsewhere. */
static void test_bad_immediate(void **state)
{
    static const struct {
        uint32_t said, sent;
    } cases[] = {{LEN, 0}, {LEN, LEN - 1}, {0xffffffff, LEN}, {0x80000000, LEN}, {LEN + 1, LEN}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Channel *channel = srp_open_rogue();
        Request *request;
        Outcome outcome;
        Task task;

        srp_transfer(channel, &task, true, LBA, LEN);
        request = channel_prepare(channel, &task, REQUEST_DIRECT);
        put_be32(request->iu + SRP_CMD_LEN, cases[i].said);
        request->data_len = cases[i].sent;
        if (!request->data_len)
            request->data = NULL;
        outcome = srp_finish(channel, &task, request);
        assert_true(outcome == OUTCOME_STATUS || outcome == OUTCOME_CLOSED);
        channel_free(channel);
    }
}

/* Many more requests than the limit: they are answered, as far as credits came back meanwhile, or
 * the channel ends. */
static void test_overdrawn(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        Channel *channel = srp_open_rogue();
        unsigned n = (unsigned)MIN(2 * channel->credits, PROTOCOL_DEPTH);
        g_autofree Task *tasks = g_new0(Task, n);

        for (unsigned i = 0; i < n; i++) {
            srp_transfer(channel, &tasks[i], kind == 1, LBA, 65536);
            if (kind == 2)
                channel_manage(&tasks[i], SRP_ABORT_TASK_SET, protocol_url->lun, 0);
            channel_send(channel, channel_prepare(channel, &tasks[i], REQUEST_DIRECT));
        }
        for (unsigned i = 0; i < n; i++)
            nexus_turn_until(&channel->base, &tasks[i].finished, PATIENCE_MS);
        for (unsigned i = 0; i < n; i++)
            assert_true(tasks[i].finished && (!tasks[i].lost || channel->base.error));
        channel_free(channel);
    }
}

/* Bytes of no meaning at all. */
static void test_noise(void **state)
{
    (void)state;
    for (int i = 0; i < 64; i++) {
        Channel *channel = srp_open_rogue();
        uint32_t len = (uint32_t)g_random_int_range(1, 400);
        Request *request = channel_blank(channel, SRP_CMD, len);

        for (uint32_t at = 1; at < len; at++)
            request->iu[at] = (uint8_t)g_random_int();
        /* A command like this one might be a good one. */
        if (len > SRP_AT_CDB)
            request->iu[SRP_AT_CDB] = 0xff;
        channel_send(channel, request);
        channel_await_end(channel, 20);
        channel_free(channel);
    }
}

int protocol_srp_bad_tests(void)
{
    const struct CMUnitTest tests[] = {
        SRP_TEST(test_truncated),         SRP_TEST(test_lying_lengths),
        SRP_TEST(test_lying_tables),      SRP_TEST(test_foreign_memory),
        SRP_TEST(test_unknown_formats),   SRP_TEST(test_unknown_units),
        SRP_TEST(test_unasked_responses), SRP_TEST(test_short_units),
        SRP_TEST(test_too_long),          SRP_TEST(test_bad_immediate),
        SRP_TEST(test_overdrawn),         SRP_TEST(test_noise),
    };

    return unit_run(tests);
}
