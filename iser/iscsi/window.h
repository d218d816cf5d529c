/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command window of a session (RFC 7143 4.2.2.1): which CmdSN may come, delivery in order, and
 * what arrived ahead of its turn. */
#pragma once

#include "iser/iscsi/datamover.h"

typedef struct {
    uint32_t exp_cmd_sn, max_cmd_sn; /* neither ever goes back */
    unsigned size;                   /* places: numbers on offer, and requests that have theirs */
    unsigned mask;
    DmPdu **parked; /* by CmdSN & mask */
} CmdWindow;

typedef enum {
    WINDOW_DELIVER, /* its turn: ExpCmdSN has advanced */
    WINDOW_PARKED,  /* the window holds it until cmd_window_next() */
    WINDOW_DROP,    /* outside, or there already: to be ignored (4.2.2.1) */
} WindowVerdict;

/* Of `size` places, which may become `most`. */
void cmd_window_init(CmdWindow *window, uint32_t first_cmd_sn, unsigned size, unsigned most);
/* Nothing may be parked: take it out with cmd_window_drain(). */
void cmd_window_clear(CmdWindow *window);

/* A numbered, non-immediate request has arrived. */
WindowVerdict cmd_window_receive(CmdWindow *window, uint32_t cmd_sn, DmPdu *pdu);
/* The parked request whose turn has come, or NULL; ExpCmdSN advances past it. */
DmPdu *cmd_window_next(CmdWindow *window);
/* A delivered request is finished: one more may come. */
void cmd_window_open(CmdWindow *window);
/* Another n places. */
void cmd_window_grow(CmdWindow *window, unsigned n);
/* Instead of cmd_window_open(): its place is gone. */
void cmd_window_shrink(CmdWindow *window);

/* Counts a request that has not been delivered as received (11.5.5: ABORT TASK of a command on its
 * way). False: the number is not in the window. A parked PDU is handed back in `pdu` (else NULL).
 */
bool cmd_window_skip(CmdWindow *window, uint32_t cmd_sn, DmPdu **pdu);

/* Any parked request, out of turn; NULL: none is left. */
DmPdu *cmd_window_drain(CmdWindow *window);
