/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The byte stream of a TCP connection, in pieces of all sizes. The session layer is played: reads
 * and writes move data, NOP-Outs are answered, other PDUs are kept or released. An input is a byte
 * of options and then records, see send_record(). */
#include "iser/tcp/bhs.h"
#include "iser/tcp/conn.h"
#include "iser/tcp/digest.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/world.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORDS_MAX 64u
#define MOVES_MAX   4u
#define PIECES_MIN  4u /* bytes that make three pieces */
#define MOVE_MAX    16384u
#define BURST       4096u
#define SEGMENT     8192u
#define DATA_MAX    12000u /* bytes of a record's data segment: longer ones than allowed, too */
#define PIECES_MAX  80u    /* of a PDU; the rest comes at once */
#define FRAME_MAX   (ISCSI_BHS_LEN + 12 + DATA_MAX + 3 + 2 * DIGEST_LEN)

/* The options of an input. */
enum {
    OPTION_HEADER_DIGEST = 0x01,
    OPTION_DATA_DIGEST = 0x02,
    OPTION_LOGIN = 0x04,   /* the connection is in its login phase */
    OPTION_RAW = 0x08,     /* the records are bytes as they are */
    OPTION_KEEP = 0x10,    /* PDUs are not released before the end */
    OPTION_NO_READ = 0x20, /* the peer takes nothing */
};

/* First byte of a record that becomes a PDU. */
enum {
    RECORD_AHS_WORDS = 0x03,
    RECORD_SOLICITED = 0x04, /* the Data-Out that is due, whatever the BHS says */
    RECORD_BAD_HEADER = 0x08,
    RECORD_BAD_DATA = 0x10,
    RECORD_PIECES = 0xe0, /* index in piece_lens */
};

static const size_t piece_lens[] = {FRAME_MAX, 1, 3, 48, 53, 512, 4096, 5000};

typedef struct {
    DmMove base; /* first; command NULL: not in use */
    struct iovec iov[3];
    uint8_t *memory;
    uint32_t data_sn; /* of the next Data-Out */
} Move;

typedef struct {
    World *world;
    DmConn *conn;
    int peer;
    uint8_t options;
    bool terminated;
    GPtrArray *pdus; /* DmPdu, kept */
    Move moves[MOVES_MAX];
} Run;

/* --- the session layer ------------------------------------------------------------------------ */

static void moved(DmMove *base, int error)
{
    Move *move = (Move *)base;
    (void)error;
    DmPdu *command = base->command;
    g_assert(command);
    fuzz_touch(move->memory, base->len);
    g_clear_pointer(&move->memory, g_free);
    base->command = NULL;
    command->conn->dm->release_pdu(command);
}

/* Three pieces of different lengths, none empty. */
static void cut(Move *move, uint32_t len)
{
    uint32_t first = len / 3, second = first + len / 4;
    move->iov[0] = (struct iovec){move->memory, first};
    move->iov[1] = (struct iovec){move->memory + first, second - first};
    move->iov[2] = (struct iovec){move->memory + second, len - second};
}

static bool start_move(Run *run, DmPdu *pdu)
{
    bool write = pdu->bhs[PDU_FLAGS] & COMMAND_WRITE;
    uint32_t len = get_be32(pdu->bhs + COMMAND_EDTL) % (MOVE_MAX + 1);
    Move *move = run->moves;
    while (move < run->moves + MOVES_MAX && move->base.command)
        move++;
    if (len < PIECES_MIN || move == run->moves + MOVES_MAX ||
        !(pdu->bhs[PDU_FLAGS] & (COMMAND_WRITE | COMMAND_READ)))
        return false;
    *move = (Move){.memory = g_malloc0(len)};
    cut(move, len);
    move->base = (DmMove){.command = pdu, .len = len, .iov = move->iov, .iovcnt = 3, .done = moved};
    pdu_begin(move->base.bhs, write ? ISCSI_R2T : ISCSI_DATA_IN, PDU_FINAL, pdu_itt(pdu->bhs));
    if (write)
        run->conn->dm->get_data(run->conn, &move->base);
    else
        run->conn->dm->put_data(run->conn, &move->base);
    return true;
}

static void cancel_one(const Run *run)
{
    for (unsigned i = 0; i < MOVES_MAX; i++)
        if (run->moves[i].base.command) {
            run->conn->dm->cancel(run->conn, (DmMove *)&run->moves[i].base);
            return;
        }
}

static void answer(Run *run, const DmPdu *pdu)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_NOP_IN, PDU_FINAL, pdu_itt(pdu->bhs));
    run->conn->dm->send_control(run->conn, bhs, pdu->data, pdu->data_len);
}

static void control(DmConn *conn, DmPdu *pdu)
{
    Run *run = conn->session;
    g_assert(!run->terminated);
    g_assert_cmpuint(pdu->data_len, ==, bhs_data_len(pdu->bhs));
    g_assert_cmpuint(pdu->ahs_len, ==, bhs_ahs_len(pdu->bhs));
    fuzz_touch(pdu->data, pdu->data_len);
    fuzz_touch(pdu->ahs, pdu->ahs_len);
    IscsiOpcode opcode = pdu_opcode(pdu->bhs);
    if (opcode == ISCSI_SCSI_COMMAND && start_move(run, pdu))
        return;
    if (opcode == ISCSI_NOP_OUT)
        answer(run, pdu);
    else if (opcode == ISCSI_TMF_REQUEST)
        cancel_one(run);
    else if (opcode == ISCSI_LOGOUT_REQUEST)
        conn->dm->terminate(conn, DM_CLOSE_GRACEFUL);
    if (run->options & OPTION_KEEP)
        g_ptr_array_add(run->pdus, pdu);
    else
        conn->dm->release_pdu(pdu);
}

static void bad_digest(DmConn *conn, const uint8_t bhs[ISCSI_BHS_LEN])
{
    g_assert(!((Run *)conn->session)->terminated);
    fuzz_touch(bhs, ISCSI_BHS_LEN);
}

static void terminated(DmConn *conn, const char *reason)
{
    Run *run = conn->session;
    g_assert(!run->terminated && *reason);
    run->terminated = true;
}

static const DmUpcalls upcalls = {control, bad_digest, terminated};

/* --- the peer --------------------------------------------------------------------------------- */

static void turn(const Run *run)
{
    uint8_t sink[4096];
    while (g_main_context_iteration(NULL, FALSE))
        ;
    while (!(run->options & OPTION_NO_READ) && recv(run->peer, sink, sizeof sink, 0) > 0)
        ;
}

static void send_pieces(const Run *run, const uint8_t *bytes, size_t len, size_t piece)
{
    for (unsigned sent = 0; len > 0 && !run->terminated; sent++) {
        size_t now = sent < PIECES_MAX ? MIN(len, piece) : len;
        ssize_t n = send(run->peer, bytes, now, MSG_NOSIGNAL);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
        turn(run);
        if (n <= 0)
            return; /* it does not read: nothing is there that it waits for */
    }
}

/* What is asked for by the oldest R2T. */
static void make_solicited(Run *run, uint8_t *bhs, uint32_t *len)
{
    for (unsigned i = 0; i < MOVES_MAX; i++) {
        Move *move = &run->moves[i];
        const DmMove *base = &move->base;
        if (!base->command || pdu_opcode(base->bhs) != ISCSI_R2T)
            continue;
        uint32_t burst = base->moved / BURST;
        *len = MIN(*len, MIN(base->len, (burst + 1) * BURST) - base->moved);
        bool last = base->moved + *len == MIN(base->len, (burst + 1) * BURST);
        pdu_begin(bhs, ISCSI_DATA_OUT, last ? PDU_FINAL : 0, pdu_itt(base->command->bhs));
        put_be32(bhs + PDU_TTT, base->transfer_tag | burst);
        put_be32(bhs + DATA_OFFSET, base->moved);
        put_be32(bhs + DATA_SN, move->data_sn++);
        if (last)
            move->data_sn = 0;
        return;
    }
}

static size_t add_digest(uint8_t *part, size_t len, bool bad)
{
    digest_put(digest_add(DIGEST_BEGIN, part, len), part + len);
    part[len] ^= bad;
    return len + DIGEST_LEN;
}

/* A PDU: how, the length of the data, BHS, AHS and data. */
static void send_pdu(Run *run, ByteReader *input)
{
    g_autofree uint8_t *frame = g_malloc0(FRAME_MAX);
    uint8_t how = byte_reader_u8(input);
    uint32_t data_len = byte_reader_be16(input) % (DATA_MAX + 1);
    size_t bhs_len = ISCSI_BHS_LEN, ahs_len = (how & RECORD_AHS_WORDS) * 4u;
    const uint8_t *bhs = fuzz_take(input, &bhs_len);
    memcpy(frame, bhs, bhs_len);
    if (how & RECORD_SOLICITED)
        make_solicited(run, frame, &data_len);
    frame[BHS_AHS_WORDS] = how & RECORD_AHS_WORDS;
    put_be24(frame + BHS_DATA_LEN, data_len);
    size_t at = ISCSI_BHS_LEN, padded = data_len + bhs_padding(data_len);
    if (ahs_len > 0)
        memcpy(frame + at, fuzz_take(input, &ahs_len), ahs_len);
    at += frame[BHS_AHS_WORDS] * 4u;
    if (tcp_conn(run->conn)->limits.header_digest)
        at = add_digest(frame, at, how & RECORD_BAD_HEADER);
    size_t here = data_len;
    const uint8_t *data = fuzz_take(input, &here);
    memcpy(frame + at, data, here);
    if (data_len > 0 && tcp_conn(run->conn)->limits.data_digest)
        padded = add_digest(frame + at, padded, how & RECORD_BAD_DATA);
    send_pieces(run, frame, at + padded, piece_lens[(how & RECORD_PIECES) >> 5]);
}

static void send_record(Run *run, ByteReader *input)
{
    if (!(run->options & OPTION_RAW)) {
        send_pdu(run, input);
        return;
    }
    size_t len = byte_reader_u8(input);
    const uint8_t *bytes = fuzz_take(input, &len);
    send_pieces(run, bytes, len, len);
}

/* --- the connection --------------------------------------------------------------------------- */

static void begin(Run *run, uint8_t options)
{
    int fds[2];
    *run = (Run){.world = world_get(), .options = options, .pdus = g_ptr_array_new()};
    IscsiParams params = {
        .header_digest = options & OPTION_HEADER_DIGEST ? ISCSI_DIGEST_CRC32C : ISCSI_DIGEST_NONE,
        .data_digest = options & OPTION_DATA_DIGEST ? ISCSI_DIGEST_CRC32C : ISCSI_DIGEST_NONE,
        .immediate_data = true,
        .max_burst_length = BURST,
        .first_burst_length = BURST,
        .max_recv_data_segment_length = SEGMENT,
        .peer_max_recv_data_segment_length = 1024,
        .max_outstanding_r2t = 2,
        .queue_depth = 8};
    int res = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
    g_assert_cmpint(res, ==, 0);
    run->peer = fds[1];
    TcpConn *conn = tcp_conn_new(run->world->loop, run->world->memory, run->world->budget, fds[0]);
    g_assert(conn);
    run->conn = &conn->base;
    run->conn->up = &upcalls;
    run->conn->session = run;
    bool started = tcp_conn_start(conn);
    g_assert(started);
    if (options & OPTION_LOGIN)
        return;
    unsigned window = run->conn->dm->allocate(run->conn, &params);
    g_assert_cmpuint(window, >, 0);
    run->conn->dm->enable(run->conn, &params);
}

static void end(Run *run)
{
    run->conn->dm->terminate(run->conn, DM_CLOSE_NOW);
    while (!run->terminated)
        g_main_context_iteration(NULL, TRUE);
    for (unsigned i = 0; i < MOVES_MAX; i++)
        g_assert(!run->moves[i].base.command);
    for (guint i = 0; i < run->pdus->len; i++)
        run->conn->dm->release_pdu(run->pdus->pdata[i]);
    run->conn->dm->free(run->conn);
    close(run->peer);
    g_ptr_array_unref(run->pdus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ByteReader input = byte_reader(data, size);
    Run run;
    begin(&run, byte_reader_u8(&input));
    for (unsigned i = 0; i < RECORDS_MAX && byte_reader_left(&input) > 0 && !run.terminated; i++)
        send_record(&run, &input);
    end(&run);
    return 0;
}
