/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One iSCSI session of one connection, strict about everything the target sends (RFC 7143).
 *
 * A session belongs to one thread. Nothing happens outside of session_turn and the calls that wait
 * by turning. A breach of the standard by the target is counted, printed with the PDU in hex, and
 * the session goes on where it can. */
#pragma once

#include "tests/initiator/chap.h"
#include "tests/initiator/url.h"
#include "tests/initiator/wire.h"

#define SESSION_SLOTS 4096

typedef struct Session Session;
typedef struct Task Task;

/* A SCSI command, the caller's memory, lent from submit until `done`. */
struct Task {
    uint8_t cdb[16];
    uint64_t lun;
    uint8_t attribute; /* 0 untagged, 1 simple, 2 ordered, 3 head of queue */
    bool immediate;    /* the I bit */
    bool read, write;
    PduBuffer buffer; /* in the wire's memory; its length is the expected transfer length */
    void (*done)(Task *task);
    void *user;

    /* Results. */
    bool finished;
    bool lost; /* the connection went, or the task was given up: nothing below is valid */
    uint8_t response, status;
    bool overflow, underflow;
    uint32_t residual;
    uint8_t sense[252];
    uint32_t sense_len;

    /* The session's. */
    Session *session;
    uint32_t itt;
    bool has_status;
    uint32_t received, in_burst, data_sn; /* Data-In */
    uint32_t solicited, sent, r2t_sn;     /* R2T and Data-Out */
    unsigned queued;                      /* PDUs with data so far */
    GQueue r2t_ends;                      /* what `queued` was after each open R2T was answered */
    unsigned unsent;                      /* queued PDUs that point into the buffer */
};

typedef struct {
    Url *url;
    const char *initiator;
    uint64_t isid;      /* 48 bits */
    uint16_t tsih;      /* 0 for a new session */
    const char *target; /* NULL: a discovery session */
    TextKeys *keys;     /* instead of or beside the usual offers; may be NULL. Not taken. */
    ChapOptions chap;   /* of the URL */
    WireOptions wire;   /* host and port are taken from the URL */
    bool quiet;         /* print no violations */
} SessionOptions;

struct Session {
    SessionOptions options;
    Wire *wire;
    Params params;
    ChapState chap;
    uint32_t send_limit;                              /* longest data segment the target takes */
    uint32_t cmd_sn, exp_cmd_sn, max_cmd_sn, stat_sn; /* stat_sn: the next one expected */
    uint32_t next_itt;
    uint16_t tsih;
    uint8_t login_class, login_detail; /* of the last Login Response */
    bool in_login, full_feature;
    bool manual_nop; /* leave the target's pings to the caller, in the inbox */
    bool manual_r2t; /* and its R2Ts */
    unsigned outstanding, violations, rejects;
    Task *slots[SESSION_SLOTS];
    GQueue waiting;  /* tasks the window does not admit yet */
    GQueue inbox;    /* PDUs that belong to no task, oldest first */
    GQueue draining; /* tasks with status whose data are still queued */
    GError *error;   /* why the connection is gone; NULL while it lives */
};

/* Fills in what most sessions want. */
void session_options_init(SessionOptions *options, Url *url);

/* Connects only; NULL and an error if that fails. The options' strings must outlive it. */
Session *session_connect(const SessionOptions *options, GError **error);
/* Connects and logs in. */
Session *session_open(const SessionOptions *options, GError **error);
/* Closes the connection at once. Takes NULL. Tasks under way are finished as lost. */
void session_free(Session *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)

/* Waits up to `timeout_ms` for something to happen. False once the connection is gone. */
bool session_turn(Session *session, int timeout_ms);

/* How many more commands the target's window admits. */
uint32_t session_window(const Session *session);
/* FIFO: starts at once, or when the window admits it. */
void session_submit(Session *session, Task *task);
/* Gives the task a tag and waits for its answers; the caller sends the PDUs. */
void session_expect(Session *session, Task *task);
/* Submits and turns until it is done. False: lost, or not done in time. */
bool session_run(Session *session, Task *task, int timeout_ms);
/* Forgets a task under way; it is finished as lost. */
void session_give_up(Session *session, Task *task);

/* The next free initiator task tag. */
uint32_t session_new_itt(Session *session);
/* Fills CmdSN (counting it, unless the PDU is immediate) and ExpStatSN in. */
void session_number(Session *session, Pdu *pdu);
/* session_number, then to the wire. */
void session_send(Session *session, Pdu *pdu);
/* Turns until a PDU with `opcode` is in the inbox, and takes it out. NULL: none in time. */
Pdu *session_await(Session *session, PduOpcode opcode, int timeout_ms);
/* Turns until the connection is gone. */
bool session_await_end(Session *session, int timeout_ms);

/* Answers a ping, or sends one: `ttt` PDU_NO_TAG asks for an answer. */
void session_nop_out(Session *session, uint32_t itt, uint32_t ttt, const void *data, uint32_t len);
/* Closes the session properly; true if the target agreed. */
bool session_logout(Session *session, int timeout_ms);

void session_put_lun(uint8_t *p, uint64_t lun);
G_GNUC_PRINTF(3, 4)
void session_violation(Session *session, const Pdu *pdu, const char *format, ...);
