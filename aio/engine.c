/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of engines, their options by text, and what is the same for all contexts. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "aio/aio.h"
#include "aio/engines.h"

const AioEngine *const aio_engines[] = {&aio_engine_syslet, &aio_engine_libaio,
                                        &aio_engine_io_uring, &aio_engine_null, NULL};

const AioEngine *aio_engine_find(const char *name)
{
    for (const AioEngine *const *engine = aio_engines; *engine; engine++)
        if (strcmp((*engine)->name, name) == 0)
            return *engine;
    return NULL;
}

typedef enum { KIND_COUNT, KIND_SIZE, KIND_SWITCH } Kind;

typedef struct {
    const char *key;
    Kind kind;
    size_t field;
    uint64_t min, max;
} Option;

#define FIELD(name) offsetof(AioParams, name)

static const Option options[] = {
    {"threads", KIND_COUNT, FIELD(threads), 1, 1024},
    {"depth", KIND_COUNT, FIELD(depth), 1, 4096},
    {"inline", KIND_SWITCH, FIELD(inline_reads), 0, 0},
    {"inline-max", KIND_SIZE, FIELD(inline_max), 0, 1 << 30},
    {"coalesce", KIND_SWITCH, FIELD(coalesce), 0, 0},
    {"sqpoll", KIND_SWITCH, FIELD(sqpoll), 0, 0},
    {"unsafe-buffered", KIND_SWITCH, FIELD(unsafe_buffered), 0, 0},
};

void aio_params_init(AioParams *params)
{
    *params = (AioParams){
        .threads = 16,
        .depth = 256,
        .inline_reads = true,
        .inline_max = 128 * 1024,
        .coalesce = true,
    };
}

/* Digits, for sizes with K, M or G behind them. */
static bool parse_number(const char *text, bool size, uint64_t *number)
{
    char *end;

    if (!g_ascii_isdigit(*text))
        return false;
    errno = 0;
    *number = g_ascii_strtoull(text, &end, 10);
    if (errno)
        return false;
    static const char units[] = "KMG";
    const char *unit = size && *end ? strchr(units, g_ascii_toupper(*end)) : NULL;
    if (!unit)
        return *end == '\0';
    unsigned shift = 10 * (unsigned)(unit - units + 1);
    if (*number > UINT64_MAX >> shift)
        return false;
    *number <<= shift;
    return end[1] == '\0';
}

static bool set_switch(bool *field, const char *value)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return false;
    *field = strcmp(value, "on") == 0;
    return true;
}

static bool option_set(const Option *option, AioParams *params, const char *value)
{
    void *field = (char *)params + option->field;
    uint64_t number;

    if (option->kind == KIND_SWITCH)
        return set_switch(field, value);
    if (!parse_number(value, option->kind == KIND_SIZE, &number) || number < option->min ||
        number > option->max)
        return false;
    if (option->kind == KIND_SIZE)
        *(size_t *)field = number;
    else
        *(unsigned *)field = (unsigned)number;
    return true;
}

static char *option_complaint(const Option *option, const char *value)
{
    if (option->kind == KIND_SWITCH)
        return g_strdup_printf("%s=%s: must be on or off", option->key, value);
    return g_strdup_printf("%s=%s: must be a %s from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                           option->key, value,
                           option->kind == KIND_SIZE ? "size (bytes, or with K, M, G)" : "number",
                           option->min, option->max);
}

bool aio_params_set(AioParams *params, const AioEngine *engine, const char *key, const char *value,
                    char **error)
{
    if (!g_strv_contains(engine->options, key)) {
        g_autofree char *known = g_strjoinv(", ", (char **)engine->options);
        *error = g_strdup_printf("%s=%s: engine %s has no such option; it knows %s", key, value,
                                 engine->name, known);
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        if (strcmp(options[i].key, key) != 0)
            continue;
        if (option_set(&options[i], params, value))
            return true;
        *error = option_complaint(&options[i], value);
        return false;
    }
    g_assert_not_reached();
}

void aio_ctx_add_memory(AioCtx *ctx, void *base, size_t len)
{
    ctx->engine->add_memory(ctx, base, len);
}

void aio_ignore_memory(AioCtx *ctx, void *base, size_t len)
{
    (void)ctx;
    (void)base;
    (void)len;
}

void aio_ctx_counters(const AioCtx *ctx, AioCounters *out)
{
    const uint64_t *from = (const uint64_t *)&ctx->counters;
    uint64_t *to = (uint64_t *)out;
    G_STATIC_ASSERT(sizeof(AioCounters) % sizeof(uint64_t) == 0);
    for (size_t i = 0; i < sizeof(AioCounters) / sizeof(uint64_t); i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
