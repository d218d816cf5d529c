/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The login state machine: good and bad sequences, every refusal. */
#include "tests/unit/unit.h"

#include "iser/iscsi/binary.h"
#include "iser/iscsi/login.h"

#define STAY(stage)          LOGIN_STAGES(stage, 0)
#define TRANSIT(stage, next) (LOGIN_TRANSIT | LOGIN_STAGES(stage, next))
#define NAMES                "InitiatorName=iqn.2026-11.a:Client\nTargetName=iqn.2026-11.b:disk\n"

#define PROOF_LEN (2 * CHAP_HASH_MAX + 3)

static Login login;
static LoginTarget target;
static Secret bob = {.name = (char *)"bob", .bytes = (uint8_t *)"secret of bob", .len = 13};
static Secret disk = {.name = (char *)"disk", .bytes = (uint8_t *)"secret of disk", .len = 14};
static Secret *users[] = {&bob, NULL};
static const AuthPolicy chap = {
    .users = users, .own = &disk, .algorithms = {CHAP_SHA256, CHAP_MD5}};
static uint8_t bhs[ISCSI_BHS_LEN];

static int begin(void **state)
{
    (void)state;
    login_init(&login);
    target = (LoginTarget){.status = LOGIN_SUCCESS, .portal_group_tag = 3};
    keys_ours(&target.offer);
    target.offer.rdma_extensions = false;
    memset(bhs, 0, sizeof bhs);
    bhs[0] = ISCSI_LOGIN_REQUEST | PDU_IMMEDIATE;
    memcpy(bhs + LOGIN_ISID, "\x80\1\2\3\4\5", 6);
    put_be16(bhs + LOGIN_CID, 9);
    put_be32(bhs + PDU_ITT, 77);
    put_be32(bhs + PDU_CMD_SN, 500);
    put_be32(bhs + PDU_EXP_STAT_SN, 30);
    return 0;
}

static int end(void **state)
{
    (void)state;
    login_clear(&login);
    return 0;
}

static LoginAction request(uint8_t flags, const char *text)
{
    g_autofree char *copy = g_strdelimit(g_strdup(text), "\n", '\0');
    bhs[PDU_FLAGS] = flags;
    return login_request(&login, bhs, copy, strlen(text));
}

static bool answered(const char *pair)
{
    TextReader reader = text_reader(login.answer.bytes->data, login.answer.bytes->len);
    while (text_read(&reader) == TEXT_PAIR) {
        g_autofree char *got = g_strconcat(reader.key, "=", reader.value, NULL);
        if (!strcmp(got, pair))
            return true;
    }
    return false;
}

static void expect_refused(LoginAction action, LoginStatus status)
{
    assert_int_equal(action, LOGIN_FAIL);
    assert_int_equal(get_be16(login.reply + LOGIN_STATUS), status);
    assert_int_equal(login.reply[PDU_FLAGS] & LOGIN_TRANSIT, 0);
    assert_int_equal(login.state, LOGIN_FAILED);
    assert_int_equal(login.answer.bytes->len, 0);
    assert_non_null(login.reason);
}

static void login_in_both_stages(void **state)
{
    (void)state;
    assert_int_equal(request(TRANSIT(0, 1), NAMES "SessionType=Normal\nAuthMethod=CHAP,None\n"),
                     LOGIN_RESOLVE);
    assert_string_equal(login.initiator_name, "iqn.2026-11.a:client");
    assert_int_equal(login_resolved(&login, &target), LOGIN_REPLY);
    assert_true(answered("AuthMethod=None"));
    assert_true(answered("TargetPortalGroupTag=3"));
    assert_int_equal(login.reply[PDU_FLAGS], TRANSIT(0, 1));
    assert_int_equal(get_be32(login.reply + PDU_STAT_SN), 30);
    assert_int_equal(get_be32(login.reply + PDU_EXP_CMD_SN), 500);
    assert_int_equal(pdu_itt(login.reply), 77);

    assert_int_equal(request(TRANSIT(1, 3), "MaxBurstLength=65536\nHeaderDigest=None\n"),
                     LOGIN_REGISTER);
    assert_int_equal(login_registered(&login, LOGIN_SUCCESS, 0x1234, 16), LOGIN_SUCCEED);
    assert_true(answered("MaxBurstLength=65536"));
    assert_true(answered("MaxRecvDataSegmentLength=262144"));
    assert_int_equal(login.reply[PDU_FLAGS], TRANSIT(1, 3));
    assert_int_equal(get_be16(login.reply + LOGIN_TSIH), 0x1234);
    assert_int_equal(get_be32(login.reply + PDU_STAT_SN), 31);
    assert_int_equal(get_be32(login.reply + PDU_MAX_CMD_SN), 515);
    assert_int_equal(login.state, LOGIN_COMPLETE);
}

static void login_in_one_request(void **state)
{
    (void)state;
    target.alias = "alias";
    assert_int_equal(request(TRANSIT(1, 3), NAMES "MaxRecvDataSegmentLength=4096\n"),
                     LOGIN_RESOLVE);
    assert_int_equal(login_resolved(&login, &target), LOGIN_REGISTER);
    assert_int_equal(login_registered(&login, LOGIN_SUCCESS, 1, 8), LOGIN_SUCCEED);
    assert_true(answered("TargetAlias=alias"));
    assert_true(answered("MaxRecvDataSegmentLength=262144"));
    assert_int_equal(login.negotiated.peer_max_recv_data_segment_length, 4096);
    assert_int_equal(login.negotiated.queue_depth, 128);
}

static void security_to_full_feature(void **state)
{
    (void)state;
    assert_int_equal(request(TRANSIT(0, 3), NAMES), LOGIN_RESOLVE);
    assert_int_equal(login_resolved(&login, &target), LOGIN_REGISTER);
    assert_int_equal(login_registered(&login, LOGIN_SUCCESS, 1, 8), LOGIN_SUCCEED);
    assert_int_equal(login.negotiated.max_recv_data_segment_length, 8192); /* nothing was said */
}

static void several_requests_in_one_stage(void **state)
{
    (void)state;
    assert_int_equal(request(STAY(1), NAMES), LOGIN_RESOLVE);
    assert_int_equal(login_resolved(&login, &target), LOGIN_REPLY);
    assert_int_equal(login.reply[PDU_FLAGS], STAY(1));
    assert_true(answered("MaxRecvDataSegmentLength=262144"));
    assert_int_equal(request(STAY(1), "FirstBurstLength=512\n"), LOGIN_REPLY);
    assert_true(answered("FirstBurstLength=512"));
    assert_false(answered("MaxRecvDataSegmentLength=262144"));
    assert_int_equal(request(TRANSIT(1, 3), ""), LOGIN_REGISTER);
}

static void text_may_be_split_anywhere(void **state)
{
    (void)state;
    assert_int_equal(request(STAY(0) | LOGIN_CONTINUE, "InitiatorName=iqn.2026-1"), LOGIN_REPLY);
    assert_int_equal(login.reply[PDU_FLAGS], STAY(0));
    assert_int_equal(login.answer.bytes->len, 0);
    assert_int_equal(request(STAY(0) | LOGIN_CONTINUE, "1.a:c\nTargetNa"), LOGIN_REPLY);
    assert_int_equal(request(TRANSIT(0, 1), "me=iqn.2026-11.b:d\n"), LOGIN_RESOLVE);
    assert_string_equal(login.target_name, "iqn.2026-11.b:d");
}

static void discovery_needs_no_target(void **state)
{
    (void)state;
    assert_int_equal(request(TRANSIT(1, 3), "InitiatorName=iqn.a\nSessionType=Discovery\n"
                                            "InitialR2T=No\n"),
                     LOGIN_RESOLVE);
    assert_true(login.discovery);
    assert_int_equal(login_resolved(&login, &target), LOGIN_REGISTER);
    assert_true(answered("InitialR2T=Irrelevant"));
    assert_false(answered("TargetPortalGroupTag=3"));
}

static void discovery_takes_the_wire_as_it_is(void **state)
{
    (void)state;
    target.offer.rdma_extensions = true;
    request(TRANSIT(1, 3), "InitiatorName=iqn.a\nSessionType=Discovery\n");
    assert_int_equal(login_resolved(&login, &target), LOGIN_REGISTER);
    assert_true(login.negotiated.rdma_extensions);
    end(NULL), begin(NULL);
    target.offer.rdma_extensions = true;
    request(TRANSIT(1, 3), NAMES);
    assert_int_equal(login_resolved(&login, &target), LOGIN_REGISTER);
    assert_false(login.negotiated.rdma_extensions); /* it was not offered */
}

static void missing_and_bad_names(void **state)
{
    (void)state;
    expect_refused(request(TRANSIT(1, 3), "TargetName=iqn.b\n"), LOGIN_MISSING_PARAMETER);
    end(NULL), begin(NULL);
    expect_refused(request(TRANSIT(1, 3), "InitiatorName=iqn.a\n"), LOGIN_MISSING_PARAMETER);
    end(NULL), begin(NULL);
    expect_refused(request(TRANSIT(1, 3), NAMES "SessionType=Strange\n"),
                   LOGIN_SESSION_TYPE_NOT_SUPPORTED);
    end(NULL), begin(NULL);
    expect_refused(request(TRANSIT(1, 3), NAMES "InitiatorName=iqn.other\n"),
                   LOGIN_INITIATOR_ERROR);
    end(NULL), begin(NULL);
    expect_refused(request(TRANSIT(1, 3), "InitiatorName=\n"), LOGIN_INITIATOR_ERROR);
    end(NULL), begin(NULL);
    g_autofree char *name = g_strnfill(ISCSI_NAME_MAX + 1, 'n');
    g_autofree char *text = g_strdup_printf("InitiatorName=%s\n", name);
    expect_refused(request(TRANSIT(1, 3), text), LOGIN_INITIATOR_ERROR);
}

static void target_status_is_passed_on(void **state)
{
    (void)state;
    request(TRANSIT(1, 3), NAMES);
    target.status = LOGIN_NOT_FOUND;
    expect_refused(login_resolved(&login, &target), LOGIN_NOT_FOUND);
}

static void no_session_no_login(void **state)
{
    (void)state;
    request(TRANSIT(1, 3), NAMES);
    login_resolved(&login, &target);
    expect_refused(login_registered(&login, LOGIN_OUT_OF_RESOURCES, 0, 0), LOGIN_OUT_OF_RESOURCES);
}

static void only_chap_is_refused(void **state)
{
    (void)state;
    request(TRANSIT(0, 1), NAMES "AuthMethod=CHAP\n");
    expect_refused(login_resolved(&login, &target), LOGIN_AUTHENTICATION_FAILURE);
}

/* --- CHAP --- */

/* Up to the challenge. */
static void begin_chap(void)
{
    target.auth = &chap;
    assert_int_equal(request(TRANSIT(0, 1), NAMES "AuthMethod=CHAP,None\n"), LOGIN_RESOLVE);
    assert_int_equal(login_resolved(&login, &target), LOGIN_REPLY);
    assert_true(answered("AuthMethod=CHAP"));
    assert_true(answered("TargetPortalGroupTag=3"));
    assert_int_equal(login.reply[PDU_FLAGS], STAY(0)); /* transit must wait */
    assert_int_equal(request(TRANSIT(0, 1), "CHAP_A=5,7\n"), LOGIN_REPLY);
    assert_true(answered("CHAP_A=7"));
    assert_int_equal(login.reply[PDU_FLAGS], STAY(0));
}

/* CHAP_R of this secret for the challenge under way. */
static char *proof(const Secret *secret)
{
    uint8_t hash[CHAP_HASH_MAX];
    char text[PROOF_LEN];
    size_t len = chap_hash(login.chap.algorithm, login.chap.identifier, secret,
                           login.chap.challenge, login.chap.challenge_len, hash);
    binary_encode(hash, len, text);
    return g_strdup_printf("CHAP_N=bob\nCHAP_R=%s\n", text);
}

static void chap_opens_the_way(void **state)
{
    (void)state;
    begin_chap();
    g_autofree char *right = proof(&bob);
    assert_int_equal(request(TRANSIT(0, 1), right), LOGIN_REPLY);
    assert_int_equal(login.reply[PDU_FLAGS], TRANSIT(0, 1));
    assert_int_equal(login.answer.bytes->len, 0);
    assert_string_equal(login.chap.user, "bob");
    assert_int_equal(request(TRANSIT(1, 3), ""), LOGIN_REGISTER);
}

static void chap_may_be_the_whole_login(void **state)
{
    (void)state;
    begin_chap();
    g_autofree char *right = proof(&bob);
    g_autofree char *mutual = g_strconcat(right, "CHAP_I=1\nCHAP_C=0x1234\n", NULL);
    assert_int_equal(request(TRANSIT(0, 3), mutual), LOGIN_REGISTER);
    assert_int_equal(login_registered(&login, LOGIN_SUCCESS, 1, 8), LOGIN_SUCCEED);
    assert_true(answered("CHAP_N=disk"));
    assert_true(login.chap.mutual);
}

static void the_stage_may_be_left_later(void **state)
{
    (void)state;
    begin_chap();
    g_autofree char *right = proof(&bob);
    assert_int_equal(request(STAY(0), right), LOGIN_REPLY);
    assert_int_equal(login.reply[PDU_FLAGS], STAY(0));
    assert_int_equal(request(TRANSIT(0, 1), ""), LOGIN_REPLY);
    assert_int_equal(login.reply[PDU_FLAGS], TRANSIT(0, 1));
}

static void a_wrong_secret_ends_the_login(void **state)
{
    (void)state;
    begin_chap();
    g_autofree char *wrong = proof(&disk);
    g_autofree char *mutual = g_strconcat(wrong, "CHAP_I=1\nCHAP_C=0x1234\n", NULL);
    expect_refused(request(TRANSIT(0, 1), mutual), LOGIN_AUTHENTICATION_FAILURE);
    assert_string_equal(login.reason, "CHAP: wrong secret");
}

static void nothing_leads_around_chap(void **state)
{
    (void)state;
    static const struct {
        uint8_t flags;
        const char *text;
    } ways[] = {
        {TRANSIT(0, 1), NAMES "AuthMethod=None\n"},
        {TRANSIT(0, 1), NAMES},
        {TRANSIT(0, 3), NAMES},
        {TRANSIT(1, 3), NAMES},
        {STAY(1), NAMES},
        {TRANSIT(0, 1), NAMES "AuthMethod=Reject\n"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(ways); i++) {
        target.auth = &chap;
        assert_int_equal(request(ways[i].flags, ways[i].text), LOGIN_RESOLVE);
        expect_refused(login_resolved(&login, &target), LOGIN_AUTHENTICATION_FAILURE);
        end(NULL), begin(NULL);
    }
    begin_chap();
    assert_int_equal(request(TRANSIT(0, 3), ""), LOGIN_REPLY);
    assert_int_equal(login.reply[PDU_FLAGS], STAY(0));
    expect_refused(request(TRANSIT(1, 3), ""), LOGIN_INVALID_DURING_LOGIN);
    end(NULL), begin(NULL);
    begin_chap();
    expect_refused(request(STAY(0), "AuthMethod=None\n"), LOGIN_INITIATOR_ERROR);
    end(NULL), begin(NULL);
    target.auth = &chap;
    request(STAY(0), NAMES);
    assert_int_equal(login_resolved(&login, &target), LOGIN_REPLY); /* it may come later */
    expect_refused(request(TRANSIT(0, 1), "CHAP_A=5\n"), LOGIN_AUTHENTICATION_FAILURE);
}

static void chap_is_not_for_those_who_need_none(void **state)
{
    (void)state;
    request(STAY(0), NAMES "AuthMethod=None\n");
    assert_int_equal(login_resolved(&login, &target), LOGIN_REPLY);
    expect_refused(request(TRANSIT(0, 1), "CHAP_A=5\n"), LOGIN_INITIATOR_ERROR);
}

static void a_target_that_moved_tells_where(void **state)
{
    (void)state;
    request(TRANSIT(0, 1), NAMES);
    target.status = LOGIN_TARGET_MOVED_PERMANENTLY;
    target.moved_to = "[2001:db8::1]:3260";
    assert_int_equal(login_resolved(&login, &target), LOGIN_FAIL);
    assert_int_equal(get_be16(login.reply + LOGIN_STATUS), 0x0102);
    assert_true(answered("TargetAddress=[2001:db8::1]:3260"));
}

static void a_key_offered_twice_fails(void **state)
{
    (void)state;
    request(STAY(1), NAMES "MaxBurstLength=512\n");
    login_resolved(&login, &target);
    expect_refused(request(STAY(1), "MaxBurstLength=512\n"), LOGIN_INITIATOR_ERROR);
}

static void impossible_stages_are_refused(void **state)
{
    (void)state;
    static const uint8_t bad[] = {
        STAY(2),       STAY(3),       TRANSIT(0, 0), TRANSIT(0, 2),
        TRANSIT(1, 0), TRANSIT(1, 1), TRANSIT(1, 2), TRANSIT(0, 1) | LOGIN_CONTINUE,
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        expect_refused(request(bad[i], NAMES), LOGIN_INVALID_DURING_LOGIN);
        end(NULL), begin(NULL);
    }
}

static void stages_do_not_go_back(void **state)
{
    (void)state;
    request(TRANSIT(0, 1), NAMES);
    login_resolved(&login, &target);
    expect_refused(request(TRANSIT(0, 1), ""), LOGIN_INVALID_DURING_LOGIN);
    end(NULL), begin(NULL);
    request(STAY(0), NAMES);
    login_resolved(&login, &target);
    expect_refused(request(TRANSIT(1, 3), ""), LOGIN_INVALID_DURING_LOGIN);
}

static void requests_out_of_turn_are_refused(void **state)
{
    (void)state;
    request(TRANSIT(1, 3), NAMES); /* resolving */
    expect_refused(request(TRANSIT(1, 3), NAMES), LOGIN_INVALID_DURING_LOGIN);
    end(NULL), begin(NULL);
    request(TRANSIT(1, 3), NAMES);
    login_resolved(&login, &target); /* registering */
    expect_refused(request(TRANSIT(1, 3), NAMES), LOGIN_INVALID_DURING_LOGIN);
}

static void headers_are_checked(void **state)
{
    (void)state;
    bhs[LOGIN_VERSION_MIN] = bhs[LOGIN_VERSION_MAX] = 1;
    expect_refused(request(TRANSIT(1, 3), NAMES), LOGIN_UNSUPPORTED_VERSION);
    end(NULL), begin(NULL);
    bhs[0] = ISCSI_NOP_OUT;
    expect_refused(request(0x80, ""), LOGIN_INVALID_DURING_LOGIN);
    static const unsigned fields[] = {LOGIN_ISID, LOGIN_TSIH, LOGIN_CID, PDU_ITT, PDU_CMD_SN};
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        end(NULL), begin(NULL);
        request(STAY(1), NAMES);
        login_resolved(&login, &target);
        bhs[fields[i]] ^= 1;
        expect_refused(request(TRANSIT(1, 3), ""), LOGIN_INITIATOR_ERROR);
    }
}

static void text_is_limited(void **state)
{
    (void)state;
    g_autofree char *filler = g_strnfill(8000, 'x');
    LoginAction action = LOGIN_REPLY;
    unsigned requests = 0;
    while (action == LOGIN_REPLY && ++requests < 20)
        action = request(STAY(1) | LOGIN_CONTINUE, filler);
    expect_refused(action, LOGIN_INITIATOR_ERROR);
    assert_int_equal(requests, 9);
    end(NULL), begin(NULL);
    expect_refused(request(TRANSIT(1, 3), "garbage"), LOGIN_INITIATOR_ERROR);
}

static void answers_are_limited(void **state)
{
    (void)state;
    g_autoptr(GString) text = g_string_new(NAMES);
    for (unsigned i = 0; i < 200; i++)
        g_string_append_printf(text, "X-%050u=1\n", i);
    request(TRANSIT(1, 3), text->str);
    expect_refused(login_resolved(&login, &target), LOGIN_INITIATOR_ERROR);
}

#define LOGIN_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGIN_TEST(login_in_both_stages),
        LOGIN_TEST(login_in_one_request),
        LOGIN_TEST(security_to_full_feature),
        LOGIN_TEST(several_requests_in_one_stage),
        LOGIN_TEST(text_may_be_split_anywhere),
        LOGIN_TEST(discovery_needs_no_target),
        LOGIN_TEST(discovery_takes_the_wire_as_it_is),
        LOGIN_TEST(missing_and_bad_names),
        LOGIN_TEST(target_status_is_passed_on),
        LOGIN_TEST(no_session_no_login),
        LOGIN_TEST(only_chap_is_refused),
        LOGIN_TEST(chap_opens_the_way),
        LOGIN_TEST(chap_may_be_the_whole_login),
        LOGIN_TEST(the_stage_may_be_left_later),
        LOGIN_TEST(a_wrong_secret_ends_the_login),
        LOGIN_TEST(nothing_leads_around_chap),
        LOGIN_TEST(chap_is_not_for_those_who_need_none),
        LOGIN_TEST(a_target_that_moved_tells_where),
        LOGIN_TEST(a_key_offered_twice_fails),
        LOGIN_TEST(impossible_stages_are_refused),
        LOGIN_TEST(stages_do_not_go_back),
        LOGIN_TEST(requests_out_of_turn_are_refused),
        LOGIN_TEST(headers_are_checked),
        LOGIN_TEST(text_is_limited),
        LOGIN_TEST(answers_are_limited),
    };
    return unit_run(tests);
}
