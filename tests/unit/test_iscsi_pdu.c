/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Additional header segments, names, serial numbers, and the command window. */
#include "tests/unit/unit.h"

#include "iser/iscsi/pdu.h"
#include "iser/iscsi/window.h"

static void extended_cdb_is_found(void **state)
{
    (void)state;
    uint8_t ahs[20] = {0, 17, 1, 0, 0xaa};
    ahs[19] = 0xbb;
    PduAhs out;
    assert_true(pdu_decode_ahs(ahs, sizeof ahs, &out));
    assert_int_equal(out.extended_cdb_len, 16);
    assert_int_equal(out.extended_cdb[0], 0xaa);
    assert_int_equal(out.extended_cdb[15], 0xbb);
}

static void read_length_and_unknown_types(void **state)
{
    (void)state;
    static const uint8_t ahs[] = {0, 2, 0x3f, 1, 2, 0, 0, 0, 0, 5, 2, 0, 0, 1, 0, 0};
    PduAhs out;
    assert_true(pdu_decode_ahs(ahs, sizeof ahs, &out));
    assert_true(out.has_read_length);
    assert_int_equal(out.read_length, 0x10000);
}

static void malformed_segments_are_refused(void **state)
{
    (void)state;
    static const uint8_t overrun[] = {0, 17, 1, 0, 0, 0, 0, 0};
    static const uint8_t empty_cdb[] = {0, 1, 1, 0};
    static const uint8_t short_length[] = {0, 1, 2, 0};
    static const uint8_t half[] = {0, 1};
    PduAhs out;
    assert_false(pdu_decode_ahs(overrun, sizeof overrun, &out));
    assert_false(pdu_decode_ahs(empty_cdb, sizeof empty_cdb, &out));
    assert_false(pdu_decode_ahs(short_length, sizeof short_length, &out));
    assert_false(pdu_decode_ahs(half, sizeof half, &out));
    assert_true(pdu_decode_ahs(half, 0, &out));
    assert_true(pdu_decode_ahs(NULL, 0, &out));
    assert_non_null(byte_reader(NULL, 0).at); /* arithmetic with NULL is undefined */
}

static void names_are_never_null(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++)
        assert_non_null(pdu_opcode_name((uint8_t)i));
    assert_string_equal(pdu_opcode_name(0x43), "Login Request");
    assert_string_equal(login_status_name(LOGIN_NOT_FOUND), "target not found");
    assert_string_equal(login_status_name((LoginStatus)0x9999), "unknown status");
}

static void serial_numbers_wrap(void **state)
{
    (void)state;
    assert_true(serial_before(0xffffffff, 0));
    assert_false(serial_before(0, 0xffffffff));
    assert_false(serial_before(5, 5));
}

/* --- the window --- */

static void window_delivers_in_order(void **state)
{
    (void)state;
    CmdWindow w;
    DmPdu a, b, c;
    cmd_window_init(&w, 0xfffffffe, 5, 5);
    assert_int_equal(cmd_window_receive(&w, 0, &c), WINDOW_PARKED);
    assert_int_equal(cmd_window_receive(&w, 0xffffffff, &b), WINDOW_PARKED);
    assert_null(cmd_window_next(&w));
    assert_int_equal(cmd_window_receive(&w, 0xfffffffe, &a), WINDOW_DELIVER);
    assert_ptr_equal(cmd_window_next(&w), &b);
    assert_ptr_equal(cmd_window_next(&w), &c);
    assert_null(cmd_window_next(&w));
    assert_int_equal(w.exp_cmd_sn, 1);
    cmd_window_clear(&w);
}

static void window_drops_outside_and_duplicates(void **state)
{
    (void)state;
    CmdWindow w;
    DmPdu a, b;
    cmd_window_init(&w, 10, 3, 3);
    assert_int_equal(cmd_window_receive(&w, 9, &a), WINDOW_DROP);
    assert_int_equal(cmd_window_receive(&w, 13, &a), WINDOW_DROP);
    assert_int_equal(cmd_window_receive(&w, 12, &a), WINDOW_PARKED);
    assert_int_equal(cmd_window_receive(&w, 12, &b), WINDOW_DROP);
    assert_int_equal(cmd_window_receive(&w, 10, &b), WINDOW_DELIVER);
    assert_int_equal(cmd_window_receive(&w, 10, &b), WINDOW_DROP);
    assert_int_equal(cmd_window_receive(&w, 13, &b), WINDOW_DROP);
    cmd_window_open(&w);
    assert_int_equal(cmd_window_receive(&w, 13, &b), WINDOW_PARKED);
    assert_non_null(cmd_window_drain(&w));
    assert_non_null(cmd_window_drain(&w));
    assert_null(cmd_window_drain(&w));
    cmd_window_clear(&w);
}

static void window_skips_numbers(void **state)
{
    (void)state;
    CmdWindow w;
    DmPdu a, b, *pdu;
    cmd_window_init(&w, 1, 4, 4);
    assert_int_equal(cmd_window_receive(&w, 3, &a), WINDOW_PARKED);
    assert_true(cmd_window_skip(&w, 3, &pdu));
    assert_ptr_equal(pdu, &a);
    assert_true(cmd_window_skip(&w, 2, &pdu));
    assert_null(pdu);
    assert_false(cmd_window_skip(&w, 5, &pdu));
    assert_int_equal(cmd_window_receive(&w, 1, &b), WINDOW_DELIVER);
    assert_null(cmd_window_next(&w));
    assert_int_equal(w.exp_cmd_sn, 4);
    assert_int_equal(w.max_cmd_sn, 6); /* what was skipped holds no place */
    cmd_window_clear(&w);
}

static void window_grows_and_shrinks(void **state)
{
    (void)state;
    CmdWindow w;
    DmPdu pdus[8];
    cmd_window_init(&w, 0xfffffffc, 4, 8);
    for (uint32_t i = 1; i < 4; i++)
        assert_int_equal(cmd_window_receive(&w, 0xfffffffc + i, &pdus[i]), WINDOW_PARKED);
    assert_int_equal(cmd_window_receive(&w, 0, &pdus[4]), WINDOW_DROP);
    cmd_window_grow(&w, 4);
    for (uint32_t i = 4; i < 8; i++) /* none falls on the place of another */
        assert_int_equal(cmd_window_receive(&w, 0xfffffffc + i, &pdus[i]), WINDOW_PARKED);
    assert_int_equal(cmd_window_receive(&w, 4, &pdus[0]), WINDOW_DROP);
    assert_int_equal(cmd_window_receive(&w, 0xfffffffc, &pdus[0]), WINDOW_DELIVER);
    for (uint32_t i = 1; i < 8; i++)
        assert_ptr_equal(cmd_window_next(&w), &pdus[i]);
    for (uint32_t i = 0; i < 5; i++)
        cmd_window_shrink(&w);
    assert_int_equal(w.max_cmd_sn, 3); /* what was on offer stays so */
    for (uint32_t i = 0; i < 3; i++)
        cmd_window_open(&w);
    assert_int_equal(w.size, w.max_cmd_sn - w.exp_cmd_sn + 1);
    cmd_window_clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extended_cdb_is_found),
        cmocka_unit_test(read_length_and_unknown_types),
        cmocka_unit_test(malformed_segments_are_refused),
        cmocka_unit_test(names_are_never_null),
        cmocka_unit_test(serial_numbers_wrap),
        cmocka_unit_test(window_delivers_in_order),
        cmocka_unit_test(window_drops_outside_and_duplicates),
        cmocka_unit_test(window_skips_numbers),
        cmocka_unit_test(window_grows_and_shrinks),
    };
    return unit_run(tests);
}
