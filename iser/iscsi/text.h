/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text negotiation data (RFC 7143 6.1): key=value pairs ended by NUL, collected over several PDUs,
 * read back, and written. Foreign bytes: every length is bounded. Pure, any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_MAX       65536u /* bytes of one exchange, all PDUs with the C bit together */
#define TEXT_KEY_MAX   63u
#define TEXT_VALUE_MAX 8192u
#define TEXT_KEYS_MAX  256u /* pairs in one exchange */

/* What has arrived of one exchange. Zero is empty; the bytes are allocated on first use. */
typedef struct {
    GByteArray *bytes;
} TextCollector;

/* Appends the data of one PDU; false: TEXT_MAX exceeded. */
bool text_collect(TextCollector *collector, const void *data, size_t len);
void text_collector_clear(TextCollector *collector);

typedef enum { TEXT_PAIR, TEXT_END, TEXT_BAD } TextResult;

/* Reads pairs front to back. */
typedef struct {
    const char *at, *end;
    unsigned pairs;
    char key[TEXT_KEY_MAX + 1];
    const char *value; /* NUL-terminated, inside the bytes read */
} TextReader;

/* NULL with 0 is allowed: a collector that got nothing. */
TextReader text_reader(const void *data, size_t len);
/* The next pair is in key and value until the next call. TEXT_BAD: not key=value, a key of wrong
 * form or length, no NUL at the end, or too many. */
TextResult text_read(TextReader *reader);

/* Collects an answer of at most `limit` bytes. */
typedef struct {
    GByteArray *bytes;
    size_t limit;
    bool full; /* something did not fit */
} TextWriter;

TextWriter text_writer(size_t limit);
void text_write(TextWriter *writer, const char *key, const char *value);
void text_writer_clear(TextWriter *writer);
