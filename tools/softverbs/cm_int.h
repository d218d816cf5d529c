/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connection management: librdmacm over Unix sockets.
 *
 * A listener is a SOCK_SEQPACKET socket <dir>/t<port>.<address>; a connection is one such
 * socket pair that carries REQ, REP, RTU, REJ, DREQ, DREP and lives as long as the connection,
 * so that its end tells of a peer that died. One thread per process serves all of that, the
 * dirty bits of the arena, and timers. */
#pragma once

#include "tools/softverbs/sv.h"

#include <sys/un.h>

struct sv_peer;

enum { M_REQ = 1, M_REP, M_REJ, M_RTU, M_DREQ, M_DREP, M_ATTACH, M_ATTACHED };

struct sv_msg {
    uint32_t magic, type;
    uint64_t uuid;
    int32_t pid;
    uint32_t qpn, status;
    uint8_t resp_res, init_depth, retry, rnr, srq, flow, pdlen, nfds;
    struct sockaddr_storage src, dst;
    uint8_t pd[256];
};

enum id_state {
    S_IDLE,
    S_BOUND,
    S_LISTEN,
    S_ADDR,
    S_ROUTE,
    S_CONNECT,
    S_REQ,
    S_ACCEPT,
    S_REPRCVD,
    S_CONN,
    S_DREQ_SENT,
    S_DREQ_RCVD,
    S_TIMEWAIT,
    S_DONE,
};

struct sv_ev {
    struct rdma_cm_event ev; /* first: rdma_ack_cm_event() gets this */
    struct sv_ev *next;
    struct sv_id *counted; /* whose destruction waits for the ack */
    struct sv_conn *conn;  /* CONNECT_REQUEST not fetched yet */
    uint8_t pd[256];
};

struct sv_echan {
    struct rdma_event_channel ch;
    struct sv_ev *first, **last;
};

struct sv_conn {
    struct sv_conn *next;
    int fd, chan;
    struct sv_id *id, *listen;
    struct sv_peer *peer;
    uint32_t lqpn, rqpn;
    bool active;
    uint64_t deadline; /* of the state the id is in */
    struct sv_msg m;   /* the peer's REQ or REP */
};

struct sv_id {
    struct rdma_cm_id id;
    enum id_state state;
    bool sync, afonly;
    int lockfd, lfd;
    char lpath[108];
    struct sv_conn *conn;
    uint32_t delivered, acked;
    uint8_t resp_res, init_depth, retry, rnr;
    struct ibv_qp_init_attr *ep_attr;
    struct ibv_pd *ep_pd;
    uint8_t ep_data[256];
    uint8_t ep_len;
    struct ibv_sa_path_rec path;
    struct sv_id *next;
};

/* Guards the lists, states and events of connection management. */
extern pthread_mutex_t sv_cm_lock;
extern pthread_cond_t sv_cm_cond; /* an event was acknowledged */
extern struct sv_conn *sv_conns;
extern struct sv_id *sv_ids;

#define TO_ID(p) ((struct sv_id *)(p))

/* cm_sock.c: the descriptors of the CM thread, and messages. sv_cm_lock held. */
enum { F_KICK = 1, F_PROC, F_LISTEN, F_CONN, F_PEER, F_ATTACH };
struct sv_fdent {
    int kind;
    uint32_t gen;
    void *obj;
};

void sv_fd_add(int fd, int kind, void *obj);
void sv_fd_del(int fd); /* closes it */
/* The entry of an epoll event; NULL if the descriptor was given up since. */
struct sv_fdent *sv_fd_find(uint64_t key);
/* 0 or -1. */
int sv_msg_send(int fd, struct sv_msg *m, const int *fds);
void sv_msg_simple(int fd, int type);
/* 1: a message, with up to 3 descriptors that the caller owns; 0: end; -1: nothing yet. */
int sv_msg_recv(int fd, struct sv_msg *m, int *fds);
int sv_unix_addr(struct sockaddr_un *un, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int sv_unix_connect(const struct sockaddr_un *un);
int sv_unix_listen(const struct sockaddr_un *un);

/* cm_event.c */
void sv_ev_queue(struct sv_echan *c, struct sv_ev *e);
struct sv_ev *sv_ev_post(struct sv_id *id, enum rdma_cm_event_type t, int status);
void sv_ev_conn(struct sv_ev *e, const struct sv_msg *m, uint8_t minlen);
/* Events were taken off a channel; had: whether there were any before. */
void sv_chan_reset(struct sv_echan *c, bool had);
/* For synchronous identifiers: waits for the event of the call. */
int sv_sync_wait(struct sv_id *id);

/* cm_conn.c: sv_cm_lock held, but for sv_flush_qpn. */
struct sv_conn *sv_conn_new(int fd, bool active);
void sv_conn_free(struct sv_conn *c);
/* The connection broke: a dead peer, or a fault. */
void sv_conn_lost(struct sv_conn *c);
/* Takes what it wants of the descriptors. */
void sv_conn_msg(struct sv_conn *c, struct sv_msg *m, int *fds);
uint64_t sv_conn_timers(void);
void sv_timewait(struct sv_conn *c);
/* Says goodbye as the state of the connection wants it. */
void sv_hang_up(struct sv_id *id);
void sv_unlisten(struct sv_id *id);
void sv_flush_qpn(uint32_t qpn);

/* cm_peer.c */
/* What a peer needs to reach one of our QPs. */
void sv_fill_endpoint(struct sv_msg *m, int *fds, uint32_t qpn);
/* The process at the other end of that socket is gone. */
void sv_peer_lost(int fd);

/* cm_addr.c */
socklen_t sv_sa_len(const struct sockaddr *a);
__be16 *sv_sa_port(struct sockaddr *a);
bool sv_sa_local(const struct sockaddr *a);
void sv_listen_name(const struct sv_id *id, char *name);
/* A descriptor that holds the port, or -1. */
int sv_port_lock(uint16_t port, const char *name);
uint16_t sv_ephemeral(void);
int sv_find_listener(const struct sockaddr *dst);

/* cm_id.c */
struct ibv_context *sv_cm_context(void);
void sv_id_device(struct sv_id *id);
struct sv_id *sv_id_new(struct rdma_event_channel *ch, void *context, enum rdma_port_space ps);
int sv_post_sync(struct sv_id *id, enum rdma_cm_event_type t, int status);

/* In librdmacm, but in none of its headers. */
int rdma_create_srq(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_srq_init_attr *attr);
int rdma_create_srq_ex(struct rdma_cm_id *id, struct ibv_srq_init_attr_ex *attr);
void rdma_destroy_srq(struct rdma_cm_id *id);

/* cm_qp.c: the library, not the user, brings the QP of an identifier up. 0, or -1 and errno. */
int sv_qp_up(struct sv_id *id);
