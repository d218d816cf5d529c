/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The iSER datamover on the software device, below a session layer of a few lines and against the
 * project's strict initiator in a process of its own. */
#include "iser/rdma/conn.h"
#include "tests/initiator/wire.h"
#include "tests/unit/softverbs.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <rdma/rdma_cma.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#define PORT      "17610"
#define DATA_MAX  (3 << 20)
#define IMMEDIATE 5000
#define WAIT_S    20
#define WINDOW    16

extern char **environ;

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 13 + (i >> 9));
}

/* --- the initiator, a process of its own ---------------------------------------------------------
 */

typedef struct {
    Wire *wire;
    unsigned responses, nops, violations, others;
    uint8_t status;
    uint32_t nop_len;
} Peer;

static void peer_received(void *user, const Pdu *pdu)
{
    Peer *peer = user;
    peer->status = pdu->bhs[3];
    peer->nop_len = pdu->len;
    if (pdu_opcode(pdu) == OP_RESPONSE)
        peer->responses++;
    else if (pdu_opcode(pdu) == OP_NOP_IN)
        peer->nops++;
    else
        peer->others++;
}

static void peer_violation(void *user, const Pdu *pdu, const char *what)
{
    (void)pdu;
    fprintf(stderr, "violation: %s\n", what);
    ((Peer *)user)->violations++;
}

/* Turns until *counter reaches n; false when the connection ends first. */
static bool peer_until(Peer *peer, const unsigned *counter, unsigned n)
{
    while (*counter < n && peer->wire->ops->turn(peer->wire, 5000, NULL))
        ;
    return *counter >= n;
}

static void peer_open(Peer *peer, bool invalidate, const GBytes *cm_data)
{
    WireOptions options = {.host = "127.0.0.1",
                           .port = PORT,
                           .arena = 2 * DATA_MAX,
                           .depth = 64,
                           .max_data = 8192,
                           .timeout_ms = 5000,
                           .invalidate = invalidate,
                           .cm_data = cm_data};
    WireSink sink = {.received = peer_received, .violation = peer_violation, .user = peer};
    g_autoptr(GError) error = NULL;
    peer->wire = wire_iser.open(&options, &sink, &error);
    if (!peer->wire)
        _exit(cm_data ? 20 : 10);
}

/* Two login exchanges, as one with authentication would have. */
static void peer_login(Peer *peer)
{
    Params params = {.value = {[KEY_RDMA_EXTENSIONS] = 1, [KEY_INITIATOR_RECV_DSL] = 8192}};
    char text[8192];
    memset(text, 'x', sizeof text);
    for (unsigned i = 1; i <= 2; i++) {
        Pdu pdu = pdu_new(OP_LOGIN | PDU_IMMEDIATE, i == 2 ? PDU_FINAL : 0, i);
        pdu_set_data(&pdu, text, sizeof text);
        peer->wire->ops->send(peer->wire, &pdu);
        if (!peer_until(peer, &peer->others, i))
            _exit(11);
    }
    peer->wire->ops->full_feature(peer->wire, &params, NULL);
}

static void peer_command(Peer *peer, uint8_t opcode, uint32_t itt, const PduBuffer *buffer)
{
    bool write = buffer->to_target;
    Pdu pdu = pdu_new(OP_COMMAND, (uint8_t)(PDU_FINAL | (write ? 0x20 : 0x40)), itt);
    pdu.bhs[32] = opcode;
    put_be32(pdu.bhs + 20, buffer->len);
    pdu.buffer = buffer;
    if (buffer->unsolicited > 0)
        pdu_set_data(&pdu, buffer->base, buffer->unsolicited);
    peer->wire->ops->send(peer->wire, &pdu);
}

static int peer_data(bool invalidate)
{
    Peer peer = {0};
    static const uint32_t sizes[] = {512, 4096, 65536 + 512, 1 << 20, DATA_MAX};
    peer_open(&peer, invalidate, NULL);
    peer_login(&peer);
    uint8_t *memory = peer.wire->ops->memory(peer.wire);
    unsigned done = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        PduBuffer in = {.base = memory, .len = sizes[i]};
        memset(memory, 0, sizes[i] + 1);
        peer_command(&peer, 0x28, 100 + i, &in);
        if (!peer_until(&peer, &peer.responses, ++done) || peer.status != 0)
            return 12;
        for (uint32_t at = 0; at < sizes[i]; at++)
            if (memory[at] != pattern(at))
                return 13;
        uint32_t unsolicited = MIN(sizes[i], i % 2 ? IMMEDIATE : 0);
        PduBuffer out = {
            .base = memory, .len = sizes[i], .to_target = true, .unsolicited = unsolicited};
        peer_command(&peer, 0x2a, 200 + i, &out);
        if (!peer_until(&peer, &peer.responses, ++done) || peer.status != 0)
            return 14;
    }
    return peer.violations ? 15 : 0;
}

/* More than the queues of the target hold, all at once. */
static int peer_many(void)
{
    Peer peer = {0};
    peer_open(&peer, false, NULL);
    peer_login(&peer);
    uint8_t *memory = peer.wire->ops->memory(peer.wire);
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < WINDOW; i++) {
            PduBuffer in = {.base = memory + i * 65536, .len = 65536};
            peer_command(&peer, 0x28, i, &in);
        }
        if (!peer_until(&peer, &peer.responses, (round + 1) * WINDOW))
            return 12;
    }
    return peer.violations ? 15 : 0;
}

static int peer_nop(void)
{
    Peer peer = {0};
    static const uint32_t sizes[] = {0, 1, 100, 181, 8192};
    static uint8_t text[8192];
    peer_open(&peer, false, NULL);
    peer_login(&peer);
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Pdu pdu = pdu_new(OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL, 7 + i);
        put_be32(pdu.bhs + 20, PDU_NO_TAG);
        pdu_set_data(&pdu, text, sizes[i]);
        peer.wire->ops->send(peer.wire, &pdu);
        if (!peer_until(&peer, &peer.nops, i + 1) || peer.nop_len != sizes[i])
            return 12;
    }
    return peer.violations ? 15 : 0;
}

/* Sends what no initiator should, and sees the connection end. */
static int peer_raw(const char *how)
{
    Peer peer = {0};
    uint8_t raw[200] = {0x10};
    static const unsigned never = 1;
    unsigned none = 0;
    size_t len = 76;
    peer_open(&peer, false, NULL);
    if (strcmp(how, "raw-early") != 0)
        peer_login(&peer);
    if (!strcmp(how, "raw-hello")) {
        raw[0] = 0x20;
        len = 28;
    } else if (!strcmp(how, "raw-nostag")) {
        raw[28] = OP_COMMAND;
        raw[29] = 0xc0;
        put_be32(raw + 28 + 20, 4096);
    } else if (!strcmp(how, "raw-badstag")) {
        raw[0] = 0x14;
        put_be32(raw + 16, 0xdeadbeef);
        raw[28] = OP_COMMAND;
        raw[29] = 0xc0;
        raw[28 + 32] = 0x28;
        put_be32(raw + 28 + 20, 4096);
    } else if (!strcmp(how, "raw-short")) {
        len = 20;
    } else {
        raw[28 + 7] = 64; /* data that is not there */
    }
    peer.wire->ops->send_raw(peer.wire, raw, len);
    return peer_until(&peer, &none, never) ? 12 : 0;
}

static int peer_main(const char *mode)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!strcmp(mode, "data"))
        return peer_data(false);
    if (!strcmp(mode, "invalidate"))
        return peer_data(true);
    if (!strcmp(mode, "many"))
        return peer_many();
    if (!strcmp(mode, "nop"))
        return peer_nop();
    if (g_str_has_prefix(mode, "raw"))
        return peer_raw(mode);
    Peer peer = {0};
    g_autoptr(GBytes) bad = g_bytes_new_static("\x01\xff\xff\xff", 4);
    peer_open(&peer, false, !strcmp(mode, "badcm") ? bad : NULL);
    peer_login(&peer);
    uint8_t *memory = peer.wire->ops->memory(peer.wire);
    for (uint32_t at = 0; at < DATA_MAX; at++)
        memory[at] = pattern(at);
    for (unsigned i = 0; i < WINDOW; i++) { /* "hang": until killed */
        PduBuffer out = {.base = memory, .len = DATA_MAX, .to_target = i % 2};
        peer_command(&peer, i % 3 ? (i % 2 ? 0x2a : 0x28) : 0xff, i, &out);
    }
    unsigned none = 0;
    peer_until(&peer, &none, 1);
    return 0;
}

static pid_t spawn_peer(const char *mode)
{
    char *argv[] = {(char *)"test_iser_conn", (char *)"peer", (char *)mode, NULL};
    pid_t pid = -1;
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    return pid;
}

/* --- a session layer -----------------------------------------------------------------------------
 */

#define PIECE (1 << 20)

typedef struct Command Command;
struct Command {
    DmMove move;
    DmPdu *pdu;
    uint8_t *memory; /* PIECE bytes */
    struct iovec iov[4];
    uint32_t expected, at;
    bool write;
    Command *next;
};

static struct {
    Loop *main, *io;
    Arena *arena;
    Memory *memory;
    ReceiveBudget *budget;
    Fabric *fabric;
    FabricListener *listener;
    IserAccept accept;
    DmConn *conn;
    Command *commands; /* all that are open; on io */
    unsigned window;
    char reason[128];
    atomic_uint accepted, ended, started, moved, lost, wrong, logins;
} rig;

static Command *command_new(DmPdu *pdu)
{
    Command *command = g_new0(Command, 1);
    command->pdu = pdu;
    command->write = pdu->bhs[1] & 0x20;
    command->expected = get_be32(pdu->bhs + 20);
    for (unsigned i = 0; i < 4; i++) {
        command->iov[i].iov_base = arena_alloc(rig.arena, PIECE / 4);
        command->iov[i].iov_len = PIECE / 4;
        rig.wrong += !command->iov[i].iov_base;
    }
    command->next = rig.commands;
    rig.commands = command;
    rig.started++;
    return command;
}

static void command_free(Command *command)
{
    Command **at = &rig.commands;
    while (*at != command)
        at = &(*at)->next;
    *at = command->next;
    for (unsigned i = 0; i < 4; i++)
        arena_release(rig.arena, command->iov[i].iov_base, PIECE / 4);
    command->pdu->conn->dm->release_pdu(command->pdu);
    g_free(command);
}

static uint8_t *byte_at(Command *command, uint32_t i)
{
    return (uint8_t *)command->iov[i / (PIECE / 4)].iov_base + i % (PIECE / 4);
}

static void respond(Command *command)
{
    DmConn *conn = command->pdu->conn;
    uint8_t bhs[ISCSI_BHS_LEN] = {0x21, 0x80};
    memcpy(bhs + 16, command->pdu->bhs + 16, 4);
    command_free(command);
    conn->dm->send_control(conn, bhs, NULL, 0);
}

static void move_next(Command *command);

static void moved(DmMove *move, int error)
{
    Command *command = (Command *)move;
    rig.moved++;
    if (error != 0) {
        rig.lost++;
        command_free(command);
        return;
    }
    for (uint32_t i = 0; command->write && i < move->len; i++)
        rig.wrong += *byte_at(command, i) != pattern(move->offset + i);
    command->at += move->len;
    if (command->at < command->expected)
        move_next(command);
    else if (command->write)
        respond(command);
    else
        command_free(command);
}

static void move_next(Command *command)
{
    DmConn *conn = command->pdu->conn;
    uint32_t len = MIN(PIECE, command->expected - command->at);
    bool last = command->at + len == command->expected;
    command->move = (DmMove){.command = command->pdu,
                             .offset = command->at,
                             .len = len,
                             .iov = command->iov,
                             .iovcnt = 4,
                             .done = moved};
    memcpy(command->move.bhs + 16, command->pdu->bhs + 16, 4);
    if (command->write) {
        conn->dm->get_data(conn, &command->move);
        return;
    }
    command->move.bhs[0] = 0x25;
    command->move.bhs[1] = last ? 0x81 : 0;
    for (uint32_t i = 0; i < len; i++)
        *byte_at(command, i) = pattern(command->at + i);
    conn->dm->put_data(conn, &command->move);
}

static void handle_command(DmPdu *pdu)
{
    Command *command = command_new(pdu);
    if (pdu->bhs[32] == 0xff)
        return; /* until the connection ends */
    for (uint32_t i = 0; i < pdu->data_len; i++)
        rig.wrong += pdu->data[i] != pattern(i);
    rig.wrong += pdu->data_len > 0 && (uintptr_t)pdu->data % 512 != 0;
    command->at = pdu->data_len;
    if (command->at < command->expected)
        move_next(command);
    else
        respond(command);
}

static void handle_login(DmPdu *pdu)
{
    DmConn *conn = pdu->conn;
    IscsiParams params = {.rdma_extensions = true,
                          .target_recv_data_segment_length = 8192,
                          .tagged_buffer_for_solicited_data_only = true,
                          .queue_depth = WINDOW};
    uint8_t bhs[ISCSI_BHS_LEN] = {0x23, pdu->bhs[1]};
    memcpy(bhs + 16, pdu->bhs + 16, 4);
    bool last = pdu->bhs[1] & 0x80;
    rig.wrong += pdu->data_len != 8192 || pdu->data[8191] != 'x';
    rig.logins++;
    if (last)
        rig.window = conn->dm->allocate(conn, &params);
    conn->dm->send_control(conn, bhs, "Key=Value", 10);
    if (last)
        conn->dm->enable(conn, &params);
    conn->dm->release_pdu(pdu);
}

static void on_control(DmConn *conn, DmPdu *pdu)
{
    uint8_t bhs[ISCSI_BHS_LEN] = {0x20, 0x80};
    switch (pdu->bhs[0] & 0x3f) {
    case 0x01:
        handle_command(pdu);
        return;
    case 0x03:
        handle_login(pdu);
        return;
    default:
        memcpy(bhs + 16, pdu->bhs + 16, 4);
        put_be32(bhs + 20, 0xffffffff);
        conn->dm->send_control(conn, bhs, pdu->data, pdu->data_len);
        conn->dm->release_pdu(pdu);
    }
}

static void on_bad_digest(DmConn *conn, const uint8_t bhs[ISCSI_BHS_LEN])
{
    (void)conn, (void)bhs;
    rig.wrong++;
}

static void on_terminated(DmConn *conn, const char *reason)
{
    g_strlcpy(rig.reason, reason, sizeof rig.reason);
    while (rig.commands) /* those that had no move out */
        command_free(rig.commands);
    conn->dm->free(conn);
    rig.conn = NULL;
    rig.ended++;
}

static const DmUpcalls upcalls = {
    .control = on_control, .bad_digest = on_bad_digest, .terminated = on_terminated};

static bool on_accepted(DmConn *conn, void *arg)
{
    conn->up = &upcalls;
    conn->session = arg;
    rig.conn = conn;
    rig.accepted++;
    return true;
}

static void on_request(ConnectRequest *request, void *arg)
{
    iser_conn_accept(request, arg);
}

/* --- tests ---------------------------------------------------------------------------------------
 */

static gboolean wake(gpointer arg)
{
    (void)arg;
    return G_SOURCE_CONTINUE; /* only makes the iteration return */
}

static bool wait_for(atomic_uint *value, unsigned least)
{
    int64_t end = g_get_monotonic_time() + WAIT_S * G_TIME_SPAN_SECOND;
    guint timer = g_timeout_add(2, wake, NULL);
    while (*value < least && g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    return *value >= least;
}

static int peer_status(pid_t pid)
{
    int status = 0;
    int64_t end = g_get_monotonic_time() + WAIT_S * G_TIME_SPAN_SECOND;
    guint timer = g_timeout_add(2, wake, NULL);
    pid_t got;
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 && g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    return got == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Everything is back: buffers, budget. */
static void check_ended(void)
{
    ArenaStats stats;
    assert_true(wait_for(&rig.ended, 1));
    arena_get_stats(rig.arena, &stats);
    assert_int_equal(stats.in_use, 0);
    assert_int_equal(rig.wrong, 0);
}

static int setup(void **state)
{
    (void)state;
    rig.accepted = rig.ended = rig.started = rig.moved = rig.lost = rig.wrong = rig.logins = 0;
    rig.window = 0;
    return 0;
}

static void run(const char *mode)
{
    assert_int_equal(peer_status(spawn_peer(mode)), 0);
    check_ended();
    assert_int_equal(rig.lost, 0);
}

static void test_data_both_ways(void **state)
{
    (void)state;
    run("data");
    assert_int_equal(rig.logins, 2);
    assert_int_equal(rig.window, WINDOW);
    assert_int_equal(rig.started, 10);
}

static void test_remote_invalidation(void **state)
{
    (void)state;
    run("invalidate");
    assert_int_equal(rig.started, 10);
}

static void test_full_window_many_times(void **state)
{
    (void)state;
    run("many");
    assert_int_equal(rig.started, 40 * WINDOW);
}

static void test_pdus_with_data(void **state)
{
    (void)state;
    run("nop");
}

static void test_wrong_private_data(void **state)
{
    (void)state;
    assert_int_equal(peer_status(spawn_peer("badcm")), 20);
    assert_int_equal(rig.accepted, 0);
}

static void test_bad_messages(void **state)
{
    static const struct {
        const char *mode, *reason;
    } cases[] = {
        {"raw-short", "shorter than"}, {"raw-long", "shorter than its PDU"},
        {"raw-early", "shorter than"}, {"raw-nostag", "without an STag"},
        {"raw-hello", "iSER Hello"},   {"raw-badstag", "RDMA WRITE failed"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        setup(state);
        assert_int_equal(peer_status(spawn_peer(cases[i].mode)), 0);
        check_ended();
        if (!strstr(rig.reason, cases[i].reason))
            fail_msg("%s: %s", cases[i].mode, rig.reason);
    }
}

static void test_killed_initiator(void **state)
{
    for (unsigned i = 0; i < 10; i++) {
        setup(state);
        pid_t peer = spawn_peer("hang");
        assert_true(wait_for(&rig.accepted, 1) && wait_for(&rig.moved, 2 * i));
        kill(peer, SIGKILL);
        peer_status(peer);
        check_ended();
    }
}

static void terminate_now(void *arg)
{
    (void)arg;
    if (rig.conn) {
        rig.conn->dm->terminate(rig.conn, DM_CLOSE_GRACEFUL);
        rig.conn->dm->terminate(rig.conn, DM_CLOSE_NOW);
    }
}

static void test_terminated_from_here(void **state)
{
    (void)state;
    pid_t peer = spawn_peer("hang");
    assert_true(wait_for(&rig.started, 3));
    loop_call(rig.io, terminate_now, NULL);
    check_ended();
    assert_int_equal(peer_status(peer), 0);
}

static void no_growth(void *arg)
{
    (void)arg;
}

static int begin(void **state)
{
    static const LoopConfig config = {.poll_us = 0};
    static const ArenaConfig arena = {.limit = 64 << 20, .initial = 64 << 20};
    g_autoptr(GError) error = NULL;
    (void)state;
    rig.arena = arena_new(&arena, no_growth, NULL, NULL);
    rig.main = loop_new_main(&config);
    rig.io = loop_new(1, &config);
    rig.memory = memory_new(rig.arena, 48 << 20, &rig.io, 1);
    rig.budget = receive_budget_new(rig.arena, 8 << 20);
    rig.fabric = fabric_get(rig.main, rig.arena, &error);
    rig.accept = (IserAccept){
        .memory = rig.memory, .budget = rig.budget, .recv_slots = 64, .accepted = on_accepted};
    if (rig.fabric)
        rig.listener = fabric_listen(rig.fabric, "127.0.0.1:" PORT, &rig.io, 1, on_request,
                                     &rig.accept, &error);
    if (error)
        print_message("%s\n", error->message);
    return rig.listener ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    fabric_unlisten(rig.listener);
    fabric_put(rig.fabric);
    receive_budget_free(rig.budget);
    memory_free(rig.memory);
    loop_free(rig.io);
    loop_free(rig.main);
    arena_free(rig.arena);
    return unit_skipped > 0;
}

int main(int argc, char **argv)
{
    static const char *const provoked[] = {"remote key", " fails: ", NULL};
    int status;
    if (argc == 3 && !strcmp(argv[1], "peer"))
        _exit(peer_main(argv[2])); /* its objects end with it */
    if (!softverbs_begin(argv, provoked, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_data_both_ways, setup),
        cmocka_unit_test_setup(test_remote_invalidation, setup),
        cmocka_unit_test_setup(test_full_window_many_times, setup),
        cmocka_unit_test_setup(test_pdus_with_data, setup),
        cmocka_unit_test_setup(test_wrong_private_data, setup),
        cmocka_unit_test_setup(test_bad_messages, setup),
        cmocka_unit_test_setup(test_killed_initiator, setup),
        cmocka_unit_test_setup(test_terminated_from_here, setup),
    };
    return cmocka_run_group_tests(tests, begin, end) != 0;
}
