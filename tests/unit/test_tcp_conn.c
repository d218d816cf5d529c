/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a connection: reservations, keys, both ways to close it, late moves. */
#include "tests/unit/tcp_rig.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void keys_are_narrowed_to_what_tcp_has(void **state)
{
    IscsiParams offer = {.rdma_extensions = true,
                         .error_recovery_level = 2,
                         .max_connections = 8,
                         .max_recv_data_segment_length = 1 << 20,
                         .header_digest = ISCSI_DIGEST_NONE | ISCSI_DIGEST_CRC32C};
    TcpRig rig;
    (void)state;
    tcp_rig_init(&rig);
    assert_string_equal(rig.conn->dm->name, "tcp");
    rig.conn->dm->limit_keys(rig.conn, &offer);
    assert_false(offer.rdma_extensions);
    assert_int_equal(offer.error_recovery_level, 0);
    assert_int_equal(offer.max_connections, 1);
    assert_int_equal(offer.max_recv_data_segment_length, ARENA_BUFFER_MAX);
    assert_true(offer.data_pdu_in_order && offer.data_sequence_in_order);
    assert_int_equal(offer.header_digest, ISCSI_DIGEST_NONE | ISCSI_DIGEST_CRC32C);
    tcp_rig_deinit(&rig);
}

static void window_follows_the_budget(void **state)
{
    TcpRig rig;
    (void)state;
    tcp_rig_init(&rig);
    const Datamover *dm = rig.conn->dm;
    unsigned window = dm->allocate(rig.conn, &rig.params);
    assert_in_range(window, 8, 16);
    assert_int_equal(dm->allocate(rig.conn, &rig.params), window); /* instead of the first */
    rig.params.queue_depth = 1 << 20;
    rig.params.immediate_data = false;
    window = dm->allocate(rig.conn, &rig.params);
    for (unsigned more; (more = dm->grow(rig.conn)) > 0;)
        window += more;
    assert_int_equal(window, 1024);
    rig.params.initial_r2t = false;
    window = dm->allocate(rig.conn, &rig.params);
    assert_in_range(window, 8, 128);
    rig.params.first_burst_length = 16 << 20; /* eight are more than the budget */
    assert_int_equal(dm->allocate(rig.conn, &rig.params), 0);
    tcp_rig_deinit(&rig); /* asserts that the budget is whole again */
}

static void send_ping(TcpRig *rig, uint32_t itt)
{
    uint8_t bhs[ISCSI_BHS_LEN] = {ISCSI_NOP_IN, PDU_FINAL};
    put_be32(bhs + PDU_ITT, itt);
    rig->conn->dm->send_control(rig->conn, bhs, NULL, 0);
}

static void graceful_close_sends_what_is_queued(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    uint8_t bhs[ISCSI_BHS_LEN], byte, *data = g_malloc(65536);
    (void)state;
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 1), ISCSI_DATA_IN, 0, 4 << 20, 4);
    tcp_rig_move_start(&rig, &m);
    send_ping(&rig, 7);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_GRACEFUL);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_GRACEFUL);
    send_ping(&rig, 8); /* too late */
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(tcp_rig_receive(&rig, bhs, data, 65536), 65536);
    tcp_rig_receive(&rig, bhs, data, 0);
    assert_int_equal(pdu_itt(bhs), 7);
    tcp_rig_wait(&rig, recv(rig.peer, &byte, 1, 0) == 0);
    assert_true(m.done);
    assert_int_equal(m.error, 0);
    tcp_rig_turn(&rig);
    assert_false(rig.terminated); /* the peer has not closed */
    assert_int_equal(send(rig.peer, bhs, 10, MSG_NOSIGNAL), 10);
    shutdown(rig.peer, SHUT_WR);
    tcp_rig_wait(&rig, rig.terminated);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
    g_free(data);
}

static void graceful_close_does_not_wait_for_data_out(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    (void)state;
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 1), ISCSI_R2T, 0, 4096, 1);
    tcp_rig_move_start(&rig, &m);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_GRACEFUL);
    tcp_rig_turn(&rig);
    close(rig.peer);
    rig.peer = -1;
    tcp_rig_wait(&rig, rig.terminated);
    assert_int_equal(m.error, -ECONNRESET);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
}

static void now_overtakes_graceful(void **state)
{
    TcpRig rig;
    TcpRigMove m;
    (void)state;
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    tcp_rig_move_init(&rig, &m, tcp_rig_command(&rig, 1), ISCSI_DATA_IN, 0, 4 << 20, 4);
    tcp_rig_move_start(&rig, &m);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_GRACEFUL);
    tcp_rig_turn(&rig);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_NOW);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_NOW);
    assert_false(rig.terminated);
    tcp_rig_wait(&rig, rig.terminated);
    assert_int_equal(m.error, -ECONNRESET);
    tcp_rig_move_deinit(&m);
    tcp_rig_deinit(&rig);
}

static void late_moves_end(void **state)
{
    TcpRig rig;
    TcpRigMove moves[2];
    bool never = false;
    (void)state;
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    DmPdu *command = tcp_rig_command(&rig, 1);
    rig.conn->dm->terminate(rig.conn, DM_CLOSE_NOW);
    tcp_rig_wait(&rig, rig.terminated);
    for (unsigned i = 0; i < 2; i++) {
        tcp_rig_move_init(&rig, &moves[i], command, i ? ISCSI_R2T : ISCSI_DATA_IN, 0, 4096, 1);
        moves[i].terminated = &never;
        tcp_rig_move_start(&rig, &moves[i]);
        tcp_rig_wait(&rig, moves[i].done);
        assert_int_equal(moves[i].error, -ECONNRESET);
        tcp_rig_move_deinit(&moves[i]);
    }
    tcp_rig_deinit(&rig);
}

/* A move that ends starts the next one of its command. */
static TcpRig *restarting;
static TcpRigMove *restarted;

static void start_another(DmMove *move, int error)
{
    assert_int_equal(error, -ECONNRESET);
    ((TcpRigMove *)move)->done = true;
    tcp_rig_move_start(restarting, restarted);
}

static void moves_started_while_closing_end(void **state)
{
    static const unsigned opcodes[] = {ISCSI_DATA_IN, ISCSI_R2T};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        TcpRig rig;
        TcpRigMove first, second;
        tcp_rig_init(&rig);
        tcp_rig_enable(&rig);
        DmPdu *command = tcp_rig_command(&rig, 1);
        tcp_rig_move_init(&rig, &first, command, opcodes[i & 1], 0, 4096, 1);
        tcp_rig_move_init(&rig, &second, command, opcodes[i >> 1], 0, 4096, 1);
        first.move.done = start_another;
        restarting = &rig;
        restarted = &second;
        rig.conn->dm->terminate(rig.conn, DM_CLOSE_NOW);
        tcp_rig_move_start(&rig, &first);
        tcp_rig_wait(&rig, rig.terminated);
        assert_int_equal(second.error, -ECONNRESET);
        tcp_rig_move_deinit(&first);
        tcp_rig_move_deinit(&second);
        tcp_rig_deinit(&rig);
    }
}

static void pdus_outlive_the_wire(void **state)
{
    TcpRig rig;
    uint8_t bhs[ISCSI_BHS_LEN] = {ISCSI_SCSI_COMMAND, PDU_FINAL}, data[512];
    (void)state;
    memset(data, 0x5a, sizeof data);
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    tcp_rig_send(&rig, bhs, data, sizeof data);
    tcp_rig_wait(&rig, rig.pdus->len == 1);
    close(rig.peer);
    rig.peer = -1;
    tcp_rig_wait(&rig, rig.terminated);
    assert_memory_equal(tcp_rig_pdu(&rig, 0)->data, data, sizeof data);
    tcp_rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_narrowed_to_what_tcp_has),
        cmocka_unit_test(window_follows_the_budget),
        cmocka_unit_test(graceful_close_sends_what_is_queued),
        cmocka_unit_test(graceful_close_does_not_wait_for_data_out),
        cmocka_unit_test(now_overtakes_graceful),
        cmocka_unit_test(late_moves_end),
        cmocka_unit_test(moves_started_while_closing_end),
        cmocka_unit_test(pdus_outlive_the_wire),
    };
    return unit_run(tests);
}
