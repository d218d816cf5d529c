/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Variants from their text, and back. */
#include "core/daemon/variant.h"

#include "core/daemon/manager_error.h"

#include <string.h>

static void add_option(Variant *variant, const char *key, const char *value)
{
    guint n = g_strv_length(variant->keys);
    variant->keys = g_renew(char *, variant->keys, n + 2);
    variant->values = g_renew(char *, variant->values, n + 2);
    variant->keys[n] = g_strdup(key);
    variant->values[n] = g_strdup(value);
    variant->keys[n + 1] = variant->values[n + 1] = NULL;
}

static Variant *variant_new(const char *engine)
{
    Variant *variant = g_new0(Variant, 1);
    variant->engine = g_strdup(engine);
    variant->keys = g_new0(char *, 1);
    variant->values = g_new0(char *, 1);
    return variant;
}

void variant_free(Variant *variant)
{
    if (!variant)
        return;
    g_free(variant->text);
    g_free(variant->engine);
    g_free(variant->mode);
    g_strfreev(variant->keys);
    g_strfreev(variant->values);
    g_free(variant);
}

static void read_option(Variant *variant, const char *option)
{
    const char *sign = strchr(option, '=');
    g_autofree char *key = g_strndup(option, sign ? (gsize)(sign - option) : strlen(option));
    const char *value = sign ? sign + 1 : "";
    if (strcmp(key, "mode") != 0) {
        add_option(variant, key, value);
    } else {
        g_free(variant->mode);
        variant->mode = g_strdup(value);
    }
}

Variant *variant_parse(const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    g_autoptr(Variant) variant = variant_new(parts[0] ? parts[0] : "");
    variant->text = g_strdup(text);
    for (char **option = parts[0] ? parts + 1 : parts; *option; option++)
        read_option(variant, *option);
    const ExchangeRequest request = variant_request(variant);
    if (exchange_check(&request, error))
        return g_steal_pointer(&variant);
    g_prefix_error(error, "%s: ", text);
    return NULL;
}

Variant *variant_of(const ExchangeRequest *request)
{
    Variant *variant = variant_new(request->engine);
    g_autoptr(GString) text = g_string_new(request->engine);
    variant->mode = g_strdup(request->mode);
    g_string_append_printf(text, ":mode=%s", request->mode);
    for (unsigned i = 0; i < request->n; i++) {
        add_option(variant, request->keys[i], request->values[i]);
        g_string_append_printf(text, ":%s=%s", request->keys[i], request->values[i]);
    }
    variant->text = g_string_free(g_steal_pointer(&text), FALSE);
    return variant;
}

ExchangeRequest variant_request(const Variant *variant)
{
    return (ExchangeRequest){.engine = variant->engine,
                             .mode = variant->mode,
                             .keys = (const char *const *)variant->keys,
                             .values = (const char *const *)variant->values,
                             .n = g_strv_length(variant->keys)};
}
