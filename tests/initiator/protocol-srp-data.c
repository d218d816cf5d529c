/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: commands and their data over SRP (SRP r16a sections 5.4, 6.8, 6.9). */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol-srp.h"

#include <string.h>

#define LBA  8192
#define GAP  0xee
#define MIB  (1U << 20)
#define BOTH 4096U

static void test_forms(void **state)
{
    static const uint32_t sizes[] = {512, 1024, 4096, 12288, 65536, 131072 + 512, MIB, 2 * MIB};
    ChannelOptions options;
    Channel *channel;

    (void)state;
    srp_options(&options);
    options.flags = 0;
    channel = srp_open(&options);
    for (RequestForm form = REQUEST_DIRECT; form < REQUEST_MIXED; form++)
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
            srp_write_read(channel, LBA, sizes[i], form);
    srp_close(channel);
}

static void test_no_buffer(void **state)
{
    Channel *channel = srp_open(NULL);
    Task task = {0};

    (void)state;
    scsi_test_unit_ready(&task, protocol_url->lun);
    assert_int_equal(srp_run(channel, &task, REQUEST_DIRECT), OUTCOME_GOOD);
    assert_false(task.overflow || task.underflow);
    /* Everything is beyond what there is room for. */
    srp_transfer(channel, &task, false, LBA, 4096);
    task.read = false;
    task.buffer.len = 0;
    assert_int_equal(srp_run(channel, &task, REQUEST_DIRECT), OUTCOME_GOOD);
    task.read = true;
    srp_close(channel);
}

/* Descriptors of no bytes, which are none of the data. */
static void test_empty_descriptors(void **state)
{
    static const uint32_t lengths[] = {0, 1536, 0, 0, 2560, 0};
    Channel *channel = srp_open(NULL);
    uint8_t *memory = srp_memory(channel), *p;
    uint32_t offset = 0, n = G_N_ELEMENTS(lengths), seed = srp_new_number();
    Request *request;
    Task task;

    (void)state;
    protocol_pattern(memory, 4096, seed);
    srp_transfer(channel, &task, true, LBA, 4096);
    assert_int_equal(srp_run(channel, &task, REQUEST_DIRECT), OUTCOME_GOOD);
    memset(memory, GAP, 4096);
    srp_transfer(channel, &task, false, LBA, 4096);
    request = channel_prepare(channel, &task, REQUEST_INDIRECT);
    put_be32(request->iu + SRP_CMD_LEN + 12, n * SRP_DESCRIPTOR);
    request->iu[SRP_AT_IN_COUNT] = (uint8_t)n;
    p = request->iu + SRP_CMD_LEN + SRP_INDIRECT;
    for (size_t i = 0; i < n; i++, p += SRP_DESCRIPTOR) {
        put_be64(p, lengths[i] ? (uintptr_t)memory + offset : 0);
        put_be32(p + 8, lengths[i] ? channel->requests.rkey : 0);
        put_be32(p + 12, lengths[i]);
        offset += lengths[i];
    }
    request->len = SRP_CMD_LEN + SRP_INDIRECT + n * SRP_DESCRIPTOR;
    assert_int_equal(srp_finish(channel, &task, request), OUTCOME_GOOD);
    assert_true(protocol_is_pattern(memory, 4096, seed));
    srp_close(channel);
}

/* The CDB wants `blocks` times 512 bytes, the buffer has `room` bytes. */
static void check_residual(Channel *channel, bool write, uint32_t wanted, uint32_t room,
                           RequestForm form)
{
    uint8_t *memory = srp_memory(channel);
    Task task;

    memset(memory, GAP, 16384);
    srp_transfer(channel, &task, write, LBA, wanted);
    task.buffer.len = room;
    /* A write of which a part is missing may be refused. */
    if (srp_run(channel, &task, form) == OUTCOME_STATUS && write && wanted > room) {
        assert_int_equal(scsi_sense(&task) >> 16, 5);
        return;
    }
    assert_int_equal(task.status, SCSI_GOOD);
    assert_int_equal(task.overflow, wanted > room);
    assert_int_equal(task.underflow, wanted < room);
    assert_int_equal(task.residual, wanted > room ? wanted - room : room - wanted);
    for (uint32_t i = MIN(room, wanted); i < 16384 && !write; i++)
        assert_int_equal(memory[i], GAP);
}

static void test_residuals(void **state)
{
    static const uint32_t sizes[][2] = {{4096, 8192}, {8192, 4096}, {4096, 4096}, {512, 8192},
                                        {8192, 512},  {4096, 4100}, {4096, 4092}, {0, 512}};
    Channel *channel = srp_open(NULL);

    (void)state;
    for (int write = 0; write < 2; write++)
        for (RequestForm form = REQUEST_DIRECT; form < REQUEST_MIXED; form++)
            for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
                check_residual(channel, write, sizes[i][0], sizes[i][1], form);
    srp_close(channel);
}

/* Buffers for both directions of a command that has one: the other is not touched. */
static void test_both_directions(void **state)
{
    Channel *channel = srp_open(NULL);
    uint8_t *memory = srp_memory(channel);
    uint32_t seed = srp_new_number();
    Task task;

    (void)state;
    for (int form = 0; form < 9; form++) {
        RequestForm out = (RequestForm)(form / 3), in = (RequestForm)(form % 3);
        Request *request;

        protocol_pattern(memory, BOTH, seed);
        memset(memory + BOTH, GAP, BOTH);
        for (int write = 1; write >= 0; write--) {
            srp_transfer(channel, &task, write, LBA, BOTH);
            task.buffer.len = 0;
            task.write = false;
            task.read = true; /* whose residual is looked at */
            request = channel_prepare(channel, &task, out);
            request_describe(&channel->requests, request, true, memory, BOTH, out);
            request_describe(&channel->requests, request, false, memory + BOTH, BOTH, in);
            task.buffer.len = BOTH;
            assert_int_equal(srp_finish(channel, &task, request), OUTCOME_GOOD);
            assert_int_equal(task.underflow, write);
            assert_int_equal(task.residual, write ? BOTH : 0);
            if (write)
                assert_int_equal(memory[BOTH], GAP);
        }
        assert_true(protocol_is_pattern(memory, BOTH, seed));
        assert_true(protocol_is_pattern(memory + BOTH, BOTH, seed));
    }
    srp_close(channel);
}

static void test_autosense(void **state)
{
    Channel *channel = srp_open(NULL);

    (void)state;
    for (int write = 0; write < 2; write++)
        for (uint8_t solicit = 0; solicit < 8; solicit = (uint8_t)(solicit + 2)) {
            Task task;

            srp_transfer(channel, &task, write, UINT32_MAX, 4096);
            task.solicit = solicit;
            assert_int_equal(srp_run(channel, &task, REQUEST_MIXED), OUTCOME_STATUS);
            assert_int_equal(scsi_sense(&task), 0x052100);
            srp_transfer(channel, &task, write, LBA, 4096);
            task.solicit = solicit;
            assert_int_equal(srp_run(channel, &task, REQUEST_MIXED), OUTCOME_GOOD);
        }
    srp_close(channel);
}

/* Longer CDBs shift what is behind them. */
static void test_longer_cdb(void **state)
{
    Channel *channel = srp_open(NULL);
    uint8_t *memory = srp_memory(channel);
    uint32_t seed = srp_new_number();
    Task task;

    (void)state;
    protocol_pattern(memory, 4096, seed);
    srp_transfer(channel, &task, true, LBA, 4096);
    assert_int_equal(srp_run(channel, &task, REQUEST_DIRECT), OUTCOME_GOOD);
    for (RequestForm form = REQUEST_DIRECT; form < REQUEST_MIXED; form++)
        for (uint8_t words = 1; words <= 4; words++) {
            Request *request;

            memset(memory, GAP, 4096);
            srp_transfer(channel, &task, false, LBA, 4096);
            request = channel_prepare(channel, &task, form);
            memmove(request->iu + SRP_CMD_LEN + words * 4, request->iu + SRP_CMD_LEN,
                    request->len - SRP_CMD_LEN);
            memset(request->iu + SRP_CMD_LEN, 0, words * 4);
            request->iu[SRP_AT_CDB_MORE] = (uint8_t)(words << 2);
            request->len += words * 4U;
            assert_int_equal(srp_finish(channel, &task, request), OUTCOME_GOOD);
            assert_true(protocol_is_pattern(memory, 4096, seed));
        }
    srp_close(channel);
}

static void test_immediate(void **state)
{
    static const uint16_t offsets[] = {52, 56, 68, 100, 512, 1000, 4096};
    static const uint32_t sizes[] = {512, 1024, 4096, 8192};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        ChannelOptions options;
        Channel *channel;

        srp_options(&options);
        options.immediate_offset = offsets[i];
        options.iu_len = offsets[i] + 8192U;
        channel = srp_open(&options);
        assert_true(channel->immediate);
        for (size_t k = 0; k < G_N_ELEMENTS(sizes); k++)
            srp_write_read(channel, LBA, sizes[k], REQUEST_DIRECT);
        for (size_t k = 0; k < G_N_ELEMENTS(sizes); k++)
            check_residual(channel, true, sizes[k], 2048, REQUEST_DIRECT);
        srp_write_read(channel, LBA, MIB, REQUEST_DIRECT);
        srp_close(channel);
    }
}

/* Many at a time, of all forms: as many as the target admits. */
static void test_deep(void **state)
{
    Channel *channel = srp_open(NULL);
    unsigned depth = (unsigned)channel->credits;
    g_autofree Task *tasks = g_new0(Task, depth);

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < depth; i++) {
            srp_transfer(channel, &tasks[i], i % 3 == 0, LBA + i * 8, 4096);
            channel_send(channel, channel_prepare(channel, &tasks[i], REQUEST_MIXED));
        }
        for (unsigned i = 0; i < depth; i++) {
            assert_true(nexus_turn_until(&channel->base, &tasks[i].finished, PATIENCE_MS));
            assert_int_equal(tasks[i].status, SCSI_GOOD);
        }
        srp_await_credits(channel);
    }
    srp_close(channel);
}

int protocol_srp_data_tests(void)
{
    const struct CMUnitTest tests[] = {
        SRP_TEST(test_forms),      SRP_TEST(test_no_buffer),       SRP_TEST(test_empty_descriptors),
        SRP_TEST(test_residuals),  SRP_TEST(test_both_directions), SRP_TEST(test_autosense),
        SRP_TEST(test_longer_cdb), SRP_TEST(test_immediate),       SRP_TEST(test_deep),
    };

    return unit_run(tests);
}
