/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Target port groups: what is reported, who may set states, whom a change is told, and what a state
 * lets through. */
#include "core/scsi/alua.h"
#include "tests/unit/scsi_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

#define TUR       CDB(0x00, 0, 0, 0, 0, 0)
#define READ_ONE  CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)
#define INQUIRY   CDB(0x12, 0, 0, 0, 96, 0)
#define RTPG(fmt) CDB(0xa3, 0x0a | (fmt) << 5, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0)
#define STPG(len) CDB(0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, len, 0, 0)

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

/* Two groups: 1 with ports 1 and 2, 7 with port 3; nexus on port 1. */
static Scsi *two_groups(bool implicit, bool explicit)
{
    static const uint16_t first[] = {1, 2}, second[] = {3};
    const AluaGroupSpec groups[] = {
        {.id = 1, .ports = first, .n_ports = 2, .preferred = true},
        {.id = 7, .ports = second, .n_ports = 1, .state = ALUA_NON_OPTIMIZED}};
    Scsi *s = scsi_new(NULL);
    bool removed = false;
    scsi_close_nexus(s->nexus);
    scsi_target_remove_lun(s->target, s->lun, set_flag, &removed);
    wait_for(&removed);
    scsi_target_set_alua(s->target, alua_new(implicit, explicit, groups, 2));
    scsi_target_add_lun(s->target, s->lun);
    s->nexus = scsi_nexus(s);
    expect(s->nexus, TUR, 0, SENSE_POWER_ON_RESET);
    return s;
}

static int setup_explicit(void **state)
{
    *state = two_groups(true, true);
    return 0;
}

static Nexus *nexus_on(Scsi *s, uint16_t port)
{
    Nexus *nexus = scsi_nexus(s);
    nexus_set_port(nexus, port);
    expect(nexus, TUR, 0, SENSE_POWER_ON_RESET);
    return nexus;
}

static void expect_data(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, const uint8_t *data,
                        unsigned len)
{
    Cmd *cmd = cmd_run(nexus, cdb, cdb_len, 255);
    assert_int_equal(cmd_sense(cmd), 0);
    assert_int_equal(cmd->in->len, len);
    assert_memory_equal(cmd->in->data, data, len);
    cmd_free(cmd);
}

static void one_group_by_itself(void **state)
{
    Scsi *s = *state;
    static const uint8_t list[] = {0, 0, 0, 12, 0x00, 0xcf, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1};
    expect_data(s->nexus, RTPG(0), list, sizeof list);
    Cmd *cmd = cmd_run(s->nexus, INQUIRY, 96);
    assert_int_equal(cmd->in->data[5] >> 4 & 3, 1);
    cmd_free(cmd);
    expect_out(s->nexus, STPG(8), "\0\0\0\0\2\0\0\1", 8, SENSE_INVALID_OPCODE);
}

static void groups_are_reported(void **state)
{
    Scsi *s = *state;
    static const uint8_t list[] = {0, 0, 0, 28, 0x80, 0xcf, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1,
                                   0, 0, 0, 2,  0x01, 0xcf, 0, 7, 0, 0, 0, 1, 0, 0, 0, 3};
    static const uint8_t extended[] = {0, 0, 0, 32, 0x10, 0, 0, 0, 0x80, 0xcf, 0, 1};
    expect_data(s->nexus, RTPG(0), list, sizeof list);
    Cmd *cmd = cmd_run(s->nexus, RTPG(1), 255);
    assert_int_equal(cmd->in->len, 36);
    assert_memory_equal(cmd->in->data, extended, sizeof extended);
    cmd_free(cmd);
    expect(s->nexus, RTPG(2), 255, SENSE_INVALID_FIELD_IN_CDB);
    cmd = cmd_run(s->nexus, CDB(0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0), 255);
    assert_int_equal(cmd->in->len, 6); /* cut to the allocation length */
    cmd_free(cmd);
    cmd = cmd_run(s->nexus, INQUIRY, 96);
    assert_int_equal(cmd->in->data[5] >> 4 & 3, 3);
    cmd_free(cmd);
}

/* The descriptor of this type on page 83h, as a number. */
static unsigned designator(Nexus *nexus, uint8_t type)
{
    Cmd *cmd = cmd_run(nexus, CDB(0x12, 1, 0x83, 0, 255, 0), 255);
    const uint8_t *data = cmd->in->data;
    unsigned found = 0;
    for (unsigned at = 4; at + 4 <= cmd->in->len; at += 4u + data[at + 3])
        if (data[at + 1] == type)
            found = get_be32(data + at + 4);
    cmd_free(cmd);
    return found;
}

static void port_and_group_are_named(void **state)
{
    Scsi *s = *state;
    Nexus *other = nexus_on(s, 3), *unknown = nexus_on(s, 9);
    assert_int_equal(designator(s->nexus, 0x14), 1);
    assert_int_equal(designator(s->nexus, 0x15), 1);
    assert_int_equal(designator(other, 0x14), 3);
    assert_int_equal(designator(other, 0x15), 7);
    assert_int_equal(designator(unknown, 0x14), 9);
    assert_int_equal(designator(unknown, 0x15), 1);
    scsi_close_nexus(other);
    scsi_close_nexus(unknown);
}

static void states_let_through(void **state)
{
    Scsi *s = *state;
    Nexus *other = nexus_on(s, 3);
    static const struct {
        AluaState state;
        SenseCode read, mode_sense;
    } rows[] = {
        {ALUA_NON_OPTIMIZED, 0, 0},
        {ALUA_STANDBY, SENSE_PORT_STANDBY, 0},
        {ALUA_UNAVAILABLE, SENSE_PORT_UNAVAILABLE, SENSE_PORT_UNAVAILABLE},
        {ALUA_OFFLINE, SENSE_LUN_OFFLINE, SENSE_LUN_OFFLINE},
        {ALUA_TRANSITIONING, SENSE_PORT_TRANSITION, SENSE_PORT_TRANSITION},
        {ALUA_OPTIMIZED, 0, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_true(scsi_target_set_alua_state(s->target, 1, rows[i].state));
        expect(s->nexus, TUR, 0, SENSE_ALUA_STATE_CHANGED);
        expect(s->nexus, TUR, 0, rows[i].read);
        expect(s->nexus, READ_ONE, 512, rows[i].read);
        expect(s->nexus, CDB(0x1a, 0, 0x3f, 0, 255, 0), 255, rows[i].mode_sense);
        expect(s->nexus, INQUIRY, 96, 0);
        expect(s->nexus, RTPG(0), 255, 0);
        expect(s->nexus, CDB(0x03, 0, 0, 0, 18, 0), 18, 0);
        expect(s->nexus, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0), 256, 0);
        expect(other, TUR, 0, SENSE_ALUA_STATE_CHANGED);
        expect(other, READ_ONE, 512, 0);
    }
    assert_false(scsi_target_set_alua_state(s->target, 2, ALUA_STANDBY));
    assert_true(scsi_target_set_alua_state(s->target, 1, ALUA_OPTIMIZED)); /* as it is */
    expect(s->nexus, TUR, 0, 0);
    scsi_close_nexus(other);
}

static AluaState state_of(const Scsi *s, uint16_t group)
{
    AluaState state;
    assert_true(alua_get_state(scsi_target_alua(s->target), group, &state));
    return state;
}

static void initiators_set_states(void **state)
{
    Scsi *s = *state;
    Nexus *other = nexus_on(s, 3);
    static const uint8_t both[] = {0, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 7};
    expect_out(s->nexus, STPG(12), both, sizeof both, 0);
    assert_int_equal(state_of(s, 1), ALUA_STANDBY);
    assert_int_equal(state_of(s, 7), ALUA_OPTIMIZED);
    expect(s->nexus, TUR, 0, SENSE_PORT_STANDBY); /* not told what it did itself */
    expect(other, TUR, 0, SENSE_ALUA_STATE_CHANGED);
    expect(other, TUR, 0, 0);
    Cmd *cmd = cmd_run(other, RTPG(0), 255);
    assert_int_equal(cmd->in->data[4], 0x82);
    assert_int_equal(cmd->in->data[9], 1); /* by the command */
    cmd_free(cmd);
    expect_out(s->nexus, STPG(12), both, sizeof both, 0); /* the same again */
    expect(other, TUR, 0, 0);
    expect_out(other, STPG(8), "\0\0\0\0\0\0\0\1", 8, 0);
    expect(s->nexus, TUR, 0, SENSE_ALUA_STATE_CHANGED);
    scsi_close_nexus(other);
}

static void bad_lists_change_nothing(void **state)
{
    Scsi *s = *state;
    static const char *const lists[] = {"\0\0\0\0\2\0\0\1\0\0\0\3", "\0\0\0\0\2\0\0\1\4\0\0\7",
                                        "\0\0\0\0\2\0\0\1\17\0\0\7", "\0\0\0\0\2\0\0\1\16\0\0\7"};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        expect_out(s->nexus, STPG(12), lists[i], 12, SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    expect_out(s->nexus, STPG(10), lists[0], 10, SENSE_INVALID_FIELD_IN_CDB);
    expect_out(s->nexus, STPG(3), lists[0], 3, SENSE_INVALID_FIELD_IN_CDB);
    expect_out(s->nexus, STPG(12), lists[0], 8, SENSE_PARAMETER_LIST_LENGTH_ERROR);
    expect(s->nexus, STPG(0), 0, 0);
    expect_out(s->nexus, STPG(4), lists[0], 4, 0);
    assert_int_equal(state_of(s, 1), ALUA_OPTIMIZED);
    assert_int_equal(state_of(s, 7), ALUA_NON_OPTIMIZED);
}

/* The ports of the registrations, as READ FULL STATUS tells them. */
static void expect_registered(Nexus *nexus, const char *expected)
{
    Cmd *cmd = cmd_run(nexus, CDB(0x5e, 3, 0, 0, 0, 0, 0, 0, 255, 0), 255);
    const uint8_t *data = cmd->in->data;
    g_autoptr(GString) ports = g_string_new("");
    assert_int_equal(cmd_sense(cmd), 0);
    for (unsigned at = 8; at + 24 <= cmd->in->len; at += 24 + get_be32(data + at + 20))
        g_string_append_printf(ports, "%u ", get_be16(data + at + 18));
    assert_string_equal(ports->str, expected);
    cmd_free(cmd);
}

static void registrations_are_of_ports(void **state)
{
    Scsi *s = *state;
    enum { ALL_TG_PT = 0x04 };
    static const uint8_t register_cdb[10] = {0x5f, 6, [8] = 24};
    uint8_t list[24] = {[15] = 1};
    Nexus *other = nexus_on(s, 3);
    expect_out(other, register_cdb, 10, list, sizeof list, 0);
    expect_registered(s->nexus, "3 ");
    list[20] = ALL_TG_PT;
    expect_out(s->nexus, register_cdb, 10, list, sizeof list, 0);
    expect_registered(s->nexus, "3 1 2 ");
    scsi_close_nexus(other);
}

#define EXPLICIT(fn) cmocka_unit_test_setup_teardown(fn, setup_explicit, scsi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_group_by_itself, scsi_setup, scsi_teardown),
        EXPLICIT(groups_are_reported),
        EXPLICIT(port_and_group_are_named),
        EXPLICIT(registrations_are_of_ports),
        EXPLICIT(states_let_through),
        EXPLICIT(initiators_set_states),
        EXPLICIT(bad_lists_change_nothing),
    };
    return unit_run(tests);
}
