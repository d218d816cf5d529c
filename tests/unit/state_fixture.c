/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A state directory in a temporary one. */
#include "tests/unit/state_fixture.h"

#include <glib/gstdio.h>

void state_fixture_open(StateFixture *fixture)
{
    GError *error = NULL;
    fixture->path = g_dir_make_tmp("rtgt-state-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->dir = state_dir_open(fixture->path, &error);
    g_assert_no_error(error);
}

void state_fixture_close(StateFixture *fixture)
{
    state_dir_close(fixture->dir);
    GDir *dir = g_dir_open(fixture->path, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(fixture->path, name, NULL);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(fixture->path);
    g_free(fixture->path);
}
