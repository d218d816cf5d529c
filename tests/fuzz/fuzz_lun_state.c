/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a LUN finds in the state directory: saved modes, an operation that did not end, and the
 * reservations file as it is. The first byte says which file the others are. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/world.h"
#include "tests/unit/scsi_fixture.h"

#define SIZE (64u << 10) /* bytes */

static const char *const names[] = {"lun-3000000000000000.modes", "lun-3000000000000000.operation",
                                    "reservations-3000000000000000"}; /* of WORLD_LUN_0 */

static void write_file(const World *world, const uint8_t *data, size_t size)
{
    const char *name = names[data[0] % G_N_ELEMENTS(names)];
    g_autofree char *path = g_build_filename(world->state_path, name, NULL);
    g_autoptr(GError) error = NULL;
    g_file_set_contents_full(path, (const char *)data + 1, (gssize)size - 1,
                             G_FILE_SET_CONTENTS_NONE, 0600, &error);
    g_assert_no_error(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    World *world = world_get();
    write_file(world, data, size);
    world_make_store(world, 0, SIZE, false);
    LunSpec *spec = world_spec(world, 0);
    spec->state = world->state;
    g_autoptr(GError) error = NULL;
    Lun *lun = lun_new(spec, world->memory, &world->loop, 1, &error);
    g_assert(!lun == !!error);
    if (lun)
        world_drop_lun(NULL, lun);
    world_forget_state(world);
    return 0;
}
