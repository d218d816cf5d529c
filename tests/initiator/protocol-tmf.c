/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: task management and task attributes (RFC 7143 11.5, 11.6; RFC 7144; SAM-5 7, 8).
 */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol.h"

#define LBA     2048
#define LEVEL_2 "iSCSIProtocolLevel=2"

/* No data comes unasked: a write waits until its R2T is answered. */
#define SOLICITED "ImmediateData=No,InitialR2T=Yes,iSCSIProtocolLevel=2"

enum {
    ABORT_TASK = 1,
    ABORT_TASK_SET = 2,
    CLEAR_ACA = 3,
    CLEAR_TASK_SET = 4,
    LUN_RESET = 5,
    WARM_RESET = 6,
    COLD_RESET = 7,
    REASSIGN = 8,
    QUERY_TASK = 9,
    QUERY_TASK_SET = 10,
    NEXUS_RESET = 11,
    QUERY_ASYNC_EVENT = 12,
};

enum { COMPLETE = 0, NO_TASK = 1, NO_LUN = 2, NOT_SUPPORTED = 5, SUCCEEDED = 7 };

enum { ORDERED = 2, HEAD_OF_QUEUE = 3, ACA = 4 };

enum { RESERVE_6 = 0x16, RELEASE_6 = 0x17, RESERVATION_CONFLICT = 0x18 };

enum { TARGET_RESET = 0x062902, DEVICE_RESET = 0x062903, NEXUS_LOSS = 0x062907 };

static int manage_at(Session *session, uint8_t function, uint64_t lun, uint32_t tag, uint32_t sn)
{
    Pdu request = pdu_new(OP_TMF | PDU_IMMEDIATE, PDU_FINAL | function, session_new_itt(session));
    g_autoptr(Pdu) answer = NULL;

    scsi_put_lun(request.bhs + AT_LUN, lun);
    put_be32(request.bhs + AT_TTT, tag);
    put_be32(request.bhs + 32, sn);
    session_send(session, &request);
    answer = session_await(session, OP_TMF_RESPONSE, PATIENCE_MS);
    if (answer)
        assert_int_equal(pdu_itt(answer), pdu_itt(&request));
    return answer ? answer->bhs[2] : -1;
}

static int manage(Session *session, uint8_t function)
{
    return manage_at(session, function, protocol_url->lun, PDU_NO_TAG, 0);
}

static int manage_task(Session *session, uint8_t function, const Task *task)
{
    return manage_at(session, function, protocol_url->lun, task->itt, session->cmd_sn - 1);
}

/* What TEST UNIT READY has to say. */
static uint32_t sense_of(Session *session)
{
    Task task = {0};

    scsi_test_unit_ready(&task, protocol_url->lun);
    assert_true(session_run(session, &task, PATIENCE_MS));
    return scsi_sense(&task);
}

/* A write whose data the target has asked for, and does not get. The R2T; NULL: data goes without.
 */
static Pdu *begin_write(Session *session, Task *task)
{
    uint32_t bs = protocol_block_size();
    Pdu *r2t;

    if (!protocol_url->ops->data_in_pdus)
        return NULL; /* over RDMA the target fetches by itself */
    session->manual_r2t = true;
    scsi_transfer(task, protocol_url->lun, true, LBA, 1, bs, false, protocol_memory(session));
    session_submit(session, task);
    r2t = session_await(session, OP_R2T, PATIENCE_MS);
    assert_non_null(r2t);
    return r2t;
}

/* The data that was asked for, late. */
static void send_late(Session *session, const Task *task, const Pdu *r2t)
{
    Pdu data = pdu_new(OP_DATA_OUT, PDU_FINAL, task->itt);

    put_be32(data.bhs + AT_TTT, get_be32(r2t->bhs + AT_TTT));
    put_be32(data.bhs + 28, session->stat_sn);
    pdu_set_data(&data, protocol_memory(session), protocol_block_size());
    session->wire->ops->send(session->wire, &data);
}

static void submit(Session *session, Task *task, uint8_t attribute)
{
    *task = (Task){0};
    scsi_test_unit_ready(task, protocol_url->lun);
    task->attribute = attribute;
    session_submit(session, task);
}

static void test_functions(void **state)
{
    Session *session = protocol_open(LEVEL_2);
    uint64_t lun = protocol_url->lun;
    uint32_t old = session->cmd_sn - 1000;

    (void)state;
    /* A tag never used, with a CmdSN of long ago: no such task. */
    assert_int_equal(manage_at(session, ABORT_TASK, lun, 0xabcdef, old), NO_TASK);
    assert_int_equal(manage_at(session, QUERY_TASK, lun, 0xabcdef, old), COMPLETE);
    assert_int_equal(manage(session, ABORT_TASK_SET), COMPLETE);
    assert_int_equal(manage(session, CLEAR_TASK_SET), COMPLETE);
    assert_int_equal(manage(session, QUERY_TASK_SET), COMPLETE);
    assert_int_equal(manage(session, CLEAR_ACA), NOT_SUPPORTED);
    assert_int_equal(manage(session, QUERY_ASYNC_EVENT), NOT_SUPPORTED);
    assert_int_equal(manage_at(session, LUN_RESET, 4711, PDU_NO_TAG, 0), NO_LUN);
    assert_int_equal(manage_at(session, ABORT_TASK_SET, 4711, PDU_NO_TAG, 0), NO_LUN);
    assert_int_not_equal(manage_at(session, REASSIGN, lun, 0xabcdef, 0), COMPLETE);
    assert_int_not_equal(manage(session, 0x6e), COMPLETE);
    assert_int_equal(sense_of(session), 0);
    protocol_write_read(session, LBA, 4096, 3);
    protocol_close(session);
}

static void test_new_functions_need_level_2(void **state)
{
    static const uint8_t functions[] = {QUERY_TASK, QUERY_TASK_SET, NEXUS_RESET};
    Session *session = protocol_open("iSCSIProtocolLevel=1");

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
        assert_int_equal(manage(session, functions[i]), NOT_SUPPORTED);
    protocol_close(session);
}

/* Resets are told to every session, whichever loop it is on; and once. */
static void test_resets_are_told(void **state)
{
    static const struct {
        uint8_t function;
        uint32_t own, others;
    } cases[] = {{LUN_RESET, DEVICE_RESET, DEVICE_RESET},
                 {WARM_RESET, TARGET_RESET, TARGET_RESET},
                 {NEXUS_RESET, NEXUS_LOSS, 0}};
    Session *sessions[4];

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(sessions); i++)
        sessions[i] = protocol_open(LEVEL_2);
    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
        assert_int_equal(manage(sessions[0], cases[c].function), COMPLETE);
        for (size_t i = 0; i < G_N_ELEMENTS(sessions); i++) {
            assert_int_equal(sense_of(sessions[i]), i ? cases[c].others : cases[c].own);
            assert_int_equal(sense_of(sessions[i]), 0);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sessions); i++) {
        protocol_write_read(sessions[i], LBA, 4096, 4);
        protocol_close(sessions[i]);
    }
}

/* The more urgent one is what is told. */
static void test_resets_are_told_in_order(void **state)
{
    Session *session = protocol_open(LEVEL_2);

    (void)state;
    assert_int_equal(manage(session, NEXUS_RESET), COMPLETE);
    assert_int_equal(manage(session, WARM_RESET), COMPLETE);
    assert_int_equal(manage(session, LUN_RESET), COMPLETE);
    assert_int_equal(sense_of(session), TARGET_RESET);
    assert_int_equal(sense_of(session), 0);
    protocol_close(session);
}

/* A cold reset ends every session (RFC 7143 11.5.1), the witness among them. */
static void test_cold_reset(void **state)
{
    Session *session = protocol_open(NULL), *witness = *state;
    Task late = {0};

    assert_int_equal(manage(session, COLD_RESET), COMPLETE);
    scsi_test_unit_ready(&late, protocol_url->lun);
    assert_false(session_run(session, &late, PATIENCE_MS)); /* nothing behind the response */
    assert_true(session_await_end(session, PATIENCE_MS));
    assert_true(session_await_end(witness, PATIENCE_MS));
    protocol_drop(session);
    protocol_drop(witness);
    *state = protocol_open(NULL);
}

static void test_abort_task(void **state)
{
    static const uint8_t functions[] = {ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET,
                                        LUN_RESET,  WARM_RESET,     NEXUS_RESET};
    Session *session = protocol_open(SOLICITED);
    uint32_t bs = protocol_block_size();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        Task task = {0};
        g_autoptr(Pdu) r2t = NULL;

        session->manual_r2t = false;
        protocol_write(session, LBA, bs, 5);
        protocol_pattern(protocol_memory(session), bs, 6);
        r2t = begin_write(session, &task);
        if (!r2t)
            break;
        assert_int_equal(manage_task(session, QUERY_TASK, &task), SUCCEEDED);
        assert_int_equal(manage(session, QUERY_TASK_SET), SUCCEEDED);
        assert_int_equal(manage_task(session, functions[i], &task), COMPLETE);
        assert_int_equal(manage_task(session, QUERY_TASK, &task), COMPLETE);
        assert_int_equal(manage(session, QUERY_TASK_SET), COMPLETE);
        send_late(session, &task, r2t); /* it has crossed on the wire: not an error */
        assert_int_equal(protocol_outcome(session, &task, SILENCE_MS), OUTCOME_NOTHING);
        session_give_up(session, &task);
        assert_true(protocol_reads_back(session, LBA, bs, 5));
    }
    protocol_close(session);
}

/* Resets take the tasks of other sessions along, whichever loop they are on. */
static void test_reset_aborts_everywhere(void **state)
{
    static const uint8_t functions[] = {LUN_RESET, WARM_RESET};
    Session *session = protocol_open(LEVEL_2), *others[3];

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        others[i] = protocol_open(SOLICITED);
    for (size_t f = 0; f < G_N_ELEMENTS(functions); f++) {
        Task tasks[3] = {0};

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
            g_autoptr(Pdu) r2t = begin_write(others[i], &tasks[i]);
            (void)r2t;
        }
        assert_int_equal(manage(session, functions[f]), COMPLETE);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
            assert_int_equal(manage(others[i], QUERY_TASK_SET), COMPLETE);
            if (tasks[i].session)
                session_give_up(others[i], &tasks[i]);
            assert_true(scsi_clear_attentions(&others[i]->base, protocol_url->lun, NULL));
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        protocol_close(others[i]);
    protocol_close(session);
}

/* Sets are per nexus (TST = 1): nobody else's tasks are aborted, nobody is told. */
static void test_task_sets_are_apart(void **state)
{
    static const uint8_t functions[] = {ABORT_TASK_SET, CLEAR_TASK_SET, NEXUS_RESET};
    Session *session = protocol_open(LEVEL_2), *other = protocol_open(SOLICITED);
    Task task = {0};
    g_autoptr(Pdu) r2t = begin_write(other, &task);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
        assert_int_equal(manage(session, functions[i]), COMPLETE);
    if (r2t) {
        assert_int_equal(manage_task(other, QUERY_TASK, &task), SUCCEEDED);
        assert_int_equal(manage_task(other, ABORT_TASK, &task), COMPLETE);
        session_give_up(other, &task);
    }
    assert_int_equal(sense_of(other), 0);
    protocol_close(other);
    protocol_close(session);
}

static void test_attributes(void **state)
{
    Session *session = protocol_open(NULL);
    Task task = {0};

    (void)state;
    for (uint8_t attribute = 0; attribute <= HEAD_OF_QUEUE; attribute++) {
        submit(session, &task, attribute);
        assert_int_equal(protocol_outcome(session, &task, PATIENCE_MS), OUTCOME_GOOD);
    }
    submit(session, &task, ACA);
    assert_int_equal(protocol_outcome(session, &task, PATIENCE_MS), OUTCOME_STATUS);
    assert_int_equal(scsi_sense(&task), 0x054900);
    protocol_close(session);
}

/* An ordered task waits for those before it, and those after wait for it; a head of queue passes.
 * An abort of what they wait for sets them free. */
static void test_order(void **state)
{
    Session *session = protocol_open(SOLICITED);
    Task write = {0}, ordered = {0}, behind = {0}, head = {0};
    g_autoptr(Pdu) r2t = begin_write(session, &write);

    (void)state;
    if (r2t) {
        submit(session, &ordered, ORDERED);
        submit(session, &behind, 1);
        assert_int_equal(protocol_outcome(session, &ordered, SILENCE_MS), OUTCOME_NOTHING);
        assert_false(behind.finished);
        submit(session, &head, HEAD_OF_QUEUE);
        assert_int_equal(protocol_outcome(session, &head, PATIENCE_MS), OUTCOME_GOOD);
        assert_int_equal(manage_task(session, ABORT_TASK, &ordered), COMPLETE);
        session_give_up(session, &ordered);
        assert_int_equal(protocol_outcome(session, &behind, PATIENCE_MS), OUTCOME_GOOD);
        submit(session, &ordered, ORDERED);
        assert_int_equal(protocol_outcome(session, &ordered, SILENCE_MS), OUTCOME_NOTHING);
        assert_int_equal(manage_task(session, ABORT_TASK, &write), COMPLETE);
        session_give_up(session, &write);
        assert_int_equal(protocol_outcome(session, &ordered, PATIENCE_MS), OUTCOME_GOOD);
    }
    protocol_close(session);
}

static uint8_t status_of(Session *session, uint8_t opcode)
{
    Task task = {0};

    scsi_test_unit_ready(&task, protocol_url->lun);
    task.cdb[0] = opcode;
    assert_true(session_run(session, &task, PATIENCE_MS));
    return task.status;
}

static void clear_attentions(Session *session)
{
    g_autoptr(GError) error = NULL;

    if (!scsi_clear_attentions(&session->base, protocol_url->lun, &error))
        fail_msg("%s", error->message);
}

/* What is reserved for another becomes free, if need be a little later. */
static void expect_free(Session *session)
{
    int64_t deadline = g_get_monotonic_time() + PATIENCE_MS * 1000;
    uint8_t status;

    while ((status = status_of(session, RESERVE_6)) == RESERVATION_CONFLICT &&
           g_get_monotonic_time() < deadline)
        session_turn(session, 10);
    assert_int_equal(status, SCSI_GOOD);
    assert_int_equal(status_of(session, RELEASE_6), SCSI_GOOD);
}

/* RESERVE (6) holds until a reset, or the loss of the nexus, with or without a logout. */
static void test_reservations_end(void **state)
{
    static const uint8_t resets[] = {LUN_RESET, WARM_RESET};
    Session *other = protocol_open(NULL);

    (void)state;
    for (int round = 0; round < 4; round++) {
        Session *holder = protocol_open(NULL);
        assert_int_equal(status_of(holder, RESERVE_6), SCSI_GOOD);
        assert_int_equal(status_of(other, RESERVE_6), RESERVATION_CONFLICT);
        if (round < (int)G_N_ELEMENTS(resets)) {
            assert_int_equal(manage(holder, resets[round]), COMPLETE);
            clear_attentions(holder);
            clear_attentions(other);
            expect_free(other);
        }
        if (round == 3)
            protocol_drop(holder);
        else
            protocol_close(holder);
        expect_free(other);
    }
    protocol_close(other);
}

int protocol_tmf_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_functions),
        PROTOCOL_TEST(test_new_functions_need_level_2),
        PROTOCOL_TEST(test_resets_are_told),
        PROTOCOL_TEST(test_resets_are_told_in_order),
        PROTOCOL_TEST(test_cold_reset),
        PROTOCOL_TEST(test_abort_task),
        PROTOCOL_TEST(test_reset_aborts_everywhere),
        PROTOCOL_TEST(test_task_sets_are_apart),
        PROTOCOL_TEST(test_attributes),
        PROTOCOL_TEST(test_order),
        PROTOCOL_TEST(test_reservations_end),
    };
    return unit_run(tests);
}
