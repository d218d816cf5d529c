/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the groups and keys of a keyfile stand, and whether its lines are sound: GKeyFile tells no
 * line numbers, merges duplicates without a word and takes "key[x]" for a translation. */
#pragma once

#include "core/daemon/config_report.h"

typedef struct ConfigScan ConfigScan;

/* Reports every unsound line. The result is complete only if there was none: then GKeyFile reads
 * the same text the same way. */
ConfigScan *config_scan_new(const char *text, gsize len, ConfigReport *report);
void config_scan_free(ConfigScan *scan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfigScan, config_scan_free)

/* Whether this can be the name of a key. */
gboolean config_scan_is_key(const char *key);

gboolean config_scan_sound(const ConfigScan *scan);
/* Lines count from 1; 0: not there. key NULL: the line of the group's header. */
unsigned config_scan_line(const ConfigScan *scan, const char *group, const char *key);
