/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session in the full feature phase (RFC 7143 section 4.2 and 7): one connection, its numbers,
 * its requests. On the connection's home loop. */
#pragma once

#include "core/daemon/transport.h"
#include "core/scsi/nexus.h"
#include "iser/iscsi/command.h"
#include "iser/iscsi/keys.h"
#include "iser/iscsi/text.h"
#include "iser/iscsi/tmf.h"
#include "iser/iscsi/window.h"

typedef struct IscsiSession IscsiSession;

/* What a session asks of its connection; all are required. */
typedef struct {
    /* Ends the connection; later (never inside) session_close() is called. */
    void (*close)(void *arg, DmClose how);
    /* SendTargets of this value: session_targets() is called later with the answer. */
    void (*find_targets)(void *arg, const char *which);
    /* Drops every session of the target (TARGET COLD RESET). */
    void (*drop_all)(void *arg);
    /* While it is being closed: what is left of it does not stand in the way of a new session of
     * the same initiator port (NexusEvents.only_hung_left). */
    void (*only_hung_left)(void *arg);
} SessionOwner;

typedef struct {
    DmConn *dm;
    const IscsiParams *params; /* negotiated; copied */
    unsigned window;           /* SCSI commands, to begin with */
    uint32_t cmd_sn, stat_sn;  /* the next expected, the next to send */
    uint16_t cid;
    ScsiTarget *target;   /* NULL: a discovery session */
    uint16_t target_port; /* relative target port identifier */
    const char *initiator;
    const uint8_t *isid;   /* 6 bytes */
    SessionRecord *record; /* whose counters are written; NULL in a discovery session */
    const SessionOwner *owner;
    void *owner_arg;
} SessionSpec;

struct IscsiSession {
    DmConn *dm;
    IscsiParams params;
    uint16_t cid;
    Nexus *nexus; /* NULL: a discovery session */
    SessionRecord *record;
    const SessionOwner *owner;
    void *owner_arg;

    CmdWindow window;
    uint32_t stat_sn;  /* of the next response */
    uint32_t told_max; /* the MaxCmdSN sent last */
    bool quiet;        /* logged out, or failed: nothing more is sent */
    CommandPool commands;
    TmfList tmfs;

    /* the text exchange under way (text_phase.c) */
    TextCollector text_in;
    TextWriter text_out;
    size_t text_sent;  /* bytes of text_out */
    uint32_t text_itt; /* of the latest request */
    uint32_t text_ttt; /* ISCSI_NO_TAG: no exchange to continue */
    bool text_final;   /* that request had F */
    bool text_waiting; /* for session_targets() */
    uint32_t next_ttt;

    /* keep-alive and logout (session.c) */
    bool heard; /* something came since the last look */
    GSource *nop_timer, *deadline;

    LoopFn closed;
    void *closed_arg;
};

IscsiSession *session_new(const SessionSpec *spec);
/* After the wire is gone: aborts everything, then calls closed(arg), possibly inside; then
 * session_free() may follow. */
void session_close(IscsiSession *session, LoopFn closed, void *arg);
void session_free(IscsiSession *session); /* closed */

/* A PDU in the full feature phase; the session releases it. */
void session_receive(IscsiSession *session, DmPdu *pdu);
void session_bad_digest(IscsiSession *session, const uint8_t bhs[ISCSI_BHS_LEN]);
/* The answer to find_targets: text, copied. */
void session_targets(IscsiSession *session, const void *text, size_t len);
/* Asks the initiator to log out, and drops the connection when it does not (11.9.1). */
void session_ask_logout(IscsiSession *session);

/* --- for the files of the session --------------------------------------------------------------*/

/* Fills in StatSN (the next, not used up), ExpCmdSN and MaxCmdSN. */
void session_stamp(IscsiSession *session, uint8_t bhs[ISCSI_BHS_LEN]);
/* Stamps, uses up a StatSN, and sends. Nothing when quiet. */
void session_send(IscsiSession *session, uint8_t bhs[ISCSI_BHS_LEN], const void *data, size_t len);
void session_reject(IscsiSession *session, RejectReason reason, const uint8_t *offender);
/* Ends the session for an error of the initiator. */
void session_fail(IscsiSession *session, const char *why);
/* Most bytes of data a PDU to this initiator may carry. */
size_t session_send_limit(const IscsiSession *session);
/* A numbered command is finished: releases its PDU. */
void session_retire(IscsiSession *session, DmPdu *pdu);
/* Delivers what is parked and in turn now, and starts task management that waited for it. */
void session_advance(IscsiSession *session);

/* A Text Request (text_phase.c). */
void session_text_request(IscsiSession *session, DmPdu *pdu);
void session_text_init(IscsiSession *session);
void session_text_clear(IscsiSession *session);
