/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All of it: PDUs over a TCP connection to a session and its LUN, R2Ts answered. An input is a byte
 * of options and then records, see send_pdu(). */
#include "iser/iscsi/portal.h"
#include "iser/tcp/bhs.h"
#include "iser/tcp/conn.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/world.h"
#include "tests/unit/scsi_fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORDS_MAX 32u
#define DATA_MAX    9000u
#define FRAME_MAX   (ISCSI_BHS_LEN + 28 + DATA_MAX + 3)
#define LUN_SIZE    (64u << 10)
#define CMD_SN      1000

enum { OPTION_LOGIN = 0x01 /* the input begins with the login */ };

/* First byte of a record. */
enum {
    RECORD_AHS_WORDS = 0x07,
    RECORD_SOLICITED = 0x08, /* answers the oldest R2T, whatever the BHS says */
    RECORD_RAW_SN = 0x10,    /* not the CmdSN that is due */
    RECORD_HASTY = 0x20,     /* the next record follows at once */
};

typedef struct {
    World *world;
    TransportHost host;
    IscsiPortal *portal;
    ScsiTarget *scsi;
    Lun *lun;
    TransportTarget *target;
    int peer;
    bool freed;
    unsigned sessions;
    uint32_t cmd_sn;
    GByteArray *received;
    uint8_t r2t[ISCSI_BHS_LEN]; /* the oldest that was not answered; zeros: none */
    uint32_t r2t_sent;          /* bytes of it */
} Run;

/* --- the daemon ------------------------------------------------------------------------------- */

static void session_added(void *arg, SessionRecord *record)
{
    (void)record;
    ((Run *)arg)->sessions++;
}

static void session_removed(void *arg, SessionRecord *record)
{
    (void)record;
    ((Run *)arg)->sessions--;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void connect_pair(Run *run)
{
    int fds[2];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(3260)};
    int res = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
    g_assert_cmpint(res, ==, 0);
    run->peer = fds[1];
    TcpConn *conn = tcp_conn_new(run->world->loop, run->world->memory, run->world->budget, fds[0]);
    g_assert(conn);
    conn->freed = set_flag;
    conn->freed_arg = &run->freed;
    memcpy(&conn->base.local, &address, sizeof address);
    memcpy(&conn->base.peer, &address, sizeof address);
    bool accepted = iscsi_accept(&conn->base, run->portal);
    g_assert(accepted);
    bool started = tcp_conn_start(conn);
    g_assert(started);
}

static void begin(Run *run)
{
    *run = (Run){.world = world_get(), .cmd_sn = CMD_SN, .received = g_byte_array_new()};
    World *world = run->world;
    run->host = (TransportHost){.main = world->loop,
                                .io_loops = &world->loop,
                                .n_io_loops = 1,
                                .memory = world->memory,
                                .receive = world->budget,
                                .session_added = session_added,
                                .session_removed = session_removed,
                                .arg = run};
    run->portal = iscsi_portal_new(
        &run->host,
        &(IscsiPortalConfig){.transport = "iscsi", .group_tag = 1, .login_timeout_ms = 60000},
        NULL);
    world_make_store(world, 0, LUN_SIZE, false);
    GError *error = NULL;
    run->lun = lun_new(world_spec(world, 0), world->memory, &world->loop, 1, &error);
    g_assert_no_error(error);
    run->scsi = scsi_target_new(SCSI_NAME, &world->loop, 1);
    scsi_target_add_lun(run->scsi, run->lun);
    run->target = iscsi_portal_add_target(
        run->portal,
        &(TransportTargetSpec){.name = SCSI_NAME, .scsi = run->scsi, .allow_all = true}, NULL);
    connect_pair(run);
}

static void end(Run *run)
{
    bool removed = false;
    close(run->peer);
    wait_for(&run->freed);
    iscsi_portal_remove_target(run->target, set_flag, &removed);
    wait_for(&removed);
    g_assert_cmpuint(run->sessions, ==, 0);
    world_drop_lun(run->scsi, run->lun);
    scsi_target_free(run->scsi);
    iscsi_portal_free(run->portal);
    g_byte_array_unref(run->received);
}

/* --- the initiator ---------------------------------------------------------------------------- */

/* What the target sends is well formed. */
static void take_answers(Run *run)
{
    GByteArray *in = run->received;
    while (in->len >= ISCSI_BHS_LEN) {
        uint32_t data_len = bhs_data_len(in->data);
        guint len = ISCSI_BHS_LEN + bhs_ahs_len(in->data) + data_len + bhs_padding(data_len);
        if (in->len < len)
            return;
        g_assert_cmpuint(pdu_opcode(in->data), >=, ISCSI_NOP_IN);
        if (pdu_opcode(in->data) == ISCSI_R2T && run->r2t[0] == 0) {
            memcpy(run->r2t, in->data, ISCSI_BHS_LEN);
            run->r2t_sent = 0;
        }
        g_byte_array_remove_range(in, 0, len);
    }
}

static void turn(Run *run)
{
    uint8_t bytes[4096];
    ssize_t n;
    do {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        while ((n = recv(run->peer, bytes, sizeof bytes, 0)) > 0)
            g_byte_array_append(run->received, bytes, (guint)n);
        take_answers(run);
    } while (n > 0);
}

static void write_all(Run *run, const uint8_t *bytes, size_t len)
{
    while (len > 0 && !run->freed) {
        ssize_t n = send(run->peer, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* it does not read: nothing is there that it waits for */
        bytes += n;
        len -= (size_t)n;
        if (len > 0)
            turn(run);
    }
}

static void log_in(Run *run)
{
    static const char text[] = "InitiatorName=iqn.i\0TargetName=" SCSI_NAME
                               "\0InitialR2T=No\0ImmediateData=Yes\0MaxBurstLength=8192\0"
                               "FirstBurstLength=4096\0iSCSIProtocolLevel=2";
    uint8_t frame[ISCSI_BHS_LEN + sizeof text + 3] = {0};
    pdu_begin(frame, ISCSI_LOGIN_REQUEST, LOGIN_TRANSIT | LOGIN_STAGES(1, 3), 1);
    frame[0] |= PDU_IMMEDIATE;
    frame[LOGIN_ISID + 5] = 1;
    put_be32(frame + PDU_CMD_SN, CMD_SN);
    put_be24(frame + BHS_DATA_LEN, sizeof text);
    memcpy(frame + ISCSI_BHS_LEN, text, sizeof text);
    write_all(run, frame, ISCSI_BHS_LEN + sizeof text + bhs_padding(sizeof text));
    turn(run);
    g_assert_cmpuint(run->sessions, ==, 1);
}

static void make_solicited(Run *run, uint8_t *bhs, uint32_t *len)
{
    uint32_t left = get_be32(run->r2t + R2T_DESIRED_LENGTH) - run->r2t_sent;
    if (run->r2t[0] == 0)
        return;
    *len = MIN(*len, left);
    pdu_begin(bhs, ISCSI_DATA_OUT, *len == left ? PDU_FINAL : 0, pdu_itt(run->r2t));
    put_be32(bhs + PDU_TTT, pdu_ttt(run->r2t));
    put_be32(bhs + DATA_OFFSET, get_be32(run->r2t + DATA_OFFSET) + run->r2t_sent);
    put_be32(bhs + DATA_SN, run->r2t_sent > 0);
    run->r2t_sent += *len;
    if (*len == left)
        run->r2t[0] = 0;
}

static void number(Run *run, uint8_t *bhs)
{
    IscsiOpcode opcode = pdu_opcode(bhs);
    if (opcode == ISCSI_DATA_OUT || opcode == ISCSI_SNACK_REQUEST)
        return;
    put_be32(bhs + PDU_CMD_SN, run->cmd_sn);
    run->cmd_sn += !pdu_immediate(bhs);
}

/* How, the length of the data, BHS, AHS and data. */
static void send_pdu(Run *run, ByteReader *input)
{
    uint8_t frame[FRAME_MAX] = {0}, how = byte_reader_u8(input);
    uint32_t data_len = byte_reader_be16(input) % (DATA_MAX + 1);
    size_t bhs_len = ISCSI_BHS_LEN, ahs_len = (how & RECORD_AHS_WORDS) * 4u;
    const uint8_t *part = fuzz_take(input, &bhs_len);
    memcpy(frame, part, bhs_len);
    if (how & RECORD_SOLICITED)
        make_solicited(run, frame, &data_len);
    if (!(how & RECORD_RAW_SN))
        number(run, frame);
    frame[BHS_AHS_WORDS] = how & RECORD_AHS_WORDS;
    put_be24(frame + BHS_DATA_LEN, data_len);
    size_t at = ISCSI_BHS_LEN + ahs_len, here = data_len;
    part = fuzz_take(input, &ahs_len);
    memcpy(frame + ISCSI_BHS_LEN, part, ahs_len);
    part = fuzz_take(input, &here);
    memcpy(frame + at, part, here);
    write_all(run, frame, at + data_len + bhs_padding(data_len));
    if (!(how & RECORD_HASTY))
        turn(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ByteReader input = byte_reader(data, size);
    uint8_t options = byte_reader_u8(&input);
    Run run;
    begin(&run);
    if (!(options & OPTION_LOGIN))
        log_in(&run);
    for (unsigned i = 0; i < RECORDS_MAX && byte_reader_left(&input) > 0 && !run.freed; i++)
        send_pdu(&run, &input);
    end(&run);
    return 0;
}
