/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Student's t on the logarithms of ratios within rounds. */
#include "core/base/paired.h"

#include <math.h>

#define CONFIDENCE 0.95

/* P(|T| <= sqrt(freedom) * tan(angle)); for whole degrees of freedom the series is finite
 * (Abramowitz and Stegun 26.7.3 and 26.7.4). */
static double student_inside(unsigned freedom, double angle)
{
    unsigned odd = freedom % 2;
    double c = cos(angle), term = odd ? c : 1, sum = 0;

    for (unsigned k = odd; k + 2 <= freedom; k += 2) {
        sum += term;
        term *= c * c * (k + 1) / (k + 2);
    }
    sum *= sin(angle);
    return odd ? (angle + sum) * M_2_PI : sum;
}

double student_t(unsigned freedom, double inside)
{
    double low = 0, high = M_PI_2;

    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (student_inside(freedom, middle) < inside)
            low = middle;
        else
            high = middle;
    }
    return sqrt(freedom) * tan((low + high) / 2);
}

static bool is_measured(double value)
{
    return value > 0 && isfinite(value);
}

static PairedVerdict judge(double low, double high)
{
    if ((low <= 1 && high >= 1) || (low >= 1 - PAIRED_EQUAL && high <= 1 + PAIRED_EQUAL))
        return PAIRED_NO_DIFFERENCE;
    return low > 1 ? PAIRED_MORE : PAIRED_LESS;
}

static PairedRatio compare_one(const double *values, unsigned variants, unsigned rounds,
                               unsigned variant)
{
    PairedRatio result = {.verdict = PAIRED_TOO_FEW};
    double mean = 0, squares = 0;

    /* Welford */
    for (const double *round = values; round < values + variants * rounds; round += variants) {
        if (!is_measured(round[variant]) || !is_measured(round[0]))
            continue;
        double ratio = log(round[variant] / round[0]), distance = ratio - mean;
        mean += distance / ++result.pairs;
        squares += distance * (ratio - mean);
    }
    if (result.pairs)
        result.ratio = result.low = result.high = exp(mean);
    if (result.pairs < 2)
        return result;
    double outside = (1 - CONFIDENCE) / (variants > 1 ? variants - 1 : 1);
    double width = student_t(result.pairs - 1, 1 - outside) *
                   sqrt(squares / (result.pairs - 1) / result.pairs);
    result.low = exp(mean - width);
    result.high = exp(mean + width);
    result.verdict = judge(result.low, result.high);
    return result;
}

void paired_compare(const double *values, unsigned variants, unsigned rounds, PairedRatio *out)
{
    for (unsigned variant = 0; variant < variants; variant++)
        out[variant] = compare_one(values, variants, rounds, variant);
}

/* False for a round with an empty slot: its mean would be another mixture. */
static bool round_level(const double *round, unsigned variants, double *level)
{
    *level = 0;
    for (unsigned i = 0; i < variants; i++) {
        if (!is_measured(round[i]))
            return false;
        *level += log(round[i]) / variants;
    }
    return true;
}

double paired_load_change(const double *values, unsigned variants, unsigned rounds)
{
    double least = INFINITY, most = -INFINITY, level;

    for (unsigned i = 0; i < rounds; i++)
        if (round_level(values + i * variants, variants, &level)) {
            least = fmin(least, level);
            most = fmax(most, level);
        }
    return most > least ? exp(most - least) - 1 : 0;
}

bool paired_is_unsteady(const double *values, unsigned variants, unsigned rounds)
{
    double change = log1p(paired_load_change(values, variants, rounds)), differ = 0;

    for (unsigned i = 1; i < variants; i++) {
        PairedRatio one = compare_one(values, variants, rounds, i);
        if (one.pairs)
            differ = fmax(differ, fabs(log(one.ratio)));
    }
    return change > fmax(differ, log1p(PAIRED_EQUAL));
}
