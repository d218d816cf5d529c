/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: what only a byte stream can do wrong - digests, lengths, R2T and Data-Out. */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol.h"

#include <string.h>

#define LBA 2048

static Session *open_rogue(const char *keys)
{
    Session *session = protocol_open(keys);

    session->options.quiet = true;
    return session;
}

static void send_raw(Session *session, const void *bytes, size_t len)
{
    session->wire->ops->send_raw(session->wire, bytes, len);
}

static Session *open_with_digests(const char *header, const char *data)
{
    g_autoptr(GError) error = NULL;
    SessionOptions options;
    Session *session;

    protocol_options(&options, "ImmediateData=Yes");
    text_keys_set(options.keys, "HeaderDigest", header);
    text_keys_set(options.keys, "DataDigest", data);
    session = session_open(&options, &error);
    text_keys_free(options.keys);
    if (!session)
        fail_msg("%s", error->message);
    session->options.keys = NULL;
    return session;
}

static void test_digests(void **state)
{
    static const char *const lists[] = {"None", "CRC32C,None"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        Session *session = open_with_digests(lists[i & 1], lists[i >> 1]);

        if (session->params.value[KEY_HEADER_DIGEST] != (uint32_t)(i & 1))
            print_message("the target refused header digests\n");
        protocol_write_read(session, LBA, 266240, (uint32_t)i);
        protocol_ping(session, 5);
        protocol_close(session);
    }
}

static void test_bad_digests(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        Session *session = open_with_digests("CRC32C,None", "CRC32C,None");
        uint32_t bs = protocol_block_size();
        Task task = {0};
        Outcome outcome;

        if (!session->params.value[KEY_HEADER_DIGEST] || !session->params.value[KEY_DATA_DIGEST]) {
            protocol_close(session);
            unit_skip("the target refuses digests");
        }
        protocol_write(session, LBA, bs, 20);
        session->options.quiet = true;
        protocol_pattern(protocol_memory(session), bs, 21);
        session->wire->ops->spoil_digest(session->wire, i == 0, i == 1);
        scsi_transfer(&task, protocol_url->lun, true, LBA, 1, bs, false, protocol_memory(session));
        session_submit(session, &task);
        outcome = protocol_outcome(session, &task, PATIENCE_MS);
        protocol_drop(session);
        assert_true(outcome == OUTCOME_CLOSED || outcome == OUTCOME_REJECT ||
                    outcome == OUTCOME_STATUS);
        session = protocol_open(NULL);
        assert_true(protocol_reads_back(session, LBA, bs, 20));
        protocol_close(session);
    }
}

/* Solicited data with a wrong digest (section 7.8): a Reject, and the command fails, but nothing
 * else does. */
static void test_spoilt_data(void **state)
{
    Session *session = open_with_digests("None", "CRC32C,None");
    uint32_t bs = protocol_block_size();
    Task task = {0};

    (void)state;
    if (!session->params.value[KEY_DATA_DIGEST]) {
        protocol_close(session);
        unit_skip("the target refuses digests");
    }
    protocol_write(session, LBA, 262144, 30);
    session->wire->ops->spoil_digest(session->wire, false, true);
    session->params.value[KEY_IMMEDIATE_DATA] = 0;
    scsi_transfer(&task, protocol_url->lun, true, LBA, 262144 / bs, bs, false,
                  protocol_memory(session));
    assert_true(session_run(session, &task, PATIENCE_MS));
    session->wire->ops->spoil_digest(session->wire, false, false);
    assert_int_equal(task.status, 2);
    assert_int_equal(scsi_sense(&task), 0x0b4705);
    assert_true(session->rejects > 0);
    protocol_ping(session, 17);
    protocol_write_read(session, LBA, 262144, 31);
    protocol_close(session);
}

/* The initiator declares a shorter data segment while it reads: commands that were there before
 * may be answered in the longer ones. */
static void test_shorter_segments(void **state)
{
    static const char text[] = "MaxRecvDataSegmentLength=512";
    Session *session = protocol_open("MaxRecvDataSegmentLength=65536");
    Pdu request = pdu_new(OP_TEXT, PDU_FINAL, session_new_itt(session));
    g_autoptr(Pdu) answer = NULL;

    (void)state;
    put_be32(request.bhs + AT_TTT, PDU_NO_TAG);
    pdu_set_data(&request, text, sizeof(text));
    session_send(session, &request);
    answer = session_await(session, OP_TEXT_RESPONSE, PATIENCE_MS);
    assert_non_null(answer);
    assert_true(answer->len > sizeof("MaxRecvDataSegmentLength="));
    assert_memory_equal(answer->data, text, strlen("MaxRecvDataSegmentLength="));
    session->params.mine[KEY_MAX_RECV_DSL] = 512;
    session->options.wire.max_data = 512;
    assert_true(session->wire->ops->full_feature(session->wire, &session->params, NULL));
    protocol_write_read(session, LBA, 65536, 32);
    protocol_close(session);
}

static void test_garbage(void **state)
{
    uint8_t garbage[8192];

    (void)state;
    for (int round = 0; round < 16; round++) {
        Session *session = round & 1 ? open_rogue(NULL) : protocol_connect(NULL);

        session->options.quiet = true;
        for (size_t i = 0; i < sizeof(garbage); i++)
            garbage[i] = (uint8_t)g_random_int();
        send_raw(session, garbage, (size_t)g_random_int_range(1, sizeof(garbage)));
        protocol_outcome(session, NULL, SILENCE_MS);
        protocol_drop(session);
    }
}

static void test_http(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: target.example.org\r\n"
                                  "Accept: */*\r\nUser-Agent: lost\r\n\r\n";
    Session *session = protocol_connect(NULL);

    (void)state;
    session->options.quiet = true;
    send_raw(session, request, sizeof(request) - 1);
    protocol_outcome(session, NULL, SILENCE_MS);
    protocol_drop(session);
}

/* A PDU cut off at every length of its header, and in its data. */
static void test_half_pdu(void **state)
{
    (void)state;
    for (size_t len = 1; len < PDU_BHS + 64; len += 9) {
        Session *session = open_rogue(NULL);
        uint8_t bytes[PDU_BHS + 64] = {OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL};

        put_be24(bytes + AT_DATA_LENGTH, 64);
        put_be32(bytes + AT_TTT, PDU_NO_TAG);
        send_raw(session, bytes, len);
        session_turn(session, 10);
        protocol_drop(session);
    }
}

/* The witness works while this one stands in the middle of a PDU. */
static void test_stalled_pdu(void **state)
{
    Session *session = open_rogue(NULL), *login = protocol_connect(NULL);
    uint8_t bytes[PDU_BHS] = {OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL};

    put_be24(bytes + AT_DATA_LENGTH, 4096);
    send_raw(session, bytes, sizeof(bytes));
    send_raw(login, bytes, 20);
    session_turn(session, 10);
    session_turn(login, 10);
    for (uint32_t i = 0; i < 20; i++)
        protocol_write_read(*state, 0, 65536, i);
    protocol_drop(login);
    protocol_drop(session);
}

static void test_segment_too_long(void **state)
{
    (void)state;
    for (int huge = 0; huge < 2; huge++) {
        Session *session = open_rogue(NULL);
        uint32_t len = huge ? PDU_DATA_MAX : session->send_limit + 4;
        Pdu pdu = pdu_new(OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL, session_new_itt(session));
        Outcome outcome;

        put_be32(pdu.bhs + AT_TTT, PDU_NO_TAG);
        session_number(session, &pdu);
        pdu_set_data(&pdu, protocol_memory(session), len);
        session->wire->ops->send(session->wire, &pdu);
        outcome = protocol_outcome(session, NULL, PATIENCE_MS);
        protocol_drop(session);
        assert_true(outcome == OUTCOME_CLOSED || outcome == OUTCOME_REJECT);
    }
}

static void test_login_segment_too_long(void **state)
{
    Session *session = protocol_connect(NULL);
    g_autofree uint8_t *data = g_malloc0(65536);
    Pdu pdu = login_request(session, LOGIN_FLAGS(STAGE_SECURITY, STAGE_OPERATIONAL));

    (void)state;
    session->options.quiet = true;
    session->in_login = true;
    session->login_class = 0xff;
    pdu_set_data(&pdu, data, 65536);
    session_send(session, &pdu);
    assert_true(protocol_outcome(session, NULL, PATIENCE_MS) != OUTCOME_NOTHING ||
                !g_queue_is_empty(&session->inbox));
    protocol_drop(session);
}

/* Header segments of every length the field can say, of types nobody knows. */
static void test_additional_headers(void **state)
{
    static const uint8_t words[] = {1, 4, 255};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        Session *session = open_rogue(NULL);
        uint8_t bytes[PDU_BHS + 4 * 255] = {0};
        Task task = {0};
        Pdu command;

        scsi_test_unit_ready(&task, protocol_url->lun);
        session_expect(session, &task);
        command = protocol_command(session, &task);
        memcpy(bytes, command.bhs, PDU_BHS);
        bytes[4] = words[i];
        memset(bytes + PDU_BHS, 0xff, 4U * words[i]);
        send_raw(session, bytes, PDU_BHS + 4U * words[i]);
        assert_int_not_equal(protocol_outcome(session, &task, PATIENCE_MS), OUTCOME_NOTHING);
        session_give_up(session, &task);
        protocol_drop(session);
    }
}

typedef struct {
    const char *name;
    int32_t itt, ttt, offset, data_sn; /* added to the right value */
    uint32_t len;                      /* instead of what was asked for, if not 0 */
    bool not_final, twice;
} WrongData;

/* Answers an R2T for 8 blocks wrongly. */
static Outcome answer_wrongly(Session *session, Task *task, const WrongData *wrong, int timeout_ms)
{
    g_autoptr(Pdu) r2t = NULL;
    Pdu pdu;
    uint32_t len;

    session_submit(session, task);
    r2t = session_await(session, OP_R2T, PATIENCE_MS);
    assert_non_null(r2t);
    len = wrong->len ? wrong->len : get_be32(r2t->bhs + AT_LENGTH);
    pdu = pdu_new(OP_DATA_OUT, wrong->not_final ? 0 : PDU_FINAL, task->itt + (uint32_t)wrong->itt);
    memcpy(pdu.bhs + AT_LUN, r2t->bhs + AT_LUN, 8);
    put_be32(pdu.bhs + AT_TTT, get_be32(r2t->bhs + AT_TTT) + (uint32_t)wrong->ttt);
    put_be32(pdu.bhs + AT_EXP_STAT_SN, session->stat_sn);
    put_be32(pdu.bhs + AT_DATA_SN, (uint32_t)wrong->data_sn);
    put_be32(pdu.bhs + AT_OFFSET, get_be32(r2t->bhs + AT_OFFSET) + (uint32_t)wrong->offset);
    pdu_set_data(&pdu, protocol_memory(session), len);
    session->wire->ops->send(session->wire, &pdu);
    if (wrong->twice)
        session->wire->ops->send(session->wire, &pdu);
    return protocol_outcome(session, task, timeout_ms);
}

static void test_wrong_data_out(void **state)
{
    static const WrongData wrongs[] = {
        {.name = "task tag", .itt = 1},
        {.name = "transfer tag", .ttt = 1},
        {.name = "offset behind", .offset = 512},
        {.name = "offset beyond the buffer", .offset = 1 << 20},
        {.name = "negative offset", .offset = -512},
        {.name = "DataSN", .data_sn = 1},
        {.name = "too long", .len = 8192},
        {.name = "too short", .len = 512},
        {.name = "not final", .not_final = true},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(wrongs); i++) {
        Session *session = open_rogue("ImmediateData=No,InitialR2T=Yes");
        uint32_t bs = protocol_block_size(), len = 4096;
        Task task = {0};
        Outcome outcome;

        protocol_write(session, LBA + len / bs, 3 * len, 30);
        protocol_pattern(protocol_memory(session), 4 * len, 31);
        session->manual_r2t = true;
        scsi_transfer(&task, protocol_url->lun, true, LBA, len / bs, bs, false,
                      protocol_memory(session));
        outcome = answer_wrongly(session, &task, &wrongs[i], SILENCE_MS);
        session_give_up(session, &task);
        protocol_drop(session);
        if (outcome == OUTCOME_GOOD)
            fail_msg("%s: the target took it", wrongs[i].name);
        session = protocol_open(NULL);
        /* Whatever became of the command, nothing behind its blocks may have changed. */
        assert_true(protocol_reads_back(session, LBA + len / bs, 3 * len, 30));
        protocol_close(session);
    }
}

/* The right answer by hand, and then twice: the second one belongs to nothing. */
static void test_repeated_data_out(void **state)
{
    const WrongData right = {.name = "right"}, twice = {.twice = true};
    Session *session = open_rogue("ImmediateData=No,InitialR2T=Yes");
    uint32_t bs = protocol_block_size();
    Task task = {0};

    (void)state;
    session->manual_r2t = true;
    scsi_transfer(&task, protocol_url->lun, true, LBA, 4096 / bs, bs, false,
                  protocol_memory(session));
    assert_int_equal(answer_wrongly(session, &task, &right, PATIENCE_MS), OUTCOME_GOOD);
    assert_int_not_equal(answer_wrongly(session, &task, &twice, PATIENCE_MS), OUTCOME_NOTHING);
    session_give_up(session, &task);
    protocol_drop(session);
}

/* A write that promises unsolicited data where there may be none. */
static void test_promised_data(void **state)
{
    Session *session = open_rogue("ImmediateData=No,InitialR2T=Yes");
    uint32_t bs = protocol_block_size();
    Task task = {0};
    Pdu command;

    (void)state;
    scsi_transfer(&task, protocol_url->lun, true, LBA, 8, bs, false, protocol_memory(session));
    session_expect(session, &task);
    command = protocol_command(session, &task);
    command.bhs[AT_FLAGS] &= (uint8_t)~PDU_FINAL;
    session->wire->ops->send(session->wire, &command);
    protocol_outcome(session, &task, SILENCE_MS);
    session_give_up(session, &task);
    protocol_drop(session);
}

/* Answers of 16 MiB that nobody reads. */
static void test_not_reading(void **state)
{
    Session *session = open_rogue(NULL);
    uint32_t bs = protocol_block_size();
    Task tasks[2] = {0};
    bool blocked;

    for (uint32_t i = 0; i < G_N_ELEMENTS(tasks); i++) {
        Pdu command;

        scsi_transfer(&tasks[i], protocol_url->lun, false, LBA, (16 << 20) / bs, bs, false,
                      protocol_memory(session) + i * (16U << 20));
        session_expect(session, &tasks[i]);
        command = protocol_command(session, &tasks[i]);
        session->wire->ops->send(session->wire, &command);
    }
    session_turn(session, 0);
    for (uint32_t i = 0; i < 10; i++)
        protocol_write_read(*state, 0, 65536, i);
    blocked = !tasks[1].finished;
    protocol_drop(session);
    assert_true(blocked);
}

int protocol_stream_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_digests),
        PROTOCOL_TEST(test_bad_digests),
        PROTOCOL_TEST(test_spoilt_data),
        PROTOCOL_TEST(test_shorter_segments),
        PROTOCOL_TEST(test_garbage),
        PROTOCOL_TEST(test_http),
        PROTOCOL_TEST(test_half_pdu),
        PROTOCOL_TEST(test_stalled_pdu),
        PROTOCOL_TEST(test_segment_too_long),
        PROTOCOL_TEST(test_login_segment_too_long),
        PROTOCOL_TEST(test_additional_headers),
        PROTOCOL_TEST(test_wrong_data_out),
        PROTOCOL_TEST(test_repeated_data_out),
        PROTOCOL_TEST(test_promised_data),
        PROTOCOL_TEST(test_not_reading),
    };

    return unit_run(tests);
}
