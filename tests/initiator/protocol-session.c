/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: the full feature phase beside data (RFC 7143 sections 4.2.2, 6.3.5, 11.7 to
 * 11.19). */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol.h"

#include <string.h>

#define LBA 2048

static void test_nop_out(void **state)
{
    static const uint32_t sizes[] = {0, 1, 3, 4, 100, 4096, 8192};
    Session *session = protocol_open(NULL);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
        protocol_ping(session, sizes[i]);
    /* Without a tag no answer is wanted; the window and the session go on. */
    session_nop_out(session, PDU_NO_TAG, PDU_NO_TAG, NULL, 0);
    assert_int_equal(protocol_outcome(session, NULL, SILENCE_MS), OUTCOME_NOTHING);
    assert_true(g_queue_is_empty(&session->inbox));
    protocol_ping(session, 10);
    protocol_close(session);
}

/* An answer to a ping that never was. */
static void test_nop_out_false_answer(void **state)
{
    Session *session = protocol_open(NULL);

    (void)state;
    session->options.quiet = true;
    session_nop_out(session, PDU_NO_TAG, 0x12345678, NULL, 0);
    if (protocol_outcome(session, NULL, SILENCE_MS) != OUTCOME_CLOSED)
        protocol_ping(session, 0);
    protocol_drop(session);
}

static Pdu *text_exchange(Session *session, const char *text, size_t len)
{
    Pdu request = pdu_new(OP_TEXT, PDU_FINAL, session_new_itt(session));

    put_be32(request.bhs + AT_TTT, PDU_NO_TAG);
    pdu_set_data(&request, text, (uint32_t)len);
    session_send(session, &request);
    return session_await(session, OP_TEXT_RESPONSE, PATIENCE_MS);
}

static void test_text(void **state)
{
    static const char unknown[] = "X-org.example.k=1", declare[] = "MaxRecvDataSegmentLength=65536";
    Session *session = protocol_open(NULL);
    g_autoptr(Pdu) nothing = NULL, key = NULL, limit = NULL;

    (void)state;
    nothing = text_exchange(session, NULL, 0);
    assert_non_null(nothing);
    assert_true(nothing->bhs[AT_FLAGS] & PDU_FINAL);
    assert_int_equal(get_be32(nothing->bhs + AT_TTT), PDU_NO_TAG);
    key = text_exchange(session, unknown, sizeof(unknown));
    assert_non_null(key);
    assert_int_equal(key->len, sizeof("X-org.example.k=NotUnderstood"));
    assert_memory_equal(key->data, "X-org.example.k=NotUnderstood", key->len);
    limit = text_exchange(session, declare, sizeof(declare));
    assert_non_null(limit);
    protocol_write_read(session, LBA, 65536, 1);
    protocol_close(session);
}

/* Keys of the login only, in full feature phase: refused, and without effect. */
static void test_text_login_keys(void **state)
{
    static const char keys[] = "MaxConnections=1\0HeaderDigest=CRC32C\0ImmediateData=No";
    Session *session = protocol_open(NULL);
    g_autoptr(Pdu) answer = NULL;

    (void)state;
    session->options.quiet = true;
    answer = text_exchange(session, keys, sizeof(keys));
    if (answer) {
        assert_null(g_strstr_len((const char *)answer->data, answer->len, "HeaderDigest=CRC32C"));
        protocol_write_read(session, LBA, 65536, 2);
    } else {
        assert_true(session->base.rejects || session->base.error);
    }
    protocol_drop(session);
}

static int logout_with(Session *session, uint8_t reason, uint16_t cid)
{
    Pdu request = pdu_new(OP_LOGOUT | PDU_IMMEDIATE, PDU_FINAL | reason, session_new_itt(session));
    g_autoptr(Pdu) answer = NULL;

    put_be16(request.bhs + 20, cid);
    session_send(session, &request);
    answer = session_await(session, OP_LOGOUT_RESPONSE, PATIENCE_MS);
    return answer ? answer->bhs[2] : -1;
}

static void test_logout(void **state)
{
    Session *session = protocol_open(NULL);

    (void)state;
    assert_int_equal(logout_with(session, 1, 0), 0);
    assert_true(session_await_end(session, PATIENCE_MS));
    assert_int_equal(session->base.violations && !session->options.quiet, 0);
    session_free(session);
    session = protocol_open(NULL);
    assert_int_equal(logout_with(session, 1, 77), 1);
    protocol_ping(session, 0);
    protocol_close(session);
    session = protocol_open(NULL);
    session->options.quiet = true;
    assert_int_not_equal(logout_with(session, 2, 0), 0);
    protocol_drop(session);
}

/* Outside the window a command is dropped in silence (section 4.2.2.1). */
static void test_outside_the_window(void **state)
{
    const int32_t away[] = {-1, -1000, (int32_t)0x80000001};
    Session *session = protocol_open(NULL);
    Task task = {0};

    (void)state;
    for (size_t i = 0; i <= G_N_ELEMENTS(away); i++) {
        uint32_t sn = i < G_N_ELEMENTS(away) ? session->exp_cmd_sn + (uint32_t)away[i]
                                             : session->max_cmd_sn + 1;
        Pdu command;

        scsi_test_unit_ready(&task, protocol_url->lun);
        session_expect(session, &task);
        command = protocol_command(session, &task);
        session->cmd_sn--;
        put_be32(command.bhs + AT_CMD_SN, sn);
        session->wire->ops->send(session->wire, &command);
        assert_int_equal(protocol_outcome(session, &task, SILENCE_MS), OUTCOME_NOTHING);
        session_give_up(session, &task);
    }
    protocol_write_read(session, LBA, 4096, 5);
    protocol_close(session);
}

/* The last number of the window (or of what we can hold) is inside. It waits for those before. */
static void test_window_edge(void **state)
{
    Session *session = protocol_open(NULL);
    uint32_t first = session->cmd_sn, room = MIN(session_window(session), PROTOCOL_DEPTH);
    g_autofree Task *tasks = g_new0(Task, room);

    (void)state;
    assert_true(room >= 8);
    for (uint32_t i = room; i-- > 0;) {
        Pdu command;

        scsi_test_unit_ready(&tasks[i], protocol_url->lun);
        session_expect(session, &tasks[i]);
        command = protocol_command(session, &tasks[i]);
        put_be32(command.bhs + AT_CMD_SN, first + i);
        session->wire->ops->send(session->wire, &command);
        session->cmd_sn = first + room;
        if (i > 0 && i % 16 == 0)
            assert_int_equal(protocol_outcome(session, &tasks[room - 1], 1), OUTCOME_NOTHING);
    }
    for (uint32_t i = 0; i < room; i++)
        assert_int_equal(protocol_outcome(session, &tasks[i], PATIENCE_MS), OUTCOME_GOOD);
    protocol_close(session);
}

/* Two writes to one block, sent in the wrong order: the later number must win. */
static void test_out_of_order(void **state)
{
    Session *session = protocol_open("InitialR2T=Yes,ImmediateData=Yes");
    uint32_t bs = protocol_block_size();
    uint8_t *memory = protocol_memory(session);

    (void)state;
    if (!session->params.value[KEY_IMMEDIATE_DATA]) {
        protocol_close(session);
        unit_skip("the target takes no immediate data");
    }
    for (int round = 0; round < 20; round++) {
        Task tasks[2] = {0};
        uint32_t first = session->cmd_sn;

        for (int i = 1; i >= 0; i--) {
            uint8_t *data = memory + (uint32_t)i * bs;
            Pdu command;

            protocol_pattern(data, bs, (uint32_t)(round * 2 + i));
            scsi_transfer(&tasks[i], protocol_url->lun, true, LBA, 1, bs, false, data);
            tasks[i].buffer.to_target = true;
            session_expect(session, &tasks[i]);
            command = protocol_command(session, &tasks[i]);
            command.bhs[AT_FLAGS] = (command.bhs[AT_FLAGS] & ~7) | 2; /* ordered */
            put_be32(command.bhs + AT_CMD_SN, first + (uint32_t)i);
            tasks[i].sent = tasks[i].solicited = bs;
            pdu_set_data(&command, data, bs);
            session->cmd_sn = first + 2;
            session->wire->ops->send(session->wire, &command);
        }
        for (int i = 0; i < 2; i++)
            assert_int_equal(protocol_outcome(session, &tasks[i], PATIENCE_MS), OUTCOME_GOOD);
        assert_true(protocol_reads_back(session, LBA, bs, (uint32_t)(round * 2 + 1)));
    }
    protocol_close(session);
}

static void test_immediate_command(void **state)
{
    Session *session = protocol_open(NULL);
    uint32_t before = session->cmd_sn;
    Task task = {.immediate = true};

    (void)state;
    scsi_test_unit_ready(&task, protocol_url->lun);
    assert_true(session_run(session, &task, PATIENCE_MS));
    assert_int_equal(task.status, SCSI_GOOD);
    assert_int_equal(session->cmd_sn, before);
    protocol_ping(session, 0);
    protocol_close(session);
}

static void test_unknown_lun(void **state)
{
    static const uint64_t luns[] = {200, 255, 4711, 16383};
    Session *session = protocol_open(NULL);
    Task task = {0};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(luns); i++) {
        scsi_test_unit_ready(&task, luns[i]);
        assert_true(session_run(session, &task, PATIENCE_MS));
        assert_int_equal(task.status, SCSI_CHECK_CONDITION);
        assert_int_equal(scsi_sense(&task), 0x052500);
    }
    protocol_close(session);
}

/* The same name and ISID log in again: the old session ends, the new one works (section 6.3.5). */
static void test_reinstatement(void **state)
{
    Session *old = protocol_open(NULL), *new;
    g_autoptr(GError) error = NULL;
    SessionOptions options;

    (void)state;
    protocol_options(&options, NULL);
    options.isid = old->options.isid;
    new = session_open(&options, &error);
    if (!new)
        fail_msg("%s", error->message);
    assert_true(session_await_end(old, PATIENCE_MS));
    session_free(old);
    protocol_write_read(new, LBA, 65536, 6);
    protocol_close(new);
}

int protocol_session_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_nop_out),
        PROTOCOL_TEST(test_nop_out_false_answer),
        PROTOCOL_TEST(test_text),
        PROTOCOL_TEST(test_text_login_keys),
        PROTOCOL_TEST(test_logout),
        PROTOCOL_TEST(test_outside_the_window),
        PROTOCOL_TEST(test_window_edge),
        PROTOCOL_TEST(test_out_of_order),
        PROTOCOL_TEST(test_immediate_command),
        PROTOCOL_TEST(test_unknown_lun),
        PROTOCOL_TEST(test_reinstatement),
    };

    return unit_run(tests);
}
