/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtgtctl compare: an experiment on a live LUN, watched to its end and reported. */
#include "tools/ctl/compare.h"

#include <config.h>
#include <gio/gio.h>
#include <signal.h>
#include <string.h>

#include "tools/ctl/commands.h"
#include "tools/report/progress.h"
#include "tools/report/report_json.h"
#include "tools/report/report_page.h"
#include "tools/report/report_text.h"

#define LOOK_EVERY (G_USEC_PER_SEC / 5)

static volatile sig_atomic_t interrupted;

typedef struct {
    Client *client;
    char *path; /* of the Experiment1 */
    Report *report;
    ReportSection *section;
    guint seen; /* slots */
} Compare;

static void compare_clear(Compare *compare)
{
    g_clear_pointer(&compare->path, g_free);
    g_clear_pointer(&compare->report, report_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Compare, compare_clear)

/* The second Ctrl-C ends this program at once: the daemon sees its caller gone, and puts the engine
 * back by itself. */
static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* --- asking for it -----------------------------------------------------------------------------*/

bool compare_parse_time(const char *option, const char *text, guint32 *ms, GError **error)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}};
    char *end;
    double number = g_ascii_strtod(text, &end);

    for (gsize i = 0; g_ascii_isdigit(*text) && i < G_N_ELEMENTS(units); i++)
        if (strcmp(end, units[i].unit) == 0 && number * units[i].ms <= G_MAXINT32) {
            *ms = (guint32)(number * units[i].ms + 0.5);
            return true;
        }
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                "%s %s: not a time (seconds, or with ms, s or m behind the number)", option, text);
    return false;
}

static bool add_time(GVariantBuilder *options, const char *key, const char *option,
                     const char *text, GError **error)
{
    guint32 ms;

    if (!text)
        return true;
    if (!compare_parse_time(option, text, &ms, error))
        return false;
    g_variant_builder_add(options, "{sv}", key, g_variant_new_uint32(ms));
    return true;
}

/* What Compare takes: (asa{sv}); NULL with *error. A new reference. */
static GVariant *arguments(const LineOptions *given, GError **error)
{
    g_auto(GVariantBuilder) options;
    g_auto(GStrv) engines = g_strsplit(given->engines ?: "", ",", -1);

    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    if (!*engines || given->rounds < 0) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s",
                    *engines ? "--rounds: must be a number from 1"
                             : "--engines: must name the engines to compare");
        return NULL;
    }
    if (given->rounds)
        g_variant_builder_add(&options, "{sv}", "rounds",
                              g_variant_new_uint32((guint32)given->rounds));
    if (!add_time(&options, "dwell-ms", "--dwell", given->dwell, error) ||
        !add_time(&options, "settle-ms", "--settle", given->settle, error))
        return NULL;
    return g_variant_ref_sink(
        g_variant_new("(^as@a{sv})", engines, g_variant_builder_end(&options)));
}

/* --- the report --------------------------------------------------------------------------------*/

static void fact(Report *report, const char *name, const ClientObject *object, const char *property)
{
    g_autoptr(GVariant) value =
        object->properties ? g_variant_lookup_value(object->properties, property, NULL) : NULL;

    if (!value)
        return;
    g_autofree char *text = g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)
                                ? g_variant_dup_string(value, NULL)
                                : g_variant_print(value, FALSE);
    report_fact(report, "configuration", name, text);
}

static void session_facts(Compare *compare, const char *target)
{
    g_autoptr(GArray) sessions = client_objects(compare->client, "Session1");

    for (guint i = 0; i < sessions->len; i++) {
        const ClientObject *session = &g_array_index(sessions, ClientObject, i);
        if (strcmp(object_string(session, "TargetName"), target) != 0)
            continue;
        g_autofree char *text = g_strdup_printf("%s, %s", object_string(session, "Initiator"),
                                                object_string(session, "Transport"));
        report_fact(compare->report, "sessions at the beginning", object_string(session, "Id"),
                    text);
    }
}

static void all_facts(Compare *compare, const ClientObject *lun, const ClientObject *experiment)
{
    Report *report = compare->report;
    g_autoptr(GArray) managers = client_objects(compare->client, "Manager1");

    report_machine(report);
    if (managers->len)
        fact(report, "rtgtd", &g_array_index(managers, ClientObject, 0), "Version");
    fact(report, "target", lun, "TargetName");
    fact(report, "LUN", lun, "Number");
    fact(report, "store", lun, "Path");
    fact(report, "size", lun, "Size");
    fact(report, "engine before and after", experiment, "Original");
    fact(report, "settle time left out (ms)", experiment, "SettleMilliseconds");
    fact(report, "seed of the order", experiment, "Seed");
    session_facts(compare, object_string(lun, "TargetName"));
}

/* False where the daemon answers what its description does not say. */
static bool make_report(Compare *compare, const ClientObject *lun, GVariant *properties)
{
    const ClientObject experiment = {compare->path, properties};
    uint64_t rounds = object_number(&experiment, "Rounds");
    g_autofree const char **engines = NULL;
    g_autofree char *subject =
        g_strdup_printf("LUN %" G_GUINT64_FORMAT " of %s", object_number(lun, "Number"),
                        object_string(lun, "TargetName"));

    if (rounds < 1 || rounds > G_MAXUINT16 ||
        !g_variant_lookup(properties, "Engines", "^a&s", &engines) || !engines[0])
        return false;
    compare->report = report_new("rtgtctl " PACKAGE_VERSION, subject);
    all_facts(compare, lun, &experiment);
    compare->section =
        report_section(compare->report, "Load of the clients", (unsigned)rounds,
                       (double)object_number(&experiment, "DwellMilliseconds") / 1e3);
    for (const char **engine = engines; *engine; engine++)
        report_variant(compare->section, *engine, false);
    return true;
}

/* --- what was measured -------------------------------------------------------------------------*/

/* "EngineHandOffs": "hand_offs" */
static char *counter_name(const char *key)
{
    g_autoptr(GString) name = g_string_new(NULL);

    for (const char *c = key + strlen("Engine"); *c; c++) {
        if (g_ascii_isupper(*c) && name->len)
            g_string_append_c(name, '_');
        g_string_append_c(name, g_ascii_tolower(*c));
    }
    return g_string_free(g_steal_pointer(&name), FALSE);
}

static void read_counters(ReportSlot *slot, GVariant *result)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, result);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
        if (!g_str_has_prefix(key, "Engine") || strcmp(key, "EngineCpu") == 0 ||
            strcmp(key, "EngineTime") == 0 || !g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
            continue;
        g_autofree char *name = counter_name(key);
        report_counter(slot, name, g_variant_get_uint64(value));
    }
}

static void read_latencies(ReportVariant *variant, unsigned round, GVariant *result)
{
    g_autofree Histogram *histogram = g_new(Histogram, 1);
    g_autoptr(GVariantIter) iter = NULL;
    const char *span, *operation, *size;
    GVariant *values;

    if (!g_variant_lookup(result, "Latency", "a(sss" HISTOGRAM_TYPE ")", &iter))
        return;
    while (g_variant_iter_loop(iter, "(&s&s&s@" HISTOGRAM_TYPE ")", &span, &operation, &size,
                               &values)) {
        g_autofree char *what = g_strdup_printf("%s%s%s", operation, *size ? " " : "", size);
        if (histogram_from_variant(histogram, values))
            report_latency(variant, round, span, what, histogram);
    }
}

static double seconds(GVariant *result, const char *key)
{
    return (double)dict_number(result, key) / 1e9;
}

static void read_slot(ReportSlot *slot, GVariant *result)
{
    double duration = seconds(result, "Duration");

    *slot = (ReportSlot){
        .measured = duration > 0,
        .turn = (unsigned)dict_number(result, "Slot"),
        .seconds = duration,
        .cpu_seconds = seconds(result, "ProcessCpu"),
        .engine_cpu_seconds = seconds(result, "EngineCpu"),
        .depth = duration > 0 ? seconds(result, "CommandTime") / duration : 0,
        .operations = dict_number(result, "Reads") + dict_number(result, "Writes") +
                      dict_number(result, "Flushes") + dict_number(result, "Unmaps") +
                      dict_number(result, "Others"),
        .bytes = dict_number(result, "ReadBytes") + dict_number(result, "WriteBytes"),
        .errors = dict_number(result, "Errors"),
    };
}

/* A slot that has been seen, or is none of this experiment, is passed over. */
static void read_result(Compare *compare, GVariant *result)
{
    uint64_t round = dict_number(result, "Round"), index = dict_number(result, "Variant");

    if (round < 1 || round > compare->section->rounds || index >= compare->section->variants->len)
        return;
    ReportVariant *variant = compare->section->variants->pdata[index];
    ReportSlot *slot = &variant->slots[round - 1];
    if (slot->measured)
        return;
    read_slot(slot, result);
    read_counters(slot, result);
    read_latencies(variant, (unsigned)round - 1, result);
}

static bool read_results(Compare *compare, GError **error)
{
    g_autoptr(GVariant) reply =
        client_call(compare->client, compare->path, "Experiment1", "GetResults",
                    g_variant_new("(u)", compare->seen), error);
    g_autoptr(GVariantIter) results = NULL;
    GVariant *result;

    if (!reply)
        return false;
    if (!g_variant_is_of_type(reply, G_VARIANT_TYPE("(aa{sv})"))) {
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_REFUSED, "what answers there is no rtgtd");
        return false;
    }
    g_variant_get(reply, "(aa{sv})", &results);
    while (g_variant_iter_loop(results, "@a{sv}", &result)) {
        read_result(compare, result);
        compare->seen++;
    }
    return true;
}

/* --- watching it -------------------------------------------------------------------------------*/

static void show(const Compare *compare, const ClientObject *now)
{
    guint slots = compare->section->rounds * compare->section->variants->len;
    const char *engine = object_string(now, "CurrentEngine");
    g_autofree char *what = *engine ? g_strdup_printf("round %" G_GUINT64_FORMAT " of %u: %s",
                                                      object_number(now, "CurrentRound"),
                                                      compare->section->rounds, engine)
                                    : g_strdup(object_string(now, "State"));
    progress_show(compare->section, (double)compare->seen / slots, what);
}

static bool cancel(const Compare *compare, GError **error)
{
    g_autoptr(GVariant) done =
        client_call(compare->client, compare->path, "Experiment1", "Cancel", NULL, error);
    return done != NULL;
}

/* One look at it: *ended once its last word is read. */
static bool look(Compare *compare, bool *ended, GError **error)
{
    g_autoptr(GVariant) properties =
        client_properties(compare->client, compare->path, "Experiment1", error);
    if (!properties || !read_results(compare, error))
        return false;
    const ClientObject now = {compare->path, properties};
    const char *state = object_string(&now, "State"), *failure = object_string(&now, "Error");

    show(compare, &now);
    *ended = strcmp(state, "running") != 0 && strcmp(state, "restoring") != 0;
    compare->report->incomplete = strcmp(state, "finished") != 0;
    if (*ended && *failure) {
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_REFUSED, "the experiment %s: %s", state,
                    failure);
        return false;
    }
    return true;
}

/* Until it has ended; Ctrl-C cancels it, and then it is waited for, as the engine is put back. */
static bool watch(Compare *compare, GError **error)
{
    bool ended = false, cancelled = false;

    while (look(compare, &ended, error) && !ended) {
        if (interrupted && !cancelled) {
            cancelled = true;
            if (!cancel(compare, error))
                return false;
        }
        g_usleep(LOOK_EVERY); /* a signal ends it early */
    }
    if (ended && interrupted && compare->report->incomplete)
        g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_INTERRUPTED,
                    "cancelled; the LUN has its engine of before");
    return ended && !*error;
}

/* --- the command -------------------------------------------------------------------------------*/

static bool begin(Compare *compare, const Request *request, GError **error)
{
    ClientObject lun;
    g_autoptr(GVariant) wanted = arguments(request->options, error);

    compare->client = request->client;
    if (!wanted ||
        !client_find_lun(request->client, request->args[0], request->args[1], &lun, error))
        return false;
    g_autoptr(GVariant) made =
        client_call(request->client, lun.path, "Lun1", "Compare", wanted, error);
    if (!made)
        return false;
    g_variant_get(made, "(o)", &compare->path);
    g_autoptr(GVariant) properties =
        client_properties(request->client, compare->path, "Experiment1", error);
    if (!properties)
        return false;
    if (make_report(compare, &lun, properties))
        return true;
    g_set_error(error, CLIENT_ERROR, CLIENT_ERROR_REFUSED, "what answers there is no rtgtd");
    return false;
}

static bool put_out(const Compare *compare, const LineOptions *options, GError **error)
{
    g_autofree char *text = report_text(compare->report);

    g_print("%s", text);
    return (!options->json_file || report_write_json(compare->report, options->json_file, error)) &&
           (!options->html_file || report_write_page(compare->report, options->html_file, error));
}

/* Of no consequence when it fails: the experiment goes with this connection. */
static void forget(const Compare *compare)
{
    GVariant *removed =
        client_call(compare->client, compare->path, "Experiment1", "Remove", NULL, NULL);
    if (removed)
        g_variant_unref(removed);
}

bool command_compare(const Request *request, GError **error)
{
    g_auto(Compare) compare = {0};
    g_autoptr(GError) failure = NULL, unwritten = NULL;

    catch_signals();
    if (!begin(&compare, request, error))
        return false;
    watch(&compare, &failure);
    progress_clear();
    compare.report->incomplete = compare.report->incomplete || failure;
    put_out(&compare, request->options, &unwritten);
    forget(&compare);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    else if (unwritten)
        g_propagate_error(error, g_steal_pointer(&unwritten));
    return !*error;
}
