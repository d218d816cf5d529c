/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two sides of the iSCSI session layer, faked for its tests: a datamover that records what it
 * is given, and a SCSI side that keeps tasks until the test answers them. All on one loop. */
#pragma once

#include "core/scsi/nexus.h"
#include "iser/iscsi/pdu.h"
#include "iser/iscsi/portal.h"

#include <glib.h>

typedef struct {
    uint8_t bhs[ISCSI_BHS_LEN];
    uint8_t *data;
    uint32_t len;
    bool is_put; /* put_data: data is what was in the iovec */
} FakeSent;

typedef struct {
    DmConn base;
    GQueue sent;   /* FakeSent, oldest first */
    GQueue gets;   /* DmMove on the wire: get_data */
    GQueue puts;   /* DmMove on the wire: put_data */
    unsigned pdus; /* received and not released */
    unsigned window;
    unsigned more;   /* what the next grow() gives */
    unsigned scarce; /* how many of the next retire() give their place back */
    bool enabled, terminating, terminated, freed;
    IscsiParams negotiated;
} FakeConn;

/* Main loop, portal and what the daemon would be. */
typedef struct {
    Loop *loop;
    TransportHost host;
    IscsiPortal *portal;
    GPtrArray *records; /* SessionRecord that are there */
    GPtrArray *conns;   /* FakeConn, also those that are over */
    guint log_handler;
} Fake;

void fake_setup(Fake *fake, unsigned max_logins, unsigned login_timeout_ms);
void fake_teardown(Fake *fake); /* every connection is gone (asserted) */
void fake_run(Fake *fake);      /* until nothing is left to do */
/* Runs until the condition holds; false after five seconds. */
bool fake_wait(Fake *fake, bool (*condition)(void *arg), void *arg);

FakeConn *fake_connect(Fake *fake); /* NULL: refused */
/* One that is not handed to the session layer yet. */
FakeConn *fake_conn_new(Fake *fake, Loop *home);
void fake_hang_up(FakeConn *conn); /* the wire breaks */
/* A PDU from the initiator. */
void fake_receive(FakeConn *conn, const uint8_t bhs[ISCSI_BHS_LEN], const void *data, size_t len);
void fake_receive_ahs(FakeConn *conn, const uint8_t bhs[ISCSI_BHS_LEN], const void *ahs,
                      size_t ahs_len);
/* The next PDU that was sent; NULL: none. Valid until the one after the next. */
const FakeSent *fake_next(FakeConn *conn);
/* Ends the oldest get_data (filling it with `fill`) or put_data. */
void fake_end_get(FakeConn *conn, uint8_t fill, int error);
void fake_end_put(FakeConn *conn, int error);

extern uint16_t fake_cid; /* of login requests */
/* A login request; text has '\n' where the wire has NUL. */
void fake_login(FakeConn *conn, uint8_t flags, uint64_t isid, uint16_t tsih, const char *text);
/* Logs in to a target in one request; true: full feature phase. */
bool fake_login_to(Fake *fake, FakeConn *conn, const char *initiator, uint64_t isid,
                   const char *target, const char *keys);
LoginStatus fake_login_status(const FakeSent *sent);

/* --- SCSI --- */

extern ScsiTarget *const fake_scsi_target; /* never looked into */

extern GQueue fake_tasks;     /* Task, in the order of submission */
extern bool fake_abort_hangs; /* nexus_manage and nexus_close wait for fake_finish_aborts() */
extern bool fake_orphans;     /* aborted tasks stay, as reads do that the disk has */
extern unsigned fake_nexuses;
extern unsigned fake_port;         /* relative target port of the last nexus */
extern unsigned fake_nexuses_lost; /* that others were given the reservations of */
extern TmfFunction fake_last_function;
void fake_finish_aborts(void);
/* Tells the nexus that was made first. */
void fake_luns_changed(void);
/* Tells the nexus whose end hangs. */
void fake_only_hung_left(void);
/* Answers the oldest task without data and releases it. */
void fake_respond(uint8_t status, const void *sense, unsigned sense_len);
/* The oldest task: sends len bytes as its last data, with GOOD; released when they have gone. */
void fake_respond_data(DataMove *move, const void *data, uint32_t len);
void fake_get(Task *task, DataMove *move, uint32_t offset, void *into, uint32_t len);
extern GQueue fake_moved; /* DataMove whose done() has come, with error in transport_private */
