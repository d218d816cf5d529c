/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgtctl compare: times as people write them. */
#include "tests/unit/unit.h"

#include "tools/ctl/compare.h"

static void times_are_understood(void **state)
{
    static const struct {
        const char *text;
        guint32 ms;
    } good[] = {
        {"2", 2000}, {"2s", 2000}, {"0.2s", 200}, {"500ms", 500}, {"1.5m", 90000}, {"0", 0},
    };
    static const char *const bad[] = {"",    "s",   "-1", "+1",    "2 s", "2h",
                                      "nan", "inf", "2x", "1e300", "ms",  " 1"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        guint32 ms = 1;
        assert_true(compare_parse_time("--dwell", good[i].text, &ms, NULL));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        guint32 ms;
        assert_false(compare_parse_time("--dwell", bad[i], &ms, &error));
        assert_true(g_str_has_prefix(error->message, "--dwell"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_understood),
    };
    return unit_run(tests);
}
