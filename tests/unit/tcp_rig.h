/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection of the TCP datamover on a socket pair, a session layer that only takes notes, and
 * the peer's end, all driven by the test's own thread. */
#pragma once

#include "iser/tcp/bhs.h"
#include "iser/tcp/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct {
    Loop *loop;
    Arena *arena;
    Memory *memory;
    ReceiveBudget *budget;
    DmConn *conn; /* NULL: freed */
    int peer;
    IscsiParams params;

    /* The session layer's notes. */
    GPtrArray *pdus;                /* received and not released: DmPdu */
    void (*on_control)(DmPdu *pdu); /* instead of noting it */
    unsigned bad_digests, controls;
    bool terminated;
    char reason[96];
} TcpRig;

/* Sets rig->params to defaults (no digests, segments of 64 KiB, bursts of 256 KiB) and connects;
 * the test may change them before tcp_rig_enable(). */
void tcp_rig_init(TcpRig *rig);
void tcp_rig_enable(TcpRig *rig);
/* Releases what is held, closes, waits for the upcall, frees, and checks that nothing is left. */
void tcp_rig_deinit(TcpRig *rig);

/* Lets the loop do what it has to do now. */
void tcp_rig_turn(TcpRig *rig);
/* Turns until the condition holds; fails the test after a deadline. */
#define tcp_rig_wait(rig, condition)                                     \
    do {                                                                 \
        gint64 deadline_ = g_get_monotonic_time() + 20 * G_USEC_PER_SEC; \
        while (!(condition)) {                                           \
            tcp_rig_turn(rig);                                           \
            assert_true(g_get_monotonic_time() < deadline_);             \
        }                                                                \
    } while (0)

/* The peer writes, turning the loop when the socket is full. */
void tcp_rig_write(TcpRig *rig, const void *bytes, size_t len);
/* The peer reads exactly so many bytes, turning the loop. */
void tcp_rig_read(TcpRig *rig, void *bytes, size_t len);
/* Nothing is there to be read. */
void tcp_rig_assert_silent(TcpRig *rig);

/* Builds the wire form of a PDU: header with lengths filled in, AHS, digests as in params once
 * enabled. Returns its length. */
size_t tcp_rig_frame(const TcpRig *rig, uint8_t *out, const uint8_t *bhs, const void *data,
                     uint32_t len);
void tcp_rig_send(TcpRig *rig, const uint8_t *bhs, const void *data, uint32_t len);
/* Receives one PDU, checks padding and digests; returns the length of its data. */
uint32_t tcp_rig_receive(TcpRig *rig, uint8_t *bhs, uint8_t *data, uint32_t room);

DmPdu *tcp_rig_pdu(const TcpRig *rig, unsigned index);
void tcp_rig_release_all(TcpRig *rig);
/* Sends a SCSI command and returns it as received. */
DmPdu *tcp_rig_command(TcpRig *rig, uint32_t itt);

/* A move with its notes; memory filled with a pattern that depends on the offset. */
typedef struct {
    DmMove move;
    struct iovec iov[8];
    uint8_t *memory;
    bool done, *terminated;
    int error;
    bool starting; /* done must not come now */
} TcpRigMove;

uint8_t tcp_rig_pattern(uint32_t offset);
/* Splits the memory into `pieces` of different lengths. */
void tcp_rig_move_init(TcpRig *rig, TcpRigMove *m, DmPdu *command, unsigned opcode, uint32_t offset,
                       uint32_t len, int pieces);
void tcp_rig_move_start(TcpRig *rig, TcpRigMove *m);
void tcp_rig_move_deinit(TcpRigMove *m);
