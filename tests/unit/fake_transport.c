/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's side of a transport, kept in a few counters. */
#include "tests/unit/fake_transport.h"

#include <string.h>

FakeTransport fake;

static const char *const no_keys[] = {NULL};
static const char *const target_keys[] = {"burst", "depth", NULL};

/* What TransportTarget and TransportListener are here. */
struct TransportTarget {
    char *name;
};
struct TransportListener {
    char *address;
};

static bool check_key(const char *key, const char *value, bool in_target, GError **error)
{
    (void)in_target;
    if (strcmp(value, "bad") != 0)
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s must not be bad", key);
    return false;
}

static bool start(const TransportHost *host, GError **error)
{
    if (fake.cannot_start) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no such device");
        return false;
    }
    fake.host = host;
    fake.starts++;
    return true;
}

static TransportListener *start_listening(const char *address, GError **error)
{
    if (g_strcmp0(address, fake.refused_address) == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE, "%s: in use", address);
        return NULL;
    }
    TransportListener *listener = g_new0(TransportListener, 1);
    listener->address = g_strdup(address);
    fake.listeners++;
    return listener;
}

static void unlisten(TransportListener *listener)
{
    g_free(listener->address);
    g_free(listener);
    fake.listeners--;
}

static TransportTarget *add_target(const TransportTargetSpec *spec, GError **error)
{
    (void)error;
    GString *text = g_string_new(spec->name);
    for (unsigned i = 0; i < spec->n_keys; i++)
        g_string_append_printf(text, " %s=%s", spec->keys[i], spec->values[i]);
    for (unsigned i = 0; i < spec->n_allow; i++)
        g_string_append_printf(text, " %s",
                               spec->allow[i].address ? spec->allow[i].address
                                                      : spec->allow[i].initiator_glob);
    if (spec->allow_all)
        g_string_append(text, " all");
    g_free(fake.last_spec);
    fake.last_spec = g_string_free(text, FALSE);
    fake.targets++;
    TransportTarget *target = g_new0(TransportTarget, 1);
    target->name = g_strdup(spec->name);
    return target;
}

static void end_session(void *arg)
{
    SessionRecord *record = arg;
    if (!g_ptr_array_remove(fake.sessions, record))
        return;
    fake.host->session_removed(fake.host->arg, record);
    g_free((char *)record->target);
    g_free((char *)record->initiator);
    g_free(record->local_address);
    g_free(record->peer_address);
    g_variant_unref(record->negotiated);
    g_free(record);
}

static void remove_target(TransportTarget *target, LoopFn done, void *arg)
{
    for (guint i = fake.sessions->len; i-- > 0;) {
        SessionRecord *record = fake.sessions->pdata[i];
        if (g_strcmp0(record->target, target->name) == 0)
            end_session(record);
    }
    g_free(target->name);
    g_free(target);
    fake.targets--;
    loop_call(fake.host->main, done, arg);
}

static void stop(void)
{
    while (fake.sessions->len > 0)
        end_session(fake.sessions->pdata[0]);
    fake.stops++;
    fake.host = NULL;
}

static bool check_keys(const char *const *keys, const char *const *values, bool in_target,
                       const Secrets *secrets, const char **culprit, GError **error)
{
    (void)keys, (void)values, (void)in_target, (void)secrets, (void)culprit, (void)error;
    return true;
}

const Transport fake_transport = {.name = "fake",
                                  .keys = no_keys,
                                  .target_keys = target_keys,
                                  .default_listen = "127.0.0.1:1;127.0.0.1:2",
                                  .check_key = check_key,
                                  .check_keys = check_keys,
                                  .start = start,
                                  .listen = start_listening,
                                  .unlisten = unlisten,
                                  .add_target = add_target,
                                  .remove_target = remove_target,
                                  .stop = stop};

void fake_reset(void)
{
    g_free(fake.last_spec);
    g_clear_pointer(&fake.sessions, g_ptr_array_unref);
    fake = (FakeTransport){.sessions = g_ptr_array_new()};
}

static void drop(SessionRecord *record)
{
    loop_call(fake.host->main, end_session, record);
}

SessionRecord *fake_login(const char *target, const char *initiator)
{
    static uint64_t id;
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "MaxBurstLength", "u", 262144u);
    SessionRecord *record = g_new(SessionRecord, 1);
    *record = (SessionRecord){.id = ++id,
                              .transport = "fake",
                              .target = g_strdup(target),
                              .initiator = g_strdup(initiator),
                              .local_address = g_strdup("127.0.0.1:1"),
                              .peer_address = g_strdup("127.0.0.1:40000"),
                              .loop = 1,
                              .window = 96,
                              .negotiated = g_variant_ref_sink(g_variant_dict_end(&dict)),
                              .auth_method = "CHAP",
                              .auth_algorithm = "SHA-256",
                              .auth_user = "somebody",
                              .commands = 5,
                              .read_bytes = 4096,
                              .drop = drop};
    g_ptr_array_add(fake.sessions, record);
    fake.host->session_added(fake.host->arg, record);
    return record;
}
