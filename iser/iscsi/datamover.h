/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The datamover: what carries iSCSI PDUs and data for the session layer, after the operational
 * primitives of RFC 5047 section 4 and 5. TCP and iSER are two of them; the session layer never
 * asks which one it has. Everything here runs on the connection's home loop. */
#pragma once

#include "core/base/loop.h"
#include "core/mem/receive.h"
#include "core/mem/segment.h"
#include "iser/iscsi/params.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ISCSI_BHS_LEN 48

typedef struct Datamover Datamover;
typedef struct DmConn DmConn;
typedef struct DmPdu DmPdu;
typedef struct DmMove DmMove;

/* A received control-type PDU (RFC 5047 4.1); for a SCSI command it is also the "task resources" of
 * the datamover (RDMA: the advertised STags), so the session layer keeps it until the task ends.
 * The data lies in registered memory and is lent with the PDU. Embedded at the start of the
 * datamover's own type. */
struct DmPdu {
    DmConn *conn;
    uint8_t bhs[ISCSI_BHS_LEN];
    const uint8_t *ahs;
    uint32_t ahs_len; /* bytes, padding included */
    uint8_t *data;
    uint32_t data_len; /* bytes, padding not included */
    /* Data-In and R2T PDUs sent for this command, those still queued included (RFC 7143 11.4.8
     * ExpDataSN); the datamover counts, up to the return of put_data and the done of get_data. Zero
     * where the wire has no such PDUs. */
    uint32_t exp_data_sn;
    DmPdu *next; /* the session layer's */
};

/* One movement of SCSI data; the caller's until done. */
struct DmMove {
    DmPdu *command; /* the command this belongs to */
    /* put_data: a SCSI Data-In PDU as template: ITT, ExpCmdSN, MaxCmdSN; and on the last one F, and
     * perhaps S with StatSN, status and residual, which a datamover without phase collapse sends as
     * a SCSI Response. get_data: an R2T as template: ITT, LUN, StatSN, ExpCmdSN, MaxCmdSN. The
     * datamover fills in DataSN / R2TSN, buffer offset, lengths and TTT, and splits by
     * MaxRecvDataSegmentLength and MaxBurstLength where its wire needs that. */
    uint8_t bhs[ISCSI_BHS_LEN];
    uint32_t offset, len; /* in the command's data buffer; bytes */
    const struct iovec *iov;
    int iovcnt;
    /* Data_Completion_Notify: error 0 or -errno; exactly once for each move, never inside the call
     * that started it; after a put_data without error the memory is no longer read. -EBADMSG from a
     * get_data: the Data-Out PDUs broke their sequence or digest; the session layer fails the
     * command, the connection lives. */
    void (*done)(DmMove *move, int error);

    DmMove *next; /* the datamover's own */
    uint32_t moved;
    uint32_t transfer_tag;
};

typedef enum {
    DM_CLOSE_GRACEFUL, /* after everything already queued has gone out */
    DM_CLOSE_NOW,
} DmClose;

/* Operational primitives; all members required. A failing connection is never an error of these:
 * it comes as the terminated upcall. */
struct Datamover {
    const char *name; /* "tcp" or "iser", for logs and D-Bus */

    /* What this wire can and must have: narrows the target's offer before the login (an iSER
     * connection requires RDMAExtensions=Yes and no digests). */
    void (*limit_keys)(DmConn *conn, IscsiParams *offer);

    /* Allocate_Connection_Resources: before the last login response goes out. Window: how many SCSI
     * command PDUs the session layer may hold at once (receive resources reserved), besides
     * immediate ones and other control PDUs, to begin with; 0: refuse the login (03/02). */
    unsigned (*allocate)(DmConn *conn, const IscsiParams *negotiated);

    /* Enable_Datamover: called right after the last login response was given to send_control; from
     * then on the negotiated keys (digests, lengths) hold. Again in the full feature phase, when
     * the initiator has declared another MaxRecvDataSegmentLength. */
    void (*enable)(DmConn *conn, const IscsiParams *negotiated);

    /* Send_Control: bhs with all serial numbers set, data (copied) may be NULL. DataSegmentLength
     * is filled in by the datamover. Order among control PDUs and put_data is kept. */
    void (*send_control)(DmConn *conn, const uint8_t bhs[ISCSI_BHS_LEN], const void *data,
                         uint32_t data_len);

    void (*put_data)(DmConn *conn, DmMove *move);
    void (*get_data)(DmConn *conn, DmMove *move);
    /* done(-ECANCELED) as soon as the memory can be let go; data still arriving is dropped. Done
     * may be called inside. */
    void (*cancel)(DmConn *conn, DmMove *move);

    /* Deallocate_Task_Resources: the PDU and its data are not used any more; moves of it are done.
     */
    void (*release_pdu)(DmPdu *pdu);

    /* release_pdu of a SCSI command that has a place in the window. True: another may be sent for
     * it. False: sessions with less need its receive resources more, and the window is one smaller;
     * never below what the least allocate() gives. */
    bool (*retire)(DmPdu *command);

    /* The initiator has used up the window: by how much it is larger from now on; 0: there is no
     * more now. All together at most queue_depth, or what allocate() gave. */
    unsigned (*grow)(DmConn *conn);

    /* Connection_Terminate. The terminated upcall follows, never inside. Repeating is harmless, and
     * NOW overtakes GRACEFUL. */
    void (*terminate)(DmConn *conn, DmClose how);

    /* After terminated, when every PDU is released. */
    void (*free)(DmConn *conn);
};

/* Upcalls to the session layer; all members required. */
typedef struct {
    /* Control_Notify. The receiver must end it with release_pdu. Solicited Data-Out never comes
     * here; unsolicited Data-Out does (RFC 5047 4.1.2), PDUs with bad format do not (they end the
     * connection), unknown opcodes do. */
    void (*control)(DmConn *conn, DmPdu *pdu);
    /* A received PDU whose data digest is wrong, data dropped (RFC 7143 7.8): to be rejected. */
    void (*bad_digest)(DmConn *conn, const uint8_t bhs[ISCSI_BHS_LEN]);
    /* Connection_Terminate_Notify: the wire is gone, every move was done. PDUs that the session
     * layer holds stay valid until released. The last upcall. */
    void (*terminated)(DmConn *conn, const char *reason);
} DmUpcalls;

/* Common part of a connection, at the start of the datamover's own type. */
struct DmConn {
    const Datamover *dm;
    const DmUpcalls *up;
    void *session; /* the session layer's */
    Loop *loop;
    Memory *memory;
    struct sockaddr_storage local, peer;
};

/* What a listener does with an accepted connection, on the home loop: attaches the session layer
 * (sets up and session). The datamover starts to receive when it returns true; on false it closes.
 */
typedef bool (*DmAccepted)(DmConn *conn, void *arg);
