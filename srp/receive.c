/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The receive ring of a channel: one buffer per request that the initiator may send, and a few. */
#include "srp/channel.h"

#include "srp/session.h"

#define ALIGNMENT 512 /* of immediate data, so that it can be written to the store from here */

static SrpIu *iu_of(Recv *recv)
{
    return (SrpIu *)recv;
}

static void keep(SrpRing *ring, SrpIu *iu)
{
    iu->next = ring->free;
    ring->free = iu;
}

static void received(Recv *recv, int error, uint32_t len)
{
    SrpIu *iu = iu_of(recv);
    SrpRing *ring = &iu->channel->ring;
    ring->posted--;
    if (error != 0 || iu->channel->state == CHANNEL_CLOSING) {
        keep(ring, iu);
        return;
    }
    ring->lent++;
    iu->len = len;
    srp_channel_receive(iu);
}

/* --- buffers ------------------------------------------------------------------------------------
 */

static bool make_buffer(SrpChannel *channel)
{
    SrpRing *ring = &channel->ring;
    SrpIu *iu = ring->bare;
    uint8_t *buffer = iu ? arena_alloc(channel->arena, ring->size) : NULL;
    if (!buffer)
        return false;
    ring->bare = iu->next;
    ring->count++;
    *iu = (SrpIu){.channel = channel, .buffer = buffer, .recv.done = received};
    iu->recv.sge = (struct ibv_sge){
        .addr = (uintptr_t)(buffer + ring->pad),
        .length = (uint32_t)(ring->size - ring->pad),
        .lkey = device_lkey(channel->device, buffer),
    };
    keep(ring, iu);
    return true;
}

static void strip(SrpRing *ring, SrpIu *iu)
{
    iu->buffer = NULL;
    iu->next = ring->bare;
    ring->bare = iu;
}

static unsigned add_buffers(SrpChannel *channel, unsigned n)
{
    unsigned made = 0;
    while (made < n && make_buffer(channel))
        made++;
    return made;
}

static void post(SrpIu *iu)
{
    iu->channel->ring.posted++;
    qp_receive(iu->channel->qp, &iu->recv);
}

static void post_all(SrpRing *ring)
{
    SrpIu *iu;
    while ((iu = ring->free)) {
        ring->free = iu->next;
        post(iu);
    }
}

unsigned srp_ring_open(SrpChannel *channel, ReceiveBudget *budget, unsigned window, uint32_t iu_len,
                       unsigned immediate_offset)
{
    SrpRing *ring = &channel->ring;
    unsigned most = MIN(window + SRP_RESERVE, qp_recv_slots(channel->qp));
    size_t pad = immediate_offset > 0 ? -(size_t)immediate_offset & (ALIGNMENT - 1) : 0;
    if (most < SRP_LEAST_WINDOW + SRP_RESERVE)
        return 0;
    *ring = (SrpRing){.most = most, .pad = pad, .size = pad + iu_len};
    unsigned count =
        receive_share_take(&ring->share, budget, SRP_LEAST_WINDOW + SRP_RESERVE, most, ring->size);
    ring->ius = g_new0(SrpIu, most);
    for (unsigned i = most; i-- > 0;)
        strip(ring, &ring->ius[i]);
    if (count == 0 || add_buffers(channel, count) < count ||
        !srp_transmit_reserve(channel, 2 * count)) {
        srp_ring_close(channel);
        return 0;
    }
    post_all(ring);
    return count - SRP_RESERVE;
}

void srp_ring_close(SrpChannel *channel)
{
    SrpRing *ring = &channel->ring;
    g_assert(ring->posted == 0 && ring->lent == 0);
    for (unsigned i = 0; i < ring->most; i++)
        arena_release(channel->arena, ring->ius[i].buffer, ring->size);
    g_clear_pointer(&ring->ius, g_free);
    receive_share_leave(&ring->share);
    *ring = (SrpRing){0};
}

void srp_ring_unpost(SrpChannel *channel)
{
    SrpRing *ring = &channel->ring;
    ring->posted = 0;
    ring->free = NULL;
    for (unsigned i = 0; i < ring->most; i++)
        if (ring->ius[i].buffer)
            keep(ring, &ring->ius[i]);
}

static void drop_buffer(SrpChannel *channel, SrpIu *iu)
{
    SrpRing *ring = &channel->ring;
    arena_release(channel->arena, iu->buffer, ring->size);
    ring->count--;
    strip(ring, iu);
    srp_session_window_changed(channel, -1);
}

void srp_ring_release(SrpIu *iu, bool request)
{
    SrpChannel *channel = iu->channel;
    SrpRing *ring = &channel->ring;
    g_assert(ring->lent > 0);
    ring->lent--;
    if (channel->state == CHANNEL_CLOSING) {
        keep(ring, iu);
        return;
    }
    if (request && iu->buffer[ring->pad] == SRP_CMD && receive_share_shrink(&ring->share)) {
        drop_buffer(channel, iu);
        return;
    }
    post(iu);
    if (!request)
        return;
    channel->owed++;
    srp_channel_settle(channel);
}

void srp_ring_grow(SrpChannel *channel)
{
    SrpRing *ring = &channel->ring;
    unsigned more = receive_share_grow(&ring->share);
    if (more == 0)
        return;
    unsigned made =
        srp_transmit_reserve(channel, 2 * ring->share.held) ? add_buffers(channel, more) : 0;
    if (made < more)
        receive_share_return(&ring->share, more - made);
    post_all(ring);
    channel->owed += made;
    srp_session_window_changed(channel, (int)made);
    srp_channel_settle(channel);
}
