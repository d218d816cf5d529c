/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How config.c reads one group of the file; each reports what is wrong and goes on. */
#pragma once

#include "core/daemon/config.h"
#include "core/daemon/config_reader.h"

/* Reports every key of the group that is in none of the lists (NULL-terminated; NULL lists end
 * it), with the name that was probably meant. */
void config_check_keys(const ConfigReader *reader, const char *group,
                       const char *const *const *known);

/* Hands each key of the group that is in `known` to the transport's check; returns those keys, and
 * their values in *values. */
char **config_transport_keys(const ConfigReader *reader, const char *group,
                             const Transport *transport, const char *const *known, bool in_target,
                             char ***values);

ConfigTransport *config_transport_read(const ConfigReader *reader, const Transport *transport);
void config_transport_free(ConfigTransport *transport);

/* NULL when the group's name is no target's (reported). */
ConfigTarget *config_target_read(const ConfigReader *reader, const char *group,
                                 const Transport *const *transports);

/* NULL when the group's name is no port group's (reported). */
ConfigPortGroup *config_port_group_read(const ConfigReader *reader, const char *group);
void config_port_group_free(ConfigPortGroup *port_group);

/* Splits NAME/NUMBER, what follows the first word of a group's name. False: it is not that. */
bool config_split_name(const char *group, char **name, uint64_t *number);

/* NULL when the group's name is no LUN's (reported). */
ConfigLun *config_lun_read(const ConfigReader *reader, const char *group);

/* What only shows when groups are seen together. */
void config_check_luns(const ConfigReader *reader, const Config *config);
void config_check_transport_keys(const ConfigReader *reader, const Config *config);
