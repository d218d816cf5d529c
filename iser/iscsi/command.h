/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A SCSI command of an iSCSI session: the bridge between its PDUs and a Task (RFC 7143 11.3, 11.4,
 * 11.7). On the session's home loop. */
#pragma once

#include "core/scsi/task.h"
#include "iser/iscsi/pdu.h"

typedef struct IscsiSession IscsiSession;
typedef struct IscsiCommand IscsiCommand;
typedef struct IscsiMove IscsiMove;

typedef enum {
    MOVE_IDLE,
    MOVE_WAITING,   /* get_data: for unsolicited data, or for its turn behind another */
    MOVE_ON_WIRE,   /* the datamover has it */
    MOVE_COMPLETED, /* done() is to be called at the end of the round */
} MoveState;

/* A DataMove on its way through the datamover. */
struct IscsiMove {
    DmMove dm;
    MoveState state;
    int error; /* of MOVE_COMPLETED */
    IscsiCommand *command;
    DataMove *data;
    uint32_t filled;                    /* bytes that came as unsolicited data */
    struct iovec iov[SEGMENT_IOVS + 1]; /* the rest of data->iov */
    IscsiMove *next;                    /* completed or waiting */
};

/* RFC 7143 11.4.7.2: iSCSI conditions as sense data. */
enum {
    SENSE_UNEXPECTED_UNSOLICITED_DATA = SENSE_CODE(0xb, 0x0c, 0x0c),
    SENSE_INCORRECT_AMOUNT_OF_DATA = SENSE_CODE(0xb, 0x0c, 0x0d),
    SENSE_PROTOCOL_SERVICE_CRC = SENSE_CODE(0xb, 0x47, 0x05),
};

struct IscsiCommand {
    Task task;
    IscsiSession *session;
    DmPdu *pdu;
    uint32_t itt, edtl;
    bool numbered; /* holds a place in the window */
    /* Who still needs this command. */
    bool task_held;   /* the SCSI side */
    bool answer_held; /* respond() came before the last unsolicited Data-Out: 7143 4.2.5.2 */
    bool failing;     /* is being aborted to be answered with fail_code */
    bool forgotten;   /* see command_forget_orphans() */
    SenseCode fail_code;

    /* unsolicited data (unsolicited.c) */
    bool burst_over;    /* F was set: no more unsolicited data comes */
    uint32_t burst_end; /* bytes of data-out received unsolicited, immediate data included */
    uint32_t burst_sn;  /* the next DataSN */
    unsigned staged_count;
    DmPdu *staged, **staged_tail; /* Data-Out PDUs not consumed */
    uint32_t staged_at;           /* the offset in the command's data of the first staged byte */
    IscsiMove *waiting;           /* get_data in offset order */

    IscsiMove moves[TASK_TRANSFERS];
    IscsiCommand *next; /* in its hash bucket, or free */
};

/* Commands are preallocated: as many as the window may have, and some for immediate ones; and the
 * window once more for orphans. What is never used costs no memory. */
typedef struct {
    IscsiCommand *all, *free;
    IscsiCommand **buckets; /* by ITT */
    unsigned size, used_once, mask;
    unsigned in_use, limit; /* the window as it is now, and COMMANDS_IMMEDIATE */
    unsigned forgotten;     /* taken, and not in use any more */
    IscsiMove *completed, **completed_tail;
    LoopFlush flush; /* runs done() of `completed` */
} CommandPool;

#define COMMANDS_IMMEDIATE 16 /* most immediate commands at a time */

void command_pool_init(CommandPool *pool, unsigned most);
void command_pool_limit(CommandPool *pool, unsigned window);
void command_pool_clear(CommandPool *pool); /* every command is free (asserted) */

/* A SCSI Command PDU in its turn; keeps the PDU until the command ends. */
void command_receive(IscsiSession *session, DmPdu *pdu);
static inline IscsiCommand *command_of(Task *task)
{
    return (IscsiCommand *)((char *)task - offsetof(IscsiCommand, task));
}
IscsiCommand *command_by_itt(IscsiSession *session, uint32_t itt); /* NULL: none */
/* After the SCSI side has let go of everything: forgets commands that waited to be answered. */
void command_forget_held(IscsiSession *session);

/* Before a management function is answered: aborted reads whose buffers the store still has give
 * their tags back, and their places in the window as far as there are commands to spare. */
void command_forget_orphans(IscsiSession *session);

/* Aborts the task, then answers with CHECK CONDITION and this sense. */
void command_fail(IscsiCommand *command, SenseCode code);
/* The last unsolicited Data-Out has come: the answer that waited for it goes out. */
void command_burst_ended(IscsiCommand *command);
/* --- move.c ------------------------------------------------------------------------------------*/

/* Members of TaskTransport. */
void command_put_data(Task *task, DataMove *data);
void command_get_data(Task *task, DataMove *data);
void command_cancel(Task *task, DataMove *data);

/* A free move of the command, for this data. */
IscsiMove *command_move_take(IscsiCommand *command, DataMove *data);
/* Sends the data as Data-In, with the flags of its last PDU; status and residual count are for
 * DATA_IN_STATUS. */
void command_move_put(IscsiMove *move, uint8_t flags, uint8_t status, uint32_t residual_count);
/* Asks the initiator for the part of the move that is not filled. */
void command_move_to_wire(IscsiMove *move);
/* done(error) at the end of the round. */
void command_move_complete(IscsiMove *move, int error);
void command_run_completed(LoopFlush *flush); /* CommandPool.flush */

/* --- unsolicited.c -----------------------------------------------------------------------------*/

/* A Data-Out PDU that nobody asked for (11.7). Releases it in the end. */
void unsolicited_receive(IscsiSession *session, DmPdu *pdu);
/* One that was dropped for its digest: the command fails when its burst is over. */
void unsolicited_spoilt(IscsiSession *session, const uint8_t bhs[ISCSI_BHS_LEN]);
/* Starts a get_data of a command that has had, or expects, unsolicited data. */
void unsolicited_get(IscsiCommand *command, IscsiMove *move);
void unsolicited_release(IscsiCommand *command); /* what is staged */
