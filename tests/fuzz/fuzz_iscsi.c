/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session layer over a fake datamover and a fake SCSI side: logins in several PDUs, text
 * requests, everything of the full feature phase. An input is a byte of options and then records,
 * see run_record(). */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/iscsi_fake.h"

#define TARGET      "iqn.2026-11.t:disk"
#define CMD_SN      1000 /* of the first command after a login */
#define RECORDS_MAX 48u
#define SEGMENT     8192u

/* The options of an input. */
enum {
    OPTION_LOGGED_IN = 0x01,   /* in the full feature phase */
    OPTION_UNSOLICITED = 0x02, /* unsolicited data was negotiated */
    OPTION_LEVEL_2 = 0x04,     /* iSCSIProtocolLevel */
    OPTION_ACL = 0x08,         /* not everybody may log in */
    OPTION_SMALL = 0x10,       /* a window of one */
};

/* What a record does: its first byte, modulo. */
enum {
    ACT_PDU_IN_ORDER, /* with the CmdSN that is due */
    ACT_PDU_RAW,
    ACT_RESPOND,
    ACT_RESPOND_DATA,
    ACT_PUT_ENDS,
    ACT_ABORTS_END,
    ACT_LUNS_CHANGED,
    ACT_HANG_UP,
    ACTS,
};

typedef struct {
    Fake fake;
    FakeConn *conn;
    TransportTarget *target;
    uint32_t cmd_sn;
    DataMove moves[RECORDS_MAX];
    unsigned n_moves;
    uint8_t data[SEGMENT]; /* of reads */
} Run;

/* --- from the initiator ----------------------------------------------------------------------- */

/* What a datamover never hands up, RFC 5047 4.1. */
static bool is_possible(const uint8_t *bhs)
{
    return pdu_opcode(bhs) != ISCSI_DATA_OUT || pdu_ttt(bhs) == ISCSI_NO_TAG;
}

static bool takes_cmd_sn(const uint8_t *bhs)
{
    return !pdu_immediate(bhs) && pdu_opcode(bhs) != ISCSI_DATA_OUT &&
           pdu_opcode(bhs) != ISCSI_SNACK_REQUEST;
}

/* Sizes of AHS (words) and data, BHS, AHS or data. */
static void receive(Run *run, ByteReader *input, bool in_order)
{
    size_t ahs_len = (byte_reader_u8(input) & 7) * 4u, data_len = byte_reader_be16(input);
    const uint8_t *from = byte_reader_take(input, ISCSI_BHS_LEN);
    uint8_t bhs[ISCSI_BHS_LEN];
    if (!from)
        return;
    memcpy(bhs, from, sizeof bhs);
    if (!is_possible(bhs))
        put_be32(bhs + PDU_TTT, ISCSI_NO_TAG);
    if (in_order) {
        put_be32(bhs + PDU_CMD_SN, run->cmd_sn);
        run->cmd_sn += takes_cmd_sn(bhs);
    }
    ahs_len = MIN(ahs_len, byte_reader_left(input) & ~(size_t)3);
    bhs[4] = (uint8_t)(ahs_len / 4);
    const uint8_t *ahs = fuzz_take(input, &ahs_len);
    data_len = ahs_len > 0 ? 0 : MIN(data_len, SEGMENT);
    const uint8_t *data = fuzz_take(input, &data_len);
    put_be24(bhs + 5, (uint32_t)data_len);
    if (ahs_len > 0)
        fake_receive_ahs(run->conn, bhs, ahs, ahs_len);
    else
        fake_receive(run->conn, bhs, data, data_len);
}

/* --- from the other sides --------------------------------------------------------------------- */

static void respond(ByteReader *input)
{
    uint8_t status = byte_reader_u8(input);
    size_t len = SENSE_MAX;
    if (g_queue_is_empty(&fake_tasks))
        return;
    const uint8_t *sense = fuzz_take(input, &len);
    Task *task = g_queue_peek_head(&fake_tasks);
    task->data_in_wanted = task->data_out_wanted = status << 4;
    fake_respond(status, sense, status == SCSI_CHECK_CONDITION ? (unsigned)len : 0);
}

static void respond_data(Run *run)
{
    Task *task = g_queue_peek_head(&fake_tasks);
    if (!task || task->data_in_len == 0)
        return;
    uint32_t len = MIN(task->data_in_len, SEGMENT);
    task->data_in_wanted = len;
    fake_respond_data(&run->moves[run->n_moves++], run->data, len);
}

static void end_aborts(void)
{
    if (fake_abort_hangs)
        fake_finish_aborts();
}

static void run_record(Run *run, ByteReader *input)
{
    uint8_t act = byte_reader_u8(input) % ACTS;
    switch (act) {
    case ACT_RESPOND:
        respond(input);
        break;
    case ACT_RESPOND_DATA:
        respond_data(run);
        break;
    case ACT_PUT_ENDS:
        if (!g_queue_is_empty(&run->conn->puts))
            fake_end_put(run->conn, 0);
        break;
    case ACT_ABORTS_END:
        end_aborts();
        break;
    case ACT_LUNS_CHANGED:
        if (fake_nexuses > 0)
            fake_luns_changed();
        break;
    case ACT_HANG_UP:
        fake_hang_up(run->conn);
        break;
    case ACT_PDU_RAW:
    case ACT_PDU_IN_ORDER:
        receive(run, input, act == ACT_PDU_IN_ORDER);
        break;
    default:
        break;
    }
    fake_run(&run->fake);
    while (fake_next(run->conn))
        ;
}

/* --- the portal ------------------------------------------------------------------------------- */

static void begin(Run *run, uint8_t options)
{
    static const TransportAllow allow[] = {{.initiator_glob = "iqn.i*", .address = "10.9.0.0/16"}};
    *run = (Run){.cmd_sn = CMD_SN};
    fake_setup(&run->fake, 8, 60000);
    TransportTargetSpec spec = {.name = TARGET, .scsi = fake_scsi_target, .allow_all = true};
    if (options & OPTION_ACL) {
        spec.allow_all = false;
        spec.allow = allow;
        spec.n_allow = G_N_ELEMENTS(allow);
    }
    run->target = iscsi_portal_add_target(run->fake.portal, &spec, NULL);
    run->conn = fake_connect(&run->fake);
    if (options & OPTION_SMALL)
        run->conn->window = 1;
    g_autofree char *keys =
        g_strconcat(options & OPTION_UNSOLICITED ? "InitialR2T=No\nFirstBurstLength=4096\n" : "",
                    options & OPTION_LEVEL_2 ? "iSCSIProtocolLevel=2\n" : "", NULL);
    if (!(options & OPTION_LOGGED_IN))
        return;
    bool in = fake_login_to(&run->fake, run->conn, "iqn.i", 1, TARGET, keys);
    g_assert(in);
}

static void note_removed(void *arg)
{
    *(bool *)arg = true;
}

static bool is_set(void *arg)
{
    return *(bool *)arg;
}

static void end(Run *run)
{
    bool removed = false;
    if (!run->conn->terminating)
        fake_hang_up(run->conn);
    end_aborts();
    fake_run(&run->fake);
    iscsi_portal_remove_target(run->target, note_removed, &removed);
    bool done = fake_wait(&run->fake, is_set, &removed);
    g_assert(done);
    fake_teardown(&run->fake);
    g_assert_cmpuint(fake_tasks.length, ==, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ByteReader input = byte_reader(data, size);
    uint8_t options = byte_reader_u8(&input);
    Run *run = g_new(Run, 1);
    begin(run, options);
    for (unsigned i = 0; i < RECORDS_MAX && byte_reader_left(&input) > 0; i++) {
        if (run->conn->terminating)
            break;
        run_record(run, &input);
    }
    end(run);
    g_free(run);
    return 0;
}
