/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending: how moves are cut into Data-In PDUs, order, slow readers, cancelling and closing. */
#include "tests/unit/tcp_rig.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <unistd.h>

enum { GOOD_AT_THE_END = PDU_FINAL | DATA_IN_STATUS };

static void start(TcpRig *rig, unsigned digests, uint32_t max_send, uint32_t max_burst)
{
    tcp_rig_init(rig);
    rig->params.header_digest = rig->params.data_digest = digests;
    rig->params.peer_max_recv_data_segment_length = max_send;
    rig->params.max_burst_length = max_burst;
    tcp_rig_enable(rig);
}

/* Makes it the last move of its command, with status and a residual. */
static void add_status(TcpRigMove *m)
{
    m->move.bhs[PDU_FLAGS] = GOOD_AT_THE_END | RESPONSE_UNDERFLOW;
    m->move.bhs[RESPONSE_STATUS] = 0x08;
    put_be32(m->move.bhs + PDU_STAT_SN, 77);
    put_be32(m->move.bhs + DATA_IN_RESIDUAL, 99);
}

/* Receives one Data-In; checks all of it but the flags, which it returns. */
static uint8_t expect_data_in(TcpRig *rig, uint32_t itt, uint32_t sn, uint32_t offset, uint32_t len)
{
    uint8_t bhs[ISCSI_BHS_LEN], *data = g_malloc(len + 1);
    assert_int_equal(tcp_rig_receive(rig, bhs, data, len), len);
    assert_int_equal(pdu_opcode(bhs), ISCSI_DATA_IN);
    assert_int_equal(pdu_itt(bhs), itt);
    assert_int_equal(pdu_ttt(bhs), ISCSI_NO_TAG);
    assert_int_equal(get_be32(bhs + DATA_SN), sn);
    assert_int_equal(get_be32(bhs + DATA_OFFSET), offset);
    bool status = bhs[PDU_FLAGS] & DATA_IN_STATUS;
    assert_int_equal(bhs[RESPONSE_STATUS], status ? 0x08 : 0);
    assert_int_equal(get_be32(bhs + PDU_STAT_SN), status ? 77 : 0);
    assert_int_equal(get_be32(bhs + DATA_IN_RESIDUAL), status ? 99 : 0);
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(data[i], tcp_rig_pattern(offset + i));
    g_free(data);
    return bhs[PDU_FLAGS];
}

static void send_ping(TcpRig *rig, uint32_t itt)
{
    uint8_t bhs[ISCSI_BHS_LEN] = {ISCSI_NOP_IN, PDU_FINAL};
    put_be32(bhs + PDU_ITT, itt);
    rig->conn->dm->send_control(rig->conn, bhs, "abcde", 5);
}

static void expect_ping(TcpRig *rig, uint32_t itt)
{
    uint8_t bhs[ISCSI_BHS_LEN], data[8];
    assert_int_equal(tcp_rig_receive(rig, bhs, data, sizeof data), 5);
    assert_int_equal(pdu_opcode(bhs), ISCSI_NOP_IN);
    assert_int_equal(pdu_itt(bhs), itt);
    assert_memory_equal(data, "abcde", 5);
}

/* A command of two moves: PDUs of 3000, sequences of 10000, status with the last. */
static void move_is_cut_by_segment_and_burst(unsigned digests)
{
    static const struct {
        uint32_t offset, len;
        uint8_t flags;
    } expected[] = {
        {0, 3000, 0},       {3000, 3000, 0},     {6000, 3000, 0},
        {9000, 1000, 0x80}, {10000, 2001, 0},    {12001, 3000, 0},
        {15001, 3000, 0},   {18001, 1999, 0x80}, {20000, 2001, 0x80 | 0x01 | 0x02},
    };
    TcpRig rig;
    TcpRigMove first, last;
    start(&rig, digests, 3000, 10000);
    DmPdu *command = tcp_rig_command(&rig, 5);
    tcp_rig_move_init(&rig, &first, command, ISCSI_DATA_IN, 0, 12001, 3);
    tcp_rig_move_init(&rig, &last, command, ISCSI_DATA_IN, 12001, 10000, 8);
    add_status(&last);
    tcp_rig_move_start(&rig, &first);
    tcp_rig_move_start(&rig, &last);
    assert_int_equal(command->exp_data_sn, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        uint8_t flags = expect_data_in(&rig, 5, i, expected[i].offset, expected[i].len);
        assert_int_equal(flags, expected[i].flags);
    }
    tcp_rig_assert_silent(&rig);
    assert_int_equal(first.error, 0);
    assert_int_equal(last.error, 0);
    tcp_rig_move_deinit(&first);
    tcp_rig_move_deinit(&last);
    tcp_rig_deinit(&rig);
}

static void moves_are_cut_without_digests(void **state)
{
    (void)state;
    move_is_cut_by_segment_and_burst(ISCSI_DIGEST_NONE);
}

static void moves_are_cut_with_digests(void **state)
{
    (void)state;
    move_is_cut_by_segment_and_burst(ISCSI_DIGEST_CRC32C);
}

static void control_and_data_keep_their_order(void **state)
{
    TcpRig rig;
    TcpRigMove moves[20];
    (void)state;
    start(&rig, ISCSI_DIGEST_CRC32C, 65536, 262144);
    for (unsigned i = 0; i < G_N_ELEMENTS(moves); i++) {
        DmPdu *command = tcp_rig_command(&rig, i);
        tcp_rig_move_init(&rig, &moves[i], command, ISCSI_DATA_IN, 0, 4096 + i, 2);
        add_status(&moves[i]);
        tcp_rig_move_start(&rig, &moves[i]);
        send_ping(&rig, 1000 + i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(moves); i++) {
        assert_true(expect_data_in(&rig, i, 0, 0, 4096 + i) & PDU_FINAL);
        expect_ping(&rig, 1000 + i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(moves); i++)
        tcp_rig_move_deinit(&moves[i]);
    tcp_rig_deinit(&rig);
}

static void login_answer_before_enable_has_no_digest(void **state)
{
    TcpRig rig;
    uint8_t bhs[ISCSI_BHS_LEN], data[8];
    (void)state;
    tcp_rig_init(&rig);
    rig.params.header_digest = rig.params.data_digest = ISCSI_DIGEST_CRC32C;
    send_ping(&rig, 1);
    tcp_rig_enable(&rig);
    send_ping(&rig, 2);
    tcp_rig_read(&rig, bhs, sizeof bhs);
    tcp_rig_read(&rig, data, 8);
    assert_memory_equal(data, "abcde\0\0\0", 8);
    expect_ping(&rig, 2);
    tcp_rig_deinit(&rig);
}

/* More pieces and PDUs than one batch holds. */
static void many_small_pdus(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    (void)state;
    start(&rig, ISCSI_DIGEST_CRC32C, 512, 512 * 7);
    DmPdu *command = tcp_rig_command(&rig, 1);
    tcp_rig_move_init(&rig, &m, command, ISCSI_DATA_IN, 0, 1 << 20, 8);
    add_status(&m);
    tcp_rig_move_start(&rig, &m);
    for (uint32_t sn = 0; sn < 2048; sn++) {
        uint8_t flags = expect_data_in(&rig, 1, sn, sn * 512, 512);
        uint8_t end = sn % 7 == 6 ? PDU_FINAL : 0;
        assert_int_equal(flags, sn == 2047 ? (GOOD_AT_THE_END | RESPONSE_UNDERFLOW) : end);
    }
    tcp_rig_wait(&rig, m.done);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
}

static void memory_in_hundreds_of_pieces(void **state)
{
    enum { PIECES = 1500, LEN = PIECES * 8 };
    static struct iovec iov[PIECES];
    TcpRig rig;
    TcpRigMove m;
    (void)state;
    start(&rig, ISCSI_DIGEST_NONE, 65536, 262144);
    DmPdu *command = tcp_rig_command(&rig, 1);
    tcp_rig_move_init(&rig, &m, command, ISCSI_DATA_IN, 0, LEN, 1);
    for (unsigned i = 0; i < PIECES; i++)
        iov[i] = (struct iovec){m.memory + i * 8, 8};
    m.move.iov = iov;
    m.move.iovcnt = PIECES;
    tcp_rig_move_start(&rig, &m);
    uint32_t at = 0;
    uint8_t bhs[ISCSI_BHS_LEN], data[LEN];
    for (uint32_t sn = 0; at < LEN; sn++) {
        uint32_t len = tcp_rig_receive(&rig, bhs, data, sizeof data);
        assert_int_equal(get_be32(bhs + DATA_SN), sn);
        assert_int_equal(get_be32(bhs + DATA_OFFSET), at);
        assert_memory_equal(data, m.memory + at, len);
        at += len;
    }
    tcp_rig_wait(&rig, m.done);
    assert_int_equal(get_be32(bhs + DATA_SN) + 1, command->exp_data_sn);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
}

static void slow_reader_gets_every_byte(void **state)
{
    TcpRig rig;
    TcpRigMove moves[8];
    (void)state;
    start(&rig, ISCSI_DIGEST_CRC32C, 262144, 1 << 20);
    for (unsigned i = 0; i < G_N_ELEMENTS(moves); i++) {
        tcp_rig_move_init(&rig, &moves[i], tcp_rig_command(&rig, i), ISCSI_DATA_IN, 0, 1 << 20, 4);
        add_status(&moves[i]);
        tcp_rig_move_start(&rig, &moves[i]);
    }
    tcp_rig_turn(&rig);
    assert_false(moves[7].done);
    assert_true(tcp_conn(rig.conn)->tx.blocked);
    for (unsigned i = 0; i < G_N_ELEMENTS(moves); i++)
        for (uint32_t sn = 0; sn < 4; sn++)
            expect_data_in(&rig, i, sn, sn << 18, 1 << 18);
    tcp_rig_wait(&rig, moves[7].done);
    assert_false(tcp_conn(rig.conn)->tx.blocked);
    for (unsigned i = 0; i < G_N_ELEMENTS(moves); i++)
        tcp_rig_move_deinit(&moves[i]);
    tcp_rig_deinit(&rig);
}

static void cancelled_in_the_queue_is_never_sent(void **state)
{
    TcpRig rig;
    TcpRigMove moves[3];
    (void)state;
    start(&rig, ISCSI_DIGEST_NONE, 65536, 262144);
    for (unsigned i = 0; i < 3; i++) {
        tcp_rig_move_init(&rig, &moves[i], tcp_rig_command(&rig, i), ISCSI_DATA_IN, 0, 500, 1);
        add_status(&moves[i]);
    }
    for (unsigned i = 0; i < 3; i++)
        tcp_rig_move_start(&rig, &moves[i]);
    rig.conn->dm->cancel(rig.conn, &moves[1].move);
    assert_true(moves[1].done);
    assert_int_equal(moves[1].error, -ECANCELED);
    expect_data_in(&rig, 0, 0, 0, 500);
    expect_data_in(&rig, 2, 0, 0, 500);
    tcp_rig_assert_silent(&rig);
    for (unsigned i = 0; i < 3; i++)
        tcp_rig_move_deinit(&moves[i]);
    tcp_rig_deinit(&rig);
}

static void cancelled_on_its_way_ends_at_a_pdu(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    uint8_t bhs[ISCSI_BHS_LEN], *data = g_malloc(65536);
    uint32_t came = 0;
    (void)state;
    start(&rig, ISCSI_DIGEST_CRC32C, 65536, 1 << 20);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 1), ISCSI_DATA_IN, 0, 8 << 20, 8);
    tcp_rig_move_start(&rig, &m);
    tcp_rig_turn(&rig);
    rig.conn->dm->cancel(rig.conn, &m.move);
    assert_false(m.done);
    send_ping(&rig, 9);
    while (tcp_rig_receive(&rig, bhs, data, 65536) == 65536)
        came += 65536;
    assert_int_equal(pdu_opcode(bhs), ISCSI_NOP_IN);
    assert_true(came < 8 << 20);
    tcp_rig_wait(&rig, m.done);
    assert_int_equal(m.error, -ECANCELED);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
    g_free(data);
}

static void closing_ends_all_moves(void **state)
{
    TcpRig rig;
    TcpRigMove moves[4];
    (void)state;
    start(&rig, ISCSI_DIGEST_NONE, 262144, 1 << 20);
    for (unsigned i = 0; i < 4; i++) {
        tcp_rig_move_init(&rig, &moves[i], tcp_rig_command(&rig, i), ISCSI_DATA_IN, 0, 1 << 20, 2);
        tcp_rig_move_start(&rig, &moves[i]);
    }
    tcp_rig_turn(&rig);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_NOW);
    assert_false(rig.terminated);
    tcp_rig_wait(&rig, rig.terminated);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(moves[i].error, -ECONNRESET);
        tcp_rig_move_deinit(&moves[i]);
    }
    tcp_rig_deinit(&rig);
}

static void peer_that_resets_ends_all_moves(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    (void)state;
    start(&rig, ISCSI_DIGEST_NONE, 262144, 1 << 20);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 0), ISCSI_DATA_IN, 0, 8 << 20, 2);
    tcp_rig_move_start(&rig, &m);
    tcp_rig_turn(&rig);
    close(rig.peer);
    rig.peer = -1;
    tcp_rig_wait(&rig, rig.terminated);
    assert_int_equal(m.error, -ECONNRESET);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_are_cut_without_digests),
        cmocka_unit_test(moves_are_cut_with_digests),
        cmocka_unit_test(control_and_data_keep_their_order),
        cmocka_unit_test(login_answer_before_enable_has_no_digest),
        cmocka_unit_test(many_small_pdus),
        cmocka_unit_test(memory_in_hundreds_of_pieces),
        cmocka_unit_test(slow_reader_gets_every_byte),
        cmocka_unit_test(cancelled_in_the_queue_is_never_sent),
        cmocka_unit_test(cancelled_on_its_way_ends_at_a_pdu),
        cmocka_unit_test(closing_ends_all_moves),
        cmocka_unit_test(peer_that_resets_ends_all_moves),
    };
    return unit_run(tests);
}
