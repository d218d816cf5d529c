/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all engines do with a request: admit, slice, finish; lists of requests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "aio/aio.h"

/* FIFO through AioReq.next; empty when zeroed. */
typedef struct {
    AioReq *head, *tail;
} AioReqList;

static inline void aio_reqs_push(AioReqList *list, AioReq *req)
{
    req->next = NULL;
    if (list->head)
        list->tail->next = req;
    else
        list->head = req;
    list->tail = req;
}

static inline AioReq *aio_reqs_pop(AioReqList *list)
{
    AioReq *req = list->head;
    if (req)
        list->head = req->next;
    return req;
}

/* False: it is not on the list. */
static inline bool aio_reqs_remove(AioReqList *list, AioReq *req)
{
    AioReq *before = NULL;
    for (AioReq **at = &list->head; *at; before = *at, at = &before->next)
        if (*at == req) {
            *at = req->next;
            if (list->tail == req)
                list->tail = before;
            return true;
        }
    return false;
}

/* Adds to a counter that only the context's thread writes. */
static inline void aio_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* Adds to a counter that several threads write. */
static inline void aio_count_shared(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* Readies the engine's fields. 0, or the -errno with which the request ends at once: outside the
 * file, writing to a read-only file, nothing to discard with, a latched sync error. */
int aio_req_admit(AioReq *req);

/* Sets res from 0 (all of it was done) or -errno. Any thread. */
void aio_req_finish(AioReq *req, int res);

/* True for WRITE and WRITE_ZEROES with AIO_FUA. */
bool aio_req_is_fua(const AioReq *req);

/* Flags of pwritev2 (and of io_uring and libaio) for a WRITE. */
int aio_req_write_flags(const AioReq *req);

/* The part of iov behind the first `skip` bytes, at most `max` entries and `limit` bytes (0: no
 * limit); number of entries, *bytes their sum. */
int aio_iov_slice(const struct iovec *iov, int iovcnt, uint64_t skip, size_t limit,
                  struct iovec *out, int max, size_t *bytes);

/* Whether the file takes these bytes as they are, without a bounce buffer. */
bool aio_file_takes(const AioFile *file, const struct iovec *iov, int iovcnt, uint64_t offset,
                    uint64_t len);

/* Calls done for a finished request and counts it. */
void aio_req_deliver(AioReq *req, AioCounters *counters);
