/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: data in both directions, residuals, sizes (RFC 7143 sections 11.3 to 11.8). */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol.h"

#include <string.h>

#define LBA 2048

static void test_write_ways(void **state)
{
    static const char *const ways[] = {
        "InitialR2T=Yes,ImmediateData=Yes", "InitialR2T=Yes,ImmediateData=No",
        "InitialR2T=No,ImmediateData=Yes", "InitialR2T=No,ImmediateData=No"};
    static const char *const bursts[] = {
        "MaxBurstLength=65536,FirstBurstLength=4096",
        "MaxBurstLength=262144,FirstBurstLength=65536",
        ("MaxBurstLength=1048576,FirstBurstLength=262144,MaxOutstandingR2T=4"),
    };
    static const uint32_t sizes[] = {4096, 8192, 65536, 69632, 262144, 266240, 1048576};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(ways) * G_N_ELEMENTS(bursts); i++) {
        g_autofree char *keys =
            g_strdup_printf("%s,%s", ways[i % G_N_ELEMENTS(ways)], bursts[i / G_N_ELEMENTS(ways)]);
        Session *session = protocol_open(keys);

        for (size_t n = 0; n < G_N_ELEMENTS(sizes); n++)
            protocol_write_read(session, LBA, sizes[n], (uint32_t)(i * 16 + n));
        protocol_close(session);
    }
}

static void test_small_segments(void **state)
{
    Session *session = protocol_open(protocol_url->ops->data_in_pdus
                                         ? "MaxRecvDataSegmentLength=512,MaxBurstLength=4096,"
                                           "FirstBurstLength=512"
                                         : "InitiatorRecvDataSegmentLength=512,"
                                           "TargetRecvDataSegmentLength=512");

    (void)state;
    protocol_write_read(session, LBA, 65536, 7);
    protocol_close(session);
}

static void test_large_commands(void **state)
{
    static const uint32_t sizes[] = {258048, 262144, 266240, 524288, 1 << 20, 4 << 20, 16 << 20};
    Session *session = protocol_open(NULL);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
        protocol_write_read(session, LBA, sizes[i], (uint32_t)i);
    protocol_close(session);
}

/* Runs a transfer whose expected length is not that of the CDB. */
static void run_mismatch(Session *session, Task *task, bool write, uint32_t blocks,
                         uint32_t expected)
{
    uint32_t block_size = protocol_block_size();

    scsi_transfer(task, protocol_url->lun, write, LBA, blocks, block_size, false,
                  protocol_memory(session));
    task->buffer.len = expected;
    assert_true(session_run(session, task, PATIENCE_MS));
}

static void test_read_underflow(void **state)
{
    Session *session = protocol_open(NULL);
    uint32_t bs = protocol_block_size();
    Task task = {0};

    (void)state;
    protocol_write(session, LBA, 8 * bs, 3);
    memset(protocol_memory(session), 0xee, 8 * bs);
    run_mismatch(session, &task, false, 1, 8 * bs);
    assert_int_equal(task.status, SCSI_GOOD);
    assert_true(task.underflow);
    assert_int_equal(task.residual, 7 * bs);
    assert_true(protocol_is_pattern(protocol_memory(session), bs, 3));
    assert_int_equal(protocol_memory(session)[bs], 0xee);
    protocol_close(session);
}

static void test_read_overflow(void **state)
{
    Session *session = protocol_open(NULL);
    uint32_t bs = protocol_block_size();
    Task task = {0};

    (void)state;
    protocol_write(session, LBA, 8 * bs, 4);
    memset(protocol_memory(session), 0xee, 8 * bs);
    run_mismatch(session, &task, false, 8, bs);
    assert_true(task.overflow);
    assert_int_equal(task.residual, 7 * bs);
    assert_int_equal(protocol_memory(session)[bs], 0xee);
    if (task.status == SCSI_GOOD)
        assert_true(protocol_is_pattern(protocol_memory(session), bs, 4));
    run_mismatch(session, &task, false, 8, 0);
    assert_true(task.overflow);
    assert_int_equal(task.residual, 8 * bs);
    run_mismatch(session, &task, false, 1, bs / 2);
    assert_true(task.overflow);
    assert_int_equal(task.residual, bs / 2);
    protocol_close(session);
}

static void test_write_underflow(void **state)
{
    Session *session = protocol_open(NULL);
    uint32_t bs = protocol_block_size();
    Task task = {0};

    (void)state;
    protocol_write(session, LBA + 1, 3 * bs, 5);
    protocol_pattern(protocol_memory(session), 4 * bs, 6);
    run_mismatch(session, &task, true, 1, 4 * bs);
    assert_true(task.underflow);
    assert_int_equal(task.residual, 3 * bs);
    if (task.status == SCSI_GOOD)
        assert_true(protocol_reads_back(session, LBA, bs, 6));
    assert_true(protocol_reads_back(session, LBA + 1, 3 * bs, 5));
    protocol_close(session);
}

/* Fewer bytes than the CDB wants: what was not sent must not be written. */
static void test_write_overflow(void **state)
{
    Session *session = protocol_open(NULL);
    uint32_t bs = protocol_block_size();
    Task task = {0};

    (void)state;
    protocol_write(session, LBA, 4 * bs, 8);
    protocol_pattern(protocol_memory(session), 4 * bs, 9);
    run_mismatch(session, &task, true, 4, 0);
    assert_true(task.overflow);
    assert_int_equal(task.residual, 4 * bs);
    assert_true(protocol_reads_back(session, LBA, 4 * bs, 8));
    protocol_write(session, LBA + 1, 3 * bs, 8);
    protocol_pattern(protocol_memory(session), 4 * bs, 9);
    run_mismatch(session, &task, true, 4, bs);
    assert_true(task.overflow);
    assert_int_equal(task.residual, 3 * bs);
    assert_true(protocol_reads_back(session, LBA + 1, 3 * bs, 8));
    protocol_close(session);
}

static void test_no_data_but_expected(void **state)
{
    Session *session = protocol_open(NULL);
    Task task = {0};

    (void)state;
    scsi_test_unit_ready(&task, protocol_url->lun);
    task.read = true;
    task.buffer = (PduBuffer){.base = protocol_memory(session), .len = 512};
    assert_true(session_run(session, &task, PATIENCE_MS));
    assert_true(task.underflow);
    assert_int_equal(task.residual, 512);
    scsi_test_unit_ready(&task, protocol_url->lun);
    task.write = true;
    task.buffer = (PduBuffer){.base = protocol_memory(session), .len = 512};
    assert_true(session_run(session, &task, PATIENCE_MS));
    assert_true(task.underflow);
    assert_int_equal(task.residual, 512);
    protocol_close(session);
}

/* As many bytes as there are, and the residual says how many are missing. */
static void test_inquiry_length(void **state)
{
    Session *session = protocol_open(NULL);
    uint8_t *memory = protocol_memory(session);
    Task task = {0};

    (void)state;
    for (uint16_t len = 5; len <= 260; len += 51) {
        memset(memory, 0xee, 512);
        scsi_inquiry(&task, protocol_url->lun, memory, len);
        assert_true(session_run(session, &task, PATIENCE_MS));
        assert_int_equal(task.status, SCSI_GOOD);
        uint32_t sent = MIN(len, memory[4] + 5U);
        assert_int_equal(task.underflow ? task.residual : 0, len - sent);
        for (uint32_t i = sent; i < 512; i++)
            assert_int_equal(memory[i], 0xee);
    }
    protocol_close(session);
}

/* A READ that says it sends, and a WRITE that says it receives: no hang, no data moved. */
static void test_wrong_direction(void **state)
{
    Session *session = protocol_open(NULL);
    uint32_t bs = protocol_block_size();
    Task task = {0};

    (void)state;
    protocol_write(session, LBA, 8 * bs, 10);
    session->options.quiet = true;
    for (int write = 0; write < 2; write++) {
        scsi_transfer(&task, protocol_url->lun, write, LBA, 8, bs, false, protocol_memory(session));
        task.read = write;
        task.write = !write;
        session_submit(session, &task);
        assert_int_not_equal(protocol_outcome(session, &task, PATIENCE_MS), OUTCOME_NOTHING);
        if (session->base.error)
            break;
        session_give_up(session, &task);
    }
    protocol_drop(session);
    session = protocol_open(NULL);
    assert_true(protocol_reads_back(session, LBA, 8 * bs, 10));
    protocol_close(session);
}

static void test_beyond_the_end(void **state)
{
    Session *session = protocol_open(NULL);
    g_autoptr(GError) error = NULL;
    ScsiCapacity capacity;
    Task task = {0};

    (void)state;
    assert_true(scsi_wait_ready(&session->base, protocol_url->lun, &capacity, &error));
    for (int write = 0; write < 2; write++) {
        scsi_transfer(&task, protocol_url->lun, write, capacity.blocks - 1, 2, capacity.block_size,
                      false, protocol_memory(session));
        assert_true(session_run(session, &task, PATIENCE_MS));
        assert_int_equal(task.status, SCSI_CHECK_CONDITION);
        assert_int_equal(scsi_sense(&task), 0x052100);
        assert_int_equal(task.received, 0);
    }
    protocol_close(session);
}

static void test_fua(void **state)
{
    Session *session = protocol_open(NULL);
    uint32_t bs = protocol_block_size();
    Task task = {0};

    (void)state;
    protocol_pattern(protocol_memory(session), 8 * bs, 11);
    scsi_transfer(&task, protocol_url->lun, true, LBA, 8, bs, true, protocol_memory(session));
    assert_true(session_run(session, &task, PATIENCE_MS));
    assert_int_equal(task.status, SCSI_GOOD);
    assert_true(protocol_reads_back(session, LBA, 8 * bs, 11));
    scsi_synchronize_cache(&task, protocol_url->lun);
    assert_true(session_run(session, &task, PATIENCE_MS));
    assert_int_equal(task.status, SCSI_GOOD);
    protocol_close(session);
}

int protocol_data_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_write_ways),     PROTOCOL_TEST(test_small_segments),
        PROTOCOL_TEST(test_large_commands), PROTOCOL_TEST(test_read_underflow),
        PROTOCOL_TEST(test_read_overflow),  PROTOCOL_TEST(test_write_underflow),
        PROTOCOL_TEST(test_write_overflow), PROTOCOL_TEST(test_no_data_but_expected),
        PROTOCOL_TEST(test_inquiry_length), PROTOCOL_TEST(test_wrong_direction),
        PROTOCOL_TEST(test_beyond_the_end), PROTOCOL_TEST(test_fua),
    };

    return unit_run(tests);
}
