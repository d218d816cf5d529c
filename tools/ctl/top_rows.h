/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What LUNs and sessions do per second: the difference of two readings of the daemon. */
#pragma once

#include "tools/ctl/client.h"

#include <json-glib/json-glib.h>

/* A figure that there is none of. */
#define TOP_NONE (-1.0)

/* Figures are of the time since the reading before; of the first reading they are TOP_NONE. */
typedef struct {
    bool is_session;
    char *name;        /* "TARGET/LUN"; of a session its initiator */
    char *detail;      /* the engine, with a mode that is direct; of a session what it goes over */
    char *target;      /* of a session */
    uint64_t id;       /* of a session */
    uint64_t commands; /* ever */
    double iops, megabytes;         /* a second; MB are 10^6 */
    double p50, p99;                /* microseconds, of all commands of a LUN */
    double queue;                   /* commands at a time; of a session how many it may have */
    double inline_rate, cache_rate; /* of reads, 0 to 1 */
} TopRow;

typedef enum { TOP_BY_NAME, TOP_BY_IOPS, TOP_BY_MB, TOP_BY_P50, TOP_BY_P99, TOP_BY_QUEUE } TopOrder;
/* "name", "iops", "mb", "p50", "p99", "queue"; NULL-terminated. */
extern const char *const top_orders[];

typedef struct TopRows TopRows;

TopRows *top_rows_new(void);
void top_rows_free(TopRows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TopRows, top_rows_free)

/* Asks the daemon; blocks. An object that goes meanwhile is left out. */
bool top_rows_read(TopRows *rows, Client *client, GError **error);
/* LUNs first, then sessions; names ascend, figures descend. */
void top_rows_sort(TopRows *rows, TopOrder order, bool reverse);
const GPtrArray *top_rows_all(const TopRows *rows); /* TopRow * */
/* Of all LUNs. */
void top_rows_totals(const TopRows *rows, TopRow *out);

/* Text in columns of a fixed width, the name being what is left of `width`; g_free(). */
char *top_heading(bool of_sessions, int width);
char *top_line(const TopRow *row, int width);
/* "lun NAME engine=... iops=..."; g_free(). */
char *top_log_line(const TopRow *row);
/* The same for --json. */
void top_add_json(JsonBuilder *builder, const TopRow *row);
