/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configured target at work: its SCSI target, its LUNs, and the transports that offer it. All on
 * loop 0. */
#pragma once

#include "core/daemon/config.h"
#include "core/daemon/transport.h"

typedef struct Export Export;
typedef struct Experiment Experiment; /* experiment.h */

/* One LUN of it. The strings are what SetEngine or the keyfile said. */
typedef struct {
    Export *export;
    ConfigLun *config;                   /* a reference */
    char *identity;                      /* of its store; NULL: none */
    Lun *lun;                            /* NULL once it is being closed */
    char **option_keys, **option_values; /* of the engine at work, as given; NULL-terminated */
    bool exchanging;                     /* or being resized */
    Experiment *experiment;              /* compares engines on it; NULL: none */
} ExportLun;

/* `host` must outlive it. Nothing can be seen of it yet. */
Export *export_new(ConfigTarget *config, const TransportHost *host);
/* Opens the configured LUNs in order and shows them; blocks. After an error, export_close() all the
 * same. */
bool export_open_luns(Export *export, GError **error);

/* Opens a LUN that nobody sees until export_show_lun(); blocks. Its number is free (asserted when
 * it is shown). */
ExportLun *export_open_lun(Export *export, ConfigLun *config, GError **error);
void export_show_lun(ExportLun *lun);
/* Closes one that was never shown, sooner or later. */
void export_discard_lun(ExportLun *lun);
/* Withdraws a LUN from initiators at once, and closes it when its commands have ended. gone(arg)
 * comes once, possibly inside: with late = true when that takes longer than timeout_ms; it goes on
 * by itself then. The LUN's object must not be used after the call. */
typedef void (*ExportLunGone)(bool late, void *arg);
void export_remove_lun(ExportLun *lun, unsigned timeout_ms, ExportLunGone gone, void *arg);
ExportLun *export_find_lun(const Export *export, unsigned number); /* NULL: not there */

/* Offers the target over a transport that was started. */
bool export_attach(Export *export, const Transport *transport, GError **error);
/* Logs sessions out, withdraws and closes the LUNs (synchronised), frees; then done(arg), possibly
 * inside. */
void export_close(Export *export, LoopFn done, void *arg);

ScsiTarget *export_scsi(const Export *export);
const ConfigTarget *export_config(const Export *export);
GPtrArray *export_luns(Export *export); /* ExportLun *, those shown, by number */
/* The transports that offer it now: const Transport *; a new array for the caller. */
/* Tells what names the target to initiators, for each of its transports. */
void export_describe(const Export *export,
                     void (*tell)(void *arg, const char *transport, const char *name,
                                  const char *value),
                     void *arg);
GPtrArray *export_transports(const Export *export);
