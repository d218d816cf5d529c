/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening: addresses good and bad, both families, spreading over loops, the cap, no descriptors.
 */
#include "iser/tcp/listener.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPS = 2, CAP = 10 };

typedef struct {
    Loop *main, *io[LOOPS];
    Arena *arena;
    Memory *memory;
    ReceiveBudget *budget;
    TcpHost *host;
    atomic_uint accepted[LOOPS];
    bool refuse;
} Rig;

static void no_growth(void *arg)
{
    (void)arg;
}

static void drop_pdu(DmConn *conn, DmPdu *pdu)
{
    conn->dm->release_pdu(pdu);
}

static void ignore_digest(DmConn *conn, const uint8_t bhs[ISCSI_BHS_LEN])
{
    (void)conn, (void)bhs;
}

static void free_terminated(DmConn *conn, const char *reason)
{
    (void)reason;
    conn->dm->free(conn);
}

static bool accepted(DmConn *conn, void *arg)
{
    static const DmUpcalls upcalls = {drop_pdu, ignore_digest, free_terminated};
    Rig *rig = arg;
    for (unsigned i = 0; i < LOOPS; i++)
        if (rig->io[i] == conn->loop && loop_self() == conn->loop)
            atomic_fetch_add(&rig->accepted[i], 1);
    conn->up = &upcalls;
    return !rig->refuse;
}

static void rig_init(Rig *rig)
{
    static const LoopConfig config = {.poll_us = 0};
    ArenaConfig arena = {.limit = 16 << 20, .initial = 16 << 20};
    memset(rig, 0, sizeof *rig);
    rig->main = loop_new_main(&config);
    for (unsigned i = 0; i < LOOPS; i++)
        rig->io[i] = loop_new(i + 1, &config);
    rig->arena = arena_new(&arena, no_growth, NULL, NULL);
    assert_non_null(rig->arena);
    rig->memory = memory_new(rig->arena, 8 << 20, rig->io, LOOPS);
    rig->budget = receive_budget_new(rig->arena, 4 << 20);
    TcpHostConfig host = {rig->main, rig->io, LOOPS, rig->memory, rig->budget, accepted, rig, CAP};
    rig->host = tcp_host_new(&host);
}

#define wait_until(condition)                                            \
    do {                                                                 \
        gint64 deadline_ = g_get_monotonic_time() + 20 * G_USEC_PER_SEC; \
        while (!(condition)) {                                           \
            g_main_context_iteration(NULL, FALSE);                       \
            assert_true(g_get_monotonic_time() < deadline_);             \
        }                                                                \
    } while (0)

static void rig_deinit(Rig *rig)
{
    wait_until(tcp_host_count(rig->host) == 0);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_free(rig->io[i]);
    tcp_host_unref(rig->host);
    receive_budget_free(rig->budget);
    memory_free(rig->memory);
    arena_free(rig->arena);
    loop_free(rig->main);
}

static int connect_to(uint16_t port, bool v6)
{
    struct sockaddr_in in4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *address = v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in4;
    if (fd >= 0 && connect(fd, address, v6 ? sizeof in6 : sizeof in4) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static uint16_t port_of(const TcpListener *listener)
{
    struct sockaddr_storage address;
    tcp_listener_get_address(listener, &address);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static unsigned accepted_in_all(Rig *rig)
{
    return atomic_load(&rig->accepted[0]) + atomic_load(&rig->accepted[1]);
}

/* The peer sees the end of the connection. */
static void expect_closed(int fd)
{
    uint8_t byte;
    struct timeval limit = {.tv_sec = 20};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static void connections_are_spread_over_the_loops(void **state)
{
    Rig rig;
    int fds[8];
    (void)state;
    rig_init(&rig);
    TcpListener *listener = tcp_listener_new(rig.host, "127.0.0.1:0", NULL);
    assert_non_null(listener);
    for (unsigned i = 0; i < 8; i++)
        fds[i] = connect_to(port_of(listener), false);
    wait_until(tcp_host_count(rig.host) == 8);
    tcp_listener_free(listener);
    tcp_host_settle(rig.host);
    assert_int_equal(accepted_in_all(&rig), 8);
    assert_int_equal(atomic_load(&rig.accepted[0]), 4);
    for (unsigned i = 0; i < 8; i++)
        close(fds[i]);
    rig_deinit(&rig);
}

static void beyond_the_cap_connections_are_closed(void **state)
{
    Rig rig;
    int fds[CAP];
    (void)state;
    rig_init(&rig);
    TcpListener *listener = tcp_listener_new(rig.host, "127.0.0.1:0", NULL);
    uint16_t port = port_of(listener);
    for (unsigned i = 0; i < CAP; i++)
        fds[i] = connect_to(port, false);
    wait_until(accepted_in_all(&rig) == CAP);
    int more = connect_to(port, false);
    g_test_expect_message("rtgt", G_LOG_LEVEL_WARNING, "*as many as*");
    g_main_context_iteration(NULL, TRUE);
    g_test_assert_expected_messages();
    expect_closed(more);
    close(fds[0]);
    wait_until(tcp_host_count(rig.host) == CAP - 1);
    fds[0] = connect_to(port, false);
    wait_until(accepted_in_all(&rig) == CAP + 1);
    for (unsigned i = 0; i < CAP; i++)
        close(fds[i]);
    tcp_listener_free(listener);
    rig_deinit(&rig);
}

static void refused_by_the_session_layer_is_closed(void **state)
{
    Rig rig;
    (void)state;
    rig_init(&rig);
    rig.refuse = true;
    TcpListener *listener = tcp_listener_new(rig.host, "127.0.0.1:0", NULL);
    int fd = connect_to(port_of(listener), false);
    wait_until(accepted_in_all(&rig) == 1);
    expect_closed(fd);
    tcp_listener_free(listener);
    rig_deinit(&rig);
}

static void both_wildcards_share_a_port(void **state)
{
    Rig rig;
    g_autofree char *v6 = NULL;
    g_autoptr(GError) error = NULL;
    (void)state;
    rig_init(&rig);
    TcpListener *four = tcp_listener_new(rig.host, "0.0.0.0:0", NULL);
    uint16_t port = port_of(four);
    v6 = g_strdup_printf("[::]:%u", port);
    TcpListener *six = tcp_listener_new(rig.host, v6, &error);
    int fd6 = six ? connect_to(port, true) : -1;
    int fd4 = connect_to(port, false);
    assert_true(fd4 >= 0);
    wait_until(accepted_in_all(&rig) == (fd6 >= 0 ? 2 : 1));
    close(fd4);
    if (fd6 >= 0)
        close(fd6);
    tcp_listener_free(four);
    tcp_listener_free(six);
    rig_deinit(&rig);
    if (fd6 < 0)
        unit_skip("no IPv6 here");
}

static void address_in_use_is_named(void **state)
{
    Rig rig;
    g_autoptr(GError) error = NULL;
    (void)state;
    rig_init(&rig);
    TcpListener *listener = tcp_listener_new(rig.host, "127.0.0.1:0", NULL);
    g_autofree char *address = g_strdup_printf("127.0.0.1:%u", port_of(listener));
    g_autofree char *message =
        g_strdup_printf("cannot listen on %s: address already in use", address);
    assert_null(tcp_listener_new(rig.host, address, &error));
    assert_string_equal(error->message, message);
    tcp_listener_free(listener);
    listener = tcp_listener_new(rig.host, address, NULL); /* free again at once */
    assert_non_null(listener);
    tcp_listener_free(listener);
    rig_deinit(&rig);
}

static void bad_addresses_are_refused(void **state)
{
    static const char *const bad[] = {
        "",          ":",       "127.0.0.1", "127.0.0.1:", ":3260",         "127.0.0.1:65536",
        "host:3260", "::1:326", "[::1]",     "[::1]3260",  "[1.2.3.4]:326", "127.0.0.1:-1",
        "[:3260"};
    Rig rig;
    (void)state;
    rig_init(&rig);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        assert_null(tcp_listener_new(rig.host, bad[i], &error));
        assert_true(g_error_matches(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT));
        assert_true(g_str_has_prefix(error->message, bad[i]));
    }
    rig_deinit(&rig);
}

static void without_descriptors_it_does_not_spin(void **state)
{
    Rig rig;
    struct rlimit before, none;
    LoopCounters then, now;
    (void)state;
    rig_init(&rig);
    TcpListener *listener = tcp_listener_new(rig.host, "127.0.0.1:0", NULL);
    int fd = connect_to(port_of(listener), false);
    int lowest = dup(fd);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    g_test_expect_message("rtgt", G_LOG_LEVEL_WARNING, "*cannot accept*");
    g_main_context_iteration(NULL, TRUE);
    g_test_assert_expected_messages();
    loop_get_counters(rig.main, &then);
    for (unsigned i = 0; i < 1000; i++)
        g_main_context_iteration(NULL, FALSE);
    loop_get_counters(rig.main, &now);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(now.turns - then.turns, 0, 100);
    wait_until(accepted_in_all(&rig) == 1);
    close(fd);
    tcp_listener_free(listener);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_spread_over_the_loops),
        cmocka_unit_test(beyond_the_cap_connections_are_closed),
        cmocka_unit_test(refused_by_the_session_layer_is_closed),
        cmocka_unit_test(both_wildcards_share_a_port),
        cmocka_unit_test(address_in_use_is_named),
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(without_descriptors_it_does_not_spin),
    };
    return unit_run(tests);
}
