/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every cmocka program here shares: includes in cmocka's order, and a main whose exit status
 * can be believed (cmocka's own is 0 when everything was skipped, and 77 on 77 failures). */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static unsigned unit_skipped;

/* Ends the running test as skipped, with the reason on stdout. */
#define unit_skip(...)                          \
    do {                                        \
        print_message("skipped: " __VA_ARGS__); \
        print_message("\n");                    \
        unit_skipped++;                         \
        skip();                                 \
    } while (0)

/* The value for main to return: 1 when a test failed, 77 when all were skipped, else 0. */
#define unit_run(tests)                                                        \
    (cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL) != 0        ? 1  \
     : unit_skipped == sizeof(tests) / sizeof((tests)[0]) && unit_skipped ? 77 \
                                                                          : 0)
