/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the TCP datamover costs: a session layer that answers every command with the same 4 KiB,
 * against a bare responder that writes the same bytes, in alternating rounds over loopback. */
#include "iser/tcp/bhs.h"
#include "iser/tcp/conn.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DATA = 4096, ANSWER = ISCSI_BHS_LEN + DATA, DEPTH_MAX = 256, ROUNDS = 5 };

static unsigned depth = 32, per_round = 200000;
static IscsiDigest digest = ISCSI_DIGEST_NONE;

static double process_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- the client: keeps `depth` commands outstanding, one write for all that one read answered ---
 */

static unsigned command_len(void)
{
    return ISCSI_BHS_LEN + (digest == ISCSI_DIGEST_CRC32C ? DIGEST_LEN : 0);
}

static unsigned answer_len(void)
{
    return ANSWER + (digest == ISCSI_DIGEST_CRC32C ? 2 * DIGEST_LEN : 0);
}

static void lay_out_commands(uint8_t *commands)
{
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        uint8_t *bhs = commands + i * command_len();
        memset(bhs, 0, ISCSI_BHS_LEN);
        bhs[0] = ISCSI_SCSI_COMMAND;
        bhs[PDU_FLAGS] = PDU_FINAL;
        if (digest == ISCSI_DIGEST_CRC32C)
            digest_put(digest_add(DIGEST_BEGIN, bhs, ISCSI_BHS_LEN), bhs + ISCSI_BHS_LEN);
    }
}

static void client(int fd)
{
    static uint8_t commands[DEPTH_MAX * (ISCSI_BHS_LEN + DIGEST_LEN)], in[1 << 18];
    unsigned to_send = depth, sent = 0, answered = 0;
    size_t have = 0;
    lay_out_commands(commands);
    while (answered < per_round) {
        to_send = MIN(to_send, per_round - sent);
        ssize_t n = to_send ? write(fd, commands, (size_t)to_send * command_len()) : 0;
        if (n != (ssize_t)(to_send * command_len()))
            die("client: write");
        sent += to_send;
        n = read(fd, in, sizeof in);
        if (n <= 0)
            die("client: read");
        have += (size_t)n;
        to_send = (unsigned)(have / answer_len());
        have %= answer_len();
        answered += to_send;
    }
    close(fd);
    exit(0);
}

/* --- the bare responder --- */

static void bare(int fd)
{
    static uint8_t in[1 << 16], head[ISCSI_BHS_LEN], data[DATA];
    static struct iovec iov[2 * DEPTH_MAX];
    size_t have = 0;
    ssize_t n;
    while ((n = read(fd, in, sizeof in)) > 0) {
        have += (size_t)n;
        unsigned count = (unsigned)(have / ISCSI_BHS_LEN);
        have %= ISCSI_BHS_LEN;
        for (unsigned i = 0; i < count; i++) {
            iov[2 * i] = (struct iovec){head, sizeof head};
            iov[2 * i + 1] = (struct iovec){data, sizeof data};
        }
        if (count > 0 && writev(fd, iov, (int)(2 * count)) != (ssize_t)count * ANSWER)
            die("bare: write");
    }
    close(fd);
}

/* --- the datamover with a session layer that knows one command --- */

typedef struct {
    DmMove move;
    DmPdu *pdu;
} Task;

static struct {
    Loop *loop;
    Memory *memory;
    ReceiveBudget *budget;
    Task tasks[DEPTH_MAX], *free[DEPTH_MAX];
    unsigned n_free;
    struct iovec iov;
    gint ended;
} target;

static void answered(DmMove *move, int error)
{
    Task *task = (Task *)move;
    (void)error;
    target.free[target.n_free++] = task;
    task->pdu->conn->dm->release_pdu(task->pdu);
}

static void answer(DmConn *conn, DmPdu *pdu)
{
    Task *task = target.free[--target.n_free];
    task->pdu = pdu;
    task->move =
        (DmMove){.command = pdu, .len = DATA, .iov = &target.iov, .iovcnt = 1, .done = answered};
    task->move.bhs[0] = ISCSI_DATA_IN;
    task->move.bhs[PDU_FLAGS] = PDU_FINAL | DATA_IN_STATUS;
    conn->dm->put_data(conn, &task->move);
}

static void bad_digest(DmConn *conn, const uint8_t bhs[ISCSI_BHS_LEN])
{
    (void)conn, (void)bhs;
    die("digest");
}

static void terminated(DmConn *conn, const char *reason)
{
    (void)reason;
    conn->dm->free(conn);
    g_atomic_int_set(&target.ended, 1);
}

static void begin(void *arg)
{
    static const DmUpcalls upcalls = {answer, bad_digest, terminated};
    IscsiParams params = {.header_digest = digest,
                          .data_digest = digest,
                          .initial_r2t = true,
                          .max_burst_length = 256 << 10,
                          .max_recv_data_segment_length = 64 << 10,
                          .peer_max_recv_data_segment_length = 64 << 10,
                          .max_outstanding_r2t = 1,
                          .queue_depth = DEPTH_MAX};
    TcpConn *conn = tcp_conn_new(target.loop, target.memory, target.budget, GPOINTER_TO_INT(arg));
    conn->base.up = &upcalls;
    tcp_datamover.allocate(&conn->base, &params);
    tcp_datamover.enable(&conn->base, &params);
    tcp_conn_start(conn);
}

static void datamover(int fd)
{
    target.n_free = DEPTH_MAX;
    for (unsigned i = 0; i < DEPTH_MAX; i++)
        target.free[i] = &target.tasks[i];
    g_atomic_int_set(&target.ended, 0);
    loop_call(target.loop, begin, GINT_TO_POINTER(fd));
    while (!g_atomic_int_get(&target.ended))
        g_usleep(10000);
}

/* --- rounds --- */

typedef struct {
    double rate, cpu_us;
} Figures;

static int accept_client(pid_t *pid)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    *pid = fork();
    if (*pid == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
            die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client(fd);
    }
    int fd = accept(listener, NULL, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
    return fd;
}

static Figures run_round(void (*respond)(int fd), bool nonblocking)
{
    pid_t pid;
    int fd = accept_client(&pid), status;
    if (nonblocking)
        g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    double cpu = process_cpu(), then = (double)g_get_monotonic_time();
    respond(fd);
    Figures out = {per_round / ((double)g_get_monotonic_time() - then) * 1e6,
                   (process_cpu() - cpu) * 1e6 / per_round};
    if (waitpid(pid, &status, 0) != pid || status != 0)
        die("client failed");
    return out;
}

static void no_growth(void *arg)
{
    (void)arg;
}

static void set_up(unsigned poll_us)
{
    LoopConfig loop = {.poll_us = poll_us};
    ArenaConfig config = {.limit = 16 << 20, .initial = 16 << 20};
    Arena *arena = arena_new(&config, no_growth, NULL, NULL);
    target.loop = loop_new(1, &loop);
    target.memory = memory_new(arena, 8 << 20, &target.loop, 1);
    target.budget = receive_budget_new(arena, 4 << 20);
    target.iov = (struct iovec){arena_alloc(arena, DATA), DATA};
    memset(target.iov.iov_base, 0x5a, DATA);
}

int main(int argc, char **argv)
{
    unsigned poll_us = 0;
    for (int option; (option = getopt(argc, argv, "d:n:p:c")) != -1;)
        switch (option) {
        case 'd':
            depth = CLAMP((unsigned)atoi(optarg), 1, DEPTH_MAX);
            break;
        case 'n':
            per_round = (unsigned)atoi(optarg);
            break;
        case 'p':
            poll_us = (unsigned)atoi(optarg);
            break;
        case 'c':
            digest = ISCSI_DIGEST_CRC32C;
            break;
        default:
            fprintf(stderr, "usage: dm_tcp [-d DEPTH] [-n COMMANDS] [-p POLL-US] [-c]\n");
            return 2;
        }
    signal(SIGPIPE, SIG_IGN);
    set_up(poll_us);
    printf("4 KiB Data-In, depth %u: thousands a second, us of CPU each\n", depth);
    fflush(stdout); /* before there are children with copies of it */
    for (unsigned i = 0; i < ROUNDS; i++) {
        Figures floor = {0};
        if (digest == ISCSI_DIGEST_NONE)
            floor = run_round(bare, false);
        Figures ours = run_round(datamover, true);
        printf("bare %6.1f %5.2f   datamover %6.1f %5.2f   CPU ratio %4.2f\n", floor.rate / 1e3,
               floor.cpu_us, ours.rate / 1e3, ours.cpu_us,
               floor.cpu_us > 0 ? ours.cpu_us / floor.cpu_us : 0.0);
        fflush(stdout);
    }
    return 0;
}
