/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.rtgt.Session1: an initiator that is logged in. */
#include "core/daemon/bus_objects.h"
#include "core/daemon/rtgt-dbus.h"

static gboolean get_statistics(RtgtSession1 *interface, GDBusMethodInvocation *invocation,
                               SessionRecord *record)
{
    const BusCounter counters[] = {
        {"Commands", __atomic_load_n(&record->commands, __ATOMIC_RELAXED)},
        {"ReadBytes", __atomic_load_n(&record->read_bytes, __ATOMIC_RELAXED)},
        {"WriteBytes", __atomic_load_n(&record->write_bytes, __ATOMIC_RELAXED)},
    };
    rtgt_session1_complete_get_statistics(interface, invocation,
                                          bus_counters(counters, G_N_ELEMENTS(counters)));
    return TRUE;
}

static gboolean drop(RtgtSession1 *interface, GDBusMethodInvocation *invocation,
                     SessionRecord *record)
{
    g_message("session %" G_GUINT64_FORMAT ": dropped by an administrator", record->id);
    record->drop(record);
    rtgt_session1_complete_drop(interface, invocation);
    return TRUE;
}

GDBusObjectSkeleton *bus_session_object(SessionRecord *record)
{
    g_autofree char *path = bus_session_path(record->id);
    RtgtSession1 *interface = rtgt_session1_skeleton_new();
    g_object_set(interface, "id", record->id, "transport", record->transport, "target-name",
                 record->target ? record->target : "", "initiator", record->initiator,
                 "local-address", record->local_address, "peer-address", record->peer_address,
                 "loop", record->loop, "negotiated", record->negotiated, "auth-method",
                 record->auth_method, "auth-algorithm", record->auth_algorithm, "auth-user",
                 record->auth_user, NULL);
    g_signal_connect(interface, "handle-get-statistics", G_CALLBACK(get_statistics), record);
    g_signal_connect(interface, "handle-drop", G_CALLBACK(drop), record);
    return bus_object(path, interface);
}
