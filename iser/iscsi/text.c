/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing of key=value text. */
#include "iser/iscsi/text.h"

#include <string.h>

bool text_collect(TextCollector *collector, const void *data, size_t len)
{
    size_t have = collector->bytes ? collector->bytes->len : 0;
    if (len > TEXT_MAX - have)
        return false;
    if (!collector->bytes)
        collector->bytes = g_byte_array_new();
    if (len)
        g_byte_array_append(collector->bytes, data, (guint)len);
    return true;
}

void text_collector_clear(TextCollector *collector)
{
    g_clear_pointer(&collector->bytes, g_byte_array_unref);
}

TextReader text_reader(const void *data, size_t len)
{
    const char *p = data ? data : "";
    return (TextReader){.at = p, .end = p + len};
}

/* 6.1: a key name starts with a letter; then letters, digits and . - + @ _ follow. RFC 7143 says a
 * capital letter, iSCSIProtocolLevel and iSERHelloRequired are its own exceptions. */
static bool key_is_well_formed(const char *key, size_t len)
{
    if (len == 0 || len > TEXT_KEY_MAX || !g_ascii_isalpha(key[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!g_ascii_isalnum(key[i]) && !strchr(".-+@_", key[i]))
            return false;
    return true;
}

TextResult text_read(TextReader *r)
{
    while (r->at < r->end && *r->at == '\0')
        r->at++;
    if (r->at == r->end)
        return TEXT_END;
    const char *nul = memchr(r->at, '\0', (size_t)(r->end - r->at));
    const char *equals = nul ? memchr(r->at, '=', (size_t)(nul - r->at)) : NULL;
    if (!equals || nul - equals - 1 > TEXT_VALUE_MAX || ++r->pairs > TEXT_KEYS_MAX)
        return TEXT_BAD;
    size_t key_len = (size_t)(equals - r->at);
    if (!key_is_well_formed(r->at, key_len))
        return TEXT_BAD;
    memcpy(r->key, r->at, key_len);
    r->key[key_len] = '\0';
    r->value = equals + 1;
    r->at = nul + 1;
    return TEXT_PAIR;
}

TextWriter text_writer(size_t limit)
{
    return (TextWriter){.bytes = g_byte_array_new(), .limit = limit};
}

void text_write(TextWriter *w, const char *key, const char *value)
{
    size_t key_len = strlen(key), value_len = strlen(value);
    if (key_len + value_len + 2 > w->limit - w->bytes->len) {
        w->full = true;
        return;
    }
    g_byte_array_append(w->bytes, (const guint8 *)key, (guint)key_len);
    g_byte_array_append(w->bytes, (const guint8 *)"=", 1);
    g_byte_array_append(w->bytes, (const guint8 *)value, (guint)value_len + 1);
}

void text_writer_clear(TextWriter *w)
{
    g_clear_pointer(&w->bytes, g_byte_array_unref);
}
