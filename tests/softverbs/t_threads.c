/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several connections at once, each end with its thread. */
#include "tests/softverbs/ends.h"

#include <pthread.h>

static void *echo(void *arg)
{
    struct end *e = arg;
    struct ibv_wc w[8];

    for (;;) {
        int n = ibv_poll_cq(e->cq, 8, w);
        struct ibv_cq *cq;
        void *ctx;

        for (int i = 0; i < n; i++) {
            if (w[i].status)
                return NULL;
            if (w[i].opcode & IBV_WC_RECV) {
                uint64_t k = w[i].wr_id;

                tx(e, 100, IBV_WR_SEND, k * 4096, w[i].byte_len, SIG, 0, 0);
                rx(e, k, k * 4096, 4096);
            }
        }
        if (n)
            continue;
        ibv_req_notify_cq(e->cq, 0);
        n = ibv_poll_cq(e->cq, 0, w);
        if (ibv_poll_cq(e->cq, 1, w) == 1) {
            if (w->status)
                return NULL;
            if (w->opcode & IBV_WC_RECV) {
                tx(e, 100, IBV_WR_SEND, w->wr_id * 4096, w->byte_len, SIG, 0, 0);
                rx(e, w->wr_id, w->wr_id * 4096, 4096);
            }
            continue;
        }
        if (ibv_get_cq_event(e->cc, &cq, &ctx))
            return NULL;
        ibv_ack_cq_events(cq, 1);
    }
}

struct pinger {
    struct end c, s;
    pthread_t tc, ts;
    int bad;
};

static void *ping(void *arg)
{
    struct pinger *p = arg;

    for (int i = 0; i < 2000; i++) {
        uint32_t n = 1 + i * 131 % 4000;
        int got = 0;

        memset(p->c.buf, i, n);
        if (rx(&p->c, 1, 8192, 4096) || tx(&p->c, 2, IBV_WR_SEND, 0, n, SIG, 0, 0))
            p->bad++;
        while (got < 2) {
            struct ibv_wc w = wait_wc(&p->c);

            if (w.status)
                p->bad++;
            got++;
        }
        if (memcmp(p->c.buf, p->c.buf + 8192, n))
            p->bad++;
    }
    return NULL;
}

void t_threads(void)
{
    static struct pinger p[4];

    for (int i = 0; i < 4; i++) {
        connect_pair(&p[i].c, &p[i].s, &dflt, &dflt);
        for (int k = 0; k < 8; k++)
            rx(&p[i].s, k, k * 4096, 4096);
        pthread_create(&p[i].ts, NULL, echo, &p[i].s);
        pthread_create(&p[i].tc, NULL, ping, &p[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(p[i].tc, NULL);
        CHECK(p[i].bad == 0);
        rdma_disconnect(p[i].s.id);
        pthread_join(p[i].ts, NULL);
        eat(p[i].c.ch, RDMA_CM_EVENT_DISCONNECTED);
        dismantle(&p[i].c);
        dismantle(&p[i].s);
    }
}
