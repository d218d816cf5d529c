/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reservations as initiators meet them: what conflicts with what, what PERSISTENT RESERVE IN tells,
 * what OUT refuses, what outlives a session and a reset. */
#include "tests/unit/unit.h"

#include "core/scsi/command.h"
#include "core/scsi/lun_impl.h"
#include "tests/unit/reserve_rig.h"

#include <string.h>

#define WRITE_NOTHING CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0)

/* --- the tables of the standards -------------------------------------------------------------- */

/* SPC-4 table 65 and SBC-3 table 13: what nexuses that do not share the reservation may do under
 * write exclusive (first letter) and exclusive access ones. Every row of the command table must be
 * found here, but those of which table 66 and SPC-2 speak. */
typedef struct {
    uint8_t opcode;
    int action; /* -1: none */
    const char *through;
    uint8_t byte4; /* of the CDB */
} Rule;

static const Rule rules[] = {
    {0x00, -1, "AA", 0},    /* TEST UNIT READY */
    {0x03, -1, "AA", 0},    /* REQUEST SENSE */
    {0x04, -1, "CC", 0},    /* FORMAT UNIT */
    {0x07, -1, "CC", 0},    /* REASSIGN BLOCKS */
    {0x08, -1, "AC", 1},    /* READ (6) */
    {0x0a, -1, "CC", 1},    /* WRITE (6) */
    {0x12, -1, "AA", 0},    /* INQUIRY */
    {0x15, -1, "CC", 0},    /* MODE SELECT (6) */
    {0x1a, -1, "AC", 0},    /* MODE SENSE (6) */
    {0x1b, -1, "AA", 0x01}, /* START STOP UNIT: start */
    {0x1b, -1, "CC", 0x00}, /* stop */
    {0x1b, -1, "CC", 0x11}, /* power condition active */
    {0x1c, -1, "AC", 0},    /* RECEIVE DIAGNOSTIC RESULTS */
    {0x1d, -1, "CC", 0},    /* SEND DIAGNOSTIC */
    {0x1e, -1, "CC", 0x01}, /* PREVENT ALLOW MEDIUM REMOVAL: prevent */
    {0x1e, -1, "AA", 0x00}, /* allow */
    {0x25, -1, "AA", 0},    /* READ CAPACITY (10) */
    {0x28, -1, "AC", 0},    /* READ (10) */
    {0x2a, -1, "CC", 0},    /* WRITE (10) */
    {0x2e, -1, "CC", 0},    /* WRITE AND VERIFY (10) */
    {0x2f, -1, "AC", 0},    /* VERIFY (10) */
    {0x34, -1, "AC", 0},    /* PRE-FETCH (10) */
    {0x35, -1, "CC", 0},    /* SYNCHRONIZE CACHE (10) */
    {0x37, -1, "AC", 0},    /* READ DEFECT DATA (10) */
    {0x3b, -1, "CC", 0},    /* WRITE BUFFER */
    {0x3c, -1, "AC", 0},    /* READ BUFFER */
    {0x41, -1, "CC", 0},    /* WRITE SAME (10) */
    {0x42, -1, "CC", 0},    /* UNMAP */
    {0x48, 0x01, "CC", 0},  /* SANITIZE, OVERWRITE */
    {0x48, 0x02, "CC", 0},  /* BLOCK ERASE */
    {0x48, 0x03, "CC", 0},  /* CRYPTOGRAPHIC ERASE */
    {0x48, 0x1f, "CC", 0},  /* EXIT FAILURE MODE */
    {0x4c, -1, "CC", 0},    /* LOG SELECT */
    {0x4d, -1, "AA", 0},    /* LOG SENSE */
    {0x55, -1, "CC", 0},    /* MODE SELECT (10) */
    {0x5a, -1, "AC", 0},    /* MODE SENSE (10) */
    {0x83, -1, "CC", 0},    /* EXTENDED COPY */
    {0x83, 0x00, "CC", 0},  /* EXTENDED COPY (LID1) */
    {0x83, 0x01, "CC", 0},  /* EXTENDED COPY (LID4) */
    {0x83, 0x1c, "CC", 0},  /* COPY OPERATION ABORT */
    {0x84, 0x00, "AA", 0},  /* RECEIVE COPY STATUS (LID1) */
    {0x84, 0x01, "AA", 0},  /* RECEIVE COPY DATA (LID1) */
    {0x84, 0x03, "AA", 0},  /* RECEIVE COPY OPERATING PARAMETERS */
    {0x84, 0x04, "AA", 0},  /* RECEIVE COPY FAILURE DETAILS (LID1) */
    {0x84, 0x05, "AA", 0},  /* RECEIVE COPY STATUS (LID4) */
    {0x88, -1, "AC", 0},    /* READ (16) */
    {0x89, -1, "CC", 0},    /* COMPARE AND WRITE */
    {0x8a, -1, "CC", 0},    /* WRITE (16) */
    {0x8b, -1, "CC", 0},    /* ORWRITE (16) */
    {0x8e, -1, "CC", 0},    /* WRITE AND VERIFY (16) */
    {0x8f, -1, "AC", 0},    /* VERIFY (16) */
    {0x90, -1, "AC", 0},    /* PRE-FETCH (16) */
    {0x91, -1, "CC", 0},    /* SYNCHRONIZE CACHE (16) */
    {0x93, -1, "CC", 0},    /* WRITE SAME (16) */
    {0x9c, -1, "CC", 0},    /* WRITE ATOMIC (16) */
    {0x9e, 0x10, "AA", 0},  /* READ CAPACITY (16) */
    {0x9e, 0x12, "AC", 0},  /* GET LBA STATUS */
    {0xa0, -1, "AA", 0},    /* REPORT LUNS */
    {0xa3, 0x05, "AA", 0},  /* REPORT IDENTIFYING INFORMATION */
    {0xa3, 0x0a, "AA", 0},  /* REPORT TARGET PORT GROUPS */
    {0xa3, 0x0c, "AC", 0},  /* REPORT SUPPORTED OPERATION CODES */
    {0xa3, 0x0d, "AC", 0},  /* REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS */
    {0xa3, 0x0f, "AA", 0},  /* REPORT TIMESTAMP */
    {0xa4, 0x06, "CC", 0},  /* SET IDENTIFYING INFORMATION */
    {0xa4, 0x0a, "CC", 0},  /* SET TARGET PORT GROUPS */
    {0xa4, 0x0f, "CC", 0},  /* SET TIMESTAMP */
    {0xa8, -1, "AC", 0},    /* READ (12) */
    {0xaa, -1, "CC", 0},    /* WRITE (12) */
    {0xae, -1, "CC", 0},    /* WRITE AND VERIFY (12) */
    {0xaf, -1, "AC", 0},    /* VERIFY (12) */
    {0xb7, -1, "AC", 0},    /* READ DEFECT DATA (12) */
};

static bool has_rule(const Command *command)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
        if (rules[i].opcode == command->opcode &&
            rules[i].action == (command->has_action ? command->action : -1))
            return true;
    return false;
}

static void every_command_has_a_rule(void **state)
{
    (void)state;
    for (unsigned i = 0; i < commands_count; i++) {
        uint8_t opcode = commands[i].opcode;
        if (opcode == 0x16 || opcode == 0x17 || opcode == 0x5e || opcode == 0x5f)
            continue;
        if (!has_rule(&commands[i]))
            fail_msg("%s: add the row of SPC-4 table 65 or SBC-3 table 13", commands[i].name);
    }
}

static void check_rule(Nexus *nexus, const Rule *rule, bool allowed, unsigned type)
{
    uint8_t cdb[16] = {rule->opcode, [4] = rule->byte4};
    if (rule->action >= 0)
        cdb[1] = (uint8_t)rule->action;
    if (!command_find(cdb))
        return;
    clear_attentions(nexus);
    bool conflicts = run(nexus, cdb, sizeof cdb) == CONFLICT;
    if (conflicts == allowed)
        fail_msg("%02x/%02x, byte 4 %02x, type %x: %s", cdb[0], cdb[1], cdb[4], type,
                 allowed ? "refused" : "not refused");
}

static void conflicts_with_persistent_reservations(void **state)
{
    (void)state;
    static const unsigned types[] = {1, 3, 5, 6, 7, 8};
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        unsigned type = types[i];
        bool exclusive = type == 3 || type == 6 || type == 8, shared = type >= 5;
        Trio t = trio_reserved(NULL, type, 0);
        for (size_t r = 0; r < G_N_ELEMENTS(rules); r++) {
            bool passes = rules[r].through[exclusive] == 'A';
            check_rule(t.a, &rules[r], true, type);
            check_rule(t.b, &rules[r], shared || passes, type);
            check_rule(t.c, &rules[r], passes, type);
        }
        trio_free(&t);
    }
}

/* Table 66: who is not registered may only register. */
static void conflicts_of_reserve_out(void **state)
{
    (void)state;
    Trio t = trio_reserved(NULL, 1, 0);
    for (ReserveAction action = PR_RESERVE; action <= PR_PREEMPT_AND_ABORT; action++)
        assert_int_equal(pr_out(t.c, action, 1, 0, KEY_A, 0), CONFLICT);
    assert_int_equal(pr_out(t.b, PR_RESERVE, 1, KEY_B, 0, 0), CONFLICT);
    for (uint8_t action = 0; action < 4; action++)
        assert_int_equal(run(t.c, CDB(0x5e, action, 0, 0, 0, 0, 0, 0, 64, 0)), 0);
    expect_out_good(t.c, PR_REGISTER, 0, 0, KEY_C, 0);
    expect_state(t.c, "3: 1 2 3, type 1 by 1");
    trio_free(&t);
}

/* --- PERSISTENT RESERVE IN -------------------------------------------------------------------- */

static void in_reports(void **state)
{
    (void)state;
    Trio t = trio_reserved(NULL, 5, 0);
    expect_state(t.c, "2: 1 2, type 5 by 1");
    Cmd *cmd = pr_in(t.c, 0, 12); /* cut, but for the length that there is */
    assert_int_equal(cmd->in->len, 12);
    assert_int_equal(get_be32(cmd->in->data + 4), 16);
    cmd_free(cmd);
    cmd = pr_in(t.c, 0, 0);
    assert_int_equal(cmd->in->len, 0);
    assert_int_equal(cmd_sense(cmd), 0);
    cmd_free(cmd);

    cmd = pr_in(t.c, 3, 4096);
    assert_int_equal(cmd->in->len, 8 + 2 * (24 + 28));
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *p = cmd->in->data + 8 + i * 52;
        assert_true(get_be64(p) == (i ? KEY_B : KEY_A));
        assert_int_equal(p[12], i ? 0 : 1);
        assert_int_equal(p[13], i ? 0 : 5);
        assert_int_equal(get_be16(p + 18), 1);
        assert_int_equal(get_be32(p + 20), 28);
        uint8_t id[28];
        iscsi_id(id, 0x40, i ? "iqn.b,i,0x000000000001" : "iqn.a,i,0x000000000001");
        assert_memory_equal(p + 24, id, 28);
    }
    cmd_free(cmd);
    assert_int_equal(run(t.c, CDB(0x5e, 4, 0, 0, 0, 0, 0, 0, 64, 0)), SENSE_INVALID_FIELD_IN_CDB);
    trio_free(&t);
}

static void in_all_registrants(void **state)
{
    (void)state;
    Trio t = trio_reserved(NULL, 8, 0);
    expect_state(t.c, "2: 1 2, type 8 by 0");
    Cmd *cmd = pr_in(t.c, 3, 4096);
    assert_int_equal(cmd->in->data[8 + 12], 1);
    assert_int_equal(cmd->in->data[8 + 52 + 12], 1);
    assert_int_equal(cmd->in->data[8 + 52 + 13], 8);
    cmd_free(cmd);
    trio_free(&t);
}

static void in_capabilities(void **state)
{
    (void)state;
    Trio t = trio_new(NULL);
    static const uint8_t without[8] = {0, 8, 0x1c, 0xc0, 0xea, 0x01};
    Cmd *cmd = pr_in(t.a, 2, 4096);
    assert_int_equal(cmd->in->len, 8);
    assert_memory_equal(cmd->in->data, without, 8);
    cmd_free(cmd);
    assert_int_equal(pr_out(t.a, PR_REGISTER, 0, 0, KEY_A, APTPL),
                     SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    trio_free(&t);

    t = trio_new(keep_state);
    static const uint8_t with[8] = {0, 8, 0x1d, 0xc1, 0xea, 0x01};
    expect_out_good(t.a, PR_REGISTER, 0, 0, KEY_A, APTPL);
    cmd = pr_in(t.a, 2, 4096);
    assert_memory_equal(cmd->in->data, with, 8);
    cmd_free(cmd);
    expect_out_good(t.a, PR_CLEAR, 0, KEY_A, 0, 0);
    trio_free(&t);
}

/* --- PERSISTENT RESERVE OUT ------------------------------------------------------------------- */

static void out_list_lengths(void **state)
{
    (void)state;
    Trio t = trio_new(NULL);
    static const uint32_t wrong[] = {0, 1, 23, 25, 28, 100};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        OutCommand out = out_command(PR_REGISTER, 0, 0, KEY_A, 0);
        out.len = wrong[i];
        assert_int_equal(out_run(t.a, &out), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    }
    /* more than can be */
    assert_int_equal(run(t.a, CDB(0x5f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0)),
                     SENSE_PARAMETER_LIST_LENGTH_ERROR);
    /* less than the CDB says */
    OutCommand out = out_command(PR_REGISTER, 0, 0, KEY_A, 0);
    assert_int_equal(result_of(cmd_run_out(t.a, out.cdb, 10, out.list, 20)),
                     SENSE_PARAMETER_LIST_LENGTH_ERROR);
    expect_state(t.a, "0:");
    trio_free(&t);
}

/* A list of TransportIDs behind SPEC_I_PT. */
static OutCommand specify(const char *const *names, uint8_t format)
{
    OutCommand out = out_command(PR_REGISTER, 0, 0, KEY_A, SPEC_I_PT);
    uint32_t len = 0;
    for (; *names; names++)
        len += (uint32_t)iscsi_id(out.list + 28 + len, format, *names);
    put_be32(out.list + 24, len);
    out.len = 28 + len;
    return out;
}

static void out_specified_ports(void **state)
{
    (void)state;
    Trio t = trio_new(NULL);
    /* one that is there, and one that never was */
    OutCommand out = specify((const char *const[]){"iqn.B,i,0x1", "iqn.d,i,0x5", NULL}, 0x40);
    assert_int_equal(out_run(t.a, &out), 0);
    expect_state(t.a, "1: 1 1 1");
    expect_out_good(t.b, PR_RESERVE, 1, KEY_A, 0, 0);
    expect_out_good(t.a, PR_CLEAR, 0, KEY_A, 0, 0);
    expect(t.b, TUR, 0, SENSE_RESERVATIONS_PREEMPTED);

    out = specify((const char *const[]){"iqn.b", "iqn.c", NULL}, 0x00); /* devices */
    assert_int_equal(out_run(t.a, &out), 0);
    expect_state(t.a, "3: 1 1 1");
    expect_out_good(t.c, PR_CLEAR, 0, KEY_A, 0, 0);
    expect(t.a, TUR, 0, SENSE_RESERVATIONS_PREEMPTED);
    expect(t.b, TUR, 0, SENSE_RESERVATIONS_PREEMPTED);
    out = specify((const char *const[]){"iqn.nobody", NULL}, 0x00);
    assert_int_equal(out_run(t.a, &out), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    expect_state(t.a, "4:");
    trio_free(&t);
}

static void out_malformed_ids(void **state)
{
    (void)state;
    Trio t = trio_new(NULL);
    const char *const names[] = {"iqn.d,i,0x5", "iqn.e,i,0x5", NULL};
    const OutCommand good = specify(names, 0x40);
    for (uint32_t len = 25; len < good.len; len++) { /* the list ends early */
        OutCommand out = good;
        out.len = len;
        assert_int_equal(out_run(t.a, &out), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    }
    for (uint32_t cut = 1; cut < 28; cut++) { /* its last TransportID does */
        OutCommand out = good;
        put_be32(out.list + 24, 56 - cut);
        assert_int_equal(out_run(t.a, &out), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    }
    OutCommand out = good;
    put_be32(out.list + 24, UINT32_MAX);
    assert_int_equal(out_run(t.a, &out), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    out = good;
    out.list[28 + 28] = 0x00; /* Fibre Channel */
    assert_int_equal(out_run(t.a, &out), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    out = good;
    out.cdb[1] = PR_REGISTER_AND_IGNORE;
    assert_int_equal(out_run(t.a, &out), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    expect_state(t.a, "0:");
    trio_free(&t);
}

static OutCommand move(uint64_t action_key, uint16_t port, uint32_t id_len, const char *name)
{
    OutCommand out = out_command(PR_REGISTER_AND_MOVE, 0, KEY_A, action_key, 0);
    put_be16(out.list + 18, port);
    put_be32(out.list + 20, id_len);
    iscsi_id(out.list + 24, 0x40, name);
    out.len = 24 + 28;
    return out;
}

static void out_register_and_move(void **state)
{
    (void)state;
    Trio t = trio_reserved(NULL, 1, 0);
    static const uint32_t lengths[] = {0, 20, 24, 27, 29, 32, 56};
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        OutCommand out = move(KEY_C, 1, lengths[i], "iqn.c,i,0x1");
        assert_int_equal(out_run(t.a, &out), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    }
    OutCommand out = move(KEY_C, 1, 28, "iqn.c,i,0x1");
    out.list[17] = APTPL; /* there is no state directory */
    assert_int_equal(out_run(t.a, &out), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    out.list[17] = 0x02; /* UNREG */
    assert_int_equal(out_run(t.a, &out), 0);
    expect_state(t.a, "3: 2 3, type 1 by 3");
    assert_int_equal(run(t.c, WRITE_NOTHING), 0);
    assert_int_equal(run(t.a, WRITE_NOTHING), CONFLICT);
    trio_free(&t);
}

static void out_all_target_ports(void **state)
{
    (void)state;
    Trio t = trio_new(NULL);
    expect_out_good(t.a, PR_REGISTER, 0, 0, KEY_A, ALL_TG_PT);
    expect_state(t.a, "1: 1");
    trio_free(&t);
}

static void attentions_to_the_right_nexuses(void **state)
{
    (void)state;
    Trio t = trio_reserved(NULL, 5, 0);
    expect_out_good(t.a, PR_RELEASE, 5, KEY_A, 0, 0);
    expect(t.b, TUR, 0, SENSE_RESERVATIONS_RELEASED);
    expect(t.a, TUR, 0, 0);
    expect(t.c, TUR, 0, 0);
    expect_out_good(t.b, PR_PREEMPT, 5, KEY_B, KEY_A, 0);
    expect(t.a, TUR, 0, SENSE_REGISTRATIONS_PREEMPTED);
    expect(t.b, TUR, 0, 0);
    expect(t.c, TUR, 0, 0);
    trio_free(&t);
}

/* SAM-5 5.3.3: resets are told before a conflict, everything else after it. */
static void conflicts_and_attentions(void **state)
{
    (void)state;
    Trio t = trio_reserved(NULL, 5, 0);
    lun_attention(t.scsi->lun, SENSE_CAPACITY_CHANGED, NULL);
    assert_int_equal(run(t.c, WRITE_NOTHING), CONFLICT);
    lun_attention(t.scsi->lun, SENSE_DEVICE_RESET, NULL);
    assert_int_equal(run(t.c, WRITE_NOTHING), SENSE_DEVICE_RESET);
    assert_int_equal(run(t.c, WRITE_NOTHING), CONFLICT);
    assert_int_equal(run(t.c, TUR), SENSE_CAPACITY_CHANGED);
    assert_int_equal(run(t.c, TUR), 0);
    assert_int_equal(run(t.b, WRITE_NOTHING), SENSE_DEVICE_RESET);
    assert_int_equal(run(t.b, WRITE_NOTHING), SENSE_CAPACITY_CHANGED);
    assert_int_equal(run(t.b, WRITE_NOTHING), 0);
    trio_free(&t);
}

static void make_removable(LunSpec *spec)
{
    spec->removable = true;
}

static void preempted_no_longer_prevents_removal(void **state)
{
    (void)state;
    Trio t = trio_reserved(make_removable, 5, 0);
    static const uint8_t prevent[] = {0x1e, 0, 0, 0, 1, 0}, eject[] = {0x1b, 0, 0, 0, 2, 0};
    assert_int_equal(run(t.b, prevent, 6), 0);
    assert_int_equal(run(t.a, eject, 6), SENSE_REMOVAL_PREVENTED);
    expect_out_good(t.a, PR_PREEMPT_AND_ABORT, 5, KEY_A, KEY_B, 0);
    assert_int_equal(run(t.a, eject, 6), 0);
    trio_free(&t);
}

/* --- what ends it, and what does not ---------------------------------------------------------- */

static void registrations_outlive_sessions(void **state)
{
    (void)state;
    Trio t = trio_reserved(NULL, 1, 0);
    scsi_close_nexus(t.a);
    expect_state(t.b, "2: 1 2, type 1 by 1");
    assert_int_equal(run(t.b, WRITE_NOTHING), CONFLICT);
    t.a = join(t.scsi, 'A'); /* the same name in other letters */
    assert_int_equal(run(t.a, WRITE_NOTHING), 0);
    manage(t.b, TMF_LOGICAL_UNIT_RESET);
    manage(t.b, TMF_I_T_NEXUS_RESET);
    expect_state(t.b, "2: 1 2, type 1 by 1");
    trio_free(&t);
}

static const uint8_t reserve_6[] = {0x16, 0, 0, 0, 0, 0}, release_6[] = {0x17, 0, 0, 0, 0, 0};

static void reserve_6_conflicts(void **state)
{
    (void)state;
    Trio t = trio_new(NULL);
    assert_int_equal(run(t.a, reserve_6, 6), 0);
    assert_int_equal(run(t.a, reserve_6, 6), 0);
    static const struct {
        uint8_t cdb[10];
        bool allowed;
    } others[] = {
        {{0x00}, false},          {{0x03}, true},
        {{0x12}, true},           {{0xa0}, true},
        {{0x1a}, false},          {{0x08}, false},
        {{0x2a}, false},          {{0x16}, false},
        {{0x17}, true},           {{0x5e}, false},
        {{0x5e, 2}, false},       {{0x1e}, true},
        {{0x1e, [4] = 1}, false}, {{0x5f, 6, [8] = 24}, false},
        {{0x91}, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        assert_int_equal(run(t.b, others[i].cdb, 10) != CONFLICT, others[i].allowed);
    assert_int_equal(run(t.a, TUR), 0);
    /* persistent reservations are out of use for all (SPC-2 5.5.1) */
    assert_int_equal(pr_out(t.a, PR_REGISTER, 0, 0, KEY_A, 0), CONFLICT);
    assert_int_equal(run(t.a, CDB(0x5e, 0, 0, 0, 0, 0, 0, 0, 64, 0)), CONFLICT);
    /* the RELEASE of another did nothing */
    assert_int_equal(run(t.b, TUR), CONFLICT);
    assert_int_equal(run(t.a, release_6, 6), 0);
    assert_int_equal(run(t.b, TUR), 0);
    assert_int_equal(run(t.b, CDB(0x16, 0x10, 0, 0, 0, 0)), SENSE_INVALID_FIELD_IN_CDB);
    trio_free(&t);
}

static void reserve_6_ends(void **state)
{
    (void)state;
    Trio t = trio_new(NULL);
    static const TmfFunction by_anybody[] = {TMF_LOGICAL_UNIT_RESET, TMF_TARGET_WARM_RESET,
                                             TMF_TARGET_COLD_RESET};
    for (size_t i = 0; i < G_N_ELEMENTS(by_anybody); i++) {
        assert_int_equal(run(t.a, reserve_6, 6), 0);
        assert_int_equal(run(t.b, TUR), CONFLICT);
        manage(t.b, by_anybody[i]);
        assert_int_equal(run(t.b, TUR), 0);
        clear_attentions(t.a);
    }
    assert_int_equal(run(t.a, reserve_6, 6), 0);
    manage(t.b, TMF_I_T_NEXUS_RESET); /* another nexus's loss */
    assert_int_equal(run(t.b, TUR), CONFLICT);
    manage(t.a, TMF_I_T_NEXUS_RESET);
    assert_int_equal(run(t.b, TUR), 0);
    assert_int_equal(run(t.a, reserve_6, 6), 0);
    nexus_lost(t.a);
    assert_int_equal(run(t.b, TUR), 0);
    assert_int_equal(run(t.a, reserve_6, 6), 0);
    scsi_close_nexus(t.a);
    assert_int_equal(run(t.b, TUR), 0);
    t.a = join(t.scsi, 'a');
    assert_int_equal(run(t.b, TUR), 0);
    trio_free(&t);
}

/* SPC-4 5.13.3, as the CRH bit says. */
static void reserve_6_beside_registrations(void **state)
{
    (void)state;
    Trio t = trio_new(NULL);
    expect_out_good(t.a, PR_REGISTER, 0, 0, KEY_A, 0);
    assert_int_equal(run(t.a, reserve_6, 6), CONFLICT);
    assert_int_equal(run(t.c, release_6, 6), CONFLICT);
    expect_out_good(t.b, PR_REGISTER, 0, 0, KEY_B, 0);
    for (unsigned type = 1; type <= 7; type += 2) {
        expect_out_good(t.a, PR_RESERVE, type, KEY_A, 0, 0);
        for (unsigned i = 0; i < 2; i++) {
            const uint8_t *cdb = i ? release_6 : reserve_6;
            assert_int_equal(run(t.a, cdb, 6), 0);
            assert_int_equal(run(t.b, cdb, 6), type >= 5 ? 0 : CONFLICT);
            assert_int_equal(run(t.c, cdb, 6), CONFLICT);
        }
        expect_out_good(t.a, PR_RELEASE, type, KEY_A, 0, 0); /* it was still there */
        clear_attentions(t.b);
    }
    trio_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_has_a_rule),
        cmocka_unit_test(conflicts_with_persistent_reservations),
        cmocka_unit_test(conflicts_of_reserve_out),
        cmocka_unit_test(in_reports),
        cmocka_unit_test(in_all_registrants),
        WITH_STATE(in_capabilities),
        cmocka_unit_test(out_list_lengths),
        cmocka_unit_test(out_specified_ports),
        cmocka_unit_test(out_malformed_ids),
        cmocka_unit_test(out_register_and_move),
        cmocka_unit_test(out_all_target_ports),
        cmocka_unit_test(attentions_to_the_right_nexuses),
        cmocka_unit_test(conflicts_and_attentions),
        cmocka_unit_test(preempted_no_longer_prevents_removal),
        cmocka_unit_test(registrations_outlive_sessions),
        cmocka_unit_test(reserve_6_conflicts),
        cmocka_unit_test(reserve_6_ends),
        cmocka_unit_test(reserve_6_beside_registrations),
    };
    return unit_run(tests);
}
