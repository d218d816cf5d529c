/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon knows of a transport: a table, handed to it by main(). The daemon names none. */
#pragma once

#include "core/base/loop.h"
#include "core/base/secrets.h"
#include "core/base/state_dir.h"
#include "core/mem/receive.h"
#include "core/mem/segment.h"
#include "core/scsi/target.h"

#include <gio/gio.h>

typedef struct Transport Transport;
typedef struct TransportListener TransportListener; /* the transport's own */
typedef struct TransportTarget TransportTarget;     /* the transport's own */
typedef struct SessionRecord SessionRecord;

/* What the daemon offers to a transport; constant from start() to stop(), all loops. */
typedef struct {
    Loop *main;
    Loop *const *io_loops;
    unsigned n_io_loops;
    Memory *memory;
    ReceiveBudget *receive;
    StateDir *state; /* NULL: nothing can be kept over a restart */
    void (*session_added)(void *arg, SessionRecord *record);   /* loop 0 */
    void (*session_removed)(void *arg, SessionRecord *record); /* loop 0; the last use */
    void *arg;
    /* The transport's own group in the keyfile, checked: those of its `keys` that are there. */
    const char *const *keys, *const *values;
    unsigned n_keys;
    const Secrets *secrets; /* NULL: the keyfile names none */
} TransportHost;

/* A logged-in session as management sees it: constant from session_added to session_removed, except
 * the counters. Owned by the transport. */
struct SessionRecord {
    uint64_t id; /* unique while the daemon runs */
    const char *transport, *target, *initiator;
    char *local_address, *peer_address; /* "ADDRESS:PORT" */
    unsigned loop;
    GVariant *negotiated; /* a{sv}: every negotiated key by its standard name */
    /* What the initiator proved ("None", "CHAP", "CHAP mutual"), by which algorithm, as whom; the
     * latter two empty for None. */
    const char *auth_method, *auth_algorithm, *auth_user;
    /* Written by the home loop, read relaxed. */
    uint64_t commands, read_bytes, write_bytes;
    unsigned window; /* commands the initiator may have outstanding now */
    /* Logs the session out (async message, then drop). MT-SAFE. */
    void (*drop)(SessionRecord *record);
};

/* One row of the access list of a target: an initiator name glob or an address range. */
typedef struct {
    const char *initiator_glob; /* NULL: any */
    const char *address;        /* "ADDRESS/BITS"; NULL: any */
} TransportAllow;

/* A target as configured, for one transport. Strings are copied. */
typedef struct {
    const char *name;
    ScsiTarget *scsi;
    bool allow_all;
    const TransportAllow *allow;
    unsigned n_allow;
    /* Keys of the [target] group that the daemon does not know: parameters of the transport. */
    const char *const *keys, *const *values;
    unsigned n_keys;
    const Secrets *secrets; /* NULL: the keyfile names none. Copied as far as they are needed */
} TransportTargetSpec;

/* All members are required, all are called on loop 0. */
struct Transport {
    const char *name;        /* in "transports=", and the name of its keyfile group */
    const char *const *keys; /* keys it takes in its own group besides "listen"; NULL-terminated */
    const char *const *target_keys; /* keys it takes in a [target] group; NULL-terminated */
    const char *default_listen;     /* as in the keyfile; used when a target uses the transport */

    /* Checks one key of [NAME] or [target]; false with a message that says what would be right. */
    bool (*check_key)(const char *key, const char *value, bool in_target, GError **error);
    /* Then all its keys of one group together (NULL-terminated), and with the secrets (NULL: there
     * are none). *culprit: which of `keys` the message is about. */
    bool (*check_keys)(const char *const *keys, const char *const *values, bool in_target,
                       const Secrets *secrets, const char **culprit, GError **error);

    /* Before anything else; false with error where the machine cannot do it (no RDMA device): the
     * daemon warns and goes on without the transport. */
    bool (*start)(const TransportHost *host, GError **error);
    /* "ADDRESS:PORT" or "[ADDRESS]:PORT", perhaps with ",N", N being a number that the transport
     * knows to use. The error names the address. */
    TransportListener *(*listen)(const char *address, GError **error);
    void (*unlisten)(TransportListener *listener);

    TransportTarget *(*add_target)(const TransportTargetSpec *spec, GError **error);
    /* Logs its sessions out; done(arg) on loop 0 when the last is gone. */
    void (*remove_target)(TransportTarget *target, LoopFn done, void *arg);

    void (*stop)(void); /* no listener, no target is left */
};
