/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session of any protocol, as those see it who only have SCSI commands to give. One thread;
 * nothing happens outside of nexus_turn and the calls that wait by turning. */
#pragma once

#include "tests/initiator/pdu.h"
#include "tests/initiator/text.h"
#include "tests/initiator/url.h"

typedef struct Nexus Nexus;
typedef struct Task Task;

/* A SCSI command, the caller's memory, lent from submit until `done`. */
struct Task {
    uint8_t cdb[16];
    uint64_t lun;
    uint8_t attribute; /* 0 untagged, 1 simple, 2 ordered, 3 head of queue */
    bool immediate;    /* iSCSI: the I bit */
    bool read, write;
    PduBuffer buffer; /* in the nexus's memory; its length is the expected transfer length */
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

    /* The protocol's. */
    union {
        struct { /* iSCSI */
            struct Session *session;
            uint32_t itt;
            bool has_status;
            uint32_t received, in_burst, data_sn; /* Data-In */
            uint32_t solicited, sent, r2t_sn;     /* R2T and Data-Out */
            unsigned queued;                      /* PDUs with data so far */
            GQueue r2t_ends; /* what `queued` was after each open R2T was answered */
            unsigned unsent; /* queued PDUs that point into the buffer */
        };
        struct { /* SRP */
            uint64_t tag;
            uint8_t solicit;    /* SCSOLNT and UCSOLNT */
            uint8_t management; /* the function of a TSK_MGMT; 0: a command */
            uint64_t subject;   /* its task's tag */
        };
    };
};

typedef struct {
    Url *url;
    TextKeys *keys;  /* what to agree on beside the usual; may be NULL */
    unsigned index;  /* of sessions that go on at the same time */
    unsigned depth;  /* commands outstanding at most */
    size_t arena;    /* bytes of data memory commands may use */
    bool invalidate; /* iSER: offer Send-with-Invalidate */
    bool quiet;      /* print no violations */
} NexusOptions;

typedef struct {
    uint8_t *(*memory)(Nexus *nexus);
    bool (*turn)(Nexus *nexus, int timeout_ms);
    void (*submit)(Nexus *nexus, Task *task);
    void (*give_up)(Nexus *nexus, Task *task);
    bool (*manage)(Nexus *nexus, uint64_t lun, int timeout_ms);
    bool (*log_out)(Nexus *nexus, int timeout_ms);
    void (*free)(Nexus *nexus);
} NexusOps;

struct Nexus {
    const NexusOps *ops;
    unsigned violations, rejects; /* breaches of the standard by the target; what it refused */
    GError *error;                /* why the connection is gone; NULL while it lives */
};

/* Connects and logs in, by the protocol of the URL; blocks. */
Nexus *nexus_open(const NexusOptions *options, GError **error);
/* Closes the connection at once. Takes NULL. Tasks under way are finished as lost. */
void nexus_free(Nexus *nexus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Nexus, nexus_free)

/* Memory for data, `arena` bytes; the nexus's. */
uint8_t *nexus_memory(Nexus *nexus);
/* Waits up to `timeout_ms` for something to happen. False once the connection is gone. */
bool nexus_turn(Nexus *nexus, int timeout_ms);
/* Turns until `*flag`; false when the connection ends or the time is over before. */
bool nexus_turn_until(Nexus *nexus, const bool *flag, int timeout_ms);
/* FIFO: starts at once, or when the target admits it. */
void nexus_submit(Nexus *nexus, Task *task);
/* Submits and turns until it is done. False: lost, or not done in time. */
bool nexus_run(Nexus *nexus, Task *task, int timeout_ms);
/* Has a task aborted that is not there, and over iSCSI a ping answered, beside whatever is under
 * way; turns until it is answered. False: not in time. */
bool nexus_manage(Nexus *nexus, uint64_t lun, int timeout_ms);
/* Ends the session properly; true if the target agreed. */
bool nexus_log_out(Nexus *nexus, int timeout_ms);
