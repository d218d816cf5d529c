/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receiving: PDUs in every fragmentation, limits, digests, waiting for memory, releases and output,
 * and what a hostile peer may send. */
#include "iser/tcp/digest.h"
#include "tests/unit/tcp_rig.h"
#include "tests/unit/unit.h"

#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    uint8_t opcode, ahs_words;
    uint32_t len;
} Shape;

/* Commands with and without AHS and immediate data, unsolicited Data-Out, text and NOP. */
static const Shape shapes[] = {
    {ISCSI_SCSI_COMMAND, 0, 0}, {ISCSI_SCSI_COMMAND, 2, 5},  {ISCSI_DATA_OUT, 0, 33},
    {ISCSI_NOP_OUT, 0, 3},      {ISCSI_SCSI_COMMAND, 0, 64}, {ISCSI_TEXT_REQUEST, 1, 1},
    {ISCSI_NOP_OUT, 0, 0},
};

static void fill_pattern(uint8_t *data, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        data[i] = tcp_rig_pattern(i);
}

static void assert_pattern(const uint8_t *data, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(data[i], tcp_rig_pattern(i));
}

static void make_header(uint8_t *bhs, const Shape *shape, uint32_t itt)
{
    memset(bhs, 0, ISCSI_BHS_LEN);
    bhs[0] = shape->opcode;
    bhs[PDU_FLAGS] = PDU_FINAL;
    bhs[BHS_AHS_WORDS] = shape->ahs_words;
    put_be32(bhs + PDU_ITT, itt);
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
}

static size_t make_stream(const TcpRig *rig, uint8_t *out)
{
    size_t len = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        uint8_t bhs[ISCSI_BHS_LEN], data[256];
        fill_pattern(data, shapes[i].len);
        make_header(bhs, &shapes[i], i);
        len += tcp_rig_frame(rig, out + len, bhs, data, shapes[i].len);
    }
    return len;
}

static void assert_stream_came(TcpRig *rig)
{
    tcp_rig_wait(rig, rig->pdus->len == G_N_ELEMENTS(shapes));
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        const DmPdu *pdu = tcp_rig_pdu(rig, i);
        assert_int_equal(pdu_opcode(pdu->bhs), shapes[i].opcode);
        assert_int_equal(pdu_itt(pdu->bhs), i);
        assert_int_equal(pdu->ahs_len, shapes[i].ahs_words * 4);
        for (uint32_t k = 0; k < pdu->ahs_len; k++)
            assert_int_equal(pdu->ahs[k], 0xa0 + k);
        assert_int_equal(pdu->data_len, shapes[i].len);
        assert_pattern(pdu->data, pdu->data_len);
    }
    tcp_rig_release_all(rig);
}

static void try_every_cut(unsigned digests)
{
    TcpRig rig;
    uint8_t stream[2048];
    tcp_rig_init(&rig);
    rig.params.header_digest = rig.params.data_digest = digests;
    tcp_rig_enable(&rig);
    size_t len = make_stream(&rig, stream);
    for (size_t cut = 0; cut <= len; cut++) {
        tcp_rig_write(&rig, stream, cut);
        tcp_rig_write(&rig, stream + cut, len - cut);
        assert_stream_came(&rig);
    }
    for (size_t i = 0; i < len; i++)
        tcp_rig_write(&rig, stream + i, 1);
    assert_stream_came(&rig);
    assert_int_equal(rig.bad_digests, 0);
    tcp_rig_deinit(&rig);
}

static void every_cut_without_digests(void **state)
{
    (void)state;
    try_every_cut(ISCSI_DIGEST_NONE);
}

static void every_cut_with_digests(void **state)
{
    (void)state;
    try_every_cut(ISCSI_DIGEST_CRC32C);
}

/* Long data, whose rest goes to its place past the staging buffer, with PDUs behind it. */
static void long_segments_in_odd_pieces(void **state)
{
    static const uint32_t lens[] = {65536, 1, 65535, 30001, 16384, 0, 65533};
    static const size_t steps[] = {1 << 20, 40000, 16384, 16383, 4097, 1001};
    uint8_t *data = g_malloc(65536), *stream = g_malloc(1 << 20);
    TcpRig rig;
    (void)state;
    fill_pattern(data, 65536);
    tcp_rig_init(&rig);
    rig.params.data_digest = ISCSI_DIGEST_CRC32C;
    tcp_rig_enable(&rig);
    size_t len = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++) {
        uint8_t bhs[ISCSI_BHS_LEN];
        make_header(bhs, &(Shape){ISCSI_SCSI_COMMAND, 0, 0}, i);
        len += tcp_rig_frame(&rig, stream + len, bhs, data, lens[i]);
    }
    for (unsigned s = 0; s < G_N_ELEMENTS(steps); s++) {
        for (size_t at = 0; at < len; at += steps[s])
            tcp_rig_write(&rig, stream + at, MIN(steps[s], len - at));
        tcp_rig_wait(&rig, rig.pdus->len == G_N_ELEMENTS(lens));
        for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++) {
            assert_int_equal(tcp_rig_pdu(&rig, i)->data_len, lens[i]);
            assert_pattern(tcp_rig_pdu(&rig, i)->data, lens[i]);
        }
        tcp_rig_release_all(&rig);
    }
    assert_int_equal(rig.bad_digests, 0);
    tcp_rig_deinit(&rig);
    g_free(data);
    g_free(stream);
}

static void data_is_aligned_for_direct_io(void **state)
{
    TcpRig rig;
    uint8_t bhs[ISCSI_BHS_LEN], data[8192] = {0};
    (void)state;
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    make_header(bhs, &(Shape){ISCSI_SCSI_COMMAND, 0, 0}, 1);
    tcp_rig_send(&rig, bhs, data, sizeof data);
    tcp_rig_wait(&rig, rig.pdus->len == 1);
    assert_int_equal((uintptr_t)tcp_rig_pdu(&rig, 0)->data % 4096, 0);
    tcp_rig_deinit(&rig);
}

static void expect_end(TcpRig *rig, const uint8_t *bytes, size_t len, const char *reason)
{
    tcp_rig_write(rig, bytes, len);
    tcp_rig_wait(rig, rig->terminated);
    assert_non_null(strstr(rig->reason, reason));
    tcp_rig_deinit(rig);
}

static void segments_above_the_limit_end_the_connection(void **state)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    TcpRig rig;
    (void)state;
    make_header(bhs, &(Shape){ISCSI_LOGIN_REQUEST, 0, 0}, 1);
    put_be24(bhs + BHS_DATA_LEN, TCP_LOGIN_SEGMENT + 1);
    tcp_rig_init(&rig);
    expect_end(&rig, bhs, sizeof bhs, "MaxRecvDataSegmentLength");
    put_be24(bhs + BHS_DATA_LEN, 0xffffff);
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    expect_end(&rig, bhs, sizeof bhs, "MaxRecvDataSegmentLength");
}

static void solicited_data_before_the_login_ends_the_connection(void **state)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    TcpRig rig;
    (void)state;
    make_header(bhs, &(Shape){ISCSI_DATA_OUT, 0, 0}, 1);
    put_be32(bhs + PDU_TTT, 0);
    tcp_rig_init(&rig);
    expect_end(&rig, bhs, sizeof bhs, "Data-Out");
}

static void wrong_header_digest_ends_the_connection(void **state)
{
    uint8_t bhs[ISCSI_BHS_LEN], frame[64];
    TcpRig rig;
    (void)state;
    make_header(bhs, &(Shape){ISCSI_NOP_OUT, 0, 0}, 1);
    tcp_rig_init(&rig);
    rig.params.header_digest = ISCSI_DIGEST_CRC32C;
    tcp_rig_enable(&rig);
    size_t len = tcp_rig_frame(&rig, frame, bhs, NULL, 0);
    frame[20] ^= 1;
    expect_end(&rig, frame, len, "header digest");
}

static void wrong_data_digest_drops_the_pdu_alone(void **state)
{
    uint8_t bhs[ISCSI_BHS_LEN], frame[128], data[21];
    TcpRig rig;
    (void)state;
    fill_pattern(data, sizeof data);
    make_header(bhs, &(Shape){ISCSI_SCSI_COMMAND, 0, 0}, 1);
    tcp_rig_init(&rig);
    rig.params.data_digest = ISCSI_DIGEST_CRC32C;
    tcp_rig_enable(&rig);
    size_t len = tcp_rig_frame(&rig, frame, bhs, data, sizeof data);
    for (size_t spoilt = ISCSI_BHS_LEN; spoilt < len; spoilt++) { /* data, padding, digest */
        frame[spoilt] ^= 0x10;
        tcp_rig_write(&rig, frame, len);
        frame[spoilt] ^= 0x10;
    }
    tcp_rig_wait(&rig, rig.bad_digests == len - ISCSI_BHS_LEN);
    assert_int_equal(rig.controls, 0);
    tcp_rig_write(&rig, frame, len);
    tcp_rig_wait(&rig, rig.controls == 1);
    assert_pattern(tcp_rig_pdu(&rig, 0)->data, sizeof data);
    tcp_rig_deinit(&rig);
}

static void beyond_the_window_the_peer_waits(void **state)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    TcpRig rig;
    (void)state;
    make_header(bhs, &(Shape){ISCSI_SCSI_COMMAND, 0, 0}, 1);
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    unsigned limit = tcp_conn(rig.conn)->pdus.limit;
    for (unsigned i = 0; i < limit + 20; i++)
        tcp_rig_send(&rig, bhs, NULL, 0);
    tcp_rig_turn(&rig);
    assert_int_equal(rig.pdus->len, limit);
    rig.conn->dm->release_pdu(g_ptr_array_remove_index(rig.pdus, 0));
    tcp_rig_turn(&rig);
    assert_int_equal(rig.pdus->len, limit);
    assert_int_equal(rig.controls, limit + 1);
    tcp_rig_release_all(&rig);
    tcp_rig_wait(&rig, rig.controls == limit + 20);
    tcp_rig_deinit(&rig);
}

static void beyond_the_quota_of_bytes_the_peer_waits(void **state)
{
    uint8_t bhs[ISCSI_BHS_LEN], *data = g_malloc0(65536);
    TcpRig rig;
    (void)state;
    make_header(bhs, &(Shape){ISCSI_SCSI_COMMAND, 0, 0}, 1);
    tcp_rig_init(&rig);
    rig.params.queue_depth = 8;
    tcp_rig_enable(&rig);
    unsigned fit = 8 + 1; /* the window, and one segment more */
    for (unsigned i = 0; i < fit; i++)
        tcp_rig_send(&rig, bhs, data, 65536);
    tcp_rig_send(&rig, bhs, data, 4);
    tcp_rig_turn(&rig);
    assert_int_equal(rig.controls, fit);
    rig.conn->dm->release_pdu(g_ptr_array_remove_index(rig.pdus, 3));
    tcp_rig_wait(&rig, rig.controls == fit + 1);
    tcp_rig_deinit(&rig);
    g_free(data);
}

static void without_memory_the_peer_waits(void **state)
{
    uint8_t bhs[ISCSI_BHS_LEN], data[4096];
    GPtrArray *hoard = g_ptr_array_new();
    void *buffer;
    TcpRig rig;
    (void)state;
    fill_pattern(data, sizeof data);
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    while ((buffer = arena_alloc(rig.arena, ARENA_BUFFER_MAX)))
        g_ptr_array_add(hoard, buffer);
    unsigned large = hoard->len;
    while ((buffer = arena_alloc(rig.arena, 4096)))
        g_ptr_array_add(hoard, buffer);
    make_header(bhs, &(Shape){ISCSI_NOP_OUT, 0, 0}, 1);
    tcp_rig_send(&rig, bhs, data, 100);
    tcp_rig_wait(&rig, rig.controls == 1); /* needs none of that memory */
    make_header(bhs, &(Shape){ISCSI_SCSI_COMMAND, 0, 0}, 2);
    tcp_rig_send(&rig, bhs, data, sizeof data);
    tcp_rig_turn(&rig);
    assert_int_equal(rig.controls, 1);
    assert_int_equal(tcp_conn(rig.conn)->rx.waits, TCP_RX_WAITS_MEMORY);
    for (unsigned i = 0; i < hoard->len; i++)
        arena_release(rig.arena, hoard->pdata[i], i < large ? ARENA_BUFFER_MAX : 4096);
    tcp_rig_wait(&rig, rig.controls == 2);
    assert_pattern(tcp_rig_pdu(&rig, 1)->data, sizeof data);
    g_ptr_array_unref(hoard);
    tcp_rig_deinit(&rig);
}

/* Answers a ping with its data. */
static void echo(DmPdu *pdu)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    memcpy(bhs, pdu->bhs, sizeof bhs);
    bhs[0] = ISCSI_NOP_IN;
    pdu->conn->dm->send_control(pdu->conn, bhs, pdu->data, pdu->data_len);
    pdu->conn->dm->release_pdu(pdu);
}

static void peer_that_takes_no_answers_is_not_read(void **state)
{
    uint8_t bhs[ISCSI_BHS_LEN], *data = g_malloc(60000), *back = g_malloc(60000);
    g_autofree uint8_t *frame = g_malloc(61000);
    unsigned sent = 0;
    TcpRig rig;
    (void)state;
    fill_pattern(data, 60000);
    make_header(bhs, &(Shape){ISCSI_NOP_OUT, 0, 0}, 1);
    tcp_rig_init(&rig);
    rig.on_control = echo;
    tcp_rig_enable(&rig);
    size_t len = tcp_rig_frame(&rig, frame, bhs, data, 60000), at = 0;
    for (;;) {
        ssize_t n = send(rig.peer, frame + at, len - at, MSG_NOSIGNAL);
        tcp_rig_turn(&rig);
        if (n < 0)
            break;
        at += (size_t)n;
        sent += at == len;
        at %= len;
        assert_true(sent < 1000);
    }
    assert_true(tcp_tx_is_congested(tcp_conn(rig.conn)));
    assert_true(tcp_conn(rig.conn)->tx.copied < 2 << 20);
    for (unsigned i = 0; i < sent; i++) {
        assert_int_equal(tcp_rig_receive(&rig, bhs, back, 60000), 60000);
        assert_memory_equal(back, data, 60000);
    }
    tcp_rig_deinit(&rig);
    g_free(data);
    g_free(back);
}

static void peer_that_goes_away_is_noticed(void **state)
{
    TcpRig rig;
    (void)state;
    tcp_rig_init(&rig);
    assert_int_equal(shutdown(rig.peer, SHUT_WR), 0);
    tcp_rig_wait(&rig, rig.terminated);
    assert_string_equal(rig.reason, "closed by the peer");
    tcp_rig_deinit(&rig);
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    tcp_rig_write(&rig, "\x01", 1); /* in the middle of a header */
    close(rig.peer);
    tcp_rig_wait(&rig, rig.terminated);
    rig.peer = -1;
    tcp_rig_deinit(&rig);
}

static void end_of_the_receiver(DmPdu *pdu)
{
    pdu->conn->dm->terminate(pdu->conn, DM_CLOSE_NOW);
    pdu->conn->dm->release_pdu(pdu);
}

static void nothing_is_received_after_terminate(void **state)
{
    uint8_t stream[2048];
    TcpRig rig;
    (void)state;
    tcp_rig_init(&rig);
    tcp_rig_enable(&rig);
    rig.on_control = end_of_the_receiver;
    size_t len = make_stream(&rig, stream);
    assert_int_equal(write(rig.peer, stream, len), len);
    tcp_rig_wait(&rig, rig.terminated);
    assert_int_equal(rig.controls, 1);
    tcp_rig_deinit(&rig);
}

static void random_bytes_do_no_harm(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(20260);
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        TcpRig rig;
        uint8_t bytes[512];
        tcp_rig_init(&rig);
        if (round & 1)
            tcp_rig_enable(&rig);
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)g_rand_int(rand);
        if (round & 2)
            bytes[5] = bytes[6] = 0; /* plausible enough to get further */
        ssize_t n = send(rig.peer, bytes, sizeof bytes, MSG_NOSIGNAL);
        assert_int_equal(n, sizeof bytes);
        tcp_rig_turn(&rig);
        tcp_rig_deinit(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_without_digests),
        cmocka_unit_test(every_cut_with_digests),
        cmocka_unit_test(long_segments_in_odd_pieces),
        cmocka_unit_test(data_is_aligned_for_direct_io),
        cmocka_unit_test(segments_above_the_limit_end_the_connection),
        cmocka_unit_test(solicited_data_before_the_login_ends_the_connection),
        cmocka_unit_test(wrong_header_digest_ends_the_connection),
        cmocka_unit_test(wrong_data_digest_drops_the_pdu_alone),
        cmocka_unit_test(beyond_the_window_the_peer_waits),
        cmocka_unit_test(beyond_the_quota_of_bytes_the_peer_waits),
        cmocka_unit_test(without_memory_the_peer_waits),
        cmocka_unit_test(peer_that_takes_no_answers_is_not_read),
        cmocka_unit_test(peer_that_goes_away_is_noticed),
        cmocka_unit_test(nothing_is_received_after_terminate),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return unit_run(tests);
}
