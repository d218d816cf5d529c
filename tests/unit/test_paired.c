/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intervals: against published tables, by how often they hold the truth, and what is said of them.
 */
#include "tests/unit/unit.h"

#include <glib.h>
#include <math.h>

#include "core/base/paired.h"

#define SETS   1000
#define ROUNDS 10
#define MOST   4 /* variants */

static void t_is_that_of_the_tables(void **state)
{
    static const struct {
        unsigned freedom;
        double inside, t;
    } published[] = {
        {1, 0.95, 12.706}, {2, 0.95, 4.303},  {3, 0.95, 3.182},   {4, 0.95, 2.776},
        {5, 0.95, 2.571},  {7, 0.95, 2.365},  {9, 0.95, 2.262},   {10, 0.95, 2.228},
        {20, 0.95, 2.086}, {30, 0.95, 2.042}, {120, 0.95, 1.980}, {1, 0.99, 63.657},
        {2, 0.99, 9.925},  {9, 0.99, 3.250},  {29, 0.99, 2.756},  {9, 0.98, 2.821},
        {9, 0.999, 4.781}, {1, 0.5, 1.000},   {2, 0.5, 0.816},    {60, 0.90, 1.671},
        {1, 0.90, 6.314},  {40, 0.99, 2.704}, {15, 0.80, 1.341},  {8, 0.90, 1.860},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(published); i++) {
        double t = student_t(published[i].freedom, published[i].inside);
        assert_true(fabs(t - published[i].t) <= 0.0005001);
    }
    /* closed forms: tan for 1 degree, and the normal distribution far out */
    assert_true(fabs(student_t(1, 0.5) - 1) < 1e-9);
    assert_true(fabs(student_t(2, 0.95) / 4.302652729911275 - 1) < 1e-9);
    assert_true(fabs(student_t(100000, 0.95) - 1.959964) < 1e-4);
}

typedef enum {
    NOISE_EVEN,
    NOISE_SKEWED,
    NOISE_OUTLIERS,
    NOISE_DRIFT,
    NOISE_STEP,
    NOISE_WAVE,
    NOISE_WALK,
    NOISE_REMEMBERING,
    NOISES,
} Noise;

static double normal(GRand *random)
{
    return sqrt(-2 * log(1 - g_rand_double(random))) * cos(2 * G_PI * g_rand_double(random));
}

/* The logarithm of what slot `slot` of `slots` is multiplied by; *memory lives for one set. */
static double noise(GRand *random, Noise shape, double slot, double slots, double *memory)
{
    double small = 0.05 * normal(random), part = slot / slots;

    switch (shape) {
    case NOISE_SKEWED:
        return 0.2 * log(1 - g_rand_double(random));
    case NOISE_OUTLIERS:
        return small + (g_rand_double(random) < 0.1 ? -1.5 : 0);
    case NOISE_DRIFT:
        return small + 1.1 * part;
    case NOISE_STEP:
        return small + (part > 0.43 ? 0.9 : 0);
    case NOISE_WAVE:
        return small + 0.4 * sin(25 * part);
    case NOISE_WALK:
        return *memory += 2 * small;
    case NOISE_REMEMBERING:
        return *memory = 0.9 * *memory + 2 * small;
    default:
        return 2 * small;
    }
}

/* Slots in random order within each round, as an experiment has them. */
static void generate(GRand *random, Noise shape, const double *truth, unsigned variants,
                     double *values)
{
    double memory = 0, slot = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned order[MOST] = {0, 1, 2, 3};
        for (unsigned left = variants; left > 0; left--) {
            unsigned pick = (unsigned)g_rand_int_range(random, 0, (gint32)left);
            unsigned variant = order[pick];
            order[pick] = order[left - 1];
            values[round * variants + variant] =
                50000 * truth[variant] *
                exp(noise(random, shape, slot++, ROUNDS * variants, &memory));
        }
    }
}

/* The share of sets in which every interval holds its true ratio. */
static double coverage(Noise shape, unsigned variants)
{
    static const double truth[MOST] = {1, 1.3, 0.8, 1.02};
    unsigned held = 0;

    for (guint32 seed = 0; seed < SETS; seed++) {
        g_autoptr(GRand) random = g_rand_new_with_seed(seed);
        double values[MOST * ROUNDS];
        PairedRatio ratios[MOST];
        bool all = true;

        generate(random, shape, truth, variants, values);
        paired_compare(values, variants, ROUNDS, ratios);
        for (unsigned i = 1; i < variants; i++) {
            assert_int_equal(ratios[i].pairs, ROUNDS);
            all = all && ratios[i].low <= truth[i] && truth[i] <= ratios[i].high;
        }
        held += all;
    }
    return (double)held / SETS;
}

static void intervals_hold_the_truth(void **state)
{
    (void)state;
    for (Noise shape = 0; shape < NOISES; shape++)
        for (unsigned variants = 2; variants <= MOST; variants += 2) {
            double held = coverage(shape, variants);
            print_message("noise %d, %u variants: %.3f\n", (int)shape, variants, held);
            assert_true(held >= 0.93);
        }
    /* nor are they wider than they need be */
    assert_true(coverage(NOISE_EVEN, 2) <= 0.97);
}

static PairedRatio compare_two(double ratio, double spread, unsigned rounds)
{
    double values[2 * 20];
    PairedRatio out[2];

    for (unsigned i = 0; i < rounds; i++) {
        values[2 * i] = 1000 * (i + 1);
        values[2 * i + 1] = values[2 * i] * ratio * (1 + (i % 2 ? spread : -spread));
    }
    paired_compare(values, 2, rounds, out);
    return out[1];
}

static void the_verdict_follows_the_interval(void **state)
{
    (void)state;
    assert_int_equal(compare_two(1.2, 0.01, 10).verdict, PAIRED_MORE);
    assert_int_equal(compare_two(0.8, 0.01, 10).verdict, PAIRED_LESS);
    assert_int_equal(compare_two(1.2, 0.5, 10).verdict, PAIRED_NO_DIFFERENCE);    /* holds 1 */
    assert_int_equal(compare_two(1.02, 0.001, 10).verdict, PAIRED_NO_DIFFERENCE); /* too small */
    assert_int_equal(compare_two(0.98, 0.001, 10).verdict, PAIRED_NO_DIFFERENCE);
    assert_int_equal(compare_two(1.04, 0.001, 10).verdict, PAIRED_MORE);
    assert_int_equal(compare_two(0.96, 0.001, 10).verdict, PAIRED_LESS);
    assert_int_equal(compare_two(2, 0, 10).verdict, PAIRED_MORE); /* no spread at all */
    assert_int_equal(compare_two(2, 0, 1).verdict, PAIRED_TOO_FEW);
    assert_true(fabs(compare_two(2, 0, 1).ratio - 2) < 1e-12);
    assert_int_equal(compare_two(2, 0, 0).pairs, 0);
}

/* By hand: logs ln 1, ln 2, ln 4: mean ln 2, deviation ln 2, t(2) = 4.303. */
static void the_interval_is_that_of_the_textbook(void **state)
{
    static const double values[] = {1, 1, 1, 2, 1, 4};
    double width = 4.302652729911275 * G_LN2 / sqrt(3);
    PairedRatio out[2];

    (void)state;
    paired_compare(values, 2, 3, out);
    assert_true(fabs(out[1].ratio - 2) < 1e-12);
    assert_true(fabs(out[1].low - 2 * exp(-width)) < 1e-9);
    assert_true(fabs(out[1].high - 2 * exp(width)) < 1e-6);
    assert_int_equal(out[0].verdict, PAIRED_NO_DIFFERENCE);
    assert_true(out[0].low == 1 && out[0].high == 1);
}

/* Three variants: the interval of each is that of 1 - 0.05 / 2. */
static void more_variants_widen_it(void **state)
{
    static const double values[] = {1, 1, 7, 1, 2, 7, 1, 4, 7};
    double width = student_t(2, 0.975) * G_LN2 / sqrt(3);
    PairedRatio out[3];

    (void)state;
    paired_compare(values, 3, 3, out);
    assert_true(fabs(out[1].high / 2 - exp(width)) < 1e-6);
}

static void empty_slots_are_left_out(void **state)
{
    static const double values[] = {1, 2, 0, 2, 1, NAN, 1, 2, 1, INFINITY, 1, -3};
    PairedRatio out[2];

    (void)state;
    paired_compare(values, 2, 6, out);
    assert_int_equal(out[1].pairs, 2);
    assert_true(fabs(out[1].ratio - 2) < 1e-12);
    assert_int_equal(out[0].pairs, 5);
    assert_true(paired_load_change(values, 2, 6) == 0);
}

static void a_changing_load_is_seen(void **state)
{
    static const double steady[] = {100, 150, 101, 150, 99, 151};
    static const double doubled[] = {100, 150, 100, 150, 200, 300};
    static const double same[] = {100, 101, 101, 100, 100, 100};

    (void)state;
    assert_false(paired_is_unsteady(steady, 2, 3));
    assert_true(fabs(paired_load_change(doubled, 2, 3) - 1) < 1e-9);
    assert_true(paired_is_unsteady(doubled, 2, 3));
    assert_false(paired_is_unsteady(same, 2, 3)); /* differ less still, but that is noise */
    assert_false(paired_is_unsteady(doubled, 2, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t_is_that_of_the_tables),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(the_verdict_follows_the_interval),
        cmocka_unit_test(the_interval_is_that_of_the_textbook),
        cmocka_unit_test(more_variants_widen_it),
        cmocka_unit_test(empty_slots_are_left_out),
        cmocka_unit_test(a_changing_load_is_seen),
    };
    return unit_run(tests);
}
