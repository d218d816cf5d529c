/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An I_T nexus (SAM-5 4.7): one initiator port's relationship with one target port; its tasks, its
 * unit attentions, its task management. On its home loop. */
#pragma once

#include "core/mem/segment.h"
#include "core/scsi/target.h"
#include "core/scsi/task.h"

typedef enum {
    TMF_ABORT_TASK,
    TMF_ABORT_TASK_SET,
    TMF_CLEAR_TASK_SET,
    TMF_CLEAR_ACA,
    TMF_LOGICAL_UNIT_RESET,
    TMF_TARGET_WARM_RESET,
    TMF_TARGET_COLD_RESET,
    TMF_QUERY_TASK,
    TMF_QUERY_TASK_SET,
    TMF_I_T_NEXUS_RESET,
    TMF_QUERY_ASYNC_EVENT,
} TmfFunction;

/* SAM-5 7.1 service responses. */
typedef enum {
    TMF_COMPLETE,
    TMF_SUCCEEDED, /* a query that found something */
    TMF_TASK_NOT_FOUND,
    TMF_REJECTED, /* not supported, or writes did not return in time */
    TMF_INCORRECT_LUN,
} TmfResponse;

/* The nexus of an initiator port with a target; `initiator` is copied (SCSI device / port name for
 * messages and TransportIDs). `transport_id`/`transport_id_len`: SPC-4 7.6.4, copied. */
Nexus *nexus_new(ScsiTarget *target, Loop *home, Memory *memory, const char *initiator,
                 const uint8_t *transport_id, size_t transport_id_len);

/* Says through which target port the nexus goes: its relative target port identifier
 * (SPC-4 7.8.6.8), from 1, which is what it is without this. Before the first task; on the home
 * loop. */
void nexus_set_port(Nexus *nexus, uint16_t port);

/* What a transport may want to know; all members are required. On the home loop. */
typedef struct {
    /* LUNs came or went. Unit attentions tell it too, but only to who sends a command. */
    void (*luns_changed)(void *arg);
    /* Of a nexus that is being closed, once at most: what is left of it is with the stores of hung
     * LUNs, which answer BUSY until that is back. The initiator port may have a new nexus. */
    void (*only_hung_left)(void *arg);
} NexusEvents;
void nexus_watch(Nexus *nexus, const NexusEvents *events, void *arg);

/* Aborts, without an answer, the tasks that match() chooses: those of a connection that is gone
 * while the nexus stays. Each is released(), perhaps inside. */
void nexus_abort(Nexus *nexus, bool (*match)(const Task *task, void *arg), void *arg);

/* The initiator is about to hear that its nexus is gone: what that held back from others (RESERVE
 * (6), PREVENT) is theirs from now on. nexus_close() follows, later and in any case. */
void nexus_lost(Nexus *nexus);

/* Aborts every task (each is released()), then calls closed(arg) and frees the nexus. No answer is
 * sent for them, no other transport function than cancel and released is called. */
void nexus_close(Nexus *nexus, LoopFn closed, void *arg);

/* Runs a task management function; done comes once, on the home loop, possibly inside. The rule of
 * DESIGN.md section 7: complete only when no write of an aborted task can reach the store any more.
 * `tag` is for ABORT TASK and QUERY TASK. */
typedef void (*TmfDone)(TmfResponse response, void *arg);
void nexus_manage(Nexus *nexus, TmfFunction function, uint64_t lun, uint64_t tag, TmfDone done,
                  void *arg);

ScsiTarget *nexus_target(const Nexus *nexus);
Loop *nexus_loop(const Nexus *nexus);
const char *nexus_initiator(const Nexus *nexus);
unsigned nexus_task_count(const Nexus *nexus); /* submitted and not yet released */
