/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receive buffers: data behind the headers lies on a 512-byte boundary, so that it can be written
 * to the store from where it is. */
#include "core/base/bytes.h"
#include "iser/rdma/conn.h"

#include <errno.h>

#define HEADERS     (ISER_HEADER_LEN + ISCSI_BHS_LEN)
#define DATA_OFFSET 512 /* of data without AHS in a buffer */

enum { OPCODE_MASK = 0x3f, SCSI_COMMAND = 0x01, COMMAND_READ = 0x40, COMMAND_WRITE = 0x20 };
enum { AT_FLAGS = 1, AT_DATA_LEN = 5, AT_EDTL = 20 };

size_t iser_receive_size(uint32_t max_ahs, uint32_t max_data)
{
    return DATA_OFFSET + (size_t)max_ahs + ((max_data + 3) & ~(size_t)3);
}

/* --- what a message says -----------------------------------------------------------------------
 */

/* NULL, or what the initiator should have advertised for the command. */
static const char *check_command(const IserPdu *pdu)
{
    const uint8_t *bhs = pdu->pdu.bhs;
    uint32_t expected = get_be32(bhs + AT_EDTL);
    bool write = bhs[AT_FLAGS] & COMMAND_WRITE;
    if (write && pdu->pdu.data_len > expected)
        return "more immediate data than expected data transfer length";
    if (write && pdu->pdu.data_len < expected && !pdu->header.write_valid)
        return "SCSI command without an STag for its data-out";
    if (!write && (bhs[AT_FLAGS] & COMMAND_READ) && expected > 0 && !pdu->header.read_valid)
        return "SCSI command without an STag for its data-in";
    return NULL;
}

static const char *decode(IserPdu *pdu, uint32_t len)
{
    IserMessage message;
    const char *wrong =
        iser_message_decode((const uint8_t *)(uintptr_t)pdu->recv.sge.addr, len, &message);
    pdu->header = message.header;
    if (wrong)
        return wrong;
    memcpy(pdu->pdu.bhs, message.bhs, ISCSI_BHS_LEN);
    put_be24(pdu->pdu.bhs + AT_DATA_LEN, message.data_len);
    pdu->pdu.ahs = message.ahs;
    pdu->pdu.ahs_len = message.ahs_len;
    pdu->pdu.data = (uint8_t *)message.data;
    pdu->pdu.data_len = message.data_len;
    pdu->unsolicited = ((IserConn *)pdu->pdu.conn)->solicited_only ? message.data_len : 0;
    return (pdu->pdu.bhs[0] & OPCODE_MASK) == SCSI_COMMAND ? check_command(pdu) : NULL;
}

static void keep(IserPdu *pdu)
{
    pdu->next = pdu->pool->free;
    pdu->pool->free = pdu;
}

static void refuse(IserConn *conn, const IserPdu *pdu, const char *wrong)
{
    bool hello = pdu->header.type == ISER_HELLO;
    if (conn->closing)
        return;
    if (hello)
        iser_send_hello_reject(conn);
    iser_conn_violation(conn, wrong, hello ? DM_CLOSE_GRACEFUL : DM_CLOSE_NOW);
}

static void received(Recv *recv, int error, uint32_t len)
{
    IserPdu *pdu = (IserPdu *)((char *)recv - offsetof(IserPdu, recv));
    IserConn *conn = (IserConn *)pdu->pdu.conn;
    pdu->pool->posted--;
    const char *wrong = error == 0 ? decode(pdu, len) : NULL;
    if (error != 0 || wrong || conn->closing) {
        keep(pdu);
        if (wrong)
            refuse(conn, pdu, wrong);
        return;
    }
    pdu->pool->lent++;
    iser_flow_received(&conn->flow, pdu->pdu.bhs);
    iser_send_held(conn);
    if ((pdu->pdu.bhs[0] & OPCODE_MASK) == SCSI_COMMAND)
        iser_command_begins(conn, pdu);
    conn->dm.up->control(&conn->dm, &pdu->pdu);
}

/* --- buffers -----------------------------------------------------------------------------------
 */

static bool make_pdu(IserReceive *pool, IserConn *conn, IserPdu *pdu)
{
    uint8_t *buffer = arena_alloc(conn->arena, pool->size);
    if (!buffer)
        return false;
    pool->bare = pdu->next;
    *pdu = (IserPdu){.pdu.conn = &conn->dm, .pool = pool, .buffer = buffer};
    pdu->recv.done = received;
    pdu->recv.sge = (struct ibv_sge){
        .addr = (uintptr_t)(buffer + DATA_OFFSET - HEADERS),
        .length = (uint32_t)(pool->size - (DATA_OFFSET - HEADERS)),
        .lkey = device_lkey(conn->device, buffer),
    };
    keep(pdu);
    pool->count++;
    return true;
}

static void strip(IserReceive *pool, IserPdu *pdu)
{
    pdu->buffer = NULL;
    pdu->next = pool->bare;
    pool->bare = pdu;
}

void iser_receive_init(IserReceive *pool, unsigned most, size_t size)
{
    *pool = (IserReceive){.most = most, .size = size, .pdus = g_new0(IserPdu, most)};
    for (unsigned i = most; i-- > 0;)
        strip(pool, &pool->pdus[i]);
}

unsigned iser_receive_add(IserReceive *pool, IserConn *conn, unsigned n)
{
    unsigned made = 0;
    while (made < n && pool->bare && make_pdu(pool, conn, pool->bare))
        made++;
    return made;
}

void iser_receive_deinit(IserReceive *pool, IserConn *conn)
{
    g_assert(pool->posted == 0 && pool->lent == 0);
    for (unsigned i = 0; i < pool->most; i++)
        arena_release(conn->arena, pool->pdus[i].buffer, pool->size);
    g_clear_pointer(&pool->pdus, g_free);
    pool->most = pool->count = 0;
    pool->free = pool->bare = NULL;
}

static void post(IserPdu *pdu, IserConn *conn)
{
    pdu->pool->posted++;
    qp_receive(conn->qp, &pdu->recv);
}

void iser_receive_post(IserReceive *pool, IserConn *conn, unsigned n)
{
    for (IserPdu *pdu; n > 0 && (pdu = pool->free); n--) {
        pool->free = pdu->next;
        post(pdu, conn);
    }
}

void iser_receive_release(IserPdu *pdu)
{
    IserConn *conn = (IserConn *)pdu->pdu.conn;
    g_assert(pdu->pool->lent > 0);
    pdu->pool->lent--;
    if (pdu->pool->repost && conn->qp && !conn->closing)
        post(pdu, conn);
    else
        keep(pdu);
}

void iser_receive_drop(IserPdu *pdu)
{
    IserReceive *pool = pdu->pool;
    g_assert(pool->lent > 0);
    pool->lent--;
    pool->count--;
    arena_release(((IserConn *)pdu->pdu.conn)->arena, pdu->buffer, pool->size);
    strip(pool, pdu);
}

void iser_receive_unpost(IserReceive *pool)
{
    pool->free = NULL;
    pool->posted = 0;
    for (unsigned i = 0; i < pool->most; i++)
        if (pool->pdus[i].buffer)
            keep(&pool->pdus[i]);
}
