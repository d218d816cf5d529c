/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two ends of a connection, and what the tests of softverbs do with them. Nothing but the public
 * API: the tests run under the preload, or with the library's sources linked in. */
#pragma once

#include <rdma/rdma_cma.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Checks may be made in any thread: a failed CHECK is counted, a failed MUST ends the program. */
extern _Atomic int failed, checks;
#define CHECK(x)                                                                   \
    do {                                                                           \
        checks++;                                                                  \
        if (!(x)) {                                                                \
            failed++;                                                              \
            fprintf(stderr, "FAIL %s:%d: %s (errno %s)\n", __func__, __LINE__, #x, \
                    strerror(errno));                                              \
        }                                                                          \
    } while (0)
#define MUST(x)                                                                     \
    do {                                                                            \
        checks++;                                                                   \
        if (!(x)) {                                                                 \
            fprintf(stderr, "FATAL %s:%d: %s (errno %s)\n", __func__, __LINE__, #x, \
                    strerror(errno));                                               \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

/* The listener's port of a test: ++port. */
extern uint16_t port;

struct end {
    struct rdma_event_channel *ch;
    struct rdma_cm_id *id;
    struct ibv_pd *pd;
    struct ibv_comp_channel *cc;
    struct ibv_cq *cq;
    struct ibv_srq *srq;
    struct ibv_mr *mr;
    char *buf;
};
#define BUF (1 << 20)

struct opt {
    int send_wr, recv_wr, sge, inl, cqe, srq, rnr, resp, init;
};
extern const struct opt dflt;

double now(void);
/* The next event of a channel, which must be this one; waits up to 5 s. */
struct rdma_cm_event *get(struct rdma_event_channel *c, enum rdma_cm_event_type want);
void eat(struct rdma_event_channel *c, enum rdma_cm_event_type want);
/* PD, channel, CQ, memory and QP of an end that has its id; and the reverse, with the id. */
void equip(struct end *e, const struct opt *o);
void dismantle(struct end *e);
struct sockaddr *addr(uint16_t p);
struct rdma_cm_id *listener(struct rdma_event_channel *c, uint16_t p);
/* A client up to a resolved route. */
void resolve(struct end *c, uint16_t p);
/* Both ends of a connection in this process. */
void connect_pair(struct end *c, struct end *s, const struct opt *oc, const struct opt *os);
void disconnect_pair(struct end *c, struct end *s);
/* Post one receive, one send; the API's result. */
int rx(struct end *e, uint64_t id, size_t off, uint32_t len);
int tx(struct end *e, uint64_t id, enum ibv_wr_opcode op, size_t off, uint32_t len, unsigned flags,
       uint64_t raddr, uint32_t rkey);
#define SIG IBV_SEND_SIGNALED
/* The next completion; waits up to 5 s. */
struct ibv_wc wait_wc(struct end *e);
void expect(struct end *e, uint64_t id, unsigned st, int line);
#define EXPECT(e, id, st) expect(e, id, st, __LINE__)
bool empty(struct end *e);
/* The next asynchronous event, acknowledged. */
struct ibv_async_event async(struct end *e);
int state(struct end *e);

/* The tests. */
void t_process(void); /* forks, so it comes first */
void t_device(void);
void t_data(void);
void t_violation(unsigned n);
extern const unsigned violations;
void t_limits(void);
void t_cq_overrun(void);
void t_rnr(void);
void t_srq(void);
void t_notify(void);
void t_window(void);
void t_cm(void);
void t_kill(void);
void t_threads(void);
void t_listeners(void);
void t_port(void);
void t_arena(void);
void t_chain(void);
void t_shared_cq(void);
void t_kill_receiver(void);
void t_leave(void);
/* Runs this program again, to do one of the below with the port; spawn() leaves it running, and
 * run_self() returns its exit status. */
pid_t spawn(const char *what);
int run_self(const char *what);
/* The children of t_kill, t_kill_receiver, t_leave and t_port. */
int sender(uint16_t p);
int receiver(uint16_t p);
int leaver(uint16_t p);
int binder(uint16_t p);
