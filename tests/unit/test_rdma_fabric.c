/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices, listeners and queue pairs on the software device, against a peer process that uses
 * nothing but librdmacm: chains, READ and WRITE, and every way for a connection to end. */
#include "core/rdma/fabric.h"
#include "core/rdma/qp.h"
#include "tests/unit/softverbs.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#define PORT   "17600"
#define BUFFER 65536
#define PIECE  4096
#define PIECES (BUFFER / PIECE)
#define RECVS  8
#define WORKS  200
#define WAIT_S 20

extern char **environ;

/* What the peer tells first: where its buffer is. */
typedef struct {
    uint64_t address;
    uint32_t key, unused;
} Hello;

static uint8_t pattern(size_t i, uint8_t seed)
{
    return (uint8_t)(i * 7 + (i >> 8) + seed);
}

/* --- the peer, a process of its own ------------------------------------------------------------
 */

static struct rdma_cm_id *peer_connect(const char *private_data)
{
    struct rdma_addrinfo hints = {.ai_port_space = RDMA_PS_TCP}, *found = NULL;
    struct ibv_qp_init_attr attr = {
        .cap = {.max_send_wr = 8, .max_recv_wr = 8, .max_send_sge = 1, .max_recv_sge = 1},
        .sq_sig_all = 1};
    struct rdma_conn_param param = {.private_data = private_data,
                                    .private_data_len = (uint8_t)strlen(private_data),
                                    .responder_resources = 4,
                                    .retry_count = 7,
                                    .rnr_retry_count = 7};
    struct rdma_cm_id *id = NULL;
    if (rdma_getaddrinfo("127.0.0.1", PORT, &hints, &found) != 0 ||
        rdma_create_ep(&id, found, NULL, &attr) != 0)
        _exit(10);
    rdma_freeaddrinfo(found);
    if (rdma_connect(id, &param) == 0)
        return id;
    /* 20: refused with the words expected */
    const struct rdma_conn_param *answer = &id->event->param.conn;
    bool expected = id->event->event == RDMA_CM_EVENT_REJECTED && answer->private_data_len >= 4 &&
                    memcmp(answer->private_data, "nope", 4) == 0;
    _exit(expected ? 20 : 11);
}

static bool peer_wait(struct rdma_cm_id *id, bool receive)
{
    struct ibv_wc wc;
    int n = receive ? rdma_get_recv_comp(id, &wc) : rdma_get_send_comp(id, &wc);
    return n == 1 && wc.status == IBV_WC_SUCCESS;
}

/* Offers a buffer with pattern 1; expects a message, and the buffer with pattern 2 by then. */
static int peer_main(const char *mode)
{
    static uint8_t buffer[BUFFER], answer[64];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rdma_cm_id *id = peer_connect(mode);
    struct ibv_mr *mr =
        ibv_reg_mr(id->pd, buffer, BUFFER,
                   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
    struct ibv_mr *small = rdma_reg_msgs(id, answer, sizeof answer);
    for (size_t i = 0; i < BUFFER; i++)
        buffer[i] = pattern(i, 1);
    Hello hello = {.address = (uintptr_t)buffer, .key = mr->rkey};
    struct ibv_mr *hello_mr = rdma_reg_msgs(id, &hello, sizeof hello);
    if (rdma_post_recv(id, NULL, answer, sizeof answer, small) ||
        rdma_post_send(id, NULL, &hello, sizeof hello, hello_mr, 0) || !peer_wait(id, false))
        return 12;
    if (!strcmp(mode, "leave")) {
        rdma_disconnect(id);
        return 0;
    }
    if (!peer_wait(id, true))
        return 13;
    for (size_t i = 0; i < BUFFER && !strcmp(mode, "data"); i++)
        if (buffer[i] != pattern(i, 2))
            return 14;
    rdma_disconnect(id);
    return 0;
}

static pid_t spawn_peer(const char *mode)
{
    char *argv[] = {(char *)"test_rdma_fabric", (char *)"peer", (char *)mode, NULL};
    pid_t pid = -1;
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    return pid;
}

/* --- this side ----------------------------------------------------------------------------------
 */

typedef struct {
    QueuePair *qp;
    Recv recvs[RECVS];
    Work works[WORKS];
    uint8_t *memory; /* BUFFER bytes of arena, in pieces */
    uint8_t *message;
    Hello hello;
    /* written on the home loop, read here */
    atomic_uint submitted, greeted, recv_back, recv_done, sent, cancelled, failed, twice, lost,
        drained;
    char reason[128];
    QueuePairCounters counters;
} Conn;

static struct {
    Loop *main, *io;
    Arena *arena;
    Fabric *fabric;
    FabricListener *listener;
    Conn *conn;
    unsigned send_slots;
    atomic_uint accepted, refused, wrong_keys;
} rig;

static void recv_done(Recv *recv, int error, uint32_t len)
{
    Conn *conn = qp_owner(recv->qp);
    recv->sge.length = 0; /* a second done would show */
    if (error != 0) {
        conn->recv_back++;
        return;
    }
    if (len == sizeof conn->hello)
        memcpy(&conn->hello, (void *)(uintptr_t)recv->sge.addr, sizeof conn->hello);
    conn->recv_done++;
    conn->greeted++;
}

static void work_done(Work *work, int error)
{
    Conn *conn = qp_owner(work->qp);
    if (work->wr.num_sge == 0)
        conn->twice++;
    work->wr.num_sge = 0;
    if (error == 0)
        conn->sent++;
    else if (error == -ECANCELED)
        conn->cancelled++;
    else
        conn->failed++;
}

static void on_lost(QueuePair *qp, const char *reason)
{
    Conn *conn = qp_owner(qp);
    g_strlcpy(conn->reason, reason, sizeof conn->reason);
    conn->lost++;
}

static void on_drained(QueuePair *qp)
{
    Conn *conn = qp_owner(qp);
    qp_get_counters(qp, &conn->counters);
    qp_free(qp);
    conn->drained++;
}

static const QueuePairEvents events = {.lost = on_lost, .drained = on_drained};

static void on_request(ConnectRequest *request, void *arg)
{
    QueuePairConfig config = {.send_slots = rig.send_slots, .recv_slots = RECVS, .inline_max = 64};
    (void)arg;
    if (request->private_len >= 6 && !memcmp(request->private_data, "refuse", 6)) {
        rig.refused++; /* first: the peer is gone as soon as it hears of it */
        fabric_reject(request, "nope", 4);
        return;
    }
    Conn *conn = rig.conn;
    conn->qp = qp_new(request, &config, &events, conn, NULL);
    for (unsigned i = 0; i < RECVS; i++) {
        Recv *recv = &conn->recvs[i];
        recv->sge = (struct ibv_sge){.addr = (uintptr_t)(conn->message + 64 * (i + 1)),
                                     .length = 64,
                                     .lkey = device_lkey(request->device, conn->message)};
        recv->done = recv_done;
        qp_receive(conn->qp, recv);
    }
    if (qp_accept(conn->qp, "welcome", 7, NULL))
        rig.accepted++;
}

static void submit(Conn *conn, enum ibv_wr_opcode opcode, void *memory, uint32_t len,
                   uint64_t remote, uint32_t key)
{
    Work *work = &conn->works[conn->submitted++ % WORKS]; /* the one before is back */
    const Device *device = qp_device(conn->qp);
    uint32_t lkey = device_lkey(device, memory), sink = device_sink_lkey(device, memory);
    bool iwarp = device_verbs(device)->device->transport_type == IBV_TRANSPORT_IWARP;
    rig.wrong_keys += (lkey != sink) != iwarp;
    *work = (Work){.done = work_done};
    work->sge[0] = (struct ibv_sge){
        .addr = (uintptr_t)memory, .length = len, .lkey = opcode == IBV_WR_RDMA_READ ? sink : lkey};
    work->wr.opcode = opcode;
    work->wr.num_sge = 1;
    work->wr.wr.rdma.remote_addr = remote;
    work->wr.wr.rdma.rkey = key;
    qp_submit(conn->qp, work);
}

static void submit_pieces(Conn *conn, enum ibv_wr_opcode opcode)
{
    for (unsigned i = 0; i < PIECES; i++)
        submit(conn, opcode, conn->memory + i * PIECE, PIECE, conn->hello.address + i * PIECE,
               conn->hello.key);
}

static void submit_reads(void *arg)
{
    submit_pieces(arg, IBV_WR_RDMA_READ);
}

static void submit_writes(void *arg)
{
    submit_pieces(arg, IBV_WR_RDMA_WRITE);
}

static void submit_message(void *arg)
{
    Conn *conn = arg;
    memset(conn->message, 'm', 64);
    submit(conn, IBV_WR_SEND, conn->message, 64, 0, 0);
}

static void submit_writes_and_message(void *arg)
{
    submit_writes(arg);
    submit_message(arg);
}

static void submit_message_and_close(void *arg)
{
    Conn *conn = arg;
    submit_message(conn);
    qp_close(conn->qp, true);
    qp_close(conn->qp, true);
}

static void submit_reads_and_close(void *arg)
{
    Conn *conn = arg;
    submit_reads(conn);
    qp_close(conn->qp, false);
    qp_close(conn->qp, true);
}

static void submit_to_wrong_key(void *arg)
{
    Conn *conn = arg;
    for (unsigned i = 0; i < 3; i++)
        submit(conn, IBV_WR_RDMA_WRITE, conn->memory, PIECE, conn->hello.address,
               conn->hello.key + (i == 1));
}

static void submit_beyond_the_end(void *arg)
{
    Conn *conn = arg;
    submit(conn, IBV_WR_RDMA_READ, conn->memory, PIECE, conn->hello.address + BUFFER - 8,
           conn->hello.key);
}

/* --- waiting ------------------------------------------------------------------------------------
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

static pid_t connect_peer(Conn *conn, const char *mode)
{
    pid_t pid = spawn_peer(mode);
    assert_true(wait_for(&conn->greeted, 1));
    return pid;
}

/* Everything that was lent has come back, once. */
static void check_ended(Conn *conn)
{
    assert_true(wait_for(&conn->drained, 1));
    assert_int_equal(conn->drained, 1);
    assert_int_equal(conn->twice, 0);
    assert_int_equal(conn->recv_back + conn->recv_done, RECVS);
    assert_int_equal(conn->sent + conn->cancelled + conn->failed, conn->submitted);
}

static void set_fault(const char *text)
{
    const char *path = getenv("SOFTVERBS_FAULT_FILE");
    if (text)
        assert_true(g_file_set_contents(path, text, -1, NULL));
    else
        g_unlink(path);
}

/* --- tests --------------------------------------------------------------------------------------
 */

static int setup(void **state)
{
    rig.conn = g_new0(Conn, 1);
    rig.conn->memory = arena_alloc(rig.arena, BUFFER);
    rig.conn->message = arena_alloc(rig.arena, 64 * (RECVS + 1));
    rig.send_slots = 64;
    rig.accepted = rig.refused = rig.wrong_keys = 0;
    *state = rig.conn;
    return 0;
}

static int teardown(void **state)
{
    Conn *conn = *state;
    arena_release(rig.arena, conn->memory, BUFFER);
    arena_release(rig.arena, conn->message, 64 * (RECVS + 1));
    g_free(conn);
    set_fault(NULL);
    return 0;
}

static void test_read_then_write_in_one_post(void **state)
{
    Conn *conn = *state;
    pid_t peer = connect_peer(conn, "data");
    loop_call(rig.io, submit_reads, conn); /* 16 of them, 4 at a time */
    assert_true(wait_for(&conn->sent, PIECES));
    for (size_t i = 0; i < BUFFER; i++)
        assert_int_equal(conn->memory[i], pattern(i, 1));
    for (size_t i = 0; i < BUFFER; i++)
        conn->memory[i] = pattern(i, 2);
    loop_call(rig.io, submit_writes_and_message, conn);
    assert_int_equal(peer_status(peer), 0);
    check_ended(conn);
    assert_int_equal(conn->sent, 2 * PIECES + 1);
    assert_int_equal(conn->lost, 1);
    assert_int_equal(rig.wrong_keys, 0);
    assert_non_null(strstr(conn->reason, "disconnected"));
    /* 16 READs at depth 4, then all the WRITEs with the SEND */
    assert_int_equal(conn->counters.posts, PIECES / 4 + 1);
    assert_int_equal(conn->counters.signalled, PIECES / 4 + 1);
}

static void test_more_than_the_queue_holds(void **state)
{
    Conn *conn = *state;
    rig.send_slots = 4;
    for (size_t i = 0; i < BUFFER; i++)
        conn->memory[i] = pattern(i, 2);
    pid_t peer = connect_peer(conn, "data");
    for (unsigned i = 0; i < 8; i++)
        loop_call(rig.io, submit_writes, conn);
    loop_call(rig.io, submit_writes_and_message, conn);
    assert_int_equal(peer_status(peer), 0);
    check_ended(conn);
    assert_int_equal(conn->sent, 9 * PIECES + 1);
}

static void test_killed_peer(void **state)
{
    Conn *conn = *state;
    pid_t peer = connect_peer(conn, "data");
    loop_call(rig.io, submit_reads, conn);
    loop_call(rig.io, submit_reads, conn);
    kill(peer, SIGKILL);
    peer_status(peer);
    check_ended(conn);
    assert_int_equal(conn->lost, 1);
}

static void test_peer_leaves(void **state)
{
    Conn *conn = *state;
    pid_t peer = connect_peer(conn, "leave");
    check_ended(conn);
    assert_int_equal(conn->lost, 1);
    assert_int_equal(peer_status(peer), 0);
}

static void test_refused_with_private_data(void **state)
{
    (void)state;
    assert_int_equal(peer_status(spawn_peer("refuse")), 20);
    assert_int_equal(rig.refused, 1);
    assert_int_equal(rig.accepted, 0);
}

static void test_graceful_close_sends_first(void **state)
{
    Conn *conn = *state;
    pid_t peer = connect_peer(conn, "message");
    loop_call(rig.io, submit_message_and_close, conn);
    assert_int_equal(peer_status(peer), 0);
    check_ended(conn);
    assert_int_equal(conn->sent, 1);
    assert_int_equal(conn->lost, 0); /* the owner knows */
}

static void test_abrupt_close(void **state)
{
    Conn *conn = *state;
    pid_t peer = connect_peer(conn, "message");
    loop_call(rig.io, submit_reads_and_close, conn);
    check_ended(conn);
    assert_int_equal(conn->lost, 0);
    kill(peer, SIGKILL); /* it looks at its completions only */
    peer_status(peer);
}

static void test_wrong_key_ends_the_connection(void **state)
{
    Conn *conn = *state;
    pid_t peer = connect_peer(conn, "message");
    loop_call(rig.io, submit_to_wrong_key, conn);
    check_ended(conn);
    assert_int_equal(conn->sent, 1);
    assert_int_equal(conn->failed, 1);
    assert_int_equal(conn->cancelled, 1);
    assert_non_null(strstr(conn->reason, "RDMA WRITE failed"));
    assert_int_equal(peer_status(peer), 13);
}

static void test_read_beyond_the_end(void **state)
{
    Conn *conn = *state;
    pid_t peer = connect_peer(conn, "message");
    loop_call(rig.io, submit_beyond_the_end, conn);
    check_ended(conn);
    assert_int_equal(conn->failed, 1);
    assert_non_null(strstr(conn->reason, "RDMA READ failed"));
    assert_int_equal(peer_status(peer), 13);
}

static void test_fault(Conn *conn, const char *fault)
{
    pid_t peer = connect_peer(conn, "message");
    set_fault(fault);
    /* the device looks at the file now and then: work until it strikes */
    int64_t end = g_get_monotonic_time() + WAIT_S * G_TIME_SPAN_SECOND;
    guint timer = g_timeout_add(2, wake, NULL);
    while (!conn->lost && g_get_monotonic_time() < end) {
        unsigned all = conn->submitted + PIECES;
        loop_call(rig.io, submit_writes, conn);
        while (!conn->lost && conn->sent < all && g_get_monotonic_time() < end)
            g_main_context_iteration(NULL, TRUE);
    }
    g_source_remove(timer);
    check_ended(conn);
    assert_int_equal(conn->lost, 1);
    kill(peer, SIGKILL);
    peer_status(peer);
}

static void test_fault_wc_error(void **state)
{
    test_fault(*state, "wc-error-every=10\n");
}

static void test_fault_disconnect(void **state)
{
    test_fault(*state, "disconnect-after=5\n");
}

static void test_port_in_use(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    assert_null(fabric_listen(rig.fabric, "0.0.0.0:" PORT, &rig.io, 1, on_request, NULL, &error));
    assert_non_null(strstr(error->message, "0.0.0.0:" PORT));
    assert_non_null(strstr(error->message, "in use"));
    FabricListener *v6 =
        fabric_listen(rig.fabric, "[::]:" PORT, &rig.io, 1, on_request, NULL, NULL);
    assert_non_null(v6);
    fabric_unlisten(v6);
}

static void test_bad_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ":", "127.0.0.1", "127.0.0.1:", "[::1:17601", "x:1"};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        assert_null(fabric_listen(rig.fabric, bad[i], &rig.io, 1, on_request, NULL, &error));
        assert_non_null(error);
    }
}

/* Last: the process has no device afterwards. */
static void test_device_goes_away(void **state)
{
    test_fault(*state, "devgone-after=5\n");
}

static void no_growth(void *arg)
{
    (void)arg;
}

static int begin(void **state)
{
    static const LoopConfig config = {.poll_us = 0};
    static const ArenaConfig arena = {.limit = 32 << 20, .initial = 16 << 20};
    g_autoptr(GError) error = NULL;
    (void)state;
    rig.arena = arena_new(&arena, no_growth, NULL, NULL);
    rig.main = loop_new_main(&config);
    rig.io = loop_new(1, &config);
    rig.fabric = fabric_get(rig.main, rig.arena, &error);
    if (rig.fabric)
        rig.listener =
            fabric_listen(rig.fabric, "0.0.0.0:" PORT, &rig.io, 1, on_request, NULL, &error);
    if (error)
        print_message("%s\n", error->message);
    /* a chunk that comes later is registered too */
    return rig.listener && arena_grow(rig.arena, NULL) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    fabric_unlisten(rig.listener);
    fabric_put(rig.fabric);
    loop_free(rig.io);
    loop_free(rig.main);
    arena_free(rig.arena);
    return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    int status;
    if (argc == 3 && !strcmp(argv[1], "peer"))
        _exit(peer_main(argv[2])); /* its objects end with it */
    static const char *const provoked[] = {"remote key", " fails: ", NULL};
    if (!softverbs_begin(argv, provoked, &status))
        return status;
    const struct CMUnitTest tests[] = {
        CASE(test_read_then_write_in_one_post),
        CASE(test_more_than_the_queue_holds),
        CASE(test_killed_peer),
        CASE(test_peer_leaves),
        CASE(test_refused_with_private_data),
        CASE(test_graceful_close_sends_first),
        CASE(test_abrupt_close),
        CASE(test_wrong_key_ends_the_connection),
        CASE(test_read_beyond_the_end),
        CASE(test_fault_wc_error),
        CASE(test_fault_disconnect),
        CASE(test_port_in_use),
        CASE(test_bad_addresses),
        CASE(test_device_goes_away),
    };
    return cmocka_run_group_tests(tests, begin, end) != 0 || unit_skipped > 0;
}
