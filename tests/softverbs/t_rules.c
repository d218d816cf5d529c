/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the device forbids, and what both ends see of it. */
#include "tests/softverbs/ends.h"

/* One violation per connection. */
struct bad {
    struct end c, s;
    uint64_t ra; /* the client's WRITE goes here */
    uint32_t rk;
    struct ibv_mr *extra;
    struct ibv_pd *xpd;
};

static void write_it(struct bad *b)
{
    CHECK(tx(&b->c, 10, IBV_WR_RDMA_WRITE, 0, 100, SIG, b->ra, b->rk) == 0);
}

static void read_it(struct bad *b)
{
    CHECK(tx(&b->c, 10, IBV_WR_RDMA_READ, 0, 100, SIG, b->ra, b->rk) == 0);
}

static void no_such_rkey(struct bad *b)
{
    b->rk ^= 0x100000;
    write_it(b);
}

static void lkey_as_rkey(struct bad *b)
{
    b->rk = b->s.mr->lkey;
    write_it(b);
}

static void out_of_bounds(struct bad *b)
{
    b->ra += BUF - 99;
    write_it(b);
}

static void extra_mr(struct bad *b, struct ibv_pd *pd, int access)
{
    b->extra = ibv_reg_mr(pd, b->s.buf, 4096, IBV_ACCESS_LOCAL_WRITE | access);
    MUST(b->extra);
    b->rk = b->extra->rkey;
}

static void write_to_readable(struct bad *b)
{
    extra_mr(b, b->s.pd, IBV_ACCESS_REMOTE_READ);
    write_it(b);
}

static void read_of_writable(struct bad *b)
{
    extra_mr(b, b->s.pd, IBV_ACCESS_REMOTE_WRITE);
    read_it(b);
}

static void other_pd(struct bad *b)
{
    b->xpd = ibv_alloc_pd(b->s.id->verbs);
    extra_mr(b, b->xpd, IBV_ACCESS_REMOTE_WRITE);
    write_it(b);
}

static void deregistered(struct bad *b)
{
    extra_mr(b, b->s.pd, IBV_ACCESS_REMOTE_WRITE);
    CHECK(ibv_dereg_mr(b->extra) == 0);
    b->extra = NULL;
    write_it(b);
}

static void send_from(struct bad *b, uint64_t off, uint32_t lkey)
{
    struct ibv_sge sg = {(uintptr_t)b->c.buf + off, 100, lkey};
    struct ibv_send_wr w = {.wr_id = 10, .sg_list = &sg, .num_sge = 1, .opcode = IBV_WR_SEND};
    struct ibv_send_wr *bad;

    CHECK(ibv_post_send(b->c.id->qp, &w, &bad) == 0);
}

static void no_such_lkey(struct bad *b)
{
    send_from(b, 0, b->c.mr->lkey ^ 0x4000);
}

static void local_bounds(struct bad *b)
{
    send_from(b, BUF - 50, b->c.mr->lkey);
}

static void too_long(struct bad *b)
{
    CHECK(tx(&b->c, 10, IBV_WR_SEND, 0, 101, SIG, 0, 0) == 0);
}

static void invalidates_mr(struct bad *b)
{
    CHECK(tx(&b->c, 10, IBV_WR_SEND_WITH_INV, 0, 10, SIG, 0, b->rk) == 0);
}

static void rkey_as_recv_lkey(struct bad *b)
{
    struct ibv_sge sg = {(uintptr_t)b->s.buf, 100, b->s.mr->rkey};
    struct ibv_recv_wr w = {.wr_id = 1, .sg_list = &sg, .num_sge = 1}, *bad;

    /* use up the good receives */
    CHECK(tx(&b->c, 8, IBV_WR_SEND, 0, 1, SIG, 0, 0) == 0);
    CHECK(tx(&b->c, 9, IBV_WR_SEND, 0, 1, SIG, 0, 0) == 0);
    EXPECT(&b->c, 8, 0);
    EXPECT(&b->c, 9, 0);
    EXPECT(&b->s, 1, 0);
    EXPECT(&b->s, 2, 0);
    CHECK(ibv_post_recv(b->s.id->qp, &w, &bad) == 0 && rx(&b->s, 2, 0, 100) == 0);
    CHECK(tx(&b->c, 10, IBV_WR_SEND, 0, 100, SIG, 0, 0) == 0);
}

static const struct violation {
    void (*act)(struct bad *b);
    int want;          /* the client's status */
    bool local;        /* the server notices nothing */
    int recv_status;   /* of its first receive; 0: flushed */
    int event;         /* that it gets; 0: QP_ACCESS_ERR; -1: none */
    bool no_responder; /* it has no responder resources */
} table[] = {
    {no_such_rkey, IBV_WC_REM_ACCESS_ERR},
    {lkey_as_rkey, IBV_WC_REM_ACCESS_ERR},
    {out_of_bounds, IBV_WC_REM_ACCESS_ERR},
    {write_to_readable, IBV_WC_REM_ACCESS_ERR},
    {other_pd, IBV_WC_REM_ACCESS_ERR},
    {deregistered, IBV_WC_REM_ACCESS_ERR},
    {read_of_writable, IBV_WC_REM_ACCESS_ERR},
    {read_it, IBV_WC_LOC_QP_OP_ERR, .local = true, .no_responder = true},
    {no_such_lkey, IBV_WC_LOC_PROT_ERR, .local = true},
    {local_bounds, IBV_WC_LOC_PROT_ERR, .local = true},
    {too_long, IBV_WC_REM_INV_REQ_ERR, .recv_status = IBV_WC_LOC_LEN_ERR, .event = -1},
    {rkey_as_recv_lkey, IBV_WC_REM_OP_ERR, .recv_status = IBV_WC_LOC_PROT_ERR, .event = -1},
    {invalidates_mr, IBV_WC_REM_ACCESS_ERR, .recv_status = IBV_WC_LOC_PROT_ERR, .event = -1},
};
const unsigned violations = sizeof(table) / sizeof(table[0]);

static void check_server(struct end *s, const struct violation *v)
{
    struct ibv_async_event ev;

    if (v->local) {
        CHECK(state(s) == IBV_QPS_RTS && empty(s));
        return;
    }
    EXPECT(s, 1, v->recv_status ? v->recv_status : IBV_WC_WR_FLUSH_ERR);
    EXPECT(s, 2, IBV_WC_WR_FLUSH_ERR);
    CHECK(state(s) == IBV_QPS_ERR);
    if (v->event < 0)
        return;
    ev = async(s);
    CHECK(ev.event_type == IBV_EVENT_QP_ACCESS_ERR && ev.element.qp == s->id->qp);
}

void t_violation(unsigned n)
{
    const struct violation *v = &table[n];
    struct opt oc = dflt, os = dflt;
    struct bad b = {.extra = NULL};

    if (v->no_responder)
        os.resp = 0;
    connect_pair(&b.c, &b.s, &oc, &os);
    b.ra = (uintptr_t)b.s.buf;
    b.rk = b.s.mr->rkey;
    CHECK(rx(&b.s, 1, 0, 100) == 0 && rx(&b.s, 2, 0, 100) == 0 && rx(&b.c, 3, 0, 100) == 0);
    v->act(&b);
    EXPECT(&b.c, 10, v->want);
    EXPECT(&b.c, 3, IBV_WC_WR_FLUSH_ERR);
    CHECK(state(&b.c) == IBV_QPS_ERR);
    check_server(&b.s, v);
    if (b.extra)
        CHECK(ibv_dereg_mr(b.extra) == 0);
    if (b.xpd)
        CHECK(ibv_dealloc_pd(b.xpd) == 0);
    disconnect_pair(&b.c, &b.s);
}

void t_limits(void)
{
    struct opt o = {3, 2, 2, 16, 8, 0, 7, 4, 4};
    struct end c, s;
    struct ibv_sge sg[3] = {0};
    struct ibv_send_wr w = {.sg_list = sg, .num_sge = 3, .opcode = IBV_WR_SEND}, *bad = NULL;
    struct ibv_recv_wr rw = {.sg_list = sg, .num_sge = 3}, *rbad = NULL;
    struct ibv_qp_attr a = {.qp_state = IBV_QPS_RTS};

    connect_pair(&c, &s, &o, &o);
    CHECK(ibv_post_send(c.id->qp, &w, &bad) == EINVAL && bad == &w);
    CHECK(ibv_post_recv(c.id->qp, &rw, &rbad) == EINVAL && rbad == &rw);
    CHECK(tx(&c, 1, IBV_WR_SEND, 0, 65, IBV_SEND_INLINE, 0, 0) == EINVAL);
    CHECK(tx(&c, 1, IBV_WR_RDMA_READ, 0, 8, IBV_SEND_INLINE, (uintptr_t)s.buf, s.mr->rkey) ==
          EINVAL);
    CHECK(tx(&c, 1, IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 8, 0, (uintptr_t)s.buf, s.mr->rkey) == EINVAL);
    CHECK(rx(&c, 1, 0, 8) == 0 && rx(&c, 2, 0, 8) == 0 && rx(&c, 3, 0, 8) == ENOMEM);
    /* unsignalled WRs keep their place until a later completion is polled */
    CHECK(tx(&c, 1, IBV_WR_RDMA_WRITE, 0, 8, 0, (uintptr_t)s.buf, s.mr->rkey) == 0);
    CHECK(tx(&c, 2, IBV_WR_RDMA_WRITE, 0, 8, 0, (uintptr_t)s.buf, s.mr->rkey) == 0);
    CHECK(tx(&c, 3, IBV_WR_RDMA_WRITE, 0, 8, SIG, (uintptr_t)s.buf, s.mr->rkey) == 0);
    CHECK(tx(&c, 4, IBV_WR_RDMA_WRITE, 0, 8, SIG, (uintptr_t)s.buf, s.mr->rkey) == ENOMEM);
    EXPECT(&c, 3, 0);
    CHECK(tx(&c, 4, IBV_WR_RDMA_WRITE, 0, 8, SIG, (uintptr_t)s.buf, s.mr->rkey) == 0);
    EXPECT(&c, 4, 0);
    CHECK(ibv_destroy_cq(c.cq) == EBUSY);
    a.qp_state = IBV_QPS_INIT;
    CHECK(ibv_modify_qp(c.id->qp, &a, IBV_QP_STATE) == EINVAL);
    disconnect_pair(&c, &s);
}

void t_cq_overrun(void)
{
    struct opt o = {64, 16, 2, 16, 8, 0, 7, 4, 4};
    struct end c, s;
    struct ibv_async_event ev;
    struct ibv_wc w;
    int n = 0, i;

    connect_pair(&c, &s, &o, &o);
    for (i = 0; i < 20; i++)
        tx(&c, i, IBV_WR_RDMA_WRITE, 0, 8, SIG, (uintptr_t)s.buf, s.mr->rkey);
    ev = async(&c);
    CHECK(ev.event_type == IBV_EVENT_CQ_ERR && ev.element.cq == c.cq);
    while (ibv_poll_cq(c.cq, 1, &w) == 1)
        n++;
    CHECK(n == 8);
    CHECK(ibv_poll_cq(c.cq, 1, &w) < 0);
    ev = async(&c);
    CHECK(ev.event_type == IBV_EVENT_QP_FATAL);
    CHECK(state(&c) == IBV_QPS_ERR);
    disconnect_pair(&c, &s);
}
