/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUNs to format and to sanitize, and waiting for that. */
#include "tests/unit/operation_rig.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_US (60 * G_USEC_PER_SEC)

StateFixture operation_state;

/* --- LUNs ------------------------------------------------------------------------------------- */

void small(LunSpec *spec)
{
    spec->size = SIZE;
    spec->state = operation_state.dir;
}

void slow(LunSpec *spec)
{
    small(spec);
    spec->engine = &slow_engine;
}

/* All blocks there, so that an overwrite is in place. */
void allocated(LunSpec *spec)
{
    small(spec);
    int fd = open(spec->path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(posix_fallocate(fd, 0, SIZE), 0);
    close(fd);
    spec->create = false;
    spec->thin = LUN_THIN_OFF;
}

void allocated_slow(LunSpec *spec)
{
    allocated(spec);
    spec->engine = &slow_engine;
}

Scsi *started(void (*change)(LunSpec *spec))
{
    Scsi *s = scsi_new(change);
    expect(s->nexus, CDB(0x03, 0, 0, 0, 64, 0), 64, 0); /* takes the POWER ON attention */
    return s;
}

int operation_setup(void **state)
{
    (void)state;
    state_fixture_open(&operation_state);
    return 0;
}

int operation_teardown(void **state)
{
    (void)state;
    state_fixture_close(&operation_state);
    return 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

SenseCode sense_of(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len)
{
    Cmd *cmd = cmd_run(nexus, cdb, cdb_len, 0);
    SenseCode code = cmd_sense(cmd);
    cmd_free(cmd);
    return code;
}

/* Until TEST UNIT READY has another answer than NOT READY. */
SenseCode settled(Scsi *s)
{
    SenseCode code;
    while ((code = sense_of(s->nexus, TUR)) >> 16 == 2)
        g_main_context_iteration(NULL, FALSE);
    return code;
}

void wait_for_requests(unsigned count)
{
    gint64 end = g_get_monotonic_time() + DEADLINE_US;
    while (slow_waiting() < count) {
        assert_true(g_get_monotonic_time() < end);
        g_usleep(100);
    }
}

Cmd *submit_out(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, const void *list, uint32_t len)
{
    Cmd *cmd = cmd_new(nexus, cdb, cdb_len);
    cmd->out = list;
    cmd->task.data_out_len = len;
    cmd_submit(cmd);
    return cmd;
}

void check_medium(const Scsi *s, const void *pattern, size_t len)
{
    g_autofree uint8_t *data = g_malloc(SIZE);
    scsi_file_read(s, data, SIZE, 0);
    for (size_t at = 0; at < SIZE; at += 512)
        for (size_t i = 0; i < 512; i += len)
            assert_memory_equal(data + at + i, pattern, MIN(len, 512 - i));
}

bool offered(Scsi *s)
{
    Cmd *cmd = cmd_run(s->nexus, CDB(0xa3, 0x0c, 2, 0x48, 0, 1, 0, 0, 1, 0, 0, 0), 256);
    assert_int_equal(cmd_sense(cmd), 0);
    bool yes = (cmd->in->data[1] & 7) == 3;
    cmd_free(cmd);
    return yes;
}

/* Skips where temporary files are on a file system that does not overwrite in place. */
Scsi *sanitizable(void (*change)(LunSpec *spec))
{
    Scsi *s = started(change);
    if (offered(s))
        return s;
    scsi_free(s);
    unit_skip("temporary files are not overwritten in place");
    return NULL;
}
