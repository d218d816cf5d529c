/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgt-load: options in, a load, figures out. */
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/initiator/load.h"

typedef struct {
    char *url, *rw, *bs, *region, *keys, *json;
    int depth, sessions, runtime, timeout, write_percent, manage;
    gint64 count, seed;
    gboolean verify, no_fill, fua, rate_report, invalidate, lenient;
} Arguments;

static const struct {
    const char *name;
    bool random;
    int write_percent; /* -1: as asked */
} patterns[] = {
    {"read", false, 0},    {"write", false, 100},    {"mix", false, -1},
    {"randread", true, 0}, {"randwrite", true, 100}, {"randmix", true, -1},
};

G_GNUC_PRINTF(2, 3)
static bool bad(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    *error = g_error_new_valist(G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, args);
    va_end(args);
    return false;
}

/* "4K", "16M", "1G" or bytes. */
static bool parse_size(const char *text, uint64_t *size)
{
    char *end;
    guint64 value = g_ascii_strtoull(text, &end, 10);
    const char *units = "KMGT", *unit = *end ? strchr(units, g_ascii_toupper(*end)) : NULL;

    if (end == text || (*end && (!unit || end[1])))
        return false;
    *size = unit ? value << (10 * (unit - units + 1)) : value;
    return true;
}

static bool parse_sizes(const char *text, LoadOptions *options, GError **error)
{
    g_auto(GStrv) list = g_strsplit(text, ",", -1);
    uint64_t size;

    for (char **item = list; *item; item++) {
        if (!parse_size(*item, &size) || size < 512 || size > 16 << 20 ||
            options->size_count == LOAD_SIZES_MOST)
            return bad(error, "--bs %s: sizes are 512 to 16M, %d at most", text, LOAD_SIZES_MOST);
        options->sizes[options->size_count++] = (uint32_t)size;
    }
    return options->size_count > 0;
}

static bool parse_region(const char *text, LoadOptions *options, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 2);

    if (!parts[0] || !parts[1] || !parse_size(parts[0], &options->region_start) ||
        !parse_size(parts[1], &options->region_length))
        return bad(error, "--region %s: START:LENGTH is wanted", text);
    return true;
}

static bool parse_pattern(const Arguments *a, LoadOptions *options, GError **error)
{
    options->idle = g_str_equal(a->rw, "idle");
    if (options->idle)
        return !a->verify || bad(error, "--rw idle has nothing to verify");
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        if (!g_str_equal(a->rw, patterns[i].name))
            continue;
        options->random = patterns[i].random;
        options->write_percent =
            (unsigned)(patterns[i].write_percent < 0 ? a->write_percent
                                                     : patterns[i].write_percent);
        return true;
    }
    return bad(error, "--rw %s: read, write, mix, randread, randwrite, randmix or idle", a->rw);
}

static bool to_options(const Arguments *a, LoadOptions *o, GError **error)
{
    if (!a->url)
        return bad(error, "--url is missing");
    if (a->depth < 1 || a->depth > 1024 || a->sessions < 1 || a->sessions > 1024 ||
        a->runtime < 1 || a->count < 0 || a->timeout < 1 || a->write_percent < 0 || a->manage < 0 ||
        a->write_percent > 100)
        return bad(error, "a number is out of range");
    o->url = url_parse(a->url, error);
    if (!o->url || !parse_pattern(a, o, error) || !parse_sizes(a->bs, o, error) ||
        (a->region && !parse_region(a->region, o, error)))
        return false;
    if (a->keys && !(o->keys = text_keys_from_list(a->keys, error)))
        return false;
    o->depth = (unsigned)a->depth;
    o->sessions = (unsigned)a->sessions;
    o->runtime_s = (unsigned)a->runtime;
    o->timeout_s = (unsigned)a->timeout;
    o->count = (uint64_t)a->count;
    o->manage_ms = (unsigned)a->manage;
    o->verify = a->verify;
    o->fill = !a->no_fill && o->write_percent < 100;
    o->fua = a->fua;
    o->rate_report = a->rate_report;
    o->invalidate = a->invalidate;
    o->lenient = a->lenient;
    o->seed = a->seed ? (uint64_t)a->seed : (uint64_t)g_random_int() << 32 | g_random_int();
    return true;
}

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static void print_side(const char *name, const LoadSide *side, double seconds)
{
    const Histogram *h = &side->latency;

    if (!h->count)
        return;
    printf("%-6s %9.0f IOPS %9.1f MB/s  latency us: mean %.1f p50 %.1f p99 %.1f max %.1f\n", name,
           (double)h->count / seconds, (double)side->bytes / seconds / 1e6, histogram_mean(h) / 1e3,
           us(histogram_quantile(h, 0.5)), us(histogram_quantile(h, 0.99)), us(h->max));
}

static void print_result(const LoadResult *r)
{
    print_side("read", &r->read, r->seconds);
    print_side("write", &r->write, r->seconds);
    if (r->management.count)
        printf("management: %" PRIu64
               " answered, us: p50 %.1f max %.1f; the least a session did: %" PRIu64 " commands\n",
               r->management.count, us(histogram_quantile(&r->management, 0.5)),
               us(r->management.max), r->least);
    printf("errors: %" PRIu64 " failed, %" PRIu64 " corrupt, %" PRIu64 " violations, %" PRIu64
           " rejects, %" PRIu64 " sessions lost; %" PRIu64 " unit attentions, %" PRIu64
           " logins tried again\n",
           r->failed, r->corrupt, r->violations, r->rejects, r->lost_sessions, r->attentions,
           r->refused);
}

static void json_side(FILE *f, const char *name, const LoadSide *side, double seconds)
{
    const Histogram *h = &side->latency;

    fprintf(f,
            "  \"%s\": {\"commands\": %" PRIu64 ", \"bytes\": %" PRIu64
            ", \"iops\": %.1f, \"mb_per_s\": %.3f,\n"
            "    \"latency_us\": {\"mean\": %.1f, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, "
            "\"max\": %.1f}},\n",
            name, h->count, side->bytes, (double)h->count / seconds,
            (double)side->bytes / seconds / 1e6, histogram_mean(h) / 1e3,
            us(histogram_quantile(h, 0.5)), us(histogram_quantile(h, 0.99)),
            us(histogram_quantile(h, 0.999)), us(h->max));
}

static bool write_json(const char *path, const Arguments *a, const LoadOptions *o,
                       const LoadResult *r)
{
    FILE *f = g_str_equal(path, "-") ? stdout : fopen(path, "w");
    double seconds = MAX(r->seconds, 1e-9);

    if (!f) {
        perror(path);
        return false;
    }
    fprintf(f, "{\n  \"transport\": \"%s\", \"rw\": \"%s\", \"bs\": \"%s\",\n", o->url->scheme,
            a->rw, a->bs);
    fprintf(f, "  \"depth\": %u, \"sessions\": %u, \"verify\": %s, \"seconds\": %.3f,\n", o->depth,
            o->sessions, o->verify ? "true" : "false", r->seconds);
    json_side(f, "read", &r->read, seconds);
    json_side(f, "write", &r->write, seconds);
    fprintf(f,
            "  \"least\": %" PRIu64 ", \"management\": {\"answered\": %" PRIu64
            ", \"max_us\": %.1f},\n",
            r->least, r->management.count, us(r->management.max));
    fprintf(f,
            "  \"failed\": %" PRIu64 ", \"corrupt\": %" PRIu64 ", \"violations\": %" PRIu64
            ", \"attentions\": %" PRIu64 ", \"rejects\": %" PRIu64 ", \"lost_sessions\": %" PRIu64
            ", \"good\": %s\n}\n",
            r->failed, r->corrupt, r->violations, r->attentions, r->rejects, r->lost_sessions,
            load_result_good(o, r) ? "true" : "false");
    return f == stdout ? fflush(f) == 0 : fclose(f) == 0;
}

static bool parse(int *argc, char ***argv, Arguments *a, GError **error)
{
    const GOptionEntry entries[] = {
        {"url", 'u', 0, G_OPTION_ARG_STRING, &a->url, "the LUN",
         "iscsi|iser://HOST[:PORT]/IQN/LUN, srp://HOST[:PORT]/ID_EXT-IOC_GUID/LUN"},
        {"rw", 0, 0, G_OPTION_ARG_STRING, &a->rw, "[rand]read, [rand]write, [rand]mix, idle",
         "KIND"},
        {"write-percent", 0, 0, G_OPTION_ARG_INT, &a->write_percent, "of a mix (50)", "N"},
        {"bs", 0, 0, G_OPTION_ARG_STRING, &a->bs, "sizes of commands (4K)", "SIZE[,SIZE...]"},
        {"depth", 0, 0, G_OPTION_ARG_INT, &a->depth, "commands outstanding per session (1)", "N"},
        {"sessions", 0, 0, G_OPTION_ARG_INT, &a->sessions, "sessions, a thread each (1)", "N"},
        {"runtime", 0, 0, G_OPTION_ARG_INT, &a->runtime, "how long (5)", "SECONDS"},
        {"count", 0, 0, G_OPTION_ARG_INT64, &a->count, "commands per session, not a time", "N"},
        {"region", 0, 0, G_OPTION_ARG_STRING, &a->region, "bytes of the LUN to use",
         "START:LENGTH"},
        {"verify", 0, 0, G_OPTION_ARG_NONE, &a->verify, "judge every block read", NULL},
        {"no-fill", 0, 0, G_OPTION_ARG_NONE, &a->no_fill, "judge what an earlier run has written",
         NULL},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &a->seed, "the run's number (random)", "N"},
        {"fua", 0, 0, G_OPTION_ARG_NONE, &a->fua, "force unit access in writes", NULL},
        {"keys", 0, 0, G_OPTION_ARG_STRING, &a->keys, "login keys to offer; of SRP: see channel.h",
         "KEY=VALUE[,...]"},
        {"send-with-invalidate", 0, 0, G_OPTION_ARG_NONE, &a->invalidate,
         "iSER: offer it, and use memory windows", NULL},
        {"lenient", 0, 0, G_OPTION_ARG_NONE, &a->lenient,
         "for other targets: only count breaches of the protocol", NULL},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &a->timeout, "wait for a completion (30)", "SECONDS"},
        {"manage", 0, 0, G_OPTION_ARG_INT, &a->manage,
         "have task management answered beside the load, so often", "MS"},
        {"json", 0, 0, G_OPTION_ARG_FILENAME, &a->json, "figures as JSON; - is stdout", "FILE"},
        {"rate-report", 0, 0, G_OPTION_ARG_NONE, &a->rate_report, "print rates each second", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context =
        g_option_context_new("- load a LUN over iSCSI, iSER or SRP");

    g_option_context_add_main_entries(context, entries, NULL);
    return g_option_context_parse(context, argc, argv, error);
}

/* One signal ends the load and the figures are printed; a second one ends the program. */
static void on_signal(int number)
{
    load_stop();
    signal(number, SIG_DFL);
}

int main(int argc, char **argv)
{
    Arguments a = {.depth = 1, .sessions = 1, .runtime = 5, .timeout = 30, .write_percent = 50};
    g_autoptr(GError) error = NULL;
    LoadOptions options = {0};
    LoadResult *result;
    bool good;

    if (!parse(&argc, &argv, &a, &error) ||
        (a.rw = a.rw ? a.rw : g_strdup("randread"), a.bs = a.bs ? a.bs : g_strdup("4K"),
         !to_options(&a, &options, &error))) {
        g_printerr("rtgt-load: %s\n", error->message);
        return 2;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    result = g_new0(LoadResult, 1);
    load_run(&options, result);
    if (!a.json || !g_str_equal(a.json, "-"))
        print_result(result);
    good = load_result_good(&options, result);
    if (a.json && !write_json(a.json, &a, &options, result))
        good = false;
    g_free(result);
    url_free(options.url);
    text_keys_free(options.keys);
    g_free(a.url);
    g_free(a.rw);
    g_free(a.bs);
    g_free(a.region);
    g_free(a.keys);
    g_free(a.json);
    return good ? 0 : 1;
}
