/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starts the manager and its view on D-Bus, and ends them on a signal. */
#include "core/daemon/daemon.h"

#include "core/daemon/bus.h"
#include "core/daemon/config.h"
#include "core/daemon/log.h"
#include "core/daemon/manager.h"
#include "core/daemon/metrics_http.h"
#include "core/daemon/notify.h"
#include "core/daemon/reload.h"

#include <config.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_USAGE      2
#define STOP_TIMEOUT_MS 30000
#define DEFAULT_CONFIG  RTGT_SYSCONFDIR "/rtgt/rtgt.conf"

typedef struct {
    char *config, *bus;
    gboolean check, verbose, version;
} Options;

static void options_clear(Options *options)
{
    g_free(options->config);
    g_free(options->bus);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

/* One run, for the signal handlers. */
typedef struct {
    GMainLoop *loop;
    bool stopping;
    Manager *manager; /* while it serves */
} Service;

/* --- command line and configuration ------------------------------------------------------------*/

static bool parse_options(int *argc, char ***argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config,
         "Configuration; default " DEFAULT_CONFIG, "FILE"},
        {"bus", 'b', 0, G_OPTION_ARG_STRING, &options->bus,
         "D-Bus to be managed over, instead of bus= in the configuration",
         "system|session|ADDRESS|none"},
        {"check-config", 0, 0, G_OPTION_ARG_NONE, &options->check,
         "Check the configuration and exit", NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, "Log more", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version and exit", NULL},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new("- block storage target daemon");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return false;
    if (*argc == 1)
        return true;
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "%s: no arguments are taken",
                (*argv)[1]);
    return false;
}

static void log_lines(GLogLevelFlags level, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        g_log(G_LOG_DOMAIN, level, "%s", *line);
}

static Config *load(const Options *options, const Transport *const *transports)
{
    g_autoptr(GError) error = NULL;
    const char *path = options->config ? options->config : DEFAULT_CONFIG;
    Config *config = config_load(path, transports, &error);
    if (!config) {
        log_lines(G_LOG_LEVEL_CRITICAL, error->message);
        return NULL;
    }
    for (char **warning = config->warnings; *warning; warning++)
        g_warning("%s", *warning);
    return config;
}

/* --- limits ------------------------------------------------------------------------------------*/

static rlim_t raise_limit(int resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0)
        return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(resource, &limit);
        getrlimit(resource, &limit);
    }
    return limit.rlim_cur;
}

static void raise_limits(const Config *config)
{
    rlim_t files = raise_limit(RLIMIT_NOFILE);
    rlim_t locked = raise_limit(RLIMIT_MEMLOCK);
    g_info("at most %ju open files", (uintmax_t)files);
    if (locked != RLIM_INFINITY && locked < config->arena.limit && geteuid() != 0)
        g_message("only %ju KiB may be locked in memory, [memory] arena is %zu KiB: RDMA and the "
                  "fixed buffers of io_uring need LimitMEMLOCK=infinity in the service or "
                  "\"ulimit -l unlimited\"",
                  (uintmax_t)locked >> 10, config->arena.limit >> 10);
}

/* --- service -----------------------------------------------------------------------------------*/

static gboolean on_stop(void *arg)
{
    Service *service = arg;
    if (service->stopping) {
        g_warning("second signal: exiting at once, what was not flushed may be lost");
        _exit(EXIT_FAILURE);
    }
    service->stopping = true;
    g_message("stopping");
    g_main_loop_quit(service->loop);
    return G_SOURCE_CONTINUE;
}

static void reloaded(const GError *error, void *arg)
{
    (void)arg;
    if (error)
        log_lines(G_LOG_LEVEL_WARNING, error->message);
}

static gboolean on_hangup(void *arg)
{
    const Service *service = arg;
    if (!service->manager || service->stopping)
        return G_SOURCE_CONTINUE;
    reload_start(service->manager, reloaded, NULL);
    return G_SOURCE_CONTINUE;
}

static void catch_signals(Service *service, guint sources[3])
{
    signal(SIGPIPE, SIG_IGN);
    sources[0] = g_unix_signal_add(SIGTERM, on_stop, service);
    sources[1] = g_unix_signal_add(SIGINT, on_stop, service);
    sources[2] = g_unix_signal_add(SIGHUP, on_hangup, service);
}

/* A bus that nobody asked for may be missing. */
static bool start_bus(const Options *options, Manager *manager, Bus **bus)
{
    const Config *config = manager_config(manager);
    const char *where = options->bus ? options->bus : config->bus;
    bool chosen = options->bus || config->bus_chosen;
    g_autoptr(GError) error = NULL;
    if (strcmp(where, "none") == 0)
        return true;
    *bus = bus_new(where, manager, &error);
    if (*bus)
        return true;
    g_log(G_LOG_DOMAIN, chosen ? G_LOG_LEVEL_CRITICAL : G_LOG_LEVEL_WARNING, "D-Bus (%s): %s%s",
          where, error->message,
          chosen ? "" : "; the daemon cannot be managed. bus=none makes this silent");
    return !chosen;
}

/* What was asked for must work. */
static bool start_metrics(Manager *manager, MetricsServer **server)
{
    const char *listen = manager_config(manager)->metrics_listen;
    g_autoptr(GError) error = NULL;
    if (!listen)
        return true;
    *server = metrics_server_new(listen, manager, &error);
    if (!*server)
        g_critical("[metrics] listen=%s: %s", listen, error->message);
    return *server != NULL;
}

static bool serve(const Options *options, Manager *manager, Service *service)
{
    Bus *bus = NULL;
    MetricsServer *metrics = NULL;
    g_autoptr(GError) error = NULL;
    bool good = manager_listen(manager, &error);
    if (!good)
        log_lines(G_LOG_LEVEL_CRITICAL, error->message);
    good = good && start_bus(options, manager, &bus) && start_metrics(manager, &metrics);
    if (good) {
        service->manager = manager;
        g_message("ready");
        notify_service_manager("READY=1");
        g_main_loop_run(service->loop);
        notify_service_manager("STOPPING=1");
    }
    service->stopping = true;
    service->manager = NULL;
    metrics_server_free(metrics);
    bus_free(bus);
    return good;
}

static int run(const Options *options, const Config *config)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Service service = {.loop = loop};
    g_autoptr(GError) error = NULL;
    guint signals[3];

    raise_limits(config);
    catch_signals(&service, signals);
    Manager *manager = manager_new(config, &error);
    if (!manager)
        log_lines(G_LOG_LEVEL_CRITICAL, error->message);
    bool good = manager && serve(options, manager, &service);
    if (!manager_free(manager, STOP_TIMEOUT_MS))
        _exit(EXIT_FAILURE); /* threads still use what would be freed */
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        g_source_remove(signals[i]);
    if (good)
        g_message("stopped");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int daemon_main(int argc, char **argv, const Transport *const *transports)
{
    g_auto(Options) options = {0};
    g_autoptr(GError) error = NULL;
    bool good = parse_options(&argc, &argv, &options, &error);

    log_start(options.verbose);
    if (!good) {
        g_printerr("rtgtd: %s\nTry rtgtd --help\n", error->message);
        return EXIT_USAGE;
    }
    if (options.version) {
        g_print("rtgtd %s\n", PACKAGE_VERSION);
        return EXIT_SUCCESS;
    }
    g_autoptr(Config) config = load(&options, transports);
    if (!config)
        return EXIT_USAGE;
    if (options.check) {
        g_print("%s: good\n", config->path);
        return EXIT_SUCCESS;
    }
    return run(&options, config);
}
