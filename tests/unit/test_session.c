/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session's strictness: over a wire made of nothing, each breach of the standard must count. */
#include "tests/unit/unit.h"

#include <string.h>

#include "tests/initiator/session.h"

#define LENGTH 8192U

typedef struct {
    Wire base;
    uint8_t memory[LENGTH];
    GQueue sent; /* of Pdu */
} FakeWire;

static FakeWire *fake;

static Wire *fake_open(const WireOptions *options, const WireSink *sink, GError **error);

static void fake_close(Wire *wire)
{
    g_queue_clear_full(&((FakeWire *)wire)->sent, (GDestroyNotify)pdu_free);
    g_free(wire);
}

static uint8_t *fake_memory(Wire *wire)
{
    return ((FakeWire *)wire)->memory;
}

static void fake_add_offers(const WireOptions *options, TextKeys *offers)
{
    (void)options;
    (void)offers;
}

static bool fake_full_feature(Wire *wire, const Params *params, GError **error)
{
    (void)wire;
    (void)params;
    (void)error;
    return true;
}

static void fake_send(Wire *wire, const Pdu *pdu)
{
    g_queue_push_tail(&((FakeWire *)wire)->sent, pdu_copy(pdu));
}

static void fake_send_raw(Wire *wire, const void *bytes, size_t len)
{
    (void)wire;
    (void)bytes;
    (void)len;
}

static void fake_spoil_digest(Wire *wire, bool header, bool data)
{
    (void)wire;
    (void)header;
    (void)data;
}

static bool fake_turn(Wire *wire, int timeout_ms, GError **error)
{
    (void)wire;
    (void)timeout_ms;
    (void)error;
    return true;
}

static const WireOps fake_ops = {
    .data_in_pdus = true,
    .open = fake_open,
    .close = fake_close,
    .memory = fake_memory,
    .add_offers = fake_add_offers,
    .full_feature = fake_full_feature,
    .send = fake_send,
    .send_raw = fake_send_raw,
    .spoil_digest = fake_spoil_digest,
    .turn = fake_turn,
};

static Wire *fake_open(const WireOptions *options, const WireSink *sink, GError **error)
{
    (void)options;
    (void)error;
    fake = g_new0(FakeWire, 1);
    fake->base = (Wire){&fake_ops, *sink};
    return &fake->base;
}

static char host[] = "h", port[] = "1", target[] = "t";
static Url url = {.scheme = "fake", .ops = &fake_ops, .host = host, .port = port, .target = target};

static int session_setup(void **state)
{
    SessionOptions options;
    Session *session;

    session_options_init(&options, &url);
    options.quiet = true;
    session = session_connect(&options, NULL);
    session->full_feature = true;
    session->stat_sn = 100;
    session->max_cmd_sn = session->cmd_sn + 31;
    session->params.value[KEY_IMMEDIATE_DATA] = 0;
    session->params.value[KEY_MAX_BURST] = 4096;
    *state = session;
    return 0;
}

static int session_teardown(void **state)
{
    session_free(*state);
    return 0;
}

/* A PDU with all common fields right. */
static Pdu answer(const Session *session, uint8_t opcode, uint8_t flags, uint32_t itt)
{
    Pdu pdu = pdu_new(opcode, flags, itt);

    put_be32(pdu.bhs + AT_STAT_SN, session->stat_sn);
    put_be32(pdu.bhs + AT_EXP_CMD_SN, session->cmd_sn);
    put_be32(pdu.bhs + AT_MAX_CMD_SN, session->max_cmd_sn);
    return pdu;
}

static unsigned feed(Session *session, const Pdu *pdu)
{
    unsigned before = session->base.violations;

    fake->base.sink.received(fake->base.sink.user, pdu);
    session_turn(session, 0);
    return session->base.violations - before;
}

static void start(Session *session, Task *task, bool write)
{
    *task = (Task){.read = !write, .write = write};
    task->buffer = (PduBuffer){.base = fake->memory, .len = LENGTH};
    session_submit(session, task);
}

static Pdu data_in(const Session *session, const Task *task, uint8_t flags, uint32_t sn,
                   uint32_t offset)
{
    static const uint8_t data[4096];
    Pdu pdu = answer(session, OP_DATA_IN, flags, task->itt);

    if (!(flags & 1))
        put_be32(pdu.bhs + AT_STAT_SN, 0);
    put_be32(pdu.bhs + AT_TTT, PDU_NO_TAG);
    put_be32(pdu.bhs + AT_DATA_SN, sn);
    put_be32(pdu.bhs + AT_OFFSET, offset);
    pdu_set_data(&pdu, data, sizeof(data));
    return pdu;
}

static void test_good_read(void **state)
{
    Session *session = *state;
    Task task;
    Pdu pdu;

    start(session, &task, false);
    pdu = data_in(session, &task, PDU_FINAL, 0, 0);
    assert_int_equal(feed(session, &pdu), 0);
    assert_false(task.finished);
    pdu = data_in(session, &task, PDU_FINAL | 1, 1, 4096);
    assert_int_equal(feed(session, &pdu), 0);
    assert_true(task.finished);
    assert_int_equal(task.status, 0);
    assert_int_equal(session->stat_sn, 101);
}

static void test_bad_data_in(void **state)
{
    static const struct {
        unsigned at;
        uint8_t bits;
    } spoils[] = {{AT_DATA_SN + 3, 1},
                  {AT_OFFSET + 2, 0x10},
                  {AT_STAT_SN, 0x40},
                  {AT_EXP_CMD_SN, 0x40},
                  {AT_FLAGS, 0x40},
                  {AT_FLAGS, 0x02},
                  {AT_TTT, 0xff},
                  {AT_LUN + 1, 1},
                  {3, 2},
                  {AT_RESIDUAL, 1},
                  {4, 1},
                  {AT_ITT, 1}};
    Session *session = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(spoils); i++) {
        uint32_t stat_sn = session->stat_sn, expected = session->exp_cmd_sn;
        Task task;
        Pdu pdu;

        start(session, &task, false);
        pdu = data_in(session, &task, PDU_FINAL, 0, 0);
        pdu.bhs[spoils[i].at] ^= spoils[i].bits;
        if (feed(session, &pdu) == 0)
            fail_msg("case %zu passed", i);
        session_give_up(session, &task);
        session->stat_sn = stat_sn;
        session->exp_cmd_sn = expected;
        session->max_cmd_sn = session->cmd_sn + 31;
    }
}

static void test_read_limits(void **state)
{
    Session *session = *state;
    Task task;
    Pdu pdu;

    start(session, &task, false);
    pdu = data_in(session, &task, 0, 0, 0);
    assert_int_equal(feed(session, &pdu), 0);
    pdu = data_in(session, &task, PDU_FINAL, 1, 4096);
    assert_int_equal(feed(session, &pdu), 1); /* MaxBurstLength */
    pdu = data_in(session, &task, PDU_FINAL, 2, 8192);
    assert_int_equal(feed(session, &pdu), 1); /* beyond the buffer */
    session_give_up(session, &task);
}

static void test_residuals(void **state)
{
    static const struct {
        uint8_t flags;
        uint32_t residual;
        bool good;
    } cases[] = {{0x00, 0, false},   {0x02, 4096, true},  {0x02, 4095, false}, {0x02, 0, false},
                 {0x04, 512, false}, {0x06, 4096, false}, {0x00, 4096, false}, {0x02, 9000, false}};
    Session *session = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Task task;
        Pdu pdu;

        start(session, &task, false);
        pdu = data_in(session, &task, PDU_FINAL, 0, 0);
        assert_int_equal(feed(session, &pdu), 0);
        pdu = answer(session, OP_RESPONSE, PDU_FINAL | cases[i].flags, task.itt);
        put_be32(pdu.bhs + AT_DATA_SN, 1);
        put_be32(pdu.bhs + AT_RESIDUAL, cases[i].residual);
        if ((feed(session, &pdu) == 0) != cases[i].good)
            fail_msg("case %zu", i);
        assert_true(task.finished);
    }
}

static Pdu r2t(const Session *session, const Task *task, uint32_t sn, uint32_t offset, uint32_t len)
{
    Pdu pdu = answer(session, OP_R2T, PDU_FINAL, task->itt);

    put_be32(pdu.bhs + AT_TTT, 0x77);
    put_be32(pdu.bhs + AT_DATA_SN, sn);
    put_be32(pdu.bhs + AT_OFFSET, offset);
    put_be32(pdu.bhs + AT_LENGTH, len);
    return pdu;
}

static void test_good_write(void **state)
{
    Session *session = *state;
    const Pdu *out;
    Task task;
    Pdu pdu;

    session->send_limit = 1024;
    start(session, &task, true);
    for (uint32_t i = 0; i < 2; i++) {
        pdu = r2t(session, &task, i, i * 4096, 4096);
        assert_int_equal(feed(session, &pdu), 0);
    }
    assert_int_equal(g_queue_get_length(&fake->sent), 9);
    out = g_queue_peek_tail(&fake->sent);
    assert_int_equal(pdu_opcode(out), OP_DATA_OUT);
    assert_int_equal(out->bhs[AT_FLAGS], PDU_FINAL);
    assert_int_equal(get_be32(out->bhs + AT_TTT), 0x77);
    assert_int_equal(get_be32(out->bhs + AT_DATA_SN), 3);
    assert_int_equal(get_be32(out->bhs + AT_OFFSET), 7168);
    pdu = answer(session, OP_RESPONSE, PDU_FINAL, task.itt);
    put_be32(pdu.bhs + AT_DATA_SN, 2);
    assert_int_equal(feed(session, &pdu), 0);
    assert_true(task.finished);
}

static void test_bad_r2t(void **state)
{
    const uint32_t cases[][3] = {{1, 0, 4096}, {0, 512, 4096},  {0, 0, 0},
                                 {0, 0, 8192}, {0, 8192, 4096}, {0, 0xfffff000, 4096}};
    Session *session = *state;
    Task task;
    Pdu pdu;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        start(session, &task, true);
        pdu = r2t(session, &task, cases[i][0], cases[i][1], cases[i][2]);
        if (feed(session, &pdu) == 0)
            fail_msg("case %zu passed", i);
        session_give_up(session, &task);
    }
    start(session, &task, false);
    pdu = r2t(session, &task, 0, 0, 4096);
    assert_int_equal(feed(session, &pdu), 1); /* a read takes no R2T */
    session_give_up(session, &task);
}

/* GOOD for a write whose data nobody asked for, and status without sense. */
static void test_bad_responses(void **state)
{
    Session *session = *state;
    Task task;
    Pdu pdu;

    start(session, &task, true);
    pdu = answer(session, OP_RESPONSE, PDU_FINAL, task.itt);
    assert_int_equal(feed(session, &pdu), 1);
    start(session, &task, true);
    pdu = answer(session, OP_RESPONSE, PDU_FINAL, task.itt);
    pdu.bhs[3] = 2;
    assert_int_equal(feed(session, &pdu), 1);
    pdu = answer(session, OP_RESPONSE, PDU_FINAL, task.itt);
    assert_int_equal(feed(session, &pdu), 1); /* answered already */
    start(session, &task, true);
    pdu = answer(session, OP_RESPONSE, PDU_FINAL, task.itt);
    pdu.bhs[3] = 2;
    pdu_set_data(&pdu, "\x00\x30short", 7);
    assert_int_equal(feed(session, &pdu), 1); /* SenseLength */
}

static void test_numbers(void **state)
{
    Session *session = *state;
    Pdu pdu = answer(session, OP_NOP_IN, PDU_FINAL, 5);

    put_be32(pdu.bhs + AT_TTT, PDU_NO_TAG);
    assert_int_equal(feed(session, &pdu), 0);
    assert_int_equal(session->inbox.length, 1);
    assert_int_equal(feed(session, &pdu), 1); /* the same StatSN again */
    session->stat_sn = get_be32(pdu.bhs + AT_STAT_SN);
    put_be32(pdu.bhs + AT_MAX_CMD_SN, session->max_cmd_sn - 1);
    assert_int_equal(feed(session, &pdu), 1); /* the window went back */
    session->stat_sn = get_be32(pdu.bhs + AT_STAT_SN);
    put_be32(pdu.bhs + AT_EXP_CMD_SN, session->cmd_sn + 1);
    put_be32(pdu.bhs + AT_MAX_CMD_SN, session->cmd_sn + 40);
    assert_int_equal(feed(session, &pdu), 1); /* never sent */
    pdu = answer(session, OP_NOP_OUT, PDU_FINAL, 5);
    assert_true(feed(session, &pdu) > 0); /* not a target's PDU */
}

/* A ping is answered with its tag, its data and no CmdSN of its own. */
static void test_ping(void **state)
{
    Session *session = *state;
    uint32_t cmd_sn = session->cmd_sn;
    Pdu pdu = answer(session, OP_NOP_IN, PDU_FINAL, PDU_NO_TAG);
    const Pdu *out;

    put_be32(pdu.bhs + AT_TTT, 0x99);
    pdu_set_data(&pdu, "ping", 4);
    assert_int_equal(feed(session, &pdu), 0);
    assert_int_equal(session->stat_sn, 100);
    out = g_queue_peek_tail(&fake->sent);
    assert_int_equal(out->bhs[0], OP_NOP_OUT | PDU_IMMEDIATE);
    assert_int_equal(get_be32(out->bhs + AT_TTT), 0x99);
    assert_int_equal(pdu_itt(out), PDU_NO_TAG);
    assert_memory_equal(out->data, "ping", 4);
    assert_int_equal(session->cmd_sn, cmd_sn);
}

/* What the window does not admit waits, in order. */
static void test_window(void **state)
{
    Session *session = *state;
    Task tasks[3];
    Pdu pdu;

    session->max_cmd_sn = session->cmd_sn;
    for (int i = 0; i < 3; i++)
        start(session, &tasks[i], false);
    assert_int_equal(g_queue_get_length(&fake->sent), 1);
    assert_int_equal(session_window(session), 0);
    pdu = answer(session, OP_NOP_IN, PDU_FINAL, PDU_NO_TAG);
    put_be32(pdu.bhs + AT_TTT, PDU_NO_TAG);
    put_be32(pdu.bhs + AT_MAX_CMD_SN, session->max_cmd_sn + 1);
    assert_int_equal(feed(session, &pdu), 0);
    session_turn(session, 0);
    assert_int_equal(g_queue_get_length(&fake->sent), 2);
    assert_int_equal(pdu_itt(g_queue_peek_tail(&fake->sent)), tasks[1].itt);
    for (int i = 0; i < 3; i++)
        session_give_up(session, &tasks[i]);
    assert_true(tasks[2].lost);
}

#define SESSION_TEST(f) cmocka_unit_test_setup_teardown(f, session_setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(test_good_read),     SESSION_TEST(test_bad_data_in),
        SESSION_TEST(test_read_limits),   SESSION_TEST(test_residuals),
        SESSION_TEST(test_good_write),    SESSION_TEST(test_bad_r2t),
        SESSION_TEST(test_bad_responses), SESSION_TEST(test_numbers),
        SESSION_TEST(test_ping),          SESSION_TEST(test_window),
    };

    return unit_run(tests);
}
