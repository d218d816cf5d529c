/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of rtgt-bench. */
#include "tools/bench/plan.h"

#include <errno.h>
#include <string.h>

#define MOST_MEMORY (1ull << 30)

static const char *const rw_names[] = {"randread", "randwrite", "randrw",
                                       "seqread",  "seqwrite",  NULL};

bool plan_writes(const Plan *plan)
{
    return plan->rw != RW_RANDREAD && plan->rw != RW_SEQREAD;
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

static void contender_free(gpointer data)
{
    Contender *contender = data;
    g_free(contender->label);
    g_free(contender->rounds);
    g_free(contender);
}

/* "syslet:inline=off:threads=4" */
static Contender *contender_new(const Plan *plan, const char *text, AioMode mode, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    const AioEngine *engine = parts[0] ? aio_engine_find(parts[0]) : NULL;
    AioParams params;

    if (!engine) {
        complain(error, "--engines %s: no such engine; see --help", text);
        return NULL;
    }
    aio_params_init(&params);
    params.depth = (unsigned)plan->depth;
    for (char **part = parts + 1; *part; part++) {
        g_autofree char *why = NULL;
        char *value = strchr(*part, '=');
        if (value)
            *value++ = '\0';
        if (!aio_params_set(&params, engine, *part, value ? value : "", &why)) {
            complain(error, "--engines %s: %s", text, why);
            return NULL;
        }
    }
    Contender *contender = g_new0(Contender, 1);
    contender->engine = engine;
    contender->params = params;
    contender->mode = mode;
    contender->label = g_strdup(text);
    contender->rounds = g_new0(Round, (unsigned)plan->rounds);
    return contender;
}

static bool parse_mode(const char *text, AioMode *mode, GError **error)
{
    *mode = strcmp(text, "direct") == 0 ? AIO_DIRECT : AIO_BUFFERED;
    if (strcmp(text, plan_mode_name(*mode)) == 0)
        return true;
    return complain(error, "--modes %s: must be buffered or direct", text);
}

static bool plan_add_contenders(Plan *plan, const char *engines, const char *modes, GError **error)
{
    g_auto(GStrv) texts = g_strsplit(engines, ",", -1), mode_texts = g_strsplit(modes, ",", -1);

    for (char **text = texts; *text; text++)
        for (char **mode_text = mode_texts; *mode_text; mode_text++) {
            AioMode mode;
            if (!parse_mode(*mode_text, &mode, error))
                return false;
            Contender *contender = contender_new(plan, *text, mode, error);
            if (!contender)
                return false;
            g_ptr_array_add(plan->contenders, contender);
        }
    if (plan->contenders->len == 0)
        return complain(error, "--engines: there must be at least one, in one mode");
    return true;
}

static bool plan_check(Plan *plan, GError **error)
{
    unsigned rw = 0;

    while (rw_names[rw] && strcmp(rw_names[rw], plan->rw_name) != 0)
        rw++;
    if (!rw_names[rw])
        return complain(error, "--rw %s: must be randread, randwrite, randrw, seqread or seqwrite",
                        plan->rw_name);
    plan->rw = (Rw)rw;
    if (plan->depth < 1 || plan->depth > 4096)
        return complain(error, "--depth %d: must be from 1 to 4096", plan->depth);
    if (plan->rounds < 1 || plan->rounds > 1000)
        return complain(error, "--rounds %d: must be from 1 to 1000", plan->rounds);
    if (!(plan->runtime >= 0.01 && plan->runtime <= 86400))
        return complain(error, "--runtime: must be from 0.01 to 86400 seconds");
    if (plan->block * (uint64_t)plan->depth > MOST_MEMORY || plan->block > MOST_MEMORY)
        return complain(error, "--bs times --depth: must not exceed 1 GiB");
    return true;
}

static const char description[] =
    "Engines: syslet, libaio, io_uring, null. Options of an engine follow it after colons:\n"
    "  syslet    threads= depth= inline=on|off inline-max= coalesce=on|off\n"
    "  libaio    threads= depth= unsafe-buffered=on|off\n"
    "  io_uring  threads= depth= sqpoll=on|off\n"
    "  null      depth=   (no storage; ignores FILE's contents)\n"
    "\n"
    "Examples:\n"
    "  What syslets give over the threads of 2008, on cached data:\n"
    "    rtgt-bench --engines syslet:inline=off:coalesce=off,syslet:inline=off,syslet FILE\n"
    "  Direct I/O, a new file of 1 GiB:\n"
    "    rtgt-bench --create 1G --modes direct --engines libaio,io_uring FILE\n"
    "\n"
    "FILE is only read unless --write-allowed is given; write loads destroy its contents.\n"
    "Ctrl-C ends the run and prints what was measured.";

Plan *plan_new(int *argc, char ***argv, GError **error)
{
    g_autoptr(Plan) plan = g_new0(Plan, 1);
    g_autofree char *engines = NULL, *modes = NULL, *block = NULL, *create = NULL;
    const GOptionEntry entries[] = {
        {"engines", 'e', 0, G_OPTION_ARG_STRING, &engines,
         "Engines to compare; the first is what ratios refer to (syslet,io_uring)", "LIST"},
        {"modes", 'm', 0, G_OPTION_ARG_STRING, &modes, "buffered, direct, or both (buffered)",
         "LIST"},
        {"rw", 'w', 0, G_OPTION_ARG_STRING, &plan->rw_name,
         "randread, randwrite, randrw (half and half), seqread, seqwrite (randread)", "LOAD"},
        {"bs", 'b', 0, G_OPTION_ARG_STRING, &block, "Bytes per request (4K)", "SIZE"},
        {"depth", 'd', 0, G_OPTION_ARG_INT, &plan->depth, "Requests in flight (32)", "N"},
        {"runtime", 't', 0, G_OPTION_ARG_DOUBLE, &plan->runtime, "Length of a round (2)",
         "SECONDS"},
        {"rounds", 'r', 0, G_OPTION_ARG_INT, &plan->rounds,
         "Rounds; each runs all engines one after another (5)", "N"},
        {"create", 'c', 0, G_OPTION_ARG_STRING, &create,
         "Make FILE, filled with random bytes, if it is missing", "SIZE"},
        {"cold", 0, 0, G_OPTION_ARG_NONE, &plan->cold,
         "Do not read FILE into the page cache before buffered rounds", NULL},
        {"write-allowed", 0, 0, G_OPTION_ARG_NONE, &plan->write_allowed,
         "Let write loads overwrite FILE", NULL},
        {"json", 'j', 0, G_OPTION_ARG_FILENAME, &plan->json, "Write all results there too",
         "JSONFILE"},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("FILE");

    plan->depth = 32;
    plan->rounds = 5;
    plan->runtime = 2;
    plan->contenders = g_ptr_array_new_with_free_func(contender_free);
    g_option_context_set_summary(context, "Compares rtgt's I/O engines on a file or block device.");
    g_option_context_set_description(context, description);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return NULL;
    if (*argc != 2) {
        complain(error, "exactly one FILE must be given");
        return NULL;
    }
    plan->path = g_strdup((*argv)[1]);
    if (!plan->rw_name)
        plan->rw_name = g_strdup("randread");
    if (!parse_size(block ?: "4K", "--bs", &plan->block, error) ||
        (create && !parse_size(create, "--create", &plan->create, error)) ||
        !plan_check(plan, error) ||
        !plan_add_contenders(plan, engines ?: "syslet,io_uring", modes ?: "buffered", error))
        return NULL;
    return g_steal_pointer(&plan);
}

void plan_free(Plan *plan)
{
    if (!plan)
        return;
    g_clear_pointer(&plan->contenders, g_ptr_array_unref);
    g_free(plan->path);
    g_free(plan->json);
    g_free(plan->rw_name);
    g_free(plan);
}
