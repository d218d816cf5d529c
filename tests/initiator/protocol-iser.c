/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: what is iSER's own (RFC 7145). */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol.h"

#include <string.h>

#include "tests/initiator/iser.h"

#define LBA 2048

static Session *open_rogue(void)
{
    Session *session = protocol_open(NULL);

    session->options.quiet = true;
    return session;
}

/* The connection may be refused or accepted, and what is accepted must work. */
static void test_private_data(void **state)
{
    static const struct {
        uint8_t bytes[56];
        uint8_t len;
    } cases[] = {{{0}, 0},          {{0xc0}, 1},
                 {{0xc0, 0, 0}, 3}, {{0xff, 0xff, 0xff, 0xff}, 4},
                 {{0x00}, 4},       {{0xc0, 1, 2, 3, 4, 5, 6, 7}, 56}};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GBytes) data = g_bytes_new_static(cases[i].bytes, cases[i].len);
        g_autoptr(GError) error = NULL;
        SessionOptions options;
        Session *session;

        protocol_options(&options, NULL);
        options.wire.cm_data = data;
        options.quiet = true;
        session = session_open(&options, &error);
        if (session)
            protocol_write_read(session, LBA, 4096, (uint32_t)i);
        session_free(session);
    }
}

static void expect_login_refused(const char *keys)
{
    g_autoptr(Session) session = protocol_connect(keys);
    g_autoptr(GError) error = NULL;

    session->options.quiet = true;
    assert_false(login_run(session, PATIENCE_MS, &error));
    assert_false(session->login_class == 0 && !session->base.error &&
                 session->params.value[KEY_RDMA_EXTENSIONS]);
}

static void test_without_extensions(void **state)
{
    (void)state;
    expect_login_refused("RDMAExtensions=");
    expect_login_refused("RDMAExtensions=No");
}

static void raw_message(uint8_t opcode, const Pdu *pdu, uint8_t *message)
{
    memset(message, 0, ISER_HEADER + PDU_BHS);
    message[0] = opcode;
    if (pdu)
        memcpy(message + ISER_HEADER, pdu->bhs, PDU_BHS);
}

/* A Hello where none was agreed on, before login and after. */
static void test_hello(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        Session *session = late ? open_rogue() : protocol_connect(NULL);
        uint8_t hello[ISER_HEADER] = {ISER_HELLO, 0x11};

        session->options.quiet = true;
        session->wire->ops->send_raw(session->wire, hello, sizeof(hello));
        protocol_outcome(session, NULL, SILENCE_MS);
        protocol_drop(session);
    }
}

static void test_broken_messages(void **state)
{
    static const uint8_t opcodes[] = {0x00, 0x40, 0xf0, 0xff};
    static const size_t lengths[] = {0, 1, ISER_HEADER - 1, ISER_HEADER, ISER_HEADER + PDU_BHS - 1};
    uint8_t message[ISER_HEADER + PDU_BHS];
    Pdu nop = pdu_new(OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL, 1);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes) + G_N_ELEMENTS(lengths); i++) {
        Session *session = open_rogue();
        bool by_opcode = i < G_N_ELEMENTS(opcodes);

        raw_message(by_opcode ? opcodes[i] : ISER_CONTROL, &nop, message);
        session->wire->ops->send_raw(session->wire, message,
                                     by_opcode ? sizeof(message)
                                               : lengths[i - G_N_ELEMENTS(opcodes)]);
        protocol_outcome(session, NULL, SILENCE_MS);
        protocol_drop(session);
    }
}

/* A data segment length that is not what the message holds. */
static void test_lying_length(void **state)
{
    static const uint32_t lengths[] = {1, 512, 8192, PDU_DATA_MAX};
    uint8_t message[ISER_HEADER + PDU_BHS];

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        Session *session = open_rogue();
        Pdu nop = pdu_new(OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL, session_new_itt(session));

        put_be24(nop.bhs + AT_DATA_LENGTH, lengths[i]);
        put_be32(nop.bhs + AT_TTT, PDU_NO_TAG);
        session_number(session, &nop);
        raw_message(ISER_CONTROL, &nop, message);
        session->wire->ops->send_raw(session->wire, message, sizeof(message));
        protocol_outcome(session, NULL, SILENCE_MS);
        protocol_drop(session);
    }
}

/* Longer than what the target said it receives. */
static void test_message_too_long(void **state)
{
    Session *session = open_rogue();
    uint32_t len = ISER_HEADER + PDU_BHS + session->send_limit + 4096;
    g_autofree uint8_t *message = g_malloc0(len);
    Pdu nop = pdu_new(OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL, 7);

    (void)state;
    put_be24(nop.bhs + AT_DATA_LENGTH, session->send_limit + 4096);
    raw_message(ISER_CONTROL, &nop, message);
    session->wire->ops->send_raw(session->wire, message, len);
    assert_int_not_equal(protocol_outcome(session, NULL, PATIENCE_MS), OUTCOME_NOTHING);
    protocol_drop(session);
}

/* Keys nobody gave out, or none at all, for data in both directions. */
static void test_bad_advertisement(void **state)
{
    static const struct {
        uint8_t flags;
        uint32_t stag;
        uint64_t base;
    } cases[] = {{ISER_WSV | ISER_RSV, 0xdeadbeef, 0x1000},
                 {ISER_WSV | ISER_RSV, 0, 0},
                 {0, 0, 0},
                 {ISER_RSV, 0xffffffff, UINT64_MAX}};

    (void)state;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        Session *session = open_rogue();
        uint32_t bs = protocol_block_size();
        uint8_t message[ISER_HEADER + PDU_BHS];
        bool write = i & 1;
        Task task = {0};
        Outcome outcome;
        Pdu command;

        scsi_transfer(&task, protocol_url->lun, write, LBA, 16384 / bs, bs, false,
                      protocol_memory(session));
        session_expect(session, &task);
        command = protocol_command(session, &task);
        raw_message(ISER_CONTROL | cases[i / 2].flags, &command, message);
        put_be32(message + ISER_AT_WRITE_STAG, cases[i / 2].stag);
        put_be64(message + ISER_AT_WRITE_BASE, cases[i / 2].base);
        put_be32(message + ISER_AT_READ_STAG, cases[i / 2].stag);
        put_be64(message + ISER_AT_READ_BASE, cases[i / 2].base);
        session->wire->ops->send_raw(session->wire, message, sizeof(message));
        outcome = protocol_outcome(session, &task, PATIENCE_MS);
        session_give_up(session, &task);
        protocol_drop(session);
        assert_int_not_equal(outcome, OUTCOME_NOTHING);
        assert_int_not_equal(outcome, OUTCOME_GOOD);
    }
}

static void test_immediate_data(void **state)
{
    static const char *const ways[] = {"ImmediateData=Yes,InitialR2T=Yes",
                                       "ImmediateData=Yes,InitialR2T=No",
                                       "ImmediateData=Yes,TargetRecvDataSegmentLength=4096",
                                       "ImmediateData=Yes,TaggedBufferForSolicitedDataOnly=Yes"};
    static const uint32_t sizes[] = {4096, 8192, 12288, 65536, 262144};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        Session *session = protocol_open(ways[i]);

        if (!session->params.value[KEY_IMMEDIATE_DATA])
            print_message("the target refuses immediate data\n");
        for (size_t n = 0; n < G_N_ELEMENTS(sizes); n++)
            protocol_write_read(session, LBA, sizes[n], (uint32_t)(i * 8 + n));
        protocol_close(session);
    }
}

/* Windows of exactly the buffer, taken back by the target where both sides agreed, else by us. */
static void test_send_with_invalidate(void **state)
{
    g_autoptr(GError) error = NULL;
    SessionOptions options;
    Session *session;

    (void)state;
    protocol_options(&options, NULL);
    options.wire.invalidate = true;
    session = session_open(&options, &error);
    if (!session)
        fail_msg("%s", error->message);
    for (uint32_t i = 0; i < 200; i++)
        protocol_write_read(session, LBA + i * 8, 4096 << (i % 6), i);
    protocol_close(session);
}

int protocol_iser_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_private_data),
        PROTOCOL_TEST(test_without_extensions),
        PROTOCOL_TEST(test_hello),
        PROTOCOL_TEST(test_broken_messages),
        PROTOCOL_TEST(test_lying_length),
        PROTOCOL_TEST(test_message_too_long),
        PROTOCOL_TEST(test_bad_advertisement),
        PROTOCOL_TEST(test_immediate_data),
        PROTOCOL_TEST(test_send_with_invalidate),
    };

    return unit_run(tests);
}
