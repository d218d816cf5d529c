/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an SRP initiator sends: memory for information units, and descriptors of data in it. */
#pragma once

#include "tests/initiator/nexus.h"

#define REQUEST_IU_MAX    12288
#define REQUEST_TABLE_MAX 4096
#define REQUEST_SIZE      (REQUEST_IU_MAX + REQUEST_TABLE_MAX)

typedef enum {
    REQUEST_DIRECT,
    REQUEST_INDIRECT, /* the whole table in the command */
    REQUEST_TABLE,    /* some of it; the target has to fetch it */
    REQUEST_MIXED,    /* one of those, at random */
} RequestForm;

/* Its memory is in use until the target has answered and the device has sent it. */
typedef struct {
    uint8_t *iu, *table;
    uint32_t len;        /* of the IU */
    const uint8_t *data; /* sent behind it; NULL: none */
    uint32_t data_len;
    Task *task; /* NULL: nothing is awaited */
    uint64_t tag;
    bool sending;
} Request;

typedef struct {
    Request *all;
    unsigned count;
    uint64_t last_tag;
    uint32_t rkey; /* of all memory */
    GQueue free;   /* of Request */
} Requests;

/* `memory` is that of `count` requests, REQUEST_SIZE bytes each. */
void requests_init(Requests *requests, unsigned count, uint8_t *memory, uint32_t rkey);
void requests_deinit(Requests *requests);
/* NULL: all are in use. */
Request *requests_take(Requests *requests);
/* Neither awaited nor sending any more: to be taken again. */
void requests_settle(Requests *requests, Request *request);
/* The one that is awaited with that tag; NULL: there is none. */
Request *requests_find(const Requests *requests, uint64_t tag);

/* Makes an SRP_CMD or SRP_TSK_MGMT for the task. immediate: data to the target follow at that
 * offset; 0: they are described. */
void request_fill(const Requests *requests, Request *request, Task *task, RequestForm form,
                  uint16_t immediate);
/* Puts the descriptors of `len` bytes at the end of the IU, and how they are into its header. */
void request_describe(const Requests *requests, Request *request, bool to_target,
                      const uint8_t *base, uint32_t len, RequestForm form);
