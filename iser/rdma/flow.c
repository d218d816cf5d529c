/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unexpected PDUs (RFC 7145 8.1): pings wait when the initiator has no receive for them; the others
 * carry a StatSN that must not be missed, and are rare. */
#include "core/base/bytes.h"
#include "iser/rdma/conn.h"

enum {
    NOP_OUT = 0x00,
    COMMAND = 0x01,
    NOP_IN = 0x20,
    ASYNC_MESSAGE = 0x32,
    REJECT = 0x3f,
    OPCODE_MASK = 0x3f
};
enum { AT_ITT = 16, AT_TTT = 20, AT_STAT_SN = 24, AT_EXP_STAT_SN = 28 };
#define NO_TAG 0xffffffffu

void iser_flow_init(IserFlow *flow)
{
    *flow = (IserFlow){.held = G_QUEUE_INIT};
}

void iser_flow_deinit(IserFlow *flow)
{
    g_queue_clear_full(&flow->held, g_free);
}

static bool is_ping(const uint8_t *bhs)
{
    return (bhs[0] & OPCODE_MASK) == NOP_IN && get_be32(bhs + AT_ITT) == NO_TAG;
}

/* It wants no answer: it tells an initiator that may send no command that it may again (the session
 * layer's only use), so the next command shows that it was received. */
static bool is_opening(const uint8_t *bhs)
{
    return is_ping(bhs) && get_be32(bhs + AT_TTT) == NO_TAG;
}

static bool is_notice(const uint8_t *bhs)
{
    uint8_t opcode = bhs[0] & OPCODE_MASK;
    return opcode == ASYNC_MESSAGE || opcode == REJECT;
}

static bool is_full(const IserFlow *flow)
{
    return flow->limit > 0 && flow->pings + flow->openings + flow->notices >= flow->limit;
}

static void count_ping(IserFlow *flow, const uint8_t *bhs)
{
    if (is_opening(bhs))
        flow->openings++;
    else
        flow->pings++;
}

bool iser_flow_may_send(IserFlow *flow, const uint8_t bhs[ISCSI_BHS_LEN])
{
    if (is_ping(bhs) && is_full(flow)) {
        g_queue_push_tail(&flow->held, g_memdup2(bhs, ISCSI_BHS_LEN));
        return false;
    }
    if (is_ping(bhs)) {
        count_ping(flow, bhs);
    } else if (is_notice(bhs)) {
        flow->notices++;
        flow->last_stat_sn = get_be32(bhs + AT_STAT_SN);
    }
    return true;
}

void iser_flow_received(IserFlow *flow, const uint8_t bhs[ISCSI_BHS_LEN])
{
    bool answer = (bhs[0] & OPCODE_MASK) == NOP_OUT && get_be32(bhs + AT_TTT) != NO_TAG;
    if (answer && flow->pings > 0)
        flow->pings--;
    if (bhs[0] == COMMAND) /* not an immediate one */
        flow->openings = 0;
    if (flow->notices > 0 && (int32_t)(get_be32(bhs + AT_EXP_STAT_SN) - flow->last_stat_sn) > 0)
        flow->notices = 0;
}

uint8_t *iser_flow_next(IserFlow *flow)
{
    if (is_full(flow) || g_queue_is_empty(&flow->held))
        return NULL;
    uint8_t *bhs = g_queue_pop_head(&flow->held);
    count_ping(flow, bhs);
    return bhs;
}
