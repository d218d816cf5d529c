/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transport "iscsi" as the daemon uses it: a discovery over loopback, addresses in use, and an
 * end with a connection still there. */
#include "iser/tcp/transport.h"

#include "iser/tcp/bhs.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define TARGET "iqn.2026-11.org.rtgt:unit"

typedef struct {
    Loop *main, *io;
    Arena *arena;
    TransportHost host;
    ScsiTarget *scsi;
    TransportTarget *target;
    char address[32];
    uint16_t port;
    bool removed;
} Rig;

static void no_growth(void *arg)
{
    (void)arg;
}

static void note_session(void *arg, SessionRecord *record)
{
    (void)arg, (void)record;
}

static void note_removed(void *arg)
{
    ((Rig *)arg)->removed = true;
}

/* One that was free a moment ago. */
static uint16_t find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void rig_init(Rig *rig)
{
    static const LoopConfig loop = {.poll_us = 0};
    ArenaConfig arena = {.limit = 16 << 20, .initial = 16 << 20};
    *rig = (Rig){.main = loop_new_main(&loop), .io = loop_new(1, &loop), .port = find_port()};
    rig->arena = arena_new(&arena, no_growth, NULL, NULL);
    assert_non_null(rig->arena);
    rig->host = (TransportHost){.main = rig->main,
                                .io_loops = &rig->io,
                                .n_io_loops = 1,
                                .memory = memory_new(rig->arena, 8 << 20, &rig->io, 1),
                                .receive = receive_budget_new(rig->arena, 4 << 20),
                                .session_added = note_session,
                                .session_removed = note_session};
    rig->scsi = scsi_target_new(TARGET, &rig->io, 1);
    snprintf(rig->address, sizeof rig->address, "127.0.0.1:%u", rig->port);
    assert_true(iscsi_transport.start(&rig->host, NULL));
    rig->target = iscsi_transport.add_target(
        &(TransportTargetSpec){.name = TARGET, .scsi = rig->scsi, .allow_all = true}, NULL);
    assert_non_null(rig->target);
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
    iscsi_transport.remove_target(rig->target, note_removed, rig);
    wait_until(rig->removed);
    iscsi_transport.stop();
    loop_free(rig->io);
    scsi_target_free(rig->scsi);
    receive_budget_free(rig->host.receive);
    memory_free(rig->host.memory);
    arena_free(rig->arena);
    loop_free(rig->main);
}

static int connect_to(const Rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(rig->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_pdu(int fd, uint8_t *bhs, const char *data, uint32_t len)
{
    static const uint8_t zeros[3];
    put_be24(bhs + BHS_DATA_LEN, len);
    assert_int_equal(write(fd, bhs, ISCSI_BHS_LEN), ISCSI_BHS_LEN);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(write(fd, zeros, bhs_padding(len)), bhs_padding(len));
}

static void read_all(int fd, void *bytes, size_t len)
{
    for (uint8_t *at = bytes; len > 0;) {
        ssize_t n = -1;
        wait_until((n = recv(fd, at, len, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
        assert_true(n > 0);
        at += n;
        len -= (size_t)n;
    }
}

/* The data is left as a string of lines. */
static void receive_pdu(int fd, uint8_t *bhs, char data[1024])
{
    read_all(fd, bhs, ISCSI_BHS_LEN);
    uint32_t len = bhs_data_len(bhs);
    assert_in_range(len, 0, 1000);
    read_all(fd, data, len + bhs_padding(len));
    for (uint32_t i = 0; i < len; i++)
        if (!data[i])
            data[i] = '\n';
    data[len] = 0;
}

static int log_in_for_discovery(const Rig *rig)
{
    static const char keys[] = "InitiatorName=iqn.2026-11.org.rtgt:test\0SessionType=Discovery";
    uint8_t bhs[ISCSI_BHS_LEN] = {0};
    char data[1024];
    int fd = connect_to(rig);
    bhs[0] = PDU_IMMEDIATE | ISCSI_LOGIN_REQUEST;
    bhs[PDU_FLAGS] =
        LOGIN_TRANSIT | LOGIN_STAGES(LOGIN_STAGE_OPERATIONAL, LOGIN_STAGE_FULL_FEATURE);
    bhs[LOGIN_ISID] = 0x80;
    send_pdu(fd, bhs, keys, sizeof keys);
    receive_pdu(fd, bhs, data);
    assert_int_equal(pdu_opcode(bhs), ISCSI_LOGIN_RESPONSE);
    assert_int_equal(get_be16(bhs + LOGIN_STATUS), LOGIN_SUCCESS);
    assert_int_equal(bhs[PDU_FLAGS] & LOGIN_TRANSIT, LOGIN_TRANSIT);
    return fd;
}

static void targets_are_found_where_it_listens(void **state)
{
    static const char keys[] = "SendTargets=All";
    uint8_t bhs[ISCSI_BHS_LEN] = {ISCSI_TEXT_REQUEST, PDU_FINAL};
    char data[1024], line[64];
    Rig rig;
    (void)state;
    rig_init(&rig);
    TransportListener *listener = iscsi_transport.listen(rig.address, NULL);
    assert_non_null(listener);
    int fd = log_in_for_discovery(&rig);
    put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    send_pdu(fd, bhs, keys, sizeof keys);
    receive_pdu(fd, bhs, data);
    assert_int_equal(pdu_opcode(bhs), ISCSI_TEXT_RESPONSE);
    snprintf(line, sizeof line, "TargetAddress=%s,1\n", rig.address);
    assert_non_null(strstr(data, "TargetName=" TARGET "\n"));
    assert_non_null(strstr(data, line));
    close(fd);
    iscsi_transport.unlisten(listener);
    rig_deinit(&rig);
}

static void address_in_use_is_an_error(void **state)
{
    Rig rig;
    g_autoptr(GError) error = NULL;
    (void)state;
    rig_init(&rig);
    TransportListener *listener = iscsi_transport.listen(rig.address, NULL);
    assert_non_null(listener);
    assert_null(iscsi_transport.listen(rig.address, &error));
    assert_non_null(strstr(error->message, rig.address));
    iscsi_transport.unlisten(listener);
    rig_deinit(&rig);
}

static void stop_ends_connections_without_session(void **state)
{
    Rig rig;
    uint8_t byte;
    (void)state;
    rig_init(&rig);
    TransportListener *listener = iscsi_transport.listen(rig.address, NULL);
    int discovering = log_in_for_discovery(&rig), silent = connect_to(&rig);
    iscsi_transport.unlisten(listener);
    rig_deinit(&rig);
    assert_true(recv(discovering, &byte, 1, 0) <= 0);
    assert_true(recv(silent, &byte, 1, 0) <= 0);
    close(discovering);
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_found_where_it_listens),
        cmocka_unit_test(address_in_use_is_an_error),
        cmocka_unit_test(stop_ends_connections_without_session),
    };
    return unit_run(tests);
}
