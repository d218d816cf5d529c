/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device, and data in order and whole. */
#include "tests/softverbs/ends.h"

#include <arpa/inet.h>
#include <sys/mman.h>

void t_device(void)
{
    int n;
    struct ibv_device **l = ibv_get_device_list(&n);
    struct ibv_context *c;
    struct ibv_device_attr a;
    struct ibv_device_attr_ex x;
    struct ibv_port_attr p;
    union ibv_gid gid;
    struct ibv_pd *pd;
    struct ibv_mr *mr;
    uint16_t pkey;
    void *m;

    MUST(l && n == 1 && !strcmp(ibv_get_device_name(l[0]), "softverbs0") && !l[1]);
    c = ibv_open_device(l[0]);
    MUST(c);
    ibv_free_device_list(l);
    CHECK(ibv_query_device(c, &a) == 0 && a.max_qp > 100 && a.phys_port_cnt == 1);
    CHECK(ibv_query_device_ex(c, NULL, &x) == 0 && x.orig_attr.max_qp == a.max_qp);
    CHECK(ibv_query_port(c, 1, &p) == 0 && p.state == IBV_PORT_ACTIVE);
    CHECK(ibv_query_port(c, 2, &p) != 0);
    CHECK(ibv_query_gid(c, 1, 0, &gid) == 0);
    CHECK(ibv_query_pkey(c, 1, 0, &pkey) == 0 && pkey == 0xffff);
    pd = ibv_alloc_pd(c);
    MUST(pd);
    m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mr = ibv_reg_mr(pd, m, 8192, IBV_ACCESS_LOCAL_WRITE);
    CHECK(mr && mr->lkey != mr->rkey);
    CHECK(ibv_dealloc_pd(pd) == EBUSY);
    CHECK(ibv_dereg_mr(mr) == 0);
    CHECK(!ibv_reg_mr(pd, m, 8192, IBV_ACCESS_REMOTE_WRITE) && errno == EINVAL);
    munmap(m, 8192);
    CHECK(!ibv_reg_mr(pd, m, 8192, IBV_ACCESS_LOCAL_WRITE) && errno == EFAULT);
    m = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(!ibv_reg_mr(pd, m, 8192, IBV_ACCESS_LOCAL_WRITE));
    CHECK(ibv_dealloc_pd(pd) == 0);
    CHECK(ibv_close_device(c) == 0);
}

static void one_length(struct end *c, struct end *s, unsigned i, uint32_t len)
{
    const bool imm = i & 1;
    struct ibv_wc w;

    CHECK(rx(s, 100 + i, 0, 400000) == 0);
    CHECK(tx(c, i, imm ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND, 17, len, SIG, 0, 0) == 0);
    EXPECT(c, i, IBV_WC_SUCCESS);
    w = wait_wc(s);
    CHECK(w.status == 0 && w.wr_id == 100 + i && w.byte_len == len && w.opcode == IBV_WC_RECV);
    CHECK(w.qp_num == s->id->qp->qp_num);
    CHECK(!!(w.wc_flags & IBV_WC_WITH_IMM) == imm && (!imm || ntohl(w.imm_data) == 0x1234));
    CHECK(!memcmp(s->buf, c->buf + 17, len));

    memset(s->buf + 500000, 0, 500000);
    CHECK(tx(c, i, IBV_WR_RDMA_WRITE, 17, len, SIG, (uintptr_t)s->buf + 500000, s->mr->rkey) == 0);
    EXPECT(c, i, IBV_WC_SUCCESS);
    CHECK(!memcmp(s->buf + 500000, c->buf + 17, len));

    memset(s->buf + 500000, i + 1, 400000);
    CHECK(tx(c, i, IBV_WR_RDMA_READ, 500000, len, SIG, (uintptr_t)s->buf + 500000, s->mr->rkey) ==
          0);
    w = wait_wc(c);
    CHECK(w.status == 0 && w.opcode == IBV_WC_RDMA_READ && w.byte_len == len);
    CHECK(!memcmp(s->buf + 500000, c->buf + 500000, len));
}

/* Inline memory needs no lkey and is free at once; chained, unsignalled. */
static void chained_inline(struct end *c, struct end *s)
{
    char msg[40] = "inline";
    struct ibv_sge sg = {(uintptr_t)msg, sizeof(msg), 0};
    struct ibv_sge sg2 = {(uintptr_t)c->buf, 1000, c->mr->lkey};
    struct ibv_send_wr w2 = {.wr_id = 8,
                             .sg_list = &sg,
                             .num_sge = 1,
                             .opcode = IBV_WR_SEND,
                             .send_flags = IBV_SEND_INLINE | SIG | IBV_SEND_FENCE};
    struct ibv_send_wr w1 = {
        .wr_id = 7, .next = &w2, .sg_list = &sg2, .num_sge = 1, .opcode = IBV_WR_RDMA_WRITE};
    struct ibv_send_wr *bad;

    w1.wr.rdma.remote_addr = (uintptr_t)s->buf + 600000;
    w1.wr.rdma.rkey = s->mr->rkey;
    CHECK(rx(s, 1, 0, 64) == 0);
    CHECK(ibv_post_send(c->id->qp, &w1, &bad) == 0);
    memset(msg, 'x', sizeof(msg));
    EXPECT(c, 8, IBV_WC_SUCCESS);
    EXPECT(s, 1, IBV_WC_SUCCESS);
    CHECK(!strcmp(s->buf, "inline") && !memcmp(s->buf + 600000, c->buf, 1000));
}

static void write_with_immediate(struct end *c, struct end *s)
{
    struct ibv_wc w;

    CHECK(rx(s, 2, 0, 0) == 0);
    CHECK(tx(c, 9, IBV_WR_RDMA_WRITE_WITH_IMM, 0, 5000, SIG, (uintptr_t)s->buf + 700000,
             s->mr->rkey) == 0);
    EXPECT(c, 9, IBV_WC_SUCCESS);
    w = wait_wc(s);
    CHECK(w.opcode == IBV_WC_RECV_RDMA_WITH_IMM && ntohl(w.imm_data) == 0x1234 &&
          w.byte_len == 5000);
    CHECK(!memcmp(s->buf + 700000, c->buf, 5000));
    CHECK(empty(c) && empty(s));
}

static void scattered_receive(struct end *c, struct end *s)
{
    struct ibv_sge rs[3] = {{(uintptr_t)s->buf, 10, s->mr->lkey},
                            {(uintptr_t)s->buf + 100, 0, s->mr->lkey},
                            {(uintptr_t)s->buf + 200, 90, s->mr->lkey}};
    struct ibv_recv_wr rw = {.wr_id = 3, .sg_list = rs, .num_sge = 3}, *bad;

    CHECK(ibv_post_recv(s->id->qp, &rw, &bad) == 0);
    CHECK(tx(c, 10, IBV_WR_SEND, 0, 50, SIG, 0, 0) == 0);
    EXPECT(c, 10, IBV_WC_SUCCESS);
    EXPECT(s, 3, IBV_WC_SUCCESS);
    CHECK(!memcmp(s->buf, c->buf, 10) && !memcmp(s->buf + 200, c->buf + 10, 40));
}

/* What is posted when the connection ends is flushed. */
static void flushed_at_the_end(struct end *c, struct end *s)
{
    CHECK(rx(s, 55, 0, 64) == 0 && rx(c, 56, 0, 64) == 0);
    CHECK(rdma_disconnect(c->id) == 0);
    EXPECT(c, 56, IBV_WC_WR_FLUSH_ERR);
    CHECK(tx(c, 57, IBV_WR_SEND, 0, 8, 0, 0, 0) == 0);
    EXPECT(c, 57, IBV_WC_WR_FLUSH_ERR);
    CHECK(rx(c, 58, 0, 8) == 0);
    EXPECT(c, 58, IBV_WC_WR_FLUSH_ERR);
    eat(s->ch, RDMA_CM_EVENT_DISCONNECTED);
    CHECK(rdma_disconnect(s->id) == 0);
    EXPECT(s, 55, IBV_WC_WR_FLUSH_ERR);
    eat(c->ch, RDMA_CM_EVENT_DISCONNECTED);
    eat(c->ch, RDMA_CM_EVENT_TIMEWAIT_EXIT);
    eat(s->ch, RDMA_CM_EVENT_TIMEWAIT_EXIT);
}

void t_data(void)
{
    static const uint32_t lens[] = {0, 1, 63, 64, 65, 4096, 8192, 8193, 65536, 300000};
    struct end c, s;

    connect_pair(&c, &s, &dflt, &dflt);
    for (unsigned i = 0; i < sizeof(lens) / sizeof(*lens); i++)
        one_length(&c, &s, i, lens[i]);
    chained_inline(&c, &s);
    write_with_immediate(&c, &s);
    scattered_receive(&c, &s);
    flushed_at_the_end(&c, &s);
    dismantle(&c);
    dismantle(&s);
}
