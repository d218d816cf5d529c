/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a storage target does with a device: many listeners, queues and posts, without blocking. */
#include "tests/softverbs/ends.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

static struct rdma_cm_id *listen_any(struct rdma_event_channel *c, int family, uint16_t p)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(p)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(p)};
    struct rdma_cm_id *l;
    int on = 1;

    MUST(rdma_create_id(c, &l, NULL, RDMA_PS_TCP) == 0);
    MUST(rdma_set_option(l, RDMA_OPTION_ID, RDMA_OPTION_ID_REUSEADDR, &on, sizeof(on)) == 0);
    if (family == AF_INET6)
        MUST(rdma_set_option(l, RDMA_OPTION_ID, RDMA_OPTION_ID_AFONLY, &on, sizeof(on)) == 0);
    if (rdma_bind_addr(l, family == AF_INET6 ? (void *)&v6 : (void *)&v4) || rdma_listen(l, 128)) {
        int e = errno;

        MUST(rdma_destroy_id(l) == 0);
        errno = e;
        return NULL;
    }
    return l;
}

/* The client end of a connection to that address, its request on the way. */
static void request(struct end *c, const char *ip, uint16_t p)
{
    struct rdma_conn_param cp = {.private_data = "hi", .private_data_len = 2};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(p)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(p)};
    bool six = inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1;

    MUST(six || inet_pton(AF_INET, ip, &v4.sin_addr) == 1);
    memset(c, 0, sizeof(*c));
    c->ch = rdma_create_event_channel();
    MUST(c->ch && rdma_create_id(c->ch, &c->id, NULL, RDMA_PS_TCP) == 0);
    MUST(rdma_resolve_addr(c->id, NULL, six ? (void *)&v6 : (void *)&v4, 1000) == 0);
    eat(c->ch, RDMA_CM_EVENT_ADDR_RESOLVED);
    MUST(rdma_resolve_route(c->id, 1000) == 0);
    eat(c->ch, RDMA_CM_EVENT_ROUTE_RESOLVED);
    equip(c, &dflt);
    MUST(rdma_connect(c->id, &cp) == 0);
}

/* One channel, never blocking, in an epoll set; listeners told apart by their id. */
void t_listeners(void)
{
    struct rdma_event_channel *ch = rdma_create_event_channel();
    uint16_t p = port += 2;
    struct rdma_cm_id *l[3] = {listen_any(ch, AF_INET, p), listen_any(ch, AF_INET6, p),
                               listen_any(ch, AF_INET, p - 1)};
    const struct {
        const char *ip;
        uint16_t port;
    } to[3] = {{"127.0.0.1", p}, {"::1", p}, {"127.0.0.1", p - 1}};
    struct epoll_event ev = {.events = EPOLLIN};
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct rdma_cm_event *e;
    struct end c;

    MUST(l[0] && l[1] && l[2]);
    CHECK(!listen_any(ch, AF_INET, p) && errno == EADDRINUSE);
    CHECK(!listen_any(ch, AF_INET6, p) && errno == EADDRINUSE);
    CHECK(fcntl(ch->fd, F_SETFL, fcntl(ch->fd, F_GETFL) | O_NONBLOCK) == 0);
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, ch->fd, &ev) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(rdma_get_cm_event(ch, &e) == -1 && errno == EAGAIN);
        CHECK(epoll_wait(ep, &ev, 1, 0) == 0);
        request(&c, to[i].ip, to[i].port);
        MUST(epoll_wait(ep, &ev, 1, 5000) == 1 && rdma_get_cm_event(ch, &e) == 0);
        MUST(e->event == RDMA_CM_EVENT_CONNECT_REQUEST);
        CHECK(e->listen_id == l[i] && !memcmp(e->param.conn.private_data, "hi", 2));
        CHECK(e->id->verbs == c.id->verbs && ntohs(rdma_get_src_port(e->id)) == to[i].port);
        CHECK(e->id->route.addr.src_addr.sa_family == (i == 1 ? AF_INET6 : AF_INET));
        CHECK(rdma_reject(e->id, "no room", 7) == 0);
        CHECK(rdma_destroy_id(e->id) == 0);
        rdma_ack_cm_event(e);
        e = get(c.ch, RDMA_CM_EVENT_REJECTED);
        CHECK(e->status == 28 && !memcmp(e->param.conn.private_data, "no room", 7));
        rdma_ack_cm_event(e);
        dismantle(&c);
    }
    for (int i = 0; i < 3; i++)
        CHECK(rdma_destroy_id(l[i]) == 0);
    close(ep);
    rdma_destroy_event_channel(ch);
}

/* The child of t_port: 0 if the port is taken, 1 if it is not. */
int binder(uint16_t p)
{
    struct rdma_event_channel *ch = rdma_create_event_channel();
    struct rdma_cm_id *l = listen_any(ch, AF_INET, p);
    int e = errno;

    if (l)
        CHECK(rdma_destroy_id(l) == 0);
    rdma_destroy_event_channel(ch);
    return l ? 1 : e == EADDRINUSE ? 0 : 2;
}

/* A port belongs to one process, until its listener goes. */
void t_port(void)
{
    struct rdma_event_channel *ch = rdma_create_event_channel();
    struct rdma_cm_id *l = listen_any(ch, AF_INET, ++port);

    MUST(l);
    CHECK(run_self("--binder") == 0);
    CHECK(rdma_destroy_id(l) == 0);
    CHECK(run_self("--binder") == 1);
    l = listen_any(ch, AF_INET, port);
    MUST(l);
    CHECK(rdma_destroy_id(l) == 0);
    rdma_destroy_event_channel(ch);
}

/* An arena: a range reserved, of which pieces are used and registered. */
void t_arena(void)
{
    const size_t size = 1ul << 36, piece = 1ul << 24;
    const int access = IBV_ACCESS_LOCAL_WRITE;
    struct end c, s;
    struct ibv_mr *mr;
    struct ibv_send_wr w, *bad;
    struct ibv_sge sg;
    char *base;

    connect_pair(&c, &s, &dflt, &dflt);
    base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(base != MAP_FAILED);
    MUST(mprotect(base + 5 * piece, piece, PROT_READ | PROT_WRITE) == 0);
    CHECK(!ibv_reg_mr(c.pd, base, piece, access) && errno == EFAULT);
    CHECK(!ibv_reg_mr(c.pd, base + 5 * piece, piece + 1, access) && errno == EFAULT);
    CHECK(!ibv_reg_mr(c.pd, base, piece, 0) && errno == EFAULT);
    mr = ibv_reg_mr(c.pd, base + 5 * piece, piece, access);
    MUST(mr);
    memset(base + 6 * piece - 4096, 0x77, 4096);
    sg = (struct ibv_sge){(uintptr_t)base + 6 * piece - 4096, 4096, mr->lkey};
    w = (struct ibv_send_wr){
        .wr_id = 1, .sg_list = &sg, .num_sge = 1, .opcode = IBV_WR_RDMA_WRITE, .send_flags = SIG};
    w.wr.rdma.remote_addr = (uintptr_t)s.buf;
    w.wr.rdma.rkey = s.mr->rkey;
    CHECK(ibv_post_send(c.id->qp, &w, &bad) == 0);
    EXPECT(&c, 1, IBV_WC_SUCCESS);
    CHECK(!memcmp(s.buf, (void *)(uintptr_t)sg.addr, 4096));
    CHECK(ibv_dereg_mr(mr) == 0);
    munmap(base, size);
    disconnect_pair(&c, &s);
}

/* Thousands of requests in one post, reads among them, only the last signalled. */
void t_chain(void)
{
    enum { N = 4000 };
    struct opt o = dflt;
    struct ibv_send_wr *w = calloc(N, sizeof(*w)), *bad;
    struct ibv_sge *sg = calloc(N, sizeof(*sg));
    struct end c, s;

    o.send_wr = N;
    o.init = 1; /* one READ at a time: they queue, and do not fail */
    connect_pair(&c, &s, &o, &o);
    for (int round = 0; round < 2; round++) {
        memset(c.buf + BUF / 2, 0, BUF / 2);
        for (int i = 0; i < N; i++) {
            sg[i] = (struct ibv_sge){(uintptr_t)c.buf + BUF / 2 + i * 64, 64, c.mr->lkey};
            w[i] = (struct ibv_send_wr){.wr_id = i,
                                        .next = i + 1 < N ? &w[i + 1] : NULL,
                                        .sg_list = &sg[i],
                                        .num_sge = 1,
                                        .opcode = IBV_WR_RDMA_READ,
                                        .send_flags = i + 1 < N ? 0 : SIG};
            w[i].wr.rdma.remote_addr = (uintptr_t)s.buf + i * 64;
            w[i].wr.rdma.rkey = s.mr->rkey;
        }
        CHECK(ibv_post_send(c.id->qp, w, &bad) == 0);
        EXPECT(&c, N - 1, IBV_WC_SUCCESS);
        CHECK(empty(&c) && !memcmp(c.buf + BUF / 2, s.buf, N * 64));
    }
    free(w);
    free(sg);
    disconnect_pair(&c, &s);
}

/* Many QPs on one CQ and one channel; objects only go when nothing uses them. */
void t_shared_cq(void)
{
    enum { N = 32 };
    struct rdma_conn_param cp = {.rnr_retry_count = 7};
    struct rdma_event_channel *lc = rdma_create_event_channel();
    struct rdma_cm_id *l = listener(lc, ++port);
    struct opt o = dflt;
    static struct end c[N];
    static bool seen[N];
    struct end s = {.ch = lc, .id = NULL};
    struct rdma_cm_id *id[N];
    int n = 0;

    o.cqe = 4 * N;
    for (int i = 0; i < N; i++) {
        struct ibv_qp_init_attr a = {
            .qp_type = IBV_QPT_RC,
            .cap = {.max_send_wr = 4, .max_recv_wr = 4, .max_send_sge = 1, .max_recv_sge = 1}};
        struct rdma_cm_event *e;
        struct ibv_recv_wr w = {.wr_id = i}, *bad;

        request(&c[i], "127.0.0.1", port);
        e = get(lc, RDMA_CM_EVENT_CONNECT_REQUEST);
        id[i] = e->id;
        rdma_ack_cm_event(e);
        if (!s.id) {
            s.id = id[i];
            equip(&s, &o);
        } else {
            a.send_cq = a.recv_cq = s.cq;
            MUST(rdma_create_qp(id[i], s.pd, &a) == 0);
        }
        CHECK(ibv_post_recv(id[i]->qp, &w, &bad) == 0);
        MUST(rdma_accept(id[i], &cp) == 0);
        eat(c[i].ch, RDMA_CM_EVENT_ESTABLISHED);
        eat(lc, RDMA_CM_EVENT_ESTABLISHED);
    }
    CHECK(ibv_destroy_comp_channel(s.cc) == EBUSY && ibv_destroy_cq(s.cq) == EBUSY);
    CHECK(ibv_dealloc_pd(s.pd) == EBUSY);
    for (int i = 0; i < N; i++)
        CHECK(tx(&c[i], i, IBV_WR_SEND, 0, 0, SIG, 0, 0) == 0);
    for (int i = 0; i < N; i++) {
        struct ibv_wc wc = wait_wc(&s);

        CHECK(wc.status == IBV_WC_SUCCESS && wc.wr_id < N && !seen[wc.wr_id]);
        CHECK(wc.qp_num == id[wc.wr_id]->qp->qp_num);
        seen[wc.wr_id] = true;
        n++;
    }
    CHECK(n == N && empty(&s));
    for (int i = N - 1; i >= 0; i--) {
        dismantle(&c[i]);
        eat(lc, RDMA_CM_EVENT_DISCONNECTED);
        if (i) {
            rdma_destroy_qp(id[i]);
            CHECK(rdma_destroy_id(id[i]) == 0);
        }
    }
    CHECK(rdma_destroy_id(l) == 0);
    dismantle(&s); /* and the channel */
}
