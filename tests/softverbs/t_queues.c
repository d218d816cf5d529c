/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for receives, shared queues, notification, windows. */
#include "tests/softverbs/ends.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

void t_rnr(void)
{
    struct opt o = dflt, z = dflt;
    struct end c, s;

    connect_pair(&c, &s, &o, &o);
    CHECK(tx(&c, 1, IBV_WR_SEND, 0, 100, SIG, 0, 0) == 0);
    CHECK(tx(&c, 2, IBV_WR_RDMA_WRITE, 0, 100, SIG, (uintptr_t)s.buf + 5000, s.mr->rkey) == 0);
    CHECK(tx(&c, 3, IBV_WR_SEND, 100, 20, SIG | IBV_SEND_INLINE, 0, 0) == 0);
    memset(c.buf + 100, 'z', 20); /* inline data was taken when posted */
    usleep(20000);
    CHECK(empty(&c) && empty(&s));
    CHECK(s.buf[5000] != c.buf[0]); /* in order: the write waits too */
    CHECK(rx(&s, 11, 0, 200) == 0);
    EXPECT(&s, 11, 0);
    EXPECT(&c, 1, 0);
    EXPECT(&c, 2, 0);
    CHECK(!memcmp(s.buf + 5000, c.buf, 100) && empty(&c));
    CHECK(rx(&s, 12, 1000, 200) == 0);
    EXPECT(&c, 3, 0);
    EXPECT(&s, 12, 0);
    CHECK((unsigned char)s.buf[1000] == (unsigned char)(100 * 7));
    /* waits, is flushed by the disconnect */
    CHECK(tx(&c, 4, IBV_WR_SEND, 0, 100, 0, 0, 0) == 0 &&
          tx(&c, 5, IBV_WR_SEND, 0, 100, 0, 0, 0) == 0);
    CHECK(rdma_disconnect(c.id) == 0);
    EXPECT(&c, 4, IBV_WC_WR_FLUSH_ERR);
    EXPECT(&c, 5, IBV_WC_WR_FLUSH_ERR);
    eat(s.ch, RDMA_CM_EVENT_DISCONNECTED);
    rdma_disconnect(s.id);
    eat(c.ch, RDMA_CM_EVENT_DISCONNECTED);
    dismantle(&c);
    dismantle(&s);

    z.rnr = 0;
    connect_pair(&c, &s, &z, &z);
    CHECK(tx(&c, 1, IBV_WR_SEND, 0, 100, 0, 0, 0) == 0 &&
          tx(&c, 2, IBV_WR_SEND, 0, 100, SIG, 0, 0) == 0);
    EXPECT(&c, 1, IBV_WC_RNR_RETRY_EXC_ERR);
    EXPECT(&c, 2, IBV_WC_WR_FLUSH_ERR);
    disconnect_pair(&c, &s);
}

void t_srq(void)
{
    struct opt oc = dflt, os = dflt;
    struct ibv_srq_attr a = {.srq_limit = 3};
    struct ibv_async_event ev;
    struct end c, s;

    os.srq = 5;
    connect_pair(&c, &s, &oc, &os);
    for (int i = 0; i < 5; i++)
        CHECK(rx(&s, i, i * 100, 100) == 0);
    CHECK(rx(&s, 9, 0, 100) == ENOMEM);
    CHECK(ibv_modify_srq(s.srq, &a, IBV_SRQ_LIMIT) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(tx(&c, i, IBV_WR_SEND, i * 10, 50, SIG, 0, 0) == 0);
        EXPECT(&c, i, 0);
        EXPECT(&s, i, 0);
    }
    ev = async(&s);
    CHECK(ev.event_type == IBV_EVENT_SRQ_LIMIT_REACHED && ev.element.srq == s.srq);
    CHECK(ibv_query_srq(s.srq, &a) == 0 && a.srq_limit == 0);
    for (int i = 3; i < 5; i++) {
        CHECK(tx(&c, i, IBV_WR_SEND, 0, 50, SIG, 0, 0) == 0);
        EXPECT(&c, i, 0);
        EXPECT(&s, i, 0);
    }
    CHECK(tx(&c, 5, IBV_WR_SEND, 0, 50, SIG, 0, 0) == 0); /* RNR */
    usleep(5000);
    CHECK(empty(&c) && rx(&s, 5, 0, 100) == 0);
    EXPECT(&c, 5, 0);
    EXPECT(&s, 5, 0);
    CHECK(rdma_disconnect(s.id) == 0);
    ev = async(&s);
    CHECK(ev.event_type == IBV_EVENT_QP_LAST_WQE_REACHED && ev.element.qp == s.id->qp);
    eat(c.ch, RDMA_CM_EVENT_DISCONNECTED);
    dismantle(&c);
    eat(s.ch, RDMA_CM_EVENT_DISCONNECTED);
    dismantle(&s);
}

void t_notify(void)
{
    struct end c, s;
    struct ibv_cq *cq;
    struct pollfd p;
    void *ctx;

    connect_pair(&c, &s, &dflt, &dflt);
    fcntl(s.cc->fd, F_SETFL, O_NONBLOCK);
    p = (struct pollfd){s.cc->fd, POLLIN, 0};
    for (int i = 0; i < 6; i++)
        rx(&s, i, 0, 100);
    tx(&c, 0, IBV_WR_SEND, 0, 8, 0, 0, 0);
    CHECK(poll(&p, 1, 20) == 0 && ibv_get_cq_event(s.cc, &cq, &ctx) == -1 && errno == EAGAIN);
    CHECK(ibv_req_notify_cq(s.cq, 0) == 0); /* what is there already counts not */
    CHECK(poll(&p, 1, 20) == 0);
    tx(&c, 0, IBV_WR_SEND, 0, 8, 0, 0, 0);
    tx(&c, 0, IBV_WR_SEND, 0, 8, 0, 0, 0);
    CHECK(poll(&p, 1, 1000) == 1 && ibv_get_cq_event(s.cc, &cq, &ctx) == 0 && cq == s.cq &&
          ctx == &s);
    CHECK(poll(&p, 1, 20) == 0); /* one event per arming */
    ibv_ack_cq_events(cq, 1);
    CHECK(ibv_req_notify_cq(s.cq, 1) == 0);
    tx(&c, 0, IBV_WR_SEND, 0, 8, 0, 0, 0);
    CHECK(poll(&p, 1, 20) == 0);
    tx(&c, 0, IBV_WR_SEND, 0, 8, IBV_SEND_SOLICITED, 0, 0);
    CHECK(poll(&p, 1, 1000) == 1);
    /* this event is never fetched: it goes with its CQ */
    disconnect_pair(&c, &s);
}

void t_window(void)
{
    struct end c, s;
    struct ibv_mw *mw;
    struct ibv_send_wr w = {.wr_id = 1, .opcode = IBV_WR_BIND_MW, .send_flags = SIG}, *bad;
    struct ibv_wc wc;

    connect_pair(&c, &s, &dflt, &dflt);
    mw = ibv_alloc_mw(s.pd, IBV_MW_TYPE_2);
    MUST(mw);
    w.bind_mw.mw = mw;
    w.bind_mw.rkey = ibv_inc_rkey(mw->rkey);
    w.bind_mw.bind_info =
        (struct ibv_mw_bind_info){s.mr, (uintptr_t)s.buf + 4096, 8192, IBV_ACCESS_REMOTE_WRITE};
    CHECK(ibv_post_send(s.id->qp, &w, &bad) == 0);
    EXPECT(&s, 1, 0);
    CHECK(ibv_dereg_mr(s.mr) == EBUSY);
    CHECK(tx(&c, 2, IBV_WR_RDMA_WRITE, 0, 8192, SIG, (uintptr_t)s.buf + 4096, w.bind_mw.rkey) == 0);
    EXPECT(&c, 2, 0);
    CHECK(!memcmp(s.buf + 4096, c.buf, 8192));
    CHECK(rx(&s, 3, 0, 100) == 0);
    CHECK(tx(&c, 4, IBV_WR_SEND_WITH_INV, 0, 10, SIG, 0, w.bind_mw.rkey) == 0);
    EXPECT(&c, 4, 0);
    wc = wait_wc(&s);
    CHECK(wc.wc_flags == IBV_WC_WITH_INV && wc.invalidated_rkey == w.bind_mw.rkey);
    CHECK(tx(&c, 5, IBV_WR_RDMA_WRITE, 0, 8, SIG, (uintptr_t)s.buf + 4096, w.bind_mw.rkey) == 0);
    EXPECT(&c, 5, IBV_WC_REM_ACCESS_ERR);
    CHECK(async(&s).event_type == IBV_EVENT_QP_ACCESS_ERR);
    CHECK(ibv_dealloc_mw(mw) == 0);
    disconnect_pair(&c, &s);
}
