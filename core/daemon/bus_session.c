/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.rtgt.Session1: an initiator that is logged in. */
#include "core/daemon/bus_objects.h"
#include "core/daemon/rtgt-dbus.h"

#include <string.h>

/* --- the window changes on the session's loop, and nobody is told: read when asked for ---------
 */

typedef struct {
    RtgtSession1Skeleton parent;
    const SessionRecord *record;
} BusSession;
typedef struct {
    RtgtSession1SkeletonClass parent;
} BusSessionClass;

GType bus_session_get_type(void);
G_DEFINE_TYPE(BusSession, bus_session, RTGT_TYPE_SESSION1_SKELETON)

static void bus_session_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    if (strcmp(spec->name, "window") == 0)
        g_value_set_uint(
            value, __atomic_load_n(&((BusSession *)object)->record->window, __ATOMIC_RELAXED));
    else
        G_OBJECT_CLASS(bus_session_parent_class)->get_property(object, id, value, spec);
}

static void bus_session_class_init(BusSessionClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    object_class->get_property = bus_session_get_property;
    object_class->set_property = G_OBJECT_CLASS(bus_session_parent_class)->set_property;
    rtgt_session1_override_properties(object_class, 1); /* the ids that the parent class gave */
}

static void bus_session_init(BusSession *self)
{
    (void)self;
}

/* --- the object ------------------------------------------------------------------------------- */

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
    BusSession *session = g_object_new(bus_session_get_type(), NULL);
    RtgtSession1 *interface = RTGT_SESSION1(session);
    session->record = record;
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
