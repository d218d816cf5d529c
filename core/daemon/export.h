/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configured target at work: its SCSI target, its LUNs, and the transports that offer it. All on
 * loop 0. */
#pragma once

#include "core/daemon/config.h"
#include "core/daemon/transport.h"

typedef struct Export Export;

/* One LUN of it. The strings are what SetEngine or the keyfile said. */
typedef struct {
    Export *export;
    const ConfigLun *config;
    Lun *lun;                            /* NULL once it is being closed */
    char **option_keys, **option_values; /* of the engine at work, as given; NULL-terminated */
    bool exchanging;
} ExportLun;

/* `config` and `host` must outlive it. Nothing can be seen of it yet. */
Export *export_new(const ConfigTarget *config, const TransportHost *host);
/* Opens the LUNs in order; blocks. After an error, export_close() all the same. */
bool export_open_luns(Export *export, GError **error);
/* Offers the target over a transport that was started. */
bool export_attach(Export *export, const Transport *transport, GError **error);
/* Logs sessions out, withdraws and closes the LUNs (synchronised), frees; then done(arg), possibly
 * inside. */
void export_close(Export *export, LoopFn done, void *arg);

const ConfigTarget *export_config(const Export *export);
GPtrArray *export_luns(Export *export); /* ExportLun *, by number */
/* The transports that offer it now: const Transport *; a new array for the caller. */
GPtrArray *export_transports(const Export *export);
