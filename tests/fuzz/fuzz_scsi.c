/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands from two nexuses to two LUNs: CDBs, parameter data, task management. An input is a byte
 * of options and then records, see run_record(); tests/fuzz/seeds writes some. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/world.h"
#include "tests/unit/scsi_fixture.h"

#include <string.h>

#define RECORDS_MAX 24u
#define OUT_MAX     8192u
#define NEXUSES     2
#define LUNS        2
#define LUN_SIZE    (256u << 10) /* bytes */

/* The options of an input. */
enum {
    OPTION_STATE = 0x01,      /* there is a state directory */
    OPTION_BLOCKS_4K = 0x02,  /* LUN 1 has blocks of 4096 bytes */
    OPTION_REMOVABLE = 0x04,  /* LUN 0 */
    OPTION_HANG_UP = 0x08,    /* the first nexus goes while its last commands run */
    OPTION_ATTENTIONS = 0x10, /* POWER ON is not taken beforehand */
};

/* First byte of a record. */
enum {
    RECORD_NEXUS = 0x01,
    RECORD_LUN = 0x02,
    RECORD_ATTRIBUTE = 0x0c, /* TaskAttribute */
    RECORD_NO_WAIT = 0x10,   /* the next record comes while it runs */
    RECORD_NO_LUN = 0x20,    /* the LUN is not there */
    RECORD_TMF = 0x80,
};

typedef struct {
    World *world;
    ScsiTarget *target;
    Lun *luns[LUNS];
    Nexus *nexuses[NEXUSES];
    GPtrArray *cmds; /* Cmd with its data-out in arg; not freed yet */
    unsigned tmfs;   /* not answered */
} Run;

/* --- the target ------------------------------------------------------------------------------- */

static Lun *make_lun(World *world, unsigned number, uint8_t options)
{
    world_make_store(world, number, LUN_SIZE, number == 1);
    LunSpec *spec = world_spec(world, number);
    spec->state = options & OPTION_STATE ? world->state : NULL;
    spec->removable = number == 0 && options & OPTION_REMOVABLE;
    spec->block_size = number == 1 && options & OPTION_BLOCKS_4K ? 4096 : 512;
    spec->thin = number == 1 ? LUN_THIN_OFF : LUN_THIN_ON;
    GError *error = NULL;
    Lun *lun = lun_new(spec, world->memory, &world->loop, 1, &error);
    g_assert_no_error(error);
    return lun;
}

static Nexus *make_nexus(const Run *run, unsigned i, bool attentions)
{
    static const char *const names[NEXUSES] = {"iqn.a,i,0x000000000001", "iqn.b,i,0x000000000001"};
    uint8_t id[28] = {0x45, 0, 0, 24};
    memcpy(id + 4, names[i], strlen(names[i]));
    Nexus *nexus =
        nexus_new(run->target, run->world->loop, run->world->memory, names[i], id, sizeof id);
    nexus_set_port(nexus, (uint16_t)(i + 1));
    for (unsigned lun = 0; lun < LUNS && !attentions; lun++) {
        Cmd *cmd = cmd_new(nexus, CDB(0, 0, 0, 0, 0, 0));
        cmd->task.lun = scsi_lun_field(lun);
        cmd_submit(cmd);
        cmd_wait(cmd);
        cmd_free(cmd);
    }
    return nexus;
}

static void begin(Run *run, uint8_t options)
{
    static const uint16_t ports[] = {1, 2};
    const AluaGroupSpec groups[] = {
        {.id = 1, .ports = ports, .n_ports = 1, .preferred = true},
        {.id = 7, .ports = ports + 1, .n_ports = 1, .state = ALUA_NON_OPTIMIZED}};
    *run = (Run){.world = world_get(), .cmds = g_ptr_array_new()};
    world_forget_state(run->world);
    run->target = scsi_target_new(SCSI_NAME, &run->world->loop, 1);
    scsi_target_set_alua(run->target, alua_new(true, true, groups, G_N_ELEMENTS(groups)));
    for (unsigned i = 0; i < LUNS; i++) {
        run->luns[i] = make_lun(run->world, i, options);
        scsi_target_add_lun(run->target, run->luns[i]);
    }
    for (unsigned i = 0; i < NEXUSES; i++)
        run->nexuses[i] = make_nexus(run, i, options & OPTION_ATTENTIONS);
}

/* --- commands --------------------------------------------------------------------------------- */

/* What every answer has to be like. */
static void check_answer(const Cmd *cmd)
{
    const Task *task = &cmd->task;
    if (!cmd->responded)
        return;
    g_assert((task->status == SCSI_CHECK_CONDITION) == (task->sense_len > 0));
    g_assert_cmpuint(task->sense_len, <=, SENSE_MAX);
    if (task->status == SCSI_GOOD)
        g_assert_cmpuint(cmd->in->len, ==, MIN(task->data_in_wanted, task->data_in_len));
}

static void finish(Cmd *cmd)
{
    cmd_wait(cmd);
    check_answer(cmd);
    g_free(cmd->arg);
    cmd_free(cmd);
}

static void finish_all(Run *run)
{
    for (guint i = 0; i < run->cmds->len; i++)
        finish(run->cmds->pdata[i]);
    g_ptr_array_set_size(run->cmds, 0);
    while (run->tmfs > 0)
        g_main_context_iteration(NULL, TRUE);
}

static void managed(TmfResponse response, void *arg)
{
    g_assert_cmpuint(response, <=, TMF_INCORRECT_LUN);
    ((Run *)arg)->tmfs--;
}

static uint64_t lun_of(uint8_t how)
{
    return scsi_lun_field((how & RECORD_LUN ? 1 : 0) + (how & RECORD_NO_LUN ? 5 : 0));
}

static void run_tmf(Run *run, uint8_t how, ByteReader *input)
{
    TmfFunction function = byte_reader_u8(input) % (TMF_QUERY_ASYNC_EVENT + 1);
    const Cmd *cmd = run->cmds->len ? run->cmds->pdata[run->cmds->len - 1] : NULL;
    run->tmfs++;
    nexus_manage(run->nexuses[how & RECORD_NEXUS], function, lun_of(how), cmd ? cmd->task.tag : 0,
                 managed, run);
}

/* Sizes: what there is room for, and how much comes at once; data-out follows the CDB, with zeros
 * for what the input has no bytes for. */
static void run_command(Run *run, uint8_t how, ByteReader *input)
{
    static const uint32_t rooms[] = {0, 4, 36, 64, 255, 512, 4096, 65536};
    uint8_t sizes = byte_reader_u8(input);
    size_t out_len = byte_reader_be16(input) % (OUT_MAX + 1), cdb_len = 16;
    const uint8_t *cdb = fuzz_take(input, &cdb_len);
    Cmd *cmd = cmd_new(run->nexuses[how & RECORD_NEXUS], cdb, (unsigned)cdb_len);
    Task *task = &cmd->task;
    size_t here = out_len;
    const uint8_t *from = fuzz_take(input, &here);
    uint8_t *out = g_malloc0(out_len + !out_len);
    if (here > 0)
        memcpy(out, from, here);
    cmd->out = cmd->arg = out;
    task->lun = lun_of(how);
    task->attribute = (TaskAttribute)((how & RECORD_ATTRIBUTE) >> 2);
    task->data_in_len = rooms[sizes & 7];
    task->data_out_len = (uint32_t)out_len;
    task->immediate_len = (uint32_t)out_len * (sizes >> 4 & 3) / 3;
    task->immediate = task->immediate_len > 0 ? out : NULL;
    g_ptr_array_add(run->cmds, cmd);
    cmd_submit(cmd);
}

static void run_record(Run *run, ByteReader *input)
{
    uint8_t how = byte_reader_u8(input);
    if (how & RECORD_TMF)
        run_tmf(run, how, input);
    else
        run_command(run, how, input);
    if (!(how & RECORD_NO_WAIT))
        finish_all(run);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end(Run *run, uint8_t options)
{
    if (!(options & OPTION_HANG_UP))
        finish_all(run);
    for (unsigned i = 0; i < NEXUSES; i++)
        scsi_close_nexus(run->nexuses[i]);
    run->tmfs = 0; /* not answered any more */
    finish_all(run);
    for (unsigned i = 0; i < LUNS; i++)
        world_drop_lun(run->target, run->luns[i]);
    scsi_target_free(run->target);
    g_ptr_array_unref(run->cmds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ByteReader input = byte_reader(data, size);
    uint8_t options = byte_reader_u8(&input);
    Run run;
    begin(&run, options);
    for (unsigned i = 0; i < RECORDS_MAX && byte_reader_left(&input) > 0; i++)
        run_record(&run, &input);
    end(&run, options);
    return 0;
}
