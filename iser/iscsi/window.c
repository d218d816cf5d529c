/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command window: a ring of parked requests. */
#include "iser/iscsi/window.h"

#include "iser/iscsi/pdu.h"

/* Stands in the ring for a number that was skipped. */
static DmPdu skipped;

void cmd_window_init(CmdWindow *w, uint32_t first_cmd_sn, unsigned size, unsigned most)
{
    unsigned slots = 1;
    g_assert(size <= most);
    while (slots < most)
        slots *= 2;
    *w = (CmdWindow){
        .exp_cmd_sn = first_cmd_sn,
        .max_cmd_sn = first_cmd_sn + size - 1,
        .size = size,
        .mask = slots - 1,
        .parked = g_new0(DmPdu *, slots),
    };
}

void cmd_window_clear(CmdWindow *w)
{
    g_clear_pointer(&w->parked, g_free);
}

static bool in_window(const CmdWindow *w, uint32_t cmd_sn)
{
    return !serial_before(cmd_sn, w->exp_cmd_sn) && !serial_before(w->max_cmd_sn, cmd_sn);
}

WindowVerdict cmd_window_receive(CmdWindow *w, uint32_t cmd_sn, DmPdu *pdu)
{
    if (!in_window(w, cmd_sn))
        return WINDOW_DROP;
    if (cmd_sn == w->exp_cmd_sn) {
        w->exp_cmd_sn++;
        return WINDOW_DELIVER;
    }
    DmPdu **slot = &w->parked[cmd_sn & w->mask];
    if (*slot)
        return WINDOW_DROP;
    *slot = pdu;
    return WINDOW_PARKED;
}

DmPdu *cmd_window_next(CmdWindow *w)
{
    for (;;) {
        DmPdu **slot = &w->parked[w->exp_cmd_sn & w->mask];
        DmPdu *pdu = *slot;
        if (!pdu)
            return NULL;
        *slot = NULL;
        w->exp_cmd_sn++;
        if (pdu != &skipped)
            return pdu;
        cmd_window_open(w);
    }
}

void cmd_window_open(CmdWindow *w)
{
    w->max_cmd_sn++;
}

void cmd_window_grow(CmdWindow *w, unsigned n)
{
    g_assert(w->size + n <= w->mask + 1);
    w->size += n;
    w->max_cmd_sn += n;
}

void cmd_window_shrink(CmdWindow *w)
{
    w->size--;
}

bool cmd_window_skip(CmdWindow *w, uint32_t cmd_sn, DmPdu **pdu)
{
    *pdu = NULL;
    if (!in_window(w, cmd_sn))
        return false;
    DmPdu **slot = &w->parked[cmd_sn & w->mask];
    if (*slot != &skipped)
        *pdu = *slot;
    *slot = &skipped;
    return true;
}

DmPdu *cmd_window_drain(CmdWindow *w)
{
    for (unsigned i = 0; i <= w->mask; i++) {
        DmPdu *pdu = w->parked[i];
        w->parked[i] = NULL;
        if (pdu && pdu != &skipped)
            return pdu;
    }
    return NULL;
}
