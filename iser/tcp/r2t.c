/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Solicited data: slots of moves that wait for Data-Out. A Target Transfer Tag is made of a slot,
 * its generation and the burst within the move, so that the one expected next follows from how
 * much has come: data arrives in order (DataPDUInOrder and DataSequenceInOrder are always Yes). */
#include "iser/tcp/r2t.h"

#include "iser/tcp/bhs.h"
#include "iser/tcp/conn.h"

#include <errno.h>

#define SLOT_BITS       12u
#define GENERATION_BITS 12u
#define BURST_BITS      8u
#define SLOTS_MAX       (1u << SLOT_BITS)
#define SLOTS_STEP      64u
/* The last value is left out, so no tag is ISCSI_NO_TAG. */
#define GENERATIONS   ((1u << GENERATION_BITS) - 1)
#define BURST_MASK    ((1u << BURST_BITS) - 1)
#define NO_GENERATION GENERATIONS
#define NO_SLOT       SLOTS_MAX

struct TcpR2tSlot {
    DmMove *move;
    uint32_t asked;   /* bytes of the move that R2Ts were sent for */
    uint32_t data_sn; /* expected next in the burst */
    unsigned generation;
    unsigned cancelled; /* generation that was cancelled last, or NO_GENERATION */
    unsigned next_free;
    bool spoilt;
};

void tcp_r2ts_init(TcpR2ts *r2ts)
{
    *r2ts = (TcpR2ts){.first_free = NO_SLOT, .last_free = NO_SLOT};
}

void tcp_r2ts_deinit(TcpR2ts *r2ts)
{
    g_assert(r2ts->used == 0);
    g_free(r2ts->slots);
}

static void append_free(TcpR2ts *r2ts, unsigned index)
{
    r2ts->slots[index].next_free = NO_SLOT;
    if (r2ts->first_free == NO_SLOT)
        r2ts->first_free = index;
    else
        r2ts->slots[r2ts->last_free].next_free = index;
    r2ts->last_free = index;
}

static void grow(TcpR2ts *r2ts)
{
    unsigned made = r2ts->made + SLOTS_STEP;
    g_assert(made <= SLOTS_MAX);
    r2ts->slots = g_renew(TcpR2tSlot, r2ts->slots, made);
    for (; r2ts->made < made; r2ts->made++) {
        r2ts->slots[r2ts->made] = (TcpR2tSlot){.cancelled = NO_GENERATION};
        append_free(r2ts, r2ts->made);
    }
}

static unsigned take_slot(TcpR2ts *r2ts)
{
    if (r2ts->first_free == NO_SLOT)
        grow(r2ts);
    unsigned index = r2ts->first_free;
    r2ts->first_free = r2ts->slots[index].next_free;
    r2ts->used++;
    return index;
}

static void give_slot(TcpR2ts *r2ts, unsigned index)
{
    TcpR2tSlot *slot = &r2ts->slots[index];
    slot->move = NULL;
    slot->generation = (slot->generation + 1) % GENERATIONS;
    append_free(r2ts, index);
    r2ts->used--;
}

static unsigned tag_slot(uint32_t tag)
{
    return tag >> (GENERATION_BITS + BURST_BITS);
}

static unsigned tag_generation(uint32_t tag)
{
    return (tag >> BURST_BITS) & ((1u << GENERATION_BITS) - 1);
}

static uint32_t burst_of(const TcpConn *conn, uint32_t offset)
{
    return offset / conn->limits.max_burst;
}

static uint32_t tag_of_burst(const DmMove *move, uint32_t burst)
{
    return move->transfer_tag | (burst & BURST_MASK);
}

static TcpR2tSlot *slot_of(const TcpConn *conn, const DmMove *move)
{
    return &conn->r2ts.slots[tag_slot(move->transfer_tag)];
}

static void send_r2t(TcpConn *conn, TcpR2tSlot *slot)
{
    const DmMove *move = slot->move;
    TcpPdu *command = (TcpPdu *)move->command;
    uint32_t len = MIN(conn->limits.max_burst, move->len - slot->asked);
    uint8_t bhs[ISCSI_BHS_LEN];
    memcpy(bhs, move->bhs, sizeof bhs);
    bhs[PDU_FLAGS] = PDU_FINAL;
    /* Those of the template may be of long ago. */
    put_be32(bhs + PDU_STAT_SN, conn->tx.serials.stat_sn);
    put_be32(bhs + PDU_EXP_CMD_SN, conn->tx.serials.exp_cmd_sn);
    put_be32(bhs + PDU_MAX_CMD_SN, conn->tx.serials.max_cmd_sn);
    put_be32(bhs + PDU_TTT, tag_of_burst(move, burst_of(conn, slot->asked)));
    put_be32(bhs + R2T_SN, command->base.exp_data_sn++);
    put_be32(bhs + DATA_OFFSET, move->offset + slot->asked);
    put_be32(bhs + R2T_DESIRED_LENGTH, len);
    slot->asked += len;
    command->open_r2ts++;
    tcp_tx_send_control(conn, bhs, NULL, 0);
}

/* Sends the R2Ts of a command that may be open now: in the order of its data, and as many as
 * MaxOutstandingR2T allows the command, however many moves it has. */
static void ask(TcpConn *conn, TcpPdu *command)
{
    if (conn->state != TCP_OPEN)
        return;
    for (const DmMove *move = command->gets; move; move = move->next) {
        TcpR2tSlot *slot = slot_of(conn, move);
        if (slot->spoilt)
            return;
        while (slot->asked < move->len) {
            if (command->open_r2ts == conn->limits.max_r2t)
                return;
            send_r2t(conn, slot);
        }
    }
}

static void append_get(TcpPdu *command, DmMove *move)
{
    DmMove **at = &command->gets;
    while (*at)
        at = &(*at)->next;
    move->next = NULL;
    *at = move;
}

static void remove_get(TcpPdu *command, DmMove *move)
{
    DmMove **at = &command->gets;
    while (*at != move)
        at = &(*at)->next;
    *at = move->next;
}

void tcp_r2t_start(TcpConn *conn, DmMove *move)
{
    g_assert(move->len > 0);
    unsigned index = take_slot(&conn->r2ts);
    TcpR2tSlot *slot = &conn->r2ts.slots[index];
    slot->move = move;
    slot->asked = slot->data_sn = 0;
    slot->spoilt = false;
    move->moved = 0;
    move->transfer_tag = (uint32_t)index << (GENERATION_BITS + BURST_BITS) | slot->generation
                                                                                 << BURST_BITS;
    tcp_tx_note_serials(&conn->tx, move->bhs);
    append_get((TcpPdu *)move->command, move);
    ask(conn, (TcpPdu *)move->command);
}

/* Bursts asked for that have not come whole. */
static unsigned open_bursts(const TcpConn *conn, const TcpR2tSlot *slot)
{
    if (slot->move->moved == slot->asked)
        return 0;
    return burst_of(conn, slot->asked - 1) - burst_of(conn, slot->move->moved) + 1;
}

static void finish(TcpConn *conn, TcpR2tSlot *slot, int error)
{
    DmMove *move = slot->move;
    TcpPdu *command = (TcpPdu *)move->command;
    command->open_r2ts -= open_bursts(conn, slot);
    remove_get(command, move);
    give_slot(&conn->r2ts, tag_slot(move->transfer_tag));
    ask(conn, command);
    move->done(move, error);
}

void tcp_r2t_cancel(TcpConn *conn, DmMove *move)
{
    TcpR2tSlot *slot = slot_of(conn, move);
    g_assert(slot->move == move);
    slot->cancelled = slot->generation;
    tcp_rx_forget(conn, move);
    finish(conn, slot, -ECANCELED);
}

void tcp_r2t_abandon_all(TcpConn *conn)
{
    for (unsigned i = 0; i < conn->r2ts.made; i++)
        if (conn->r2ts.slots[i].move)
            finish(conn, &conn->r2ts.slots[i], -ECONNRESET);
}

/* Where the burst ends that the next byte belongs to; in the move. */
static uint32_t burst_end(const TcpConn *conn, const TcpR2tSlot *slot)
{
    uint32_t max_burst = conn->limits.max_burst;
    uint64_t end = ((uint64_t)burst_of(conn, slot->move->moved) + 1) * max_burst;
    return (uint32_t)MIN(end, slot->asked);
}

static bool expected(const TcpConn *conn, const TcpR2tSlot *slot, const uint8_t *bhs)
{
    const DmMove *move = slot->move;
    uint32_t end = burst_end(conn, slot), len = bhs_data_len(bhs);
    return pdu_itt(bhs) == pdu_itt(move->bhs) && move->moved < end && len <= end - move->moved &&
           pdu_ttt(bhs) == tag_of_burst(move, burst_of(conn, move->moved)) &&
           get_be32(bhs + DATA_OFFSET) == move->offset + move->moved &&
           pdu_final(bhs) == (move->moved + len == end);
}

TcpR2tMatch tcp_r2t_match(TcpConn *conn, const uint8_t *bhs, DmMove **move, IovCursor *to)
{
    uint32_t tag = pdu_ttt(bhs);
    if (tag_slot(tag) >= conn->r2ts.made)
        return TCP_R2T_VIOLATION;
    const TcpR2tSlot *slot = &conn->r2ts.slots[tag_slot(tag)];
    if (!slot->move || tag_generation(tag) != slot->generation)
        return tag_generation(tag) == slot->cancelled ? TCP_R2T_CANCELLED : TCP_R2T_VIOLATION;
    if (!expected(conn, slot, bhs))
        return TCP_R2T_VIOLATION;
    *move = slot->move;
    *to = (IovCursor){slot->move->iov, 0};
    iov_cursor_advance(to, slot->move->moved);
    return TCP_R2T_LIVE;
}

void tcp_r2t_arrived(TcpConn *conn, DmMove *move, const uint8_t *bhs, bool spoilt)
{
    TcpR2tSlot *slot = slot_of(conn, move);
    TcpPdu *command = (TcpPdu *)move->command;
    uint32_t data_sn = get_be32(bhs + DATA_SN);
    slot->spoilt |= spoilt || data_sn != slot->data_sn;
    slot->data_sn = data_sn + 1;
    move->moved += bhs_data_len(bhs);
    if (pdu_final(bhs)) {
        slot->data_sn = 0;
        command->open_r2ts--;
    }
    if (slot->spoilt && move->moved == slot->asked)
        finish(conn, slot, -EBADMSG);
    else if (move->moved == move->len)
        finish(conn, slot, 0);
    else if (pdu_final(bhs))
        ask(conn, command);
}
