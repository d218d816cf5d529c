/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares variants that took turns: ratios to a baseline with an interval that can be trusted. */
#pragma once

#include <stdbool.h>

/* Each round gave every variant one slot, in random order. What a machine does to two slots of one
 * round it does to both alike, or to either as probably as to the other; so the ratio of a variant
 * is taken within each round, and only these ratios are compared between rounds. Their logarithms
 * get a mean and a Student t interval of 95 %, widened so that all variants' intervals hold
 * together (Bonferroni). */

/* Differences within this are none worth speaking of. */
#define PAIRED_EQUAL 0.03

typedef enum {
    PAIRED_TOO_FEW,       /* less than two rounds with both: no interval */
    PAIRED_NO_DIFFERENCE, /* can be shown: the interval holds 1 or lies within PAIRED_EQUAL of it */
    PAIRED_MORE,
    PAIRED_LESS,
} PairedVerdict;

typedef struct {
    unsigned pairs;   /* rounds in which both the variant and the baseline gave something */
    double ratio;     /* geometric mean; 0 without pairs */
    double low, high; /* the interval; both equal to ratio where there is none */
    PairedVerdict verdict;
} PairedRatio;

/* values[round * variants + variant], measured quantities > 0; anything else is a slot that gave
 * nothing. Variant 0 is the baseline. Fills out[variants]; out[0] compares it with itself. */
void paired_compare(const double *values, unsigned variants, unsigned rounds, PairedRatio *out);

/* How much more the best round gave than the worst (0.5: half as much again), all variants of a
 * round taken together, rounds with empty slots left out. */
double paired_load_change(const double *values, unsigned variants, unsigned rounds);
/* True when the load changed more between rounds than the variants differ, and more than
 * PAIRED_EQUAL: the ratios hold for a mixture of loads then. */
bool paired_is_unsteady(const double *values, unsigned variants, unsigned rounds);

/* t such that a Student t variable of `freedom` >= 1 degrees lies within -t..t with probability
 * `inside`, 0 < inside < 1. Relative error below 1e-9. */
double student_t(unsigned freedom, double inside);
