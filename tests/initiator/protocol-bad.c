/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: PDUs no initiator may send, on any wire. */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol.h"

#include <string.h>

#define LBA   2048
#define TASKS 16

/* A session whose own complaints are of no interest: it misbehaves. */
static Session *open_rogue(const char *keys)
{
    Session *session = protocol_open(keys);

    session->options.quiet = true;
    return session;
}

/* Sends the PDU as it is and wants a reaction. */
static void expect_reaction(const Pdu *pdu)
{
    Session *session = open_rogue(NULL);
    Pdu copy = *pdu;
    Outcome outcome;

    session_number(session, &copy);
    session->wire->ops->send(session->wire, &copy);
    outcome = protocol_outcome(session, NULL, PATIENCE_MS);
    protocol_drop(session);
    if (outcome == OUTCOME_NOTHING)
        fail_msg("opcode %02x was not refused", pdu->bhs[0]);
}

static void test_wrong_opcodes(void **state)
{
    static const uint8_t opcodes[] = {0x07,        0x0f,   0x1c,      0x1e,      0x3e,
                                      OP_RESPONSE, OP_R2T, OP_REJECT, OP_DATA_IN};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        Pdu pdu = pdu_new(opcodes[i], PDU_FINAL, 99);

        expect_reaction(&pdu);
    }
}

static void test_snack(void **state)
{
    Pdu pdu = pdu_new(OP_SNACK, PDU_FINAL, PDU_NO_TAG);

    (void)state;
    put_be32(pdu.bhs + AT_TTT, PDU_NO_TAG);
    expect_reaction(&pdu);
}

/* Data for tasks, transfers and tags that do not exist: refused or ignored, and no harm done. */
static void test_stray_data_out(void **state)
{
    static const uint32_t tags[] = {PDU_NO_TAG, 0, 1, 0x12345678};
    uint8_t data[512] = {0};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(tags); i++) {
        Session *session = open_rogue(NULL);
        Pdu pdu = pdu_new(OP_DATA_OUT, PDU_FINAL, 0x4242);

        put_be32(pdu.bhs + AT_TTT, tags[i]);
        put_be32(pdu.bhs + AT_EXP_STAT_SN, session->stat_sn);
        pdu_set_data(&pdu, data, sizeof(data));
        session->wire->ops->send(session->wire, &pdu);
        if (protocol_outcome(session, NULL, SILENCE_MS) != OUTCOME_CLOSED)
            protocol_ping(session, 0);
        protocol_drop(session);
    }
}

/* A command with strange fields: it may fail in any way, but not stay without an answer. */
static void expect_answer(Session *session, Task *task, Pdu *command)
{
    Outcome outcome;

    session->wire->ops->send(session->wire, command);
    outcome = protocol_outcome(session, task, PATIENCE_MS);
    session_give_up(session, task);
    protocol_drop(session);
    assert_int_not_equal(outcome, OUTCOME_NOTHING);
}

static void test_huge_expected_length(void **state)
{
    static const uint32_t lengths[] = {0xffffffff, 0x80000000, 0x7fffffff, 0xfffffe00};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        Session *session = open_rogue(NULL);
        uint32_t bs = protocol_block_size();
        Task task = {0};
        Pdu command;

        scsi_transfer(&task, protocol_url->lun, false, LBA, 1, bs, false, protocol_memory(session));
        session_expect(session, &task);
        command = protocol_command(session, &task);
        command.buffer = &task.buffer;
        put_be32(command.bhs + AT_TTT, lengths[i]);
        expect_answer(session, &task, &command);
    }
}

static void test_huge_cdb_length(void **state)
{
    (void)state;
    for (int write = 0; write < 2; write++) {
        Session *session = open_rogue(NULL);
        uint32_t bs = protocol_block_size();
        Task task = {0};
        Pdu command;

        scsi_transfer(&task, protocol_url->lun, write, LBA, 8, bs, false, protocol_memory(session));
        memset(task.cdb, 0, sizeof(task.cdb));
        task.cdb[0] = write ? 0x8a : 0x88;
        memset(task.cdb + 10, 0xff, 4);
        session_expect(session, &task);
        task.buffer.to_target = write;
        command = protocol_command(session, &task);
        command.buffer = &task.buffer;
        expect_answer(session, &task, &command);
    }
}

static void test_strange_flags(void **state)
{
    static const uint8_t flags[] = {0xe1, 0x87, 0x9f, 0xff, 0x01, 0x41};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        Session *session = open_rogue(NULL);
        uint32_t bs = protocol_block_size();
        Task task = {0};
        Pdu command;

        scsi_transfer(&task, protocol_url->lun, false, LBA, 1, bs, false, protocol_memory(session));
        session_expect(session, &task);
        command = protocol_command(session, &task);
        command.buffer = &task.buffer;
        command.bhs[AT_FLAGS] = flags[i];
        session->wire->ops->send(session->wire, &command);
        /* It may even wait for data that these flags promise; others must not. */
        if (protocol_outcome(session, &task, SILENCE_MS) != OUTCOME_CLOSED)
            protocol_ping(session, 0);
        session_give_up(session, &task);
        protocol_drop(session);
    }
}

/* More immediate data than FirstBurstLength, than the expected length, or where none is allowed. */
static void test_too_much_immediate_data(void **state)
{
    static const struct {
        const char *keys;
        uint32_t expected, immediate;
    } cases[] = {
        {"ImmediateData=Yes,FirstBurstLength=512", 4096, 4096},
        {"ImmediateData=Yes", 512, 4096},
        {"ImmediateData=No", 4096, 4096},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Session *session = open_rogue(cases[i].keys);
        uint32_t bs = protocol_block_size();
        Task task = {0};
        Outcome outcome;
        Pdu command;

        scsi_transfer(&task, protocol_url->lun, true, LBA, cases[i].expected / bs, bs, false,
                      protocol_memory(session));
        session_expect(session, &task);
        task.buffer.to_target = true;
        command = protocol_command(session, &task);
        command.buffer = &task.buffer;
        pdu_set_data(&command, protocol_memory(session), cases[i].immediate);
        session->wire->ops->send(session->wire, &command);
        outcome = protocol_outcome(session, &task, PATIENCE_MS);
        session_give_up(session, &task);
        protocol_drop(session);
        assert_int_not_equal(outcome, OUTCOME_NOTHING);
        assert_int_not_equal(outcome, OUTCOME_GOOD);
    }
}

/* The same tag for two commands at once. */
static void test_duplicate_tag(void **state)
{
    Session *session = open_rogue(NULL);
    uint32_t bs = protocol_block_size();
    Task task = {0};
    Pdu command;

    (void)state;
    scsi_transfer(&task, protocol_url->lun, false, LBA, 8, bs, false, protocol_memory(session));
    session_expect(session, &task);
    command = protocol_command(session, &task);
    command.buffer = &task.buffer;
    session->wire->ops->send(session->wire, &command);
    session_number(session, &command);
    session->wire->ops->send(session->wire, &command);
    assert_int_not_equal(protocol_outcome(session, &task, PATIENCE_MS), OUTCOME_NOTHING);
    session_give_up(session, &task);
    protocol_drop(session);
}

/* Large writes and reads under way when the connection goes, again and again. */
static void test_gone_in_mid_transfer(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        Session *session = open_rogue(NULL);
        uint32_t bs = protocol_block_size(), len = 1 << 20;
        g_autofree Task *tasks = g_new0(Task, TASKS);

        for (uint32_t i = 0; i < TASKS; i++) {
            scsi_transfer(&tasks[i], protocol_url->lun, i & 1, LBA + i * (len / bs), len / bs, bs,
                          false, protocol_memory(session) + i * len);
            session_submit(session, &tasks[i]);
        }
        for (int turns = 0; turns < round; turns++)
            session_turn(session, 1);
        protocol_drop(session);
        assert_true(tasks[0].finished);
    }
}

int protocol_bad_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_wrong_opcodes),           PROTOCOL_TEST(test_snack),
        PROTOCOL_TEST(test_stray_data_out),          PROTOCOL_TEST(test_huge_expected_length),
        PROTOCOL_TEST(test_huge_cdb_length),         PROTOCOL_TEST(test_strange_flags),
        PROTOCOL_TEST(test_too_much_immediate_data), PROTOCOL_TEST(test_duplicate_tag),
        PROTOCOL_TEST(test_gone_in_mid_transfer),
    };

    return unit_run(tests);
}
