/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two processes; peers that are killed. */
#include "tests/softverbs/ends.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct rdma_conn_param cp0 = {
    .responder_resources = 4, .initiator_depth = 4, .rnr_retry_count = 7};

struct where {
    uint64_t addr;
    uint32_t rkey;
};

/* The child: shows its memory, sends back what it gets. */
static void echo_process(uint16_t p, int go)
{
    struct rdma_conn_param cp = cp0;
    struct end c = {0};
    struct where w;
    char b;

    MUST(read(go, &b, 1) == 1); /* there is a listener */
    resolve(&c, p);
    equip(&c, &dflt);
    for (int i = 0; i < 8; i++)
        rx(&c, i, i * 1000, 1000);
    for (int i = 0; i < BUF; i++)
        c.buf[i] = i * 3;
    w.addr = (uintptr_t)c.buf;
    w.rkey = c.mr->rkey;
    cp.private_data = &w;
    cp.private_data_len = sizeof(w);
    MUST(rdma_connect(c.id, &cp) == 0);
    eat(c.ch, RDMA_CM_EVENT_ESTABLISHED);
    for (int i = 0; i < 200; i++) {
        struct ibv_wc wc = wait_wc(&c);

        if (wc.opcode & IBV_WC_RECV) {
            MUST(tx(&c, wc.wr_id, IBV_WR_SEND, wc.wr_id * 1000, wc.byte_len, SIG, 0, 0) == 0);
            rx(&c, wc.wr_id, wc.wr_id * 1000, 1000);
        }
    }
    pause();
    _exit(0);
}

/* Takes the next connection of a listener over. */
static void accept_end(struct rdma_event_channel *lc, struct end *s, struct where *w, int receives)
{
    struct rdma_cm_event *e = get(lc, RDMA_CM_EVENT_CONNECT_REQUEST);
    struct rdma_conn_param cp = cp0;

    memset(s, 0, sizeof(*s));
    s->id = e->id;
    if (w)
        memcpy(w, e->param.conn.private_data, sizeof(*w));
    rdma_ack_cm_event(e);
    s->ch = rdma_create_event_channel();
    MUST(rdma_migrate_id(s->id, s->ch) == 0);
    equip(s, &dflt);
    for (int i = 0; i < receives; i++)
        rx(s, i, 0, 200);
    MUST(rdma_accept(s->id, &cp) == 0);
    eat(s->ch, RDMA_CM_EVENT_ESTABLISHED);
}

static void read_and_write(struct end *s, const struct where *w)
{
    CHECK(tx(s, 1, IBV_WR_RDMA_READ, 0, 500000, SIG, w->addr + 100000, w->rkey) == 0);
    EXPECT(s, 1, 0);
    for (int i = 0; i < 500000; i++)
        if (s->buf[i] != (char)((i + 100000) * 3)) {
            CHECK(!"RDMA READ data");
            break;
        }
    memset(s->buf, 0x5a, 500000);
    CHECK(tx(s, 2, IBV_WR_RDMA_WRITE, 0, 400000, SIG, w->addr + 200000, w->rkey) == 0);
    EXPECT(s, 2, 0);
    CHECK(tx(s, 3, IBV_WR_RDMA_READ, 600000, 400000, SIG, w->addr + 200000, w->rkey) == 0);
    EXPECT(s, 3, 0);
    CHECK(!memcmp(s->buf, s->buf + 600000, 400000));
}

static void send_and_receive(struct end *s)
{
    for (int i = 0; i < 100; i++) {
        uint32_t n = 1 + i * 37 % 999;
        struct ibv_wc w;

        memset(s->buf, i + 1, n);
        CHECK(rx(s, 1000 + i, 2000, 1000) == 0);
        CHECK(tx(s, i, IBV_WR_SEND, 0, n, 0, 0, 0) == 0);
        w = wait_wc(s);
        CHECK(w.status == 0 && w.byte_len == n && !memcmp(s->buf, s->buf + 2000, n));
        if (i % 8 == 7) {
            CHECK(tx(s, 5, IBV_WR_RDMA_WRITE, 0, 0, SIG, 0, 0) == 0);
            EXPECT(s, 5, 0);
        }
    }
}

/* Data integrity both ways, then the peer is killed. */
void t_process(void)
{
    uint16_t p = ++port;
    struct rdma_event_channel *lc;
    struct rdma_cm_id *l;
    struct where w;
    pid_t child;
    struct end s;
    int go[2];

    MUST(pipe(go) == 0);
    child = fork();
    if (!child)
        echo_process(p, go[0]);
    lc = rdma_create_event_channel();
    l = listener(lc, p);
    MUST(write(go[1], "", 1) == 1);
    accept_end(lc, &s, &w, 0);
    read_and_write(&s, &w);
    send_and_receive(&s);
    CHECK(rx(&s, 77, 0, 100) == 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(go[0]);
    close(go[1]);
    eat(s.ch, RDMA_CM_EVENT_DISCONNECTED);
    EXPECT(&s, 77, IBV_WC_WR_FLUSH_ERR);
    CHECK(state(&s) == IBV_QPS_ERR);
    rdma_disconnect(s.id);
    eat(s.ch, RDMA_CM_EVENT_TIMEWAIT_EXIT);
    dismantle(&s);
    rdma_destroy_id(l);
    rdma_destroy_event_channel(lc);
}

/* A sender killed at full speed: every receive completes exactly once. */
int sender(uint16_t p)
{
    struct rdma_conn_param cp = cp0;
    struct end c = {0};

    resolve(&c, p);
    equip(&c, &dflt);
    MUST(rdma_connect(c.id, &cp) == 0);
    eat(c.ch, RDMA_CM_EVENT_ESTABLISHED);
    for (uint64_t i = 0;; i++) {
        struct ibv_cq *cq;
        void *ctx;

        ibv_req_notify_cq(c.cq, 0); /* its own event widens the gap to die in */
        MUST(tx(&c, i, IBV_WR_SEND, 0, 100, SIG, 0, 0) == 0);
        MUST(ibv_get_cq_event(c.cc, &cq, &ctx) == 0);
        ibv_ack_cq_events(cq, 1);
        wait_wc(&c);
    }
}

pid_t spawn(const char *what)
{
    pid_t child = fork();

    if (!child) {
        char arg[16];

        snprintf(arg, sizeof(arg), "%u", port);
        execl("/proc/self/exe", "selftest", what, arg, NULL);
        _exit(127);
    }
    return child;
}

int run_self(const char *what)
{
    int st;

    MUST(waitpid(spawn(what), &st, 0) > 0);
    return WIFEXITED(st) ? WEXITSTATUS(st) : 255;
}

static void kill_sender(struct rdma_event_channel *lc, int round)
{
    long posted = 16, done = 0, flushed = 0;
    pid_t child = spawn("--sender");
    struct ibv_wc w[16];
    double end, t;
    struct end s;
    int n;

    accept_end(lc, &s, NULL, 16);
    for (end = now() + 0.05 + round * 0.003; now() < end;) {
        n = ibv_poll_cq(s.cq, 16, w);
        for (int i = 0; i < n; i++, done++)
            if (w[i].status)
                flushed++;
            else if (rx(&s, w[i].wr_id, 0, 200) == 0)
                posted++;
    }
    CHECK(flushed == 0 && posted - done == 16);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    eat(s.ch, RDMA_CM_EVENT_DISCONNECTED);
    for (t = now() + 2; done < posted && now() < t;) {
        n = ibv_poll_cq(s.cq, 16, w);
        for (int i = 0; i < n; i++, done++)
            flushed += w[i].status == IBV_WC_WR_FLUSH_ERR;
    }
    n = ibv_poll_cq(s.cq, 16, w);
    if (done != posted || n)
        fprintf(stderr, "  %ld receives posted, %ld completed, %ld flushed, then %d more\n", posted,
                done, flushed, n);
    CHECK(done == posted && !n); /* maybe none is left to flush */
    rdma_disconnect(s.id);
    eat(s.ch, RDMA_CM_EVENT_TIMEWAIT_EXIT);
    dismantle(&s);
}

void t_kill(void)
{
    struct rdma_event_channel *lc = rdma_create_event_channel();
    struct rdma_cm_id *l = listener(lc, ++port);

    for (int round = 0; round < 10; round++)
        kill_sender(lc, round);
    rdma_destroy_id(l);
    rdma_destroy_event_channel(lc);
}

/* Takes what comes, asleep in between. */
int receiver(uint16_t p)
{
    struct rdma_conn_param cp = cp0;
    struct end c = {0};

    resolve(&c, p);
    equip(&c, &dflt);
    for (int i = 0; i < 16; i++)
        rx(&c, i, 0, 200);
    MUST(rdma_connect(c.id, &cp) == 0);
    eat(c.ch, RDMA_CM_EVENT_ESTABLISHED);
    for (;;) {
        struct ibv_wc w[16];
        struct ibv_cq *cq;
        void *ctx;
        int n;

        ibv_req_notify_cq(c.cq, 0);
        while ((n = ibv_poll_cq(c.cq, 16, w)) > 0)
            for (int i = 0; i < n; i++)
                rx(&c, w[i].wr_id, 0, 200);
        MUST(ibv_get_cq_event(c.cc, &cq, &ctx) == 0);
        ibv_ack_cq_events(cq, 1);
    }
}

/* A receiver killed while we send: our own program sees an error, not a signal. */
void t_kill_receiver(void)
{
    struct rdma_event_channel *lc = rdma_create_event_channel();
    struct rdma_cm_id *l = listener(lc, ++port);

    for (int round = 0; round < 20; round++) {
        pid_t child = spawn("--receiver"), killer;
        struct ibv_wc w;
        struct end s;

        accept_end(lc, &s, NULL, 0);
        killer = fork();
        if (!killer) {
            usleep(5000 + 777 * round);
            kill(child, SIGKILL);
            _exit(0);
        }
        do {
            MUST(tx(&s, 1, IBV_WR_SEND, 0, 100, SIG, 0, 0) == 0);
            w = wait_wc(&s);
        } while (!w.status);
        CHECK(w.status == IBV_WC_WR_FLUSH_ERR || w.status == IBV_WC_RETRY_EXC_ERR);
        waitpid(killer, NULL, 0);
        waitpid(child, NULL, 0);
        eat(s.ch, RDMA_CM_EVENT_DISCONNECTED);
        rdma_disconnect(s.id);
        eat(s.ch, RDMA_CM_EVENT_TIMEWAIT_EXIT);
        dismantle(&s);
    }
    rdma_destroy_id(l);
    rdma_destroy_event_channel(lc);
}

static bool leaving;

/* Behind the destructors of softverbs, where it is linked in. */
__attribute__((destructor(101))) static void leave_slowly(void)
{
    if (leaving)
        poll(NULL, 0, 50);
}

static void *fail_at_an_event(void *arg)
{
    struct rdma_cm_event *e;

    if (!rdma_get_cm_event(arg, &e))
        _exit(3);
    return NULL;
}

/* Ends without a goodbye of its own, like a program that has freed what an event would need. */
int leaver(uint16_t p)
{
    struct rdma_conn_param cp = cp0;
    static struct end c;
    pthread_t t;

    resolve(&c, p);
    equip(&c, &dflt);
    MUST(rdma_connect(c.id, &cp) == 0);
    eat(c.ch, RDMA_CM_EVENT_ESTABLISHED);
    MUST(pthread_create(&t, NULL, fail_at_an_event, c.ch) == 0);
    leaving = true;
    return 0;
}

/* The peer answers at once: no event of it comes into a process that exits. */
void t_leave(void)
{
    struct rdma_event_channel *lc = rdma_create_event_channel();
    struct rdma_cm_id *l = listener(lc, ++port);
    pid_t child = spawn("--leaver");
    struct end s;
    int st;

    accept_end(lc, &s, NULL, 0);
    eat(s.ch, RDMA_CM_EVENT_DISCONNECTED);
    rdma_disconnect(s.id);
    CHECK(waitpid(child, &st, 0) == child && WIFEXITED(st) && WEXITSTATUS(st) == 0);
    eat(s.ch, RDMA_CM_EVENT_TIMEWAIT_EXIT);
    dismantle(&s);
    rdma_destroy_id(l);
    rdma_destroy_event_channel(lc);
}
