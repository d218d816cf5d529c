/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CDB of every command: where its fields are by the standards, and what is answered when they
 * are wrong. Walks the command table: a new row wants a line in shapes[]. */
#include "tests/unit/unit.h"

#include "core/scsi/alua.h"
#include "core/scsi/command.h"
#include "core/scsi/lun_impl.h"
#include "tests/unit/scsi_fixture.h"
#include "tests/unit/state_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK      512
#define ROOM       8192
#define LIST_ID    7 /* of a copy that has ended */
#define NO_ACTION  -1
#define BLOCKS_256 256

/* --- what the standards say ------------------------------------------------------------------- */

typedef struct {
    uint8_t at, len; /* bytes of the CDB; len 0: there is none */
} Field;

typedef enum {
    ZERO_NOTHING, /* is no error */
    ZERO_REST,    /* is all up to the end of the medium */
    ZERO_256,
    ZERO_REFUSED, /* WSNZ of VPD page B0 */
} Zero;

typedef struct {
    uint8_t opcode;
    int action;
    Field lba, blocks;
    Zero zero;
    uint8_t per_block; /* blocks of data-out for each block of the range */
    bool one_block;    /* of data-out, however long the range */
    bool protection;   /* bits 7 to 5 of byte 1 are RDPROTECT, WRPROTECT or the like */
    Field allocation;
    uint8_t least;  /* allocation length that is not refused */
    Field list;     /* parameter list length */
    uint8_t set[4]; /* byte, value, ... of a CDB that is answered; byte 0: none */
} Shape;

#define PLAIN(opcode)               \
    {                               \
        opcode, .action = NO_ACTION \
    }
#define ACTION(opcode, action) \
    {                          \
        opcode, action         \
    }
#define ON_6(opcode, ...)                                                                 \
    {                                                                                     \
        opcode, NO_ACTION, .lba = {1, 3}, .blocks = {4, 1}, .zero = ZERO_256, __VA_ARGS__ \
    }
#define ON_10(opcode, ...)                                              \
    {                                                                   \
        opcode, NO_ACTION, .lba = {2, 4}, .blocks = {7, 2}, __VA_ARGS__ \
    }
#define ON_12(opcode, ...)                                              \
    {                                                                   \
        opcode, NO_ACTION, .lba = {2, 4}, .blocks = {6, 4}, __VA_ARGS__ \
    }
#define ON_16(opcode, ...)                                               \
    {                                                                    \
        opcode, NO_ACTION, .lba = {2, 8}, .blocks = {10, 4}, __VA_ARGS__ \
    }
#define IN(opcode, action, at, len, ...)                     \
    {                                                        \
        opcode, action, .allocation = {at, len}, __VA_ARGS__ \
    }
#define OUT(opcode, action, at, len, ...)              \
    {                                                  \
        opcode, action, .list = {at, len}, __VA_ARGS__ \
    }
#define READS  .protection = true
#define WRITES .protection = true, .per_block = 1

static const Shape shapes[] = {
    PLAIN(0x00),
    IN(0x03, NO_ACTION, 4, 1),
    PLAIN(0x04),
    ON_6(0x08),
    ON_6(0x0a, .per_block = 1),
    IN(0x12, NO_ACTION, 3, 2),
    OUT(0x15, NO_ACTION, 4, 1, .set = {1, 0x10}),
    PLAIN(0x16),
    PLAIN(0x17),
    IN(0x1a, NO_ACTION, 4, 1, .set = {2, 0x3f}),
    PLAIN(0x1b),
    PLAIN(0x1d),
    PLAIN(0x1e),
    PLAIN(0x25),
    ON_10(0x28, READS),
    ON_10(0x2a, WRITES),
    ON_10(0x2e, WRITES),
    ON_10(0x2f, READS),
    ON_10(0x34, .zero = ZERO_REST),
    ON_10(0x35, .zero = ZERO_REST),
    IN(0x37, NO_ACTION, 7, 2),
    ON_10(0x41, .protection = true, .one_block = true, .zero = ZERO_REFUSED),
    OUT(0x42, NO_ACTION, 7, 2),
    ACTION(0x48, 0x01),
    ACTION(0x48, 0x1f),
    PLAIN(0x4c),
    IN(0x4d, NO_ACTION, 7, 2, .set = {2, 0x40}),
    OUT(0x55, NO_ACTION, 7, 2, .set = {1, 0x10}),
    IN(0x5a, NO_ACTION, 7, 2, .set = {2, 0x3f}),
    IN(0x5e, 0x00, 7, 2),
    IN(0x5e, 0x01, 7, 2),
    IN(0x5e, 0x02, 7, 2),
    IN(0x5e, 0x03, 7, 2),
    ACTION(0x5f, 0x00),
    ACTION(0x5f, 0x01),
    ACTION(0x5f, 0x02),
    ACTION(0x5f, 0x03),
    ACTION(0x5f, 0x04),
    ACTION(0x5f, 0x05),
    ACTION(0x5f, 0x06),
    ACTION(0x5f, 0x07),
    OUT(0x83, 0x00, 10, 4),
    IN(0x84, 0x00, 10, 4, .set = {2, LIST_ID}),
    IN(0x84, 0x01, 10, 4, .set = {2, LIST_ID}),
    IN(0x84, 0x03, 10, 4),
    IN(0x84, 0x04, 10, 4, .set = {2, LIST_ID}),
    ON_16(0x88, READS),
    {0x89, NO_ACTION, {2, 8}, {13, 1}, .protection = true, .per_block = 2},
    ON_16(0x8a, WRITES),
    ON_16(0x8b, WRITES),
    ON_16(0x8e, WRITES),
    ON_16(0x8f, READS),
    ON_16(0x90, .zero = ZERO_REST),
    ON_16(0x91, .zero = ZERO_REST),
    ON_16(0x93, .protection = true, .one_block = true, .zero = ZERO_REFUSED),
    {0x9c, NO_ACTION, {2, 8}, {12, 2}, WRITES},
    IN(0x9e, 0x10, 10, 4),
    {0x9e, 0x12, .lba = {2, 8}, .allocation = {10, 4}},
    IN(0xa0, NO_ACTION, 6, 4, .least = 16),
    IN(0xa3, 0x0a, 6, 4),
    IN(0xa3, 0x0c, 6, 4),
    IN(0xa3, 0x0d, 6, 4, .least = 4),
    OUT(0xa4, 0x0a, 6, 4),
    ON_12(0xa8, READS),
    ON_12(0xaa, WRITES),
    ON_12(0xae, WRITES),
    ON_12(0xaf, READS),
    IN(0xb7, NO_ACTION, 6, 4),
};

static const Shape *shape_of(const Command *command)
{
    int action = command->has_action ? command->action : NO_ACTION;
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++)
        if (shapes[i].opcode == command->opcode && shapes[i].action == action)
            return &shapes[i];
    fail_msg("%s: add it to shapes[]", command->name);
    return NULL;
}

/* --- LUNs: no single one has all commands ----------------------------------------------------- */

static StateFixture keep;
static GHashTable *seen; /* Command that some LUN has */

static void thin(LunSpec *spec)
{
    spec->state = keep.dir;
}

static void allocated(LunSpec *spec)
{
    int fd = open(spec->path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(posix_fallocate(fd, 0, 64 * MIB), 0);
    close(fd);
    spec->state = keep.dir;
    spec->create = false;
    spec->thin = LUN_THIN_OFF;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static Scsi *start(void (*change)(LunSpec *spec))
{
    static const uint16_t ports[] = {1};
    static const AluaGroupSpec group = {1, ports, 1, ALUA_OPTIMIZED, false};
    static const uint8_t header[16] = {LIST_ID};
    state_fixture_open(&keep);
    Scsi *s = scsi_new(change);
    bool removed = false;
    scsi_close_nexus(s->nexus);
    scsi_target_remove_lun(s->target, s->lun, set_flag, &removed);
    wait_for(&removed);
    scsi_target_set_alua(s->target, alua_new(true, true, &group, 1));
    scsi_target_add_lun(s->target, s->lun);
    s->lun->atomic_blocks = 8;
    s->nexus = scsi_nexus(s);
    expect(s->nexus, CDB(0x03, 0, 0, 0, 64, 0), 64, 0); /* takes the POWER ON attention */
    expect_out(s->nexus, CDB(0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0), header, 16, 0);
    return s;
}

static int setup_thin(void **state)
{
    *state = start(thin);
    return 0;
}

static int setup_allocated(void **state)
{
    *state = start(allocated);
    return 0;
}

static int teardown(void **state)
{
    scsi_free(*state);
    state_fixture_close(&keep);
    return 0;
}

/* --- CDBs ------------------------------------------------------------------------------------- */

typedef struct {
    Scsi *s;
    const Command *command;
    const Shape *shape;
    uint8_t cdb[COMMAND_CDB_MAX];
} Row;

typedef void (*RowTest)(Row *row);

static void reset(Row *row)
{
    const uint8_t *set = row->shape->set;
    memset(row->cdb, 0, sizeof row->cdb);
    row->cdb[0] = row->command->opcode;
    row->cdb[1] = row->command->has_action ? row->command->action : 0;
    for (unsigned i = 0; i < 4 && set[i]; i += 2)
        row->cdb[set[i]] |= set[i + 1];
}

static void for_each_row(Scsi *s, RowTest test)
{
    for (unsigned i = 0; i < commands_count; i++) {
        Row row = {s, &commands[i], shape_of(&commands[i]), {0}};
        if (!command_offered(&commands[i], s->lun))
            continue;
        reset(&row);
        test(&row);
    }
}

static uint64_t field_max(const Field *field)
{
    if (field->at == 1) /* the 21 bits of READ (6) */
        return 0x1fffff;
    return field->len == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * field->len) - 1;
}

static void put(Row *row, const Field *field, uint64_t value)
{
    for (unsigned i = field->len; i-- > 0; value >>= 8)
        row->cdb[field->at + i] = (uint8_t)value;
}

static uint64_t end_of(const Row *row)
{
    return lun_blocks(row->s->lun);
}

/* With data-out for that many blocks, and room for data-in. */
static Cmd *run_row(Row *row, uint32_t blocks, uint32_t room)
{
    static const uint8_t zeros[BLOCKS_256 * BLOCK];
    const Shape *shape = row->shape;
    Cmd *cmd = cmd_new(row->s->nexus, row->cdb, row->command->cdb_len);
    cmd->out = zeros;
    cmd->task.data_out_len = (shape->one_block ? 1 : blocks * shape->per_block) * BLOCK;
    cmd->task.data_in_len = room;
    assert_true(cmd->task.data_out_len <= sizeof zeros);
    cmd_submit(cmd);
    cmd_wait(cmd);
    return cmd;
}

static bool moved_nothing(const Cmd *cmd)
{
    return cmd->moves == 0 && cmd->in->len == 0;
}

/* ILLEGAL REQUEST, INVALID FIELD IN CDB, and the pointer to the field's bit. */
static void check_refused(const Row *row, Cmd *cmd, unsigned byte, unsigned bit)
{
    const uint8_t *sense = cmd->task.sense;
    if (cmd_sense(cmd) != SENSE_INVALID_FIELD_IN_CDB || !moved_nothing(cmd) ||
        sense[15] != (0xc8 | bit) || get_be16(sense + 16) != byte)
        fail_msg("%s: byte %u bit %u: sense %06x, pointer %02x %u", row->command->name, byte, bit,
                 cmd_sense(cmd), sense[15], get_be16(sense + 16));
    cmd_free(cmd);
}

/* --- bits ------------------------------------------------------------------------------------- */

static void check_fields(const Row *row, const Field *field)
{
    const uint8_t *usage = row->command->usage;
    for (unsigned i = 0; i < field->len; i++)
        if (usage[field->at + i] != (field->at + i == 1 ? 0x1f : 0xff))
            fail_msg("%s: byte %u is part of a field", row->command->name, field->at + i);
}

static void check_usage(Row *row)
{
    const Shape *shape = row->shape;
    check_fields(row, &shape->lba);
    check_fields(row, &shape->blocks);
    check_fields(row, &shape->allocation);
    check_fields(row, &shape->list);
    assert_int_equal(row->command->usage[row->command->cdb_len - 1], 0); /* NACA and the rest */
    if (shape->protection)
        assert_int_equal(row->command->usage[1] & 0xe0, 0);
    g_hash_table_add(seen, (void *)row->command);
}

static void usage_of_each_command(void **state)
{
    for_each_row(*state, check_usage);
}

static bool is_reserved(const Command *command, unsigned byte, unsigned bit)
{
    return !(command->usage[byte] >> bit & 1) && !(byte == 1 && bit < 5 && command->has_action);
}

static void check_reserved_bits(Row *row)
{
    for (unsigned byte = 1; byte < row->command->cdb_len; byte++)
        for (unsigned bit = 0; bit < 8; bit++) {
            reset(row);
            if (!is_reserved(row->command, byte, bit))
                continue;
            row->cdb[byte] |= (uint8_t)(1 << bit);
            check_refused(row, run_row(row, 1, ROOM), byte, bit);
        }
}

static void each_reserved_bit(void **state)
{
    for_each_row(*state, check_reserved_bits);
}

static void check_short(Row *row)
{
    Cmd *cmd = cmd_new(row->s->nexus, row->cdb, row->command->cdb_len);
    cmd->task.cdb_len = row->command->cdb_len - 1;
    cmd_submit(cmd);
    cmd_wait(cmd);
    check_refused(row, cmd, row->command->cdb_len - 1, 7);
}

static void cdbs_that_are_too_short(void **state)
{
    for_each_row(*state, check_short);
}

static void check_unknown(Scsi *s, uint8_t opcode, uint8_t action)
{
    const uint8_t cdb[16] = {opcode, action};
    const Command *command = command_find(cdb);
    if (command && command_offered(command, s->lun))
        return;
    bool other =
        !command && command_of_opcode(opcode) && command_offered(command_of_opcode(opcode), s->lun);
    Cmd *cmd = cmd_run(s->nexus, cdb, sizeof cdb, ROOM);
    if (other)
        check_refused(&(Row){s, command_of_opcode(opcode), NULL, {0}}, cmd, 1, 4);
    else if (cmd_sense(cmd) != SENSE_INVALID_OPCODE || !moved_nothing(cmd))
        fail_msg("%02x/%02x: sense %06x", opcode, action, cmd_sense(cmd));
    if (!other)
        cmd_free(cmd);
}

static void each_unknown_command(void **state)
{
    for (unsigned opcode = 0; opcode < 256; opcode++)
        for (uint8_t action = 0; action < 32; action++)
            check_unknown(*state, (uint8_t)opcode, action);
}

/* --- ranges ----------------------------------------------------------------------------------- */

static void check_beyond(Row *row, uint64_t lba, uint32_t blocks)
{
    reset(row);
    put(row, &row->shape->lba, lba);
    put(row, &row->shape->blocks, blocks);
    Cmd *cmd = run_row(row, 2, ROOM);
    if (cmd_sense(cmd) != SENSE_LBA_OUT_OF_RANGE || !moved_nothing(cmd))
        fail_msg("%s: %u blocks at %jx: sense %06x", row->command->name, blocks, (uintmax_t)lba,
                 cmd_sense(cmd));
    if (lba <= UINT32_MAX) { /* the first block that is not there */
        assert_int_equal(cmd->task.sense[0], 0xf0);
        assert_int_equal(get_be32(cmd->task.sense + 3), MAX(lba, end_of(row)));
    }
    cmd_free(cmd);
}

static void check_ends(Row *row)
{
    const Shape *shape = row->shape;
    if (!shape->lba.len)
        return;
    check_beyond(row, end_of(row), 1);
    check_beyond(row, field_max(&shape->lba), 1);
    if (!shape->blocks.len)
        return;
    check_beyond(row, end_of(row) - 1, 2);
    check_beyond(row, end_of(row) + 1, 0);
    check_beyond(row, field_max(&shape->lba), (uint32_t)field_max(&shape->blocks));
    if (field_max(&shape->blocks) > end_of(row))
        check_beyond(row, 0, (uint32_t)field_max(&shape->blocks));
}

static void beyond_the_end(void **state)
{
    for_each_row(*state, check_ends);
}

static void check_good(const Row *row, Cmd *cmd)
{
    if (cmd->task.status != SCSI_GOOD && cmd->task.status != SCSI_CONDITION_MET)
        fail_msg("%s: status %02x", row->command->name, cmd->task.status);
    cmd_free(cmd);
}

static void check_last(Row *row)
{
    if (!row->shape->blocks.len ||
        (row->command->flags & COMMAND_NEEDS_ATOMIC)) /* not this store */
        return;
    put(row, &row->shape->lba, end_of(row) - 1);
    put(row, &row->shape->blocks, 1);
    check_good(row, run_row(row, 1, BLOCK));
}

static void the_last_block(void **state)
{
    for_each_row(*state, check_last);
}

static void check_zero(Row *row)
{
    const Shape *shape = row->shape;
    if (!shape->blocks.len)
        return;
    bool all = shape->zero == ZERO_256;
    Cmd *cmd = run_row(row, all ? BLOCKS_256 : 0, all ? BLOCKS_256 * BLOCK : ROOM);
    if (shape->zero == ZERO_REFUSED) {
        check_refused(row, cmd, shape->blocks.at, 7);
        return;
    }
    uint64_t wanted = cmd->task.data_in_wanted + cmd->task.data_out_wanted;
    assert_int_equal(wanted, all ? BLOCKS_256 * BLOCK : 0);
    assert_true(all || moved_nothing(cmd));
    check_good(row, cmd);
}

static void zero_blocks(void **state)
{
    for_each_row(*state, check_zero);
}

/* --- data-in ---------------------------------------------------------------------------------- */

static Cmd *ask(Row *row, uint64_t allocation, uint32_t room)
{
    reset(row);
    put(row, &row->shape->allocation, allocation);
    return run_row(row, 0, room);
}

static void check_cut(Row *row, const GByteArray *whole, uint32_t allocation, uint32_t room)
{
    const Field *field = &row->shape->allocation;
    if (allocation > field_max(field))
        return;
    Cmd *cmd = ask(row, allocation, room);
    if (allocation < row->shape->least) {
        check_refused(row, cmd, field->at, 7);
        return;
    }
    uint32_t wanted = MIN(whole->len, allocation), sent = MIN(wanted, room);
    if (cmd_sense(cmd) != 0 || cmd->task.data_in_wanted != wanted || cmd->in->len != sent ||
        (sent > 0 && memcmp(cmd->in->data, whole->data, sent) != 0))
        fail_msg("%s: allocation length %u, room %u: sense %06x, %u bytes of %u",
                 row->command->name, allocation, room, cmd_sense(cmd), cmd->in->len, whole->len);
    cmd_free(cmd);
}

static void check_allocation(Row *row)
{
    const Field *field = &row->shape->allocation;
    if (!field->len)
        return;
    uint32_t most = (uint32_t)MIN(field_max(field), ROOM);
    Cmd *cmd = ask(row, most, ROOM);
    const GByteArray *whole = cmd->in;
    if (cmd_sense(cmd) != 0 || whole->len < 4)
        fail_msg("%s: sense %06x, %u bytes", row->command->name, cmd_sense(cmd), whole->len);
    const uint32_t lengths[] = {
        0, 1, 3, 4, 15, 16, whole->len / 2, whole->len - 1, whole->len, whole->len + 1};
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        check_cut(row, whole, lengths[i], ROOM);
        check_cut(row, whole, most, lengths[i]); /* the initiator has less room than it said */
    }
    cmd_free(cmd);
}

static void allocation_lengths(void **state)
{
    for_each_row(*state, check_allocation);
}

/* --- parameter lists -------------------------------------------------------------------------- */

/* No list is no error, and one that does not come whole is. */
static void check_list(Row *row)
{
    const Field *field = &row->shape->list;
    if (!field->len)
        return;
    check_good(row, run_row(row, 0, 0));
    put(row, field, 24);
    Cmd *cmd = run_row(row, 0, 0);
    if (cmd_sense(cmd) != SENSE_PARAMETER_LIST_LENGTH_ERROR || !moved_nothing(cmd))
        fail_msg("%s: sense %06x of a list that is missing", row->command->name, cmd_sense(cmd));
    cmd_free(cmd);
}

static void parameter_lists(void **state)
{
    for_each_row(*state, check_list);
}

/* --- the table -------------------------------------------------------------------------------- */

static void every_command_was_met(void **state)
{
    (void)state;
    assert_int_equal(G_N_ELEMENTS(shapes), commands_count);
    for (unsigned i = 0; i < commands_count; i++)
        if (!g_hash_table_contains(seen, &commands[i]) &&
            !(commands[i].flags & COMMAND_NEEDS_OVERWRITE)) /* of the temporary directory */
            fail_msg("%s: no LUN of this test has it", commands[i].name);
}

#define BOTH(fn)                                               \
    {#fn ", thin", fn, setup_thin, teardown, NULL},            \
    {                                                          \
#fn ", allocated", fn, setup_allocated, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(usage_of_each_command),
        BOTH(each_reserved_bit),
        BOTH(cdbs_that_are_too_short),
        BOTH(each_unknown_command),
        BOTH(beyond_the_end),
        BOTH(the_last_block),
        BOTH(zero_blocks),
        BOTH(allocation_lengths),
        BOTH(parameter_lists),
        cmocka_unit_test(every_command_was_met),
    };
    seen = g_hash_table_new(NULL, NULL);
    int result = unit_run(tests);
    g_hash_table_unref(seen);
    return result;
}
