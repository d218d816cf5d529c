/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rtgtctl can do: each command asks the daemon and prints the answer. */
#pragma once

#include "tools/ctl/client.h"

typedef struct {
    Client *client;
    bool json;
    const char *mode; /* NULL: not given */
    char **options;   /* "k=v"; NULL: none given */
    char **args;      /* what follows the command's words */
} Request;

/* All print to standard output; false with error. */
bool command_status(const Request *request, GError **error);
bool command_target_list(const Request *request, GError **error);
bool command_lun_list(const Request *request, GError **error);
bool command_lun_set_engine(const Request *request, GError **error);
bool command_lun_clear_sync_error(const Request *request, GError **error);
bool command_session_list(const Request *request, GError **error);
bool command_session_drop(const Request *request, GError **error);
bool command_statistics(const Request *request, GError **error);

/* A value as JSON, with a line feed; takes a floating reference. */
void print_json(GVariant *value);
