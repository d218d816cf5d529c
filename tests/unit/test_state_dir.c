/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of the state directory: replaced whole, in order, and told when they are safe. */
#include "tests/unit/unit.h"

#include "core/base/state_dir.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
    char *path;
    StateDir *dir;
    unsigned saved;
    bool failed;
} Fixture;

static Loop *loop;

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    f->path = g_dir_make_tmp("rtgt-state-XXXXXX", NULL);
    g_autofree char *below = g_build_filename(f->path, "a", "b", NULL);
    f->dir = state_dir_open(below, NULL);
    assert_non_null(f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    state_dir_close(f->dir);
    g_autofree char *command = g_strdup_printf("rm -r '%s'", f->path);
    g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL);
    g_free(f->path);
    g_free(f);
    return 0;
}

static void saved(const GError *error, void *arg)
{
    Fixture *f = arg;
    f->saved++;
    f->failed |= error != NULL;
}

static void save(Fixture *f, const char *name, const char *text)
{
    GBytes *bytes = text ? g_bytes_new(text, strlen(text)) : NULL;
    state_dir_save(f->dir, name, bytes, loop, saved, f);
    if (bytes)
        g_bytes_unref(bytes);
}

static void wait_for_saves(const Fixture *f, unsigned count)
{
    while (f->saved < count)
        g_main_context_iteration(NULL, TRUE);
}

static void expect(Fixture *f, const char *name, const char *text)
{
    GError *error = NULL;
    GBytes *bytes = state_dir_load(f->dir, name, &error);
    assert_null(error);
    if (!text) {
        assert_null(bytes);
        return;
    }
    assert_non_null(bytes);
    assert_int_equal(g_bytes_get_size(bytes), strlen(text));
    assert_memory_equal(g_bytes_get_data(bytes, NULL), text, strlen(text));
    g_bytes_unref(bytes);
}

static void the_last_save_stands(void **state)
{
    Fixture *f = *state;
    expect(f, "x", NULL);
    save(f, "x", "one");
    save(f, "x", "two");
    save(f, "y", "other");
    wait_for_saves(f, 3);
    assert_false(f->failed);
    expect(f, "x", "two");
    expect(f, "y", "other");
}

static void removing_is_a_save_too(void **state)
{
    Fixture *f = *state;
    save(f, "x", "one");
    save(f, "x", NULL);
    save(f, "never", NULL);
    wait_for_saves(f, 3);
    assert_false(f->failed);
    expect(f, "x", NULL);
}

static void a_failed_save_is_told(void **state)
{
    Fixture *f = *state;
    g_autofree char *below = g_build_filename(f->path, "a", "b", NULL);
    assert_int_equal(g_rmdir(below), 0);
    save(f, "x", "one");
    wait_for_saves(f, 1);
    assert_true(f->failed);
}

static void closing_waits_for_saves(void **state)
{
    Fixture *f = *state;
    for (unsigned i = 0; i < 20; i++)
        save(f, "x", "earlier");
    save(f, "x", "last");
    g_autofree char *below = g_build_filename(f->path, "a", "b", NULL);
    state_dir_close(f->dir);
    f->dir = state_dir_open(below, NULL);
    expect(f, "x", "last");
    wait_for_saves(f, 21);
}

static void a_directory_that_cannot_be_is_an_error(void **state)
{
    (void)state;
    GError *error = NULL;
    assert_null(state_dir_open("/proc/none/at-all", &error));
    assert_non_null(error);
    g_error_free(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_save_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(removing_is_a_save_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_save_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_waits_for_saves, setup, teardown),
        cmocka_unit_test(a_directory_that_cannot_be_is_an_error),
    };
    loop = loop_new_main(&(LoopConfig){0});
    int result = unit_run(tests);
    loop_free(loop);
    return result;
}
