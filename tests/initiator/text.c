/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing and building of key=value text. */
#include "tests/initiator/text.h"

#include <string.h>

typedef struct {
    char *name;
    char *value;
} Pair;

struct TextKeys {
    GArray *pairs;
};

G_DEFINE_QUARK(text - error, text_error)

static void pair_clear(void *pair)
{
    g_free(((Pair *)pair)->name);
    g_free(((Pair *)pair)->value);
}

TextKeys *text_keys_new(void)
{
    TextKeys *keys = g_new0(TextKeys, 1);

    keys->pairs = g_array_new(FALSE, FALSE, sizeof(Pair));
    g_array_set_clear_func(keys->pairs, pair_clear);
    return keys;
}

void text_keys_free(TextKeys *keys)
{
    if (!keys)
        return;
    g_array_unref(keys->pairs);
    g_free(keys);
}

void text_keys_add(TextKeys *keys, const char *name, const char *value)
{
    Pair pair = {g_strdup(name), g_strdup(value)};

    g_array_append_val(keys->pairs, pair);
}

static Pair *find(const TextKeys *keys, const char *name, unsigned *at)
{
    for (unsigned i = 0; i < keys->pairs->len; i++) {
        Pair *pair = &g_array_index(keys->pairs, Pair, i);

        if (g_str_equal(pair->name, name)) {
            *at = i;
            return pair;
        }
    }
    return NULL;
}

void text_keys_set(TextKeys *keys, const char *name, const char *value)
{
    unsigned at;
    Pair *pair = find(keys, name, &at);

    if (!pair && value) {
        text_keys_add(keys, name, value);
    } else if (pair && value) {
        g_free(pair->value);
        pair->value = g_strdup(value);
    } else if (pair) {
        g_array_remove_index(keys->pairs, at);
    }
}

const char *text_keys_get(const TextKeys *keys, const char *name)
{
    unsigned at;
    const Pair *pair = find(keys, name, &at);

    return pair ? pair->value : NULL;
}

unsigned text_keys_count(const TextKeys *keys)
{
    return keys->pairs->len;
}

void text_keys_pair(const TextKeys *keys, unsigned i, const char **name, const char **value)
{
    const Pair *pair = &g_array_index(keys->pairs, Pair, i);

    *name = pair->name;
    *value = pair->value;
}

/* Section 6.1: standard labels start with a letter and hold letters, digits and ".-+@_". */
static gboolean name_is_legal(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > TEXT_NAME_MAX || !g_ascii_isalpha(name[0]))
        return FALSE;
    for (size_t i = 0; i < len; i++)
        if (!g_ascii_isalnum(name[i]) && !strchr(".-+@_", name[i]))
            return FALSE;
    return TRUE;
}

/* Text values are UTF-8 without control characters; lists and large values exist (SendTargets
 * answers, CHAP), so only the latter may pass the limit. */
static gboolean value_is_legal(const char *name, const char *value)
{
    if (!g_utf8_validate(value, -1, NULL))
        return FALSE;
    for (const char *c = value; *c; c++)
        if (g_ascii_iscntrl(*c))
            return FALSE;
    return strlen(value) <= TEXT_VALUE_MAX || g_str_has_prefix(name, "CHAP_");
}

static gboolean add_checked(TextKeys *keys, const char *text, GError **error)
{
    const char *equals = strchr(text, '=');
    g_autofree char *name = NULL;
    unsigned at;

    if (!equals) {
        g_set_error(error, TEXT_ERROR, TEXT_ERROR_NO_EQUALS, "text without '=': '%.80s'", text);
        return FALSE;
    }
    name = g_strndup(text, (size_t)(equals - text));
    if (!name_is_legal(name)) {
        g_set_error(error, TEXT_ERROR, TEXT_ERROR_NAME, "illegal key name '%.80s'", name);
        return FALSE;
    }
    if (!value_is_legal(name, equals + 1)) {
        g_set_error(error, TEXT_ERROR, TEXT_ERROR_VALUE, "illegal value of key %s", name);
        return FALSE;
    }
    /* SendTargets repeats these two on purpose (appendix C). */
    if (find(keys, name, &at) && !g_str_equal(name, "TargetName") &&
        !g_str_equal(name, "TargetAddress")) {
        g_set_error(error, TEXT_ERROR, TEXT_ERROR_DUPLICATE, "key %s comes twice", name);
        return FALSE;
    }
    text_keys_add(keys, name, equals + 1);
    return TRUE;
}

TextKeys *text_keys_parse(const uint8_t *data, size_t len, GError **error)
{
    g_autoptr(TextKeys) keys = text_keys_new();
    size_t at = 0;

    while (at < len) {
        const uint8_t *end = memchr(data + at, 0, len - at);

        if (!end) {
            g_set_error(error, TEXT_ERROR, TEXT_ERROR_UNTERMINATED, "text does not end in NUL");
            return NULL;
        }
        if (!add_checked(keys, (const char *)data + at, error))
            return NULL;
        at = (size_t)(end - data) + 1;
    }
    return g_steal_pointer(&keys);
}

TextKeys *text_keys_from_list(const char *list, GError **error)
{
    g_autoptr(TextKeys) keys = text_keys_new();
    g_auto(GStrv) items = g_strsplit(list, ",", -1);

    for (char **item = items; *item; item++)
        if (**item && !add_checked(keys, *item, error))
            return NULL;
    return g_steal_pointer(&keys);
}

GByteArray *text_keys_encode(const TextKeys *keys)
{
    GByteArray *bytes = g_byte_array_new();

    for (unsigned i = 0; i < keys->pairs->len; i++) {
        const Pair *pair = &g_array_index(keys->pairs, Pair, i);

        g_byte_array_append(bytes, (const uint8_t *)pair->name, (guint)strlen(pair->name));
        g_byte_array_append(bytes, (const uint8_t *)"=", 1);
        g_byte_array_append(bytes, (const uint8_t *)pair->value, (guint)strlen(pair->value) + 1);
    }
    return bytes;
}
