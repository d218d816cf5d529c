/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of rtgt-bench. */
#include "tools/bench/plan.h"

#include <errno.h>
#include <string.h>

#include <config.h>

#define MOST_MEMORY (1ull << 30)
#define MOST_ROUNDS 1000

static const char *const rw_names[] = {"randread", "randwrite", "randrw",
                                       "seqread",  "seqwrite",  NULL};

const char *rw_name(Rw rw)
{
    return rw_names[rw];
}

bool rw_writes(Rw rw)
{
    return rw != RW_RANDREAD && rw != RW_SEQREAD;
}

bool plan_writes(const Plan *plan)
{
    for (guint i = 0; i < plan->workloads->len; i++)
        if (rw_writes(((const Workload *)plan->workloads->pdata[i])->rw))
            return true;
    return false;
}

uint64_t plan_largest_block(const Plan *plan)
{
    uint64_t largest = 0;

    for (guint i = 0; i < plan->workloads->len; i++)
        largest = MAX(largest, ((const Workload *)plan->workloads->pdata[i])->block);
    return largest;
}

const char *plan_mode_name(AioMode mode)
{
    return mode == AIO_DIRECT ? "direct" : "buffered";
}

G_GNUC_PRINTF(2, 3) static bool complain(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *error = g_error_new_valist(G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, args);
    va_end(args);
    return false;
}

static bool parse_size(const char *text, const char *option, uint64_t *size, GError **error)
{
    char *end;
    uint64_t number = g_ascii_strtoull(text, &end, 10);
    const char *unit = *end ? strchr("KMGT", g_ascii_toupper(*end)) : NULL;

    if (unit) {
        unsigned shift = 10 * (1 + (unsigned)(strlen("KMGT") - strlen(unit)));
        if (number <= UINT64_MAX >> shift) {
            *size = number << shift;
            end++;
        }
    } else {
        *size = number;
    }
    if (g_ascii_isdigit(*text) && !*end && *size)
        return true;
    return complain(error, "%s %s: not a size (bytes, or with K, M, G, T behind the number)",
                    option, text);
}

/* --- workloads ---------------------------------------------------------------------------------*/

static void workload_free(gpointer data)
{
    Workload *workload = data;
    g_free(workload->block_name);
    g_free(workload->name);
    g_free(workload);
}

static bool parse_rw(const char *text, Rw *rw, GError **error)
{
    if (strcmp(text, "seq") == 0)
        text = rw_names[RW_SEQREAD];
    for (*rw = 0; rw_names[*rw]; (*rw)++)
        if (strcmp(rw_names[*rw], text) == 0)
            return true;
    return complain(
        error, "--rw %s: must be randread, randwrite, randrw, seqread (or seq) or seqwrite", text);
}

static bool parse_depth(const char *text, int *depth, GError **error)
{
    char *end;
    guint64 number = g_ascii_strtoull(text, &end, 10);

    *depth = (int)MIN(number, INT_MAX);
    if (g_ascii_isdigit(*text) && !*end && number >= 1 && number <= 4096)
        return true;
    return complain(error, "--depth %s: must be from 1 to 4096", text);
}

static bool plan_add_workload(Plan *plan, const char *rw, const char *block, const char *depth,
                              GError **error)
{
    g_autofree Workload *workload = g_new0(Workload, 1);

    if (!parse_rw(rw, &workload->rw, error) ||
        !parse_size(block, "--bs", &workload->block, error) ||
        !parse_depth(depth, &workload->depth, error))
        return false;
    if (workload->block > MOST_MEMORY || workload->block * (uint64_t)workload->depth > MOST_MEMORY)
        return complain(error, "--bs times --depth: must not exceed 1 GiB");
    workload->block_name = g_ascii_strdown(block, -1);
    workload->name = g_strdup_printf("%s, %s, depth %d", rw_name(workload->rw),
                                     workload->block_name, workload->depth);
    g_ptr_array_add(plan->workloads, g_steal_pointer(&workload));
    return true;
}

static bool plan_add_workloads(Plan *plan, const char *rw_list, const char *block_list,
                               const char *depth_list, GError **error)
{
    g_auto(GStrv) rws = g_strsplit(rw_list, ",", -1), blocks = g_strsplit(block_list, ",", -1),
                  depths = g_strsplit(depth_list, ",", -1);

    for (char **rw = rws; *rw; rw++)
        for (char **block = blocks; *block; block++)
            for (char **depth = depths; *depth; depth++)
                if (!plan_add_workload(plan, *rw, *block, *depth, error))
                    return false;
    if (plan->workloads->len == 0)
        return complain(error, "--rw, --bs, --depth: there must be at least one of each");
    return true;
}

/* --- contenders --------------------------------------------------------------------------------*/

static void contender_free(gpointer data)
{
    Contender *contender = data;
    g_free(contender->label);
    g_free(contender);
}

static bool parse_mode(const char *text, AioMode *mode, GError **error)
{
    *mode = strcmp(text, "direct") == 0 ? AIO_DIRECT : AIO_BUFFERED;
    if (strcmp(text, plan_mode_name(*mode)) == 0)
        return true;
    return complain(error, "--modes %s: must be buffered or direct", text);
}

/* "threads=4"; "mode=direct" is that of the file, not of the engine. */
static bool contender_set(Contender *contender, char *option, bool *own_mode, GError **error)
{
    g_autofree char *why = NULL;
    char *value = strchr(option, '=');

    if (value)
        *value++ = '\0';
    if (strcmp(option, "mode") == 0) {
        *own_mode = true;
        return parse_mode(value ? value : "", &contender->mode, error);
    }
    contender->own_depth = contender->own_depth || strcmp(option, "depth") == 0;
    if (aio_params_set(&contender->params, contender->engine, option, value ? value : "", &why))
        return true;
    return complain(error, "--engines %s: %s", contender->label, why);
}

/* Adds "syslet:inline=off:threads=4"; *own_mode: it names its mode itself. */
static bool plan_add_contender(Plan *plan, const char *text, AioMode mode, bool *own_mode,
                               GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    const AioEngine *engine = parts[0] ? aio_engine_find(parts[0]) : NULL;

    if (!engine)
        return complain(error, "--engines %s: no such engine; see --help", text);
    Contender *contender = g_new0(Contender, 1);
    g_ptr_array_add(plan->contenders, contender);
    contender->engine = engine;
    contender->mode = mode;
    contender->label = g_strdup(text);
    aio_params_init(&contender->params);
    for (char **part = parts + 1; *part; part++)
        if (!contender_set(contender, *part, own_mode, error))
            return false;
    return true;
}

static bool plan_add_contenders(Plan *plan, const char *engines, const char *modes, GError **error)
{
    g_auto(GStrv) texts = g_strsplit(engines, ",", -1), mode_texts = g_strsplit(modes, ",", -1);
    bool several = g_strv_length(mode_texts) > 1;

    for (char **text = texts; *text; text++) {
        bool own_mode = false;
        for (char **mode_text = mode_texts; *mode_text && !own_mode; mode_text++) {
            AioMode mode;
            if (!parse_mode(*mode_text, &mode, error) ||
                !plan_add_contender(plan, *text, mode, &own_mode, error))
                return false;
            Contender *contender = plan->contenders->pdata[plan->contenders->len - 1];
            if (several && !own_mode) {
                g_free(contender->label);
                contender->label = g_strdup_printf("%s:mode=%s", *text, *mode_text);
            }
        }
    }
    if (plan->contenders->len == 0)
        return complain(error, "--engines: there must be at least one, in one mode");
    return true;
}

/* --- the command line --------------------------------------------------------------------------*/

static bool plan_check(const Plan *plan, GError **error)
{
    if (plan->rounds < 1 || plan->rounds > MOST_ROUNDS)
        return complain(error, "--rounds %d: must be from 1 to %d", plan->rounds, MOST_ROUNDS);
    if (!(plan->runtime >= 0.01 && plan->runtime <= 86400))
        return complain(error, "--runtime: must be from 0.01 to 86400 seconds");
    for (guint i = 0; plan->verify && i < plan->contenders->len; i++)
        if (strcmp(((const Contender *)plan->contenders->pdata[i])->engine->name, "null") == 0)
            return complain(error, "--verify: null keeps nothing that could be verified");
    if (plan->verify && plan->with_fio)
        return complain(error,
                        "--verify: what fio writes cannot be verified; leave out --with-fio");
    return true;
}

static const char description[] =
    "Engines: syslet, libaio, io_uring, null. Options of an engine follow it after colons:\n"
    "  syslet    threads= depth= inline=on|off inline-max= coalesce=on|off\n"
    "  libaio    threads= depth= unsafe-buffered=on|off\n"
    "  io_uring  threads= depth= sqpoll=on|off\n"
    "  null      depth=   (no storage; ignores FILE's contents)\n"
    "  and all   mode=buffered|direct, instead of --modes\n"
    "\n"
    "Lists have commas between their items. Every load of --rw, --bs and --depth is a comparison "
    "of\n"
    "its own; in each of its rounds all engines run once, in random order.\n"
    "\n"
    "Examples:\n"
    "  What syslets give over the threads of 2008, on cached data:\n"
    "    rtgt-bench --engines syslet:inline=off:coalesce=off,syslet:inline=off,syslet FILE\n"
    "  Direct I/O, a new file of 1 GiB, results as a page:\n"
    "    rtgt-bench --create 1G --modes direct --engines libaio,io_uring --html result.html FILE\n"
    "\n"
    "FILE is only read unless --write-allowed is given; write loads destroy its contents.\n"
    "Ctrl-C ends the run and reports what was measured.";

/* What is given as text and understood once all of it is there. */
typedef struct {
    char *engines, *modes, *rw, *block, *depth, *create;
    gint64 seed;
    gboolean version;
} Texts;

static void texts_clear(Texts *texts)
{
    g_free(texts->engines);
    g_free(texts->modes);
    g_free(texts->rw);
    g_free(texts->block);
    g_free(texts->depth);
    g_free(texts->create);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Texts, texts_clear)

/* clang-format off */
static bool plan_parse(Plan *plan, Texts *texts, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"engines", 'e', 0, G_OPTION_ARG_STRING, &texts->engines,
         "Engines to compare; the first is what ratios refer to (syslet,io_uring)", "LIST"},
        {"modes", 'm', 0, G_OPTION_ARG_STRING, &texts->modes, "buffered, direct, or both (buffered)",
         "LIST"},
        {"rw", 'w', 0, G_OPTION_ARG_STRING, &texts->rw,
         "randread, randwrite, randrw (half and half), seqread, seqwrite (randread)", "LIST"},
        {"bs", 'b', 0, G_OPTION_ARG_STRING, &texts->block, "Bytes per request (4k)", "LIST"},
        {"depth", 'd', 0, G_OPTION_ARG_STRING, &texts->depth, "Requests in flight (32)", "LIST"},
        {"runtime", 't', 0, G_OPTION_ARG_DOUBLE, &plan->runtime,
         "Length of a round of one engine (2)", "SECONDS"},
        {"rounds", 'r', 0, G_OPTION_ARG_INT, &plan->rounds, "Rounds (8)", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &texts->seed,
         "Of the order and the offsets (another one each time)", "N"},
        {"create", 'c', 0, G_OPTION_ARG_STRING, &texts->create,
         "Make FILE, filled with random bytes, if it is missing", "SIZE"},
        {"cold", 0, 0, G_OPTION_ARG_NONE, &plan->cold,
         "Do not read FILE into the page cache before buffered rounds", NULL},
        {"write-allowed", 0, 0, G_OPTION_ARG_NONE, &plan->write_allowed,
         "Let write loads overwrite FILE", NULL},
        {"verify", 0, 0, G_OPTION_ARG_NONE, &plan->verify,
         "Compare every byte read with what must be there; the figures suffer", NULL},
        {"with-fio", 0, 0, G_OPTION_ARG_NONE, &plan->with_fio,
         "Let fio(1) take part, for reference", NULL},
        {"json", 'j', 0, G_OPTION_ARG_FILENAME, &plan->json, "Write all results there, too", "JSONFILE"},
        {"html", 0, 0, G_OPTION_ARG_FILENAME, &plan->html, "Write a page with charts there, too",
         "HTMLFILE"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &texts->version, "Print the version", NULL},
        {NULL},
    };
    /* clang-format on */
    g_autoptr(GOptionContext) context = g_option_context_new("FILE");

    g_option_context_set_summary(context, "Compares rtgt's I/O engines on a file or block device.");
    g_option_context_set_description(context, description);
    g_option_context_add_main_entries(context, entries, NULL);
    return g_option_context_parse(context, argc, argv, error);
}

Plan *plan_new(int *argc, char ***argv, GError **error)
{
    g_autoptr(Plan) plan = g_new0(Plan, 1);
    g_auto(Texts) texts = {.seed = -1};

    plan->rounds = 8;
    plan->runtime = 2;
    plan->workloads = g_ptr_array_new_with_free_func(workload_free);
    plan->contenders = g_ptr_array_new_with_free_func(contender_free);
    if (!plan_parse(plan, &texts, argc, argv, error))
        return NULL;
    if (texts.version) {
        g_print("rtgt-bench %s\n", PACKAGE_VERSION);
        exit(0);
    }
    if (*argc != 2) {
        complain(error, "exactly one FILE must be given");
        return NULL;
    }
    plan->path = g_strdup((*argv)[1]);
    plan->seed = texts.seed >= 0 ? (uint64_t)texts.seed : g_random_int();
    if ((texts.create && !parse_size(texts.create, "--create", &plan->create, error)) ||
        !plan_add_workloads(plan, texts.rw ?: "randread", texts.block ?: "4k", texts.depth ?: "32",
                            error) ||
        !plan_add_contenders(plan, texts.engines ?: "syslet,io_uring", texts.modes ?: "buffered",
                             error) ||
        !plan_check(plan, error))
        return NULL;
    return g_steal_pointer(&plan);
}

void plan_free(Plan *plan)
{
    if (!plan)
        return;
    g_clear_pointer(&plan->contenders, g_ptr_array_unref);
    g_clear_pointer(&plan->workloads, g_ptr_array_unref);
    g_free(plan->path);
    g_free(plan->json);
    g_free(plan->html);
    g_free(plan);
}
