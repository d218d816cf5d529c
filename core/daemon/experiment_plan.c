/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an experiment is to do, from the words of whoever asks for it. */
#include "core/daemon/experiment.h"

#include <string.h>

#define VARIANTS_MAX 16
#define SLOTS_MAX    4096 /* some ten kilobytes each */
#define SETTLE_MIN   50

G_GNUC_PRINTF(2, 3) static bool refuse(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *error = g_error_new_valist(MANAGER_ERROR, MANAGER_ERROR_INVALID, format, args);
    va_end(args);
    return false;
}

static void free_variant(gpointer variant)
{
    variant_free(variant);
}

static bool parse_engines(ExperimentPlan *plan, const char *const *engines, GError **error)
{
    guint n = g_strv_length((char **)engines);
    if (n < 2 || n > VARIANTS_MAX)
        return refuse(error, "there must be 2 to %d engines to compare", VARIANTS_MAX);
    for (; *engines; engines++) {
        Variant *variant = variant_parse(*engines, error);
        if (!variant)
            return false;
        g_ptr_array_add(plan->variants, variant);
    }
    return true;
}

static bool parse_number(const char *key, const char *text, uint64_t low, uint64_t high,
                         uint64_t *out, GError **error)
{
    guint64 number;
    if (!g_ascii_string_to_unsigned(text, 10, low, high, &number, NULL))
        return refuse(error,
                      "option %s=%s: must be a number from %" G_GUINT64_FORMAT
                      " to %" G_GUINT64_FORMAT,
                      key, text, low, high);
    *out = number;
    return true;
}

static bool parse_flag(const char *key, const char *text, bool *out, GError **error)
{
    *out = strcmp(text, "on") == 0 || strcmp(text, "true") == 0;
    return *out || strcmp(text, "off") == 0 || strcmp(text, "false") == 0 ||
           refuse(error, "option %s=%s: must be on or off", key, text);
}

static bool parse_option(ExperimentPlan *plan, const char *key, const char *text, GError **error)
{
    static const struct {
        const char *key;
        uint64_t low, high;
        size_t offset;
    } numbers[] = {
        {"rounds", 1, 1000, offsetof(ExperimentPlan, rounds)},
        {"dwell-ms", 10, 600000, offsetof(ExperimentPlan, dwell_ms)},
        {"settle-ms", 0, 60000, offsetof(ExperimentPlan, settle_ms)},
    };
    uint64_t number = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (strcmp(key, numbers[i].key) != 0)
            continue;
        if (!parse_number(key, text, numbers[i].low, numbers[i].high, &number, error))
            return false;
        *(unsigned *)((char *)plan + numbers[i].offset) = (unsigned)number;
        return true;
    }
    if (strcmp(key, "seed") == 0)
        return parse_number(key, text, 0, UINT64_MAX, &plan->seed, error);
    if (strcmp(key, "keep") == 0)
        return parse_flag(key, text, &plan->keep, error);
    return refuse(error, "there is no option %s; there are rounds, dwell-ms, settle-ms, seed, keep",
                  key);
}

bool experiment_plan_parse(ExperimentPlan *plan, const char *const *engines,
                           const ConfigSettings *options, GError **error)
{
    *plan = (ExperimentPlan){.variants = g_ptr_array_new_with_free_func(free_variant),
                             .rounds = 8,
                             .dwell_ms = 1000,
                             .settle_ms = UINT_MAX,
                             .seed = (uint64_t)g_random_int() << 32 | g_random_int()};
    if (!parse_engines(plan, engines, error))
        return false;
    for (unsigned i = 0; options->keys[i]; i++)
        if (!parse_option(plan, options->keys[i], options->values[i], error))
            return false;
    if (plan->settle_ms == UINT_MAX)
        plan->settle_ms = MAX(plan->dwell_ms / 5, SETTLE_MIN);
    if (plan->rounds * plan->variants->len > SLOTS_MAX)
        return refuse(error, "%u rounds of %u engines are more than %d turns", plan->rounds,
                      plan->variants->len, SLOTS_MAX);
    return true;
}

void experiment_plan_clear(ExperimentPlan *plan)
{
    g_clear_pointer(&plan->variants, g_ptr_array_unref);
    g_clear_pointer(&plan->owner, g_free);
}

static void shuffle(unsigned *from, unsigned n, GRand *random)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned other = (unsigned)g_rand_int_range(random, 0, (gint32)i), last = from[i - 1];
        from[i - 1] = from[other];
        from[other] = last;
    }
}

GArray *experiment_plan_order(const ExperimentPlan *plan)
{
    const guint32 seed[] = {(guint32)plan->seed, (guint32)(plan->seed >> 32)};
    GRand *random = g_rand_new_with_seed_array(seed, G_N_ELEMENTS(seed));
    GArray *order = g_array_new(FALSE, FALSE, sizeof(unsigned));
    unsigned n = plan->variants->len;
    for (unsigned round = 0; round < plan->rounds; round++) {
        for (unsigned i = 0; i < n; i++)
            g_array_append_val(order, i);
        shuffle(&g_array_index(order, unsigned, (gsize)round *n), n, random);
    }
    g_rand_free(random);
    return order;
}
