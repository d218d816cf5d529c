/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arena of a process: what its peers see of it, and write into it. */
#pragma once

#include "tools/softverbs/sv.h"

enum { SV_KIND_MR = 1, SV_KIND_MW1, SV_KIND_MW2 };

struct sv_mr {
    _Atomic uint32_t lkey, rkey; /* 0: nothing behind that key */
    _Atomic uint32_t refs;       /* operations of peers in flight */
    uint32_t kind, access, pd;
    uint32_t parent, qpn;  /* windows: region index; type 2: its QP */
    _Atomic uint32_t nwin; /* regions: bound windows */
    uint32_t tag;
    uint64_t addr, len, iova;
} CACHELINE;

struct sv_rwqe {
    uint64_t wr_id;
    uint32_t num_sge, total;
    struct ibv_sge sge[];
};

struct sv_shrq {
    pthread_mutex_t lock; /* consumers: peers */
    uint32_t cap, mask, max_sge, stride;
    uint64_t ring_off, slot_off;
    _Atomic uint32_t limit, waiter;
    _Atomic uint64_t prod CACHELINE;
    _Atomic uint64_t cons CACHELINE;
};

enum { SV_CQE_SEND = 1, SV_CQE_RECV = 2, SV_CQE_BOUNCE = 4 };

struct sv_cqe {
    uint64_t wr_id;
    uint64_t seq; /* send: SQ tail; recv: bounce position */
    uint32_t qpidx, gen;
    uint32_t status, opcode;
    uint32_t byte_len, imm, src_qp;
    uint16_t wc_flags, kind;
    uint32_t slot;
    int32_t srq;
    uint64_t rseq; /* recv: position in the queue + 1 */
};

struct sv_shcq {
    pthread_mutex_t lock; /* producers: peers and the owner */
    _Atomic uint32_t gen, broken;
    uint32_t cap, mask;
    uint64_t ring_off;
    bool inited;
    _Atomic uint64_t prod CACHELINE;
    _Atomic uint32_t armed; /* 1: solicited only, 2: any */
    _Atomic uint64_t cons CACHELINE;
};

enum { SV_DIRTY_ERR = 1, SV_DIRTY_RESUME = 2, SV_DIRTY_BREAK = 4, SV_DIRTY_GONE = 8 };

struct sv_shqp {
    pthread_mutex_t rlock; /* held for each operation of the peer */
    _Atomic uint32_t gen, state;
    uint32_t qpn, pd, recv_cq, dest_qpn;
    uint64_t dest_uuid;
    int32_t srq;
    _Atomic uint32_t access;
    uint32_t max_dest_rd, rnr_timer;
    _Atomic uint32_t waiter;       /* the peer waits for a receive or for RTR */
    _Atomic uint32_t dirty, async; /* async: ibv_event_type + 1 */
    bool inited;
    uint64_t bnc_off;
    _Atomic uint64_t infl; /* the receive a peer is about to complete */
    uint32_t infl_slot;
    struct sv_shrq rq;
    _Atomic uint64_t bnc_prod CACHELINE;
    _Atomic uint64_t bnc_cons CACHELINE;
};

struct sv_shsrq {
    _Atomic uint32_t gen;
    uint32_t pd;
    bool inited;
    struct sv_shrq rq;
};

struct sv_arena {
    uint32_t magic;
    uint64_t uuid;
    int32_t pid, slot;
    _Atomic uint64_t qp_dirty[SV_MAX_QP / 64];
    _Atomic uint64_t cq_dirty[SV_MAX_CQ / 64];
    _Atomic uint64_t srq_dirty[SV_MAX_SRQ / 64];
    struct sv_shqp qp[SV_MAX_QP];
    struct sv_shcq cq[SV_MAX_CQ];
    struct sv_shsrq srq[SV_MAX_SRQ];
    struct sv_mr mr[SV_MAX_MR];
    char heap[] CACHELINE;
};

static inline void *at(struct sv_arena *a, uint64_t off)
{
    return (char *)a + off;
}

/* A peer killed inside a critical section leaves a consistent ring: the index
 * is the last thing written. */
static inline void sh_lock(pthread_mutex_t *m)
{
    if (unlikely(pthread_mutex_lock(m) == EOWNERDEAD))
        pthread_mutex_consistent(m);
}
static inline void sh_unlock(pthread_mutex_t *m)
{
    pthread_mutex_unlock(m);
}

/* Leaves work for the CM thread of the arena's owner: SV_DIRTY_ bits for one of its QPs. */
static inline void sv_mark(struct sv_arena *a, int kickfd, uint32_t idx, uint32_t bits)
{
    uint64_t one = 1;

    atomic_fetch_or(&a->qp[idx].dirty, bits);
    atomic_fetch_or(&a->qp_dirty[idx / 64], 1ull << (idx % 64));
    (void)!write(kickfd, &one, 8);
}

/* The owner's side. sv_arena_make: 0 or an errno; sets g.a and g.arenafd. */
int sv_arena_make(void);
struct sv_arena *sv_arena_map(int fd);
/* Power-of-two blocks of the shared heap, by offset (0: none left). Caller holds g.obj. */
uint64_t sv_alloc(size_t n);
void sv_free(uint64_t off, size_t n);
/* A robust mutex that processes share. */
void sv_mutex_shared(pthread_mutex_t *m);
