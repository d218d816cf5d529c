/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The initiator's own logic: text, PDUs, digests, negotiation, URLs, latencies. */
#include "tests/unit/unit.h"

#include <string.h>

#include "tests/initiator/histogram.h"
#include "tests/initiator/keys.h"
#include "tests/initiator/pdu.h"
#include "tests/initiator/text.h"
#include "tests/initiator/url.h"

static void test_text_round_trip(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TextKeys) keys = text_keys_from_list("A=1,B=,C=x=y", &error), again = NULL;
    g_autoptr(GByteArray) bytes = NULL;

    (void)state;
    assert_non_null(keys);
    bytes = text_keys_encode(keys);
    assert_int_equal(bytes->len, 4 + 3 + 6);
    assert_memory_equal(bytes->data, "A=1\0B=\0C=x=y", 13);
    again = text_keys_parse(bytes->data, bytes->len, &error);
    assert_non_null(again);
    assert_int_equal(text_keys_count(again), 3);
    assert_string_equal(text_keys_get(again, "C"), "x=y");
    assert_null(text_keys_get(again, "c"));
    text_keys_set(again, "A", "2");
    text_keys_set(again, "B", NULL);
    text_keys_set(again, "D", "new");
    assert_string_equal(text_keys_get(again, "A"), "2");
    assert_null(text_keys_get(again, "B"));
    assert_int_equal(text_keys_count(again), 3);
}

static void test_text_refusals(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        TextError code;
    } cases[] = {
        {"A=1", 3, TEXT_ERROR_UNTERMINATED}, {"A=1\0B=2", 7, TEXT_ERROR_UNTERMINATED},
        {"A", 2, TEXT_ERROR_NO_EQUALS},      {"", 1, TEXT_ERROR_NO_EQUALS},
        {"=1", 3, TEXT_ERROR_NAME},          {"1A=1", 5, TEXT_ERROR_NAME},
        {"A B=1", 6, TEXT_ERROR_NAME},       {"A=\x01", 4, TEXT_ERROR_VALUE},
        {"A=\xff", 4, TEXT_ERROR_VALUE},     {"A=1\0A=1", 8, TEXT_ERROR_DUPLICATE},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(text_keys_parse((const uint8_t *)cases[i].bytes, cases[i].len, &error));
        assert_true(g_error_matches(error, TEXT_ERROR, (int)cases[i].code));
    }
}

static void test_text_limits(void **state)
{
    g_autofree char *name = g_strnfill(TEXT_NAME_MAX, 'n');
    g_autofree char *value = g_strnfill(TEXT_VALUE_MAX, 'v');
    g_autofree char *fits = g_strdup_printf("%s=%s", name, value);
    g_autofree char *long_name = g_strdup_printf("%sn=1", name);
    g_autofree char *long_value = g_strdup_printf("A=%sv", value);
    g_autoptr(TextKeys) good = text_keys_from_list(fits, NULL);

    (void)state;
    assert_non_null(good);
    assert_null(text_keys_from_list(long_name, NULL));
    assert_null(text_keys_from_list(long_value, NULL));
    /* SendTargets repeats these. */
    {
        static const char list[] = "TargetName=a\0TargetAddress=b\0TargetName=c";
        g_autoptr(TextKeys) keys = text_keys_parse((const uint8_t *)list, sizeof(list), NULL);

        assert_non_null(keys);
        assert_int_equal(text_keys_count(keys), 3);
    }
}

/* The CRC vectors of RFC 7143 appendix A.4. */
static void test_crc32c(void **state)
{
    uint8_t bytes[32], digest[4];

    (void)state;
    memset(bytes, 0, sizeof(bytes));
    pdu_put_digest(digest, pdu_crc32c(0, bytes, sizeof(bytes)));
    assert_memory_equal(digest, "\xaa\x36\x91\x8a", 4);
    memset(bytes, 0xff, sizeof(bytes));
    pdu_put_digest(digest, pdu_crc32c(0, bytes, sizeof(bytes)));
    assert_memory_equal(digest, "\x43\xab\xa8\x62", 4);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    pdu_put_digest(digest, pdu_crc32c(0, bytes, sizeof(bytes)));
    assert_memory_equal(digest, "\x4e\x79\xdd\x46", 4);
    pdu_put_digest(digest, pdu_crc32c(pdu_crc32c(0, bytes, 5), bytes + 5, 27));
    assert_memory_equal(digest, "\x4e\x79\xdd\x46", 4);
}

static void expect_reserved(unsigned opcode, unsigned byte, uint8_t bit, int result)
{
    Pdu pdu = pdu_new(opcode, PDU_FINAL, 1);

    assert_int_equal(pdu_reserved(&pdu), -1);
    pdu.bhs[byte] |= bit;
    assert_int_equal(pdu_reserved(&pdu), result);
}

static void test_pdu_reserved(void **state)
{
    (void)state;
    expect_reserved(OP_NOP_IN, 0, 0x40, 0);
    expect_reserved(OP_NOP_IN, 8, 0xff, -1);
    expect_reserved(OP_NOP_IN, 36, 0x01, 36);
    expect_reserved(OP_RESPONSE, 1, 0x1e, -1);
    expect_reserved(OP_RESPONSE, 1, 0x01, 1);
    expect_reserved(OP_RESPONSE, 4, 0x01, 4);
    expect_reserved(OP_RESPONSE, 15, 0x01, 15);
    expect_reserved(OP_RESPONSE, 20, 0xff, 20);
    expect_reserved(OP_RESPONSE, 47, 0xff, -1);
    expect_reserved(OP_DATA_IN, 2, 0x80, 2);
    expect_reserved(OP_DATA_IN, 1, 0x47, -1);
    expect_reserved(OP_LOGIN_RESPONSE, 36, 0xff, -1);
    expect_reserved(OP_LOGIN_RESPONSE, 38, 0x01, 38);
    expect_reserved(OP_LOGOUT_RESPONSE, 40, 0xff, -1);
    expect_reserved(OP_LOGOUT_RESPONSE, 44, 0x01, 44);
    expect_reserved(OP_R2T, 44, 0xff, -1);
    expect_reserved(OP_R2T, 3, 0x01, 3);
    expect_reserved(OP_REJECT, 36, 0xff, -1);
    expect_reserved(OP_REJECT, 40, 0x01, 40);
    expect_reserved(OP_ASYNC, 43, 0xff, -1);
    {
        Pdu request = pdu_new(OP_COMMAND, PDU_FINAL, 1), unknown = pdu_new(0x3e, PDU_FINAL, 1);

        assert_int_equal(pdu_reserved(&request), 0);
        assert_int_equal(pdu_reserved(&unknown), 0);
    }
}

static void test_pdu_fields(void **state)
{
    Pdu pdu = pdu_new(OP_NOP_OUT | PDU_IMMEDIATE, PDU_FINAL, 0x01020304);
    g_autofree char *dump = NULL;
    g_autoptr(Pdu) copy = NULL;

    (void)state;
    pdu_set_data(&pdu, "abcde", 5);
    assert_int_equal(pdu_opcode(&pdu), OP_NOP_OUT);
    assert_int_equal(pdu_itt(&pdu), 0x01020304);
    assert_int_equal(get_be24(pdu.bhs + AT_DATA_LENGTH), 5);
    copy = pdu_copy(&pdu);
    assert_ptr_not_equal(copy->data, pdu.data);
    assert_memory_equal(copy->data, "abcde", 5);
    dump = pdu_dump(&pdu);
    assert_non_null(strstr(dump, "NOP-Out, 5 bytes"));
    assert_non_null(strstr(dump, "0010: 01 02 03 04"));
    assert_non_null(strstr(dump, "61 62 63 64 65"));
}

/* What params_take says to one answer of a target; the reply must be `reply` if not NULL. */
static bool judge(const char *offer, const char *answer, KeyId id, uint32_t *value,
                  const char *reply)
{
    g_autoptr(TextKeys) target = text_keys_from_list(answer, NULL), back = text_keys_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) said = NULL;
    Params params;
    bool good;

    assert_non_null(target);
    params_init(&params, text_keys_from_list(offer, NULL));
    good = params_take(&params, target, back, &error);
    assert_true(good == (error == NULL));
    *value = params.value[id];
    said = text_keys_encode(back);
    if (reply)
        assert_string_equal(said->len ? (const char *)said->data : "", reply);
    params_deinit(&params);
    return good;
}

static void test_answers(void **state)
{
    uint32_t value;

    (void)state;
    assert_true(judge("MaxBurstLength=65536", "MaxBurstLength=4096", KEY_MAX_BURST, &value, ""));
    assert_int_equal(value, 4096);
    assert_true(judge("MaxBurstLength=65536", "MaxBurstLength=0x1000", KEY_MAX_BURST, &value, ""));
    assert_int_equal(value, 4096);
    assert_false(judge("MaxBurstLength=4096", "MaxBurstLength=8192", KEY_MAX_BURST, &value, NULL));
    assert_false(judge("MaxBurstLength=4096", "MaxBurstLength=", KEY_MAX_BURST, &value, NULL));
    assert_false(judge("MaxBurstLength=4096", "MaxBurstLength=511", KEY_MAX_BURST, &value, NULL));
    assert_true(judge("InitialR2T=No", "InitialR2T=Yes", KEY_INITIAL_R2T, &value, ""));
    assert_int_equal(value, 1);
    assert_false(judge("InitialR2T=Yes", "InitialR2T=No", KEY_INITIAL_R2T, &value, NULL));
    assert_false(judge("ImmediateData=No", "ImmediateData=Yes", KEY_IMMEDIATE_DATA, &value, NULL));
    assert_false(judge("DefaultTime2Wait=5", "DefaultTime2Wait=4", KEY_TIME2WAIT, &value, NULL));
    assert_false(
        judge("HeaderDigest=None", "HeaderDigest=CRC32C", KEY_HEADER_DIGEST, &value, NULL));
    assert_true(judge("HeaderDigest=CRC32C", "HeaderDigest=CRC32C", KEY_HEADER_DIGEST, &value, ""));
    assert_int_equal(value, 1);
    assert_true(judge("X-none=1", "X-none=NotUnderstood", 0, &value, ""));
    assert_false(judge("X-none=1", "X-none=2", 0, &value, NULL));
}

static void test_targets_own_keys(void **state)
{
    uint32_t value;

    (void)state;
    assert_true(judge("", "MaxRecvDataSegmentLength=65536", KEY_MAX_RECV_DSL, &value, ""));
    assert_int_equal(value, 65536);
    assert_true(judge("MaxRecvDataSegmentLength=512", "MaxRecvDataSegmentLength=65536",
                      KEY_MAX_RECV_DSL, &value, ""));
    assert_int_equal(value, 65536);
    assert_true(judge("", "TargetPortalGroupTag=1", 0, &value, ""));
    assert_true(judge("", "X-theirs=1", 0, &value, "X-theirs=NotUnderstood"));
    assert_true(judge("", "MaxBurstLength=4096", KEY_MAX_BURST, &value, "MaxBurstLength=4096"));
    assert_int_equal(value, 4096);
    assert_true(judge("", "InitialR2T=No", KEY_INITIAL_R2T, &value, "InitialR2T=Yes"));
    assert_int_equal(value, 1);
}

static void test_completeness(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TextKeys) answer = text_keys_from_list("MaxBurstLength=4096", NULL);
    g_autoptr(TextKeys) reply = text_keys_new();
    Params params;

    (void)state;
    params_init(&params, text_keys_from_list("MaxBurstLength=8192,MaxRecvDataSegmentLength=512,"
                                             "FirstBurstLength=4096",
                                             NULL));
    assert_int_equal(params.mine[KEY_MAX_RECV_DSL], 512);
    assert_true(params_take(&params, answer, reply, &error));
    assert_false(params_complete(&params, &error));
    assert_non_null(strstr(error->message, "FirstBurstLength"));
    g_clear_error(&error);
    assert_false(params_take(&params, answer, reply, &error));
    params_deinit(&params);
}

static void test_url(void **state)
{
    static const char *const bad[] = {"http://a/b/1",
                                      "iscsi://a/b",
                                      "iscsi:///b/1",
                                      "iscsi://a:/b/1",
                                      "iscsi://a//1",
                                      "iscsi://a/b/x",
                                      "iscsi://a/b/1/2",
                                      "iser://[::1/b/1",
                                      "iscsi://a/b/16384",
                                      "",
                                      "iscsi://u@a/b/1",
                                      "iscsi://u%p@a/b/1?x=y",
                                      "iscsi://u%p@a/b/1?target_user=x",
                                      "iscsi://a/b/1?target_user=x&target_password=y"};
    g_autoptr(Url) chap = url_parse("iscsi://u%p%q@a:1/b/1?target_user=t&target_password=s", NULL);
    g_autoptr(Url) plain = url_parse("iscsi://host/iqn.a:b/3", NULL);
    g_autoptr(Url) six = url_parse("iser://[fe80::1]:17/iqn.a:b/0", NULL);
    g_autoptr(Url) six_only = url_parse("iser://[::1]/iqn.a:b/0", NULL);

    (void)state;
    assert_non_null(plain);
    assert_ptr_equal(plain->ops, &wire_tcp);
    assert_string_equal(plain->host, "host");
    assert_string_equal(plain->port, "3260");
    assert_string_equal(plain->target, "iqn.a:b");
    assert_int_equal(plain->lun, 3);
    assert_ptr_equal(six->ops, &wire_iser);
    assert_string_equal(six->host, "fe80::1");
    assert_string_equal(six->port, "17");
    assert_string_equal(six_only->host, "::1");
    assert_string_equal(six_only->port, "3260");
    assert_null(plain->user);
    assert_string_equal(chap->host, "a");
    assert_string_equal(chap->user, "u");
    assert_string_equal(chap->secret, "p%q");
    assert_string_equal(chap->target_user, "t");
    assert_string_equal(chap->target_secret, "s");
    assert_int_equal(chap->lun, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(url_parse(bad[i], &error));
        assert_non_null(error);
    }
}

static void test_histogram(void **state)
{
    g_autofree Histogram *a = g_new0(Histogram, 1), *b = g_new0(Histogram, 1);

    (void)state;
    assert_int_equal(histogram_quantile(a, 0.5), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(i & 1 ? a : b, i * 1000);
    histogram_merge(a, b);
    assert_int_equal(a->count, 1000);
    assert_int_equal(a->max, 1000000);
    assert_true(histogram_mean(a) == 500500.0);
    assert_in_range(histogram_quantile(a, 0.5), 500000, 540000);
    assert_in_range(histogram_quantile(a, 0.99), 990000, 1000000);
    assert_int_equal(histogram_quantile(a, 1), 1000000);
    histogram_add(a, UINT64_MAX);
    histogram_add(a, 0);
    assert_true(histogram_quantile(a, 1) == UINT64_MAX);
    assert_int_equal(histogram_quantile(a, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_round_trip), cmocka_unit_test(test_text_refusals),
        cmocka_unit_test(test_text_limits),     cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_pdu_reserved),    cmocka_unit_test(test_pdu_fields),
        cmocka_unit_test(test_answers),         cmocka_unit_test(test_targets_own_keys),
        cmocka_unit_test(test_completeness),    cmocka_unit_test(test_url),
        cmocka_unit_test(test_histogram),
    };

    return unit_run(tests);
}
