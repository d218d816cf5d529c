/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saved mode pages: MODE SELECT with SP, MODE SENSE of saved values, and the next start. */
#include "tests/unit/unit.h"

#include "tests/unit/scsi_fixture.h"
#include "tests/unit/state_fixture.h"

#include <string.h>

#define TUR CDB(0, 0, 0, 0, 0, 0)

static StateFixture fixture;

static void with_state(LunSpec *spec)
{
    spec->state = fixture.dir;
}

static Scsi *started(void)
{
    Scsi *s = scsi_new(with_state);
    expect(s->nexus, TUR, 0, SENSE_POWER_ON_RESET);
    return s;
}

static int setup(void **state)
{
    state_fixture_open(&fixture);
    *state = started();
    return 0;
}

static int teardown(void **state)
{
    scsi_free(*state);
    state_fixture_close(&fixture);
    return 0;
}

static uint8_t page_byte(Scsi *s, uint8_t control_and_page, unsigned byte)
{
    Cmd *cmd = cmd_run(s->nexus, CDB(0x1a, 8, control_and_page, 0, 255, 0), 255);
    assert_int_equal(cmd_sense(cmd), 0);
    uint8_t value = cmd->in->data[4 + byte];
    cmd_free(cmd);
    return value;
}

static void select_caching(Scsi *s, uint8_t flags, uint8_t byte2)
{
    const uint8_t list[24] = {0, 0, 0, 0, 0x08, 0x12, byte2};
    expect_out(s->nexus, CDB(0x15, 0x10 | flags, 0, 0, 24, 0), list, sizeof list, 0);
}

static void savable_pages_say_so(void **state)
{
    Scsi *s = *state;
    assert_int_equal(page_byte(s, 0x08, 0), 0x88);
    assert_int_equal(page_byte(s, 0x48, 0), 0x88);
    assert_int_equal(page_byte(s, 0x0a, 0), 0x8a);
    assert_int_equal(page_byte(s, 0x01, 0), 0x01);
}

static void only_what_is_saved_lasts(void **state)
{
    Scsi *s = *state;
    select_caching(s, 0, 0);
    assert_int_equal(page_byte(s, 0xc8, 2), 4); /* saved */
    scsi_free(s);
    *state = s = started();
    assert_true(lun_write_cache(s->lun));

    select_caching(s, 1, 0);
    const uint8_t control[16] = {0, 0, 0, 0, 0x0a, 0x0a, 0x22, 0x10, 0x08};
    expect_out(s->nexus, CDB(0x15, 0x11, 0, 0, 16, 0), control, sizeof control, 0);
    assert_int_equal(page_byte(s, 0xc8, 2), 0);
    assert_int_equal(page_byte(s, 0xca, 4), 8);
    scsi_free(s);
    *state = s = started();
    assert_false(lun_write_cache(s->lun));
    assert_int_equal(page_byte(s, 0x0a, 4), 8);
    assert_int_equal(page_byte(s, 0x88, 2), 4); /* the default is as configured */
    static const uint8_t block[512];
    expect_out(s->nexus, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512, SENSE_WRITE_PROTECTED);
}

/* SP without pages saves what is. */
static void empty_list_saves(void **state)
{
    Scsi *s = *state;
    select_caching(s, 0, 0);
    assert_int_equal(page_byte(s, 0xc8, 2), 4);
    expect(s->nexus, CDB(0x15, 0x11, 0, 0, 0, 0), 0, 0);
    assert_int_equal(page_byte(s, 0xc8, 2), 0);
}

static void aborted_while_saving(void **state)
{
    Scsi *s = *state;
    Cmd *cmd = cmd_new(s->nexus, CDB(0x15, 0x11, 0, 0, 0, 0));
    cmd_submit(cmd);
    scsi_close_nexus(s->nexus);
    assert_true(cmd->aborted);
    cmd_free(cmd);
    s->nexus = scsi_nexus(s);
}

/* What was saved may be write protection: it is not guessed. */
static void damaged_file_is_refused(void **state)
{
    Scsi *s = *state;
    select_caching(s, 1, 0);
    g_autofree char *name =
        g_strdup_printf("lun-%016" G_GINT64_MODIFIER "x.modes", lun_spec(s->lun)->naa);
    g_autofree char *path = g_build_filename(fixture.path, name, NULL);
    assert_true(g_file_set_contents(path, "[modes]\nwrite-cache=perhaps\n", -1, NULL));
    LunSpec spec = s->spec;
    g_autofree char *other = g_strconcat(s->path, "2", NULL);
    spec.path = other;
    GError *error = NULL;
    assert_null(lun_new(&spec, s->memory, &s->loop, 1, &error));
    assert_non_null(strstr(error->message, "/0: saved modes"));
    g_error_free(error);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* --- resets ----------------------------------------------------------------------------------- */

static void slow_without_cache(LunSpec *spec)
{
    spec->engine = &slow_engine;
    spec->write_cache = false;
}

static int setup_slow(void **state)
{
    Scsi *s = scsi_new(slow_without_cache);
    expect(s->nexus, TUR, 0, SENSE_POWER_ON_RESET);
    *state = s;
    return 0;
}

static void answered(TmfResponse response, void *arg)
{
    assert_int_equal(response, TMF_COMPLETE);
    *(bool *)arg = true;
}

/* What is not saved ends with a reset; a cache that goes off is flushed before that is complete. */
static void resets_restore_what_is_saved(void **state)
{
    Scsi *s = *state;
    static const TmfFunction functions[] = {TMF_LOGICAL_UNIT_RESET, TMF_TARGET_WARM_RESET};
    static const SenseCode attentions[] = {SENSE_DEVICE_RESET, SENSE_BUS_RESET};
    const uint8_t control[16] = {0, 0, 0, 0, 0x0a, 0x0a, 0x22, 0x10, 0x08};
    for (unsigned i = 0; i < G_N_ELEMENTS(functions); i++) {
        bool done = false;
        select_caching(s, 0, 4);
        expect_out(s->nexus, CDB(0x15, 0x10, 0, 0, 16, 0), control, sizeof control, 0);
        assert_true(lun_write_cache(s->lun));
        nexus_manage(s->nexus, functions[i], 0, 0, answered, &done);
        assert_false(lun_write_cache(s->lun));
        assert_int_equal(slow_waiting(), 1);
        assert_int_equal(slow_peek(0)->op, AIO_FLUSH);
        assert_false(done);
        slow_finish_all(0);
        wait_for(&done);
        expect(s->nexus, TUR, 0, attentions[i]);
        expect(s->nexus, TUR, 0, SENSE_MODE_PARAMETERS_CHANGED);
        expect(s->nexus, TUR, 0, 0);
        assert_int_equal(page_byte(s, 0x0a, 4), 0);
        nexus_manage(s->nexus, functions[i], 0, 0, answered, &done);
        assert_int_equal(slow_waiting(), 0);
        expect(s->nexus, TUR, 0, attentions[i]);
        expect(s->nexus, TUR, 0, 0); /* nothing has changed */
    }
}

static gboolean finish_later(gpointer arg)
{
    (void)arg;
    slow_finish_all(0);
    return G_SOURCE_REMOVE;
}

/* The LUN goes while its cache is flushed. */
static void closing_waits_for_the_flush(void **state)
{
    Scsi *s = *state;
    bool done = false;
    select_caching(s, 0, 4);
    nexus_manage(s->nexus, TMF_LOGICAL_UNIT_RESET, 0, 0, answered, &done);
    assert_int_equal(slow_waiting(), 1);
    scsi_close_nexus(g_steal_pointer(&s->nexus));
    g_timeout_add(20, finish_later, NULL);
    scsi_free(s);
    assert_false(done); /* nobody is left to be told */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(savable_pages_say_so),
        TEST(only_what_is_saved_lasts),
        TEST(empty_list_saves),
        TEST(aborted_while_saving),
        TEST(damaged_file_is_refused),
        cmocka_unit_test_setup_teardown(resets_restore_what_is_saved, setup_slow, scsi_teardown),
        cmocka_unit_test_setup(closing_waits_for_the_flush, setup_slow),
    };
    return unit_run(tests);
}
