/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Solicited data: R2Ts and bursts, every way to answer one wrongly, digests, cancelling. */
#include "iser/tcp/digest.h"
#include "tests/unit/tcp_rig.h"
#include "tests/unit/unit.h"

#include <errno.h>

typedef struct {
    uint32_t tag, sn, offset, len;
} R2t;

static void start(TcpRig *rig, uint32_t max_burst, uint32_t max_r2t, unsigned digests)
{
    tcp_rig_init(rig);
    rig->params.max_burst_length = max_burst;
    rig->params.max_outstanding_r2t = max_r2t;
    rig->params.header_digest = rig->params.data_digest = digests;
    tcp_rig_enable(rig);
}

static R2t expect_r2t(TcpRig *rig, uint32_t itt)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    assert_int_equal(tcp_rig_receive(rig, bhs, NULL, 0), 0);
    assert_int_equal(pdu_opcode(bhs), ISCSI_R2T);
    assert_true(pdu_final(bhs));
    assert_int_equal(pdu_itt(bhs), itt);
    return (R2t){pdu_ttt(bhs), get_be32(bhs + DATA_SN), get_be32(bhs + DATA_OFFSET),
                 get_be32(bhs + R2T_DESIRED_LENGTH)};
}

static void make_data_out(uint8_t *bhs, const R2t *r2t, uint32_t itt, uint32_t at, uint32_t len,
                          uint32_t sn)
{
    memset(bhs, 0, ISCSI_BHS_LEN);
    bhs[0] = ISCSI_DATA_OUT;
    bhs[PDU_FLAGS] = at + len == r2t->len ? PDU_FINAL : 0;
    put_be32(bhs + PDU_ITT, itt);
    put_be32(bhs + PDU_TTT, r2t->tag);
    put_be32(bhs + DATA_SN, sn);
    put_be32(bhs + DATA_OFFSET, r2t->offset + at);
}

static void send_data_out(TcpRig *rig, const uint8_t *bhs, uint32_t len)
{
    uint8_t *data = g_malloc(len);
    for (uint32_t i = 0; i < len; i++)
        data[i] = tcp_rig_pattern(get_be32(bhs + DATA_OFFSET) + i);
    tcp_rig_send(rig, bhs, data, len);
    g_free(data);
}

/* Answers an R2T by PDUs of `step` bytes. */
static void answer(TcpRig *rig, const R2t *r2t, uint32_t itt, uint32_t step)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t sn = 0;
    for (uint32_t at = 0; at < r2t->len; at += step) {
        uint32_t len = MIN(step, r2t->len - at);
        make_data_out(bhs, r2t, itt, at, len, sn++);
        send_data_out(rig, bhs, len);
    }
}

static void assert_moved(TcpRigMove *m)
{
    assert_true(m->done);
    assert_int_equal(m->error, 0);
    for (uint32_t i = 0; i < m->move.len; i++)
        assert_int_equal(m->memory[i], tcp_rig_pattern(m->move.offset + i));
    assert_int_equal(m->memory[m->move.len], 0);
    tcp_rig_move_deinit(m);
}

static void fetch(uint32_t max_r2t, unsigned digests)
{
    enum { BURST = 20000, LEN = 70001, OFFSET = 4096 };
    TcpRig rig;
    TcpRigMove m;
    R2t r2ts[4];
    unsigned asked = 0;
    start(&rig, BURST, max_r2t, digests);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 3), ISCSI_R2T, OFFSET, LEN, 5);
    tcp_rig_move_start(&rig, &m);
    for (unsigned i = 0; i < 4; i++) {
        while (asked < MIN(i + max_r2t, 4)) {
            r2ts[asked] = expect_r2t(&rig, 3);
            assert_int_equal(r2ts[asked].sn, asked);
            assert_int_equal(r2ts[asked].offset, OFFSET + asked * BURST);
            assert_int_equal(r2ts[asked].len, asked == 3 ? 10001 : BURST);
            for (unsigned k = 0; k < asked; k++)
                assert_int_not_equal(r2ts[k].tag, r2ts[asked].tag);
            asked++;
        }
        tcp_rig_assert_silent(&rig);
        assert_false(m.done);
        answer(&rig, &r2ts[i], 3, 6001);
    }
    tcp_rig_wait(&rig, m.done);
    assert_moved(&m);
    assert_int_equal(rig.controls, 1);
    tcp_rig_deinit(&rig);
}

static void bursts_one_at_a_time(void **state)
{
    (void)state;
    fetch(1, ISCSI_DIGEST_NONE);
}

static void bursts_overlapping(void **state)
{
    (void)state;
    fetch(2, ISCSI_DIGEST_CRC32C);
    fetch(64, ISCSI_DIGEST_NONE);
}

static void r2t_numbers_go_on_in_the_next_move(void **state)
{
    TcpRig rig;
    TcpRigMove m[2];
    (void)state;
    start(&rig, 1000, 8, ISCSI_DIGEST_NONE);
    DmPdu *command = tcp_rig_command(&rig, 3);
    for (uint32_t i = 0, sn = 0; i < 2; i++) {
        tcp_rig_move_init(&rig, &m[i], command, ISCSI_R2T, i * 2500, 2500, 2);
        tcp_rig_move_start(&rig, &m[i]);
        for (unsigned k = 0; k < 3; k++) {
            R2t r2t = expect_r2t(&rig, 3);
            assert_int_equal(r2t.sn, sn++);
            answer(&rig, &r2t, 3, 1000);
        }
        tcp_rig_wait(&rig, m[i].done);
        assert_moved(&m[i]);
    }
    tcp_rig_deinit(&rig);
}

/* Two moves of one command share its R2Ts, and the second asks after the first. */
static void moves_of_a_command_ask_in_order(void **state)
{
    TcpRig rig;
    TcpRigMove m[2];
    R2t r2ts[6];
    (void)state;
    start(&rig, 1000, 2, ISCSI_DIGEST_NONE);
    DmPdu *command = tcp_rig_command(&rig, 3);
    for (uint32_t i = 0; i < 2; i++) {
        tcp_rig_move_init(&rig, &m[i], command, ISCSI_R2T, i * 2500, 2500, 2);
        tcp_rig_move_start(&rig, &m[i]);
    }
    for (uint32_t i = 0; i < 6; i++) {
        r2ts[i] = expect_r2t(&rig, 3);
        assert_int_equal(r2ts[i].sn, i);
        assert_int_equal(r2ts[i].offset, i / 3 * 2500 + i % 3 * 1000);
        if (i == 0)
            continue;
        tcp_rig_assert_silent(&rig);
        answer(&rig, &r2ts[i - 1], 3, 700);
    }
    answer(&rig, &r2ts[5], 3, 700);
    for (uint32_t i = 0; i < 2; i++) {
        tcp_rig_wait(&rig, m[i].done);
        assert_moved(&m[i]);
    }
    tcp_rig_deinit(&rig);
}

/* R2Ts that are sent later carry the serial numbers of then. */
static void later_r2ts_have_later_serials(void **state)
{
    static const struct {
        uint8_t opcode;
        uint32_t itt, stat_sn, then;
    } between[] = {{ISCSI_SCSI_RESPONSE, 9, 11, 12},
                   {ISCSI_NOP_IN, ISCSI_NO_TAG, 12, 12},
                   {ISCSI_NOP_IN, 10, 12, 13}};
    TcpRig rig;
    TcpRigMove m;
    uint8_t bhs[ISCSI_BHS_LEN];
    (void)state;
    start(&rig, 1000, 1, ISCSI_DIGEST_NONE);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 3), ISCSI_R2T, 0, 4000, 1);
    put_be32(m.move.bhs + PDU_STAT_SN, 11);
    put_be32(m.move.bhs + PDU_EXP_CMD_SN, 100);
    put_be32(m.move.bhs + PDU_MAX_CMD_SN, 200);
    tcp_rig_move_start(&rig, &m);
    R2t r2t = expect_r2t(&rig, 3);
    for (uint32_t i = 0; i < G_N_ELEMENTS(between); i++) {
        uint8_t response[ISCSI_BHS_LEN] = {between[i].opcode, PDU_FINAL};
        put_be32(response + PDU_ITT, between[i].itt);
        put_be32(response + PDU_STAT_SN, between[i].stat_sn);
        put_be32(response + PDU_EXP_CMD_SN, 101 + i);
        put_be32(response + PDU_MAX_CMD_SN, 201 + i);
        rig.conn->dm->send_control(rig.conn, response, NULL, 0);
        tcp_rig_receive(&rig, bhs, NULL, 0);
        answer(&rig, &r2t, 3, 1000);
        tcp_rig_receive(&rig, bhs, NULL, 0);
        assert_int_equal(pdu_opcode(bhs), ISCSI_R2T);
        assert_int_equal(get_be32(bhs + PDU_STAT_SN), between[i].then);
        assert_int_equal(get_be32(bhs + PDU_EXP_CMD_SN), 101 + i);
        assert_int_equal(get_be32(bhs + PDU_MAX_CMD_SN), 201 + i);
        r2t = (R2t){pdu_ttt(bhs), 0, get_be32(bhs + DATA_OFFSET), 1000};
    }
    answer(&rig, &r2t, 3, 1000);
    tcp_rig_wait(&rig, m.done);
    assert_moved(&m);
    tcp_rig_deinit(&rig);
}

static void cancelling_lets_the_next_move_ask(void **state)
{
    TcpRig rig;
    TcpRigMove m[2];
    (void)state;
    start(&rig, 1000, 1, ISCSI_DIGEST_NONE);
    DmPdu *command = tcp_rig_command(&rig, 3);
    for (uint32_t i = 0; i < 2; i++) {
        tcp_rig_move_init(&rig, &m[i], command, ISCSI_R2T, i * 2000, 2000, 1);
        tcp_rig_move_start(&rig, &m[i]);
    }
    assert_int_equal(expect_r2t(&rig, 3).offset, 0);
    rig.conn->dm->cancel(rig.conn, &m[0].move);
    for (uint32_t i = 0; i < 2; i++) {
        R2t r2t = expect_r2t(&rig, 3);
        assert_int_equal(r2t.offset, 2000 + i * 1000);
        answer(&rig, &r2t, 3, 1000);
    }
    tcp_rig_wait(&rig, m[1].done);
    assert_moved(&m[1]);
    tcp_rig_move_deinit(&m[0]);
    tcp_rig_deinit(&rig);
}

static void missing_data_fails_the_move_alone(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    uint8_t bhs[ISCSI_BHS_LEN];
    (void)state;
    start(&rig, 1000, 1, ISCSI_DIGEST_NONE);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 3), ISCSI_R2T, 0, 2000, 1);
    tcp_rig_move_start(&rig, &m);
    R2t r2t = expect_r2t(&rig, 3);
    make_data_out(bhs, &r2t, 3, 0, 500, 0);
    send_data_out(&rig, bhs, 500);
    make_data_out(bhs, &r2t, 3, 500, 500, 2);
    send_data_out(&rig, bhs, 500);
    tcp_rig_wait(&rig, m.done);
    assert_int_equal(m.error, -EBADMSG);
    tcp_rig_assert_silent(&rig);
    assert_false(rig.terminated);
    assert_int_equal(rig.bad_digests, 0);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
}

static void commands_are_answered_in_any_order(void **state)
{
    enum { N = 100 };
    static TcpRigMove m[N];
    R2t r2ts[N];
    TcpRig rig;
    (void)state;
    tcp_rig_init(&rig);
    rig.params.queue_depth = N;
    rig.params.immediate_data = false;
    tcp_rig_enable(&rig);
    for (uint32_t i = 0; i < N; i++) {
        tcp_rig_move_init(&rig, &m[i], tcp_rig_command(&rig, i), ISCSI_R2T, 0, 4096 + i, 1);
        tcp_rig_move_start(&rig, &m[i]);
        r2ts[i] = expect_r2t(&rig, i);
    }
    for (uint32_t i = N; i-- > 0;)
        answer(&rig, &r2ts[i], i, 65536);
    for (uint32_t i = 0; i < N; i++) {
        tcp_rig_wait(&rig, m[i].done);
        assert_moved(&m[i]);
    }
    tcp_rig_deinit(&rig);
}

/* What is wrong with a Data-Out; each must end the connection, and with it the move. */
typedef void (*Spoil)(uint8_t *bhs, uint32_t *len);

static void wrong_slot(uint8_t *bhs, uint32_t *len)
{
    (void)len;
    bhs[PDU_TTT] ^= 0x40;
}

static void wrong_generation(uint8_t *bhs, uint32_t *len)
{
    (void)len;
    bhs[PDU_TTT + 2] ^= 1;
}

static void wrong_burst(uint8_t *bhs, uint32_t *len)
{
    (void)len;
    bhs[PDU_TTT + 3] ^= 1;
}

static void wrong_task(uint8_t *bhs, uint32_t *len)
{
    (void)len;
    bhs[PDU_ITT] ^= 1;
}

static void before_its_place(uint8_t *bhs, uint32_t *len)
{
    (void)len;
    put_be32(bhs + DATA_OFFSET, get_be32(bhs + DATA_OFFSET) - 4);
}

static void beyond_its_place(uint8_t *bhs, uint32_t *len)
{
    (void)len;
    put_be32(bhs + DATA_OFFSET, get_be32(bhs + DATA_OFFSET) + 4);
}

static void beyond_the_burst(uint8_t *bhs, uint32_t *len)
{
    bhs[PDU_FLAGS] = PDU_FINAL;
    *len = 1001;
}

static void final_too_early(uint8_t *bhs, uint32_t *len)
{
    (void)len;
    bhs[PDU_FLAGS] = PDU_FINAL;
}

static void never_final(uint8_t *bhs, uint32_t *len)
{
    bhs[PDU_FLAGS] = 0;
    *len = 1000;
}

static void violations_end_the_connection(void **state)
{
    static const Spoil spoils[] = {wrong_slot,       wrong_generation, wrong_burst,
                                   wrong_task,       before_its_place, beyond_its_place,
                                   beyond_the_burst, final_too_early,  never_final};
    (void)state;
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(spoils); i++) {
        TcpRig rig;
        TcpRigMove m;
        uint8_t bhs[ISCSI_BHS_LEN];
        uint32_t len = 400, before = i % 2 * 400; /* the first PDU, or one behind a right one */
        start(&rig, 1000 + before, 1, ISCSI_DIGEST_NONE);
        tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 3), ISCSI_R2T, 512, 5000, 1);
        tcp_rig_move_start(&rig, &m);
        R2t r2t = expect_r2t(&rig, 3);
        if (before) {
            make_data_out(bhs, &r2t, 3, 0, before, 0);
            send_data_out(&rig, bhs, before);
        }
        make_data_out(bhs, &r2t, 3, before, len, before ? 1 : 0);
        spoils[i / 2](bhs, &len);
        send_data_out(&rig, bhs, len);
        tcp_rig_wait(&rig, rig.terminated);
        assert_non_null(strstr(rig.reason, "Data-Out"));
        assert_int_equal(m.error, -ECONNRESET);
        assert_int_equal(m.memory[before], 0);
        tcp_rig_move_deinit(&m);
        tcp_rig_deinit(&rig);
    }
}

static void data_after_the_last_burst_ends_the_connection(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    (void)state;
    start(&rig, 1000, 1, ISCSI_DIGEST_NONE);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 3), ISCSI_R2T, 0, 1000, 1);
    tcp_rig_move_start(&rig, &m);
    R2t r2t = expect_r2t(&rig, 3);
    answer(&rig, &r2t, 3, 1000);
    tcp_rig_wait(&rig, m.done);
    assert_moved(&m);
    answer(&rig, &r2t, 3, 1000);
    tcp_rig_wait(&rig, rig.terminated);
    tcp_rig_deinit(&rig);
}

static void cancelled_move_takes_no_more_bytes(void **state)
{
    TcpRig rig;
    TcpRigMove m, other;
    uint8_t bhs[ISCSI_BHS_LEN], frame[8192], data[4000];
    (void)state;
    memset(data, 0xee, sizeof data);
    start(&rig, 8000, 1, ISCSI_DIGEST_CRC32C);
    DmPdu *command = tcp_rig_command(&rig, 3);
    tcp_rig_move_init(&rig, &m, command, ISCSI_R2T, 0, 8000, 2);
    tcp_rig_move_start(&rig, &m);
    R2t r2t = expect_r2t(&rig, 3);
    make_data_out(bhs, &r2t, 3, 0, 4000, 0);
    size_t len = tcp_rig_frame(&rig, frame, bhs, data, 4000);
    tcp_rig_write(&rig, frame, 1000); /* in the middle of its data */
    tcp_rig_turn(&rig);
    assert_int_equal(m.memory[500], 0xee);
    rig.conn->dm->cancel(rig.conn, &m.move);
    assert_true(m.done);
    assert_int_equal(m.error, -ECANCELED);
    memset(m.memory, 0, 8000);
    tcp_rig_write(&rig, frame + 1000, len - 1000);
    make_data_out(bhs, &r2t, 3, 4000, 4000, 1);
    tcp_rig_send(&rig, bhs, data, 4000);

    tcp_rig_move_init(&rig, &other, command, ISCSI_R2T, 0, 3000, 1);
    tcp_rig_move_start(&rig, &other);
    r2t = expect_r2t(&rig, 3);
    answer(&rig, &r2t, 3, 3000);
    tcp_rig_wait(&rig, other.done);
    assert_moved(&other);
    for (unsigned i = 0; i < 8000; i++)
        assert_int_equal(m.memory[i], 0);
    assert_int_equal(rig.bad_digests, 0);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
}

static void wrong_digest_fails_the_move_when_all_has_come(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    R2t r2ts[2];
    uint8_t bhs[ISCSI_BHS_LEN], frame[2048], data[1000] = {0};
    (void)state;
    start(&rig, 1000, 2, ISCSI_DIGEST_CRC32C);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 3), ISCSI_R2T, 0, 4000, 1);
    tcp_rig_move_start(&rig, &m);
    r2ts[0] = expect_r2t(&rig, 3);
    r2ts[1] = expect_r2t(&rig, 3);
    make_data_out(bhs, &r2ts[0], 3, 0, 1000, 0);
    size_t len = tcp_rig_frame(&rig, frame, bhs, data, 1000);
    frame[100] ^= 1;
    tcp_rig_write(&rig, frame, len);
    tcp_rig_wait(&rig, rig.bad_digests == 1);
    tcp_rig_assert_silent(&rig); /* no more is asked for */
    assert_false(m.done);
    answer(&rig, &r2ts[1], 3, 1000);
    tcp_rig_wait(&rig, m.done);
    assert_int_equal(m.error, -EBADMSG);
    assert_false(rig.terminated);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
}

static void closing_in_the_middle_ends_the_move(void **state)
{
    TcpRig rig;
    TcpRigMove m, late;
    uint8_t bhs[ISCSI_BHS_LEN];
    (void)state;
    start(&rig, 8000, 1, ISCSI_DIGEST_NONE);
    DmPdu *command = tcp_rig_command(&rig, 3);
    tcp_rig_move_init(&rig, &m, command, ISCSI_R2T, 0, 8000, 2);
    tcp_rig_move_init(&rig, &late, command, ISCSI_R2T, 0, 8000, 2);
    tcp_rig_move_start(&rig, &m);
    R2t r2t = expect_r2t(&rig, 3);
    make_data_out(bhs, &r2t, 3, 0, 4000, 0);
    put_be24(bhs + BHS_DATA_LEN, 4000);
    tcp_rig_write(&rig, bhs, sizeof bhs);
    tcp_rig_write(&rig, bhs, 10);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_NOW);
    tcp_rig_move_start(&rig, &late);
    tcp_rig_wait(&rig, rig.terminated);
    assert_int_equal(m.error, -ECONNRESET);
    assert_int_equal(late.error, -ECONNRESET);
    tcp_rig_move_deinit(&m);
    tcp_rig_move_deinit(&late);
    tcp_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts_one_at_a_time),
        cmocka_unit_test(bursts_overlapping),
        cmocka_unit_test(r2t_numbers_go_on_in_the_next_move),
        cmocka_unit_test(moves_of_a_command_ask_in_order),
        cmocka_unit_test(later_r2ts_have_later_serials),
        cmocka_unit_test(cancelling_lets_the_next_move_ask),
        cmocka_unit_test(missing_data_fails_the_move_alone),
        cmocka_unit_test(commands_are_answered_in_any_order),
        cmocka_unit_test(violations_end_the_connection),
        cmocka_unit_test(data_after_the_last_burst_ends_the_connection),
        cmocka_unit_test(cancelled_move_takes_no_more_bytes),
        cmocka_unit_test(wrong_digest_fails_the_move_when_all_has_come),
        cmocka_unit_test(closing_in_the_middle_ends_the_move),
    };
    return unit_run(tests);
}
