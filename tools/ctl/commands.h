/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rtgtctl can do: each command asks the daemon and prints the answer. */
#pragma once

#include "tools/ctl/client.h"

/* Options of some commands as they were given; NULL: not given. */
typedef struct {
    char *mode, *path, *size, *engine;
    char **engine_options, **settings; /* "k=v" */
    gboolean create, shrink;
    /* compare */
    char *engines, *dwell, *settle, *json_file, *html_file;
    int rounds;            /* 0: not given */
    char *interval, *sort; /* top */
    gboolean batch;
    int count; /* 0: not given */
} LineOptions;

typedef struct {
    Client *client;
    bool json;
    const LineOptions *options;
    char **args; /* what follows the command's words; NULL-terminated */
} Request;

/* All print to standard output; false with error. */
bool command_status(const Request *request, GError **error);
bool command_target_list(const Request *request, GError **error);
bool command_lun_list(const Request *request, GError **error);
bool command_target_add(const Request *request, GError **error);
bool command_target_remove(const Request *request, GError **error);
bool command_target_port_groups(const Request *request, GError **error);
bool command_target_set_state(const Request *request, GError **error);
bool command_lun_add(const Request *request, GError **error);
bool command_lun_remove(const Request *request, GError **error);
bool command_lun_resize(const Request *request, GError **error);
bool command_lun_set_cache(const Request *request, GError **error);
bool command_lun_set_engine(const Request *request, GError **error);
bool command_lun_clear_sync_error(const Request *request, GError **error);
bool command_compare(const Request *request, GError **error);
bool command_session_list(const Request *request, GError **error);
bool command_session_drop(const Request *request, GError **error);
bool command_statistics(const Request *request, GError **error);
bool command_top(const Request *request, GError **error);
bool command_reload(const Request *request, GError **error);
bool command_save(const Request *request, GError **error);

/* A value as JSON, with a line feed; takes a floating reference. */
void print_json(GVariant *value);
