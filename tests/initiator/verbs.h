/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connected queue pair and its memory, as an initiator needs it. */
#pragma once

#include <glib.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>

typedef struct {
    struct rdma_event_channel *events;
    struct rdma_cm_id *id;
    struct ibv_pd *pd;
    struct ibv_comp_channel *completions;
    struct ibv_cq *send_cq, *recv_cq;
    struct ibv_mr *mr;
    uint8_t *memory; /* registered whole */
    size_t size;
    uint8_t reply[64];  /* the start of the private data of its acceptance or rejection */
    unsigned reply_len; /* 0: there was none */
    bool connected;
} Verbs;

typedef struct {
    const char *host, *port;
    int timeout_ms;
    size_t memory;
    unsigned sends, receives; /* work requests outstanding at most */
    bool windows;             /* remote access by memory windows only */
    const void *private_data;
    uint8_t private_len;
} VerbsOptions;

/* Blocks until the address is resolved and all objects exist; receives may be posted then. What
 * exists is in `verbs` even after a failure: verbs_close takes it down. */
bool verbs_prepare(Verbs *verbs, const VerbsOptions *options, GError **error);
/* Blocks until the connection is established. */
bool verbs_connect(Verbs *verbs, const VerbsOptions *options, GError **error);
/* Disconnects and destroys. Takes a zeroed structure too. */
void verbs_close(Verbs *verbs);

/* Takes the connection events that are there; false when the connection is gone. Does not block. */
bool verbs_take_events(Verbs *verbs, GError **error);
/* Arms both completion queues. */
bool verbs_arm(Verbs *verbs);
/* Waits for a completion or a connection event, up to `timeout_ms`, and takes the former. */
void verbs_wait(Verbs *verbs, int timeout_ms);
