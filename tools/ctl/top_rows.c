/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading, subtracting and sorting. */
#include "tools/ctl/top_rows.h"

#include "core/base/histogram.h"

#include <string.h>

const char *const top_orders[] = {"name", "iops", "mb", "p50", "p99", "queue", NULL};

/* One reading of one object. */
typedef struct {
    gint64 at; /* microseconds */
    uint64_t commands, bytes, hits, probes, cache_hits, cache_lookups;
    bool has_cache;
    Histogram *latency; /* of commands; NULL: of a session */
} Reading;

struct TopRows {
    GPtrArray *rows;
    GHashTable *readings; /* path -> Reading */
};

static void reading_free(void *arg)
{
    Reading *reading = arg;
    g_free(reading->latency);
    g_free(reading);
}

static void row_free(void *arg)
{
    TopRow *row = arg;
    g_free(row->name);
    g_free(row->detail);
    g_free(row->target);
    g_free(row);
}

TopRows *top_rows_new(void)
{
    TopRows *rows = g_new(TopRows, 1);
    *rows = (TopRows){g_ptr_array_new_with_free_func(row_free),
                      g_hash_table_new_full(g_str_hash, g_str_equal, g_free, reading_free)};
    return rows;
}

void top_rows_free(TopRows *rows)
{
    if (!rows)
        return;
    g_ptr_array_unref(rows->rows);
    g_hash_table_unref(rows->readings);
    g_free(rows);
}

/* --- reading -----------------------------------------------------------------------------------*/

/* Adds up what GetLatency says of commands. */
static Histogram *read_latency(Client *client, const char *path, GError **error)
{
    g_autoptr(GVariant) reply = client_call(client, path, "Lun1", "GetLatency", NULL, error);
    if (!reply)
        return NULL;
    Histogram *sum = g_new0(Histogram, 1);
    g_autoptr(GVariant) list = g_variant_get_child_value(reply, 0);
    if (!g_variant_is_of_type(list, G_VARIANT_TYPE("a(sss" HISTOGRAM_TYPE ")")))
        return sum;
    g_autofree Histogram *one = g_new(Histogram, 1);
    for (gsize i = 0; i < g_variant_n_children(list); i++) {
        const char *what;
        g_autoptr(GVariant) histogram = NULL;
        g_variant_get_child(list, i, "(&s&s&s@" HISTOGRAM_TYPE ")", &what, NULL, NULL, &histogram);
        if (strcmp(what, "command") == 0 && histogram_from_variant(one, histogram))
            histogram_merge(sum, one);
    }
    return sum;
}

static Reading *read_session(Client *client, const char *path, GError **error)
{
    g_autoptr(GVariant) dict = client_statistics(client, path, "Session1", error);
    if (!dict)
        return NULL;
    Reading *reading = g_new0(Reading, 1);
    reading->at = g_get_monotonic_time();
    reading->commands = dict_number(dict, "Commands");
    reading->bytes = dict_number(dict, "ReadBytes") + dict_number(dict, "WriteBytes");
    return reading;
}

static Reading *read_lun(Client *client, const char *path, GError **error)
{
    static const char *const kinds[] = {"Reads", "Writes", "Flushes", "Unmaps", "Others"};
    g_autoptr(GVariant) dict = client_statistics(client, path, "Lun1", error);
    gint64 now = g_get_monotonic_time();
    Histogram *latency = dict ? read_latency(client, path, error) : NULL;
    if (!latency)
        return NULL;
    Reading *reading = g_new0(Reading, 1);
    *reading = (Reading){
        .at = now,
        .bytes = dict_number(dict, "ReadBytes") + dict_number(dict, "WriteBytes"),
        .hits = dict_number(dict, "EngineInlineHits"),
        .probes = dict_number(dict, "EngineInlineHits") + dict_number(dict, "EngineInlineShorts") +
                  dict_number(dict, "EngineInlineMisses"),
        .cache_hits = dict_number(dict, "CacheHits"),
        .cache_lookups = dict_number(dict, "CacheHits") + dict_number(dict, "CacheMisses"),
        .has_cache = dict_number(dict, "CacheHits") + dict_number(dict, "CacheMisses") > 0,
        .latency = latency,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        reading->commands += dict_number(dict, kinds[i]);
    return reading;
}

/* --- figures -----------------------------------------------------------------------------------*/

/* Counters of an engine begin anew when it is exchanged. */
static double share(uint64_t part, uint64_t part_before, uint64_t all, uint64_t all_before)
{
    if (all <= all_before || part < part_before)
        return TOP_NONE;
    return (double)(part - part_before) / (double)(all - all_before);
}

static void compare_latency(TopRow *row, const Reading *now, const Reading *before, double seconds)
{
    static const double shares[] = {0.5, 0.99};
    uint64_t values[2];
    g_autofree Histogram *since = g_memdup2(now->latency, sizeof *since);
    histogram_subtract(since, before->latency);
    row->queue = (double)since->sum / 1e9 / seconds;
    if (histogram_count(since) == 0)
        return;
    histogram_percentiles(since, shares, 2, values);
    row->p50 = (double)values[0] / 1000;
    row->p99 = (double)values[1] / 1000;
}

/* Of an object that went and came again, the counters begin anew. */
static double per_second(uint64_t now, uint64_t before, double seconds)
{
    return now > before ? (double)(now - before) / seconds : 0;
}

static void fill(TopRow *row, const Reading *now, const Reading *before)
{
    row->commands = now->commands;
    if (!before || now->at <= before->at)
        return;
    double seconds = (double)(now->at - before->at) / G_USEC_PER_SEC;
    row->iops = per_second(now->commands, before->commands, seconds);
    row->megabytes = per_second(now->bytes, before->bytes, seconds) / 1e6;
    if (row->is_session)
        return;
    row->inline_rate = share(now->hits, before->hits, now->probes, before->probes);
    if (now->has_cache)
        row->cache_rate =
            share(now->cache_hits, before->cache_hits, now->cache_lookups, before->cache_lookups);
    compare_latency(row, now, before, seconds);
}

static TopRow *row_new(const ClientObject *object, bool is_session)
{
    TopRow *row = g_new(TopRow, 1);
    *row = (TopRow){.is_session = is_session,
                    .iops = TOP_NONE,
                    .megabytes = TOP_NONE,
                    .p50 = TOP_NONE,
                    .p99 = TOP_NONE,
                    .queue = TOP_NONE,
                    .inline_rate = TOP_NONE,
                    .cache_rate = TOP_NONE};
    const char *target = object_string(object, "TargetName");
    if (is_session) {
        row->name = g_strdup(object_string(object, "Initiator"));
        row->detail = g_strdup(object_string(object, "Transport"));
        row->target = g_strdup(*target ? target : "(discovery)");
        row->id = object_number(object, "Id");
        row->queue = (double)object_number(object, "Window");
    } else {
        bool direct = strcmp(object_string(object, "Mode"), "direct") == 0;
        row->name =
            g_strdup_printf("%s/%" G_GUINT64_FORMAT, target, object_number(object, "Number"));
        row->detail = g_strconcat(object_string(object, "Engine"), direct ? " direct" : "", NULL);
    }
    return row;
}

static bool read_all(TopRows *rows, Client *client, bool sessions, GHashTable *readings,
                     GError **error)
{
    g_autoptr(GArray) objects = client_objects(client, sessions ? "Session1" : "Lun1");
    for (guint i = 0; i < objects->len; i++) {
        const ClientObject *object = &g_array_index(objects, ClientObject, i);
        g_autoptr(GError) failure = NULL;
        Reading *reading = sessions ? read_session(client, object->path, &failure)
                                    : read_lun(client, object->path, &failure);
        if (!reading && failure->code != CLIENT_ERROR_REFUSED) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return false;
        }
        if (!reading) /* it has just gone */
            continue;
        TopRow *row = row_new(object, sessions);
        fill(row, reading, g_hash_table_lookup(rows->readings, object->path));
        g_ptr_array_add(rows->rows, row);
        g_hash_table_insert(readings, g_strdup(object->path), reading);
    }
    return true;
}

bool top_rows_read(TopRows *rows, Client *client, GError **error)
{
    g_autoptr(GHashTable) readings =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, reading_free);
    if (!client_refresh(client, error))
        return false;
    g_ptr_array_set_size(rows->rows, 0);
    if (!read_all(rows, client, false, readings, error) ||
        !read_all(rows, client, true, readings, error))
        return false;
    g_hash_table_unref(rows->readings);
    rows->readings = g_steal_pointer(&readings);
    return true;
}

/* --- order -------------------------------------------------------------------------------------*/

typedef struct {
    TopOrder order;
    bool reverse;
} Sorting;

static double figure(const TopRow *row, TopOrder order)
{
    switch (order) {
    case TOP_BY_IOPS:
        return row->iops;
    case TOP_BY_MB:
        return row->megabytes;
    case TOP_BY_P50:
        return row->p50;
    case TOP_BY_P99:
        return row->p99;
    case TOP_BY_QUEUE:
        return row->queue;
    case TOP_BY_NAME:
        break;
    }
    return 0;
}

static gint compare_names(const TopRow *a, const TopRow *b)
{
    gint order = strcmp(a->name, b->name);
    return order ? order : (a->id > b->id) - (a->id < b->id);
}

static gint compare_rows(const void *left, const void *right, void *arg)
{
    const TopRow *a = *(TopRow *const *)left, *b = *(TopRow *const *)right;
    const Sorting *sorting = arg;
    double x = figure(a, sorting->order), y = figure(b, sorting->order);
    gint order = (x < y) - (x > y);
    if (a->is_session != b->is_session)
        return a->is_session ? 1 : -1;
    order = order ? order : compare_names(a, b);
    return sorting->reverse ? -order : order;
}

void top_rows_sort(TopRows *rows, TopOrder order, bool reverse)
{
    Sorting sorting = {order, reverse};
    g_ptr_array_sort_with_data(rows->rows, compare_rows, &sorting);
}

const GPtrArray *top_rows_all(const TopRows *rows)
{
    return rows->rows;
}

void top_rows_totals(const TopRows *rows, TopRow *out)
{
    *out = (TopRow){0};
    for (guint i = 0; i < rows->rows->len; i++) {
        const TopRow *row = rows->rows->pdata[i];
        if (row->is_session)
            continue;
        out->commands += row->commands;
        out->iops += MAX(row->iops, 0);
        out->megabytes += MAX(row->megabytes, 0);
        out->queue += MAX(row->queue, 0);
    }
}
