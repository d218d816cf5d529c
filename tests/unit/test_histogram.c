/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Histograms against the raw samples, sorted; differences; the form they travel in. */
#include "tests/unit/unit.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/histogram.h"

static const double shares[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double normal(GRand *random)
{
    double r = sqrt(-2 * log(1 - g_rand_double(random)));
    return r * cos(2 * G_PI * g_rand_double(random));
}

/* Shapes that latencies have, and some that they do not have. */
static uint64_t sample(GRand *random, int shape)
{
    double u = g_rand_double(random);

    switch (shape) {
    case 0:
        return (uint64_t)(u * 100);
    case 1:
        return (uint64_t)(u * 1e9);
    case 2:
        return (uint64_t)exp(9 + normal(random));
    case 3:
        return (uint64_t)(u < 0.9 ? 1200 + 50 * u : 4e6 * (1 + u));
    case 4:
        return UINT64_C(1) << (int)(u * HISTOGRAM_LIMIT_BITS);
    case 5:
        return (uint64_t)pow(2, u * 39.99);
    default:
        return 777;
    }
}

static void compare(const Histogram *histogram, uint64_t *raw, size_t n)
{
    uint64_t values[G_N_ELEMENTS(shares)], sum = 0;

    qsort(raw, n, sizeof(*raw), by_value);
    for (size_t i = 0; i < n; i++)
        sum += raw[i];
    histogram_percentiles(histogram, shares, G_N_ELEMENTS(shares), values);
    for (size_t i = 0; i < G_N_ELEMENTS(shares); i++) {
        size_t rank = MAX((size_t)ceil(shares[i] * (double)n), 1);
        uint64_t exact = raw[rank - 1];
        uint64_t error = values[i] > exact ? values[i] - exact : exact - values[i];
        assert_true(error <= exact / 64);
        assert_int_equal(histogram_percentile(histogram, shares[i]), values[i]);
    }
    assert_int_equal(histogram_count(histogram), n);
    assert_int_equal(histogram->sum, sum);
    assert_int_equal(histogram_percentile(histogram, 1), raw[n - 1]);
    assert_true(histogram_min(histogram) <= raw[0]);
    assert_true(raw[0] - histogram_min(histogram) <= raw[0] / 32);
    assert_true(fabs(histogram_mean(histogram) * (double)n - (double)sum) <= (double)sum * 1e-9);
}

static void percentiles_agree_with_sorting(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 210; seed++) {
        g_autoptr(GRand) random = g_rand_new_with_seed(seed);
        size_t n = (size_t)g_rand_int_range(random, 1, 3000);
        g_autofree uint64_t *raw = g_new(uint64_t, n);
        g_autofree Histogram *histogram = g_new0(Histogram, 1);
        for (size_t i = 0; i < n; i++) {
            raw[i] = sample(random, (int)seed % 7);
            histogram_record(histogram, raw[i]);
        }
        compare(histogram, raw, n);
    }
}

/* Every bucket's neighbours, on both sides of both of its ends. */
static void buckets_join(void **state)
{
    unsigned last = 0;

    (void)state;
    for (unsigned bit = 0; bit < HISTOGRAM_LIMIT_BITS; bit++)
        for (uint64_t step = 0; step < 64; step++) {
            uint64_t value = (UINT64_C(1) << bit) + ((step << bit) >> 6);
            unsigned bucket = histogram_bucket(value);
            assert_in_range(bucket, last, last + 1);
            last = bucket;
        }
    assert_int_equal(histogram_bucket(0), 0);
    assert_int_equal(last, HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(HISTOGRAM_LIMIT - 1), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void an_empty_one_says_0(void **state)
{
    Histogram empty = {0};

    (void)state;
    assert_int_equal(histogram_count(&empty), 0);
    assert_int_equal(histogram_percentile(&empty, 0.5), 0);
    assert_int_equal(histogram_percentile(&empty, 1), 0);
    assert_int_equal(histogram_min(&empty), 0);
    assert_true(histogram_mean(&empty) == 0);
}

static void beyond_the_limit_only_max_and_sum_know(void **state)
{
    Histogram histogram = {0};

    (void)state;
    histogram_record(&histogram, 4 * HISTOGRAM_LIMIT);
    assert_int_equal(histogram_percentile(&histogram, 1), 4 * HISTOGRAM_LIMIT);
    assert_int_equal(histogram.sum, 4 * HISTOGRAM_LIMIT);
    assert_in_range(histogram_percentile(&histogram, 0.5), HISTOGRAM_LIMIT / 64 * 63,
                    HISTOGRAM_LIMIT);
}

/* (a + b) - a is b, but for the exact maximum. */
static void a_difference_is_what_came_since(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 70; seed++) {
        g_autoptr(GRand) random = g_rand_new_with_seed(seed);
        g_autofree Histogram *all = g_new0(Histogram, 1), *before = g_new0(Histogram, 1),
                             *since = g_new0(Histogram, 1);
        for (int i = 0; i < 500; i++)
            histogram_record(all, sample(random, (int)(seed / 7) % 7));
        histogram_merge(before, all);
        for (int i = 0; i < 300; i++) {
            uint64_t value = sample(random, (int)seed % 7);
            histogram_record(all, value);
            histogram_record(since, value);
        }
        histogram_subtract(all, before);
        assert_int_equal(histogram_count(all), 300);
        assert_int_equal(all->sum, since->sum);
        assert_memory_equal(all->buckets, since->buckets, sizeof(all->buckets));
        assert_true(all->max >= since->max && all->max - since->max <= since->max / 32);
    }
}

static void merging_is_recording_both(void **state)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    g_autofree Histogram *both = g_new0(Histogram, 1), *one = g_new0(Histogram, 1),
                         *other = g_new0(Histogram, 1);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = sample(random, 5);
        histogram_record(both, value);
        histogram_record(i % 3 ? one : other, value);
    }
    histogram_merge(one, other);
    assert_memory_equal(one, both, sizeof(*one));
}

static void values_below_a_limit_are_counted(void **state)
{
    Histogram histogram = {0};

    (void)state;
    for (uint64_t value = 0; value < 20000; value++)
        histogram_record(&histogram, value);
    for (uint64_t limit = 1; limit < 10000; limit *= 2) {
        assert_int_equal(histogram_count_below(&histogram, limit), limit);
        assert_int_equal(histogram_count_below(&histogram, limit + limit / 2), limit + limit / 2);
    }
    assert_int_equal(histogram_count_below(&histogram, UINT64_MAX), 20000);
    assert_int_equal(histogram_count_below(&histogram, 0), 0);
    /* one less than a start: the bucket that reaches beyond it is out */
    assert_int_equal(histogram_count_below(&histogram, 1024 + 31), 1024);
}

static void it_travels(void **state)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(3);
    g_autofree Histogram *sent = g_new0(Histogram, 1), *received = g_new0(Histogram, 1);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        g_autoptr(GVariant) variant = g_variant_ref_sink(histogram_to_variant(sent));
        assert_true(histogram_from_variant(received, variant));
        assert_memory_equal(sent, received, sizeof(*sent));
        histogram_record(sent, sample(random, i % 7));
    }
}

static void what_no_histogram_is_is_refused(void **state)
{
    static const char *const bad[] = {
        "(uint64 5, uint64 5)",
        "'x'",
        "(uint64 5, uint64 1000, [(uint64 65, uint64 1)])", /* not where a bucket starts */
        "(uint64 5, uint64 1000, [(uint64 5, uint64 0)])",  /* empty */
        "(uint64 5, uint64 1000, [(uint64 6, uint64 1), (uint64 5, uint64 1)])",
        "(uint64 5, uint64 1000, [(uint64 5, uint64 1), (uint64 5, uint64 1)])",
        "(uint64 5, uint64 4, [(uint64 5, uint64 1)])", /* max below a value */
        "(uint64 0, uint64 4, @a(tt) [])",
        "(uint64 5, uint64 18446744073709551615, [(uint64 18446744073709551615, uint64 1)])",
        "(uint64 5, uint64 9, [(uint64 5, uint64 18446744073709551615), (uint64 6, uint64 1)])",
    };
    static const Histogram empty;
    Histogram out;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GVariant) variant = g_variant_parse(NULL, bad[i], NULL, NULL, NULL);
        assert_non_null(variant);
        assert_false(histogram_from_variant(&out, variant));
        assert_memory_equal(&out, &empty, sizeof(out));
    }
}

static void *record_many(void *data)
{
    for (uint64_t i = 0; i < 200000; i++)
        histogram_record(data, i * 7919 % 100000);
    return NULL;
}

/* ThreadSanitizer has its say here; and what is read can always be sent. */
static void it_is_read_while_it_is_written(void **state)
{
    g_autofree Histogram *histogram = g_new0(Histogram, 1);
    uint64_t last = 0;
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, record_many, histogram), 0);
    while (last < 200000) {
        g_autofree Histogram *copy = g_new0(Histogram, 1);
        histogram_merge(copy, histogram);
        g_autoptr(GVariant) variant = g_variant_ref_sink(histogram_to_variant(histogram));
        assert_true(histogram_from_variant(copy, variant));
        assert_true(histogram_count(copy) >= last);
        last = histogram_count(copy);
    }
    pthread_join(writer, NULL);
    assert_int_equal(histogram_count(histogram), 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_agree_with_sorting),
        cmocka_unit_test(buckets_join),
        cmocka_unit_test(an_empty_one_says_0),
        cmocka_unit_test(beyond_the_limit_only_max_and_sum_know),
        cmocka_unit_test(a_difference_is_what_came_since),
        cmocka_unit_test(merging_is_recording_both),
        cmocka_unit_test(values_below_a_limit_are_counted),
        cmocka_unit_test(it_travels),
        cmocka_unit_test(what_no_histogram_is_is_refused),
        cmocka_unit_test(it_is_read_while_it_is_written),
    };
    return unit_run(tests);
}
