/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Builds in the order that manager.h tells and takes down in the reverse order. */
#include "core/daemon/manager_impl.h"

#include "core/base/loop.h"
#include "core/daemon/experiment.h"
#include "core/mem/receive.h"
#include "core/mem/segment.h"
#include "core/scsi/directory.h"
#include "core/scsi/tmf.h"

#include <stdatomic.h>

#define AUTO_LOOPS_MAX 8
#define AUTO_POLL_CPUS 4 /* with fewer, polling takes the CPU from whom it waits for */
#define AUTO_POLL_US   10

#define ALARM_EVERY (60 * G_USEC_PER_SEC) /* a busy daemon falls below the mark all the time */
/* --- sessions ----------------------------------------------------------------------------------*/

static void session_added(void *arg, SessionRecord *record)
{
    Manager *manager = arg;
    record->id = ++manager->last_session;
    g_ptr_array_add(manager->sessions, record);
    g_info("session %" G_GUINT64_FORMAT ": %s from %s logged in to %s over %s", record->id,
           record->initiator, record->peer_address, record->target ? record->target : "discovery",
           record->transport);
    if (manager->watch)
        manager->watch->session_added(manager->watch_arg, record);
}

static void session_changed(void *arg, SessionRecord *record)
{
    Manager *manager = arg;
    if (manager->watch)
        manager->watch->session_changed(manager->watch_arg, record);
}

static void session_removed(void *arg, SessionRecord *record)
{
    Manager *manager = arg;
    g_ptr_array_remove(manager->sessions, record);
    g_info("session %" G_GUINT64_FORMAT ": %s from %s ended", record->id, record->initiator,
           record->peer_address);
    if (manager->watch)
        manager->watch->session_removed(manager->watch_arg, record);
}

void manager_watch(Manager *manager, const ManagerWatch *watch, void *arg)
{
    manager->watch = watch;
    manager->watch_arg = arg;
}

/* --- loops and memory --------------------------------------------------------------------------*/

static void choose_loops(Manager *manager)
{
    const Config *config = manager->config;
    unsigned cpus = g_get_num_processors();
    manager->n_loops = config->io_loops ? config->io_loops : MIN(cpus, AUTO_LOOPS_MAX);
    manager->poll_us = !config->poll_auto       ? config->poll_us
                       : cpus >= AUTO_POLL_CPUS ? AUTO_POLL_US
                                                : 0;
}

static void make_loops(Manager *manager)
{
    LoopConfig main = {.poll_us = 0}, io = {.poll_us = manager->poll_us};
    manager->main = loop_new_main(&main);
    manager->loops = g_new0(Loop *, manager->n_loops);
    for (unsigned i = 0; i < manager->n_loops; i++)
        manager->loops[i] = loop_new(i + 1, &io);
}

static void sound_alarm(void *arg)
{
    Pool *pool = arg;
    Manager *manager = pool->manager;
    gint64 now = g_get_monotonic_time();
    if (!manager->arena || (pool->said && now - pool->said < ALARM_EVERY))
        return;
    pool->said = now;
    uint64_t left = atomic_load(&pool->left);
    g_warning("memory is low: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " KiB left of %s",
              left >> 10, pool->limit >> 10, pool->advice);
    if (manager->watch)
        manager->watch->pool_low(manager->watch_arg, pool->name, left, pool->limit);
}

/* On any thread. */
static void pool_fell(void *arg, size_t left)
{
    Pool *pool = arg;
    atomic_store(&pool->left, left);
    loop_call(pool->manager->main, sound_alarm, pool);
}

static void watch_pools(Manager *manager, size_t admitted, size_t receive)
{
    manager->arena_pool =
        (Pool){.manager = manager,
               .name = "arena",
               .advice = "the arena: commands wait for each other (arena= in [memory])",
               .limit = admitted};
    manager->receive_pool =
        (Pool){.manager = manager,
               .name = "receive",
               .advice = "the receive buffers: windows shrink, logins may be refused (recv-memory= "
                         "in [memory])",
               .limit = receive};
    memory_watch(manager->memory, pool_fell, &manager->arena_pool);
    receive_budget_watch(manager->receive, pool_fell, &manager->receive_pool);
}

static void grow_arena(void *arg)
{
    Manager *manager = arg;
    g_autoptr(GError) error = NULL;
    if (!manager->arena)
        return;
    if (arena_grow(manager->arena, &error))
        memory_retry(manager->memory);
    else
        g_warning("memory: %s; commands wait for what there is", error->message);
}

static void arena_wants_to_grow(void *arg)
{
    Manager *manager = arg;
    loop_call(manager->main, grow_arena, manager);
}

static bool make_memory(Manager *manager, GError **error)
{
    const Config *config = manager->config;
    manager->arena = arena_new(&config->arena, arena_wants_to_grow, manager, error);
    if (!manager->arena) {
        g_prefix_error(error, "[memory]: ");
        return false;
    }
    size_t admitted = config_admitted(config);
    manager->memory = memory_new(manager->arena, admitted, manager->loops, manager->n_loops);
    manager->receive = receive_budget_new(manager->arena, config->recv_memory);
    watch_pools(manager, admitted, config->recv_memory);
    return true;
}

/* --- state -------------------------------------------------------------------------------------*/

/* A directory that somebody chose must work; without the default one only what needs it is refused.
 */
static bool open_state_dir(Manager *manager, GError **error)
{
    const Config *config = manager->config;
    g_autoptr(GError) failure = NULL;
    manager->state = state_dir_open(config->state_dir, &failure);
    if (manager->state)
        return true;
    if (config->state_dir_chosen) {
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "[daemon] state-dir: ");
        return false;
    }
    g_warning("[daemon] state-dir: %s; reservations and mode pages cannot be saved",
              failure->message);
    return true;
}

/* --- targets -----------------------------------------------------------------------------------*/

static bool make_exports(Manager *manager, GError **error)
{
    const GPtrArray *targets = manager->config->targets;
    for (guint i = 0; i < targets->len; i++) {
        Export *export = export_new(targets->pdata[i], &manager->host);
        g_ptr_array_add(manager->exports, export);
        if (!export_open_luns(export, error))
            return false;
    }
    if (targets->len == 0)
        g_warning("%s: there is no [target]: nothing to log in to", manager->config->path);
    return true;
}

/* --- transports --------------------------------------------------------------------------------*/

static bool is_used(const Manager *manager, const Transport *transport)
{
    const GPtrArray *targets = manager->config->targets;
    for (guint i = 0; i < targets->len; i++)
        if (g_ptr_array_find(((ConfigTarget *)targets->pdata[i])->transports, transport, NULL))
            return true;
    return false;
}

static void start_transport(Manager *manager, const ConfigTransport *config)
{
    g_autoptr(GError) error = NULL;
    Running *running = g_new(Running, 1);
    *running = (Running){.transport = config->transport, .host = manager->host};
    running->host.keys = (const char *const *)config->keys;
    running->host.values = (const char *const *)config->values;
    running->host.n_keys = g_strv_length(config->keys);
    if (config->transport->start(&running->host, &error)) {
        g_ptr_array_add(manager->running, running);
        g_ptr_array_add(manager->transports, (void *)config->transport);
        return;
    }
    g_warning("transport %s is left out: %s", config->transport->name, error->message);
    g_free(running);
}

static bool attach_export(Manager *manager, Export *export, GError **error)
{
    const ConfigTarget *config = export_config(export);
    unsigned attached = 0;
    for (guint i = 0; i < config->transports->len; i++) {
        const Transport *transport = config->transports->pdata[i];
        if (!g_ptr_array_find(manager->transports, transport, NULL))
            continue;
        if (!export_attach(export, transport, error))
            return false;
        attached++;
    }
    if (attached)
        return true;
    g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_FAILED,
                "target %s: none of its transports works on this machine, see above", config->name);
    return false;
}

static bool make_transports(Manager *manager, GError **error)
{
    const GPtrArray *transports = manager->config->transports;
    for (guint i = 0; i < transports->len; i++) {
        const ConfigTransport *config = transports->pdata[i];
        if (is_used(manager, config->transport))
            start_transport(manager, config);
    }
    for (guint i = 0; i < manager->exports->len; i++)
        if (!attach_export(manager, manager->exports->pdata[i], error))
            return false;
    return true;
}

/* --- portals -----------------------------------------------------------------------------------*/

static bool open_portal(Manager *manager, const Transport *transport, const char *address,
                        GError **error)
{
    TransportListener *listener = transport->listen(address, error);
    if (!listener)
        return false;
    Portal *portal = g_new(Portal, 1);
    *portal = (Portal){transport, g_strdup(address), listener};
    g_ptr_array_add(manager->portals, portal);
    g_message("listening on %s for %s", address, transport->name);
    return true;
}

/* An address that somebody chose must work; of the default ones (IPv4 and IPv6) one suffices. */
static bool open_portals(Manager *manager, const ConfigTransport *config, GError **error)
{
    guint before = manager->portals->len;
    for (char **address = config->listen; *address; address++) {
        g_autoptr(GError) failure = NULL;
        if (open_portal(manager, config->transport, *address, &failure))
            continue;
        bool last = !address[1] && manager->portals->len == before;
        if (config->listen_chosen || last) {
            g_propagate_prefixed_error(error, g_steal_pointer(&failure),
                                       "%s: [%s] listen: ", config->where, config->transport->name);
            return false;
        }
        g_message("not listening: %s", failure->message);
    }
    return true;
}

bool manager_listen(Manager *manager, GError **error)
{
    manager->listening = true;
    for (guint i = 0; i < manager->transports->len; i++) {
        const Transport *transport = manager->transports->pdata[i];
        if (!open_portals(manager, config_find_transport(manager->config, transport), error))
            return false;
    }
    return true;
}

static void free_portal(void *arg)
{
    Portal *portal = arg;
    portal->transport->unlisten(portal->listener);
    g_free(portal->address);
    g_free(portal);
}

/* --- the whole ---------------------------------------------------------------------------------*/

static GKeyFile *copy_keys(GKeyFile *keys)
{
    GKeyFile *copy = g_key_file_new();
    gsize len;
    g_autofree char *text = g_key_file_to_data(keys, &len, NULL);
    if (len > 0)
        g_key_file_load_from_data(copy, text, len, G_KEY_FILE_NONE, NULL);
    return copy;
}

Manager *manager_new(const Config *config, GError **error)
{
    Manager *manager = g_new0(Manager, 1);
    manager->config = config;
    manager->running = g_ptr_array_new_with_free_func(g_free);
    manager->transports = g_ptr_array_new();
    manager->exports = g_ptr_array_new();
    manager->portals = g_ptr_array_new_with_free_func(free_portal);
    manager->sessions = g_ptr_array_new();
    manager->experiments = g_ptr_array_new();
    manager->settings = copy_keys(config->keys);
    tmf_timeout_ms = config->tmf_timeout_ms;
    directory_between_targets = config->copy_between_targets;
    choose_loops(manager);
    make_loops(manager);
    if (open_state_dir(manager, error) && make_memory(manager, error)) {
        manager->host = (TransportHost){.main = manager->main,
                                        .io_loops = manager->loops,
                                        .n_io_loops = manager->n_loops,
                                        .memory = manager->memory,
                                        .receive = manager->receive,
                                        .secrets = manager->config->secrets,
                                        .state = manager->state,
                                        .session_added = session_added,
                                        .session_changed = session_changed,
                                        .session_removed = session_removed,
                                        .arg = manager};
        if (make_exports(manager, error) && make_transports(manager, error))
            return manager;
    }
    manager_free(manager, UINT_MAX); /* nobody has logged in: nothing can hang */
    return NULL;
}

static void export_closed(void *arg)
{
    Manager *manager = arg;
    manager->closing--;
}

/* --- targets that come and go later ------------------------------------------------------------*/

static bool need_transport(Manager *manager, const Transport *transport, GError **error)
{
    const ConfigTransport *config = config_find_transport(manager->config, transport);
    if (g_ptr_array_find(manager->transports, transport, NULL))
        return true;
    start_transport(manager, config);
    bool started = g_ptr_array_find(manager->transports, transport, NULL);
    return !started || !manager->listening || open_portals(manager, config, error);
}

static bool offer(Manager *manager, Export *export, GError **error)
{
    const GPtrArray *transports = export_config(export)->transports;
    for (guint i = 0; i < transports->len; i++)
        if (!need_transport(manager, transports->pdata[i], error))
            return false;
    return export_open_luns(export, error) && attach_export(manager, export, error);
}

Export *manager_make_export(Manager *manager, ConfigTarget *config, GError **error)
{
    Export *export = export_new(config, &manager->host);
    if (offer(manager, export, error))
        return export;
    manager_close_export(manager, export, NULL, NULL);
    return NULL;
}

void manager_show_export(Manager *manager, Export *export)
{
    g_ptr_array_add(manager->exports, export);
    if (manager->watch)
        manager->watch->target_added(manager->watch_arg, export);
}

void manager_hide_export(Manager *manager, Export *export)
{
    if (manager->watch)
        manager->watch->target_removed(manager->watch_arg, export);
    g_ptr_array_remove(manager->exports, export);
}

typedef struct {
    Manager *manager;
    LoopFn done;
    void *arg;
} Closing;

static void leaving_export_closed(void *arg)
{
    Closing *closing = arg;
    export_closed(closing->manager);
    if (closing->done)
        closing->done(closing->arg);
    g_free(closing);
}

void manager_close_export(Manager *manager, Export *export, LoopFn done, void *arg)
{
    Closing *closing = g_new(Closing, 1);
    *closing = (Closing){manager, done, arg};
    manager->closing++;
    export_close(export, leaving_export_closed, closing);
}

static gboolean time_is_up(void *arg)
{
    *(bool *)arg = true;
    return G_SOURCE_REMOVE;
}

static bool close_exports(Manager *manager, unsigned timeout_ms)
{
    bool late = false;
    GSource *timer = loop_timer_start(manager->main, timeout_ms, time_is_up, &late);
    while (manager->changing && !late) /* a reload goes to its end: it holds on to LUNs */
        g_main_context_iteration(loop_context(manager->main), TRUE);
    manager->closing += manager->exports->len;
    for (guint i = 0; !late && i < manager->exports->len; i++)
        export_close(manager->exports->pdata[i], export_closed, manager);
    while (manager->closing > 0 && !late)
        g_main_context_iteration(loop_context(manager->main), TRUE);
    loop_timer_stop(&timer);
    return manager->closing == 0;
}

static void stop_transports(Manager *manager)
{
    for (guint i = 0; i < manager->running->len; i++)
        ((Running *)manager->running->pdata[i])->transport->stop();
    g_ptr_array_unref(manager->running);
    g_ptr_array_unref(manager->transports);
}

static void free_memory(Manager *manager)
{
    state_dir_close(manager->state);
    for (unsigned i = 0; i < manager->n_loops; i++)
        loop_free(manager->loops[i]); /* a retry for memory may be on its way to one */
    receive_budget_free(manager->receive);
    memory_free(manager->memory);
    arena_free(g_steal_pointer(&manager->arena));
    loop_free(manager->main);
    g_free(manager->loops);
}

bool manager_free(Manager *manager, unsigned timeout_ms)
{
    if (!manager)
        return true;
    g_clear_pointer(&manager->portals, g_ptr_array_unref);
    if (!close_exports(manager, timeout_ms)) {
        g_warning("%u targets do not end within %u ms; %u sessions are left", manager->closing,
                  timeout_ms, manager->sessions->len);
        return false;
    }
    g_ptr_array_unref(manager->exports);
    experiments_free(manager);
    stop_transports(manager);
    free_memory(manager);
    g_ptr_array_unref(manager->sessions);
    g_key_file_unref(manager->settings);
    g_free(manager);
    return true;
}

/* --- what others ask ---------------------------------------------------------------------------*/

const Config *manager_config(const Manager *manager)
{
    return manager->config;
}

GPtrArray *manager_exports(Manager *manager)
{
    return manager->exports;
}

GPtrArray *manager_sessions(Manager *manager)
{
    return manager->sessions;
}

GPtrArray *manager_experiments(Manager *manager)
{
    return manager->experiments;
}

GPtrArray *manager_portals(Manager *manager)
{
    return manager->portals;
}

GPtrArray *manager_transports(Manager *manager)
{
    return manager->transports;
}

unsigned manager_io_loops(const Manager *manager)
{
    return manager->n_loops;
}

unsigned manager_poll_us(const Manager *manager)
{
    return manager->poll_us;
}

static void add_loops(const Manager *manager, LoopCounters *sum)
{
    for (unsigned i = 0; i < manager->n_loops; i++) {
        LoopCounters counters;
        loop_get_counters(manager->loops[i], &counters);
        sum->turns += counters.turns;
        sum->rounds += counters.rounds;
        sum->empty_polls += counters.empty_polls;
        sum->sleeps += counters.sleeps;
        sum->completions += counters.completions;
    }
}

void manager_sum_sessions(const Manager *manager, const char *target, SessionSums *out)
{
    *out = (SessionSums){0};
    for (guint i = 0; i < manager->sessions->len; i++) {
        const SessionRecord *record = manager->sessions->pdata[i];
        if (target && g_strcmp0(record->target, target) != 0)
            continue;
        out->sessions++;
        out->commands += __atomic_load_n(&record->commands, __ATOMIC_RELAXED);
        out->read_bytes += __atomic_load_n(&record->read_bytes, __ATOMIC_RELAXED);
        out->write_bytes += __atomic_load_n(&record->write_bytes, __ATOMIC_RELAXED);
    }
}

void manager_get_stats(Manager *manager, ManagerStats *out)
{
    *out = (ManagerStats){0};
    arena_get_stats(manager->arena, &out->arena);
    memory_get_stats(manager->memory, &out->memory);
    receive_budget_get_stats(manager->receive, &out->receive);
    add_loops(manager, &out->loops);
    manager_sum_sessions(manager, NULL, &out->sessions);
}
