/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: the login phase (RFC 7143 sections 6, 11.12, 11.13 and 13). */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol.h"

#include <string.h>

enum { CLASS_REDIRECT = 1, CLASS_INITIATOR = 2 };

#define TO_OPERATIONAL  LOGIN_FLAGS(STAGE_SECURITY, STAGE_OPERATIONAL)
#define TO_FULL_FEATURE LOGIN_FLAGS(STAGE_OPERATIONAL, STAGE_FULL_FEATURE)

static void test_plain(void **state)
{
    (void)state;
    protocol_close(protocol_open(NULL));
}

/* Legal offers of all kinds; the library judges the answers, I/O shows that both sides mean it. */
static void test_legal_offers(void **state)
{
    static const char *const offers[] = {
        "MaxBurstLength=512,FirstBurstLength=512",
        "MaxBurstLength=16777215",
        "MaxBurstLength=0x10000,FirstBurstLength=0X1000",
        "FirstBurstLength=512",
        "FirstBurstLength=16777215,MaxBurstLength=16777215",
        "InitialR2T=No",
        "InitialR2T=No,ImmediateData=No",
        "ImmediateData=No",
        "MaxOutstandingR2T=65535",
        "DefaultTime2Wait=0,DefaultTime2Retain=3600",
        "DefaultTime2Wait=3600,DefaultTime2Retain=0",
        "MaxConnections=65535",
        "ErrorRecoveryLevel=2",
        "DataPDUInOrder=No,DataSequenceInOrder=No",
        "iSCSIProtocolLevel=2",
        "iSCSIProtocolLevel=31",
        "InitiatorAlias=a name",
        "MaxConnections=,InitialR2T=,ImmediateData=,MaxBurstLength=,FirstBurstLength=",
        "MaxOutstandingR2T=,DefaultTime2Wait=,DefaultTime2Retain=,HeaderDigest=,DataDigest=",
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(offers); i++) {
        Session *session = protocol_open(offers[i]);

        protocol_write_read(session, 1024, 131072, (uint32_t)i);
        protocol_close(session);
    }
}

/* Says the names, then offers one pair in the operational stage; the answer to it, or NULL when the
 * login was refused or the connection closed. */
static char *offer_one(const char *name, const char *value, unsigned *login_class)
{
    g_autoptr(Session) session = protocol_connect(NULL);
    g_autoptr(TextKeys) names = login_names(session), offer = text_keys_new(), got = NULL;
    g_autoptr(Pdu) first = NULL, second = NULL;

    text_keys_add(offer, name, value);
    first = login_exchange(session, TO_OPERATIONAL, names, PATIENCE_MS);
    assert_non_null(first);
    assert_int_equal(session->login_class, 0);
    second = login_exchange(session, TO_FULL_FEATURE & ~LOGIN_TRANSIT & ~3, offer, PATIENCE_MS);
    *login_class = second ? session->login_class : CLASS_INITIATOR;
    if (!second || *login_class)
        return NULL;
    got = text_keys_parse(second->data, second->len, NULL);
    assert_non_null(got);
    return g_strdup(text_keys_get(got, name));
}

static void test_illegal_values(void **state)
{
    static const char *const offers[][2] = {
        {"MaxBurstLength", "511"},
        {"MaxBurstLength", "16777216"},
        {"MaxBurstLength", "99999999999999999999"},
        {"MaxBurstLength", "-1"},
        {"MaxBurstLength", "0x"},
        {"MaxBurstLength", ""},
        {"MaxBurstLength", "512 "},
        {"MaxBurstLength", "many"},
        {"FirstBurstLength", "0"},
        {"InitialR2T", "Maybe"},
        {"InitialR2T", "yes"},
        {"ImmediateData", ""},
        {"MaxConnections", "0"},
        {"MaxConnections", "65536"},
        {"MaxOutstandingR2T", "0"},
        {"DefaultTime2Wait", "3601"},
        {"ErrorRecoveryLevel", "3"},
        {"HeaderDigest", "MD5"},
        {"HeaderDigest", ""},
        {"DataPDUInOrder", "1"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(offers); i++) {
        unsigned login_class;
        g_autofree char *answer = offer_one(offers[i][0], offers[i][1], &login_class);

        if (login_class)
            assert_int_equal(login_class, CLASS_INITIATOR);
        else if (!answer || !g_str_equal(answer, "Reject"))
            fail_msg("%s='%s' was answered with %s", offers[i][0], offers[i][1],
                     answer ? answer : "nothing");
    }
}

static void test_unknown_key(void **state)
{
    unsigned login_class;
    g_autofree char *answer = offer_one("X-org.example.unknown", "something", &login_class);

    (void)state;
    assert_int_equal(login_class, 0);
    assert_string_equal(answer, "NotUnderstood");
}

/* Sends `keys` as the first request with `flags` and wants a refusal; `detail` 0xff is any. */
static void expect_refusal(Session *session, uint8_t flags, const TextKeys *keys, unsigned detail)
{
    g_autoptr(Pdu) answer = login_exchange(session, flags, keys, PATIENCE_MS);

    if (answer) {
        assert_int_equal(session->login_class, CLASS_INITIATOR);
        if (detail != 0xff)
            assert_int_equal(session->login_detail, detail);
    } else {
        assert_non_null(session->base.error);
        assert_int_equal(detail, 0xff);
    }
    session_free(session);
}

static void expect_names_refused(const char *name, const char *value, unsigned detail)
{
    Session *session = protocol_connect(NULL);
    g_autoptr(TextKeys) names = login_names(session);

    text_keys_set(names, name, value);
    expect_refusal(session, TO_OPERATIONAL, names, detail);
}

static void test_names(void **state)
{
    (void)state;
    expect_names_refused("InitiatorName", NULL, 0x07);
    expect_names_refused("TargetName", NULL, 0x07);
    expect_names_refused("TargetName", "iqn.2001-04.org.example:no-such-target", 0x03);
    expect_names_refused("TargetName", "", 0xff);
    expect_names_refused("SessionType", "Curious", 0xff);
    expect_names_refused("AuthMethod", "KRB5", 0xff);
}

static void test_version(void **state)
{
    g_autoptr(Session) session = protocol_connect(NULL);
    g_autoptr(TextKeys) names = login_names(session);
    g_autoptr(GByteArray) text = text_keys_encode(names);
    g_autoptr(Pdu) answer = NULL;
    Pdu request = login_request(session, TO_OPERATIONAL);

    (void)state;
    request.bhs[2] = 2;
    request.bhs[3] = 1;
    pdu_set_data(&request, text->data, text->len);
    session->in_login = true;
    session->login_class = 0xff;
    session_send(session, &request);
    answer = session_await(session, OP_LOGIN_RESPONSE, PATIENCE_MS);
    assert_non_null(answer);
    assert_int_equal(answer->bhs[36], CLASS_INITIATOR);
    assert_int_equal(answer->bhs[37], 0x05);
}

static void test_stages(void **state)
{
    static const uint8_t flags[] = {
        LOGIN_FLAGS(STAGE_FULL_FEATURE, STAGE_FULL_FEATURE), LOGIN_FLAGS(2, 3),
        LOGIN_FLAGS(STAGE_OPERATIONAL, STAGE_SECURITY),      LOGIN_FLAGS(STAGE_SECURITY, 2),
        LOGIN_FLAGS(STAGE_SECURITY, STAGE_SECURITY),         TO_OPERATIONAL | LOGIN_CONTINUE,
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        Session *session = protocol_connect(NULL);
        g_autoptr(TextKeys) names = login_names(session);

        expect_refusal(session, flags[i], names, 0xff);
    }
}

static void test_stage_backwards(void **state)
{
    Session *session = protocol_connect(NULL);
    g_autoptr(TextKeys) names = login_names(session), none = text_keys_new();
    g_autoptr(Pdu) first = login_exchange(session, TO_OPERATIONAL, names, PATIENCE_MS);

    (void)state;
    assert_non_null(first);
    assert_int_equal(session->login_class, 0);
    expect_refusal(session, LOGIN_FLAGS(STAGE_SECURITY, STAGE_OPERATIONAL), none, 0xff);
}

/* Straight to the operational stage, everything in one request: legal where no one asks for proof.
 */
static void test_one_request(void **state)
{
    g_autoptr(Session) session = protocol_connect(NULL);
    g_autoptr(TextKeys) all = login_names(session), got = NULL, reply = text_keys_new();
    g_autoptr(Pdu) answer = NULL;
    g_autoptr(GError) error = NULL;
    const char *name, *value;

    (void)state;
    text_keys_set(all, "AuthMethod", NULL);
    for (unsigned i = 0; i < text_keys_count(session->params.offers); i++) {
        text_keys_pair(session->params.offers, i, &name, &value);
        text_keys_add(all, name, value);
    }
    answer = login_exchange(session, TO_FULL_FEATURE, all, PATIENCE_MS);
    assert_non_null(answer);
    assert_int_equal(session->login_class, 0);
    assert_true(answer->bhs[AT_FLAGS] & LOGIN_TRANSIT);
    got = text_keys_parse(answer->data, answer->len, &error);
    assert_non_null(got);
    session->tsih = get_be16(answer->bhs + 14);
    assert_true(params_take(&session->params, got, reply, &error));
    assert_true(login_finish(session, &error));
    protocol_write_read(session, 1024, 4096, 1);
}

/* Text that goes on and on, in requests that all say "continued". */
static void test_endless_text(void **state)
{
    g_autoptr(Session) session = protocol_connect(NULL);
    g_autofree char *value = g_strnfill(8000, 'x');
    bool ended = false;

    (void)state;
    for (int i = 0; i < 200 && !ended; i++) {
        g_autoptr(TextKeys) keys = text_keys_new();
        g_autofree char *name = g_strdup_printf("X-org.example.k%d", i);
        g_autoptr(Pdu) answer = NULL;

        text_keys_add(keys, name, value);
        answer = login_exchange(session, LOGIN_CONTINUE, keys, PATIENCE_MS);
        ended = !answer || session->login_class;
    }
    assert_true(ended);
}

static void test_too_many_keys(void **state)
{
    Session *session = protocol_connect(NULL);
    g_autoptr(TextKeys) names = login_names(session);
    g_autoptr(Pdu) answer = NULL;

    (void)state;
    for (int i = 0; i < 700; i++) {
        g_autofree char *name = g_strdup_printf("X-k%d", i);

        text_keys_add(names, name, "1");
    }
    answer = login_exchange(session, TO_OPERATIONAL, names, PATIENCE_MS);
    assert_true(answer || session->base.error);
    session_free(session);
}

static void send_text(Session *session, const char *bytes, size_t len)
{
    Pdu request = login_request(session, TO_OPERATIONAL);

    pdu_set_data(&request, bytes, (uint32_t)len);
    session->in_login = true;
    session->login_class = 0xff;
    session_send(session, &request);
}

static void test_broken_text(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } texts[] = {
        {"InitiatorName", 14}, {"InitiatorName=iqn.2024-01.org.rtgt:load", 39}, /* no NUL */
        {"=value", 7},         {"=", 2},
        {"\0\0\0\0", 4},       {"InitiatorName=\xff\xfe\x01", 18},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(Session) session = protocol_connect(NULL);
        g_autoptr(Pdu) answer = NULL;

        send_text(session, texts[i].bytes, texts[i].len);
        answer = session_await(session, OP_LOGIN_RESPONSE, PATIENCE_MS);
        if (answer)
            assert_int_equal(answer->bhs[36], CLASS_INITIATOR);
        else
            assert_non_null(session->base.error);
    }
}

static void test_repeated_key(void **state)
{
    Session *session = protocol_connect(NULL);
    g_autoptr(TextKeys) names = login_names(session);

    (void)state;
    text_keys_add(names, "InitiatorName", "iqn.2024-01.org.rtgt:other");
    expect_refusal(session, TO_OPERATIONAL, names, 0xff);
}

static void test_unknown_tsih(void **state)
{
    Session *session = protocol_connect(NULL);
    g_autoptr(TextKeys) names = login_names(session);

    (void)state;
    session->tsih = 0xfedc;
    expect_refusal(session, TO_OPERATIONAL, names, 0x0a);
}

static void test_command_before_login(void **state)
{
    static const uint8_t opcodes[] = {OP_COMMAND, OP_NOP_OUT, OP_TEXT, OP_LOGOUT, OP_TMF};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        g_autoptr(Session) session = protocol_connect(NULL);
        Pdu pdu = pdu_new(opcodes[i], PDU_FINAL, 1);

        session->options.quiet = true;
        session->in_login = true;
        session->login_class = 0xff;
        session_send(session, &pdu);
        /* A Login Response that refuses is an answer, too. */
        assert_true(protocol_outcome(session, NULL, SILENCE_MS) != OUTCOME_NOTHING ||
                    !g_queue_is_empty(&session->inbox));
    }
}

static void test_login_again(void **state)
{
    Session *session = protocol_open(NULL);
    g_autoptr(TextKeys) names = login_names(session);
    g_autoptr(GByteArray) text = text_keys_encode(names);
    Pdu request = login_request(session, TO_OPERATIONAL);

    (void)state;
    session->options.quiet = true;
    pdu_set_data(&request, text->data, text->len);
    session_send(session, &request);
    assert_int_not_equal(protocol_outcome(session, NULL, PATIENCE_MS), OUTCOME_NOTHING);
    protocol_drop(session);
}

static char *send_targets(Session *session, const char *which)
{
    g_autoptr(TextKeys) ask = text_keys_new();
    g_autoptr(GByteArray) text = NULL;
    g_autoptr(Pdu) answer = NULL;
    Pdu request = pdu_new(OP_TEXT, PDU_FINAL, session_new_itt(session));
    GString *list = g_string_new(NULL);

    text_keys_add(ask, "SendTargets", which);
    text = text_keys_encode(ask);
    put_be32(request.bhs + AT_TTT, PDU_NO_TAG);
    pdu_set_data(&request, text->data, text->len);
    session_send(session, &request);
    answer = session_await(session, OP_TEXT_RESPONSE, PATIENCE_MS);
    assert_non_null(answer);
    assert_int_equal(pdu_itt(answer), pdu_itt(&request));
    for (uint32_t i = 0; i < answer->len; i++)
        g_string_append_c(list, answer->data[i] ? (char)answer->data[i] : '\n');
    return g_string_free(list, FALSE);
}

static void test_discovery(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *list = NULL,
                    *wanted = g_strdup_printf("TargetName=%s\n", protocol_url->target);
    SessionOptions options;
    Session *session;
    Task task = {0};

    (void)state;
    protocol_options(&options, NULL);
    options.target = NULL;
    session = session_open(&options, &error);
    if (!session)
        fail_msg("%s", error->message);
    list = send_targets(session, "All");
    assert_non_null(strstr(list, wanted));
    assert_non_null(strstr(list, "TargetAddress="));
    /* A discovery session takes no SCSI commands (section 4.3). */
    session->options.quiet = true;
    scsi_test_unit_ready(&task, 0);
    session_expect(session, &task);
    {
        Pdu command = protocol_command(session, &task);

        session->wire->ops->send(session->wire, &command);
    }
    assert_int_not_equal(protocol_outcome(session, &task, PATIENCE_MS), OUTCOME_GOOD);
    protocol_drop(session);
}

static void test_send_targets_in_session(void **state)
{
    Session *session = protocol_open(NULL);
    g_autofree char *own = send_targets(session, ""), *named = NULL, *other = NULL;

    (void)state;
    named = send_targets(session, protocol_url->target);
    other = send_targets(session, "iqn.2001-04.org.example:no-such-target");
    assert_non_null(strstr(own, protocol_url->target));
    assert_non_null(strstr(named, protocol_url->target));
    assert_null(strstr(other, "TargetName="));
    protocol_close(session);
}

int protocol_login_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_plain),
        PROTOCOL_TEST(test_legal_offers),
        PROTOCOL_TEST(test_illegal_values),
        PROTOCOL_TEST(test_unknown_key),
        PROTOCOL_TEST(test_names),
        PROTOCOL_TEST(test_version),
        PROTOCOL_TEST(test_stages),
        PROTOCOL_TEST(test_stage_backwards),
        PROTOCOL_TEST(test_one_request),
        PROTOCOL_TEST(test_endless_text),
        PROTOCOL_TEST(test_too_many_keys),
        PROTOCOL_TEST(test_broken_text),
        PROTOCOL_TEST(test_repeated_key),
        PROTOCOL_TEST(test_unknown_tsih),
        PROTOCOL_TEST(test_command_before_login),
        PROTOCOL_TEST(test_login_again),
        PROTOCOL_TEST(test_discovery),
        PROTOCOL_TEST(test_send_targets_in_session),
    };

    return unit_run(tests);
}
