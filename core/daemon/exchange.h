/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exchanging the engine of a LUN at an administrator's word: checks it, starts it, notes it. */
#pragma once

#include "core/daemon/export.h"

/* What is asked for; all by the names of the keyfile. */
typedef struct {
    const char *engine;
    const char *mode; /* NULL: as it is */
    /* Options of the engine, n of them; others have their default. */
    const char *const *keys, *const *values;
    unsigned n;
    const Experiment *by; /* the LUN's, which refuses all others; NULL: an administrator */
} ExchangeRequest;

/* Whether there is such an engine with such options; false with error (MANAGER_ERROR). A LUN may
 * refuse it all the same. */
bool exchange_check(const ExchangeRequest *request, GError **error);
/* What the LUN has by an administrator's choice: an experiment may be trying something else. Lives
 * until the engine is exchanged. */
ExchangeRequest exchange_chosen(const ExportLun *lun);

/* error NULL: done. Otherwise everything is as it was; MANAGER_ERROR. On loop 0. */
typedef void (*ExchangeDone)(ExportLun *lun, const GError *error, void *arg);

/* False with error (MANAGER_ERROR) when the request is refused at once; done is not called then.
 * On loop 0; done may come inside. */
bool exchange_start(ExportLun *lun, const ExchangeRequest *request, ExchangeDone done, void *arg,
                    GError **error);
