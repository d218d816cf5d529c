/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SCSI data as RDMA WRITEs and READs: pieces of memory here against the initiator's descriptors. */
#include "srp/channel.h"

#include <errno.h>

/* DataMove.transport_private while the move is out. */
static char cancelled;

/* --- moves that cannot be made ------------------------------------------------------------------
 */

void srp_orphans_end(SrpChannel *channel)
{
    SrpOrphans *orphans = &channel->orphans;
    DataMove *move;
    loop_flush_cancel(channel->loop, &orphans->flush);
    while ((move = orphans->head)) {
        orphans->head = move->next;
        if (!orphans->head)
            orphans->tail = &orphans->head;
        move->done(move, -ECANCELED);
    }
    srp_channel_settle(channel);
}

static void run_orphans(LoopFlush *flush)
{
    srp_orphans_end((SrpChannel *)((char *)flush - offsetof(SrpChannel, orphans.flush)));
}

void srp_orphans_init(SrpChannel *channel)
{
    channel->orphans.tail = &channel->orphans.head;
    channel->orphans.flush.run = run_orphans;
}

void srp_orphan(SrpChannel *channel, DataMove *move)
{
    move->next = NULL;
    *channel->orphans.tail = move;
    channel->orphans.tail = &move->next;
    loop_flush_later(channel->loop, &channel->orphans.flush);
}

/* --- where --------------------------------------------------------------------------------------
 */

/* Where a move has got to in its list of memory. */
typedef struct {
    const struct iovec *iov;
    int left;      /* iovecs, that at hand included */
    size_t within; /* bytes of it done */
} Cursor;

/* Fills the work with the next pieces of memory; returns their bytes. */
static uint32_t fill(Work *work, Cursor *cursor, uint32_t limit, unsigned max_sge,
                     const Device *device)
{
    bool sink = work->wr.opcode == IBV_WR_RDMA_READ;
    uint32_t total = 0;
    unsigned n = 0;
    for (; cursor->left > 0 && n < max_sge && total < limit; n++) {
        uint8_t *base = (uint8_t *)cursor->iov->iov_base + cursor->within;
        uint32_t len = (uint32_t)MIN(cursor->iov->iov_len - cursor->within, limit - total);
        work->sge[n] = (struct ibv_sge){.addr = (uintptr_t)base,
                                        .length = len,
                                        .lkey = sink ? device_sink_lkey(device, base)
                                                     : device_lkey(device, base)};
        total += len;
        cursor->within += len;
        if (cursor->within == cursor->iov->iov_len) {
            cursor->iov++;
            cursor->left--;
            cursor->within = 0;
        }
    }
    work->wr.num_sge = (int)n;
    return total;
}

/* The initiator's memory from that byte of the data on, as far as one descriptor goes. */
static SrpDescriptor find_remote(const SrpBuffer *buffer, SrpPlace *place, uint64_t offset)
{
    if (offset < place->start)
        *place = (SrpPlace){0, 0};
    SrpDescriptor d = srp_buffer_descriptor(buffer, place->index);
    while (offset >= place->start + d.len) {
        place->start += d.len;
        d = srp_buffer_descriptor(buffer, ++place->index);
    }
    uint32_t within = (uint32_t)(offset - place->start);
    d.address += within;
    d.len -= within;
    return d;
}

/* --- moving -------------------------------------------------------------------------------------
 */

static void moved(Work *work, int error)
{
    SrpTx *tx = (SrpTx *)work;
    SrpChannel *channel = tx->channel;
    DataMove *move = tx->move;
    srp_tx_put(tx);
    if (move) { /* else not the last of its move, or the response behind it tells */
        if (error == 0 && move->transport_private == &cancelled)
            error = -ECANCELED;
        move->done(move, error);
    }
    if (channel->state == CHANNEL_CLOSING)
        srp_channel_settle(channel);
}

void srp_move_data(SrpCommand *command, DataMove *move, enum ibv_wr_opcode opcode, bool ends)
{
    bool read = opcode == IBV_WR_RDMA_READ;
    SrpChannel *channel = command->channel;
    const DeviceCaps *caps = device_caps(channel->device);
    const SrpBuffer *buffer = read ? &command->out : &command->in;
    SrpPlace *place = read ? &command->out_place : &command->in_place;
    Cursor cursor = {.iov = move->iov, .left = move->iovcnt};
    for (uint32_t at = 0, n; at < move->len; at += n) {
        SrpDescriptor remote = find_remote(buffer, place, (uint64_t)move->offset + at);
        uint32_t limit = MIN(MIN(move->len - at, caps->max_message), remote.len);
        SrpTx *tx = srp_tx_get(channel);
        tx->work.wr.opcode = opcode;
        n = fill(&tx->work, &cursor, limit, read ? caps->max_sge_read : caps->max_sge,
                 channel->device);
        g_assert(n > 0); /* the move has memory for all of its length */
        tx->work.done = moved;
        tx->work.wr.wr.rdma.rkey = remote.key;
        tx->work.wr.wr.rdma.remote_addr = remote.address;
        if (ends && at + n == move->len) {
            tx->move = move;
            tx->work.prompt = read; /* the store waits for it */
        }
        qp_submit(channel->qp, &tx->work);
    }
}

/* A buffer without descriptors is immediate data, all of which came with the command. */
static bool can_move(const SrpCommand *command, const SrpBuffer *buffer, const DataMove *move)
{
    return command->channel->state == CHANNEL_OPEN &&
           (move->len == 0 ||
            (buffer->count > 0 && (uint64_t)move->offset + move->len <= buffer->len));
}

void srp_put_data(Task *task, DataMove *move)
{
    SrpCommand *command = srp_command_of(task);
    move->transport_private = NULL;
    if (can_move(command, &command->in, move) && move->len > 0)
        srp_move_data(command, move, IBV_WR_RDMA_WRITE, true);
    else
        srp_orphan(command->channel, move);
}

void srp_get_data(Task *task, DataMove *move)
{
    SrpCommand *command = srp_command_of(task);
    move->transport_private = NULL;
    if (can_move(command, &command->out, move) && move->len > 0)
        srp_move_data(command, move, IBV_WR_RDMA_READ, true);
    else
        srp_orphan(command->channel, move);
}

void srp_cancel(Task *task, DataMove *move)
{
    (void)task;
    move->transport_private = &cancelled; /* the device may write to the memory until it is done */
}

/* --- descriptor tables --------------------------------------------------------------------------
 */

static void fetched(Work *work, int error)
{
    SrpTx *tx = (SrpTx *)work;
    SrpCommand *command = tx->fetch;
    SrpChannel *channel = tx->channel;
    srp_tx_put(tx);
    if (command)
        srp_command_fetched(command, error);
    if (channel->state == CHANNEL_CLOSING)
        srp_channel_settle(channel);
}

void srp_fetch_table(SrpCommand *command, const SrpBuffer *buffer, uint8_t *table)
{
    SrpChannel *channel = command->channel;
    SrpTx *tx = srp_tx_get(channel);
    tx->fetch = command;
    tx->work.done = fetched;
    tx->work.prompt = true;
    tx->work.wr.opcode = IBV_WR_RDMA_READ;
    tx->work.wr.wr.rdma.rkey = buffer->where.key;
    tx->work.wr.wr.rdma.remote_addr = buffer->where.address;
    tx->work.wr.num_sge = 1;
    tx->work.sge[0] = (struct ibv_sge){.addr = (uintptr_t)table,
                                       .length = buffer->where.len,
                                       .lkey = device_sink_lkey(channel->device, table)};
    qp_submit(channel->qp, &tx->work);
}
