/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes out: control-type PDUs as SENDs, SCSI data as RDMA WRITEs and READs. */
#include "core/base/bytes.h"
#include "iser/rdma/conn.h"

#include <errno.h>

#define HEADERS (ISER_HEADER_LEN + ISCSI_BHS_LEN)
#define SLOT    256 /* a message with sense data */
#define SLOT_BLOCK \
    (16 * 1024 - 64) /* cut into slots; below 16 KiB, where classes cost a page more */
#define TX_BLOCK 32

enum { SCSI_RESPONSE = 0x21, OPCODE_MASK = 0x3f };
enum { AT_FLAGS = 1, AT_DATA_LEN = 5, AT_ITT = 16 };
#define DATA_IN_STATUS 0x01

/* DmMove.transfer_tag while the move is out. */
enum { MOVE_WANTED = 0, MOVE_CANCELLED = 1 };

/* --- pools --------------------------------------------------------------------------------------
 */

static IserTx *tx_get(IserConn *conn)
{
    IserTransmit *pool = &conn->transmit;
    if (!pool->free) {
        IserTx *block = g_new0(IserTx, TX_BLOCK);
        g_ptr_array_add(pool->blocks, block);
        for (unsigned i = 0; i < TX_BLOCK; i++) {
            block[i].next = pool->free;
            pool->free = &block[i];
        }
    }
    IserTx *tx = pool->free;
    pool->free = tx->next;
    tx->conn = conn;
    tx->work.prompt = false;
    tx->work.wr.send_flags = 0;
    pool->busy++;
    return tx;
}

static void free_slot(IserTransmit *pool, uint8_t *slot)
{
    memcpy(slot, &pool->free_slots, sizeof pool->free_slots);
    pool->free_slots = slot;
}

static void tx_put(IserTx *tx)
{
    IserTransmit *pool = &tx->conn->transmit;
    if (tx->slot)
        free_slot(pool, tx->slot);
    arena_release(tx->conn->arena, tx->large, tx->large_size);
    tx->slot = tx->large = NULL;
    tx->move = NULL;
    tx->next = pool->free;
    pool->free = tx;
    pool->busy--;
}

static bool add_slots(IserTransmit *pool, IserConn *conn)
{
    uint8_t *block = arena_alloc(conn->arena, SLOT_BLOCK);
    if (!block)
        return false;
    g_ptr_array_add(pool->slot_blocks, block);
    for (size_t at = 0; at + SLOT <= SLOT_BLOCK; at += SLOT)
        free_slot(pool, block + at);
    return true;
}

bool iser_transmit_reserve(IserTransmit *pool, IserConn *conn, unsigned answers)
{
    while (pool->slot_blocks->len * (SLOT_BLOCK / SLOT) < answers)
        if (!add_slots(pool, conn))
            return false;
    return true;
}

/* Memory for a message of `len` bytes; NULL: none. */
static uint8_t *tx_message(IserTx *tx, size_t len)
{
    IserTransmit *pool = &tx->conn->transmit;
    if (len > SLOT) {
        tx->large_size = len;
        return tx->large = arena_alloc(tx->conn->arena, len);
    }
    if (!pool->free_slots && !add_slots(pool, tx->conn))
        return NULL;
    tx->slot = pool->free_slots;
    memcpy(&pool->free_slots, tx->slot, sizeof pool->free_slots);
    return tx->slot;
}

/* --- messages -----------------------------------------------------------------------------------
 */

static void message_done(Work *work, int error)
{
    IserTx *tx = (IserTx *)work;
    DmMove *move = tx->move;
    tx_put(tx);
    if (move)
        move->done(move, error != 0 ? -ECANCELED : 0);
}

/* The command's STag that its response should invalidate: one can be named; that of the data-in
 * first, as other targets do. */
static void invalidate(IserTx *tx, const IserPdu *command)
{
    const IserHeader *header = &command->header;
    if (!tx->conn->transmit.commands || (!header->read_valid && !header->write_valid))
        return;
    tx->work.wr.opcode = IBV_WR_SEND_WITH_INV;
    tx->work.wr.invalidate_rkey = header->read_valid ? header->read_stag : header->write_stag;
}

/* The move, if any, ends with the message; `answers`: the command it is the response of. */
static void submit_message(IserTx *tx, DmMove *move, const IserPdu *answers)
{
    tx->move = move;
    if (answers)
        invalidate(tx, answers);
    qp_submit(tx->conn->qp, &tx->work);
}

/* A SEND of `len` bytes, to be filled in; NULL: no memory. */
static IserTx *new_message(IserConn *conn, uint32_t len, uint8_t **message)
{
    IserTx *tx = tx_get(conn);
    *message = tx_message(tx, len);
    if (!*message) {
        tx_put(tx);
        return NULL;
    }
    tx->work.done = message_done;
    tx->work.wr.opcode = IBV_WR_SEND;
    tx->work.wr.num_sge = 1;
    tx->work.wr.send_flags = len <= qp_inline_max(conn->qp) ? IBV_SEND_INLINE : 0;
    tx->work.sge[0] = (struct ibv_sge){
        .addr = (uintptr_t)*message, .length = len, .lkey = device_lkey(conn->device, *message)};
    return tx;
}

static IserTx *new_pdu(IserConn *conn, const uint8_t *bhs, const void *data, uint32_t data_len)
{
    uint32_t padding = -data_len & 3;
    uint8_t *message;
    IserTx *tx = new_message(conn, HEADERS + data_len + padding, &message);
    if (!tx)
        return NULL;
    iser_header_encode(message);
    memcpy(message + ISER_HEADER_LEN, bhs, ISCSI_BHS_LEN);
    put_be24(message + ISER_HEADER_LEN + AT_DATA_LEN, data_len);
    if (data_len > 0)
        memcpy(message + HEADERS, data, data_len);
    memset(message + HEADERS + data_len, 0, padding);
    return tx;
}

static void no_memory(IserConn *conn)
{
    g_warning("iSER: no memory for an answer; the connection ends");
    conn->dm.dm->terminate(&conn->dm, DM_CLOSE_NOW);
}

static const IserPdu *find_command(const IserConn *conn, const uint8_t *bhs)
{
    if (!conn->transmit.commands || (bhs[0] & OPCODE_MASK) != SCSI_RESPONSE)
        return NULL;
    return g_hash_table_lookup(conn->transmit.commands, GUINT_TO_POINTER(get_be32(bhs + AT_ITT)));
}

/* Receives go first, so that the initiator's answer to this finds one. */
static void open_receives(IserConn *conn)
{
    if (conn->state == ISER_LOGIN && conn->login.posted == 0)
        iser_receive_post(&conn->login, conn, 1);
    if (conn->state != ISER_ALLOCATED)
        return;
    conn->state = ISER_FULL_FEATURE;
    iser_receive_post(&conn->receive, conn, conn->receive.count);
}

static void send_pdu(IserConn *conn, const uint8_t *bhs, const void *data, uint32_t data_len)
{
    IserTx *tx = new_pdu(conn, bhs, data, data_len);
    if (tx)
        submit_message(tx, NULL, find_command(conn, bhs));
    else
        no_memory(conn);
}

void iser_send_control(DmConn *dm, const uint8_t bhs[ISCSI_BHS_LEN], const void *data,
                       uint32_t data_len)
{
    IserConn *conn = (IserConn *)dm;
    if (!conn->qp || conn->closing)
        return;
    open_receives(conn);
    if (iser_flow_may_send(&conn->flow, bhs))
        send_pdu(conn, bhs, data, data_len);
}

void iser_send_held(IserConn *conn)
{
    uint8_t *bhs;
    while ((bhs = iser_flow_next(&conn->flow))) {
        send_pdu(conn, bhs, NULL, 0);
        g_free(bhs);
    }
}

void iser_send_hello_reject(IserConn *conn)
{
    uint8_t *message;
    IserTx *tx = new_message(conn, ISER_HEADER_LEN, &message);
    if (!tx)
        return;
    iser_hello_reject_encode(message);
    submit_message(tx, NULL, NULL);
}

/* --- data ----------------------------------------------------------------------------------------
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

static void data_done(Work *work, int error)
{
    IserTx *tx = (IserTx *)work;
    DmMove *move = tx->move;
    tx_put(tx);
    if (!move) /* not the last of its move, or the message behind it tells */
        return;
    if (error == 0 && move->transfer_tag == MOVE_CANCELLED)
        error = -ECANCELED;
    move->done(move, error);
}

/* Cuts the move into RDMA operations; the last one ends it if `ends`. */
static void submit_data(IserConn *conn, DmMove *move, enum ibv_wr_opcode opcode, uint32_t stag,
                        uint64_t address, bool ends)
{
    const DeviceCaps *caps = device_caps(conn->device);
    unsigned max_sge = opcode == IBV_WR_RDMA_READ ? caps->max_sge_read : caps->max_sge;
    Cursor cursor = {.iov = move->iov, .left = move->iovcnt};
    for (uint32_t at = 0, n; at < move->len; at += n) {
        IserTx *tx = tx_get(conn);
        tx->work.wr.opcode = opcode;
        n = fill(&tx->work, &cursor, MIN(move->len - at, caps->max_message), max_sge, conn->device);
        g_assert(n > 0); /* the move has memory for all of its length */
        tx->work.done = data_done;
        tx->work.wr.wr.rdma.rkey = stag;
        tx->work.wr.wr.rdma.remote_addr = address + at;
        if (ends && at + n == move->len) {
            tx->move = move;
            tx->work.prompt = opcode == IBV_WR_RDMA_READ; /* the store waits for it */
        }
        qp_submit(conn->qp, &tx->work);
    }
}

void iser_end_orphans(IserConn *conn)
{
    IserTransmit *tx = &conn->transmit;
    DmMove *move;
    loop_flush_cancel(conn->dm.loop, &tx->orphans_flush);
    while ((move = tx->orphans)) {
        tx->orphans = move->next;
        if (!tx->orphans)
            tx->tail = &tx->orphans;
        move->done(move, -ECANCELED);
    }
}

static void flush_orphans(LoopFlush *flush)
{
    iser_end_orphans((IserConn *)((char *)flush - offsetof(IserConn, transmit.orphans_flush)));
}

static void orphan(IserConn *conn, DmMove *move)
{
    move->next = NULL;
    *conn->transmit.tail = move;
    conn->transmit.tail = &move->next;
    loop_flush_later(conn->dm.loop, &conn->transmit.orphans_flush);
}

static bool cannot_move(const IserConn *conn)
{
    return !conn->qp || conn->closing;
}

static void put_data_and_response(IserConn *conn, DmMove *move)
{
    const IserPdu *command = (const IserPdu *)move->command;
    uint8_t bhs[ISCSI_BHS_LEN];
    iser_response_from_data_in(move->bhs, bhs);
    IserTx *response = new_pdu(conn, bhs, NULL, 0);
    if (!response) {
        no_memory(conn);
        orphan(conn, move);
        return;
    }
    submit_data(conn, move, IBV_WR_RDMA_WRITE, command->header.read_stag,
                command->header.read_base + move->offset, false);
    submit_message(response, move, command);
}

/* This is where the completion of a disk read becomes an RDMA WRITE, with the SCSI Response in the
 * same chain when it is the last one. */
void iser_put_data(DmConn *dm, DmMove *move)
{
    IserConn *conn = (IserConn *)dm;
    const IserPdu *command = (const IserPdu *)move->command;
    move->transfer_tag = MOVE_WANTED;
    if (cannot_move(conn) || (move->len > 0 && !command->header.read_valid))
        orphan(conn, move);
    else if (move->bhs[AT_FLAGS] & DATA_IN_STATUS)
        put_data_and_response(conn, move);
    else
        submit_data(conn, move, IBV_WR_RDMA_WRITE, command->header.read_stag,
                    command->header.read_base + move->offset, true);
}

void iser_get_data(DmConn *dm, DmMove *move)
{
    IserConn *conn = (IserConn *)dm;
    const IserPdu *command = (const IserPdu *)move->command;
    move->transfer_tag = MOVE_WANTED;
    if (cannot_move(conn) || !command->header.write_valid || move->offset < command->unsolicited)
        orphan(conn, move);
    else
        submit_data(conn, move, IBV_WR_RDMA_READ, command->header.write_stag,
                    command->header.write_base + move->offset - command->unsolicited, true);
}

void iser_cancel(DmConn *dm, DmMove *move)
{
    (void)dm;
    move->transfer_tag = MOVE_CANCELLED; /* the device may write to the memory until it is done */
}

/* --- commands to invalidate ----------------------------------------------------------------------
 */

void iser_command_begins(IserConn *conn, IserPdu *pdu)
{
    if (conn->transmit.commands)
        g_hash_table_insert(conn->transmit.commands,
                            GUINT_TO_POINTER(get_be32(pdu->pdu.bhs + AT_ITT)), pdu);
}

void iser_command_ends(IserConn *conn, IserPdu *pdu)
{
    gpointer tag = GUINT_TO_POINTER(get_be32(pdu->pdu.bhs + AT_ITT));
    /* the tag may be in use again already */
    if (conn->transmit.commands && g_hash_table_lookup(conn->transmit.commands, tag) == pdu)
        g_hash_table_remove(conn->transmit.commands, tag);
}

void iser_transmit_init(IserTransmit *tx)
{
    *tx = (IserTransmit){.blocks = g_ptr_array_new_with_free_func(g_free),
                         .slot_blocks = g_ptr_array_new(),
                         .orphans_flush.run = flush_orphans};
    tx->tail = &tx->orphans;
}

void iser_transmit_deinit(IserTransmit *tx, IserConn *conn)
{
    g_assert(tx->busy == 0 && !tx->orphans);
    for (unsigned i = 0; i < tx->slot_blocks->len; i++)
        arena_release(conn->arena, tx->slot_blocks->pdata[i], SLOT_BLOCK);
    g_ptr_array_unref(tx->slot_blocks);
    g_ptr_array_unref(tx->blocks);
    g_clear_pointer(&tx->commands, g_hash_table_unref);
}
