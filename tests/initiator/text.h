/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The key=value pairs of Login and Text PDUs, in their order (RFC 7143 section 6.1). */
#pragma once

#include <glib.h>
#include <stdint.h>

typedef struct TextKeys TextKeys;

/* The longest key name and the longest value of section 6.1, in bytes. */
#define TEXT_NAME_MAX  63
#define TEXT_VALUE_MAX 255

typedef enum {
    TEXT_ERROR_UNTERMINATED,
    TEXT_ERROR_NO_EQUALS,
    TEXT_ERROR_NAME,
    TEXT_ERROR_VALUE,
    TEXT_ERROR_DUPLICATE,
} TextError;
#define TEXT_ERROR (text_error_quark())
GQuark text_error_quark(void);

TextKeys *text_keys_new(void);
void text_keys_free(TextKeys *keys);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TextKeys, text_keys_free)

/* Strict: every pair ends in one NUL, has a legal name and value, and no name comes twice.
 * `data` may be NULL when `len` is 0. */
TextKeys *text_keys_parse(const uint8_t *data, size_t len, GError **error);

/* "a=1,b=2" as a command line has it; a value with commas cannot be written so. */
TextKeys *text_keys_from_list(const char *list, GError **error);

/* Adds a pair at the end, whatever it holds; tests send illegal text on purpose. */
void text_keys_add(TextKeys *keys, const char *name, const char *value);
/* Replaces the value of a pair, or adds it; NULL removes it. */
void text_keys_set(TextKeys *keys, const char *name, const char *value);
/* The value lives as long as the pair; NULL when there is none. */
const char *text_keys_get(const TextKeys *keys, const char *name);

unsigned text_keys_count(const TextKeys *keys);
void text_keys_pair(const TextKeys *keys, unsigned i, const char **name, const char **value);

/* The wire form, owned by the caller. */
GByteArray *text_keys_encode(const TextKeys *keys);
