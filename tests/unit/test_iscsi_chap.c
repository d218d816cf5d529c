/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Binary values, hashes, policies from the keyfile, and the CHAP exchange with every way to get it
 * wrong. */
#include "tests/unit/unit.h"

#include "iser/iscsi/binary.h"
#include "iser/iscsi/chap.h"
#include "iser/iscsi/settings.h"

#include <string.h>

#define SECRETS                                                                             \
    "[initiator alice]\nsecret=alice's secret\n[initiator bob]\nsecret=the secret of bob\n" \
    "[target disk]\nsecret=secret of the disk\n"

static Secrets *secrets;
static AuthPolicy *policy;
static Chap chap;
static TextWriter answer;

/* --- binary values --- */

static void expect_bytes(const char *text, const char *bytes, size_t wanted)
{
    uint8_t out[8];
    size_t len;
    assert_true(binary_decode(text, out, sizeof out, &len));
    assert_int_equal(len, wanted);
    assert_memory_equal(out, bytes, len);
}

static void binary_values_are_decoded(void **state)
{
    (void)state;
    expect_bytes("0x00fF", "\0\xff", 2);
    expect_bytes("0Xa1", "\xa1", 1);
    expect_bytes("0bAP8=", "\0\xff", 2);
    expect_bytes("0BQQ==", "A", 1);
    expect_bytes("0bQUJD", "ABC", 3);
    expect_bytes("0x0102030405060708", "\1\2\3\4\5\6\7\x08", 8);
    static const char *const bad[] = {
        "",
        "0",
        "0x",
        "0b",
        "x12",
        "12",
        "0x123",
        "0x1g",
        "0b=",
        "0b====",
        "0bQQ=",
        "0bQ",
        "0bQQ==Q",
        "0bQ=Q=",
        "0bQQ=Q",
        "0bQ QQ",
        "0b-_-",
        "0x12 34 ",
        "0x01020304050607080",
        "0x010203040506070809",
        "0bQUJDREVGR0hJ",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint8_t out[8];
        size_t len;
        assert_false(binary_decode(bad[i], out, sizeof out, &len));
    }
    char text[2 * 3 + 3];
    binary_encode((const uint8_t *)"\x0a\xff\0", 3, text);
    assert_string_equal(text, "0x0aff00");
}

/* --- hashes --- */

static void expect_hash(unsigned algorithm, const char *hex)
{
    const Secret secret = {.bytes = (uint8_t *)"b", .len = 1};
    uint8_t out[CHAP_HASH_MAX], wanted[CHAP_HASH_MAX];
    size_t wanted_len, len = chap_hash(algorithm, 'a', &secret, (const uint8_t *)"c", 1, out);
    assert_true(binary_decode(hex, wanted, sizeof wanted, &wanted_len));
    assert_int_equal(len, wanted_len);
    assert_memory_equal(out, wanted, len);
}

/* Of "abc", the example of every standard. */
static void hashes_are_those_of_the_standards(void **state)
{
    (void)state;
    expect_hash(CHAP_MD5, "0x900150983cd24fb0d6963f7d28e17f72");
    expect_hash(CHAP_SHA1, "0xa9993e364706816aba3e25717850c26c9cd0d89d");
    expect_hash(CHAP_SHA256, "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_hash(CHAP_SHA3_256,
                "0x3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    const Secret secret = {.bytes = (uint8_t *)"b", .len = 1};
    uint8_t out[CHAP_HASH_MAX];
    assert_int_equal(chap_hash(9, 0, &secret, out, 0, out), 0);
}

/* --- policies --- */

/* Keys and values in turn, separated by '\n'. */
static AuthPolicy *make_policy(const char *text, const Secrets *known, const char **culprit,
                               GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "\n", -1);
    const char *keys[8], *values[8];
    unsigned n = 0;
    for (char **part = parts; *part && **part; part += 2) {
        keys[n] = g_intern_string(part[0]);
        values[n++] = part[1];
    }
    AuthPolicy *made;
    bool ok = auth_policy_new(&made, "", keys, values, n, known, culprit, error);
    assert_true(ok || !made);
    return made;
}

static void expect_no_policy(const char *text, const char *culprit, const char *message)
{
    g_autoptr(GError) error = NULL;
    const char *found;
    assert_null(make_policy(text, secrets, &found, &error));
    assert_string_equal(found, culprit);
    assert_string_equal(error->message, message);
}

static int begin(void **state)
{
    (void)state;
    char text[] = SECRETS;
    secrets = secrets_parse("f", text, strlen(text), NULL);
    const char *culprit;
    policy = make_policy("chap-user\nalice; bob\nchap-mutual-user\ndisk", secrets, &culprit, NULL);
    answer = text_writer(4096);
    chap_init(&chap, policy);
    return policy ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    chap_clear(&chap);
    text_writer_clear(&answer);
    auth_policy_free(policy);
    secrets_free(secrets);
    return 0;
}

static void policies_come_from_keys(void **state)
{
    (void)state;
    assert_string_equal(policy->users[0]->name, "alice");
    assert_string_equal(policy->users[1]->name, "bob");
    assert_null(policy->users[2]);
    assert_string_equal(policy->own->name, "disk");
    assert_memory_equal(policy->algorithms, "\x08\x07\x06\x05", 4);
    const char *culprit;
    g_autoptr(GError) error = NULL;
    assert_null(make_policy("MaxBurstLength\n512", NULL, &culprit, &error));
    assert_null(error);
    AuthPolicy *one =
        make_policy("chap-algorithms\nMD5;SHA-256;\nchap-user\nbob;", secrets, &culprit, NULL);
    assert_memory_equal(one->algorithms, "\x05\x07\0\0", 4);
    assert_null(one->own);
    assert_null(auth_policy_user(one, "alice"));
    auth_policy_free(one);
    auth_policy_free(NULL);
}

static void policies_that_cannot_be_are_refused(void **state)
{
    (void)state;
    expect_no_policy("chap-user\ncarol", "chap-user",
                     "there is no [initiator carol] in the file of secrets");
    expect_no_policy("chap-user\ndisk", "chap-user",
                     "there is no [initiator disk] in the file of secrets");
    expect_no_policy("chap-user\nbob\nchap-mutual-user\nalice", "chap-mutual-user",
                     "there is no [target alice] in the file of secrets");
    expect_no_policy("chap-mutual-user\ndisk", "chap-mutual-user",
                     "has no effect without chap-user=");
    g_autoptr(GError) error = NULL;
    const char *culprit;
    assert_null(make_policy("chap-user\nbob", NULL, &culprit, &error));
    assert_string_equal(error->message,
                        "its secret is missing: name a file with secrets= in [daemon]");
}

static void values_are_checked_alone(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"chap-algorithms", "SHA1;MD5", NULL},
        {"chap-algorithms", "sha1", "must be a list of SHA3-256, SHA-256, SHA1 and MD5, not sha1"},
        {"chap-algorithms", "MD5;MD5", "MD5 is there twice"},
        {"chap-user", "a;b", NULL},
        {"chap-user", "a;;b", "a name is empty"},
        {"chap-user", "a;b;a", "a is there twice"},
        {"chap-user", ";", "a name is empty"},
        {"portal-groups", "1;65535", NULL},
        {"portal-groups", "65536", "must be a list of portal group tags, 0 to 65535"},
        {"portal-groups", "1;x", "must be a list of portal group tags, 0 to 65535"},
        {"redirect", "192.0.2.1:3260", NULL},
        {"redirect-permanently", "[2001:db8::1]:3260", NULL},
        {"redirect", "192.0.2.1:3260,1", "must be ADDRESS:PORT, [ADDRESS]:PORT or NAME:PORT"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        bool ok = settings_check(cases[i].key, cases[i].value, &error);
        assert_int_equal(ok, !cases[i].message);
        g_autofree char *wanted =
            g_strdup_printf("%s=%s: %s", cases[i].key, cases[i].value, cases[i].message);
        if (!ok)
            assert_string_equal(error->message, wanted);
    }
}

static void a_target_moves_to_one_place(void **state)
{
    (void)state;
    static const char *const keys[] = {"redirect", "redirect-permanently"};
    static const char *const values[] = {"192.0.2.1:3260", "192.0.2.2:3260"};
    TargetSettings settings;
    g_autoptr(GError) error = NULL;
    const char *culprit;
    assert_false(settings_init(&settings, keys, values, 2, NULL, &culprit, &error));
    assert_string_equal(culprit, "redirect-permanently");
    settings_clear(&settings);
    assert_true(settings_init(&settings, keys + 1, values + 1, 1, NULL, &culprit, NULL));
    assert_int_equal(settings.redirect_status, LOGIN_TARGET_MOVED_PERMANENTLY);
    assert_true(settings_have_group(&settings, 3));
    settings_clear(&settings);
}

static void tags_are_split_off(void **state)
{
    (void)state;
    uint16_t tag = 1;
    g_autofree char *plain = settings_split_tag("[::]:3260", &tag, NULL);
    assert_string_equal(plain, "[::]:3260");
    assert_int_equal(tag, 1);
    g_autofree char *tagged = settings_split_tag("1.2.3.4:5,65535", &tag, NULL);
    assert_string_equal(tagged, "1.2.3.4:5");
    assert_int_equal(tag, 65535);
    assert_null(settings_split_tag("1.2.3.4:5,65536", &tag, NULL));
    assert_null(settings_split_tag("1.2.3.4:5,", &tag, NULL));
}

/* --- the exchange --- */

static void give(const char *key, const char *value)
{
    assert_true(chap_take_key(&chap, key, value));
}

static bool step(void)
{
    g_byte_array_set_size(answer.bytes, 0);
    return chap_step(&chap, &answer);
}

/* The value of a key in the answer; the caller's. */
static char *answered(const char *key)
{
    TextReader reader = text_reader(answer.bytes->data, answer.bytes->len);
    while (text_read(&reader) == TEXT_PAIR)
        if (!strcmp(reader.key, key))
            return g_strdup(reader.value);
    return NULL;
}

static void respond_with(const char *user, const char *secret, bool base64)
{
    const Secret known = {.bytes = (uint8_t *)secret, .len = strlen(secret)};
    uint8_t hash[CHAP_HASH_MAX];
    size_t len = chap_hash(chap.algorithm, chap.identifier, &known, chap.challenge,
                           chap.challenge_len, hash);
    char hex[2 * CHAP_HASH_MAX + 3];
    binary_encode(hash, len, hex);
    g_autofree char *digits = g_base64_encode(hash, len);
    g_autofree char *in_base64 = g_strconcat("0b", digits, NULL);
    give("CHAP_N", user);
    give("CHAP_R", base64 ? in_base64 : hex);
}

static void challenge(const char *algorithms)
{
    chap_begin(&chap);
    give("CHAP_A", algorithms);
    assert_true(step());
}

static void expect_failure(const char *reason)
{
    assert_false(step());
    assert_string_equal(chap.reason, reason);
    assert_int_not_equal(chap.state, CHAP_PROVED);
    end(NULL), begin(NULL);
}

static void our_strongest_algorithm_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *offer;
        unsigned taken;
        size_t len;
    } cases[] = {{"5,6,7,8", CHAP_SHA3_256, 32},
                 {"5,7", CHAP_SHA256, 32},
                 {"5,6", CHAP_SHA1, 20},
                 {"99,x,5", CHAP_MD5, 16}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        challenge(cases[i].offer);
        g_autofree char *algorithm = answered("CHAP_A"), *identifier = answered("CHAP_I"),
                        *sent = answered("CHAP_C");
        g_autofree char *wanted = g_strdup_printf("%u", cases[i].taken);
        assert_string_equal(algorithm, wanted);
        assert_int_equal(g_ascii_strtoull(identifier, NULL, 10), chap.identifier);
        uint8_t bytes[CHAP_HASH_MAX];
        size_t len;
        assert_true(binary_decode(sent, bytes, sizeof bytes, &len));
        assert_int_equal(len, cases[i].len);
        assert_memory_equal(bytes, chap.challenge, len);
        end(NULL), begin(NULL);
    }
    challenge("7");
    uint8_t first[CHAP_HASH_MAX];
    memcpy(first, chap.challenge, sizeof first);
    end(NULL), begin(NULL);
    challenge("7");
    assert_memory_not_equal(first, chap.challenge, sizeof first);
}

static void the_right_secret_is_proof(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        const char algorithm[] = {(char)('5' + i / 2), '\0'};
        challenge(algorithm);
        respond_with("bob", "the secret of bob", i % 2);
        assert_true(step());
        assert_int_equal(chap.state, CHAP_PROVED);
        assert_string_equal(chap.user, "bob");
        assert_false(chap.mutual);
        assert_int_equal(answer.bytes->len, 0);
        end(NULL), begin(NULL);
    }
}

static void the_target_proves_itself_too(void **state)
{
    (void)state;
    challenge("7");
    respond_with("alice", "alice's secret", false);
    give("CHAP_I", "0x7");
    give("CHAP_C", "0bAAECAwQF");
    assert_true(step());
    assert_true(chap.mutual);
    g_autofree char *name = answered("CHAP_N"), *response = answered("CHAP_R");
    assert_string_equal(name, "disk");
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, (const guchar *)"\7secret of the disk\0\1\2\3\4\5", 25);
    assert_string_equal(response + 2, g_checksum_get_string(sum));
}

static void what_is_no_proof_is_refused(void **state)
{
    (void)state;
    challenge("7");
    respond_with("bob", "alice's secret", false);
    expect_failure("CHAP: wrong secret");
    challenge("7");
    respond_with("carol", "alice's secret", false);
    expect_failure("CHAP: unknown user");
    challenge("7");
    respond_with("carol", "", false); /* what is hashed for nobody */
    expect_failure("CHAP: unknown user");
    challenge("7");
    give("CHAP_N", "bob");
    give("CHAP_R", "0x00");
    expect_failure("CHAP: wrong secret");
    challenge("7");
    give("CHAP_N", "bob");
    give("CHAP_R", "00");
    expect_failure("CHAP: malformed CHAP_R");
}

static void keys_come_in_their_turn(void **state)
{
    (void)state;
    static const char later[] = "CHAP: CHAP_N and CHAP_R must come next, with both or none of "
                                "CHAP_I and CHAP_C";
    static const char first[] = "CHAP: CHAP_A and nothing else must come first";
    give("CHAP_A", "7");
    expect_failure("CHAP: keys out of turn"); /* no method agreed on */
    chap_begin(&chap);
    give("CHAP_N", "bob");
    expect_failure(first);
    chap_begin(&chap);
    give("CHAP_A", "7");
    give("CHAP_N", "bob");
    expect_failure(first);
    chap_begin(&chap);
    give("CHAP_A", "9,x,4294967301");
    expect_failure("CHAP: no common algorithm");
    challenge("7");
    give("CHAP_N", "bob");
    expect_failure(later);
    challenge("7");
    respond_with("bob", "the secret of bob", false);
    give("CHAP_I", "7");
    expect_failure(later);
    challenge("7");
    respond_with("bob", "the secret of bob", false);
    give("CHAP_A", "7");
    expect_failure(later);
    challenge("7");
    assert_true(step()); /* nothing is no failure, and no proof */
    assert_int_equal(chap.state, CHAP_WAITS_RESPONSE);
    give("CHAP_N", "bob");
    assert_false(chap_take_key(&chap, "CHAP_N", "bob"));
    assert_false(chap_take_key(&chap, "CHAP_X", "bob"));
    end(NULL), begin(NULL);
    challenge("7");
    respond_with("bob", "the secret of bob", false);
    assert_true(step());
    give("CHAP_A", "7");
    assert_false(step());
}

static void reflections_are_refused(void **state)
{
    (void)state;
    challenge("6");
    respond_with("alice", "alice's secret", false);
    char text[2 * CHAP_HASH_MAX + 3];
    binary_encode(chap.challenge, chap.challenge_len, text);
    give("CHAP_I", "1");
    give("CHAP_C", text);
    expect_failure("CHAP: our own challenge came back");
}

static void bad_wishes_for_proof_are_refused(void **state)
{
    (void)state;
    g_autofree char *digits = g_strnfill(2 * (CHAP_BINARY_MAX + 1), '1');
    g_autofree char *too_long = g_strconcat("0x", digits, NULL);
    const char *const wishes[][2] = {
        {"256", "0x11"}, {"x", "0x11"}, {"1", "11"}, {"1", "0x"}, {"1", too_long}};
    for (unsigned i = 0; i < G_N_ELEMENTS(wishes); i++) {
        challenge("5");
        respond_with("alice", "alice's secret", false);
        give("CHAP_I", wishes[i][0]);
        give("CHAP_C", wishes[i][1]);
        expect_failure("CHAP: malformed CHAP_I or CHAP_C");
    }
    g_clear_pointer(&policy->own, secret_free);
    challenge("5");
    respond_with("alice", "alice's secret", false);
    give("CHAP_I", "1");
    give("CHAP_C", "0x11");
    expect_failure("CHAP: the initiator wants proof of the target, which has no chap-mutual-user");
}

#define CHAP_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_values_are_decoded),
        cmocka_unit_test(hashes_are_those_of_the_standards),
        CHAP_TEST(policies_come_from_keys),
        CHAP_TEST(policies_that_cannot_be_are_refused),
        cmocka_unit_test(values_are_checked_alone),
        cmocka_unit_test(a_target_moves_to_one_place),
        cmocka_unit_test(tags_are_split_off),
        CHAP_TEST(our_strongest_algorithm_is_taken),
        CHAP_TEST(the_right_secret_is_proof),
        CHAP_TEST(the_target_proves_itself_too),
        CHAP_TEST(what_is_no_proof_is_refused),
        CHAP_TEST(keys_come_in_their_turn),
        CHAP_TEST(reflections_are_refused),
        CHAP_TEST(bad_wishes_for_proof_are_refused),
    };
    return unit_run(tests);
}
