/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUNs and parameter lists for tests of EXTENDED COPY. */
#include "tests/unit/copy_fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define ELSEWHERE "iqn.2026-01.org.rtgt:elsewhere"

static Lun *make_lun(Scsi *s, ScsiTarget *target, unsigned number, void (*change)(LunSpec *spec))
{
    g_autofree char *path = g_strdup_printf("%s.%s.%u", s->path, scsi_target_name(target), number);
    LunSpec spec = s->spec;
    spec.target_name = scsi_target_name(target);
    spec.number = number;
    spec.path = path;
    if (change)
        change(&spec);
    GError *error = NULL;
    Lun *lun = lun_new(&spec, s->memory, &s->loop, 1, &error);
    g_assert_no_error(error);
    scsi_target_add_lun(target, lun);
    return lun;
}

CopyRig *copy_rig_new(void (*change)(LunSpec *spec))
{
    CopyRig *rig = g_new0(CopyRig, 1);
    Scsi *s = rig->s = scsi_new(change);
    rig->second = make_lun(s, s->target, 1, change);
    rig->elsewhere = scsi_target_new(ELSEWHERE, &s->loop, 1);
    rig->foreign = make_lun(s, rig->elsewhere, 0, change);
    Cmd *cmd = cmd_run(s->nexus, CDB(0, 0, 0, 0, 0, 0), 0);
    g_assert_cmphex(cmd_sense(cmd), ==, SENSE_POWER_ON_RESET);
    cmd_free(cmd);
    return rig;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

typedef struct {
    Lun *lun;
    bool *closed;
} Removal;

static void removed(void *arg)
{
    Removal *removal = arg;
    lun_close(removal->lun, set_flag, removal->closed);
    g_free(removal);
}

void copy_rig_remove(CopyRig *rig, Lun **lun, bool *closed)
{
    Removal *removal = g_new(Removal, 1);
    *removal = (Removal){.lun = *lun, .closed = closed};
    g_unlink(lun_spec(*lun)->path);
    scsi_target_remove_lun(*lun == rig->foreign ? rig->elsewhere : rig->s->target, *lun, removed,
                           removal);
    *lun = NULL;
}

void copy_rig_free(CopyRig *rig)
{
    Lun **const luns[] = {&rig->second, &rig->foreign};
    if (rig->s->nexus)
        scsi_close_nexus(g_steal_pointer(&rig->s->nexus));
    for (unsigned i = 0; i < G_N_ELEMENTS(luns); i++) {
        bool closed = !*luns[i];
        if (!closed)
            copy_rig_remove(rig, luns[i], &closed);
        wait_for(&closed);
    }
    scsi_target_free(rig->elsewhere);
    scsi_free(rig->s);
    g_free(rig);
}

/* --- the LUNs' bytes -------------------------------------------------------------------------- */

static uint8_t pattern(uint8_t seed, uint64_t at)
{
    return (uint8_t)(seed + at * 7 + (at >> 9) * 13 + (at >> 18));
}

void lun_fill(const Lun *lun, uint8_t seed, uint64_t offset, size_t len)
{
    g_autofree uint8_t *data = g_malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(seed, i);
    int fd = open(lun_spec(lun)->path, O_WRONLY);
    g_assert_cmpint(pwrite(fd, data, len, (off_t)offset), ==, (gssize)len);
    close(fd);
}

void lun_check(const Lun *lun, uint8_t seed, uint64_t offset, size_t len)
{
    g_autofree uint8_t *data = g_malloc(len);
    int fd = open(lun_spec(lun)->path, O_RDONLY);
    g_assert_cmpint(pread(fd, data, len, (off_t)offset), ==, (gssize)len);
    close(fd);
    for (size_t i = 0; i < len; i++)
        if (data[i] != pattern(seed, i))
            g_error("byte %zu at %" G_GUINT64_FORMAT " is %02x", i, offset + i, data[i]);
}

/* --- parameter lists -------------------------------------------------------------------------- */

List *list_new(void)
{
    List *list = g_new0(List, 1);
    list->data[0] = 1;
    return list;
}

uint8_t *list_add_cscd(List *list, const Lun *lun)
{
    uint8_t *p = list->data + COPY_HEADER_LEN + list->cscds++ * COPY_CSCD_LEN;
    g_assert_cmpuint(list->segments, ==, 0);
    p[0] = COPY_IDENTIFICATION;
    p[4] = 1;
    p[5] = 3;
    p[7] = 8;
    put_be64(p + 8, lun_spec(lun)->naa);
    put_be24(p + 29, lun_spec(lun)->block_size);
    put_be16(list->data + 2, (uint16_t)(list->cscds * COPY_CSCD_LEN));
    return p;
}

uint8_t *list_add_segment(List *list, unsigned source, unsigned destination, uint64_t from,
                          uint64_t to, unsigned blocks)
{
    uint8_t *p = list->data + COPY_HEADER_LEN + list->cscds * COPY_CSCD_LEN +
                 list->segments++ * COPY_SEGMENT_LEN;
    p[0] = COPY_BLOCK_TO_BLOCK;
    put_be16(p + 2, COPY_SEGMENT_LEN - 4);
    put_be16(p + 4, (uint16_t)source);
    put_be16(p + 6, (uint16_t)destination);
    put_be16(p + 10, (uint16_t)blocks);
    put_be64(p + 12, from);
    put_be64(p + 20, to);
    put_be32(list->data + 8, list->segments * COPY_SEGMENT_LEN);
    return p;
}

/* --- commands --------------------------------------------------------------------------------- */

Cmd *copy_start(Nexus *nexus, const List *list)
{
    uint8_t cdb[16] = {0x83};
    uint32_t len =
        COPY_HEADER_LEN + list->cscds * COPY_CSCD_LEN + list->segments * COPY_SEGMENT_LEN;
    put_be32(cdb + 10, len);
    Cmd *cmd = cmd_new(nexus, cdb, sizeof cdb);
    cmd->out = list->data;
    cmd->task.data_out_len = len;
    cmd_submit(cmd);
    return cmd;
}

SenseCode copy_run(Nexus *nexus, const List *list)
{
    Cmd *cmd = copy_start(nexus, list);
    cmd_wait(cmd);
    SenseCode sense = cmd_sense(cmd);
    cmd_free(cmd);
    return sense;
}

Cmd *copy_results(Nexus *nexus, uint8_t action, uint8_t list_id)
{
    uint8_t cdb[16] = {0x84, action, list_id};
    put_be32(cdb + 10, 512);
    Cmd *cmd = cmd_run(nexus, cdb, sizeof cdb, 512);
    g_assert_cmphex(cmd_sense(cmd), ==, 0);
    g_assert_cmpuint(get_be32(cmd->in->data) + 4, ==, cmd->in->len);
    return cmd;
}
