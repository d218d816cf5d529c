/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who gets in where: authentication from the keyfile to the session's record, of discovery too,
 * portal groups, redirection, limits on sessions. */
#include "tests/unit/unit.h"

#include "iser/iscsi/address.h"
#include "iser/iscsi/binary.h"
#include "iser/iscsi/chap.h"
#include "tests/unit/iscsi_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define TARGET "iqn.2026-11.t:disk"
#define NAMES  "InitiatorName=iqn.i\nTargetName=" TARGET "\n"
#define FINAL  (LOGIN_TRANSIT | LOGIN_STAGES(1, 3))
#define SECURE (LOGIN_TRANSIT | LOGIN_STAGES(0, 3))

static Fake fake;
static Secrets *secrets;
static TransportTarget *target;

static int begin(void **state)
{
    (void)state;
    char text[] = "[initiator alice]\nsecret=secret of alice\n[target disk]\nsecret=secret of disk";
    secrets = secrets_parse("f", text, strlen(text), NULL);
    fake_setup(&fake, 8, 60000);
    target = NULL;
    return secrets ? 0 : -1;
}

static void note_removed(void *arg)
{
    *(bool *)arg = true;
}

static bool is_set(void *arg)
{
    return *(bool *)arg;
}

static void remove_target(void)
{
    bool removed = false;
    iscsi_portal_remove_target(g_steal_pointer(&target), note_removed, &removed);
    assert_true(fake_wait(&fake, is_set, &removed));
}

static int end(void **state)
{
    (void)state;
    for (guint i = 0; i < fake.conns->len; i++)
        if (!((FakeConn *)fake.conns->pdata[i])->freed)
            fake_hang_up(fake.conns->pdata[i]);
    fake_run(&fake);
    if (target)
        remove_target();
    fake_teardown(&fake);
    secrets_free(secrets);
    return 0;
}

/* Up to two keys; key NULL: none. */
static void add_target(const char *key, const char *value, const char *key2, const char *value2)
{
    const char *keys[] = {key, key2}, *values[] = {value, value2};
    g_autoptr(GError) error = NULL;
    target = iscsi_portal_add_target(
        fake.portal,
        &(TransportTargetSpec){.name = TARGET,
                               .scsi = fake_scsi_target,
                               .allow_all = true,
                               .keys = keys,
                               .values = values,
                               .n_keys = (key != NULL) + (unsigned)(key2 != NULL),
                               .secrets = secrets},
        &error);
    assert_null(error);
}

static LoginStatus try_login(FakeConn *conn, uint8_t flags, uint64_t isid, const char *text)
{
    fake_login(conn, flags, isid, 0, text);
    fake_run(&fake);
    return fake_login_status(fake_next(conn));
}

static char *value_of(const FakeSent *sent, const char *key)
{
    TextReader reader = text_reader(sent->data, sent->len);
    while (text_read(&reader) == TEXT_PAIR)
        if (!strcmp(reader.key, key))
            return g_strdup(reader.value);
    return NULL;
}

/* Logs in by CHAP with SHA1 and this secret. */
static LoginStatus log_in_by_chap(FakeConn *conn, const char *names, const char *secret)
{
    g_autofree char *first = g_strconcat(names, "AuthMethod=CHAP\n", NULL);
    assert_int_equal(try_login(conn, SECURE, 1, first), LOGIN_SUCCESS);
    fake_login(conn, SECURE, 1, 0, "CHAP_A=6\n");
    fake_run(&fake);
    const FakeSent *sent = fake_next(conn);
    g_autofree char *identifier = value_of(sent, "CHAP_I"), *challenge = value_of(sent, "CHAP_C");
    const Secret known = {.bytes = (uint8_t *)secret, .len = strlen(secret)};
    uint8_t bytes[CHAP_HASH_MAX], hash[CHAP_HASH_MAX];
    char text[2 * CHAP_HASH_MAX + 3];
    size_t len;
    assert_true(binary_decode(challenge, bytes, sizeof bytes, &len));
    len = chap_hash(CHAP_SHA1, (uint8_t)atoi(identifier), &known, bytes, len, hash);
    binary_encode(hash, len, text);
    g_autofree char *proof = g_strdup_printf("CHAP_N=alice\nCHAP_R=%s\n", text);
    return try_login(conn, SECURE, 1, proof);
}

static void chap_is_asked_for(void **state)
{
    (void)state;
    add_target("chap-user", "alice", "chap-algorithms", "SHA1");
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 1, NAMES), LOGIN_AUTHENTICATION_FAILURE);
    assert_int_equal(log_in_by_chap(fake_connect(&fake), NAMES, "secret of bob"),
                     LOGIN_AUTHENTICATION_FAILURE);
    fake_run(&fake);
    assert_int_equal(fake.records->len, 0);
    assert_int_equal(log_in_by_chap(fake_connect(&fake), NAMES, "secret of alice"), LOGIN_SUCCESS);
    const SessionRecord *record = fake.records->pdata[0];
    assert_string_equal(record->auth_method, "CHAP");
    assert_string_equal(record->auth_algorithm, "SHA1");
    assert_string_equal(record->auth_user, "alice");
}

static void none_is_on_record_too(void **state)
{
    (void)state;
    add_target(NULL, NULL, NULL, NULL);
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 1, NAMES), LOGIN_SUCCESS);
    const SessionRecord *record = fake.records->pdata[0];
    assert_string_equal(record->auth_method, "None");
    assert_string_equal(record->auth_user, "");
}

static void unknown_users_make_no_target(void **state)
{
    (void)state;
    const char *keys[] = {"chap-user"}, *values[] = {"bob"};
    g_autoptr(GError) error = NULL;
    assert_null(iscsi_portal_add_target(
        fake.portal,
        &(TransportTargetSpec){.name = TARGET, .keys = keys, .values = values, .n_keys = 1},
        &error));
    assert_non_null(strstr(error->message, "chap-user"));
    const char *all[] = {"chap-mutual-user", NULL}, *theirs[] = {"disk", NULL}, *culprit;
    assert_false(iscsi_portal_check_keys(all, theirs, true, secrets, &culprit, NULL));
    assert_string_equal(culprit, "chap-mutual-user");
    assert_true(iscsi_portal_check_key("discovery-chap-user", "alice", false, NULL));
    assert_false(iscsi_portal_check_key("discovery-chap-user", "alice", true, NULL));
    assert_false(iscsi_portal_check_key("chap-user", "alice", false, NULL));
}

static void discovery_has_a_policy_of_its_own(void **state)
{
    (void)state;
    static const char names[] = "InitiatorName=iqn.i\nSessionType=Discovery\n";
    static const char *const keys[] = {"discovery-chap-user"}, *const values[] = {"alice"};
    TransportHost host = fake.host;
    host.keys = keys;
    host.values = values;
    host.n_keys = 1;
    g_autoptr(GError) error = NULL;
    const IscsiPortalConfig config = {.transport = "fake"};
    assert_null(iscsi_portal_new(&host, &config, &error)); /* no secrets */
    assert_non_null(strstr(error->message, "discovery-chap-user"));
    host.secrets = secrets;
    IscsiPortal *usual = fake.portal;
    fake.portal = iscsi_portal_new(&host, &config, NULL);
    add_target(NULL, NULL, NULL, NULL);
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 1, names), LOGIN_AUTHENTICATION_FAILURE);
    assert_int_equal(log_in_by_chap(fake_connect(&fake), names, "secret of alice"), LOGIN_SUCCESS);
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 1, NAMES), LOGIN_SUCCESS);
    remove_target();
    iscsi_portal_free(fake.portal);
    fake.portal = usual;
}

/* --- places --- */

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage a = {.ss_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr), 1);
    address_set_port(&a, 3260);
    return a;
}

static FakeConn *connect_to(const char *local)
{
    FakeConn *conn = fake_conn_new(&fake, fake.loop);
    conn->base.local = address_of(local);
    assert_true(iscsi_accept(&conn->base, fake.portal));
    return conn;
}

static void targets_are_in_portal_groups(void **state)
{
    (void)state;
    struct sockaddr_storage one = address_of("192.0.2.1"), two = address_of("192.0.2.2");
    iscsi_portal_add_address(fake.portal, &one, 3);
    iscsi_portal_add_address(fake.portal, &two, 4);
    add_target("portal-groups", "4;5", NULL, NULL);
    assert_int_equal(try_login(connect_to("192.0.2.1"), FINAL, 1, NAMES), LOGIN_NOT_FOUND);
    FakeConn *conn = connect_to("192.0.2.2");
    fake_login(conn, FINAL, 1, 0, NAMES);
    fake_run(&fake);
    const FakeSent *sent = fake_next(conn);
    assert_int_equal(fake_login_status(sent), LOGIN_SUCCESS);
    g_autofree char *tag = value_of(sent, "TargetPortalGroupTag");
    assert_string_equal(tag, "4");
}

static void discovery_tells_the_groups(void **state)
{
    (void)state;
    struct sockaddr_storage one = address_of("192.0.2.1"), two = address_of("192.0.2.2");
    iscsi_portal_add_address(fake.portal, &one, 3);
    iscsi_portal_add_address(fake.portal, &two, 4);
    add_target("portal-groups", "4;7", NULL, NULL);
    FakeConn *conn = fake_connect(&fake);
    assert_int_equal(try_login(conn, FINAL, 1, "InitiatorName=iqn.i\nSessionType=Discovery\n"),
                     LOGIN_SUCCESS);
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_TEXT_REQUEST, PDU_FINAL, 6);
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    put_be32(bhs + PDU_CMD_SN, 1000);
    fake_receive(conn, bhs, "SendTargets=All", 16);
    fake_run(&fake);
    const FakeSent *sent = fake_next(conn);
    static const char wanted[] = "TargetName=" TARGET "\0TargetAddress=10.1.2.3:17400,7\0"
                                 "TargetAddress=192.0.2.2:3260,4";
    assert_int_equal(sent->len, sizeof wanted);
    assert_memory_equal(sent->data, wanted, sizeof wanted);
}

/* The ISID rule of 4.4.3: a session is one initiator port and one portal group. */
static void groups_have_sessions_of_their_own(void **state)
{
    (void)state;
    struct sockaddr_storage one = address_of("192.0.2.1"), two = address_of("192.0.2.2");
    iscsi_portal_add_address(fake.portal, &one, 3);
    iscsi_portal_add_address(fake.portal, &two, 4);
    add_target(NULL, NULL, NULL, NULL);
    assert_int_equal(try_login(connect_to("192.0.2.1"), FINAL, 1, NAMES), LOGIN_SUCCESS);
    assert_int_equal(try_login(connect_to("192.0.2.2"), FINAL, 1, NAMES), LOGIN_SUCCESS);
    assert_int_equal(fake.records->len, 2);
    assert_int_equal(try_login(connect_to("192.0.2.2"), FINAL, 1, NAMES), LOGIN_SUCCESS);
    assert_int_equal(fake.records->len, 2);
}

static void targets_that_moved_say_so(void **state)
{
    (void)state;
    add_target("redirect", "192.0.2.9:3260", "chap-user", "alice");
    FakeConn *conn = fake_connect(&fake);
    fake_login(conn, FINAL, 1, 0, NAMES);
    fake_run(&fake);
    const FakeSent *sent = fake_next(conn);
    assert_int_equal(fake_login_status(sent), LOGIN_TARGET_MOVED_TEMPORARILY);
    g_autofree char *where = value_of(sent, "TargetAddress");
    assert_string_equal(where, "192.0.2.9:3260");
}

/* --- limits --- */

static void sessions_are_limited(void **state)
{
    (void)state;
    static const char other[] = "InitiatorName=iqn.j\nTargetName=" TARGET "\n";
    add_target("max-sessions", "3", "max-sessions-per-initiator", "2");
    FakeConn *first = fake_connect(&fake);
    assert_int_equal(try_login(first, FINAL, 1, NAMES), LOGIN_SUCCESS);
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 2, NAMES), LOGIN_SUCCESS);
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 3, NAMES), LOGIN_OUT_OF_RESOURCES);
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 1, other), LOGIN_SUCCESS);
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 2, other), LOGIN_OUT_OF_RESOURCES);
    /* Who replaces a session of its own takes no more room. */
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 2, NAMES), LOGIN_SUCCESS);
    fake_hang_up(first);
    fake_run(&fake);
    assert_int_equal(try_login(fake_connect(&fake), FINAL, 2, other), LOGIN_SUCCESS);
    assert_int_equal(fake.records->len, 3);
}

#define ACCESS_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ACCESS_TEST(chap_is_asked_for),
        ACCESS_TEST(none_is_on_record_too),
        ACCESS_TEST(unknown_users_make_no_target),
        ACCESS_TEST(discovery_has_a_policy_of_its_own),
        ACCESS_TEST(targets_are_in_portal_groups),
        ACCESS_TEST(discovery_tells_the_groups),
        ACCESS_TEST(groups_have_sessions_of_their_own),
        ACCESS_TEST(targets_that_moved_say_so),
        ACCESS_TEST(sessions_are_limited),
    };
    return unit_run(tests);
}
