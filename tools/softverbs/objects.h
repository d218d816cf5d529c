/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs objects of this process; each begins with what the API shows of it. */
#pragma once

#include "tools/softverbs/sv.h"

struct sv_peer;
struct sv_shcq;
struct sv_shqp;
struct sv_shsrq;

struct sv_pd {
    struct ibv_pd pd;
    uint32_t num;
    _Atomic int refs;
};
struct sv_lmr {
    struct ibv_mr mr;
    uint32_t idx;
};
struct sv_mw {
    struct ibv_mw mw;
    uint32_t idx;
};
struct sv_chan {
    struct ibv_comp_channel ch;
    int wfd; /* to write; also to read, without blocking */
    _Atomic int refs;
};

struct sv_cq {
    union {
        struct ibv_cq cq;
        struct ibv_cq_ex cqx;
    };
    struct sv_shcq *sh;
    uint32_t idx, gen;
    pthread_mutex_t clock; /* consumers */
    struct sv_chan *chan;
    _Atomic int refs;
    uint32_t delivered, async_delivered; /* under cq.mutex */
    struct ibv_wc cur;                   /* ibv_start_poll and friends */
    uint32_t idle;                       /* empty polls in a row */
};

struct sv_rqlocal { /* free receive slots */
    pthread_mutex_t lock;
    uint32_t *free, nfree;
};

struct sv_srq {
    struct ibv_srq srq;
    struct sv_shsrq *sh;
    uint32_t idx, async_delivered;
    _Atomic int refs;
    struct sv_rqlocal l;
};

struct sv_pend { /* a WR that waits in the send queue */
    struct ibv_send_wr wr;
    uint64_t seq;
    struct ibv_sge sge[SV_MAX_SGE];
    uint8_t inl[];
};

struct sv_qp {
    struct ibv_qp_ex x; /* x.qp_base is the ibv_qp */
    struct sv_shqp *sh;
    uint32_t idx, gen, async_delivered;
    bool sig_all, last_wqe;
    struct ibv_qp_cap cap;
    struct ibv_qp_attr attr;
    struct sv_rqlocal rql;
    uint64_t recv_seen; /* rseq polled last */

    pthread_mutex_t sqlock;
    uint64_t sq_head;
    _Atomic uint64_t sq_tail;
    char *pend; /* ring of sv_pend, allocated when first needed */
    size_t pstride;
    uint64_t phead, ptail;
    _Atomic uint64_t deadline; /* ns; 0: not blocked */
    uint32_t blocked;          /* wc status when the deadline passes */
    bool forced_rnr, forced_done;

    struct sv_peer *peer;
    struct sv_shqp *psh;
    uint32_t pgen;
    int pchan; /* write end of the peer's recv channel */

    /* the ibv_wr_* builder */
    pthread_mutex_t block;
    struct ibv_send_wr *bwr;
    struct ibv_sge *bsge;
    uint8_t *binl;
    uint32_t bn;
    int berr;
};

static inline struct sv_qp *to_qp(struct ibv_qp *q)
{
    return (struct sv_qp *)q;
}
