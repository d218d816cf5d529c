/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection of the TCP datamover on a socket pair with both ends in the test's hands. */
#include "tests/unit/tcp_rig.h"

#include "iser/tcp/digest.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* --- the session layer --- */

static void note_control(DmConn *conn, DmPdu *pdu)
{
    TcpRig *rig = conn->session;
    rig->controls++;
    if (rig->on_control)
        rig->on_control(pdu);
    else
        g_ptr_array_add(rig->pdus, pdu);
}

static void note_bad_digest(DmConn *conn, const uint8_t bhs[ISCSI_BHS_LEN])
{
    (void)bhs;
    ((TcpRig *)conn->session)->bad_digests++;
}

static void note_terminated(DmConn *conn, const char *reason)
{
    TcpRig *rig = conn->session;
    assert_false(rig->terminated);
    rig->terminated = true;
    g_strlcpy(rig->reason, reason, sizeof rig->reason);
}

static const DmUpcalls upcalls = {note_control, note_bad_digest, note_terminated};

/* --- the rig --- */

static void no_growth(void *arg)
{
    (void)arg;
}

static void connect_pair(TcpRig *rig)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    rig->peer = fds[1];
    TcpConn *conn = tcp_conn_new(rig->loop, rig->memory, rig->budget, fds[0]);
    assert_non_null(conn);
    rig->conn = &conn->base;
    rig->conn->up = &upcalls;
    rig->conn->session = rig;
    assert_true(tcp_conn_start(conn));
}

void tcp_rig_init(TcpRig *rig)
{
    static const LoopConfig loop = {.poll_us = 0};
    ArenaConfig arena = {.limit = 16 * MIB, .initial = 16 * MIB};
    *rig = (TcpRig){.params = {.header_digest = ISCSI_DIGEST_NONE,
                               .data_digest = ISCSI_DIGEST_NONE,
                               .immediate_data = true,
                               .initial_r2t = true,
                               .max_burst_length = 256 << 10,
                               .first_burst_length = 64 << 10,
                               .max_recv_data_segment_length = 64 << 10,
                               .peer_max_recv_data_segment_length = 64 << 10,
                               .max_outstanding_r2t = 1,
                               .queue_depth = 16}};
    rig->arena = arena_new(&arena, no_growth, NULL, NULL);
    assert_non_null(rig->arena);
    rig->loop = loop_new_main(&loop);
    rig->memory = memory_new(rig->arena, 8 * MIB, &rig->loop, 1);
    rig->budget = receive_budget_new(rig->arena, 8 * MIB);
    rig->pdus = g_ptr_array_new();
    connect_pair(rig);
}

void tcp_rig_enable(TcpRig *rig)
{
    assert_true(rig->conn->dm->allocate(rig->conn, &rig->params) > 0);
    rig->conn->dm->enable(rig->conn, &rig->params);
}

void tcp_rig_release_all(TcpRig *rig)
{
    while (rig->pdus->len > 0)
        rig->conn->dm->release_pdu(g_ptr_array_remove_index(rig->pdus, 0));
}

void tcp_rig_deinit(TcpRig *rig)
{
    if (rig->conn) {
        rig->conn->dm->terminate(rig->conn, DM_CLOSE_NOW);
        tcp_rig_wait(rig, rig->terminated);
        tcp_rig_release_all(rig);
        rig->conn->dm->free(rig->conn);
    }
    close(rig->peer);
    g_ptr_array_unref(rig->pdus);
    arena_flush_tcache(rig->arena);
    ArenaStats stats;
    arena_get_stats(rig->arena, &stats);
    assert_int_equal(stats.in_use, 0);
    receive_budget_free(rig->budget);
    memory_free(rig->memory);
    loop_free(rig->loop);
    arena_free(rig->arena);
}

void tcp_rig_turn(TcpRig *rig)
{
    (void)rig;
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

void tcp_rig_write(TcpRig *rig, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (len > 0) {
        ssize_t n = send(rig->peer, at, len, MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else {
            assert_true(errno == EAGAIN);
            assert_true(g_get_monotonic_time() < deadline);
        }
        tcp_rig_turn(rig);
    }
}

void tcp_rig_read(TcpRig *rig, void *bytes, size_t len)
{
    uint8_t *at = bytes;
    gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (len > 0) {
        ssize_t n = recv(rig->peer, at, len, 0);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
            continue;
        }
        assert_true(n < 0 && errno == EAGAIN);
        assert_true(g_get_monotonic_time() < deadline);
        tcp_rig_turn(rig);
    }
}

void tcp_rig_assert_silent(TcpRig *rig)
{
    uint8_t byte;
    tcp_rig_turn(rig);
    assert_int_equal(recv(rig->peer, &byte, 1, MSG_PEEK), -1);
    assert_int_equal(errno, EAGAIN);
}

static TcpLimits limits_of(const TcpRig *rig)
{
    return tcp_conn(rig->conn)->limits;
}

size_t tcp_rig_frame(const TcpRig *rig, uint8_t *out, const uint8_t *bhs, const void *data,
                     uint32_t len)
{
    TcpLimits limits = limits_of(rig);
    size_t at = ISCSI_BHS_LEN;
    memcpy(out, bhs, ISCSI_BHS_LEN);
    put_be24(out + BHS_DATA_LEN, len);
    for (uint32_t i = 0; i < bhs_ahs_len(bhs); i++)
        out[at++] = (uint8_t)(0xa0 + i);
    if (limits.header_digest) {
        digest_put(digest_add(DIGEST_BEGIN, out, at), out + at);
        at += DIGEST_LEN;
    }
    if (len == 0)
        return at;
    uint8_t *segment = out + at;
    memcpy(segment, data, len);
    memset(segment + len, 0, bhs_padding(len));
    len += bhs_padding(len);
    at += len;
    if (limits.data_digest) {
        digest_put(digest_add(DIGEST_BEGIN, segment, len), out + at);
        at += DIGEST_LEN;
    }
    return at;
}

void tcp_rig_send(TcpRig *rig, const uint8_t *bhs, const void *data, uint32_t len)
{
    g_autofree uint8_t *frame = g_malloc(2048 + len);
    size_t n = tcp_rig_frame(rig, frame, bhs, data, len);
    tcp_rig_write(rig, frame, n);
}

uint32_t tcp_rig_receive(TcpRig *rig, uint8_t *bhs, uint8_t *data, uint32_t room)
{
    TcpLimits limits = limits_of(rig);
    uint8_t digest[DIGEST_LEN], zeros[3] = {0}, padding[3] = {0};
    tcp_rig_read(rig, bhs, ISCSI_BHS_LEN);
    assert_int_equal(bhs_ahs_len(bhs), 0);
    if (limits.header_digest) {
        tcp_rig_read(rig, digest, sizeof digest);
        assert_true(digest_matches(digest_add(DIGEST_BEGIN, bhs, ISCSI_BHS_LEN), digest));
    }
    uint32_t len = bhs_data_len(bhs), pad = bhs_padding(len);
    assert_true(len <= room);
    tcp_rig_read(rig, data, len);
    tcp_rig_read(rig, padding, pad);
    assert_memory_equal(padding, zeros, sizeof zeros);
    if (limits.data_digest && len > 0) {
        tcp_rig_read(rig, digest, sizeof digest);
        uint32_t crc = digest_add(digest_add(DIGEST_BEGIN, data, len), padding, pad);
        assert_true(digest_matches(crc, digest));
    }
    return len;
}

DmPdu *tcp_rig_pdu(const TcpRig *rig, unsigned index)
{
    assert_true(index < rig->pdus->len);
    return rig->pdus->pdata[index];
}

DmPdu *tcp_rig_command(TcpRig *rig, uint32_t itt)
{
    uint8_t bhs[ISCSI_BHS_LEN] = {ISCSI_SCSI_COMMAND, PDU_FINAL};
    unsigned before = rig->pdus->len;
    put_be32(bhs + PDU_ITT, itt);
    tcp_rig_send(rig, bhs, NULL, 0);
    tcp_rig_wait(rig, rig->pdus->len > before);
    return tcp_rig_pdu(rig, before);
}

/* --- moves --- */

uint8_t tcp_rig_pattern(uint32_t offset)
{
    return (uint8_t)(offset ^ (offset >> 8) * 7 ^ (offset >> 16) * 31);
}

static void note_done(DmMove *move, int error)
{
    TcpRigMove *m = (TcpRigMove *)move;
    assert_false(m->done);
    assert_false(m->starting);
    assert_false(*m->terminated);
    m->done = true;
    m->error = error;
}

static void cut(TcpRigMove *m, uint32_t len, int pieces)
{
    uint32_t at = 0;
    for (int i = 0; i < pieces; i++) {
        uint32_t left = len - at;
        uint32_t piece = i == pieces - 1 ? left : MIN(left, len / (uint32_t)pieces + (uint32_t)i);
        m->iov[i] = (struct iovec){m->memory + at, piece};
        at += piece;
    }
}

void tcp_rig_move_init(TcpRig *rig, TcpRigMove *m, DmPdu *command, unsigned opcode, uint32_t offset,
                       uint32_t len, int pieces)
{
    *m = (TcpRigMove){.memory = g_malloc0(len + 1), .terminated = &rig->terminated};
    cut(m, len, pieces);
    m->move = (DmMove){.command = command,
                       .offset = offset,
                       .len = len,
                       .iov = m->iov,
                       .iovcnt = pieces,
                       .done = note_done};
    m->move.bhs[0] = (uint8_t)opcode;
    memcpy(m->move.bhs + PDU_ITT, command->bhs + PDU_ITT, 4);
    if (opcode == ISCSI_DATA_IN)
        for (uint32_t i = 0; i < len; i++)
            m->memory[i] = tcp_rig_pattern(offset + i);
}

void tcp_rig_move_start(TcpRig *rig, TcpRigMove *m)
{
    m->starting = true;
    if (pdu_opcode(m->move.bhs) == ISCSI_DATA_IN)
        rig->conn->dm->put_data(rig->conn, &m->move);
    else
        rig->conn->dm->get_data(rig->conn, &m->move);
    m->starting = false;
}

void tcp_rig_move_deinit(TcpRigMove *m)
{
    assert_true(m->done);
    g_free(m->memory);
}
