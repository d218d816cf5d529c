/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration: a keyfile, parsed and checked as a whole, constant from then on. */
#pragma once

#include "core/daemon/config_report.h"
#include "core/daemon/transport.h"
#include "core/mem/arena.h"
#include "core/scsi/alua.h"
#include "core/scsi/lun.h"

#define CONFIG_LUN_MAX 16383 /* SAM-5 4.7.7.3, flat space addressing */

/* A [NAME] group, NAME being a transport's; there is one for every transport, configured or not. */
typedef struct {
    const Transport *transport;
    char **listen;      /* addresses; NULL-terminated */
    bool listen_chosen; /* false: these are the transport's default */
    char *where;        /* FILE:LINE of listen=, or FILE */
    char **keys, **values;
} ConfigTransport;

/* A [lun NAME/NUMBER] group. Shared by reference; on loop 0. */
typedef struct {
    unsigned refs;
    char *group;        /* as in the file */
    char *where;        /* FILE:LINE of the group */
    LunSpec spec;       /* its strings belong to this object */
    char **option_keys; /* engine-options as written; NULL-terminated, the values alongside */
    char **option_values;
} ConfigLun;

/* A [port-group NAME/NUMBER] group: a target port group. */
typedef struct {
    char *group; /* as in the file */
    char *target_name;
    AluaGroupSpec spec; /* its ports belong to this object */
} ConfigPortGroup;

/* A [target NAME] group. Shared by reference; on loop 0. */
typedef struct {
    unsigned refs;
    char *group; /* as in the file */
    char *name;
    GPtrArray *transports; /* const Transport *, in the file's order */
    bool allow_all;
    GArray *allow;          /* TransportAllow, its strings belong to this object */
    char **allow_text;      /* as in the file; NULL-terminated */
    char **keys, **values;  /* of the transports; NULL-terminated */
    unsigned alua;          /* by config_alua: bit 0 implicit, bit 1 explicit */
    GPtrArray *port_groups; /* ConfigPortGroup *, by number; none: all ports are in one */
    GPtrArray *luns;        /* ConfigLun *, by number */
} ConfigTarget;

typedef struct {
    char *path;        /* of the file; absolute where it came from config_load() */
    GKeyFile *keys;    /* the groups and keys as they are written */
    unsigned io_loops; /* 0: auto */
    unsigned poll_us;
    bool poll_auto; /* poll_us is to be chosen */
    char *bus;      /* system, session, none or a D-Bus address */
    bool bus_chosen;
    char *metrics_listen; /* "ADDRESS:PORT"; NULL: nowhere */
    char *state_dir;
    bool state_dir_chosen;
    Secrets *secrets; /* NULL: there is no secrets= */
    unsigned tmf_timeout_ms;
    bool copy_between_targets;
    ArenaConfig arena;
    size_t recv_memory;    /* bytes, resolved */
    GPtrArray *transports; /* ConfigTransport *, in main()'s order */
    GPtrArray *targets;    /* ConfigTarget *, in the file's order */
    char **warnings;       /* whole lines for the log; NULL-terminated */
} Config;

/* Reads and checks; the error holds every complaint, one a line. Blocks; looks at the LUNs' files.
 */
Config *config_load(const char *path, const Transport *const *transports, GError **error);
/* The same from memory; `name` stands for the file in complaints. */
Config *config_parse(const char *name, const char *text, gsize len,
                     const Transport *const *transports, GError **error);
void config_free(Config *config); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

/* Bytes of the arena that commands and caches have between them. */
size_t config_admitted(const Config *config);

/* One group as its keys say, checked by the rules of the file. NULL with error, which names the key
 * at fault. target: the name of one that is there. */
typedef struct {
    char **keys, **values; /* as in the file; NULL-terminated */
} ConfigSettings;
void config_settings_clear(ConfigSettings *settings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ConfigSettings, config_settings_clear)
ConfigLun *config_lun_parse(const char *target, unsigned number, const ConfigSettings *settings,
                            GError **error);
ConfigTarget *config_target_parse(const char *name, const ConfigSettings *settings,
                                  const Transport *const *transports, GError **error);

/* The words for AluaState in the file and on D-Bus; NULL and false: none. */
const char *config_alua_state_name(AluaState state);
bool config_alua_state(const char *name, AluaState *state);

ConfigLun *config_lun_ref(ConfigLun *lun);
void config_lun_unref(ConfigLun *lun); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfigLun, config_lun_unref)
ConfigTarget *config_target_ref(ConfigTarget *target);
void config_target_unref(ConfigTarget *target); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfigTarget, config_target_unref)

/* What a path leads to: the same text for the same store. g_free(). */
char *config_store_identity(const char *path);

const ConfigTransport *config_find_transport(const Config *config, const Transport *transport);

/* The words of the file for values that are enumerations here; NULL-terminated. */
extern const char *const config_hugepages[]; /* by ArenaHuge */
extern const char *const config_modes[];     /* by AioMode */
extern const char *const config_alua[];      /* by ConfigTarget.alua */
extern const char *const config_thin[];      /* by LunThin */
