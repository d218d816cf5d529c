/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a comparison of engines found, whoever made it: rtgtctl compare or rtgt-bench. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/histogram.h"

/* All of it is one thread's. Texts are copied; what is no UTF-8 is made so. */

typedef struct {
    char *group, *name, *value;
} ReportFact;

typedef struct {
    const char *name; /* interned, as in "hand_offs" */
    uint64_t value;
} ReportCounter;

/* What one variant did in one round. The maker sets the fields; what it does not know stays 0. */
typedef struct {
    bool measured; /* it ran long enough to say something; all else is void otherwise */
    unsigned turn; /* from 0, in the order of time within its section */
    double seconds;
    double cpu_seconds;        /* of the whole process that did the I/O */
    double engine_cpu_seconds; /* of the engine's own threads, part of it */
    double depth;              /* requests at a time, on average */
    uint64_t operations, bytes, errors;
    GArray *counters;   /* ReportCounter */
    Histogram *latency; /* of all operations, as the one who asked saw them; see report_latency() */
} ReportSlot;

/* Latencies of one kind, of all rounds together. */
typedef struct {
    const char *span; /* interned: "command", from arrival to answer; "engine", the store's part */
    const char *what; /* interned: operation and size class, as in "read 4k" */
    Histogram histogram;
} ReportLatency;

typedef struct {
    char *name;
    bool reference;       /* not compared, only shown beside the others (fio) */
    ReportSlot *slots;    /* one for each round of the section */
    GPtrArray *latencies; /* ReportLatency */
} ReportVariant;

/* One load, under which the variants took turns. The first variant is the baseline. */
typedef struct {
    char *name;
    unsigned rounds;
    double slot_seconds;
    GPtrArray *settings; /* ReportFact, group NULL */
    GPtrArray *variants; /* ReportVariant */
} ReportSection;

typedef struct {
    char *program, *subject;
    GDateTime *started;
    bool incomplete;     /* ended before all rounds were over */
    GPtrArray *facts;    /* ReportFact: the machine and configuration */
    GPtrArray *sections; /* ReportSection */
} Report;

/* program: name and version of the maker; subject: what was measured, "file /srv/disk". */
Report *report_new(const char *program, const char *subject);
void report_free(Report *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Report, report_free)

void report_fact(Report *report, const char *group, const char *name, const char *value);
/* The machine this runs on: processor, memory, kernel. */
void report_machine(Report *report);

/* Owned by the report. */
ReportSection *report_section(Report *report, const char *name, unsigned rounds,
                              double slot_seconds);
void report_setting(ReportSection *section, const char *name, const char *value);
/* Owned by the section. A name that is there already gets a number behind it. */
ReportVariant *report_variant(ReportSection *section, const char *name, bool reference);

void report_counter(ReportSlot *slot, const char *name, uint64_t value);
/* Adds latencies of a round to those of its variant. The slot's own are those of "command" where
 * there are some, otherwise those of "engine". */
void report_latency(ReportVariant *variant, unsigned round, const char *span, const char *what,
                    const Histogram *histogram);
