/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protocol tests: CHAP, where RTGT_URL has a user. */
#include "tests/unit/unit.h"

#include "tests/initiator/protocol.h"

#include <string.h>

#define REFUSED_CLASS  2
#define REFUSED_DETAIL 1

static Session *connect_with(const ChapOptions *chap)
{
    Session *session = protocol_connect(NULL);

    session->options.chap = *chap;
    return session;
}

static ChapOptions usual(void)
{
    SessionOptions options;

    protocol_options(&options, NULL);
    return options.chap;
}

/* Logs in, and works. */
static Session *open_with(const ChapOptions *chap)
{
    g_autoptr(GError) error = NULL;
    Session *session = connect_with(chap);
    ScsiCapacity capacity;

    if (!login_run(session, PATIENCE_MS, &error) ||
        !scsi_wait_ready(session, protocol_url->lun, &capacity, &error)) {
        session_free(session);
        fail_msg("%s", error->message);
    }
    return session;
}

static void expect_refused(Session *session)
{
    g_autoptr(GError) error = NULL;

    assert_false(login_run(session, PATIENCE_MS, &error));
    if (session->login_class != REFUSED_CLASS || session->login_detail != REFUSED_DETAIL)
        fail_msg("%s", error->message);
    assert_true(session_await_end(session, PATIENCE_MS));
    session_free(session);
}

static void test_algorithms(void **state)
{
    static const struct {
        const char *offer;
        unsigned chosen;
    } cases[] = {{"5", 5},       {"6", 6},     {"7", 7},         {"8", 8},
                 {"5,6,7,8", 8}, {"5,7,6", 7}, {"1,99,6,77", 6}, {"5,5", 5}};
    ChapOptions chap = usual();

    (void)state;
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        Session *session;

        chap.algorithms = cases[i / 2].offer;
        chap.base64 = i % 2;
        session = open_with(&chap);
        assert_int_equal(session->chap.algorithm, cases[i / 2].chosen);
        assert_int_equal(session->chap.confirmed, chap.target_user != NULL);
        protocol_write_read(session, 1024, 4096, (uint32_t)i);
        protocol_close(session);
    }
    chap.algorithms = "1,2,99";
    expect_refused(connect_with(&chap));
}

static void test_one_way(void **state)
{
    ChapOptions chap = usual();
    Session *session;

    (void)state;
    chap.target_user = chap.target_secret = NULL;
    session = open_with(&chap);
    assert_false(session->chap.confirmed);
    protocol_close(session);
}

static void test_wrong_proofs(void **state)
{
    const ChapOptions right = usual();
    ChapOptions chap = right;
    g_autofree char *longer = g_strconcat(right.secret, "x", NULL);
    g_autofree char *shorter = g_strndup(right.secret, strlen(right.secret) - 1);
    g_autofree char *upper = g_ascii_strup(right.user, -1);
    const char *const secrets[] = {longer, shorter, ""};
    const char *const users[] = {upper, "", "nobody"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(secrets); i++) {
        chap.secret = secrets[i];
        expect_refused(connect_with(&chap));
    }
    chap = right;
    for (size_t i = 0; i < G_N_ELEMENTS(users); i++) {
        chap.user = users[i];
        expect_refused(connect_with(&chap));
    }
}

static void test_reflection(void **state)
{
    ChapOptions chap = usual();

    (void)state;
    if (!chap.target_user)
        unit_skip("the URL has no target_user");
    chap.reflect = true;
    expect_refused(connect_with(&chap));
}

/* A target that cannot prove itself must not be logged in to; that it is refused is up to us. */
static void test_wrong_target(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Session) session = NULL;
    ChapOptions chap = usual();

    (void)state;
    if (!chap.target_user)
        unit_skip("the URL has no target_user");
    chap.target_secret = "not the secret of it";
    session = connect_with(&chap);
    assert_false(login_run(session, PATIENCE_MS, &error));
    assert_non_null(strstr(error->message, "the target is not"));
}

static void test_no_proof(void **state)
{
    const ChapOptions none = {0};
    Session *session;

    (void)state;
    expect_refused(connect_with(&none));
    session = connect_with(&none);
    {
        g_autoptr(TextKeys) names = login_names(session);
        g_autoptr(Pdu) answer = NULL;

        text_keys_set(names, "AuthMethod", NULL);
        answer = login_exchange(session, LOGIN_FLAGS(STAGE_OPERATIONAL, STAGE_FULL_FEATURE), names,
                                PATIENCE_MS);
        assert_non_null(answer);
    }
    assert_int_equal(session->login_class, REFUSED_CLASS);
    assert_int_equal(session->login_detail, REFUSED_DETAIL);
    session_free(session);
}

/* Sends these pairs after AuthMethod=CHAP was agreed on; none of them is in its turn. */
static void expect_out_of_turn(const char *pairs)
{
    ChapOptions chap = usual();
    Session *session = connect_with(&chap);
    g_autoptr(TextKeys) names = login_names(session), keys = text_keys_from_list(pairs, NULL);
    g_autoptr(Pdu) first = NULL, second = NULL;

    first =
        login_exchange(session, LOGIN_FLAGS(STAGE_SECURITY, STAGE_OPERATIONAL), names, PATIENCE_MS);
    assert_non_null(first);
    assert_int_equal(session->login_class, 0);
    assert_false(first->bhs[AT_FLAGS] & LOGIN_TRANSIT);
    second =
        login_exchange(session, LOGIN_FLAGS(STAGE_SECURITY, STAGE_FULL_FEATURE), keys, PATIENCE_MS);
    assert_non_null(second);
    assert_int_equal(session->login_class, REFUSED_CLASS);
    session_free(session);
}

static void test_out_of_turn(void **state)
{
    (void)state;
    expect_out_of_turn("CHAP_N=somebody,CHAP_R=0x00112233445566778899aabbccddeeff");
    expect_out_of_turn("CHAP_A=5,CHAP_N=somebody");
    expect_out_of_turn("CHAP_A=");
    expect_out_of_turn("CHAP_I=1,CHAP_C=0x1234");
    expect_out_of_turn("AuthMethod=None");
}

int protocol_auth_tests(void)
{
    const struct CMUnitTest tests[] = {
        PROTOCOL_TEST(test_algorithms),   PROTOCOL_TEST(test_one_way),
        PROTOCOL_TEST(test_wrong_proofs), PROTOCOL_TEST(test_reflection),
        PROTOCOL_TEST(test_wrong_target), PROTOCOL_TEST(test_no_proof),
        PROTOCOL_TEST(test_out_of_turn),
    };

    return unit_run(tests);
}
