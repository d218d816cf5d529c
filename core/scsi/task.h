/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A SCSI task (SAM-5 4.5): one command from the moment a transport submits it until the transport
 * may forget it. Embedded in the transport's own command object; on the nexus's home loop only. */
#pragma once

#include "aio/aio.h"
#include "core/mem/segment.h"
#include "core/scsi/sense.h"

#include <glib.h>

typedef struct Task Task;
typedef struct Nexus Nexus;         /* nexus.h */
typedef struct Itl Itl;             /* itl.h */
typedef struct Command Command;     /* command.h */
typedef struct Claim Claim;         /* claim.h */
typedef struct Operation Operation; /* operation.h */
typedef struct Transfer Transfer;
typedef struct LunShard LunShard; /* shard.h */

#define TASK_CDB_MAX   32
#define TASK_TRANSFERS 2 /* segments of one command in motion at a time */

typedef enum { TASK_SIMPLE, TASK_ORDERED, TASK_HEAD_OF_QUEUE, TASK_ACA } TaskAttribute;

/* Data on its way between the initiator and memory: `iov` holds bytes [offset, offset + len) of the
 * command's data buffer (data-in for put_data, data-out for get_data), lent until done. */
typedef struct DataMove DataMove;
struct DataMove {
    uint32_t offset, len;    /* bytes */
    const struct iovec *iov; /* no piece is empty */
    int iovcnt;
    /* 0: moved (put: memory may be reused; get: all bytes are there); -errno: the connection is
     * gone or the move was cancelled. Called exactly once for every move, never inside the call
     * that started it. */
    void (*done)(DataMove *move, int error);
    DataMove *next;          /* the transport's, while it has the move */
    void *transport_private; /* the same */
};

/* What a transport does for a task. All are called on the home loop, all members are required. */
typedef struct {
    /* Moves data to / from the initiator. Several moves of one task may be out; they are in offset
     * order. Never fails at once: errors come by done(). */
    void (*put_data)(Task *task, DataMove *move);
    void (*get_data)(Task *task, DataMove *move);
    /* Makes done(-ECANCELED) come as soon as the transport can let go of the memory; the data that
     * may still arrive is dropped. Returns at once; done() may come inside it for a get_data. */
    void (*cancel)(Task *task, DataMove *move);
    /* Sends task->status, task->sense and the residual, with the last data (put_data's rules hold
     * for it) in one go when `last` is not NULL. Afterwards the SCSI side only waits for
     * last->done; then released() follows. */
    void (*respond)(Task *task, DataMove *last);
    /* The SCSI side has let go of the task and of everything that it was lent (immediate data): the
     * transport may free it once it is done with it too. The last call for every submitted task,
     * answered or aborted. */
    void (*released)(Task *task);
} TaskTransport;

typedef enum {
    TASK_IDLE,
    TASK_BLOCKED,   /* behind an ordered or head-of-queue task, or ordered itself */
    TASK_RUNNING,   /* memory, data motion and storage, see Transfer */
    TASK_RESPONDED, /* handed to respond() */
    TASK_ABORTED,   /* no answer will be sent; waits for what still holds its memory */
} TaskState;

typedef enum {
    TRANSFER_IDLE,
    TRANSFER_WAIT_MEMORY,
    TRANSFER_GET_DATA, /* initiator -> memory */
    TRANSFER_STORAGE,  /* the engine has it, or the LUN's gate holds it back */
    TRANSFER_READY,    /* holds data; waits for the transfers before it */
    TRANSFER_PUT_DATA, /* memory -> initiator */
} TransferState;

/* One segment of a command's data and where it is. What comes next is `then`: it is called when
 * the step under way has succeeded, and never for a task that failed or was aborted. */
struct Transfer {
    TransferState state;
    int iovcnt;
    Task *task;
    void (*then)(Transfer *transfer);
    void (*loaded)(Transfer *transfer); /* `then` of what comes after the memory for a read */
    uint32_t offset, len;               /* within the command's data; bytes */
    Segment segment;
    struct iovec iov[SEGMENT_IOVS + 1]; /* part of the segment, immediate data followed by
                                         * it, or without a segment what is to be sent */
    AioReq req;
    struct CacheHold *hold; /* slots of the cache in place of the segment; NULL: none, see
                             * cached_read.h */
    LunShard *shard;        /* whose store has the request */
    bool orphan;            /* it has, and nobody waits for what comes of it: hung.h */
    GList orphan_link;      /* in LunShard.orphans of `shard` */
    DataMove move;
};

/* Of a command that keeps something of its own while it runs. */
typedef struct {
    /* The request failed with req.res, and is over; task_fail*(), in place of what other commands
     * answer. */
    void (*store_failed)(Transfer *transfer);
    /* The task was aborted or has failed: no step follows those under way. Idle transfers need
     * nothing any more. */
    void (*stopped)(Task *task);
    /* The task is answered (TASK_RESPONDED, before the transport sends it) or, aborted, about to be
     * released: frees task->own. No transfer is with a store any more. */
    void (*ended)(Task *task);
} TaskOwnOps;

struct Task {
    /* --- filled by the transport before task_submit() --- */
    Nexus *nexus;
    const TaskTransport *transport;
    uint64_t tag; /* unique within the nexus */
    uint64_t lun; /* 8-byte LUN field as a big-endian number (SAM-5 4.7) */
    uint8_t cdb[TASK_CDB_MAX];
    unsigned cdb_len; /* bytes that the transport delivered */
    TaskAttribute attribute;
    uint32_t data_out_len; /* bytes the initiator has for us */
    uint32_t data_in_len;  /* bytes the initiator has room for */
    /* The first bytes of data-out that came with the command, in registered memory, lent until
     * released(). get_data is never asked for them. */
    const uint8_t *immediate;
    uint32_t immediate_len;

    /* --- results, valid in respond() --- */
    uint8_t status; /* SAM-5 5.3 */
    uint8_t sense[SENSE_MAX];
    unsigned sense_len;
    /* What the command wanted to move, which may differ from what the initiator offered:
     * residual = offered - wanted (underflow), or wanted - offered (overflow). */
    uint64_t data_out_wanted, data_in_wanted;

    /* --- the SCSI side's own; task_submit() initialises it --- */
    TaskState state;
    uint64_t arrived; /* loop_now() */
    Itl *itl;
    const Command *command;  /* NULL: no such command */
    unsigned busy;           /* transfers under way: what they hold keeps the task alive */
    bool failed;             /* the status is settled, and it is not GOOD */
    bool committing;         /* what it does cannot be taken back: an abort waits for its end */
    GList link;              /* in the I_T_L nexus's list of tasks */
    bool begun;              /* its command runs: it has not yet left the task set */
    Claim *claim;            /* on the blocks that it touches; NULL: none is needed */
    unsigned orphans;        /* transfers of it: hung.h */
    int64_t aborted_at;      /* monotonic, us */
    GSList *waiters;         /* management functions waiting for its writes, see tmf.h */
    Operation *operation;    /* the one that it has begun and waits for, see operation.h */
    uint64_t position, end;  /* bytes of the command's data begun, and all */
    uint64_t finished;       /* bytes sent to the initiator, or written, in order */
    uint64_t store_offset;   /* where byte 0 of the data lies in the store */
    unsigned store_flags;    /* AIO_FUA */
    SenseCode store_failure; /* reported for any error of the store; 0: what the error means */
    unsigned (*build)(Task *task, uint8_t *data); /* of a reply, see reply.h */
    void (*fetched)(Transfer *transfer);          /* of a parameter list */
    const TaskOwnOps *own_ops;                    /* NULL: it keeps nothing */
    void *own;
    Transfer transfers[TASK_TRANSFERS];
};

/* Aborted, and nothing is left of it but requests to the store that change nothing: whoever asked
 * for the abort may use its tag again. */
bool task_is_orphaned_read(const Task *task);

/* Starts the command; answers come by the transport's functions, possibly inside this call. */
void task_submit(Task *task);
