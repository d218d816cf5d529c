/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Received PDUs of a connection: a pool that grows to the window, data in arena buffers. */
#include "iser/tcp/pdu.h"

#include "iser/tcp/bhs.h"
#include "iser/tcp/conn.h"

#define SLAB_PDUS 32u

void tcp_pdu_pool_init(TcpPduPool *pool, unsigned limit, size_t quota)
{
    *pool = (TcpPduPool){
        .slabs = g_ptr_array_new_with_free_func(g_free), .limit = limit, .quota = quota};
}

void tcp_pdu_pool_deinit(TcpPduPool *pool)
{
    g_assert(pool->used == 0 && pool->held == 0);
    g_ptr_array_unref(pool->slabs);
}

static void grow(TcpPduPool *pool)
{
    TcpPdu *slab = g_new(TcpPdu, SLAB_PDUS);
    g_ptr_array_add(pool->slabs, slab);
    for (unsigned i = 0; i < SLAB_PDUS; i++) {
        slab[i].next = pool->free;
        pool->free = &slab[i];
    }
    pool->made += SLAB_PDUS;
}

/* SCSI data goes where engines and devices can use it in place; everything else must not wait for
 * that memory. */
static bool needs_arena(const uint8_t *bhs)
{
    IscsiOpcode opcode = pdu_opcode(bhs);
    return opcode == ISCSI_SCSI_COMMAND || opcode == ISCSI_DATA_OUT;
}

static bool allocate_data(TcpConn *conn, TcpPdu *pdu, const uint8_t *bhs)
{
    uint32_t len = bhs_data_len(bhs);
    pdu->room = len;
    pdu->from_heap = !conn->full_feature || !needs_arena(bhs);
    pdu->base.data_len = len;
    pdu->base.data = NULL;
    if (len == 0)
        return true;
    pdu->base.data =
        pdu->from_heap ? g_try_malloc(len) : arena_alloc(memory_arena(conn->base.memory), len);
    return pdu->base.data != NULL;
}

static void copy_header(TcpPdu *pdu, const uint8_t *header)
{
    memcpy(pdu->base.bhs, header, ISCSI_BHS_LEN);
    pdu->base.ahs_len = bhs_ahs_len(header);
    pdu->base.ahs = pdu->base.ahs_len ? g_memdup2(header + ISCSI_BHS_LEN, pdu->base.ahs_len) : NULL;
}

TcpPduResult tcp_pdu_take(TcpConn *conn, const uint8_t *header, TcpPdu **out)
{
    TcpPduPool *pool = &conn->pdus;
    if (pool->used >= pool->limit)
        return TCP_PDU_OVER_LIMIT;
    if (pool->held > 0 && pool->held + bhs_data_len(header) > pool->quota)
        return TCP_PDU_OVER_LIMIT;
    if (!pool->free)
        grow(pool);
    TcpPdu *pdu = pool->free;
    if (!allocate_data(conn, pdu, header))
        return TCP_PDU_NO_MEMORY;
    pool->free = pdu->next;
    pool->used++;
    pool->held += pdu->room;
    pdu->next = NULL;
    pdu->base.conn = &conn->base;
    pdu->base.exp_data_sn = pdu->burst_left = 0;
    pdu->base.next = NULL;
    pdu->gets = NULL;
    pdu->open_r2ts = 0;
    copy_header(pdu, header);
    *out = pdu;
    return TCP_PDU_TAKEN;
}

void tcp_pdu_give_back(TcpPdu *pdu)
{
    TcpConn *conn = tcp_conn(pdu->base.conn);
    TcpPduPool *pool = &conn->pdus;
    if (pdu->from_heap)
        g_free(pdu->base.data);
    else
        arena_release(memory_arena(conn->base.memory), pdu->base.data, pdu->room);
    if (pdu->base.ahs)
        g_free((void *)pdu->base.ahs);
    g_assert(pool->used > 0);
    pool->used--;
    pool->held -= pdu->room;
    pdu->base.conn = NULL;
    pdu->base.data = NULL;
    pdu->next = pool->free;
    pool->free = pdu;
}
