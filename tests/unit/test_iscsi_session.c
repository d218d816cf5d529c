/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions in the full feature phase: commands, data, window, task management, NOP, logout. */
#include "tests/unit/unit.h"

#include "iser/iscsi/session.h"
#include "tests/unit/iscsi_fake.h"

#include <errno.h>

#define TARGET "iqn.2026-11.t:disk"
#define CMD_SN 1000 /* of the first command after a login */

static Fake fake;
static FakeConn *conn;
static TransportTarget *target;
static uint32_t cmd_sn;
static uint32_t exp_stat_sn; /* the answers before it were seen */
static uint8_t buffer[8192];

static int log_in_with(const char *keys)
{
    fake_setup(&fake, 8, 5000);
    target = iscsi_portal_add_target(
        fake.portal,
        &(TransportTargetSpec){.name = TARGET, .scsi = fake_scsi_target, .allow_all = true}, NULL);
    conn = fake_connect(&fake);
    cmd_sn = CMD_SN;
    exp_stat_sn = 1; /* the login's was 0 */
    return fake_login_to(&fake, conn, "iqn.i", 1, TARGET, keys) ? 0 : -1;
}

static int begin(void **state)
{
    (void)state;
    return log_in_with("InitialR2T=No\nFirstBurstLength=4096\niSCSIProtocolLevel=2\n");
}

static int begin_level_1(void **state)
{
    (void)state;
    return log_in_with("");
}

static void note_removed(void *arg)
{
    *(bool *)arg = true;
}

static bool is_set(void *arg)
{
    return *(bool *)arg;
}

static int end(void **state)
{
    (void)state;
    bool removed = false;
    if (!conn->terminating)
        fake_hang_up(conn);
    fake_run(&fake);
    iscsi_portal_remove_target(target, note_removed, &removed);
    assert_true(fake_wait(&fake, is_set, &removed));
    fake_teardown(&fake);
    assert_int_equal(fake_tasks.length, 0);
    return 0;
}

/* --- requests --- */

static void put_command(uint8_t bhs[ISCSI_BHS_LEN], uint32_t sn, uint8_t flags, uint32_t itt,
                        uint32_t edtl)
{
    pdu_begin(bhs, ISCSI_SCSI_COMMAND, flags, itt);
    put_be32(bhs + COMMAND_EDTL, edtl);
    put_be32(bhs + PDU_CMD_SN, sn);
    put_be32(bhs + PDU_EXP_STAT_SN, exp_stat_sn);
    bhs[COMMAND_CDB] = 0x28;
}

static void command_at(uint32_t sn, uint8_t flags, uint32_t itt, uint32_t edtl, uint32_t immediate)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    put_command(bhs, sn, flags, itt, edtl);
    fake_receive(conn, bhs, buffer, immediate);
}

static void command(uint8_t flags, uint32_t itt, uint32_t edtl, uint32_t immediate)
{
    command_at(cmd_sn++, flags, itt, edtl, immediate);
}

static void read_command(uint32_t itt, uint32_t edtl)
{
    command(PDU_FINAL | COMMAND_READ, itt, edtl, 0);
}

static void data_out(uint8_t flags, uint32_t itt, uint32_t sn, uint32_t offset, uint32_t len)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_DATA_OUT, flags, itt);
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    put_be32(bhs + DATA_SN, sn);
    put_be32(bhs + DATA_OFFSET, offset);
    fake_receive(conn, bhs, buffer, len);
}

static void tmf(uint8_t function, bool immediate, uint32_t sn, uint32_t ref_tag, uint32_t ref_sn)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_TMF_REQUEST, PDU_FINAL | function, 0x7777);
    bhs[0] |= immediate ? PDU_IMMEDIATE : 0;
    put_be32(bhs + TMF_REFERENCED_TAG, ref_tag);
    put_be32(bhs + PDU_CMD_SN, sn);
    put_be32(bhs + TMF_REF_CMD_SN, ref_sn);
    fake_receive(conn, bhs, NULL, 0);
}

static void other(IscsiOpcode opcode, uint8_t flags, uint32_t itt, const char *data)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, opcode, flags, itt);
    bhs[0] |= PDU_IMMEDIATE;
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    put_be32(bhs + PDU_CMD_SN, cmd_sn);
    fake_receive(conn, bhs, data, data ? strlen(data) : 0);
}

/* --- expectations --- */

static const FakeSent *expect(IscsiOpcode opcode, uint32_t itt)
{
    const FakeSent *sent = fake_next(conn);
    assert_non_null(sent);
    assert_int_equal(pdu_opcode(sent->bhs), opcode);
    assert_int_equal(pdu_itt(sent->bhs), itt);
    return sent;
}

static void expect_nothing(void)
{
    fake_run(&fake);
    assert_null(fake_next(conn));
}

static void expect_reject(RejectReason reason)
{
    const FakeSent *sent = expect(ISCSI_REJECT, ISCSI_NO_TAG);
    assert_int_equal(sent->bhs[REJECT_REASON], reason);
    assert_int_equal(sent->len, ISCSI_BHS_LEN);
}

static void expect_check_condition(uint32_t itt, SenseCode code)
{
    const FakeSent *sent = expect(ISCSI_SCSI_RESPONSE, itt);
    assert_int_equal(sent->bhs[RESPONSE_STATUS], SCSI_CHECK_CONDITION);
    assert_int_equal(sent->len, 20);
    assert_int_equal(get_be16(sent->data), 18);
    assert_int_equal(sent->data[2 + 2], code >> 16);
    assert_int_equal(get_be16(sent->data + 2 + 12), code & 0xffff);
}

static void expect_tmf(IscsiTmfResponse response)
{
    const FakeSent *sent = expect(ISCSI_TMF_RESPONSE, 0x7777);
    assert_int_equal(sent->bhs[TMF_RESPONSE_CODE], response);
}

static Task *newest(void)
{
    return g_queue_peek_tail(&fake_tasks);
}

/* --- commands --- */

static void read_ends_with_collapsed_status(void **state)
{
    (void)state;
    DataMove move;
    read_command(1, 4096);
    Task *task = newest();
    assert_int_equal(task->data_in_len, 4096);
    assert_int_equal(task->data_out_len, 0);
    assert_int_equal(task->tag, 1);
    task->data_in_wanted = 4096;
    fake_respond_data(&move, buffer, 4096);
    const FakeSent *sent = expect(ISCSI_DATA_IN, 1);
    assert_true(sent->is_put);
    assert_int_equal(sent->bhs[PDU_FLAGS], PDU_FINAL | DATA_IN_STATUS);
    assert_int_equal(get_be32(sent->bhs + PDU_EXP_CMD_SN), CMD_SN + 1);
    assert_int_equal(conn->pdus, 1);
    fake_end_put(conn, 0);
    assert_int_equal(conn->pdus, 0);
    SessionRecord *record = fake.records->pdata[0];
    assert_int_equal(record->commands, 1);
    assert_int_equal(record->read_bytes, 4096);
}

static void residuals_go_both_ways(void **state)
{
    (void)state;
    DataMove move;
    read_command(1, 4096);
    newest()->data_in_wanted = 512;
    fake_respond_data(&move, buffer, 512);
    const FakeSent *sent = expect(ISCSI_DATA_IN, 1);
    assert_int_equal(sent->bhs[PDU_FLAGS], PDU_FINAL | DATA_IN_STATUS | RESPONSE_UNDERFLOW);
    assert_int_equal(get_be32(sent->bhs + DATA_IN_RESIDUAL), 3584);
    fake_end_put(conn, 0);

    command(PDU_FINAL | COMMAND_WRITE, 2, 512, 512);
    newest()->data_out_wanted = 2048;
    fake_respond(SCSI_GOOD, NULL, 0);
    sent = expect(ISCSI_SCSI_RESPONSE, 2);
    assert_int_equal(sent->bhs[PDU_FLAGS], PDU_FINAL | RESPONSE_OVERFLOW);
    assert_int_equal(get_be32(sent->bhs + RESPONSE_RESIDUAL), 1536);

    command(PDU_FINAL, 3, 0, 0); /* no data phase, but the command has data */
    newest()->data_in_wanted = 36;
    fake_respond(SCSI_GOOD, NULL, 0);
    sent = expect(ISCSI_SCSI_RESPONSE, 3);
    assert_int_equal(sent->bhs[PDU_FLAGS], PDU_FINAL | RESPONSE_OVERFLOW);
    assert_int_equal(get_be32(sent->bhs + RESPONSE_RESIDUAL), 36);
}

static void sense_comes_in_a_response(void **state)
{
    (void)state;
    static const uint8_t sense[18] = {0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11};
    DataMove move;
    read_command(1, 4096);
    fake_respond(SCSI_CHECK_CONDITION, sense, sizeof sense);
    expect_check_condition(1, SENSE_CODE(3, 0x11, 0));

    read_command(2, 4096);
    Task *task = newest();
    task->status = SCSI_CHECK_CONDITION;
    memcpy(task->sense, sense, sizeof sense);
    task->sense_len = sizeof sense;
    fake_respond_data(&move, buffer, 512); /* some data, then the error */
    const FakeSent *sent = expect(ISCSI_DATA_IN, 2);
    assert_int_equal(sent->bhs[PDU_FLAGS], PDU_FINAL);
    sent = expect(ISCSI_SCSI_RESPONSE, 2);
    assert_int_equal(get_be32(sent->bhs + RESPONSE_EXP_DATA_SN), 1);
    fake_end_put(conn, 0);
}

static void stat_sn_counts_responses(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        command(PDU_FINAL, i, 0, 0);
        fake_respond(SCSI_GOOD, NULL, 0);
        const FakeSent *sent = expect(ISCSI_SCSI_RESPONSE, i);
        assert_int_equal(get_be32(sent->bhs + PDU_STAT_SN), 1 + i); /* 0: login */
    }
}

static void extended_cdb_reaches_the_task(void **state)
{
    (void)state;
    uint8_t bhs[ISCSI_BHS_LEN], ahs[20] = {0, 17, 1, 0, 0x5a};
    put_command(bhs, cmd_sn++, PDU_FINAL, 1, 0);
    fake_receive_ahs(conn, bhs, ahs, sizeof ahs);
    assert_int_equal(newest()->cdb_len, 32);
    assert_int_equal(newest()->cdb[16], 0x5a);
    fake_respond(SCSI_GOOD, NULL, 0);
    expect(ISCSI_SCSI_RESPONSE, 1);

    put_command(bhs, cmd_sn++, PDU_FINAL, 2, 0);
    ahs[1] = 99;
    fake_receive_ahs(conn, bhs, ahs, sizeof ahs);
    expect_reject(REJECT_INVALID_PDU_FIELD);

    uint8_t long_ahs[24] = {0, 18, 1};
    put_command(bhs, cmd_sn++, PDU_FINAL, 3, 0);
    fake_receive_ahs(conn, bhs, long_ahs, sizeof long_ahs);
    expect_check_condition(3, SENSE_INVALID_FIELD_IN_IU);
    command(PDU_FINAL, 4, 0, 0); /* the numbers went on */
    assert_int_equal(newest()->tag, 4);
    fake_respond(SCSI_GOOD, NULL, 0);
}

static void contradictory_commands_are_refused(void **state)
{
    (void)state;
    command(PDU_FINAL | COMMAND_READ | COMMAND_WRITE, 1, 512, 0);
    expect_check_condition(1, SENSE_INVALID_FIELD_IN_IU);
    command(PDU_FINAL | COMMAND_READ, 2, 512, 512);
    expect_reject(REJECT_INVALID_PDU_FIELD);
    command(COMMAND_READ, 3, 512, 0);
    expect_reject(REJECT_INVALID_PDU_FIELD);
    command(PDU_FINAL, ISCSI_NO_TAG, 0, 0);
    expect_reject(REJECT_INVALID_PDU_FIELD);
    command(PDU_FINAL, 5, 0, 0);
    command(PDU_FINAL, 5, 0, 0);
    expect_reject(REJECT_TASK_IN_PROGRESS);
    assert_int_equal(fake_tasks.length, 1);
    fake_respond(SCSI_GOOD, NULL, 0);
    expect(ISCSI_SCSI_RESPONSE, 5);
    assert_int_equal(conn->pdus, 0);
}

/* --- the window --- */

static void commands_are_put_in_order(void **state)
{
    (void)state;
    command_at(CMD_SN + 2, PDU_FINAL, 3, 0, 0);
    command_at(CMD_SN + 1, PDU_FINAL, 2, 0, 0);
    command_at(CMD_SN + 1, PDU_FINAL, 99, 0, 0); /* twice */
    assert_int_equal(fake_tasks.length, 0);
    command_at(CMD_SN, PDU_FINAL, 1, 0, 0);
    assert_int_equal(fake_tasks.length, 3);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(((Task *)g_queue_peek_head(&fake_tasks))->tag, i);
        fake_respond(SCSI_GOOD, NULL, 0);
    }
    assert_int_equal(conn->pdus, 0);
}

static void commands_outside_the_window_are_ignored(void **state)
{
    (void)state;
    command_at(CMD_SN - 1, PDU_FINAL, 1, 0, 0);
    command_at(CMD_SN + 8, PDU_FINAL, 2, 0, 0);
    assert_int_equal(conn->pdus, 0);
    expect_nothing();
    command_at(CMD_SN + 7, PDU_FINAL, 3, 0, 0); /* the last that is allowed */
    assert_int_equal(conn->pdus, 1);
}

static void window_closes_and_opens(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8; i++)
        command(PDU_FINAL, i, 0, 0);
    command(PDU_FINAL, 8, 0, 0);
    assert_int_equal(fake_tasks.length, 8);
    cmd_sn--;
    for (uint32_t i = 0; i < 8; i++) {
        fake_respond(SCSI_GOOD, NULL, 0);
        const FakeSent *sent = expect(ISCSI_SCSI_RESPONSE, i);
        assert_int_equal(get_be32(sent->bhs + PDU_MAX_CMD_SN), CMD_SN + 7 + i);
    }
    command(PDU_FINAL, 8, 0, 0);
    assert_int_equal(fake_tasks.length, 1);
    fake_respond(SCSI_GOOD, NULL, 0);
}

static void a_closed_window_is_announced_open(void **state)
{
    (void)state;
    DataMove moves[8];
    for (uint32_t i = 0; i < 8; i++)
        read_command(i, 512);
    for (uint32_t i = 0; i < 8; i++) {
        newest()->data_in_wanted = 512;
        fake_respond_data(&moves[i], buffer, 512);
        const FakeSent *sent = expect(ISCSI_DATA_IN, i);
        assert_int_equal(get_be32(sent->bhs + PDU_MAX_CMD_SN), CMD_SN + 7); /* closed */
    }
    for (uint32_t i = 0; i < 8; i++)
        fake_end_put(conn, 0);
    const FakeSent *sent = expect(ISCSI_NOP_IN, ISCSI_NO_TAG);
    assert_int_equal(pdu_ttt(sent->bhs), ISCSI_NO_TAG);
    assert_int_equal(get_be32(sent->bhs + PDU_MAX_CMD_SN), CMD_SN + 15);
}

static unsigned window_now(void)
{
    return ((SessionRecord *)fake.records->pdata[0])->window;
}

static uint32_t answer_and_get_max(uint32_t itt)
{
    fake_respond(SCSI_GOOD, NULL, 0);
    return get_be32(expect(ISCSI_SCSI_RESPONSE, itt)->bhs + PDU_MAX_CMD_SN);
}

static void a_window_used_up_grows(void **state)
{
    (void)state;
    conn->more = 8;
    for (uint32_t i = 0; i < 7; i++)
        command(PDU_FINAL, i, 0, 0);
    assert_int_equal(conn->more, 8); /* there was still a number on offer */
    command(PDU_FINAL, 7, 0, 0);
    assert_int_equal(conn->more, 0);
    assert_int_equal(answer_and_get_max(0), CMD_SN + 15);
    for (uint32_t i = 8; i < 16; i++)
        command(PDU_FINAL, i, 0, 0);
    assert_int_equal(fake_tasks.length, 15);
    for (uint32_t i = 1; i < 16; i++)
        assert_int_equal(answer_and_get_max(i), CMD_SN + 15 + i);
    assert_int_equal(window_now(), 16);
}

/* Commands that were answered count while the initiator cannot know of it: it waits for a place. */
static void answers_on_their_way_use_the_window_up(void **state)
{
    (void)state;
    conn->more = 8;
    for (uint32_t i = 0; i < 12; i++) {
        command(PDU_FINAL, i, 0, 0);
        answer_and_get_max(i);
        exp_stat_sn++;
    }
    assert_int_equal(conn->more, 8); /* one at a time */
    for (uint32_t i = 12; i < 20 && conn->more; i++) {
        command(PDU_FINAL, i, 0, 0);
        answer_and_get_max(i);
    }
    assert_int_equal(conn->more, 0);
}

static void a_window_shrinks_as_commands_end(void **state)
{
    (void)state;
    conn->more = 8;
    for (uint32_t i = 0; i < 8; i++)
        command(PDU_FINAL, i, 0, 0);
    conn->scarce = 5;
    for (uint32_t i = 0; i < 6; i++) /* MaxCmdSN stands still, and never goes back */
        assert_int_equal(answer_and_get_max(i), CMD_SN + 15);
    assert_int_equal(answer_and_get_max(6), CMD_SN + 16);
    answer_and_get_max(7);
    assert_int_equal(window_now(), 11);
    for (uint32_t i = 8; i < 19; i++)
        command(PDU_FINAL, i, 0, 0);
    assert_int_equal(fake_tasks.length, 11); /* what is on offer is taken */
    for (uint32_t i = 8; i < 19; i++)
        fake_respond(SCSI_GOOD, NULL, 0);
}

static void immediate_commands_are_bounded(void **state)
{
    (void)state;
    uint8_t bhs[ISCSI_BHS_LEN];
    unsigned limit = 8 + COMMANDS_IMMEDIATE;
    for (uint32_t i = 0; i <= limit; i++) {
        put_command(bhs, cmd_sn, PDU_FINAL, i, 0);
        bhs[0] |= PDU_IMMEDIATE;
        fake_receive(conn, bhs, NULL, 0);
    }
    assert_int_equal(fake_tasks.length, limit);
    expect_reject(REJECT_TOO_MANY_IMMEDIATE);
    while (fake_tasks.length)
        fake_respond(SCSI_GOOD, NULL, 0);
    const FakeSent *sent = expect(ISCSI_SCSI_RESPONSE, 0);
    assert_int_equal(get_be32(sent->bhs + PDU_EXP_CMD_SN), CMD_SN); /* they have no number */
}

/* --- data-out --- */

static void solicited_data_is_asked_for(void **state)
{
    (void)state;
    DataMove move;
    command(PDU_FINAL | COMMAND_WRITE, 1, 8192, 1024);
    Task *task = newest();
    assert_int_equal(task->immediate_len, 1024);
    fake_get(task, &move, 1024, buffer, 7168);
    const FakeSent *sent = expect(ISCSI_R2T, 1);
    assert_int_equal(sent->bhs[PDU_FLAGS], PDU_FINAL);
    DmMove *dm = g_queue_peek_head(&conn->gets);
    assert_int_equal(dm->offset, 1024);
    assert_int_equal(dm->len, 7168);
    fake_end_get(conn, 0x33, 0);
    assert_ptr_equal(g_queue_pop_head(&fake_moved), &move);
    assert_int_equal(buffer[7167], 0x33);
    task->data_out_wanted = 8192;
    fake_respond(SCSI_GOOD, NULL, 0);
    sent = expect(ISCSI_SCSI_RESPONSE, 1);
    assert_int_equal(sent->bhs[PDU_FLAGS], PDU_FINAL);
    assert_int_equal(((SessionRecord *)fake.records->pdata[0])->write_bytes, 8192);
}

static void unsolicited_data_is_staged(void **state)
{
    (void)state;
    static uint8_t into[8192];
    DataMove first, second;
    memset(buffer, 0x11, sizeof buffer);
    command(COMMAND_WRITE, 1, 8192, 1024);
    Task *task = newest();
    data_out(0, 1, 0, 1024, 1000);
    fake_get(task, &first, 1024, into, 2048);
    fake_get(task, &second, 3072, into + 2048, 5120);
    assert_int_equal(fake_moved.length, 0);
    data_out(0, 1, 1, 2024, 1072);
    assert_int_equal(fake_moved.length, 0); /* never inside, but soon */
    fake_run(&fake);
    assert_ptr_equal(g_queue_pop_head(&fake_moved), &first);
    assert_int_equal(conn->pdus, 1); /* the second move took the rest */
    memset(buffer, 0x22, sizeof buffer);
    data_out(PDU_FINAL, 1, 2, 3096, 1000);
    expect(ISCSI_R2T, 1);
    DmMove *dm = g_queue_peek_head(&conn->gets);
    assert_int_equal(dm->offset, 4096); /* FirstBurstLength came unasked */
    assert_int_equal(dm->len, 4096);
    fake_end_get(conn, 0x33, 0);
    assert_ptr_equal(g_queue_pop_head(&fake_moved), &second);
    assert_int_equal(into[2047], 0x11);
    assert_int_equal(into[2048 + 23], 0x11);
    assert_int_equal(into[2048 + 24], 0x22);
    assert_int_equal(into[3071], 0x22);
    assert_int_equal(into[3072], 0x33);
    assert_int_equal(into[7167], 0x33);
    assert_int_equal(into[7168], 0);
    assert_int_equal(conn->pdus, 1);
    fake_respond(SCSI_GOOD, NULL, 0);
    assert_int_equal(conn->pdus, 0);
}

static void a_short_burst_is_completed_by_r2t(void **state)
{
    (void)state;
    DataMove move;
    command(COMMAND_WRITE, 1, 4096, 0);
    fake_get(newest(), &move, 0, buffer, 4096);
    data_out(PDU_FINAL, 1, 0, 0, 512);
    DmMove *dm = g_queue_peek_head(&conn->gets);
    assert_int_equal(dm->offset, 512);
    assert_int_equal(dm->len, 3584);
    assert_ptr_equal(dm->iov[0].iov_base, buffer + 512);
    fake_end_get(conn, 0, 0);
    fake_respond(SCSI_GOOD, NULL, 0);
}

static void an_early_answer_waits_for_the_burst(void **state)
{
    (void)state;
    command(COMMAND_WRITE, 1, 4096, 0);
    fake_respond(SCSI_BUSY, NULL, 0);
    expect_nothing();
    data_out(0, 1, 0, 0, 512);
    expect_nothing();
    data_out(PDU_FINAL, 1, 1, 512, 512);
    const FakeSent *sent = expect(ISCSI_SCSI_RESPONSE, 1);
    assert_int_equal(sent->bhs[RESPONSE_STATUS], SCSI_BUSY);
    assert_int_equal(conn->pdus, 0);
}

static void an_early_answer_is_forgotten_with_the_session(void **state)
{
    (void)state;
    command(COMMAND_WRITE, 1, 4096, 0);
    data_out(0, 1, 0, 0, 512);
    fake_respond(SCSI_BUSY, NULL, 0);
}

static void broken_bursts_fail_the_command(void **state)
{
    (void)state;
    static const struct {
        uint32_t sn, offset, len;
        SenseCode code;
    } cases[] = {
        {1, 0, 512, SENSE_CODE(0xb, 0x47, 5)},    /* DataSN */
        {0, 512, 512, SENSE_CODE(0xb, 0x0c, 13)}, /* offset */
        {0, 0, 5000, SENSE_CODE(0xb, 0x0c, 13)},  /* beyond FirstBurstLength */
    };
    DataMove move;
    for (uint32_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        command(COMMAND_WRITE, i, 8192, 0);
        data_out(0, i, cases[i].sn, cases[i].offset, cases[i].len);
        expect_nothing();
        data_out(PDU_FINAL, i, 7, 0, 10);
        expect_check_condition(i, cases[i].code);
        assert_int_equal(fake_tasks.length, 0);
        assert_int_equal(conn->pdus, 0);
    }
    command(PDU_FINAL | COMMAND_WRITE, 9, 8192, 0);
    fake_get(newest(), &move, 0, buffer, 8192);
    expect(ISCSI_R2T, 9);
    fake_end_get(conn, 0, -EBADMSG); /* the datamover saw it */
    expect_check_condition(9, SENSE_CODE(0xb, 0x47, 5));
    assert_int_equal(GPOINTER_TO_INT(move.transport_private), -ECANCELED);
}

static void data_that_is_not_allowed_fails_the_command(void **state)
{
    (void)state;
    command(PDU_FINAL | COMMAND_WRITE, 1, 512, 1024); /* more than expected */
    expect_check_condition(1, SENSE_CODE(0xb, 0x0c, 0x0c));
    command(PDU_FINAL | COMMAND_WRITE, 2, 8192, 4097); /* more than FirstBurstLength */
    expect_check_condition(2, SENSE_CODE(0xb, 0x0c, 0x0c));
    data_out(PDU_FINAL, 77, 0, 0, 100); /* of no command: left over from an abort */
    expect_nothing();
    assert_int_equal(conn->pdus, 0);
}

static void unsolicited_data_needs_consent(void **state)
{
    (void)state; /* logged in with InitialR2T=Yes, the default */
    command(COMMAND_WRITE, 1, 4096, 0);
    expect_nothing();
    data_out(PDU_FINAL, 1, 0, 0, 512);
    expect_check_condition(1, SENSE_CODE(0xb, 0x0c, 0x0c));
}

static void waiting_moves_can_be_cancelled(void **state)
{
    (void)state;
    DataMove move;
    command(COMMAND_WRITE, 1, 4096, 0);
    Task *task = newest();
    fake_get(task, &move, 0, buffer, 4096);
    task->transport->cancel(task, &move);
    assert_ptr_equal(g_queue_pop_head(&fake_moved), &move);
    assert_int_equal(GPOINTER_TO_INT(move.transport_private), -ECANCELED);
    fake_get(task, &move, 0, buffer, 4096);
    data_out(PDU_FINAL, 1, 0, 0, 512);
    assert_int_equal(conn->gets.length, 1);
    task->transport->cancel(task, &move);
    assert_int_equal(conn->gets.length, 0);
    tmf(ISCSI_TMF_ABORT_TASK, true, cmd_sn, 1, CMD_SN);
    assert_int_equal(conn->pdus, 0);
}

/* --- task management --- */

static void drop_orphans(void)
{
    fake_orphans = false;
    for (Task *task; (task = g_queue_pop_head(&fake_tasks));)
        task->transport->released(task);
}

/* The initiator uses the tag again as soon as it knows that the task is aborted. */
static void an_aborted_read_gives_back_its_tag_and_place(void **state)
{
    (void)state;
    read_command(1, 512);
    fake_orphans = true;
    tmf(ISCSI_TMF_ABORT_TASK, true, cmd_sn, 1, CMD_SN);
    const FakeSent *sent = expect(ISCSI_TMF_RESPONSE, 0x7777);
    assert_int_equal(sent->bhs[TMF_RESPONSE_CODE], TMF_RESPONSE_COMPLETE);
    assert_int_equal(get_be32(sent->bhs + PDU_MAX_CMD_SN), CMD_SN + conn->window);
    assert_int_equal(conn->pdus, 0);
    read_command(1, 512);
    assert_int_equal(fake_tasks.length, 2);
    Task *again = g_queue_pop_tail(&fake_tasks);
    drop_orphans();
    g_queue_push_tail(&fake_tasks, again);
    fake_respond(SCSI_GOOD, NULL, 0);
    expect(ISCSI_SCSI_RESPONSE, 1);
    expect_nothing();
}

/* Immediate data keeps its receive buffer, and with it the place in the window. */
static void an_aborted_task_with_immediate_data_keeps_its_place(void **state)
{
    (void)state;
    command(PDU_FINAL | COMMAND_WRITE, 1, 512, 512);
    fake_orphans = true;
    tmf(ISCSI_TMF_ABORT_TASK, true, cmd_sn, 1, CMD_SN);
    const FakeSent *sent = expect(ISCSI_TMF_RESPONSE, 0x7777);
    assert_int_equal(get_be32(sent->bhs + PDU_MAX_CMD_SN), CMD_SN + conn->window - 1);
    assert_int_equal(conn->pdus, 1);
    drop_orphans();
    assert_int_equal(conn->pdus, 0);
}

/* However many reads hang, those that came first get no more than the window once more. */
static void orphans_are_bounded(void **state)
{
    (void)state;
    fake_orphans = true;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < conn->window; i++)
            read_command(i, 512);
        tmf(ISCSI_TMF_ABORT_TASK_SET, true, cmd_sn, ISCSI_NO_TAG, 0);
        if (round == 0) /* the window was closed, and is open again */
            expect(ISCSI_NOP_IN, ISCSI_NO_TAG);
        expect_tmf(TMF_RESPONSE_COMPLETE);
    }
    assert_int_equal(fake_tasks.length, 2 * conn->window);
    read_command(7777, 512); /* outside the window: ignored */
    assert_int_equal(fake_tasks.length, 2 * conn->window);
    drop_orphans();
    fake_run(&fake);
    while (fake_next(conn))
        ;
    cmd_sn--;
    read_command(7777, 512);
    assert_int_equal(fake_tasks.length, 1);
    fake_respond(SCSI_GOOD, NULL, 0);
    expect(ISCSI_SCSI_RESPONSE, 7777);
}

static void luns_that_come_are_told(void **state)
{
    (void)state;
    fake_luns_changed();
    const FakeSent *sent = expect(ISCSI_ASYNC_MESSAGE, ISCSI_NO_TAG);
    assert_int_equal(sent->bhs[ASYNC_EVENT], ASYNC_SCSI_EVENT);
    assert_int_equal(sent->len, 20);
    assert_int_equal(get_be16(sent->data), 18);
    assert_int_equal(sent->data[2 + 12], 0x3f);
    assert_int_equal(sent->data[2 + 13], 0x0e);
    uint32_t stat_sn = get_be32(sent->bhs + PDU_STAT_SN);
    other(ISCSI_NOP_OUT, PDU_FINAL, 5, NULL);
    assert_int_equal(get_be32(expect(ISCSI_NOP_IN, 5)->bhs + PDU_STAT_SN), stat_sn + 1);
}

static void abort_finds_the_task(void **state)
{
    (void)state;
    read_command(1, 512);
    tmf(ISCSI_TMF_ABORT_TASK, true, cmd_sn, 1, CMD_SN);
    expect_tmf(TMF_RESPONSE_COMPLETE);
    tmf(ISCSI_TMF_ABORT_TASK, true, cmd_sn, 1, CMD_SN); /* delivered long ago */
    expect_tmf(TMF_RESPONSE_NO_TASK);
    assert_int_equal(conn->pdus, 0);
}

static void abort_of_a_command_not_arrived(void **state)
{
    (void)state;
    cmd_sn += 2;
    tmf(ISCSI_TMF_ABORT_TASK, true, cmd_sn, 1, CMD_SN + 5); /* not before the request */
    expect_tmf(TMF_RESPONSE_NO_TASK);
    command_at(CMD_SN + 1, PDU_FINAL, 2, 0, 0); /* parked */
    tmf(ISCSI_TMF_ABORT_TASK, true, cmd_sn, 2, CMD_SN + 1);
    expect_tmf(TMF_RESPONSE_COMPLETE);
    assert_int_equal(conn->pdus, 0);
    tmf(ISCSI_TMF_ABORT_TASK, true, cmd_sn, 1, CMD_SN);
    expect_tmf(TMF_RESPONSE_COMPLETE);
    command_at(CMD_SN, PDU_FINAL, 1, 0, 0); /* comes late: ignored */
    assert_int_equal(fake_tasks.length, 0);
    command(PDU_FINAL, 3, 0, 0);
    assert_int_equal(fake_tasks.length, 1);
    fake_respond(SCSI_GOOD, NULL, 0);
}

static void resets_wait_for_commands_before_them(void **state)
{
    (void)state;
    tmf(ISCSI_TMF_LOGICAL_UNIT_RESET, true, CMD_SN + 1, 0, 0);
    expect_nothing();
    command(PDU_FINAL, 1, 0, 0);
    expect_tmf(TMF_RESPONSE_COMPLETE);
    assert_int_equal(fake_tasks.length, 0);
    assert_int_equal(fake_last_function, TMF_LOGICAL_UNIT_RESET);
}

static void functions_are_mapped(void **state)
{
    (void)state;
    tmf(ISCSI_TMF_TASK_REASSIGN, true, cmd_sn, 1, 0);
    expect_tmf(TMF_RESPONSE_NO_REASSIGN);
    tmf(ISCSI_TMF_CLEAR_ACA, true, cmd_sn, 0, 0);
    expect_tmf(TMF_RESPONSE_NOT_SUPPORTED);
    tmf(0x55, true, cmd_sn, 0, 0);
    expect_tmf(TMF_RESPONSE_NOT_SUPPORTED);
    tmf(ISCSI_TMF_QUERY_TASK, true, cmd_sn, 1, 0);
    expect_tmf(TMF_RESPONSE_COMPLETE);
    read_command(1, 512);
    tmf(ISCSI_TMF_QUERY_TASK, true, cmd_sn, 1, 0);
    expect_tmf(TMF_RESPONSE_SUCCEEDED);
    tmf(ISCSI_TMF_ABORT_TASK_SET, false, cmd_sn++, 0, 0);
    expect_tmf(TMF_RESPONSE_COMPLETE);
    assert_int_equal(fake_last_function, TMF_ABORT_TASK_SET);
    assert_int_equal(fake_tasks.length, 0);
}

static void new_functions_need_level_2(void **state)
{
    (void)state;
    tmf(ISCSI_TMF_QUERY_TASK, true, cmd_sn, 1, 0);
    expect_tmf(TMF_RESPONSE_NOT_SUPPORTED);
    tmf(ISCSI_TMF_I_T_NEXUS_RESET, true, cmd_sn, 1, 0);
    expect_tmf(TMF_RESPONSE_NOT_SUPPORTED);
}

static void hanging_functions_are_bounded(void **state)
{
    (void)state;
    fake_abort_hangs = true;
    tmf(ISCSI_TMF_LOGICAL_UNIT_RESET, true, cmd_sn, 0, 0);
    expect_nothing();
    for (unsigned i = 1; i < TMF_MAX; i++)
        tmf(ISCSI_TMF_LOGICAL_UNIT_RESET, true, cmd_sn + 1, 0, 0); /* these wait */
    expect_nothing();
    tmf(ISCSI_TMF_LOGICAL_UNIT_RESET, true, cmd_sn, 0, 0);
    expect_tmf(TMF_RESPONSE_REJECTED);
    fake_finish_aborts();
    expect_tmf(TMF_RESPONSE_COMPLETE);
}

static void cold_reset_drops_the_sessions(void **state)
{
    (void)state;
    FakeConn *second = fake_connect(&fake);
    assert_true(fake_login_to(&fake, second, "iqn.other", 1, TARGET, ""));
    tmf(ISCSI_TMF_TARGET_COLD_RESET, true, cmd_sn, 0, 0);
    expect_tmf(TMF_RESPONSE_COMPLETE);
    fake_run(&fake);
    assert_true(conn->freed);
    assert_true(second->freed);
    assert_int_equal(fake.records->len, 0);
}

/* --- the rest --- */

static void nop_out_is_echoed(void **state)
{
    (void)state;
    other(ISCSI_NOP_OUT, PDU_FINAL, 5, "ping");
    const FakeSent *sent = expect(ISCSI_NOP_IN, 5);
    assert_int_equal(pdu_ttt(sent->bhs), ISCSI_NO_TAG);
    assert_int_equal(sent->len, 4);
    assert_memory_equal(sent->data, "ping", 4);
    other(ISCSI_NOP_OUT, PDU_FINAL, ISCSI_NO_TAG, NULL);
    expect_nothing();
}

static void what_is_unknown_is_rejected(void **state)
{
    (void)state;
    other((IscsiOpcode)0x1c, PDU_FINAL, 5, NULL);
    expect_reject(REJECT_NOT_SUPPORTED);
    other(ISCSI_SNACK_REQUEST, PDU_FINAL, 5, NULL);
    expect_reject(REJECT_SNACK);
    other(ISCSI_LOGOUT_REQUEST, PDU_FINAL | 0x55, 5, NULL);
    expect_reject(REJECT_INVALID_PDU_FIELD);
    assert_false(conn->terminating);
    other(ISCSI_LOGIN_REQUEST, PDU_FINAL, 5, NULL);
    expect_reject(REJECT_PROTOCOL_ERROR);
    assert_true(conn->terminating);
}

/* What the datamover does with a PDU whose data digest is wrong. */
static void spoilt(const uint8_t bhs[ISCSI_BHS_LEN])
{
    conn->base.up->bad_digest(&conn->base, bhs);
    expect_reject(REJECT_DATA_DIGEST);
    assert_false(conn->terminating);
}

static void spoilt_requests_can_be_sent_again(void **state)
{
    (void)state;
    uint8_t bhs[ISCSI_BHS_LEN];
    put_command(bhs, cmd_sn, PDU_FINAL | COMMAND_WRITE, 1, 512);
    spoilt(bhs);
    assert_int_equal(fake_tasks.length, 0);
    command_at(cmd_sn + 1, PDU_FINAL, 2, 0, 0); /* waits for the one that is missing */
    assert_int_equal(fake_tasks.length, 0);
    command_at(cmd_sn, PDU_FINAL | COMMAND_WRITE, 1, 512, 512);
    cmd_sn += 2;
    assert_int_equal(fake_tasks.length, 2);
    fake_respond(SCSI_GOOD, NULL, 0);
    fake_respond(SCSI_GOOD, NULL, 0);
    expect(ISCSI_SCSI_RESPONSE, 1);
    expect(ISCSI_SCSI_RESPONSE, 2);
}

static void spoil_data_out(uint8_t flags, uint32_t itt, uint32_t sn)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_DATA_OUT, flags, itt);
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    put_be32(bhs + DATA_SN, sn);
    spoilt(bhs);
}

static void spoilt_data_fails_its_command(void **state)
{
    (void)state;
    DataMove move;
    command(COMMAND_WRITE, 1, 2048, 512);
    fake_get(newest(), &move, 0, buffer, 2048);
    spoil_data_out(0, 1, 0);
    expect_nothing(); /* before the end of the burst (7.8) */
    data_out(PDU_FINAL, 1, 1, 1024, 512);
    fake_run(&fake);
    expect_check_condition(1, SENSE_PROTOCOL_SERVICE_CRC);

    command(COMMAND_WRITE, 2, 1024, 512);
    spoil_data_out(PDU_FINAL, 2, 0);
    fake_run(&fake);
    expect_check_condition(2, SENSE_PROTOCOL_SERVICE_CRC);

    spoil_data_out(PDU_FINAL, 2, 0); /* of nothing that is still there */
    expect_nothing();
    command(PDU_FINAL, 3, 0, 0);
    fake_respond(SCSI_GOOD, NULL, 0);
    expect(ISCSI_SCSI_RESPONSE, 3);
}

static const FakeSent *ask_in_text(uint32_t itt, const char *text)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_TEXT_REQUEST, PDU_FINAL, itt);
    bhs[0] |= PDU_IMMEDIATE;
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    fake_receive(conn, bhs, text, strlen(text) + 1);
    return fake_next(conn);
}

static void the_length_of_data_can_be_declared_anew(void **state)
{
    (void)state;
    const FakeSent *sent = ask_in_text(1, "MaxRecvDataSegmentLength=4096");
    assert_string_equal((char *)sent->data, "MaxRecvDataSegmentLength=262144");
    assert_int_equal(conn->negotiated.peer_max_recv_data_segment_length, 4096);
    sent = ask_in_text(2, "MaxRecvDataSegmentLength=511");
    assert_string_equal((char *)sent->data, "MaxRecvDataSegmentLength=Reject");
    sent = ask_in_text(3, "MaxBurstLength=4096");
    assert_string_equal((char *)sent->data, "MaxBurstLength=Reject");
    assert_int_equal(conn->negotiated.peer_max_recv_data_segment_length, 4096);

    uint8_t bhs[ISCSI_BHS_LEN];
    static const char twice[] = "MaxRecvDataSegmentLength=512\0MaxRecvDataSegmentLength=1024";
    pdu_begin(bhs, ISCSI_TEXT_REQUEST, PDU_FINAL, 4);
    bhs[0] |= PDU_IMMEDIATE;
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    fake_receive(conn, bhs, twice, sizeof twice);
    expect_reject(REJECT_PROTOCOL_ERROR);
    assert_int_equal(conn->negotiated.peer_max_recv_data_segment_length, 4096);
}

static void logout_closes(void **state)
{
    (void)state;
    DataMove move;
    read_command(1, 512);
    other(ISCSI_LOGOUT_REQUEST, PDU_FINAL | LOGOUT_FOR_RECOVERY, 5, NULL);
    const FakeSent *sent = expect(ISCSI_LOGOUT_RESPONSE, 5);
    assert_int_equal(sent->bhs[LOGOUT_RESPONSE_CODE], LOGOUT_NO_RECOVERY);
    other(ISCSI_LOGOUT_REQUEST, PDU_FINAL | LOGOUT_CLOSE_CONNECTION, 5, NULL); /* CID 0 */
    sent = expect(ISCSI_LOGOUT_RESPONSE, 5);
    assert_int_equal(sent->bhs[LOGOUT_RESPONSE_CODE], LOGOUT_NO_CONNECTION);
    unsigned lost = fake_nexuses_lost;
    other(ISCSI_LOGOUT_REQUEST, PDU_FINAL | LOGOUT_CLOSE_SESSION, 6, NULL);
    sent = expect(ISCSI_LOGOUT_RESPONSE, 6);
    assert_int_equal(sent->bhs[LOGOUT_RESPONSE_CODE], LOGOUT_CLOSED);
    assert_int_equal(get_be16(sent->bhs + LOGOUT_TIME2WAIT), 2);
    assert_int_equal(fake_nexuses_lost, lost + 1);
    fake_respond_data(&move, buffer, 512); /* too late */
    fake_run(&fake);
    assert_null(fake_next(conn));
    assert_true(conn->freed);
    assert_int_equal(fake.records->len, 0);
}

static void text_asks_for_the_own_target_only(void **state)
{
    (void)state;
    other(ISCSI_TEXT_REQUEST, PDU_FINAL, 5, NULL);
    const FakeSent *sent = expect(ISCSI_TEXT_RESPONSE, 5);
    assert_int_equal(sent->len, 0);
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_TEXT_REQUEST, PDU_FINAL, 6);
    bhs[0] |= PDU_IMMEDIATE;
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    fake_receive(conn, bhs, "SendTargets=All", 16);
    sent = expect(ISCSI_TEXT_RESPONSE, 6);
    assert_string_equal((char *)sent->data, "SendTargets=Reject");
    fake_receive(conn, bhs, "SendTargets=", 13);
    fake_receive(conn, bhs, "SendTargets=", 13); /* before the answer */
    expect_reject(REJECT_PROTOCOL_ERROR);
    fake_run(&fake);
    sent = expect(ISCSI_TEXT_RESPONSE, 6);
    assert_int_equal(sent->bhs[PDU_FLAGS], PDU_FINAL);
    assert_string_equal((char *)sent->data, "TargetName=" TARGET);
    assert_string_equal((char *)sent->data + strlen("TargetName=" TARGET) + 1,
                        "TargetAddress=10.1.2.3:17400,7");
    fake_receive(conn, bhs, "half a pai", 10);
    expect_reject(REJECT_PROTOCOL_ERROR);
}

static void session_can_be_dropped_by_management(void **state)
{
    (void)state;
    SessionRecord *record = fake.records->pdata[0];
    assert_string_equal(record->initiator, "iqn.i");
    assert_string_equal(record->peer_address, "10.9.8.7:17400");
    record->drop(record);
    fake_run(&fake);
    const FakeSent *sent = expect(ISCSI_ASYNC_MESSAGE, ISCSI_NO_TAG);
    assert_int_equal(sent->bhs[ASYNC_EVENT], ASYNC_LOGOUT_REQUEST);
    other(ISCSI_LOGOUT_REQUEST, PDU_FINAL | LOGOUT_CLOSE_SESSION, 6, NULL);
    expect(ISCSI_LOGOUT_RESPONSE, 6);
    fake_run(&fake);
    assert_true(conn->freed);
}

static void a_session_that_does_not_log_out_is_dropped(void **state)
{
    (void)state;
    SessionRecord *record = fake.records->pdata[0];
    record->drop(record);
    assert_true(fake_wait(&fake, is_set, &conn->freed));
    expect(ISCSI_ASYNC_MESSAGE, ISCSI_NO_TAG);
    const FakeSent *sent = expect(ISCSI_ASYNC_MESSAGE, ISCSI_NO_TAG);
    assert_int_equal(sent->bhs[ASYNC_EVENT], ASYNC_SESSION_DROP);
}

static void a_lost_connection_aborts_everything(void **state)
{
    (void)state;
    DataMove move, get;
    read_command(1, 512);
    newest()->data_in_wanted = 512;
    fake_respond_data(&move, buffer, 512);
    command(COMMAND_WRITE, 2, 4096, 100);
    fake_get(newest(), &get, 100, buffer, 3996);
    data_out(0, 2, 0, 100, 100);
    command_at(cmd_sn + 3, PDU_FINAL, 3, 0, 0);  /* parked */
    newest()->transport->cancel(newest(), &get); /* as nexus_close() would */
    fake_hang_up(conn);
    fake_run(&fake);
    assert_true(conn->freed);
}

#define SESSION_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(read_ends_with_collapsed_status),
        SESSION_TEST(residuals_go_both_ways),
        SESSION_TEST(sense_comes_in_a_response),
        SESSION_TEST(stat_sn_counts_responses),
        SESSION_TEST(extended_cdb_reaches_the_task),
        SESSION_TEST(contradictory_commands_are_refused),
        SESSION_TEST(commands_are_put_in_order),
        SESSION_TEST(commands_outside_the_window_are_ignored),
        SESSION_TEST(window_closes_and_opens),
        SESSION_TEST(a_closed_window_is_announced_open),
        SESSION_TEST(a_window_used_up_grows),
        SESSION_TEST(answers_on_their_way_use_the_window_up),
        SESSION_TEST(a_window_shrinks_as_commands_end),
        SESSION_TEST(immediate_commands_are_bounded),
        SESSION_TEST(solicited_data_is_asked_for),
        SESSION_TEST(unsolicited_data_is_staged),
        SESSION_TEST(a_short_burst_is_completed_by_r2t),
        SESSION_TEST(an_early_answer_waits_for_the_burst),
        SESSION_TEST(an_early_answer_is_forgotten_with_the_session),
        SESSION_TEST(broken_bursts_fail_the_command),
        SESSION_TEST(data_that_is_not_allowed_fails_the_command),
        cmocka_unit_test_setup_teardown(unsolicited_data_needs_consent, begin_level_1, end),
        SESSION_TEST(waiting_moves_can_be_cancelled),
        SESSION_TEST(an_aborted_read_gives_back_its_tag_and_place),
        SESSION_TEST(an_aborted_task_with_immediate_data_keeps_its_place),
        SESSION_TEST(orphans_are_bounded),
        SESSION_TEST(luns_that_come_are_told),
        SESSION_TEST(abort_finds_the_task),
        SESSION_TEST(abort_of_a_command_not_arrived),
        SESSION_TEST(resets_wait_for_commands_before_them),
        SESSION_TEST(functions_are_mapped),
        cmocka_unit_test_setup_teardown(new_functions_need_level_2, begin_level_1, end),
        SESSION_TEST(hanging_functions_are_bounded),
        SESSION_TEST(cold_reset_drops_the_sessions),
        SESSION_TEST(nop_out_is_echoed),
        SESSION_TEST(what_is_unknown_is_rejected),
        SESSION_TEST(spoilt_requests_can_be_sent_again),
        SESSION_TEST(spoilt_data_fails_its_command),
        SESSION_TEST(the_length_of_data_can_be_declared_anew),
        SESSION_TEST(logout_closes),
        SESSION_TEST(text_asks_for_the_own_target_only),
        SESSION_TEST(session_can_be_dropped_by_management),
        SESSION_TEST(a_session_that_does_not_log_out_is_dropped),
        SESSION_TEST(a_lost_connection_aborts_everything),
    };
    return unit_run(tests);
}
