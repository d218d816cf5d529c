/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One D-Bus object for each kind of thing the manager has; see data/org.rtgt.xml. */
#pragma once

#include "core/daemon/manager.h"

#include <gio/gio.h>

/* Paths; g_free(). */
char *bus_target_path(const char *name);
char *bus_lun_path(const char *target_name, unsigned number);
char *bus_session_path(uint64_t id);
char *bus_experiment_path(uint64_t id);

/* New references; what they show must outlive them. */
GDBusObjectSkeleton *bus_manager_object(Manager *manager);
GDBusObjectSkeleton *bus_target_object(Manager *manager, Export *export);
GDBusObjectSkeleton *bus_lun_object(Manager *manager, ExportLun *lun);
GDBusObjectSkeleton *bus_session_object(SessionRecord *record);
/* Ends it when its owner leaves the connection. */
GDBusObjectSkeleton *bus_experiment_object(Experiment *experiment, GDBusConnection *connection);

/* The session's negotiated parameters are others now. */
void bus_session_changed(GDBusObjectManager *objects, const SessionRecord *record);
/* Emits PoolLow of the manager's object among these. */
void bus_manager_pool_low(GDBusObjectManager *objects, const char *pool, uint64_t left,
                          uint64_t limit);

/* It has other properties, one more result, or has ended. */
void bus_experiment_changed(GDBusObjectManager *objects, const Experiment *experiment);
void bus_experiment_measured(GDBusObjectManager *objects, const Experiment *experiment);
void bus_experiment_ended(GDBusObjectManager *objects, const Experiment *experiment);

/* The engine at work has changed, or an experiment has begun or ended. */
void bus_lun_changed(GDBusObject *object, const ExportLun *lun);

/* The manager that an interface belongs to, for its methods. */
void bus_set_manager(void *interface, Manager *manager);
Manager *bus_manager_of(void *interface);

/* Answers the GDBusMethodInvocation of a method without results: an OnlineDone. */
void bus_reply_empty(const GError *error, void *invocation);

/* Settings of a keyfile group from a{sv}: strings, numbers, booleans, and lists of strings. False
 * with error; config_settings_clear() in any case. */
bool bus_read_settings(GVariant *dict, ConfigSettings *out, GError **error);

/* An object with this one interface, whose reference it takes. */
GDBusObjectSkeleton *bus_object(const char *path, void *interface);

/* --- variants; all floating --- */
typedef struct {
    const char *name;
    uint64_t value;
} BusCounter;
GVariant *bus_counters(const BusCounter *counters, size_t n);  /* a{sv} of t */
GVariant *bus_strings(char *const *keys, char *const *values); /* a{ss} */
char **bus_transport_names(const GPtrArray *transports);       /* g_strfreev() */
