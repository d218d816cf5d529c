/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work requests and the memory of the information units that go out. */
#include "srp/channel.h"

#define SLOT       128              /* an IU */
#define SLOT_BLOCK (16 * 1024 - 64) /* below 16 KiB, where classes cost a page more */
#define TX_BLOCK   32

G_STATIC_ASSERT(SLOT >= SRP_RSP_MAX && SLOT >= SRP_AER_REQ_MAX);

SrpTx *srp_tx_get(SrpChannel *channel)
{
    SrpTransmit *pool = &channel->transmit;
    if (!pool->free) {
        SrpTx *block = g_new0(SrpTx, TX_BLOCK);
        g_ptr_array_add(pool->blocks, block);
        for (unsigned i = 0; i < TX_BLOCK; i++) {
            block[i].next = pool->free;
            pool->free = &block[i];
        }
    }
    SrpTx *tx = pool->free;
    pool->free = tx->next;
    tx->channel = channel;
    tx->work.prompt = false;
    tx->work.wr.send_flags = 0;
    pool->busy++;
    return tx;
}

static void free_slot(SrpTransmit *pool, uint8_t *slot)
{
    memcpy(slot, &pool->free_slots, sizeof pool->free_slots);
    pool->free_slots = slot;
}

static uint8_t *take_slot(SrpTransmit *pool)
{
    uint8_t *slot = pool->free_slots;
    if (slot)
        memcpy(&pool->free_slots, slot, sizeof pool->free_slots);
    return slot;
}

void srp_tx_put(SrpTx *tx)
{
    SrpTransmit *pool = &tx->channel->transmit;
    if (tx->slot)
        free_slot(pool, tx->slot);
    tx->slot = NULL;
    tx->move = NULL;
    tx->fetch = NULL;
    tx->next = pool->free;
    pool->free = tx;
    pool->busy--;
}

static bool add_slots(SrpChannel *channel)
{
    SrpTransmit *pool = &channel->transmit;
    uint8_t *block = arena_alloc(channel->arena, SLOT_BLOCK);
    if (!block)
        return false;
    g_ptr_array_add(pool->slot_blocks, block);
    for (size_t at = 0; at + SLOT <= SLOT_BLOCK; at += SLOT)
        free_slot(pool, block + at);
    return true;
}

bool srp_transmit_reserve(SrpChannel *channel, unsigned messages)
{
    while (channel->transmit.slot_blocks->len * (SLOT_BLOCK / SLOT) < messages)
        if (!add_slots(channel))
            return false;
    return true;
}

void srp_transmit_init(SrpTransmit *transmit)
{
    *transmit = (SrpTransmit){.blocks = g_ptr_array_new_with_free_func(g_free),
                              .slot_blocks = g_ptr_array_new()};
}

void srp_transmit_deinit(SrpChannel *channel)
{
    SrpTransmit *transmit = &channel->transmit;
    g_assert(transmit->busy == 0);
    for (unsigned i = 0; i < transmit->slot_blocks->len; i++)
        arena_release(channel->arena, transmit->slot_blocks->pdata[i], SLOT_BLOCK);
    g_ptr_array_unref(transmit->slot_blocks);
    g_ptr_array_unref(transmit->blocks);
}

/* --- sending ------------------------------------------------------------------------------------
 */

static void sent(Work *work, int error)
{
    SrpTx *tx = (SrpTx *)work;
    SrpChannel *channel = tx->channel;
    DataMove *move = tx->move;
    srp_tx_put(tx);
    if (move)
        move->done(move, error != 0 ? -ECANCELED : 0);
    if (channel->state == CHANNEL_CLOSING)
        srp_channel_settle(channel);
}

void srp_send(SrpChannel *channel, const uint8_t *iu, size_t len, bool solicited, DataMove *last)
{
    SrpTransmit *pool = &channel->transmit;
    g_assert(len <= SLOT);
    if (!pool->free_slots && !add_slots(channel)) {
        if (last)
            srp_orphan(channel, last);
        srp_channel_close(channel, "no memory for a response");
        return;
    }
    SrpTx *tx = srp_tx_get(channel);
    tx->slot = take_slot(pool);
    memcpy(tx->slot, iu, len);
    tx->move = last;
    tx->work.done = sent;
    tx->work.wr.opcode = IBV_WR_SEND;
    tx->work.wr.num_sge = 1;
    tx->work.wr.send_flags = (len <= qp_inline_max(channel->qp) ? IBV_SEND_INLINE : 0) |
                             (solicited ? IBV_SEND_SOLICITED : 0);
    tx->work.sge[0] = (struct ibv_sge){.addr = (uintptr_t)tx->slot,
                                       .length = (uint32_t)len,
                                       .lkey = device_lkey(channel->device, tx->slot)};
    qp_submit(channel->qp, &tx->work);
}
