/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of rtgtctl: finds the command, checks its arguments, runs it. */
#include "tools/ctl/ctl.h"

#include "tools/ctl/commands.h"
#include "tools/ctl/table.h"

#include <config.h>
#include <locale.h>
#include <string.h>

typedef struct {
    const char *words[3]; /* NULL-terminated */
    const char *arguments, *summary;
    guint n_args;
    bool engine_options; /* takes --mode and --option */
    bool (*run)(const Request *request, GError **error);
} Command;

static const Command commands[] = {
    {{"status"}, "", "What the daemon is and has", 0, false, command_status},
    {{"target", "list"}, "", "Targets and who may use them", 0, false, command_target_list},
    {{"lun", "list"}, "", "LUNs with their stores and engines", 0, false, command_lun_list},
    {{"lun", "set-engine"},
     "TARGET LUN ENGINE",
     "Exchange the engine of a LUN while it is used",
     3,
     true,
     command_lun_set_engine},
    {{"lun", "clear-sync-error"},
     "TARGET LUN",
     "Let flushes work again after one failed and the loss was dealt with",
     2,
     false,
     command_lun_clear_sync_error},
    {{"session", "list"}, "", "Initiators that are logged in", 0, false, command_session_list},
    {{"session", "drop"}, "ID", "Log an initiator out", 1, false, command_session_drop},
    {{"statistics"}, "", "Every counter that is not 0", 0, false, command_statistics},
};

typedef struct {
    char *bus, *mode;
    char **options, **words;
    gboolean json, help, version;
} CommandLine;

static void command_line_clear(CommandLine *line)
{
    g_free(line->bus);
    g_free(line->mode);
    g_strfreev(line->options);
    g_strfreev(line->words);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CommandLine, command_line_clear)

static bool parse(int argc, char **argv, CommandLine *line, GError **error)
{
    const GOptionEntry entries[] = {
        {"bus", 'b', 0, G_OPTION_ARG_STRING, &line->bus, NULL, NULL},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &line->json, NULL, NULL},
        {"mode", 'm', 0, G_OPTION_ARG_STRING, &line->mode, NULL, NULL},
        {"option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &line->options, NULL, NULL},
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

static void print_options(bool engine_options)
{
    g_autoptr(Table) table = table_new(2, NULL);
    if (engine_options) {
        add_help(table, "-m, --mode=buffered|direct",
                 "Through the page cache or past it; as it is");
        add_help(table, "-o, --option=NAME=VALUE", "Option of the engine; may be repeated");
    }
    add_help(table, "-j, --json", "Print JSON");
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
    print_options(command->engine_options);
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
    print_options(false);
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
    if (error->domain != CLIENT_ERROR)
        return CTL_USAGE;
    switch ((ClientError)error->code) {
    case CLIENT_ERROR_NO_DAEMON:
        return CTL_NO_DAEMON;
    case CLIENT_ERROR_NOT_FOUND:
        return CTL_NOT_FOUND;
    case CLIENT_ERROR_REFUSED:
        break;
    }
    return CTL_FAILED;
}

static int run(const Command *command, const CommandLine *line, guint used)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = command_name(command);
    guint n_args = g_strv_length(line->words) - used;
    if (n_args != command->n_args)
        return complain(CTL_USAGE, "%s takes %s", name,
                        command->n_args ? command->arguments : "no arguments");
    if ((line->mode || line->options) && !command->engine_options)
        return complain(CTL_USAGE, "%s takes no --mode and no --option", name);
    g_autoptr(Client) client = client_new(line->bus ? line->bus : "system", &error);
    const Request request = {.client = client,
                             .json = line->json,
                             .mode = line->mode,
                             .options = line->options,
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
