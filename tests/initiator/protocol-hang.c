/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: a LUN whose disk does not answer, beside one whose disk does. */
#include "tests/unit/unit.h"

#include <glib/gstdio.h>

#include "tests/initiator/protocol.h"

#define HUNG_LUN     0
#define LBA          2048
#define HANG_TIMEOUT 60000 /* for what may take as long as tmf-timeout */

enum { ABORT_TASK = 1, ABORT_TASK_SET = 2, LUN_RESET = 5 };
enum { COMPLETE = 0, REJECTED = 255 };
enum { BUSY = 0x08, POWER_ON = 0x062900, DEVICE_RESET = 0x062903 };

static void set_hang(bool hang)
{
    const char *sign = g_getenv("RTGT_HANG");

    if (hang)
        assert_true(g_file_set_contents(sign, "", 0, NULL));
    else
        assert_int_equal(g_unlink(sign), 0);
}

static int manage(Session *session, uint8_t function, uint32_t tag)
{
    Pdu request = pdu_new(OP_TMF | PDU_IMMEDIATE, PDU_FINAL | function, session_new_itt(session));
    g_autoptr(Pdu) answer = NULL;

    scsi_put_lun(request.bhs + AT_LUN, HUNG_LUN);
    put_be32(request.bhs + AT_TTT, tag);
    put_be32(request.bhs + 32, session->cmd_sn - 1);
    session_send(session, &request);
    answer = session_await(session, OP_TMF_RESPONSE, HANG_TIMEOUT);
    return answer ? answer->bhs[2] : -1;
}

static void submit(Session *session, Task *task, bool write)
{
    *task = (Task){0};
    scsi_transfer(task, HUNG_LUN, write, LBA, 1, protocol_block_size(), false,
                  protocol_memory(session));
    session_submit(session, task);
}

/* Answered at once, with this; a sense code, or a status. */
static void expect_ready(Session *session, uint32_t answer)
{
    Task task = {0};

    scsi_test_unit_ready(&task, HUNG_LUN);
    assert_true(session_run(session, &task, PATIENCE_MS));
    assert_int_equal(task.status == SCSI_CHECK_CONDITION ? scsi_sense(&task) : task.status, answer);
}

static void expect_busy(Session *session)
{
    Task task;

    expect_ready(session, BUSY);
    for (int i = 0; i < 2; i++) {
        submit(session, &task, i);
        assert_int_equal(protocol_outcome(session, &task, PATIENCE_MS), OUTCOME_STATUS);
        assert_int_equal(task.status, BUSY);
    }
    scsi_inquiry(&task, HUNG_LUN, protocol_memory(session), 36);
    assert_true(session_run(session, &task, PATIENCE_MS));
    assert_int_equal(task.status, SCSI_GOOD);
    protocol_write_read(session, LBA, 65536, 7); /* the other LUN */
}

static void wait_until_ready(Session *session)
{
    Task task = {0};
    gint64 end = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

    do {
        assert_true(g_get_monotonic_time() < end);
        scsi_test_unit_ready(&task, HUNG_LUN);
        assert_true(session_run(session, &task, PATIENCE_MS));
    } while (task.status != SCSI_GOOD);
}

/* The same initiator port; the URL's LUN is ready. */
static Session *open_again(uint64_t isid)
{
    g_autoptr(GError) error = NULL;
    SessionOptions options;
    ScsiCapacity capacity;
    Session *session;

    protocol_options(&options, NULL);
    options.isid = isid;
    session = session_open(&options, &error);
    if (!session || !scsi_wait_ready(&session->base, protocol_url->lun, &capacity, &error))
        fail_msg("%s", error->message);
    return session;
}

static Session *open_both(void)
{
    Session *session = protocol_open(NULL);

    assert_true(scsi_clear_attentions(&session->base, HUNG_LUN, NULL));
    return session;
}

/* At least as long as RTGT_HANG_SECONDS says. */
static void go_on_for_a_while(Session *session, Session *other)
{
    const char *seconds = g_getenv("RTGT_HANG_SECONDS");
    gint64 end = g_get_monotonic_time() + (seconds ? atoi(seconds) : 0) * G_USEC_PER_SEC;

    while (g_get_monotonic_time() < end) {
        expect_busy(session);
        expect_busy(other);
        g_usleep(100000);
    }
}

static void test_hung_write(void **state)
{
    Session *session = open_both(), *other = open_both();
    uint64_t isid = session->options.isid;
    Task task;

    (void)state;
    set_hang(true);
    submit(session, &task, true);
    assert_int_equal(protocol_outcome(session, &task, SILENCE_MS), OUTCOME_NOTHING);
    assert_int_equal(manage(session, ABORT_TASK, task.itt), REJECTED);
    expect_busy(session);
    expect_busy(other);
    assert_int_equal(manage(session, ABORT_TASK, task.itt), REJECTED); /* it is not gone */
    session_give_up(session, &task);
    assert_int_equal(manage(other, LUN_RESET, PDU_NO_TAG), REJECTED);
    expect_ready(other, DEVICE_RESET);
    expect_ready(session, DEVICE_RESET);
    go_on_for_a_while(session, other);

    /* The session ends; what its write holds does not; the initiator comes back. */
    protocol_drop(session);
    session = open_again(isid);
    expect_ready(session, POWER_ON);
    expect_busy(session);
    set_hang(false);
    wait_until_ready(session);
    expect_ready(other, 0);
    assert_int_equal(manage(other, LUN_RESET, PDU_NO_TAG), COMPLETE);
    protocol_close(session);
    protocol_close(other);
}

/* Nobody waits for a read; that its buffer does not come back marks the LUN as well. */
static void test_hung_reads(void **state)
{
    Session *session = open_both();
    Task tasks[32], task;
    bool busy = false;

    (void)state;
    set_hang(true);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(tasks); i++)
            submit(session, &tasks[i], false);
        assert_int_equal(protocol_outcome(session, &tasks[0], SILENCE_MS), OUTCOME_NOTHING);
        assert_int_equal(manage(session, ABORT_TASK_SET, PDU_NO_TAG), COMPLETE);
        for (size_t i = 0; i < G_N_ELEMENTS(tasks); i++)
            session_give_up(session, &tasks[i]);
    }
    protocol_write_read(session, LBA, 65536, 8);
    while (!busy) { /* until the mark is there, reads just hang */
        submit(session, &task, false);
        busy = protocol_outcome(session, &task, SILENCE_MS) == OUTCOME_STATUS;
        if (!busy) {
            assert_int_equal(manage(session, ABORT_TASK, task.itt), COMPLETE);
            session_give_up(session, &task);
        }
    }
    expect_busy(session);
    set_hang(false);
    wait_until_ready(session);
    protocol_close(session);
}

int protocol_hang_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_hung_write),
        PROTOCOL_TEST(test_hung_reads),
    };
    return unit_run(tests);
}
