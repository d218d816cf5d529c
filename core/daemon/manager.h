/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's objects, built from a configuration in order and taken down in the reverse order:
 * loops, memory, targets with their LUNs, transports with their listeners; and the sessions that
 * are logged in. All on loop 0, which is the thread that made it. */
#pragma once

#include "core/daemon/config.h"
#include "core/daemon/export.h"
#include "core/daemon/manager_error.h"

typedef struct Manager Manager;

/* Somewhere initiators can log in. */
typedef struct {
    const Transport *transport;
    char *address;
    TransportListener *listener;
} Portal;

/* Told of what comes and goes; added: the object lives until removed returns. A target comes and
 * goes with its LUNs. And of a pool of memory, "receive" or "arena", of which little is left: once
 * a minute at most. Bytes. */
typedef struct {
    void (*session_added)(void *arg, SessionRecord *record);
    void (*session_changed)(void *arg, SessionRecord *record);
    void (*session_removed)(void *arg, SessionRecord *record);
    void (*target_added)(void *arg, Export *export);
    void (*target_removed)(void *arg, Export *export);
    void (*lun_added)(void *arg, ExportLun *lun);
    void (*lun_removed)(void *arg, ExportLun *lun);
    void (*lun_changed)(void *arg, ExportLun *lun); /* its engine, by a reload or experiment */
    void (*pool_low)(void *arg, const char *pool, uint64_t left, uint64_t limit);
    void (*experiment_added)(void *arg, Experiment *experiment);
    void (*experiment_changed)(void *arg, Experiment *experiment);
    void (*experiment_measured)(void *arg, Experiment *experiment); /* one more result */
    void (*experiment_ended)(void *arg, Experiment *experiment);
    void (*experiment_removed)(void *arg, Experiment *experiment);
} ManagerWatch;

/* Makes the objects of config, which must outlive the manager, but admits nobody yet. Blocks. On
 * error everything is undone. A transport that this machine cannot have is a warning, unless a
 * target is left with none. */
Manager *manager_new(const Config *config, GError **error);
/* Opens the portals: from here on initiators come. After an error, manager_free() all the same. */
bool manager_listen(Manager *manager, GError **error);
/* Stops listening, logs sessions out, drains, synchronises and closes; runs the main context
 * meanwhile. False when that took longer than timeout_ms: what hangs is named in the log, and the
 * process should end. Frees the manager only when true. NULL is allowed. */
bool manager_free(Manager *manager, unsigned timeout_ms);

/* One watcher at most; NULL ends it. What is there already is not told. */
void manager_watch(Manager *manager, const ManagerWatch *watch, void *arg);

const Config *manager_config(const Manager *manager);
GPtrArray *manager_exports(Manager *manager);     /* Export *, in the file's order */
GPtrArray *manager_sessions(Manager *manager);    /* SessionRecord *, oldest first */
GPtrArray *manager_portals(Manager *manager);     /* Portal * */
GPtrArray *manager_experiments(Manager *manager); /* Experiment *, oldest first */
GPtrArray *manager_transports(Manager *manager);  /* const Transport *, those that started */
unsigned manager_io_loops(const Manager *manager);
unsigned manager_poll_us(const Manager *manager);

/* Of the sessions there are. */
typedef struct {
    unsigned sessions;
    uint64_t commands, read_bytes, write_bytes;
} SessionSums;
/* target NULL: of all, discovery included. */
void manager_sum_sessions(const Manager *manager, const char *target, SessionSums *out);

typedef struct {
    ArenaStats arena;
    MemoryStats memory;
    ReceiveStats receive;
    LoopCounters loops; /* of the I/O loops, summed */
    SessionSums sessions;
} ManagerStats;
void manager_get_stats(Manager *manager, ManagerStats *out);
