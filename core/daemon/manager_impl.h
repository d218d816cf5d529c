/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files that build and change the manager's objects know of it. */
#pragma once

#include "core/base/loop.h"
#include "core/daemon/manager.h"

#include <stdatomic.h>

/* One transport that was started; the host must not move. */
typedef struct {
    const Transport *transport;
    TransportHost host;
} Running;

/* Memory that may become scarce, and when that was said. */
typedef struct {
    Manager *manager;
    const char *name, *advice;
    uint64_t limit;     /* bytes */
    atomic_size_t left; /* when it fell */
    gint64 said;        /* 0: never; loop 0 */
} Pool;

struct Manager {
    const Config *config;
    unsigned n_loops, poll_us;
    Loop *main;
    Loop **loops; /* n_loops, as far as they were made */
    Arena *arena;
    Memory *memory;
    ReceiveBudget *receive;
    StateDir *state;
    Pool arena_pool, receive_pool;
    TransportHost host;       /* what all transports have in common */
    GPtrArray *running;       /* Running * */
    GPtrArray *transports;    /* the same, const Transport * */
    GPtrArray *exports;       /* Export * */
    GPtrArray *portals;       /* Portal * */
    GPtrArray *sessions;      /* SessionRecord * */
    uint64_t last_session;    /* id */
    GPtrArray *experiments;   /* Experiment * */
    uint64_t last_experiment; /* id */
    const ManagerWatch *watch;
    void *watch_arg;
    unsigned closing; /* exports that are being closed */
    bool listening;
    GKeyFile *settings; /* what the file would say now, as far as manager_note_settings() knows */
    bool changing;      /* a reload is under way */
};

/* Makes the target of a configuration, with its LUNs, and offers it; NULL with error, undone. What
 * it needs of transports is started. The watcher is told by manager_show_export(). */
Export *manager_make_export(Manager *manager, ConfigTarget *config, GError **error);
void manager_show_export(Manager *manager, Export *export);
/* Takes it out of manager_exports(); the watcher is told. */
void manager_hide_export(Manager *manager, Export *export);
/* Sees to an export that is not among manager_exports() any more until it is closed; then
 * done(arg), when it is not NULL. */
void manager_close_export(Manager *manager, Export *export, LoopFn done, void *arg);

/* Puts into `settings` what was changed in the objects themselves: engines, their modes and
 * options.
 */
void manager_note_settings(Manager *manager);
