/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Targets, access, logins from accept on, reinstatement, discovery, and the ways down. */
#include "tests/unit/unit.h"

#include "iser/iscsi/acl.h"
#include "iser/iscsi/address.h"
#include "tests/unit/iscsi_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define TARGET "iqn.2026-11.t:disk"
#define FINAL  (LOGIN_TRANSIT | LOGIN_STAGES(1, 3))

static Fake fake;
static TransportTarget *target;

static TransportTarget *add_target(const char *name, const char *const *keys,
                                   const char *const *values, unsigned n, GError **error)
{
    return iscsi_portal_add_target(fake.portal,
                                   &(TransportTargetSpec){.name = name,
                                                          .scsi = fake_scsi_target,
                                                          .allow_all = true,
                                                          .keys = keys,
                                                          .values = values,
                                                          .n_keys = n},
                                   error);
}

static int begin(void **state)
{
    (void)state;
    fake_setup(&fake, 4, 60000);
    target = add_target(TARGET, NULL, NULL, 0, NULL);
    return target ? 0 : -1;
}

static void note_removed(void *arg)
{
    *(bool *)arg = true;
}

static bool is_set(void *arg)
{
    return *(bool *)arg;
}

static void remove_target(TransportTarget *which)
{
    bool removed = false;
    iscsi_portal_remove_target(which, note_removed, &removed);
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
        remove_target(target);
    fake_teardown(&fake);
    return 0;
}

static FakeConn *log_in(const char *initiator, uint64_t isid)
{
    FakeConn *conn = fake_connect(&fake);
    return fake_login_to(&fake, conn, initiator, isid, TARGET, "") ? conn : NULL;
}

static LoginStatus try_login(FakeConn *conn, uint16_t tsih, const char *text)
{
    fake_login(conn, FINAL, 1, tsih, text);
    fake_run(&fake);
    return fake_login_status(fake_next(conn));
}

/* --- targets and keys --- */

static void keys_of_a_target_are_offered(void **state)
{
    (void)state;
    static const char *const keys[] = {"MaxBurstLength", "TargetAlias", "queue-depth"};
    static const char *const values[] = {"16384", "second disk", "33"};
    TransportTarget *other = add_target("iqn.2026-11.t:other", keys, values, 3, NULL);
    assert_non_null(other);
    FakeConn *conn = fake_connect(&fake);
    assert_true(
        fake_login_to(&fake, conn, "iqn.i", 1, "iqn.2026-11.T:Other", "MaxBurstLength=65536\n"));
    assert_int_equal(conn->negotiated.max_burst_length, 16384);
    assert_int_equal(conn->negotiated.queue_depth, 33);
    SessionRecord *record = fake.records->pdata[0];
    assert_string_equal(record->target, "iqn.2026-11.t:other");
    assert_string_equal(record->transport, "fake");
    guint32 burst;
    assert_true(g_variant_lookup(record->negotiated, "MaxBurstLength", "u", &burst));
    assert_int_equal(burst, 16384);
    fake_hang_up(conn);
    fake_run(&fake);
    remove_target(other);
}

static void bad_targets_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"MaxBurstLength"};
    static const char *const values[] = {"1"};
    g_autoptr(GError) key = NULL, twice = NULL, name = NULL, range = NULL;
    assert_null(add_target("iqn.x", keys, values, 1, &key));
    assert_non_null(strstr(key->message, "MaxBurstLength=1: must be a number from 512"));
    assert_null(add_target(TARGET, NULL, NULL, 0, &twice));
    assert_non_null(twice);
    assert_null(add_target("has blank", NULL, NULL, 0, &name));
    assert_non_null(name);
    assert_null(iscsi_portal_add_target(
        fake.portal,
        &(TransportTargetSpec){
            .name = "iqn.x", .allow = &(TransportAllow){.address = "10.0.0.0/33"}, .n_allow = 1},
        &range));
    assert_non_null(range);
}

static void keys_are_checked(void **state)
{
    (void)state;
    assert_true(iscsi_portal_check_key("FirstBurstLength", "8192", true, NULL));
    assert_false(iscsi_portal_check_key("FirstBurstLength", "8192", false, NULL));
    assert_true(iscsi_portal_check_key("login-timeout", "5", false, NULL));
    assert_false(iscsi_portal_check_key("login-timeout", "0", false, NULL));
    assert_false(iscsi_portal_check_key("login-timeout", "5", true, NULL));
    IscsiPortalConfig config = {0};
    assert_true(iscsi_portal_set(&config, "login-timeout", "5", NULL));
    assert_true(iscsi_portal_set(&config, "max-logins", "9", NULL));
    assert_int_equal(config.login_timeout_ms, 5000);
    assert_int_equal(config.max_logins, 9);
}

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&a;
    a.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    assert_int_equal(
        inet_pton(a.ss_family, text,
                  a.ss_family == AF_INET ? (void *)&ipv4->sin_addr : (void *)&ipv6->sin6_addr),
        1);
    address_set_port(&a, 3260);
    return a;
}

static bool admits(const char *glob, const char *range, const char *initiator, const char *peer)
{
    Acl *acl = acl_new(false, &(TransportAllow){glob, range}, 1, NULL);
    struct sockaddr_storage address = address_of(peer);
    bool admitted = acl_admits(acl, initiator, &address);
    acl_free(acl);
    return admitted;
}

static void access_lists_match(void **state)
{
    (void)state;
    assert_true(admits("iqn.A:*", NULL, "iqn.a:x", "1.2.3.4"));
    assert_false(admits("iqn.a:*", NULL, "iqn.b:x", "1.2.3.4"));
    assert_true(admits(NULL, "10.0.0.0/8", "any", "10.255.0.1"));
    assert_false(admits(NULL, "10.0.0.0/8", "any", "11.0.0.1"));
    assert_true(admits(NULL, "10.1.2.128/25", "any", "10.1.2.255"));
    assert_false(admits(NULL, "10.1.2.128/25", "any", "10.1.2.127"));
    assert_true(admits(NULL, "10.1.2.3", "any", "::ffff:10.1.2.3"));
    assert_true(admits(NULL, "fd00::/8", "any", "fdff::1"));
    assert_false(admits(NULL, "fd00::/8", "any", "fe80::1"));
    assert_true(admits(NULL, "0.0.0.0/0", "any", "9.9.9.9"));
    assert_false(admits("iqn.a", "10.0.0.0/8", "iqn.a", "11.0.0.1"));
    Acl *nobody = acl_new(false, NULL, 0, NULL);
    struct sockaddr_storage address = address_of("1.2.3.4");
    assert_false(acl_admits(nobody, "iqn.a", &address));
    acl_free(nobody);
}

static void addresses_are_printed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"1.2.3.4", "1.2.3.4:3260"}, {"::1", "[::1]:3260"}, {"::ffff:1.2.3.4", "1.2.3.4:3260"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct sockaddr_storage a = address_of(cases[i][0]);
        g_autofree char *text = address_print(&a);
        assert_string_equal(text, cases[i][1]);
    }
}

/* --- logins --- */

static void logins_are_refused_with_the_reason(void **state)
{
    (void)state;
    assert_int_equal(try_login(fake_connect(&fake), 0, "InitiatorName=iqn.i\nTargetName=iqn.no\n"),
                     LOGIN_NOT_FOUND);
    TransportTarget *closed = iscsi_portal_add_target(
        fake.portal, &(TransportTargetSpec){.name = "iqn.closed", .scsi = fake_scsi_target}, NULL);
    FakeConn *conn = fake_connect(&fake);
    assert_int_equal(try_login(conn, 0, "InitiatorName=iqn.i\nTargetName=iqn.closed\n"),
                     LOGIN_AUTHORIZATION_FAILURE);
    fake_run(&fake);
    assert_true(conn->freed);
    remove_target(closed);
    conn = fake_connect(&fake);
    conn->window = 0;
    assert_int_equal(try_login(conn, 0, "InitiatorName=iqn.i\nTargetName=" TARGET "\n"),
                     LOGIN_OUT_OF_RESOURCES);
    fake_run(&fake);
    assert_int_equal(fake.records->len, 0);
}

static void a_session_takes_one_connection(void **state)
{
    (void)state;
    FakeConn *conn = fake_connect(&fake);
    fake_login(conn, FINAL, 1, 0, "InitiatorName=iqn.i\nTargetName=" TARGET "\n");
    fake_run(&fake);
    uint16_t tsih = get_be16(fake_next(conn)->bhs + LOGIN_TSIH);
    assert_int_not_equal(tsih, 0);
    static const char text[] = "InitiatorName=iqn.i\nTargetName=" TARGET "\n";
    fake_cid = 6;
    assert_int_equal(try_login(fake_connect(&fake), tsih, text), LOGIN_TOO_MANY_CONNECTIONS);
    fake_cid = 5;
    assert_int_equal(try_login(fake_connect(&fake), (uint16_t)(tsih + 1), text), LOGIN_NO_SESSION);
    assert_false(conn->terminating);
}

static void a_connection_is_reinstated(void **state)
{
    (void)state;
    static const char text[] = "InitiatorName=iqn.i\nTargetName=" TARGET "\n";
    FakeConn *first = fake_connect(&fake), *second = fake_connect(&fake);
    fake_login(first, FINAL, 1, 0, text);
    fake_run(&fake);
    uint16_t tsih = get_be16(fake_next(first)->bhs + LOGIN_TSIH);
    fake_login(second, FINAL, 1, tsih, text);
    fake_run(&fake);
    const FakeSent *sent = fake_next(second);
    assert_int_equal(fake_login_status(sent), LOGIN_SUCCESS);
    assert_int_equal(get_be16(sent->bhs + LOGIN_TSIH), tsih);
    assert_true(first->freed);
    assert_int_equal(fake.records->len, 1);
    assert_int_equal(fake_nexuses, 1);
}

static void a_second_login_replaces_the_session(void **state)
{
    (void)state;
    FakeConn *first = log_in("iqn.i", 1);
    assert_non_null(first);
    assert_non_null(log_in("iqn.i", 2)); /* another port */
    assert_non_null(log_in("iqn.j", 1)); /* another initiator */
    assert_false(first->terminating);
    FakeConn *second = log_in("iqn.I", 1);
    assert_non_null(second);
    assert_true(first->freed);
    assert_int_equal(fake.records->len, 3);
    assert_int_equal(fake_nexuses, 3);
}

static void the_new_session_waits_for_the_old(void **state)
{
    (void)state;
    static const char text[] = "InitiatorName=iqn.i\nTargetName=" TARGET "\n";
    assert_non_null(log_in("iqn.i", 1));
    fake_abort_hangs = true;
    FakeConn *second = fake_connect(&fake), *third = fake_connect(&fake);
    fake_login(second, FINAL, 1, 0, text);
    fake_run(&fake);
    assert_null(fake_next(second));
    fake_login(third, FINAL, 1, 0, text);
    fake_run(&fake);
    fake_finish_aborts();
    fake_run(&fake);
    assert_true(second->freed); /* it was granted, and replaced at once */
    assert_int_equal(fake_login_status(fake_next(third)), LOGIN_SUCCESS);
    assert_int_equal(fake.records->len, 1);
}

/* What is left of the old one is with a disk that hangs: nothing to wait for. */
static void the_new_session_does_not_wait_for_hung_disks(void **state)
{
    (void)state;
    FakeConn *first = log_in("iqn.i", 1);
    assert_non_null(first);
    fake_abort_hangs = true;
    FakeConn *second = fake_connect(&fake);
    fake_login(second, FINAL, 1, 0, "InitiatorName=iqn.i\nTargetName=" TARGET "\n");
    fake_run(&fake);
    assert_null(fake_next(second));
    fake_only_hung_left();
    fake_run(&fake);
    assert_int_equal(fake_login_status(fake_next(second)), LOGIN_SUCCESS);
    assert_false(first->freed);
    assert_int_equal(fake.records->len, 2);
    fake_finish_aborts();
    fake_run(&fake);
    assert_true(first->freed);
    assert_false(second->terminating);
    assert_int_equal(fake.records->len, 1);
}

static void an_initiator_may_give_up_waiting(void **state)
{
    (void)state;
    assert_non_null(log_in("iqn.i", 1));
    fake_abort_hangs = true;
    FakeConn *second = fake_connect(&fake);
    fake_login(second, FINAL, 1, 0, "InitiatorName=iqn.i\nTargetName=" TARGET "\n");
    fake_run(&fake);
    fake_hang_up(second);
    fake_run(&fake);
    assert_false(second->freed);
    fake_finish_aborts();
    fake_run(&fake);
    assert_true(second->freed);
    assert_int_equal(fake.records->len, 0);
}

static void silent_connections_make_room(void **state)
{
    (void)state;
    FakeConn *conns[6];
    for (unsigned i = 0; i < 6; i++)
        conns[i] = fake_connect(&fake);
    fake_run(&fake);
    assert_true(conns[0]->freed && conns[1]->freed);
    assert_false(conns[2]->terminating);
    assert_true(fake_login_to(&fake, conns[5], "iqn.i", 1, TARGET, ""));
}

static void the_hosts_keys_overrule(void **state)
{
    (void)state;
    static const char *const keys[] = {"listen", "max-logins"}, *const values[] = {"x", "2"};
    TransportHost host = fake.host;
    host.keys = keys;
    host.values = values;
    host.n_keys = 2;
    IscsiPortal *usual = fake.portal;
    fake.portal = iscsi_portal_new(&host, &(IscsiPortalConfig){.transport = "fake"}, NULL);
    FakeConn *first = fake_connect(&fake);
    fake_connect(&fake);
    assert_false(first->terminating);
    fake_connect(&fake);
    assert_true(first->terminating);
    iscsi_portal_free(fake.portal);
    fake.portal = usual;
}

static void logins_time_out(void **state)
{
    (void)state;
    Fake *f = &fake;
    remove_target(target);
    fake_teardown(f);
    fake_setup(f, 4, 20);
    target = add_target(TARGET, NULL, NULL, 0, NULL);
    FakeConn *conn = fake_connect(f);
    assert_true(fake_wait(f, is_set, &conn->freed));
    assert_int_equal(fake_login_status(fake_next(conn)), LOGIN_SERVICE_UNAVAILABLE);
}

static void garbage_before_login_is_refused(void **state)
{
    (void)state;
    static const uint8_t zeros[ISCSI_BHS_LEN];
    FakeConn *conn = fake_connect(&fake);
    fake_receive(conn, zeros, NULL, 0);
    assert_int_equal(fake_login_status(fake_next(conn)), LOGIN_INVALID_DURING_LOGIN);
    fake_receive(conn, zeros, NULL, 0);
    conn->base.up->bad_digest(&conn->base, zeros);
    assert_null(fake_next(conn));
    fake_run(&fake);
    assert_true(conn->freed);
}

/* --- discovery --- */

static FakeConn *discover(void)
{
    FakeConn *conn = fake_connect(&fake);
    assert_int_equal(try_login(conn, 0, "InitiatorName=iqn.i\nSessionType=Discovery\n"),
                     LOGIN_SUCCESS);
    return conn;
}

/* The whole answer, with '\n' for NUL. */
static char *send_targets(FakeConn *conn, const char *which, unsigned *pdus)
{
    static uint32_t sn = 1000;
    GString *text = g_string_new(NULL);
    g_autofree char *request = g_strconcat("SendTargets=", which, NULL);
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t ttt = ISCSI_NO_TAG;
    for (*pdus = 0; *pdus < 100; ++*pdus) {
        pdu_begin(bhs, ISCSI_TEXT_REQUEST, PDU_FINAL, 5);
        bhs[0] |= PDU_IMMEDIATE;
        put_be32(bhs + PDU_TTT, ttt);
        put_be32(bhs + PDU_CMD_SN, sn);
        fake_receive(conn, bhs, request, *pdus ? 0 : strlen(request) + 1);
        fake_run(&fake);
        const FakeSent *sent = fake_next(conn);
        assert_int_equal(pdu_opcode(sent->bhs), ISCSI_TEXT_RESPONSE);
        assert_true(sent->len <= 8192);
        g_string_append_len(text, (char *)sent->data, sent->len);
        ttt = pdu_ttt(sent->bhs);
        assert_int_equal(ttt == ISCSI_NO_TAG, pdu_final(sent->bhs));
        if (pdu_final(sent->bhs))
            break;
        assert_int_equal(sent->bhs[PDU_FLAGS], TEXT_CONTINUE);
    }
    for (gsize i = 0; i < text->len; i++)
        if (!text->str[i])
            text->str[i] = '\n';
    return g_string_free(text, FALSE);
}

static void discovery_lists_what_may_be_used(void **state)
{
    (void)state;
    struct sockaddr_storage other = address_of("192.0.2.1"), any6 = address_of("::");
    iscsi_portal_add_address(fake.portal, &other, 7);
    iscsi_portal_add_address(fake.portal, &any6, 9);
    TransportTarget *open = add_target("iqn.2026-11.a:first", NULL, NULL, 0, NULL);
    TransportTarget *closed =
        iscsi_portal_add_target(fake.portal, &(TransportTargetSpec){.name = "iqn.closed"}, NULL);
    FakeConn *conn = discover();
    unsigned pdus;
    g_autofree char *all = send_targets(conn, "All", &pdus);
    assert_string_equal(all, "TargetName=iqn.2026-11.a:first\n"
                             "TargetAddress=10.1.2.3:17400,7\nTargetAddress=192.0.2.1:3260,7\n"
                             "TargetName=" TARGET "\n"
                             "TargetAddress=10.1.2.3:17400,7\nTargetAddress=192.0.2.1:3260,7\n");
    iscsi_portal_remove_address(fake.portal, &other);
    g_autofree char *one = send_targets(conn, TARGET, &pdus);
    assert_string_equal(one, "TargetName=" TARGET "\nTargetAddress=10.1.2.3:17400,7\n");
    g_autofree char *none = send_targets(conn, "iqn.closed", &pdus);
    assert_string_equal(none, "");
    remove_target(open);
    remove_target(closed);
}

static void long_answers_are_continued(void **state)
{
    (void)state;
    TransportTarget *targets[200];
    for (unsigned i = 0; i < 200; i++) {
        g_autofree char *name = g_strdup_printf("iqn.2026-11.many:%03u", i);
        targets[i] = add_target(name, NULL, NULL, 0, NULL);
    }
    unsigned pdus;
    g_autofree char *all = send_targets(discover(), "All", &pdus);
    assert_int_equal(pdus, strlen(all) / 8192);
    assert_true(pdus >= 1);
    assert_non_null(strstr(all, "TargetName=iqn.2026-11.many:000\n"));
    assert_non_null(strstr(all, "TargetName=iqn.2026-11.many:199\n"));
    for (unsigned i = 0; i < 200; i++)
        remove_target(targets[i]);
}

static void discovery_takes_nothing_else(void **state)
{
    (void)state;
    FakeConn *conn = discover();
    uint8_t bhs[ISCSI_BHS_LEN];
    for (uint32_t i = 0; i < 12; i++) { /* more than the window: the numbers go on */
        pdu_begin(bhs, i & 1 ? ISCSI_SCSI_COMMAND : ISCSI_NOP_OUT, PDU_FINAL, i);
        put_be32(bhs + PDU_CMD_SN, 1000 + i);
        fake_receive(conn, bhs, NULL, 0);
        const FakeSent *sent = fake_next(conn);
        assert_int_equal(pdu_opcode(sent->bhs), ISCSI_REJECT);
        assert_int_equal(sent->bhs[REJECT_REASON], REJECT_NOT_SUPPORTED);
    }
    pdu_begin(bhs, ISCSI_LOGOUT_REQUEST, PDU_FINAL, 99);
    put_be32(bhs + PDU_CMD_SN, 1012);
    fake_receive(conn, bhs, NULL, 0);
    assert_int_equal(pdu_opcode(fake_next(conn)->bhs), ISCSI_LOGOUT_RESPONSE);
    fake_run(&fake);
    assert_true(conn->freed);
}

static void discovery_sessions_are_no_refuge(void **state)
{
    (void)state;
    FakeConn *first = discover();
    for (unsigned i = 0; i < 4; i++)
        discover();
    fake_run(&fake);
    assert_true(first->freed);
}

/* --- the ways down --- */

static void removing_a_target_logs_out(void **state)
{
    (void)state;
    FakeConn *conn = log_in("iqn.i", 1);
    bool removed = false;
    iscsi_portal_remove_target(target, note_removed, &removed);
    target = NULL;
    fake_run(&fake);
    assert_false(removed);
    const FakeSent *sent = fake_next(conn);
    assert_int_equal(pdu_opcode(sent->bhs), ISCSI_ASYNC_MESSAGE);
    assert_int_equal(sent->bhs[ASYNC_EVENT], ASYNC_LOGOUT_REQUEST);
    assert_int_equal(
        try_login(fake_connect(&fake), 0, "InitiatorName=iqn.i\nTargetName=" TARGET "\n"),
        LOGIN_NOT_FOUND);
    fake_hang_up(conn);
    fake_run(&fake);
    assert_true(removed);
}

static void removing_a_target_ends_logins(void **state)
{
    (void)state;
    FakeConn *conn = fake_connect(&fake);
    fake_login(conn, LOGIN_STAGES(1, 0), 1, 0, "InitiatorName=iqn.i\nTargetName=" TARGET "\n");
    fake_run(&fake);
    assert_int_equal(fake_login_status(fake_next(conn)), LOGIN_SUCCESS);
    remove_target(target);
    target = NULL;
    assert_true(conn->freed);
}

static void the_portal_ends_what_is_left(void **state)
{
    (void)state;
    fake_connect(&fake);
    discover();
    remove_target(target);
    target = NULL;
}

static void silence_is_asked_about(void **state)
{
    (void)state;
    static const char *const keys[] = {"nop-interval", "nop-timeout"};
    static const char *const values[] = {"1", "1"};
    TransportTarget *watched = add_target("iqn.watched", keys, values, 2, NULL);
    FakeConn *conn = fake_connect(&fake);
    assert_true(fake_login_to(&fake, conn, "iqn.i", 1, "iqn.watched", ""));
    assert_true(fake_wait(&fake, is_set, &conn->freed));
    const FakeSent *sent = fake_next(conn);
    assert_int_equal(pdu_opcode(sent->bhs), ISCSI_NOP_IN);
    assert_int_equal(pdu_itt(sent->bhs), ISCSI_NO_TAG);
    assert_int_not_equal(pdu_ttt(sent->bhs), ISCSI_NO_TAG);
    assert_int_equal(get_be32(sent->bhs + PDU_STAT_SN), 1); /* not used up */
    remove_target(watched);
}

/* --- two threads: what is said between a home loop and loop 0 --- */

static Loop *io;

static void connect_and_log_in(void *arg)
{
    FakeConn *conn = arg;
    g_assert(iscsi_accept(&conn->base, fake.portal)); /* not the thread of the test */
    fake_login(conn, FINAL, 1, 0, "InitiatorName=iqn.i\nTargetName=" TARGET "\n");
}

static void break_wire(void *arg)
{
    fake_hang_up(arg);
}

static uint64_t last_id;

/* The newest session is there, and no other. */
static bool is_replaced(void *arg)
{
    (void)arg;
    return fake.records->len == 1 && ((SessionRecord *)fake.records->pdata[0])->id != last_id;
}

static bool is_empty(void *arg)
{
    (void)arg;
    return fake.records->len == 0;
}

static void sessions_live_on_their_own_loop(void **state)
{
    (void)state;
    FakeConn *conn = NULL;
    io = loop_new(1, &(LoopConfig){0});
    for (unsigned i = 0; i < 20; i++) {
        conn = fake_conn_new(&fake, io);
        loop_call(io, connect_and_log_in, conn);
        assert_true(fake_wait(&fake, is_replaced, NULL));
        SessionRecord *record = fake.records->pdata[0];
        assert_int_equal(record->loop, 1);
        last_id = record->id;
    }
    loop_call(io, break_wire, conn);
    assert_true(fake_wait(&fake, is_empty, NULL));
    remove_target(target);
    target = NULL;
    iscsi_portal_free(fake.portal);
    fake.portal = NULL;
    loop_free(io);
}

#define PORTAL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PORTAL_TEST(keys_of_a_target_are_offered),
        PORTAL_TEST(bad_targets_are_refused),
        cmocka_unit_test(keys_are_checked),
        cmocka_unit_test(access_lists_match),
        cmocka_unit_test(addresses_are_printed),
        PORTAL_TEST(logins_are_refused_with_the_reason),
        PORTAL_TEST(a_session_takes_one_connection),
        PORTAL_TEST(a_connection_is_reinstated),
        PORTAL_TEST(a_second_login_replaces_the_session),
        PORTAL_TEST(the_new_session_waits_for_the_old),
        PORTAL_TEST(the_new_session_does_not_wait_for_hung_disks),
        PORTAL_TEST(an_initiator_may_give_up_waiting),
        PORTAL_TEST(silent_connections_make_room),
        PORTAL_TEST(the_hosts_keys_overrule),
        PORTAL_TEST(logins_time_out),
        PORTAL_TEST(garbage_before_login_is_refused),
        PORTAL_TEST(discovery_lists_what_may_be_used),
        PORTAL_TEST(long_answers_are_continued),
        PORTAL_TEST(discovery_takes_nothing_else),
        PORTAL_TEST(discovery_sessions_are_no_refuge),
        PORTAL_TEST(removing_a_target_logs_out),
        PORTAL_TEST(removing_a_target_ends_logins),
        PORTAL_TEST(the_portal_ends_what_is_left),
        PORTAL_TEST(silence_is_asked_about),
        PORTAL_TEST(sessions_live_on_their_own_loop),
    };
    return unit_run(tests);
}
