/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An SRP initiator of a few lines over librdmacm, for a process of its own: it sends what a test
 * tells it to, and takes what comes. No server code. */
#pragma once

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The target under test. */
#define PORT     "23010"
#define ID_EXT   0x0011223344556677
#define IOC_GUID 0x8877665544332211
#define IMM_AT   68
#define DEPTH    16
#define BLOCK    512

#define PEER_DATA (1 << 20)
#define PEER_IU   1024  /* longest that it receives */
#define PEER_WAIT 10000 /* ms, then it gives up */

typedef struct {
    uint8_t initiator, flags; /* last byte of the port identifier; MULTICHAN etc. */
    uint16_t formats;
    uint32_t iu_len;
    uint16_t immediate_offset;
    uint64_t id_ext, ioc_guid;
} PeerLogin;

typedef struct {
    struct rdma_event_channel *events;
    struct rdma_cm_id *id;
    struct ibv_cq *cq;
    struct ibv_mr *data_mr, *iu_mr;
    uint8_t *data; /* PEER_DATA bytes the target may read and write */
    uint8_t *ius;
    unsigned sent;
    bool gone;
    unsigned credits, first_credits;
    uint8_t rsp_flags;
    uint8_t got[PEER_IU]; /* the last IU that came */
    size_t got_len;
    uint64_t tag;
} Peer;

/* 0: logged in; else the reason of an SRP_LOGIN_REJ, or 1: it was refused without one. */
uint32_t peer_open(Peer *peer, const char *port, const PeerLogin *login);
uint32_t peer_open_raw(Peer *peer, const char *port, const void *data, uint8_t len);
void peer_close(Peer *peer);

void peer_send(Peer *peer, const void *iu, size_t len);
/* The next IU into peer->got; SRP_CRED_REQs are answered. False: the channel is gone. */
bool peer_receive(Peer *peer);
/* Whether the target says SRP_T_LOGOUT with that reason, responses before it ignored. */
bool peer_logged_out(Peer *peer, uint32_t reason);
bool peer_disconnected(Peer *peer); /* whatever comes before it is ignored */

/* A command IU; descriptors are added behind it. */
typedef struct {
    uint8_t bytes[32768];
    size_t len;
} PeerIu;
void peer_command(Peer *peer, PeerIu *iu, uint8_t formats, const uint8_t *cdb, unsigned cdb_len);
void peer_rw(Peer *peer, PeerIu *iu, bool write, uint8_t formats, uint32_t lba, uint16_t blocks);
void peer_describe(PeerIu *iu, uint64_t address, uint32_t key, uint32_t len);
/* Sends it and waits for its SRP_RSP; the status, or 0xff. */
uint8_t peer_run(Peer *peer, const PeerIu *iu);
uint8_t peer_test_unit_ready(Peer *peer);
/* The RSP_CODE; 0xff: none. */
uint8_t peer_manage(Peer *peer, uint8_t function, uint64_t lun, uint64_t task_tag);

/* What the initiator's process does, by the name of a test: 0, or what is told on stderr. */
int srp_peer_main(const char *mode);
