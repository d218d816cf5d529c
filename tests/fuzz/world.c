/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making the world. */
#include "tests/fuzz/world.h"

#include "tests/fuzz/inline_engine.h"
#include "tests/unit/scsi_fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

static World world;
static pid_t maker; /* libFuzzer may fork */

static void grow(void *arg)
{
    (void)arg; /* all chunks are there from the start */
}

static void empty_dir(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_unlink(file);
    }
}

static void remove_dir(void)
{
    if (getpid() != maker)
        return;
    empty_dir(world.state_path);
    g_rmdir(world.state_path);
    empty_dir(world.dir);
    g_rmdir(world.dir);
}

World *world_get(void)
{
    if (world.loop)
        return &world;
    GError *error = NULL;
    ArenaConfig arena = {.limit = 32 * MIB, .initial = 32 * MIB};
    world.loop = loop_new_main(&(LoopConfig){0});
    world.arena = arena_new(&arena, grow, NULL, &error);
    g_assert_no_error(error);
    world.memory = memory_new(world.arena, 8 * MIB, &world.loop, 1);
    world.budget = receive_budget_new(world.arena, 8 * MIB);
    world.dir = g_dir_make_tmp("rtgt-fuzz-XXXXXX", &error);
    g_assert_no_error(error);
    world.state_path = g_build_filename(world.dir, "state", NULL);
    world.state = state_dir_open(world.state_path, &error);
    g_assert_no_error(error);
    maker = getpid();
    atexit(remove_dir);
    return &world;
}

void world_forget_state(World *w)
{
    empty_dir(w->state_path);
}

void world_make_store(World *w, unsigned number, uint64_t size, bool allocated)
{
    g_autofree char *path = g_strdup_printf("%s/lun%u", w->dir, number);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    int res = allocated ? posix_fallocate(fd, 0, (off_t)size) : ftruncate(fd, (off_t)size);
    g_assert_cmpint(res, ==, 0);
    close(fd);
}

LunSpec *world_spec(World *w, unsigned number)
{
    static LunSpec spec;
    static char path[256];
    g_snprintf(path, sizeof path, "%s/lun%u", w->dir, number);
    spec = (LunSpec){.target_name = SCSI_NAME,
                     .number = number,
                     .path = path,
                     .write_cache = true,
                     .block_size = 512,
                     .engine = &inline_engine,
                     .mode = AIO_BUFFERED,
                     .naa = WORLD_LUN_0 + number};
    aio_params_init(&spec.params);
    return &spec;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

void world_drop_lun(ScsiTarget *target, Lun *lun)
{
    bool removed = !target, closed = false;
    if (target)
        scsi_target_remove_lun(target, lun, set_flag, &removed);
    wait_for(&removed);
    lun_close(lun, set_flag, &closed);
    wait_for(&closed);
}
