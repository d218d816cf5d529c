/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file as a whole: its groups in order, then what must hold between them. */
#include "core/daemon/config.h"

#include "core/base/address.h"
#include "core/daemon/config_groups.h"
#include "core/daemon/config_text.h"

#include <gio/gio.h>
#include <string.h>

#define IO_LOOPS_MAX      64
#define POLL_US_MAX       10000
#define ARENA_DEFAULT     ((uint64_t)64 << 20)
#define ARENA_MAX         ((uint64_t)4 << 40)
#define RECV_MEMORY_MIN   ((uint64_t)1 << 20)
#define STATE_DIR_DEFAULT "/var/lib/rtgt"
#define TMF_TIMEOUT       30 /* seconds */
#define TMF_TIMEOUT_MAX   3600

const char *const config_hugepages[] = {
    [ARENA_HUGE_AUTO] = "auto", [ARENA_HUGE_ON] = "on", [ARENA_HUGE_OFF] = "off", NULL};

#define ADMITTED_PERCENT 85 /* of the arena; the rest is for what is lost between pieces */

static const char *const daemon_keys[] = {
    "io-loops", "poll-us", "bus", "state-dir", "secrets", "tmf-timeout", "copy-between-targets",
    NULL};
static const char *const metrics_keys[] = {"listen", NULL};
static const char *const memory_keys[] = {"arena", "arena-initial", "recv-memory", "hugepages",
                                          NULL};

static void read_bus(const ConfigReader *reader, Config *config)
{
    static const char *const words[] = {"system", "session", "none", NULL};
    config->bus = config_reader_string(reader, "daemon", "bus");
    config->bus_chosen = config->bus != NULL;
    if (!config->bus)
        config->bus = g_strdup("system");
    else if (!g_strv_contains(words, config->bus) &&
             !g_dbus_is_supported_address(config->bus, NULL))
        config_reader_complain(reader, "daemon", "bus",
                               "must be system, session, none or a D-Bus address, as in "
                               "unix:path=/run/bus");
}

static void read_secrets(const ConfigReader *reader, Config *config)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = config_reader_string(reader, "daemon", "secrets");
    if (!path)
        return;
    if (!g_path_is_absolute(path)) {
        config_reader_complain(reader, "daemon", "secrets",
                               "must be an absolute path, beginning with /");
        return;
    }
    config->secrets = secrets_load(path, &error);
    if (!config->secrets)
        config_reader_complain(reader, "daemon", "secrets", "%s", error->message);
}

static void read_daemon(const ConfigReader *reader, Config *config)
{
    config->io_loops =
        (unsigned)config_reader_number(reader, "daemon", "io-loops", "auto", 0, 1, IO_LOOPS_MAX);
    uint64_t poll =
        config_reader_number(reader, "daemon", "poll-us", "auto", UINT64_MAX, 0, POLL_US_MAX);
    config->poll_auto = poll == UINT64_MAX;
    config->poll_us = config->poll_auto ? 0 : (unsigned)poll;
    read_bus(reader, config);
    config->tmf_timeout_ms =
        1000 * (unsigned)config_reader_number(reader, "daemon", "tmf-timeout", NULL, TMF_TIMEOUT, 1,
                                              TMF_TIMEOUT_MAX);
    config->copy_between_targets =
        config_reader_bool(reader, "daemon", "copy-between-targets", false);
    config->state_dir = config_reader_string(reader, "daemon", "state-dir");
    config->state_dir_chosen = config->state_dir != NULL;
    if (!config->state_dir_chosen)
        config->state_dir = g_strdup(STATE_DIR_DEFAULT);
    else if (!g_path_is_absolute(config->state_dir))
        config_reader_complain(reader, "daemon", "state-dir",
                               "must be an absolute path, beginning with /");
    read_secrets(reader, config);
}

static void read_memory(const ConfigReader *reader, Config *config)
{
    uint64_t arena = config_reader_size(reader, "memory", "arena", NULL, ARENA_DEFAULT,
                                        ARENA_CHUNK_SIZE, ARENA_MAX);
    config->arena.limit = arena;
    config->arena.initial = config_reader_size(reader, "memory", "arena-initial", NULL,
                                               ARENA_CHUNK_SIZE, ARENA_CHUNK_SIZE, arena);
    config->arena.huge =
        config_reader_choice(reader, "memory", "hugepages", config_hugepages, ARENA_HUGE_AUTO);
    config->recv_memory = config_reader_size(reader, "memory", "recv-memory", "auto", arena / 4,
                                             RECV_MEMORY_MIN, arena / 2);
}

static void read_metrics(const ConfigReader *reader, Config *config)
{
    struct sockaddr_storage address;
    config->metrics_listen = config_reader_string(reader, "metrics", "listen");
    if (config->metrics_listen && !address_parse(config->metrics_listen, &address))
        config_reader_complain(reader, "metrics", "listen",
                               "must be a numeric address with a port, as in 127.0.0.1:9810 or "
                               "[::1]:9810");
}

size_t config_admitted(const Config *config)
{
    size_t chunks = (config->arena.limit + ARENA_CHUNK_SIZE - 1) >> ARENA_CHUNK_SHIFT;
    return (chunks << ARENA_CHUNK_SHIFT) / 100 * ADMITTED_PERCENT - config->recv_memory;
}

static void add_target(const ConfigReader *reader, Config *config, ConfigTarget *target)
{
    for (guint i = 0; i < config->targets->len; i++) {
        const ConfigTarget *other = config->targets->pdata[i];
        if (strcmp(other->name, target->name) == 0)
            config_reader_complain(reader, target->group, NULL, "is the same target as on line %u",
                                   config_scan_line(reader->scan, other->group, NULL));
    }
    g_ptr_array_add(config->targets, target);
}

static gint compare_luns(gconstpointer a, gconstpointer b)
{
    const ConfigLun *left = *(ConfigLun *const *)a, *right = *(ConfigLun *const *)b;
    return (left->spec.number > right->spec.number) - (left->spec.number < right->spec.number);
}

static ConfigTarget *find_target(const Config *config, const char *name)
{
    for (guint i = 0; i < config->targets->len; i++) {
        ConfigTarget *target = config->targets->pdata[i];
        if (strcmp(target->name, name) == 0)
            return target;
    }
    return NULL;
}

static gint compare_port_groups(gconstpointer a, gconstpointer b)
{
    const ConfigPortGroup *left = *(ConfigPortGroup *const *)a;
    const ConfigPortGroup *right = *(ConfigPortGroup *const *)b;
    return (gint)left->spec.id - right->spec.id;
}

static bool shares_port(const AluaGroupSpec *a, const AluaGroupSpec *b)
{
    for (unsigned i = 0; i < a->n_ports; i++)
        for (unsigned k = 0; k < b->n_ports; k++)
            if (a->ports[i] == b->ports[k])
                return true;
    return false;
}

static void add_port_group(const ConfigReader *reader, Config *config, ConfigPortGroup *added)
{
    const ConfigTarget *target = find_target(config, added->target_name);
    if (!target) {
        config_reader_complain(reader, added->group, NULL, "there is no group [target %s] for it",
                               added->target_name);
        config_port_group_free(added);
        return;
    }
    for (guint i = 0; i < target->port_groups->len; i++) {
        const ConfigPortGroup *other = target->port_groups->pdata[i];
        if (other->spec.id == added->spec.id)
            config_reader_complain(reader, added->group, NULL, "is the same group as [%s]",
                                   other->group);
        if (shares_port(&other->spec, &added->spec))
            config_reader_complain(reader, added->group, "ports", "one of them is in [%s] too",
                                   other->group);
    }
    g_ptr_array_add(target->port_groups, added);
    g_ptr_array_sort(target->port_groups, compare_port_groups);
}

static void add_lun(const ConfigReader *reader, Config *config, ConfigLun *lun)
{
    const ConfigTarget *target = find_target(config, lun->spec.target_name);
    if (target) {
        g_ptr_array_add(target->luns, lun);
        return;
    }
    config_reader_complain(reader, lun->group, NULL, "there is no group [target %s] for it",
                           lun->spec.target_name);
    config_lun_unref(lun);
}

static void complain_group(const ConfigReader *reader, const Config *config, const char *group)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_ptr_array_add(names, (void *)"daemon");
    g_ptr_array_add(names, (void *)"memory");
    g_ptr_array_add(names, (void *)"metrics");
    for (guint i = 0; i < config->transports->len; i++)
        g_ptr_array_add(names,
                        (void *)((ConfigTransport *)config->transports->pdata[i])->transport->name);
    g_ptr_array_add(names, NULL);
    g_autofree char *list = g_strjoinv("], [", (char **)names->pdata);
    const char *meant = text_suggest(group, (const char *const *)names->pdata);
    config_reader_complain(
        reader, group, NULL,
        "no such group; there are [%s], [target NAME], [port-group NAME/NUMBER] and [lun "
        "NAME/NUMBER]%s%s%s",
        list, meant ? "; is [" : "", meant ? meant : "", meant ? "] meant?" : "");
}

static bool is_fixed_group(const Config *config, const char *group)
{
    static const char *const own[] = {"daemon", "memory", "metrics", NULL};
    bool fixed = g_strv_contains(own, group);
    for (guint i = 0; !fixed && i < config->transports->len; i++)
        fixed =
            strcmp(group, ((ConfigTransport *)config->transports->pdata[i])->transport->name) == 0;
    return fixed;
}

static void read_targets(const ConfigReader *reader, Config *config,
                         const Transport *const *transports)
{
    g_auto(GStrv) groups = g_key_file_get_groups(reader->keys, NULL);
    for (char **group = groups; *group; group++) {
        if (g_str_has_prefix(*group, "target ")) {
            ConfigTarget *target = config_target_read(reader, *group, transports);
            if (target)
                add_target(reader, config, target);
        } else if (!g_str_has_prefix(*group, "lun ") && !g_str_has_prefix(*group, "port-group ") &&
                   !is_fixed_group(config, *group)) {
            complain_group(reader, config, *group);
        }
    }
    for (char **group = groups; *group; group++) {
        ConfigLun *lun = g_str_has_prefix(*group, "lun ") ? config_lun_read(reader, *group) : NULL;
        if (lun)
            add_lun(reader, config, lun);
        ConfigPortGroup *port_group =
            g_str_has_prefix(*group, "port-group ") ? config_port_group_read(reader, *group) : NULL;
        if (port_group)
            add_port_group(reader, config, port_group);
    }
}

static void check_fixed_keys(const ConfigReader *reader, const char *group,
                             const char *const *known)
{
    if (g_key_file_has_group(reader->keys, group))
        config_check_keys(reader, group, (const char *const *const[]){known, NULL});
}

static void read_all(const ConfigReader *reader, Config *config, const Transport *const *transports)
{
    check_fixed_keys(reader, "daemon", daemon_keys);
    check_fixed_keys(reader, "memory", memory_keys);
    check_fixed_keys(reader, "metrics", metrics_keys);
    read_daemon(reader, config);
    read_memory(reader, config);
    read_metrics(reader, config);
    for (const Transport *const *transport = transports; *transport; transport++)
        g_ptr_array_add(config->transports, config_transport_read(reader, *transport));
    read_targets(reader, config, transports);
    for (guint i = 0; i < config->targets->len; i++)
        g_ptr_array_sort(((ConfigTarget *)config->targets->pdata[i])->luns, compare_luns);
    config_check_luns(reader, config);
    if (!config_report_has_errors(reader->report)) /* else much of it would be said twice */
        config_check_transport_keys(reader, config);
}

static void free_transport(void *transport)
{
    config_transport_free(transport);
}

static void free_target(void *target)
{
    config_target_unref(target);
}

Config *config_parse(const char *name, const char *text, gsize len,
                     const Transport *const *transports, GError **error)
{
    g_autoptr(ConfigReport) report = config_report_new(name);
    g_autoptr(Config) config = g_new0(Config, 1);
    g_auto(ConfigReader) reader;

    config->path = g_strdup(name);
    config->transports = g_ptr_array_new_with_free_func(free_transport);
    config->targets = g_ptr_array_new_with_free_func(free_target);
    if (config_reader_init(&reader, text, len, report))
        read_all(&reader, config, transports);
    if (!config_report_finish(report, error))
        return NULL;
    config->keys = g_key_file_ref(reader.keys);
    config->warnings = config_report_steal_warnings(report);
    return g_steal_pointer(&config);
}

Config *config_load(const char *path, const Transport *const *transports, GError **error)
{
    g_autofree char *text = NULL;
    gsize len;
    if (!g_file_get_contents(path, &text, &len, error))
        return NULL;
    Config *config = config_parse(path, text, len, transports, error);
    if (config) {
        g_autofree char *relative = config->path;
        config->path = g_canonicalize_filename(relative, NULL);
    }
    return config;
}

void config_free(Config *config)
{
    if (!config)
        return;
    g_free(config->path);
    if (config->keys)
        g_key_file_unref(config->keys);
    g_free(config->bus);
    g_free(config->metrics_listen);
    g_free(config->state_dir);
    secrets_free(config->secrets);
    g_ptr_array_unref(config->transports);
    g_ptr_array_unref(config->targets);
    g_strfreev(config->warnings);
    g_free(config);
}

const ConfigTransport *config_find_transport(const Config *config, const Transport *transport)
{
    for (guint i = 0; i < config->transports->len; i++) {
        const ConfigTransport *found = config->transports->pdata[i];
        if (found->transport == transport)
            return found;
    }
    return NULL;
}
