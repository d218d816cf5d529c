/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of rtgtctl: finds the command, checks its arguments, runs it. */
#include "tools/ctl/ctl.h"

#include "tools/ctl/commands.h"
#include "tools/ctl/table.h"

#include <config.h>
#include <locale.h>
#include <string.h>

/* Options that not every command takes. */
enum {
    TAKES_ENGINE_OPTIONS = 1u << 0,
    TAKES_STORE = 1u << 1,
    TAKES_SETTINGS = 1u << 2,
    TAKES_SHRINK = 1u << 3,
    TAKES_COMPARISON = 1u << 4,
    TAKES_VIEW = 1u << 5,
};

typedef struct {
    const char *words[3]; /* NULL-terminated */
    const char *arguments, *summary;
    guint min_args, max_args;
    unsigned options; /* TAKES_... */
    bool (*run)(const Request *request, GError **error);
} Command;

/* clang-format off */
static const Command commands[] = {
    {{"status"}, "", "What the daemon is and has", 0, 0, 0, command_status},
    {{"target", "list"}, "", "Targets and who may use them", 0, 0, 0, command_target_list},
    {{"target", "add"}, "TARGET", "Offer a new target", 1, 1, TAKES_SETTINGS, command_target_add},
    {{"target", "remove"}, "TARGET", "Log a target's sessions out and withdraw it", 1, 1, 0,
     command_target_remove},
    {{"target", "port-groups"}, "TARGET", "Target port groups and their states (ALUA)", 1, 1, 0,
     command_target_port_groups},
    {{"target", "set-state"}, "TARGET GROUP STATE", "Set the state of a target port group", 3, 3, 0,
     command_target_set_state},
    {{"lun", "list"}, "", "LUNs with their stores and engines", 0, 0, 0, command_lun_list},
    {{"lun", "add"}, "TARGET LUN", "Show a new LUN to the sessions there are", 2, 2,
     TAKES_ENGINE_OPTIONS | TAKES_STORE | TAKES_SETTINGS, command_lun_add},
    {{"lun", "remove"}, "TARGET LUN", "Withdraw a LUN while sessions run", 2, 2, 0,
     command_lun_remove},
    {{"lun", "resize"}, "TARGET LUN [SIZE]", "Change the size, or ask the store for it again", 2, 3,
     TAKES_SHRINK, command_lun_resize},
    {{"lun", "set-cache"}, "TARGET LUN SIZE", "Change the size of a LUN's cache, 0 for none", 3, 3, 0,
     command_lun_set_cache},
    {{"lun", "set-engine"}, "TARGET LUN ENGINE", "Exchange the engine of a LUN while it is used", 3, 3,
     TAKES_ENGINE_OPTIONS, command_lun_set_engine},
    {{"lun", "clear-sync-error"}, "TARGET LUN",
     "Let flushes work again after one failed and the loss was dealt with", 2, 2, 0,
     command_lun_clear_sync_error},
    {{"compare"}, "TARGET LUN", "Let engines take turns on a LUN that is used, and tell which is faster",
     2, 2, TAKES_COMPARISON, command_compare},
    {{"session", "list"}, "", "Initiators that are logged in", 0, 0, 0, command_session_list},
    {{"session", "drop"}, "ID", "Log an initiator out", 1, 1, 0, command_session_drop},
    {{"statistics"}, "", "Every counter that is not 0", 0, 0, 0, command_statistics},
    {{"top"}, "", "What LUNs and sessions do, live", 0, 0, TAKES_VIEW, command_top},
    {{"reload"}, "", "Apply how the configuration file was changed", 0, 0, 0, command_reload},
    {{"save"}, "", "Write targets and LUNs as they are into the configuration file", 0, 0, 0,
     command_save},
};
/* clang-format on */

typedef struct {
    char *bus;
    LineOptions options;
    char **words;
    gboolean json, help, version;
} CommandLine;

static void command_line_clear(CommandLine *line)
{
    g_free(line->bus);
    g_free(line->options.mode);
    g_free(line->options.path);
    g_free(line->options.size);
    g_free(line->options.engine);
    g_strfreev(line->options.engine_options);
    g_strfreev(line->options.settings);
    g_free(line->options.engines);
    g_free(line->options.dwell);
    g_free(line->options.settle);
    g_free(line->options.json_file);
    g_free(line->options.html_file);
    g_free(line->options.interval);
    g_free(line->options.sort);
    g_strfreev(line->words);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CommandLine, command_line_clear)

/* Whether the first word is "compare", which takes a file for --json. */
static bool is_compare(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "-b") == 0 || strcmp(argv[i], "--bus") == 0)
            i++;
        else if (*argv[i] != '-')
            return strcmp(argv[i], "compare") == 0;
    return false;
}

static bool parse(int argc, char **argv, CommandLine *line, GError **error)
{
    const GOptionEntry json = {"json", 'j', 0, G_OPTION_ARG_NONE, &line->json, NULL, NULL};
    const GOptionEntry json_file = {"json", 'j', 0, G_OPTION_ARG_FILENAME, &line->options.json_file,
                                    NULL,   NULL};
    const GOptionEntry entries[] = {
        is_compare(argc, argv) ? json_file : json,
        {"bus", 'b', 0, G_OPTION_ARG_STRING, &line->bus, NULL, NULL},
        {"html", 0, 0, G_OPTION_ARG_FILENAME, &line->options.html_file, NULL, NULL},
        {"engines", 0, 0, G_OPTION_ARG_STRING, &line->options.engines, NULL, NULL},
        {"rounds", 0, 0, G_OPTION_ARG_INT, &line->options.rounds, NULL, NULL},
        {"dwell", 0, 0, G_OPTION_ARG_STRING, &line->options.dwell, NULL, NULL},
        {"settle", 0, 0, G_OPTION_ARG_STRING, &line->options.settle, NULL, NULL},
        {"mode", 'm', 0, G_OPTION_ARG_STRING, &line->options.mode, NULL, NULL},
        {"option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &line->options.engine_options, NULL, NULL},
        {"path", 'p', 0, G_OPTION_ARG_FILENAME, &line->options.path, NULL, NULL},
        {"size", 's', 0, G_OPTION_ARG_STRING, &line->options.size, NULL, NULL},
        {"engine", 'e', 0, G_OPTION_ARG_STRING, &line->options.engine, NULL, NULL},
        {"create", 0, 0, G_OPTION_ARG_NONE, &line->options.create, NULL, NULL},
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &line->options.settings, NULL, NULL},
        {"batch", 0, 0, G_OPTION_ARG_NONE, &line->options.batch, NULL, NULL},
        {"interval", 'i', 0, G_OPTION_ARG_STRING, &line->options.interval, NULL, NULL},
        {"count", 'n', 0, G_OPTION_ARG_INT, &line->options.count, NULL, NULL},
        {"sort", 0, 0, G_OPTION_ARG_STRING, &line->options.sort, NULL, NULL},
        {"shrink", 0, 0, G_OPTION_ARG_NONE, &line->options.shrink, NULL, NULL},
        {"help", 'h', 0, G_OPTION_ARG_NONE, &line->help, NULL, NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &line->version, NULL, NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &line->words, NULL, NULL},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error))
        return false;
    if (!line->words)
        line->words = g_new0(char *, 1);
    return true;
}

/* --- help --------------------------------------------------------------------------------------*/

static char *command_name(const Command *command)
{
    return g_strjoinv(" ", (char **)command->words);
}

static void add_help(Table *table, const char *left, const char *right)
{
    table_add(table, g_strconcat("  ", left, NULL));
    table_add(table, g_strdup(right));
}

static void print_options(unsigned options)
{
    g_autoptr(Table) table = table_new(2, NULL);
    if (options & TAKES_STORE) {
        add_help(table, "-p, --path=PATH", "The file or block device");
        add_help(table, "-s, --size=SIZE", "Of a file to be made, or of a null store");
        add_help(table, "    --create", "Make the file where there is none");
        add_help(table, "-e, --engine=ENGINE", "syslet (default), libaio, io_uring or null");
    }
    if (options & TAKES_ENGINE_OPTIONS) {
        add_help(table, "-m, --mode=buffered|direct",
                 options & TAKES_STORE ? "Through the page cache (default) or past it"
                                       : "Through the page cache or past it; as it is");
        add_help(table, "-o, --option=NAME=VALUE", "Option of the engine; may be repeated");
    }
    if (options & TAKES_SETTINGS)
        add_help(table, "    --set=KEY=VALUE",
                 "Any key of the group in rtgt.conf(5); may be repeated");
    if (options & TAKES_VIEW) {
        add_help(table, "    --batch", "Lines for a log, no screen; --json: an object a line");
        add_help(table, "-i, --interval=SECONDS", "Between two views (1)");
        add_help(table, "-n, --count=N", "End after so many views");
        add_help(table, "    --sort=ORDER", "name (default), iops, mb, p50, p99 or queue");
    }
    if (options & TAKES_SHRINK)
        add_help(table, "    --shrink", "Allow a smaller size: what lies behind it is lost");
    if (options & TAKES_COMPARISON) {
        add_help(
            table, "    --engines=LIST",
            "Variants with commas between them, the baseline first: syslet:inline=off,io_uring");
        add_help(table, "    --rounds=N", "How often each has its turn (8)");
        add_help(table, "    --dwell=TIME", "Length of a turn: 2s, 500ms (1s)");
        add_help(table, "    --settle=TIME", "Left out at the beginning of a turn");
        add_help(table, "    --html=FILE", "Write a page with charts there, too");
        add_help(table, "-j, --json=FILE", "Write all results there, too");
    } else {
        add_help(table, "-j, --json", "Print JSON");
    }
    add_help(table, "-b, --bus=BUS", "system (default), session or a D-Bus address");
    add_help(table, "-h, --help", "Help, also of a command");
    add_help(table, "    --version", "Print the version");
    g_autofree char *text = table_print(table);
    g_print("\nOptions:\n%s", text);
}

static void print_command_help(const Command *command)
{
    g_autofree char *name = command_name(command);
    g_print("Usage: rtgtctl %s [OPTION...]%s%s\n%s.\n", name, *command->arguments ? " " : "",
            command->arguments, command->summary);
    print_options(command->options);
}

static void print_help(void)
{
    g_autoptr(Table) table = table_new(2, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *name = command_name(&commands[i]);
        g_autofree char *usage = g_strjoin(" ", name, commands[i].arguments, NULL);
        add_help(table, usage, commands[i].summary);
    }
    g_autofree char *text = table_print(table);
    g_print("Usage: rtgtctl COMMAND [OPTION...]\nShows and manages the storage target rtgtd.\n\n"
            "Commands:\n%s",
            text);
    print_options(0);
}

/* --- commands ----------------------------------------------------------------------------------*/

/* How many words of the command the line begins with, when it is all of them; else 0. */
static guint match(const Command *command, char *const *words)
{
    guint n = 0;
    for (; command->words[n]; n++)
        if (g_strcmp0(command->words[n], words[n]) != 0)
            return 0;
    return n;
}

static const Command *find_command(char *const *words, guint *used)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if ((*used = match(&commands[i], words)))
            return &commands[i];
    return NULL;
}

static int complain(int code, const char *format, ...) G_GNUC_PRINTF(2, 3);

static int complain(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("rtgtctl: %s\n%s", text, code == CTL_USAGE ? "Try rtgtctl --help\n" : "");
    return code;
}

static int exit_code(const GError *error)
{
    if (error->domain == G_FILE_ERROR)
        return CTL_FAILED;
    if (error->domain != CLIENT_ERROR)
        return CTL_USAGE;
    switch ((ClientError)error->code) {
    case CLIENT_ERROR_NO_DAEMON:
        return CTL_NO_DAEMON;
    case CLIENT_ERROR_NOT_FOUND:
        return CTL_NOT_FOUND;
    case CLIENT_ERROR_INTERRUPTED:
        return CTL_INTERRUPTED;
    case CLIENT_ERROR_REFUSED:
        break;
    }
    return CTL_FAILED;
}

/* The first option that was given and that the command does not take; NULL: none. */
static const char *misplaced(const Command *command, const LineOptions *given)
{
    const struct {
        const char *name;
        unsigned option;
        bool given;
    } all[] = {
        {"--mode", TAKES_ENGINE_OPTIONS, given->mode},
        {"--option", TAKES_ENGINE_OPTIONS, given->engine_options},
        {"--path", TAKES_STORE, given->path},
        {"--size", TAKES_STORE, given->size},
        {"--engine", TAKES_STORE, given->engine},
        {"--create", TAKES_STORE, given->create},
        {"--set", TAKES_SETTINGS, given->settings},
        {"--shrink", TAKES_SHRINK, given->shrink},
        {"--engines", TAKES_COMPARISON, given->engines},
        {"--rounds", TAKES_COMPARISON, given->rounds},
        {"--dwell", TAKES_COMPARISON, given->dwell},
        {"--settle", TAKES_COMPARISON, given->settle},
        {"--html", TAKES_COMPARISON, given->html_file},
        {"--batch", TAKES_VIEW, given->batch},
        {"--interval", TAKES_VIEW, given->interval},
        {"--count", TAKES_VIEW, given->count},
        {"--sort", TAKES_VIEW, given->sort},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        if (all[i].given && !(command->options & all[i].option))
            return all[i].name;
    return NULL;
}

static int run(const Command *command, const CommandLine *line, guint used)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = command_name(command);
    guint n_args = g_strv_length(line->words) - used;
    if (n_args < command->min_args || n_args > command->max_args)
        return complain(CTL_USAGE, "%s takes %s", name,
                        command->max_args ? command->arguments : "no arguments");
    const char *wrong = misplaced(command, &line->options);
    if (wrong)
        return complain(CTL_USAGE, "%s takes no %s", name, wrong);
    g_autoptr(Client) client = client_new(line->bus ? line->bus : "system", &error);
    const Request request = {.client = client,
                             .json = line->json,
                             .options = &line->options,
                             .args = line->words + used};
    if (client && command->run(&request, &error))
        return CTL_DONE;
    return complain(exit_code(error), "%s", error->message);
}

int ctl_main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;
    guint used;
    if (!parse(argc, argv, &line, &error))
        return complain(CTL_USAGE, "%s", error->message);
    const Command *command = find_command(line.words, &used);
    if (line.version) {
        g_print("rtgtctl %s\n", PACKAGE_VERSION);
        return CTL_DONE;
    }
    if (line.help) {
        if (command)
            print_command_help(command);
        else
            print_help();
        return CTL_DONE;
    }
    if (command)
        return run(command, &line, used);
    g_autofree char *words = g_strjoinv(" ", line.words);
    return *words ? complain(CTL_USAGE, "there is no command %s", words)
                  : complain(CTL_USAGE, "which command?");
}
