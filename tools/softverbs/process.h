/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of this process as a user of the device. */
#pragma once

#include "tools/softverbs/fault.h"
#include "tools/softverbs/sv.h"

struct sv_arena;
struct sv_cq;
struct sv_ctx;
struct sv_peer;
struct sv_qp;
struct sv_srq;

extern struct sv_global {
    struct sv_arena *a;
    int arenafd, kickfd, epfd, lockfd, procfd;
    bool strict, poison, link_ib, iwarp, gone, yield, dreq_flush;
    uint64_t retry_ns, timewait_ns, cm_timeout_ns;
    int reject_ms;
    char dir[80];
    struct ibv_device dev;
    struct sv_fault f;
    pthread_mutex_t obj; /* object tables, heap, peers */
    struct sv_peer *peers;
    _Atomic(struct sv_qp *) qp[SV_MAX_QP];
    _Atomic(struct sv_cq *) cq[SV_MAX_CQ];
    _Atomic(struct sv_srq *) srq[SV_MAX_SRQ];
    struct sv_ctx *cmctx;
    /* What SOFTVERBS_STATS tells: work requests, and calls of the verbs. */
    _Atomic uint64_t n_write, n_read, n_send, n_direct, n_rnr, n_event, n_bytes;
    _Atomic uint64_t n_post_send, n_signalled, n_post_recv, n_poll, n_poll_empty, n_arm, n_reg_mr;
} g;

/* Adds to one of these. MT-SAFE. */
static inline void sv_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Sets the process up when the first object is made: 0 or an errno. MT-SAFE. */
int sv_init(void);
/* A number that no object had before. MT-SAFE. */
uint32_t sv_generation(void);
/* A free entry of a table of max objects, 0 if there is none; numbers are reused late. */
#define ALLOC_IDX(table, max, next, out)             \
    do {                                             \
        static uint32_t next = 1;                    \
        out = 0;                                     \
        for (uint32_t _i = 0; _i < (max)-1; _i++) {  \
            uint32_t _c = next;                      \
            next = next + 1 == (max) ? 1 : next + 1; \
            if (!atomic_load(&(table)[_c])) {        \
                out = _c;                            \
                break;                               \
            }                                        \
        }                                            \
    } while (0)
/* Wakes the CM thread. MT-SAFE. */
void sv_kick(void);
