/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connection management where it says no. */
#include "tests/softverbs/ends.h"

#include <arpa/inet.h>
#include <poll.h>

void t_cm(void)
{
    struct rdma_event_channel *lc = rdma_create_event_channel();
    struct sockaddr_in far = {
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(0xc6336401)};
    struct rdma_conn_param p = {.private_data = "x", .private_data_len = 2};
    struct pollfd arrived = {lc->fd, POLLIN, 0};
    struct rdma_cm_id *l, *id;
    struct rdma_cm_event *e;
    struct end c = {0};

    /* nobody listens */
    resolve(&c, 19999);
    equip(&c, &dflt);
    CHECK(tx(&c, 1, IBV_WR_SEND, 0, 8, 0, 0, 0) == EINVAL); /* not connected */
    CHECK(rx(&c, 1, 0, 8) == 0);
    MUST(rdma_connect(c.id, &p) == 0);
    e = get(c.ch, RDMA_CM_EVENT_REJECTED);
    CHECK(e->status == 8);
    rdma_ack_cm_event(e);
    dismantle(&c);
    /* an address that is not here */
    c.ch = rdma_create_event_channel();
    MUST(rdma_create_id(c.ch, &c.id, NULL, RDMA_PS_TCP) == 0);
    CHECK(rdma_resolve_addr(c.id, NULL, (void *)&far, 100) == 0);
    eat(c.ch, RDMA_CM_EVENT_ADDR_ERROR);
    rdma_destroy_id(c.id);
    rdma_destroy_event_channel(c.ch);
    /* a rejection with private data; the port is taken while bound */
    l = listener(lc, ++port);
    MUST(rdma_create_id(lc, &id, NULL, RDMA_PS_TCP) == 0);
    CHECK(rdma_bind_addr(id, addr(port)) == -1 && errno == EADDRINUSE);
    CHECK(rdma_destroy_id(id) == 0);
    memset(&c, 0, sizeof(c));
    resolve(&c, port);
    equip(&c, &dflt);
    MUST(rdma_connect(c.id, &p) == 0);
    e = get(lc, RDMA_CM_EVENT_CONNECT_REQUEST);
    id = e->id;
    CHECK(rdma_reject(id, "go away", 8) == 0);
    rdma_ack_cm_event(e);
    rdma_destroy_id(id);
    e = get(c.ch, RDMA_CM_EVENT_REJECTED);
    CHECK(e->status == 28 && e->param.conn.private_data_len == 148 &&
          !strcmp(e->param.conn.private_data, "go away"));
    rdma_ack_cm_event(e);
    dismantle(&c);
    /* a listener that goes away with the request unanswered */
    memset(&c, 0, sizeof(c));
    resolve(&c, port);
    equip(&c, &dflt);
    MUST(rdma_connect(c.id, &p) == 0);
    MUST(poll(&arrived, 1, 5000) == 1);
    rdma_destroy_id(l);
    eat(c.ch, RDMA_CM_EVENT_REJECTED);
    dismantle(&c);
    rdma_destroy_event_channel(lc);
}
