/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iSER coding: private data, headers, messages of any length, the response made of a Data-In, and
 * the limit on PDUs that nobody asked for. */
#include "core/base/bytes.h"
#include "iser/rdma/conn.h"
#include "tests/unit/unit.h"

#define HEADERS (ISER_HEADER_LEN + ISCSI_BHS_LEN)

/* --- private data --------------------------------------------------------------------------------
 */

static void test_private_data(void **state)
{
    (void)state;
    static const uint8_t neither[] = {0xc0, 0, 0, 0}, inverse[] = {0x80, 0, 0, 0},
                         padded[56] = {0x40}, odd[] = {0xc1, 0, 0, 0}, padding[56] = {0},
                         rest[] = {0xc0, 0, 0, 1};
    IserCm cm = {true, true};
    assert_null(iser_cm_decode(NULL, 0, &cm));
    assert_false(cm.zero_based || cm.remote_invalidate);
    assert_null(iser_cm_decode(neither, 4, &cm));
    assert_false(cm.zero_based || cm.remote_invalidate);
    assert_null(iser_cm_decode(inverse, 4, &cm));
    assert_true(!cm.zero_based && cm.remote_invalidate);
    assert_null(iser_cm_decode(padded, sizeof padded, &cm));
    assert_true(cm.zero_based && !cm.remote_invalidate);
    assert_null(iser_cm_decode(padding, sizeof padding, &cm));
    assert_false(cm.zero_based || cm.remote_invalidate);
    assert_non_null(iser_cm_decode(neither, 3, &cm));
    assert_non_null(iser_cm_decode(odd, 4, &cm));
    assert_non_null(iser_cm_decode(rest, 4, &cm));
}

static void test_private_data_of_the_answer(void **state)
{
    (void)state;
    uint8_t out[ISER_CM_LEN];
    IserCm cm = {.remote_invalidate = true};
    iser_cm_encode(&cm, out);
    assert_int_equal(get_be32(out), 0x80000000);
    cm.remote_invalidate = false;
    iser_cm_encode(&cm, out);
    assert_int_equal(get_be32(out), 0xc0000000);
}

/* --- messages ------------------------------------------------------------------------------------
 */

static size_t make_message(uint8_t *out, uint8_t flags, uint8_t ahs_words, uint32_t data_len)
{
    memset(out, 0, HEADERS + ahs_words * 4 + data_len + 4);
    out[0] = flags;
    put_be32(out + 4, 0x11223344);
    put_be64(out + 8, 0x1122334455667788);
    put_be32(out + 16, 0xaabbccdd);
    put_be64(out + 20, 0x99aabbccddeeff00);
    out[ISER_HEADER_LEN + 4] = ahs_words;
    put_be24(out + ISER_HEADER_LEN + 5, data_len);
    return HEADERS + ahs_words * 4 + data_len;
}

static void test_header(void **state)
{
    (void)state;
    uint8_t message[HEADERS + 8];
    IserMessage m;
    make_message(message, 0x1c, 0, 0);
    assert_null(iser_message_decode(message, HEADERS, &m));
    assert_true(m.header.write_valid && m.header.read_valid);
    assert_int_equal(m.header.write_stag, 0x11223344);
    assert_int_equal(m.header.write_base, 0x1122334455667788);
    assert_int_equal(m.header.read_stag, 0xaabbccdd);
    assert_int_equal(m.header.read_base, 0x99aabbccddeeff00);
    assert_ptr_equal(m.bhs, message + ISER_HEADER_LEN);
    make_message(message, 0x18, 0, 0);
    assert_null(iser_message_decode(message, HEADERS, &m));
    assert_true(m.header.write_valid && !m.header.read_valid);
    assert_int_equal(m.header.read_stag, 0); /* not to be used by mistake */
}

static void test_lengths(void **state)
{
    (void)state;
    uint8_t message[HEADERS + 64];
    IserMessage m;
    size_t len = make_message(message, 0x10, 2, 21);
    for (size_t n = 0; n < len; n++)
        assert_non_null(iser_message_decode(message, n, &m));
    for (size_t n = len; n < len + 4; n++)
        assert_null(iser_message_decode(message, n, &m));
    assert_non_null(iser_message_decode(message, len + 4, &m));
    assert_null(iser_message_decode(message, len, &m));
    assert_int_equal(m.ahs_len, 8);
    assert_ptr_equal(m.ahs, message + HEADERS);
    assert_int_equal(m.data_len, 21);
    assert_ptr_equal(m.data, message + HEADERS + 8);
}

/* A write command may promise data that its STag covers, but no other PDU may. */
static void test_promised_data(void **state)
{
    (void)state;
    uint8_t message[HEADERS + 600];
    IserMessage m;
    make_message(message, 0x18, 0, 512);
    message[ISER_HEADER_LEN] = 0x01;
    assert_null(iser_message_decode(message, HEADERS, &m));
    assert_int_equal(m.data_len, 0);
    assert_non_null(iser_message_decode(message, HEADERS + 4, &m));
    assert_null(iser_message_decode(message, HEADERS + 512, &m));
    assert_int_equal(m.data_len, 512);
    message[0] = 0x14; /* no STag for it */
    assert_non_null(iser_message_decode(message, HEADERS, &m));
    message[0] = 0x18;
    message[ISER_HEADER_LEN] = 0x04;
    assert_non_null(iser_message_decode(message, HEADERS, &m));
}

static void test_other_types(void **state)
{
    (void)state;
    uint8_t message[HEADERS + 8];
    IserMessage m;
    make_message(message, ISER_HELLO << 4, 0, 0);
    assert_non_null(iser_message_decode(message, ISER_HEADER_LEN, &m));
    assert_int_equal(m.header.type, ISER_HELLO);
    for (unsigned type = 0; type < 16; type++) {
        make_message(message, (uint8_t)(type << 4), 0, 0);
        const char *wrong = iser_message_decode(message, HEADERS, &m);
        assert_int_equal(wrong == NULL, type == ISER_CONTROL);
    }
}

static void test_own_headers(void **state)
{
    (void)state;
    uint8_t out[ISER_HEADER_LEN];
    iser_header_encode(out);
    assert_int_equal(out[0], 0x10);
    for (unsigned i = 1; i < sizeof out; i++)
        assert_int_equal(out[i], 0);
    iser_hello_reject_encode(out);
    assert_int_equal(out[0], 0x31);
}

static void test_response_from_data_in(void **state)
{
    (void)state;
    uint8_t in[ISCSI_BHS_LEN], out[ISCSI_BHS_LEN];
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(0xa0 + i);
    in[0] = 0x25;
    in[1] = 0x80 | 0x02 | 0x01; /* F, U, S */
    in[3] = 0x08;
    iser_response_from_data_in(in, out);
    assert_int_equal(out[0], 0x21);
    assert_int_equal(out[1], 0x82);
    assert_int_equal(out[2], 0);
    assert_int_equal(out[3], 0x08);
    assert_memory_equal(out + 16, in + 16, 4);  /* ITT */
    assert_int_equal(get_be32(out + 20), 0);    /* SNACK tag */
    assert_memory_equal(out + 24, in + 24, 12); /* StatSN, ExpCmdSN, MaxCmdSN */
    assert_int_equal(get_be32(out + 36), 0);    /* ExpDataSN: there was no Data-In */
    assert_memory_equal(out + 44, in + 44, 4);  /* residual */
    assert_int_equal(get_be32(out + 4), 0);     /* no segments */
}

/* --- unexpected PDUs -----------------------------------------------------------------------------
 */

static const uint8_t *pdu(uint8_t opcode, uint32_t itt, uint32_t ttt, uint32_t stat_sn)
{
    static uint8_t bhs[ISCSI_BHS_LEN];
    memset(bhs, 0, sizeof bhs);
    bhs[0] = opcode;
    put_be32(bhs + 16, itt);
    put_be32(bhs + 20, ttt);
    put_be32(bhs + 24, stat_sn); /* StatSN of a response */
    put_be32(bhs + 28, stat_sn); /* ExpStatSN of a request */
    return bhs;
}

static void test_pings_wait_for_room(void **state)
{
    (void)state;
    IserFlow flow;
    iser_flow_init(&flow);
    flow.limit = 2;
    assert_true(iser_flow_may_send(&flow, pdu(0x20, ~0U, 1, 10)));
    assert_true(iser_flow_may_send(&flow, pdu(0x20, ~0U, 2, 10)));
    assert_false(iser_flow_may_send(&flow, pdu(0x20, ~0U, 3, 10)));
    assert_true(iser_flow_may_send(&flow, pdu(0x20, 7, ~0U, 10))); /* an answer is expected */
    assert_true(iser_flow_may_send(&flow, pdu(0x21, 8, 0, 10)));
    assert_null(iser_flow_next(&flow));
    iser_flow_received(&flow, pdu(0x01, 9, 0, 11)); /* a command answers no ping */
    assert_null(iser_flow_next(&flow));
    iser_flow_received(&flow, pdu(0x00, ~0U, 1, 11));
    uint8_t *held = iser_flow_next(&flow);
    assert_int_equal(get_be32(held + 20), 3);
    g_free(held);
    assert_null(iser_flow_next(&flow));
    iser_flow_deinit(&flow);
}

static void test_notices_count_until_acknowledged(void **state)
{
    (void)state;
    IserFlow flow;
    iser_flow_init(&flow);
    flow.limit = 1;
    assert_true(iser_flow_may_send(&flow, pdu(0x32, ~0U, 0, 0xffffffff)));
    assert_false(iser_flow_may_send(&flow, pdu(0x20, ~0U, 1, 0)));
    iser_flow_received(&flow, pdu(0x01, 9, 0, 0xffffffff));
    assert_null(iser_flow_next(&flow));
    iser_flow_received(&flow, pdu(0x01, 9, 0, 0)); /* wraps */
    uint8_t *held = iser_flow_next(&flow);
    assert_non_null(held);
    g_free(held);
    iser_flow_deinit(&flow);
}

static void test_what_opens_the_window_counts_until_a_command(void **state)
{
    (void)state;
    IserFlow flow;
    iser_flow_init(&flow);
    flow.limit = 1;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(iser_flow_may_send(&flow, pdu(0x20, ~0U, ~0U, 10)));
        assert_false(iser_flow_may_send(&flow, pdu(0x20, ~0U, 1, 10)));
        iser_flow_received(&flow,
                           pdu(0x41, 9, 0, 10)); /* an immediate one may have been sent before */
        assert_null(iser_flow_next(&flow));
        iser_flow_received(&flow, pdu(0x01, 9, 0, 10));
        uint8_t *held = iser_flow_next(&flow);
        assert_non_null(held);
        g_free(held);
        iser_flow_received(&flow, pdu(0x00, ~0U, 1, 10));
    }
    iser_flow_deinit(&flow);
}

static void test_no_limit(void **state)
{
    (void)state;
    IserFlow flow;
    iser_flow_init(&flow);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(iser_flow_may_send(&flow, pdu(0x20, ~0U, i, 1)));
    iser_flow_deinit(&flow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_private_data),
        cmocka_unit_test(test_private_data_of_the_answer),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_promised_data),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_own_headers),
        cmocka_unit_test(test_response_from_data_in),
        cmocka_unit_test(test_pings_wait_for_room),
        cmocka_unit_test(test_notices_count_until_acknowledged),
        cmocka_unit_test(test_what_opens_the_window_counts_until_a_command),
        cmocka_unit_test(test_no_limit),
    };
    return unit_run(tests);
}
