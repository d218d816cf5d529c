/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ends of connections for the tests of softverbs. */
#include "tests/softverbs/ends.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

_Atomic int failed, checks;
uint16_t port = 20000;
const struct opt dflt = {16, 16, 4, 64, 64, 0, 7, 8, 8};

struct rdma_cm_event *get(struct rdma_event_channel *c, enum rdma_cm_event_type want)
{
    struct pollfd p = {c->fd, POLLIN, 0};
    struct rdma_cm_event *e;

    MUST(poll(&p, 1, 5000) == 1);
    MUST(rdma_get_cm_event(c, &e) == 0);
    if (e->event != want)
        fprintf(stderr, "got %s instead of %s (status %d)\n", rdma_event_str(e->event),
                rdma_event_str(want), e->status);
    MUST(e->event == want);
    return e;
}

void eat(struct rdma_event_channel *c, enum rdma_cm_event_type want)
{
    rdma_ack_cm_event(get(c, want));
}

void equip(struct end *e, const struct opt *o)
{
    struct ibv_qp_init_attr a = {.qp_type = IBV_QPT_RC};

    e->pd = ibv_alloc_pd(e->id->verbs);
    e->cc = ibv_create_comp_channel(e->id->verbs);
    e->cq = ibv_create_cq(e->id->verbs, o->cqe, e, e->cc, 0);
    MUST(e->pd && e->cc && e->cq);
    e->buf = mmap(NULL, BUF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    e->mr = ibv_reg_mr(e->pd, e->buf, BUF,
                       IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
                           IBV_ACCESS_MW_BIND);
    MUST(e->mr);
    if (o->srq) {
        struct ibv_srq_init_attr s = {.attr = {.max_wr = o->srq, .max_sge = 2}};

        e->srq = ibv_create_srq(e->pd, &s);
        MUST(e->srq);
    }
    a.send_cq = a.recv_cq = e->cq;
    a.srq = e->srq;
    a.cap.max_send_wr = o->send_wr;
    a.cap.max_recv_wr = o->recv_wr;
    a.cap.max_send_sge = a.cap.max_recv_sge = o->sge;
    a.cap.max_inline_data = o->inl;
    MUST(rdma_create_qp(e->id, e->pd, &a) == 0);
}

void dismantle(struct end *e)
{
    rdma_destroy_qp(e->id);
    if (e->srq)
        CHECK(ibv_destroy_srq(e->srq) == 0);
    CHECK(ibv_destroy_cq(e->cq) == 0);
    CHECK(ibv_destroy_comp_channel(e->cc) == 0);
    CHECK(ibv_dereg_mr(e->mr) == 0);
    CHECK(ibv_dealloc_pd(e->pd) == 0);
    CHECK(rdma_destroy_id(e->id) == 0);
    rdma_destroy_event_channel(e->ch);
    munmap(e->buf, BUF);
}

struct sockaddr *addr(uint16_t p)
{
    static struct sockaddr_in a;

    a = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(p), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return (struct sockaddr *)&a;
}

struct rdma_cm_id *listener(struct rdma_event_channel *c, uint16_t p)
{
    struct rdma_cm_id *l;

    MUST(rdma_create_id(c, &l, NULL, RDMA_PS_TCP) == 0);
    MUST(rdma_bind_addr(l, addr(p)) == 0);
    MUST(rdma_listen(l, 8) == 0);
    return l;
}

void resolve(struct end *c, uint16_t p)
{
    c->ch = rdma_create_event_channel();
    MUST(c->ch && rdma_create_id(c->ch, &c->id, NULL, RDMA_PS_TCP) == 0);
    MUST(rdma_resolve_addr(c->id, NULL, addr(p), 1000) == 0);
    eat(c->ch, RDMA_CM_EVENT_ADDR_RESOLVED);
    MUST(rdma_resolve_route(c->id, 1000) == 0);
    eat(c->ch, RDMA_CM_EVENT_ROUTE_RESOLVED);
}

void connect_pair(struct end *c, struct end *s, const struct opt *oc, const struct opt *os)
{
    struct rdma_conn_param p = {.private_data = "hello",
                                .private_data_len = 6,
                                .retry_count = 7,
                                .rnr_retry_count = os->rnr};
    struct rdma_event_channel *lc = rdma_create_event_channel();
    struct rdma_cm_id *l = listener(lc, ++port);
    struct rdma_cm_event *e;

    memset(c, 0, sizeof(*c));
    memset(s, 0, sizeof(*s));
    resolve(c, port);
    equip(c, oc);
    p.responder_resources = oc->resp;
    p.initiator_depth = oc->init;
    MUST(rdma_connect(c->id, &p) == 0);
    e = get(lc, RDMA_CM_EVENT_CONNECT_REQUEST);
    CHECK(e->listen_id == l && e->id != l);
    CHECK(e->param.conn.private_data_len == 56 && !memcmp(e->param.conn.private_data, "hello", 6));
    CHECK(e->param.conn.responder_resources == oc->init &&
          e->param.conn.initiator_depth == oc->resp);
    s->id = e->id;
    rdma_ack_cm_event(e);
    s->ch = rdma_create_event_channel();
    MUST(rdma_migrate_id(s->id, s->ch) == 0);
    CHECK(rdma_get_dst_port(s->id) == rdma_get_src_port(c->id));
    CHECK(ntohs(rdma_get_src_port(s->id)) == port);
    equip(s, os);
    p.private_data = "welcome";
    p.private_data_len = 8;
    p.responder_resources = os->resp;
    p.initiator_depth = os->init;
    p.rnr_retry_count = oc->rnr;
    MUST(rdma_accept(s->id, &p) == 0);
    e = get(c->ch, RDMA_CM_EVENT_ESTABLISHED);
    CHECK(e->param.conn.private_data_len == 196 &&
          !memcmp(e->param.conn.private_data, "welcome", 8));
    rdma_ack_cm_event(e);
    eat(s->ch, RDMA_CM_EVENT_ESTABLISHED);
    CHECK(rdma_destroy_id(l) == 0);
    rdma_destroy_event_channel(lc);
    for (int i = 0; i < BUF; i++) {
        c->buf[i] = i * 7 + i / 251;
        s->buf[i] = ~(i * 5 + i / 253);
    }
}

void disconnect_pair(struct end *c, struct end *s)
{
    CHECK(rdma_disconnect(c->id) == 0);
    eat(s->ch, RDMA_CM_EVENT_DISCONNECTED);
    CHECK(rdma_disconnect(s->id) == 0);
    eat(c->ch, RDMA_CM_EVENT_DISCONNECTED);
    eat(c->ch, RDMA_CM_EVENT_TIMEWAIT_EXIT);
    eat(s->ch, RDMA_CM_EVENT_TIMEWAIT_EXIT);
    dismantle(c);
    dismantle(s);
}

int rx(struct end *e, uint64_t id, size_t off, uint32_t len)
{
    struct ibv_sge s = {(uintptr_t)e->buf + off, len, e->mr->lkey};
    struct ibv_recv_wr w = {.wr_id = id, .sg_list = &s, .num_sge = 1}, *bad;

    return e->srq ? ibv_post_srq_recv(e->srq, &w, &bad) : ibv_post_recv(e->id->qp, &w, &bad);
}

int tx(struct end *e, uint64_t id, enum ibv_wr_opcode op, size_t off, uint32_t len, unsigned flags,
       uint64_t raddr, uint32_t rkey)
{
    struct ibv_sge s = {(uintptr_t)e->buf + off, len, e->mr->lkey};
    struct ibv_send_wr w = {.wr_id = id,
                            .sg_list = &s,
                            .num_sge = 1,
                            .opcode = op,
                            .send_flags = flags},
                       *bad;

    w.wr.rdma.remote_addr = raddr;
    w.wr.rdma.rkey = rkey;
    if (op == IBV_WR_SEND_WITH_IMM || op == IBV_WR_RDMA_WRITE_WITH_IMM)
        w.imm_data = htonl(0x1234);
    if (op == IBV_WR_SEND_WITH_INV)
        w.invalidate_rkey = rkey;
    return ibv_post_send(e->id->qp, &w, &bad);
}

struct ibv_wc wait_wc(struct end *e)
{
    struct ibv_wc w = {.status = 0xff};
    double t = now() + 5;

    while (now() < t) {
        int n = ibv_poll_cq(e->cq, 1, &w);

        if (n == 1)
            return w;
        MUST(n == 0);
        usleep(50);
    }
    MUST(!"completion");
    return w;
}

void expect(struct end *e, uint64_t id, unsigned st, int line)
{
    struct ibv_wc w = wait_wc(e);

    checks++;
    if (w.wr_id == id && w.status == st)
        return;
    failed++;
    fprintf(stderr, "FAIL line %d: WR %lu %s instead of %lu %s\n", line, (unsigned long)w.wr_id,
            ibv_wc_status_str(w.status), (unsigned long)id, ibv_wc_status_str(st));
}

bool empty(struct end *e)
{
    struct ibv_wc w;
    return ibv_poll_cq(e->cq, 1, &w) == 0;
}

struct ibv_async_event async(struct end *e)
{
    struct ibv_async_event ev = {.event_type = 999};
    struct pollfd p = {e->id->verbs->async_fd, POLLIN, 0};

    MUST(poll(&p, 1, 5000) == 1);
    MUST(ibv_get_async_event(e->id->verbs, &ev) == 0);
    ibv_ack_async_event(&ev);
    return ev;
}

int state(struct end *e)
{
    struct ibv_qp_init_attr i;
    struct ibv_qp_attr a;

    ibv_query_qp(e->id->qp, &a, IBV_QP_STATE, &i);
    return a.qp_state;
}

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}
