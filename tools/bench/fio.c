/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fio's command line, and its results. */
#include "tools/bench/fio.h"

#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <string.h>

char *fio_find(void)
{
    return g_find_program_in_path("fio");
}

/* ':' separates file names for fio. */
static char *escape(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ":", -1);
    return g_strjoinv("\\:", parts);
}

static GStrv command_line(const char *fio, const Plan *plan, const Workload *workload, AioMode mode)
{
    static const char *const rw[] = {"randread", "randwrite", "randrw", "read", "write"};
    g_autofree char *path = escape(plan->path);
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();

    g_strv_builder_add_many(words, fio, "--name=rtgt-bench", "--ioengine=io_uring",
                            "--output-format=json+", "--time_based", "--invalidate=0",
                            "--lat_percentiles=1", "--norandommap", "--allow_file_create=0",
                            "--group_reporting", NULL);
    g_strv_builder_add(words, rw_writes(workload->rw) ? "--allow_mounted_write=0" : "--readonly");
    char *own[] = {
        g_strdup_printf("--filename=%s", path),
        g_strdup_printf("--rw=%s", rw[workload->rw]),
        g_strdup_printf("--bs=%" G_GUINT64_FORMAT, workload->block),
        g_strdup_printf("--iodepth=%d", workload->depth),
        g_strdup_printf("--direct=%d", mode == AIO_DIRECT),
        g_strdup_printf("--runtime=%.0fms", plan->runtime * 1000),
        NULL,
    };
    g_strv_builder_addv(words, (const char **)own);
    for (char **word = own; *word; word++)
        g_free(*word);
    return g_strv_builder_end(words);
}

bool fio_run(const char *fio, const Plan *plan, const Workload *workload, AioMode mode,
             Round *round, GError **error)
{
    g_auto(GStrv) words = command_line(fio, plan, workload, mode);
    g_autofree char *out = NULL, *err = NULL;
    int status;

    memset(round, 0, sizeof(*round));
    if (!g_spawn_sync(NULL, words, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, error))
        return false;
    if (load_stopped)
        return true;
    if (!g_spawn_check_wait_status(status, error)) {
        g_prefix_error(error, "%s", err);
        return false;
    }
    return fio_parse(out, round, error);
}

/* --- results -----------------------------------------------------------------------------------*/

/* What json-glib's own getters would complain about is 0 here. */
static double number(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;
    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_double(node) : 0;
}

static JsonObject *member(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* "bins": {"NANOSECONDS": COUNT, ...} */
static void read_bins(JsonObject *direction, Histogram *histogram)
{
    JsonObject *latency = member(direction, "lat_ns");
    JsonObject *bins = member(latency, "bins");
    g_autoptr(GList) names = bins ? json_object_get_members(bins) : NULL;

    for (GList *name = names; name; name = name->next) {
        uint64_t ns = g_ascii_strtoull(name->data, NULL, 10);
        uint64_t count = (uint64_t)MAX(number(bins, name->data), 0);
        histogram->buckets[histogram_bucket(ns)] += count;
        histogram->sum += ns * count;
    }
    histogram->max = (uint64_t)MAX(number(latency, "max"), 0);
}

static JsonObject *first_job(JsonNode *root)
{
    JsonObject *top = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    JsonNode *jobs = top ? json_object_get_member(top, "jobs") : NULL;
    JsonArray *array = jobs && JSON_NODE_HOLDS_ARRAY(jobs) ? json_node_get_array(jobs) : NULL;

    if (!array || !json_array_get_length(array))
        return NULL;
    JsonNode *job = json_array_get_element(array, 0);
    return JSON_NODE_HOLDS_OBJECT(job) ? json_node_get_object(job) : NULL;
}

bool fio_parse(const char *json, Round *round, GError **error)
{
    /* notes of fio's may stand before it */
    const char *begin = strchr(json, '{');
    g_autoptr(JsonNode) root = json_from_string(begin ? begin : "", NULL);
    JsonObject *job = first_job(root);
    JsonObject *reads = member(job, "read"), *writes = member(job, "write");

    if (!reads || !writes) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "fio printed no results");
        return false;
    }
    round->requests = (uint64_t)(number(reads, "total_ios") + number(writes, "total_ios"));
    round->seconds = MAX(number(reads, "runtime"), number(writes, "runtime")) / 1000;
    round->cpu_seconds =
        (number(job, "usr_cpu") + number(job, "sys_cpu")) / 100 * number(job, "job_runtime") / 1000;
    read_bins(reads, &round->reads);
    read_bins(writes, &round->writes);
    round->valid = round->seconds > 0;
    return true;
}
