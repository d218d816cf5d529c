/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One function for each kind of thing that is counted; every metric is one family, with all of its
 * samples below its HELP and TYPE. */
#include "core/daemon/metrics.h"

#include "core/daemon/lun_counters.h"

#include <config.h>

typedef struct {
    const char *name, *type, *help;
} Family;

static void begin_family(GString *out, const Family *family)
{
    g_string_append_printf(out, "# HELP rtgt_%s %s\n# TYPE rtgt_%s %s\n", family->name,
                           family->help, family->name, family->type);
}

static void append_escaped(GString *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n') {
            g_string_append(out, "\\n");
            continue;
        }
        if (*p == '\\' || *p == '"')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *p);
    }
}

/* Labels are pairs of name and value behind the samples' own, NULL-terminated. */
static void append_labels(GString *out, const char *const *labels)
{
    for (; labels[0]; labels += 2) {
        g_string_append_printf(out, "%s=\"", labels[0]);
        append_escaped(out, labels[1]);
        g_string_append(out, labels[2] ? "\"," : "\"");
    }
}

static void append_sample(GString *out, const char *name, const char *const *labels, uint64_t value)
{
    g_string_append_printf(out, "rtgt_%s", name);
    if (labels[0]) {
        g_string_append_c(out, '{');
        append_labels(out, labels);
        g_string_append_c(out, '}');
    }
    g_string_append_printf(out, " %" G_GUINT64_FORMAT "\n", value);
}

static void add_single(GString *out, const Family *family, uint64_t value)
{
    begin_family(out, family);
    append_sample(out, family->name, (const char *const[]){NULL}, value);
}

/* --- LUNs --------------------------------------------------------------------------------------*/

/* What is known of a LUN, read once for all families. */
typedef struct {
    const ExportLun *lun;
    char number[8];
    LunStats stats;
    LatencySums latency;
} LunReading;

static void clear_reading(void *reading)
{
    latency_sums_clear(&((LunReading *)reading)->latency);
}

static GArray *read_luns(Manager *manager)
{
    GArray *readings = g_array_new(FALSE, TRUE, sizeof(LunReading));
    const GPtrArray *exports = manager_exports(manager);
    g_array_set_clear_func(readings, clear_reading);
    for (guint i = 0; i < exports->len; i++) {
        const GPtrArray *luns = export_luns(exports->pdata[i]);
        for (guint k = 0; k < luns->len; k++) {
            LunReading reading = {.lun = luns->pdata[k]};
            g_snprintf(reading.number, sizeof reading.number, "%u",
                       reading.lun->config->spec.number);
            lun_get_stats(reading.lun->lun, &reading.stats);
            lun_add_latency(reading.lun->lun, &reading.latency);
            g_array_append_val(readings, reading);
        }
    }
    return readings;
}

static const char *target_of(const LunReading *reading)
{
    return reading->lun->config->spec.target_name;
}

/* Samples of one family: a label's values, each a counter of LunStats. */
typedef struct {
    Family family;
    const char *label; /* NULL: there is but one sample */
    struct {
        const char *value;
        size_t offset;
    } of[6];
} LunFamily;

#define OF(member) offsetof(LunStats, member)

static const LunFamily lun_families[] = {
    {{"lun_commands_total", "counter", "SCSI commands answered."},
     "operation",
     {{"read", OF(reads)},
      {"write", OF(writes)},
      {"flush", OF(flushes)},
      {"unmap", OF(unmaps)},
      {"other", OF(others)}}},
    {{"lun_bytes_total", "counter", "Bytes of data that commands have moved."},
     "operation",
     {{"read", OF(read_bytes)}, {"write", OF(write_bytes)}}},
    {{"lun_command_errors_total", "counter",
      "SCSI commands answered with another status than GOOD."},
     NULL,
     {{"", OF(errors)}}},
    {{"lun_medium_errors_total", "counter", "Errors of the store that initiators were told of."},
     "operation",
     {{"read", OF(read_errors)}, {"write", OF(write_errors)}}},
    {{"lun_gate_waits_total", "counter",
      "Requests to the store that waited for an exchange of the engine."},
     NULL,
     {{"", OF(queued_by_gate)}}},
    {{"lun_cache_reads_total", "counter", "Reads of a LUN with a cache, by what came of them."},
     "result",
     {{"hit", OF(cache.hits)}, {"miss", OF(cache.misses)}, {"bypass", OF(cache.bypasses)}}},
    {{"lun_cache_hit_bytes_total", "counter", "Bytes answered from the cache."},
     NULL,
     {{"", OF(cache.hit_bytes)}}},
    {{"lun_cache_evictions_total", "counter", "Slots of the cache that made room for others."},
     NULL,
     {{"", OF(cache.evictions)}}},
    {{"lun_cache_copies_total", "counter", "Slots copied because they were being sent."},
     NULL,
     {{"", OF(cache.copies_on_write)}}},
    {{"lun_cache_slots", "gauge", "Slots of the cache in use."}, NULL, {{"", OF(cache.used)}}},
    {{"lun_cache_pinned", "gauge", "Slots that are being sent."}, NULL, {{"", OF(cache.pinned)}}},
    {{"lun_cache_size_bytes", "gauge", "Size of the cache; 0: none."},
     NULL,
     {{"", OF(cache.size)}}},
};

static void add_lun_family(GString *out, const GArray *luns, const LunFamily *family)
{
    begin_family(out, &family->family);
    for (guint i = 0; i < luns->len; i++) {
        const LunReading *lun = &g_array_index(luns, LunReading, i);
        for (unsigned k = 0; k < G_N_ELEMENTS(family->of) && family->of[k].value; k++) {
            const LunCounter counter = {.offset = family->of[k].offset};
            const char *labels[] = {"target",      target_of(lun),      "lun", lun->number,
                                    family->label, family->of[k].value, NULL};
            append_sample(out, family->family.name, labels, lun_counter_get(&lun->stats, &counter));
        }
    }
}

static void add_lun_states(GString *out, const GArray *luns)
{
    static const Family info = {"lun_info", "gauge", "1; the engine at work and its mode."};
    static const Family size = {"lun_size_bytes", "gauge", "Size that initiators see."};
    static const Family hung = {"lun_hung", "gauge", "1: the store does not answer."};
    begin_family(out, &info);
    for (guint i = 0; i < luns->len; i++) {
        const LunReading *lun = &g_array_index(luns, LunReading, i);
        const Lun *at_work = lun->lun->lun;
        append_sample(out, info.name,
                      (const char *const[]){"target", target_of(lun), "lun", lun->number, "engine",
                                            lun_engine(at_work)->name, "mode",
                                            config_modes[lun_mode(at_work)], NULL},
                      1);
    }
    for (int pass = 0; pass < 2; pass++) {
        begin_family(out, pass ? &hung : &size);
        for (guint i = 0; i < luns->len; i++) {
            const LunReading *lun = &g_array_index(luns, LunReading, i);
            const Lun *at_work = lun->lun->lun;
            append_sample(out, pass ? hung.name : size.name,
                          (const char *const[]){"target", target_of(lun), "lun", lun->number, NULL},
                          pass ? lun_hung(at_work)
                               : lun_blocks(at_work) * lun_spec(at_work)->block_size);
        }
    }
}

/* --- latencies ---------------------------------------------------------------------------------*/

/* Twelve buckets, with that of everything. Nanoseconds; a histogram is exact at powers of two. */
static const uint64_t bounds[] = {
    1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 17, 1 << 18,
    1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 30,
};

static void append_seconds(GString *out, uint64_t ns)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append(out, g_ascii_formatd(text, sizeof text, "%.9f", (double)ns / 1e9));
}

static void add_histogram(GString *out, const char *name, const char *const *labels,
                          const Histogram *histogram)
{
    uint64_t count = histogram_count(histogram);
    for (size_t i = 0; i <= G_N_ELEMENTS(bounds); i++) {
        bool last = i == G_N_ELEMENTS(bounds);
        g_string_append_printf(out, "rtgt_%s_bucket{", name);
        append_labels(out, labels);
        g_string_append(out, ",le=\"");
        if (last)
            g_string_append(out, "+Inf");
        else
            append_seconds(out, bounds[i]);
        g_string_append_printf(out, "\"} %" G_GUINT64_FORMAT "\n",
                               last ? count : histogram_count_below(histogram, bounds[i]));
    }
    g_string_append_printf(out, "rtgt_%s_sum{", name);
    append_labels(out, labels);
    g_string_append(out, "} ");
    append_seconds(out, histogram->sum);
    g_string_append_printf(out, "\nrtgt_%s_count{", name);
    append_labels(out, labels);
    g_string_append_printf(out, "} %" G_GUINT64_FORMAT "\n", count);
}

static void add_latencies(GString *out, const GArray *luns, LatencyWhat what)
{
    static const Family families[] = {
        [LATENCY_COMMAND] = {"lun_command_duration_seconds", "histogram",
                             "From a command's arrival to its answer's being sent."},
        [LATENCY_ENGINE] = {"lun_engine_duration_seconds", "histogram",
                            "From the engine's being given a request to its end."},
    };
    begin_family(out, &families[what]);
    for (guint i = 0; i < luns->len; i++) {
        const LunReading *lun = &g_array_index(luns, LunReading, i);
        for (unsigned operation = 0; operation < LATENCY_OPERATIONS; operation++) {
            g_autofree Histogram *histogram = g_new0(Histogram, 1);
            const char *labels[] = {"target",    target_of(lun), "lun",
                                    lun->number, "operation",    latency_operation_name(operation),
                                    NULL};
            latency_sums_merge(&lun->latency, what, operation, histogram);
            add_histogram(out, families[what].name, labels, histogram);
        }
    }
}

/* --- engines -----------------------------------------------------------------------------------*/

/* The contexts of all LUNs, which share them. */
typedef struct {
    GHashTable *seen;   /* Engine */
    AioCounters *sums;  /* by aio_engines[] */
    unsigned *contexts; /* the same */
} Engines;

static void count_engine(const Engine *engine, void *arg)
{
    Engines *engines = arg;
    AioCounters counters;
    unsigned i = 0;
    if (!g_hash_table_add(engines->seen, (void *)engine))
        return;
    while (aio_engines[i] != engine_type(engine))
        i++;
    engine_get_counters(engine, &counters);
    const uint64_t *from = (const uint64_t *)&counters;
    uint64_t *to = (uint64_t *)&engines->sums[i];
    for (size_t k = 0; k < sizeof counters / sizeof *from; k++)
        to[k] += from[k];
    engines->contexts[i]++;
}

static void add_engine_family(GString *out, const Engines *engines, const Family *family,
                              size_t offset)
{
    begin_family(out, family);
    for (unsigned i = 0; aio_engines[i]; i++)
        if (engines->contexts[i])
            append_sample(out, family->name,
                          (const char *const[]){"engine", aio_engines[i]->name, NULL},
                          *(uint64_t *)((char *)&engines->sums[i] + offset));
}

static void add_engines(GString *out, const GArray *luns)
{
    static const struct {
        Family family;
        size_t offset;
    } families[] = {
        {{"engine_requests_total", "counter", "Requests done by the contexts there are now."},
         offsetof(AioCounters, completed)},
        {{"engine_errors_total", "counter", "Requests that failed."},
         offsetof(AioCounters, errors)},
        {{"engine_inline_hits_total", "counter", "Reads done at once from the page cache."},
         offsetof(AioCounters, inline_hits)},
        {{"engine_inline_shorts_total", "counter", "Reads done in part from the page cache."},
         offsetof(AioCounters, inline_shorts)},
        {{"engine_inline_misses_total", "counter", "Reads that were not in the page cache."},
         offsetof(AioCounters, inline_misses)},
        {{"engine_hand_offs_total", "counter", "Requests given to a worker thread."},
         offsetof(AioCounters, hand_offs)},
        {{"engine_wake_ups_total", "counter", "Workers woken."}, offsetof(AioCounters, wake_ups)},
        {{"engine_event_writes_total", "counter", "Writes to an event fd."},
         offsetof(AioCounters, event_writes)},
        {{"engine_submit_calls_total", "counter", "System calls that submitted requests."},
         offsetof(AioCounters, submit_calls)},
        {{"engine_bounced_total", "counter", "Unaligned direct requests."},
         offsetof(AioCounters, bounced)},
    };
    AioCounters sums[8] = {0};
    unsigned contexts[8] = {0};
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    Engines engines = {seen, sums, contexts};
    for (guint i = 0; i < luns->len; i++)
        lun_each_engine(g_array_index(luns, LunReading, i).lun->lun, count_engine, &engines);
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        add_engine_family(out, &engines, &families[i].family, families[i].offset);
}

/* --- sessions ----------------------------------------------------------------------------------*/

static void add_session_family(GString *out, const GPtrArray *sessions, const Family *family,
                               size_t offset)
{
    begin_family(out, family);
    for (guint i = 0; i < sessions->len; i++) {
        const SessionRecord *record = sessions->pdata[i];
        g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, record->id);
        const char *labels[] = {"session",   id,
                                "transport", record->transport,
                                "target",    record->target ? record->target : "",
                                "initiator", record->initiator,
                                NULL};
        append_sample(out, family->name, labels,
                      counter_get((const uint64_t *)((const char *)record + offset)));
    }
}

static void add_sessions(GString *out, Manager *manager)
{
    const GPtrArray *sessions = manager_sessions(manager);
    add_single(out, &(const Family){"sessions", "gauge", "Initiators that are logged in."},
               sessions->len);
    add_session_family(
        out, sessions,
        &(const Family){"session_commands_total", "counter", "SCSI commands of a session."},
        offsetof(SessionRecord, commands));
    add_session_family(
        out, sessions,
        &(const Family){"session_read_bytes_total", "counter", "Bytes that a session has read."},
        offsetof(SessionRecord, read_bytes));
    add_session_family(out, sessions,
                       &(const Family){"session_write_bytes_total", "counter",
                                       "Bytes that a session has written."},
                       offsetof(SessionRecord, write_bytes));
}

/* --- the daemon --------------------------------------------------------------------------------*/

static void add_daemon(GString *out, Manager *manager)
{
    ManagerStats stats;
    manager_get_stats(manager, &stats);
    const struct {
        Family family;
        uint64_t value;
    } all[] = {
        {{"arena_limit_bytes", "gauge", "Registered memory there may be."}, stats.arena.limit},
        {{"arena_mapped_bytes", "gauge", "Registered memory there is."}, stats.arena.mapped},
        {{"arena_used_bytes", "gauge", "Registered memory in use."}, stats.arena.in_use},
        {{"arena_failures_total", "counter", "Requests for memory that had to wait or go without."},
         stats.arena.failures},
        {{"memory_admitted_bytes", "gauge", "Memory that commands hold."}, stats.memory.admitted},
        {{"memory_limit_bytes", "gauge", "Memory that commands may hold."}, stats.memory.limit},
        {{"memory_waiting", "gauge", "Segments of commands that wait for memory."},
         stats.memory.waiting},
        {{"memory_waits_total", "counter", "Segments of commands that ever waited."},
         stats.memory.waits},
        {{"receive_limit_bytes", "gauge", "Receive buffers that sessions may have."},
         stats.receive.limit},
        {{"receive_left_bytes", "gauge", "Receive buffers that no session has."},
         stats.receive.left},
        {{"loop_turns_total", "counter", "Times that I/O loops were dispatched."},
         stats.loops.turns},
        {{"loop_rounds_total", "counter", "Rounds of I/O loops."}, stats.loops.rounds},
        {{"loop_sleeps_total", "counter", "Times that I/O loops got ready to sleep."},
         stats.loops.sleeps},
        {{"loop_completions_total", "counter", "Completions of devices and engines found."},
         stats.loops.completions},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        add_single(out, &all[i].family, all[i].value);
}

char *metrics_text(Manager *manager)
{
    static const Family build = {"build_info", "gauge", "1; the version of rtgtd."};
    GString *out = g_string_sized_new(16384);
    g_autoptr(GArray) luns = read_luns(manager);
    begin_family(out, &build);
    append_sample(out, build.name, (const char *const[]){"version", PACKAGE_VERSION, NULL}, 1);
    add_daemon(out, manager);
    add_sessions(out, manager);
    add_engines(out, luns);
    add_lun_states(out, luns);
    for (size_t i = 0; i < G_N_ELEMENTS(lun_families); i++)
        add_lun_family(out, luns, &lun_families[i]);
    for (unsigned what = 0; what < LATENCY_WHATS; what++)
        add_latencies(out, luns, what);
    return g_string_free(out, FALSE);
}
