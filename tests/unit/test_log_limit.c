/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bound on log lines, with a clock of the test's own. */
#include "tests/unit/unit.h"

#include "core/base/log_limit.h"

#define SECOND INT64_C(1000000)

static void lines_are_kept_back_and_counted(void **state)
{
    (void)state;
    LogLimit limit = LOG_LIMIT_INIT(2, 10);
    unsigned kept = 99;
    assert_true(log_limit_admits(&limit, 5 * SECOND, &kept));
    assert_int_equal(kept, 0);
    assert_true(log_limit_admits(&limit, 6 * SECOND, &kept));
    for (unsigned i = 0; i < 7; i++)
        assert_false(log_limit_admits(&limit, 15 * SECOND - 1, &kept));
    assert_true(log_limit_admits(&limit, 15 * SECOND, &kept));
    assert_int_equal(kept, 7);
    assert_true(log_limit_admits(&limit, 24 * SECOND, &kept));
    assert_int_equal(kept, 0);
    assert_false(log_limit_admits(&limit, 24 * SECOND, &kept));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_kept_back_and_counted),
    };
    return unit_run(tests);
}
