/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An RDMA device: protection domain, capabilities, the arena's chunks registered once each, one
 * completion queue per loop, and its asynchronous events. */
#pragma once

#include "core/base/loop.h"
#include "core/mem/arena.h"

#include <glib.h>
#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Device Device;
typedef struct CompletionQueue CompletionQueue;

typedef struct {
    unsigned max_sge;       /* per send or WRITE, at most WORK_SGES */
    unsigned max_sge_read;  /* per READ, at most WORK_SGES */
    unsigned max_work;      /* slots of one queue of a queue pair */
    unsigned max_cqe;       /* entries of one completion queue */
    unsigned max_reads;     /* RDMA READs one queue pair may have outstanding */
    uint32_t max_message;   /* bytes of one work request */
    bool remote_invalidate; /* SEND with Invalidate */
} DeviceCaps;

/* Registers the arena's chunks and listens for events. Loop 0; may block. NULL with an error that
 * says what to set when locked memory is too small. The context stays librdmacm's. */
Device *device_new(struct ibv_context *verbs, Loop *main, Arena *arena, GError **error);
/* No queue pair is left (asserted); ends the completion queues on their loops and waits for it.
 * Loop 0. NULL is allowed. */
void device_free(Device *device);

const char *device_name(const Device *device);          /* MT-SAFE */
const DeviceCaps *device_caps(const Device *device);    /* MT-SAFE */
struct ibv_context *device_verbs(const Device *device); /* MT-SAFE */
struct ibv_pd *device_pd(const Device *device);         /* MT-SAFE */
bool device_is_lost(const Device *device);              /* fatal event or removal; MT-SAFE */

/* The local key of arena memory, for everything but: MT-SAFE, O(1). */
uint32_t device_lkey(const Device *device, const void *address);
/* the memory that an RDMA READ fills. On iWARP its registration lets peers write there, so its key
 * goes into no other work request. MT-SAFE, O(1). */
uint32_t device_sink_lkey(const Device *device, const void *address);

/* The completion queue of the calling loop, made on first use. NULL with error. */
CompletionQueue *device_cq(Device *device, GError **error);

/* Ends every queue pair of the device, on their loops. Loop 0. */
void device_fail(Device *device, const char *why);
