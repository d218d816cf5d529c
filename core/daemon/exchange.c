/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the names an administrator writes to lun_set_engine(), and its outcome back. */
#include "core/daemon/exchange.h"

#include "core/daemon/experiment.h"
#include "core/daemon/manager_error.h"

#include <string.h>

#define DRAIN_TIMEOUT_MS 10000

typedef struct {
    ExportLun *lun;
    char **keys, **values;
    bool quiet; /* an experiment makes hundreds */
    ExchangeDone done;
    void *arg;
} Exchange;

/* What lun_set_engine() takes. */
typedef struct {
    const AioEngine *engine;
    AioParams params;
    AioMode mode;
} Resolved;

static const char null_refused[] =
    "the null engine has no store: a LUN cannot change to it or from it";

static bool refuse(GError **error, ManagerError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool refuse(GError **error, ManagerError code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error)
        *error = g_error_new_valist(MANAGER_ERROR, code, format, args);
    va_end(args);
    return false;
}

static bool resolve_engine(const char *name, const AioEngine **engine, GError **error)
{
    *engine = aio_engine_find(name);
    if (*engine)
        return true;
    g_autoptr(GString) known = g_string_new(NULL);
    for (const AioEngine *const *e = aio_engines; *e; e++)
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", (*e)->name);
    return refuse(error, MANAGER_ERROR_INVALID, "there is no engine %s; there are %s", name,
                  known->str);
}

static bool resolve_mode(const char *name, AioMode *mode, GError **error)
{
    for (unsigned i = 0; name && config_modes[i]; i++) {
        if (strcmp(name, config_modes[i]) != 0)
            continue;
        *mode = i;
        return true;
    }
    return !name ||
           refuse(error, MANAGER_ERROR_INVALID, "mode %s: must be buffered or direct", name);
}

static bool resolve(const ExchangeRequest *request, Resolved *out, GError **error)
{
    aio_params_init(&out->params);
    if (!resolve_engine(request->engine, &out->engine, error) ||
        !resolve_mode(request->mode, &out->mode, error))
        return false;
    if (strcmp(out->engine->name, "null") == 0)
        return refuse(error, MANAGER_ERROR_NOT_SUPPORTED, "%s", null_refused);
    for (unsigned i = 0; i < request->n; i++) {
        g_autofree char *why = NULL;
        if (!aio_params_set(&out->params, out->engine, request->keys[i], request->values[i], &why))
            return refuse(error, MANAGER_ERROR_INVALID, "%s", why);
    }
    return true;
}

bool exchange_check(const ExchangeRequest *request, GError **error)
{
    Resolved resolved = {0};
    return resolve(request, &resolved, error);
}

ExchangeRequest exchange_chosen(const ExportLun *lun)
{
    if (lun->experiment)
        return experiment_original(lun->experiment);
    return (ExchangeRequest){.engine = lun_engine(lun->lun)->name,
                             .mode = config_modes[lun_mode(lun->lun)],
                             .keys = (const char *const *)lun->option_keys,
                             .values = (const char *const *)lun->option_values,
                             .n = g_strv_length(lun->option_keys)};
}

static char **copy_strings(const char *const *strings, unsigned n)
{
    char **out = g_new0(char *, n + 1);
    for (unsigned i = 0; i < n; i++)
        out[i] = g_strdup(strings[i]);
    return out;
}

static void adopt(Exchange *exchange, const Lun *at_work)
{
    ExportLun *lun = exchange->lun;
    g_strfreev(lun->option_keys);
    g_strfreev(lun->option_values);
    lun->option_keys = g_steal_pointer(&exchange->keys);
    lun->option_values = g_steal_pointer(&exchange->values);
    g_log(G_LOG_DOMAIN, exchange->quiet ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_MESSAGE,
          "LUN %s/%u: engine %s %s", lun->config->spec.target_name, lun->config->spec.number,
          lun_engine(at_work)->name, config_modes[lun_mode(at_work)]);
}

static void exchanged(Lun *at_work, const GError *error, void *arg)
{
    Exchange *exchange = arg;
    ExportLun *lun = exchange->lun;
    g_autoptr(GError) failure = NULL;

    lun->exchanging = false;
    if (error) {
        failure =
            g_error_new(MANAGER_ERROR, MANAGER_ERROR_FAILED, "LUN %s/%u keeps its engine: %s",
                        lun->config->spec.target_name, lun->config->spec.number, error->message);
        g_warning("%s", failure->message);
    } else {
        adopt(exchange, at_work);
    }
    exchange->done(lun, failure, exchange->arg);
    g_strfreev(exchange->keys);
    g_strfreev(exchange->values);
    g_free(exchange);
}

bool exchange_start(ExportLun *lun, const ExchangeRequest *request, ExchangeDone done, void *arg,
                    GError **error)
{
    if (!lun->lun)
        return refuse(error, MANAGER_ERROR_NOT_FOUND, "the LUN is being closed");
    Resolved resolved = {.mode = lun_mode(lun->lun)};
    if (!resolve(request, &resolved, error))
        return false;
    if (!lun->config->spec.path)
        return refuse(error, MANAGER_ERROR_NOT_SUPPORTED, "%s", null_refused);
    if (lun->experiment != request->by)
        return refuse(error, MANAGER_ERROR_BUSY,
                      "an experiment compares engines on this LUN: it must be cancelled first");
    if (lun->exchanging)
        return refuse(error, MANAGER_ERROR_BUSY, "another exchange of this LUN's engine goes on");

    Exchange *exchange = g_new(Exchange, 1);
    *exchange = (Exchange){.lun = lun,
                           .keys = copy_strings(request->keys, request->n),
                           .values = copy_strings(request->values, request->n),
                           .quiet = request->by != NULL,
                           .done = done,
                           .arg = arg};
    lun->exchanging = true;
    lun_set_engine(lun->lun, resolved.engine, &resolved.params, resolved.mode, DRAIN_TIMEOUT_MS,
                   exchanged, exchange);
    return true;
}
