/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Initiators with names, and reservations in short. */
#include "tests/unit/reserve_rig.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- nexuses and commands --------------------------------------------------------------------- */

size_t iscsi_id(uint8_t p[28], uint8_t format, const char *name)
{
    memset(p, 0, 28);
    p[0] = format | TRANSPORT_ISCSI;
    p[3] = 24;
    memcpy(p + 4, name, strlen(name));
    return 28;
}

/* iqn.LETTER, ISID 1. */
Nexus *join(Scsi *s, char letter)
{
    uint8_t id[28];
    char name[24];
    g_snprintf(name, sizeof name, "iqn.%c,i,0x1", letter);
    size_t len = iscsi_id(id, 0x40, name);
    Nexus *nexus = nexus_new(s->target, s->loop, s->memory, name, id, len);
    expect(nexus, TUR, 0, SENSE_POWER_ON_RESET);
    return nexus;
}

unsigned result_of(Cmd *cmd)
{
    uint8_t status = cmd->task.status;
    unsigned result = status == SCSI_CHECK_CONDITION ? cmd_sense(cmd) : (unsigned)status << 24;
    cmd_free(cmd);
    return result;
}

unsigned run(Nexus *nexus, const uint8_t *cdb, unsigned len)
{
    return result_of(cmd_run(nexus, cdb, len, 64));
}

OutCommand out_command(ReserveAction action, unsigned type, uint64_t key, uint64_t action_key,
                       uint8_t flags)
{
    OutCommand out = {.cdb = {0x5f, (uint8_t)action, (uint8_t)type, [8] = 24}, .len = 24};
    put_be64(out.list, key);
    put_be64(out.list + 8, action_key);
    out.list[20] = flags;
    return out;
}

unsigned out_run(Nexus *nexus, OutCommand *out)
{
    put_be32(out->cdb + 5, out->len);
    return result_of(cmd_run_out(nexus, out->cdb, 10, out->list, out->len));
}

unsigned pr_out(Nexus *nexus, ReserveAction action, unsigned type, uint64_t key,
                uint64_t action_key, uint8_t flags)
{
    OutCommand out = out_command(action, type, key, action_key, flags);
    return out_run(nexus, &out);
}

void expect_out_good(Nexus *nexus, ReserveAction action, unsigned type, uint64_t key,
                     uint64_t action_key, uint8_t flags)
{
    g_assert_cmpuint(pr_out(nexus, action, type, key, action_key, flags), ==, 0);
}

Cmd *pr_in(Nexus *nexus, uint8_t action, uint16_t room)
{
    return cmd_run(nexus, CDB(0x5e, action, 0, 0, 0, 0, 0, room >> 8, room & 0xff, 0), room);
}

/* "generation: keys", and what is reserved. */
static char *describe(Nexus *nexus)
{
    GString *text = g_string_new(NULL);
    Cmd *cmd = pr_in(nexus, 0, 4096);
    g_assert_cmpuint(cmd->in->len, ==, 8 + get_be32(cmd->in->data + 4));
    g_string_append_printf(text, "%u:", get_be32(cmd->in->data));
    for (unsigned at = 8; at < cmd->in->len; at += 8)
        g_string_append_printf(text, " %x", cmd->in->data[at] & 0xf);
    cmd_free(cmd);
    cmd = pr_in(nexus, 1, 4096);
    if (cmd->in->len == 24)
        g_string_append_printf(text, ", type %x by %x", cmd->in->data[21], cmd->in->data[8] & 0xf);
    else
        g_assert_cmpuint(cmd->in->len, ==, 8);
    cmd_free(cmd);
    return g_string_free(text, FALSE);
}

void expect_state(Nexus *nexus, const char *expected)
{
    g_autofree char *found = describe(nexus);
    g_assert_cmpstr(found, ==, expected);
}

StateDir *state_dir;
char *state_path;

void keep_state(LunSpec *spec)
{
    spec->state = state_dir;
}

Trio trio_new(void (*change)(LunSpec *))
{
    Trio t = {.scsi = scsi_new(change)};
    t.a = join(t.scsi, 'a');
    t.b = join(t.scsi, 'b');
    t.c = join(t.scsi, 'c');
    return t;
}

void trio_free(Trio *t)
{
    scsi_close_nexus(t->a);
    scsi_close_nexus(t->b);
    scsi_close_nexus(t->c);
    scsi_free(t->scsi);
}

/* A and B are registered, A holds a reservation of the type. */
Trio trio_reserved(void (*change)(LunSpec *), unsigned type, uint8_t flags)
{
    Trio t = trio_new(change);
    expect_out_good(t.a, PR_REGISTER, 0, 0, KEY_A, flags);
    expect_out_good(t.b, PR_REGISTER, 0, 0, KEY_B, flags);
    expect_out_good(t.a, PR_RESERVE, type, KEY_A, 0, 0);
    return t;
}

void clear_attentions(Nexus *nexus)
{
    while (run(nexus, TUR) >> 16 == 0x6)
        ;
}

void managed(TmfResponse response, void *arg)
{
    g_assert_cmpuint(response, ==, TMF_COMPLETE);
    *(bool *)arg = true;
}

void manage(Nexus *nexus, TmfFunction function)
{
    bool done = false;
    nexus_manage(nexus, function, 0, 0, managed, &done);
    wait_for(&done);
    clear_attentions(nexus);
}

char *state_file(void)
{
    g_autoptr(GDir) dir = g_dir_open(state_path, 0, NULL);
    const char *name = dir ? g_dir_read_name(dir) : NULL;
    return name ? g_build_filename(state_path, name, NULL) : NULL;
}

int make_state_dir(void **state)
{
    (void)state;
    state_path = g_dir_make_tmp("rtgt-reserve-XXXXXX", NULL);
    state_dir = state_dir_open(state_path, NULL);
    return state_dir ? 0 : -1;
}

int drop_state_dir(void **state)
{
    (void)state;
    state_dir_close(state_dir);
    g_autofree char *left = state_file();
    if (left)
        g_unlink(left);
    g_rmdir(state_path);
    g_free(state_path);
    return 0;
}
