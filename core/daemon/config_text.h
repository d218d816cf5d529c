/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values as they are written in a configuration: sizes, numbers, switches, names, addresses. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A number of bytes with an optional suffix K, M, G or T (powers of 1024). */
bool text_to_size(const char *text, uint64_t *bytes);
/* The same the other way round, with the largest suffix that leaves no rest. g_free(). */
char *text_from_size(uint64_t bytes);
bool text_to_number(const char *text, uint64_t *number); /* decimal */
bool text_to_bool(const char *text, bool *value);        /* true on yes, false off no */
bool text_to_address(const char *text);                  /* "1.2.3.4:3260", "[::1]:3260" */
bool text_to_portal(const char *text); /* the same, perhaps with ",0" to ",65535" */
/* "1.2.3.4", "10.0.0.0/8", "fe80::/10"; normalised with its "/BITS", or NULL. g_free(). */
char *text_to_network(const char *text);

/* The name that the writer of `word` probably meant, or NULL. `known` ends with NULL. */
const char *text_suggest(const char *word, const char *const *known);

/* Whether this is an iSCSI name (RFC 7143 4.2.7): iqn., eui. or naa. NULL, or what would be right
 * (static text). */
const char *text_name_complaint(const char *name);
/* The same for a pattern of names, with * and ?. */
const char *text_name_glob_complaint(const char *glob);
