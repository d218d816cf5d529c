/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text and keys: every row of the table, every kind of negotiation, hostile bytes. */
#include "tests/unit/unit.h"

#include "iser/iscsi/keys.h"
#include "iser/iscsi/text.h"

#include <string.h>

/* --- text --- */

static void pairs_are_read(void **state)
{
    (void)state;
    static const char text[] = "A=1\0\0Key.x-y+z@_9=a=b\0Empty=";
    TextReader r = text_reader(text, sizeof text);
    assert_int_equal(text_read(&r), TEXT_PAIR);
    assert_string_equal(r.key, "A");
    assert_string_equal(r.value, "1");
    assert_int_equal(text_read(&r), TEXT_PAIR);
    assert_string_equal(r.key, "Key.x-y+z@_9");
    assert_string_equal(r.value, "a=b");
    assert_int_equal(text_read(&r), TEXT_PAIR);
    assert_string_equal(r.value, "");
    assert_int_equal(text_read(&r), TEXT_END);
}

static void no_text_has_no_pairs(void **state)
{
    (void)state;
    TextReader r = text_reader(NULL, 0);
    assert_non_null(r.at); /* arithmetic with NULL is undefined */
    assert_int_equal(text_read(&r), TEXT_END);
}

static void expect_bad(const void *text, size_t len)
{
    TextReader r = text_reader(text, len);
    TextResult result;
    while ((result = text_read(&r)) == TEXT_PAIR)
        ;
    assert_int_equal(result, TEXT_BAD);
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    expect_bad("A=1", 3); /* no NUL */
    expect_bad("novalue", 8);
    expect_bad("=x", 3);
    expect_bad("1A=x", 5);
    expect_bad("A B=x", 6);
    g_autofree char *key = g_strnfill(TEXT_KEY_MAX + 1, 'K');
    g_autofree char *pair = g_strconcat(key, "=1", NULL);
    expect_bad(pair, strlen(pair) + 1);
    g_autofree char *value = g_strnfill(TEXT_VALUE_MAX + 1, 'v');
    g_autofree char *long_pair = g_strconcat("A=", value, NULL);
    expect_bad(long_pair, strlen(long_pair) + 1);
    g_autoptr(GString) many = g_string_new(NULL);
    for (unsigned i = 0; i <= TEXT_KEYS_MAX; i++)
        g_string_append_len(many, "A=1", 4);
    expect_bad(many->str, many->len);
}

static void text_is_collected_up_to_a_limit(void **state)
{
    (void)state;
    static const uint8_t block[8192];
    TextCollector c = {0};
    for (unsigned i = 0; i < TEXT_MAX / sizeof block; i++)
        assert_true(text_collect(&c, block, sizeof block));
    assert_false(text_collect(&c, block, 1));
    assert_true(text_collect(&c, block, 0));
    text_collector_clear(&c);
    assert_true(text_collect(&c, block, 1));
    text_collector_clear(&c);
}

static void written_text_is_bounded(void **state)
{
    (void)state;
    TextWriter w = text_writer(10);
    text_write(&w, "A", "12");
    assert_memory_equal(w.bytes->data, "A=12", 5);
    text_write(&w, "B", "12");
    assert_int_equal(w.bytes->len, 10);
    assert_false(w.full);
    text_write(&w, "C", "");
    assert_true(w.full);
    assert_int_equal(w.bytes->len, 10);
    text_writer_clear(&w);
}

/* --- the table --- */

static bool in_file_list(const char *name)
{
    return g_strv_contains(iscsi_file_keys, name);
}

static void rows_are_consistent(void **state)
{
    (void)state;
    unsigned in_file = 0;
    for (const KeyRow *row = iscsi_keys; row < iscsi_keys + iscsi_keys_count; row++) {
        assert_ptr_equal(keys_find(row->name), row);
        assert_int_equal(in_file_list(row->name), !!(row->use & KEY_IN_FILE));
        in_file += !!(row->use & KEY_IN_FILE);
        assert_int_equal(row->type == KEY_LIST, row->choices != NULL);
        if (row->type == KEY_TEXT || row->type == KEY_REFUSED || row->type == KEY_LIST)
            continue;
        assert_true(row->min <= row->max && row->file_min >= row->min);
        assert_true(row->file_max <= row->max);
        assert_true(row->initial >= row->min && row->initial <= row->max);
        assert_true(row->ours >= row->file_min && row->ours <= row->file_max);
    }
    assert_int_equal(in_file, g_strv_length((char **)iscsi_file_keys));
}

static void defaults_are_those_of_the_standard(void **state)
{
    (void)state;
    IscsiParams p;
    keys_initial(&p);
    assert_int_equal(p.header_digest, ISCSI_DIGEST_NONE);
    assert_true(p.initial_r2t && p.immediate_data && p.data_pdu_in_order);
    assert_int_equal(p.max_burst_length, 262144);
    assert_int_equal(p.first_burst_length, 65536);
    assert_int_equal(p.max_recv_data_segment_length, 8192);
    assert_int_equal(p.peer_max_recv_data_segment_length, 8192);
    assert_int_equal(p.default_time2retain, 20);
    assert_int_equal(p.iscsi_protocol_level, 1);
    assert_false(p.rdma_extensions);
    keys_ours(&p);
    assert_false(p.initial_r2t);
    assert_int_equal(p.max_recv_data_segment_length, 262144);
    assert_int_equal(p.peer_max_recv_data_segment_length, 8192);
}

static void numbers_are_parsed_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   "-1", "+1",  " 1",         "1 ",
                                      "0x", "1a", "0xg", "4294967296", "0x100000000"};
    uint32_t n;
    assert_true(keys_parse_number("4294967295", &n));
    assert_int_equal(n, 4294967295u);
    assert_true(keys_parse_number("0X1f", &n));
    assert_int_equal(n, 31);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(keys_parse_number(bad[i], &n));
}

static void file_values_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        bool good;
    } cases[] = {
        {"MaxBurstLength", "512", true},
        {"MaxBurstLength", "511", false},
        {"MaxBurstLength", "16777216", false},
        {"InitialR2T", "Yes", true},
        {"InitialR2T", "yes", false},
        {"ErrorRecoveryLevel", "0", true},
        {"ErrorRecoveryLevel", "1", false},
        {"MaxConnections", "2", false},
        {"DataPDUInOrder", "No", false},
        {"HeaderDigest", "CRC32C,None", true},
        {"HeaderDigest", "CRC32C", true},
        {"HeaderDigest", "", false},
        {"HeaderDigest", "CRC16", false},
        {"TaskReporting", "FastAbort", false},
        {"queue-depth", "8", true},
        {"queue-depth", "7", false},
        {"nop-interval", "0", true},
        {"SendTargets", "All", false},
        {"RDMAExtensions", "Yes", false},
        {"NoSuchKey", "1", false},
        {"TargetAlias", "a disk", true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        assert_int_equal(keys_set(NULL, cases[i].key, cases[i].value, &error), cases[i].good);
        assert_int_equal(error == NULL, cases[i].good);
    }
    IscsiParams p;
    keys_ours(&p);
    assert_true(keys_set(&p, "HeaderDigest", "CRC32C", NULL));
    assert_true(keys_set(&p, "nop-timeout", "3", NULL));
    assert_int_equal(p.header_digest, ISCSI_DIGEST_CRC32C);
    assert_int_equal(p.nop_timeout, 3);
}

static void values_are_shown(void **state)
{
    (void)state;
    IscsiParams p;
    keys_initial(&p);
    p.header_digest = ISCSI_DIGEST_CRC32C;
    g_autoptr(GVariant) v = g_variant_ref_sink(keys_to_variant(&p));
    const char *digest;
    gboolean r2t;
    guint32 burst;
    assert_true(g_variant_lookup(v, "HeaderDigest", "&s", &digest));
    assert_string_equal(digest, "CRC32C");
    assert_true(g_variant_lookup(v, "InitialR2T", "b", &r2t) && r2t);
    assert_true(g_variant_lookup(v, "MaxBurstLength", "u", &burst) && burst == 262144);
}

/* --- negotiation --- */

static IscsiParams offer, negotiated;
static KeyNegotiation negotiation;
static char answer[KEY_ANSWER_MAX];

static int begin(void **state)
{
    (void)state;
    keys_ours(&offer);
    keys_initial(&negotiated);
    offer.rdma_extensions = false;
    negotiation =
        (KeyNegotiation){.offer = &offer, .negotiated = &negotiated, .phase = KEY_IN_OPERATIONAL};
    return 0;
}

static void expect_answer(const char *key, const char *value, const char *expected)
{
    assert_int_equal(keys_negotiate(&negotiation, key, value, answer), KEY_ANSWER);
    assert_string_equal(answer, expected);
}

static void results_follow_the_type(void **state)
{
    (void)state;
    expect_answer("InitialR2T", "Yes", "Yes");
    assert_true(negotiated.initial_r2t);
    expect_answer("ImmediateData", "No", "No");
    assert_false(negotiated.immediate_data);
    expect_answer("MaxBurstLength", "16776192", "1048576");
    assert_int_equal(negotiated.max_burst_length, 1048576);
    expect_answer("FirstBurstLength", "0x2000", "8192");
    expect_answer("DefaultTime2Wait", "5", "5");
    expect_answer("DefaultTime2Retain", "60", "0");
    expect_answer("MaxConnections", "8", "1");
    expect_answer("ErrorRecoveryLevel", "2", "0");
    expect_answer("DataPDUInOrder", "No", "Yes");
    expect_answer("iSCSIProtocolLevel", "31", "2");
    expect_answer("HeaderDigest", "SHA,CRC32C,None", "CRC32C");
    expect_answer("DataDigest", "None,CRC32C", "None");
    expect_answer("TaskReporting", "FastAbort,ResponseFence", "ResponseFence");
    expect_answer("MaxRecvDataSegmentLength", "65536", "262144");
    assert_int_equal(negotiated.peer_max_recv_data_segment_length, 65536);
}

static void what_cannot_be_is_rejected(void **state)
{
    (void)state;
    expect_answer("HeaderDigest", "SHA", "Reject");
    expect_answer("InitialR2T", "Maybe", "Reject");
    expect_answer("MaxBurstLength", "511", "Reject");
    expect_answer("FirstBurstLength", "abc", "Reject");
    expect_answer("IFMarkInt", "2048~8192", "Reject");
    expect_answer("OFMarker", "No", "Reject");
    expect_answer("TargetAlias", "mine", "Reject");
    expect_answer("SendTargets", "All", "Reject"); /* not during login */
    assert_int_equal(negotiated.max_burst_length, 262144);
}

static void unknown_keys_are_not_understood(void **state)
{
    (void)state;
    expect_answer("X-com.example.magic", "1", "NotUnderstood");
    expect_answer("X-com.example.magic", "1", "NotUnderstood");
    expect_answer("queue-depth", "9", "NotUnderstood");
    assert_int_equal(keys_negotiate(&negotiation, "X-mine", "NotUnderstood", answer), KEY_SILENT);
    assert_int_equal(keys_negotiate(&negotiation, "MaxRecvDataSegmentLength", "Irrelevant", answer),
                     KEY_SILENT);
}

static void duplicates_fail(void **state)
{
    (void)state;
    expect_answer("MaxBurstLength", "4096", "4096");
    assert_int_equal(keys_negotiate(&negotiation, "MaxBurstLength", "4096", answer), KEY_DUPLICATE);
}

static void what_does_not_matter_is_irrelevant(void **state)
{
    (void)state;
    expect_answer("MaxAHSLength", "64", "Irrelevant");
    negotiation.discovery = true;
    expect_answer("InitialR2T", "No", "Irrelevant");
    expect_answer("HeaderDigest", "CRC32C", "CRC32C");
}

static void rdma_keys_are_negotiated(void **state)
{
    (void)state;
    offer.rdma_extensions = true;
    offer.max_outstanding_unexpected_pdus = 16;
    expect_answer("RDMAExtensions", "Yes", "Yes");
    assert_true(negotiated.rdma_extensions);
    expect_answer("InitiatorRecvDataSegmentLength", "4096", "4096");
    expect_answer("TargetRecvDataSegmentLength", "262144", "8192");
    expect_answer("MaxOutstandingUnexpectedPDUs", "32", "16");
    assert_int_equal(negotiated.peer_max_outstanding_unexpected_pdus, 32);
    assert_int_equal(keys_negotiate(&negotiation, "iSERHelloRequired", "Yes", answer), KEY_SILENT);
    assert_true(negotiated.iser_hello_required);
}

static void names_are_the_callers(void **state)
{
    (void)state;
    assert_int_equal(keys_negotiate(&negotiation, "InitiatorName", "iqn.x", answer), KEY_CALLER);
    assert_int_equal(keys_negotiate(&negotiation, "InitiatorName", "iqn.x", answer), KEY_CALLER);
    expect_answer("AuthMethod", "None", "Reject"); /* security stage only */
    negotiation.phase = KEY_IN_SECURITY;
    assert_int_equal(keys_negotiate(&negotiation, "AuthMethod", "None", answer), KEY_CALLER);
    expect_answer("MaxBurstLength", "4096", "Reject");
}

static void own_value_is_declared_once(void **state)
{
    (void)state;
    assert_true(keys_declare(&negotiation, "MaxRecvDataSegmentLength", answer));
    assert_string_equal(answer, "262144");
    assert_int_equal(negotiated.max_recv_data_segment_length, 262144);
    expect_answer("MaxRecvDataSegmentLength", "512", "262144");
    assert_false(keys_declare(&negotiation, "MaxRecvDataSegmentLength", answer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_read),
        cmocka_unit_test(no_text_has_no_pairs),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(text_is_collected_up_to_a_limit),
        cmocka_unit_test(written_text_is_bounded),
        cmocka_unit_test(rows_are_consistent),
        cmocka_unit_test(defaults_are_those_of_the_standard),
        cmocka_unit_test(numbers_are_parsed_strictly),
        cmocka_unit_test(file_values_are_checked),
        cmocka_unit_test(values_are_shown),
        cmocka_unit_test_setup(results_follow_the_type, begin),
        cmocka_unit_test_setup(what_cannot_be_is_rejected, begin),
        cmocka_unit_test_setup(unknown_keys_are_not_understood, begin),
        cmocka_unit_test_setup(duplicates_fail, begin),
        cmocka_unit_test_setup(what_does_not_matter_is_irrelevant, begin),
        cmocka_unit_test_setup(rdma_keys_are_negotiated, begin),
        cmocka_unit_test_setup(names_are_the_callers, begin),
        cmocka_unit_test_setup(own_value_is_declared_once, begin),
    };
    return unit_run(tests);
}
