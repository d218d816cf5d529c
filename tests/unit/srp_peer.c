/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The initiator of the SRP tests. */
#include "tests/unit/srp_peer.h"

#include "core/base/bytes.h"

#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <stdlib.h>

#define RECVS 300
#define SENDS 300

enum { LOGIN_REQ = 0, TSK_MGMT = 1, CMD = 2, CRED_RSP = 0x41, T_LOGOUT = 0x80, CRED_REQ = 0x81 };

/* --- connecting ---------------------------------------------------------------------------------
 */

/* The next event of the connection manager; -1: not the one expected. */
static int expect_event(Peer *peer, enum rdma_cm_event_type expected, struct rdma_cm_event **event)
{
    if (rdma_get_cm_event(peer->events, event) != 0)
        return -1;
    return (*event)->event == expected ? 0 : -1;
}

static bool step(Peer *peer, int result, enum rdma_cm_event_type expected)
{
    struct rdma_cm_event *event;
    if (result != 0 || expect_event(peer, expected, &event) != 0)
        return false;
    rdma_ack_cm_event(event);
    return true;
}

static void post_receive(Peer *peer, unsigned slot)
{
    struct ibv_sge sge = {.addr = (uintptr_t)(peer->ius + (size_t)slot * PEER_IU),
                          .length = PEER_IU,
                          .lkey = peer->iu_mr->lkey};
    struct ibv_recv_wr wr = {.wr_id = slot, .sg_list = &sge, .num_sge = 1}, *bad;
    ibv_post_recv(peer->id->qp, &wr, &bad);
}

static void make_queues(Peer *peer)
{
    int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
    size_t ius = (size_t)(RECVS + SENDS) * PEER_IU;
    peer->cq = ibv_create_cq(peer->id->verbs, RECVS + SENDS, NULL, NULL, 0);
    struct ibv_qp_init_attr attr = {
        .send_cq = peer->cq,
        .recv_cq = peer->cq,
        .qp_type = IBV_QPT_RC,
        .sq_sig_all = 1,
        .cap = {.max_send_wr = SENDS, .max_recv_wr = RECVS, .max_send_sge = 1, .max_recv_sge = 1}};
    if (!peer->cq || rdma_create_qp(peer->id, NULL, &attr) != 0)
        _Exit(90);
    peer->data = aligned_alloc(4096, PEER_DATA);
    peer->ius = aligned_alloc(4096, ius);
    peer->data_mr = ibv_reg_mr(peer->id->pd, peer->data, PEER_DATA, access);
    peer->iu_mr = ibv_reg_mr(peer->id->pd, peer->ius, ius, IBV_ACCESS_LOCAL_WRITE);
    for (unsigned i = 0; i < RECVS; i++)
        post_receive(peer, i);
}

static uint32_t take_answer(Peer *peer)
{
    struct rdma_cm_event *event;
    int result = expect_event(peer, RDMA_CM_EVENT_ESTABLISHED, &event);
    const uint8_t *data = event->param.conn.private_data;
    unsigned len = data ? event->param.conn.private_data_len : 0;
    uint32_t reason = 1;
    if (result == 0 && len >= 52 && data[0] == 0xc0) {
        peer->credits = peer->first_credits = get_be32(data + 4);
        peer->rsp_flags = data[26];
        reason = 0;
    } else if (event->event == RDMA_CM_EVENT_REJECTED && len >= 32 && data[0] == 0xc2) {
        reason = get_be32(data + 4);
    }
    rdma_ack_cm_event(event);
    return reason;
}

uint32_t peer_open_raw(Peer *peer, const char *port, const void *data, uint8_t len)
{
    *peer = (Peer){.events = rdma_create_event_channel()};
    struct rdma_addrinfo hints = {.ai_port_space = RDMA_PS_TCP}, *found = NULL;
    struct rdma_conn_param param = {.private_data = data,
                                    .private_data_len = len,
                                    .responder_resources = 4,
                                    .retry_count = 7,
                                    .rnr_retry_count = 7};
    if (rdma_create_id(peer->events, &peer->id, peer, RDMA_PS_TCP) != 0 ||
        rdma_getaddrinfo("127.0.0.1", port, &hints, &found) != 0 ||
        !step(peer, rdma_resolve_addr(peer->id, NULL, found->ai_dst_addr, PEER_WAIT),
              RDMA_CM_EVENT_ADDR_RESOLVED) ||
        !step(peer, rdma_resolve_route(peer->id, PEER_WAIT), RDMA_CM_EVENT_ROUTE_RESOLVED))
        _Exit(91);
    rdma_freeaddrinfo(found);
    make_queues(peer);
    if (rdma_connect(peer->id, &param) != 0)
        _Exit(92);
    uint32_t reason = take_answer(peer);
    fcntl(peer->events->fd, F_SETFL, fcntl(peer->events->fd, F_GETFL) | O_NONBLOCK);
    return reason;
}

uint32_t peer_open(Peer *peer, const char *port, const PeerLogin *login)
{
    uint8_t data[56] = {0};
    put_be64(data, 0xfeed);
    put_be16(data + 8, login->formats);
    data[10] = login->flags;
    data[11] = LOGIN_REQ;
    put_be32(data + 12, login->iu_len);
    data[31] = login->initiator;
    put_be64(data + 32, login->id_ext);
    put_be64(data + 40, login->ioc_guid);
    put_be16(data + 48, login->immediate_offset);
    return peer_open_raw(peer, port, data, sizeof data);
}

void peer_close(Peer *peer)
{
    if (!peer->gone)
        rdma_disconnect(peer->id);
    rdma_destroy_qp(peer->id);
    ibv_dereg_mr(peer->data_mr);
    ibv_dereg_mr(peer->iu_mr);
    ibv_destroy_cq(peer->cq);
    rdma_destroy_id(peer->id);
    rdma_destroy_event_channel(peer->events);
    free(peer->data);
    free(peer->ius);
}

/* --- IUs ----------------------------------------------------------------------------------------
 */

void peer_send(Peer *peer, const void *iu, size_t len)
{
    uint8_t *slot = peer->ius + (size_t)(RECVS + peer->sent++ % SENDS) * PEER_IU;
    struct ibv_sge sge = {
        .addr = (uintptr_t)slot, .length = (uint32_t)len, .lkey = peer->iu_mr->lkey};
    struct ibv_send_wr wr = {.wr_id = RECVS, .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND},
                       *bad;
    g_assert(len <= PEER_IU);
    memcpy(slot, iu, len);
    ibv_post_send(peer->id->qp, &wr, &bad);
}

/* Waits a millisecond for the connection manager, which may say that the connection is gone. */
static void look_for_events(Peer *peer)
{
    struct pollfd fd = {.fd = peer->events->fd, .events = POLLIN};
    struct rdma_cm_event *event;
    if (poll(&fd, 1, 1) <= 0 || rdma_get_cm_event(peer->events, &event) != 0)
        return;
    if (event->event == RDMA_CM_EVENT_DISCONNECTED) {
        peer->gone = true;
        rdma_disconnect(peer->id);
    }
    rdma_ack_cm_event(event);
}

static void answer_credits(Peer *peer)
{
    uint8_t rsp[16] = {CRED_RSP};
    memcpy(rsp + 8, peer->got + 8, 8);
    peer_send(peer, rsp, sizeof rsp);
}

static bool take(Peer *peer, const struct ibv_wc *wc)
{
    if (wc->status != IBV_WC_SUCCESS || !(wc->opcode & IBV_WC_RECV))
        return false;
    peer->got_len = wc->byte_len;
    memcpy(peer->got, peer->ius + wc->wr_id * PEER_IU, PEER_IU);
    post_receive(peer, (unsigned)wc->wr_id);
    uint8_t opcode = peer->got[0];
    if (opcode == 0xc1 || opcode == CRED_REQ || opcode == 0x82)
        peer->credits += get_be32(peer->got + 4);
    if (opcode != CRED_REQ)
        return true;
    answer_credits(peer);
    return false;
}

bool peer_receive(Peer *peer)
{
    int64_t end = g_get_monotonic_time() + PEER_WAIT * 1000;
    struct ibv_wc wc;
    while (g_get_monotonic_time() < end) {
        while (ibv_poll_cq(peer->cq, 1, &wc) > 0)
            if (take(peer, &wc))
                return true;
        if (peer->gone)
            return false;
        look_for_events(peer);
    }
    return false;
}

bool peer_logged_out(Peer *peer, uint32_t reason)
{
    while (peer_receive(peer))
        if (peer->got[0] == T_LOGOUT)
            break;
    bool right = peer->got[0] == T_LOGOUT && get_be32(peer->got + 4) == reason;
    if (right && !peer->gone) {
        rdma_disconnect(peer->id);
        peer->gone = true;
    }
    return right;
}

bool peer_disconnected(Peer *peer)
{
    while (peer_receive(peer))
        ;
    return peer->gone;
}

/* --- commands -----------------------------------------------------------------------------------
 */

void peer_command(Peer *peer, PeerIu *iu, uint8_t formats, const uint8_t *cdb, unsigned cdb_len)
{
    memset(iu->bytes, 0, 80);
    iu->len = 48;
    iu->bytes[0] = CMD;
    iu->bytes[5] = formats;
    put_be64(iu->bytes + 8, ++peer->tag);
    memcpy(iu->bytes + 32, cdb, cdb_len);
}

void peer_rw(Peer *peer, PeerIu *iu, bool write, uint8_t formats, uint32_t lba, uint16_t blocks)
{
    uint8_t cdb[10] = {write ? 0x2a : 0x28};
    put_be32(cdb + 2, lba);
    put_be16(cdb + 7, blocks);
    peer_command(peer, iu, formats, cdb, sizeof cdb);
}

void peer_describe(PeerIu *iu, uint64_t address, uint32_t key, uint32_t len)
{
    put_be64(iu->bytes + iu->len, address);
    put_be32(iu->bytes + iu->len + 8, key);
    put_be32(iu->bytes + iu->len + 12, len);
    iu->len += 16;
}

uint8_t peer_run(Peer *peer, const PeerIu *iu)
{
    peer->credits--;
    peer_send(peer, iu->bytes, iu->len);
    bool answered =
        peer_receive(peer) && peer->got[0] == 0xc1 && memcmp(peer->got + 8, iu->bytes + 8, 8) == 0;
    return answered ? peer->got[19] : 0xff;
}

uint8_t peer_test_unit_ready(Peer *peer)
{
    PeerIu iu;
    peer_command(peer, &iu, 0, (const uint8_t[6]){0}, 6);
    return peer_run(peer, &iu);
}

uint8_t peer_manage(Peer *peer, uint8_t function, uint64_t lun, uint64_t task_tag)
{
    uint8_t iu[48] = {TSK_MGMT};
    put_be64(iu + 8, ++peer->tag);
    put_be64(iu + 20, lun);
    iu[30] = function;
    put_be64(iu + 32, task_tag);
    peer->credits--;
    peer_send(peer, iu, sizeof iu);
    while (peer_receive(peer))
        if (peer->got[0] == 0xc1 && get_be64(peer->got + 8) == peer->tag)
            return (peer->got[18] & 1) ? peer->got[39] : 0xff;
    return 0xff;
}
