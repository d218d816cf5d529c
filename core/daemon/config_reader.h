/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Typed access to the keys of a keyfile: every value that is not what it should be is reported
 * where it stands, and the default taken, so that reading goes on. */
#pragma once

#include "core/daemon/config_report.h"
#include "core/daemon/config_scan.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    GKeyFile *keys;
    ConfigScan *scan;
    ConfigReport *report;
} ConfigReader;

/* False (reported) when the text is no keyfile. config_reader_clear() in both cases. `report` stays
 * the caller's. */
bool config_reader_init(ConfigReader *reader, const char *text, gsize len, ConfigReport *report);
void config_reader_clear(ConfigReader *reader);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ConfigReader, config_reader_clear)

bool config_reader_has(const ConfigReader *reader, const char *group, const char *key);

/* Reports a key with its value (key NULL: the group) as wrong; the text says what would be right.
 */
void config_reader_complain(const ConfigReader *reader, const char *group, const char *key,
                            const char *format, ...) G_GNUC_PRINTF(4, 5);
void config_reader_warn(const ConfigReader *reader, const char *group, const char *key,
                        const char *format, ...) G_GNUC_PRINTF(4, 5);

/* FILE:LINE of a key (key NULL: of the group), for messages later on; FILE where it is not there.
 */
char *config_reader_where(const ConfigReader *reader, const char *group, const char *key);

/* NULL where the key is absent or cannot be read (reported). An empty value is an error. */
char *config_reader_string(const ConfigReader *reader, const char *group, const char *key);
/* Items of a list with ';' between them, stripped; NULL as above. */
char **config_reader_list(const ConfigReader *reader, const char *group, const char *key);

bool config_reader_bool(const ConfigReader *reader, const char *group, const char *key,
                        bool otherwise);
/* A number, or a size with suffix, within [min, max]; where `word` is not NULL, that word stands
 * for `otherwise` too. */
uint64_t config_reader_number(const ConfigReader *reader, const char *group, const char *key,
                              const char *word, uint64_t otherwise, uint64_t min, uint64_t max);
uint64_t config_reader_size(const ConfigReader *reader, const char *group, const char *key,
                            const char *word, uint64_t otherwise, uint64_t min, uint64_t max);
/* The index of the value in `words` (NULL-terminated). */
unsigned config_reader_choice(const ConfigReader *reader, const char *group, const char *key,
                              const char *const *words, unsigned otherwise);
