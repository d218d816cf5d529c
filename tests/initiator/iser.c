/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The iSER wire: PDUs as SENDs behind an iSER header, data by the target's RDMA (RFC 7145). */
#include "tests/initiator/iser.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#include "tests/initiator/verbs.h"
#include "tests/initiator/wire.h"

#define LEAST_DSL  8192U
#define TX_SIZE    (ISER_HEADER + PDU_BHS + 32768U)
#define SPARE      64U /* messages beside those of commands */
#define POLL_BATCH 32

typedef struct {
    uint8_t *memory;
    unsigned *unsent;
} TxSlot;

/* A memory window, and the task it is bound for. */
typedef struct {
    struct ibv_mw *mw;
    uint32_t itt;
} Window;

typedef struct {
    Wire base;
    Verbs verbs;
    unsigned slots, receives;
    unsigned sends, posted; /* room of the send queue, and what is in it */
    size_t rx_size;
    uint8_t *rx, *data;
    size_t data_size;
    TxSlot *tx;
    GQueue tx_free;    /* of TxSlot */
    GQueue windows;    /* free ones; empty without windows */
    GHashTable *bound; /* itt to Window */
    bool use_windows, invalidates, full_feature;
    uint32_t data_limit;
    bool solicited_only;
    char *broken; /* why the queue pair is of no use any more */
} IserWire;

static void break_down(IserWire *w, const char *what, const char *why)
{
    if (!w->broken)
        w->broken = g_strdup_printf("%s: %s", what, why);
}

static void post_receive(IserWire *w, unsigned index)
{
    struct ibv_sge sge = {(uintptr_t)(w->rx + index * w->rx_size), (uint32_t)w->rx_size,
                          w->verbs.mr->lkey};
    struct ibv_recv_wr wr = {.wr_id = index, .sg_list = &sge, .num_sge = 1}, *bad;
    int rc = ibv_post_recv(w->verbs.id->qp, &wr, &bad);

    if (rc != 0)
        break_down(w, "post receive", g_strerror(rc));
}

static void lay_out_memory(IserWire *w)
{
    uint8_t *tx;

    w->data = w->verbs.memory;
    w->rx = w->data + w->data_size;
    tx = w->rx + w->receives * w->rx_size;
    w->tx = g_new0(TxSlot, w->slots);
    for (unsigned i = 0; i < w->slots; i++) {
        w->tx[i].memory = tx + (size_t)i * TX_SIZE;
        g_queue_push_tail(&w->tx_free, &w->tx[i]);
    }
    for (unsigned i = 0; i < w->receives; i++)
        post_receive(w, i);
}

static bool make_windows(IserWire *w, unsigned count, GError **error)
{
    for (unsigned i = 0; i < count; i++) {
        Window *window = g_new0(Window, 1);

        window->mw = ibv_alloc_mw(w->verbs.pd, IBV_MW_TYPE_2);
        if (!window->mw) {
            g_free(window);
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "no memory windows here: %s",
                        g_strerror(errno));
            return false;
        }
        g_queue_push_tail(&w->windows, window);
    }
    return true;
}

/* What the target's private data mean to us. */
static void take_reply(IserWire *w)
{
    const Verbs *v = &w->verbs;

    if (v->reply_len < 4)
        return;
    w->invalidates = w->use_windows && !(v->reply[0] & ISER_NO_INVALIDATE);
    if ((v->reply[0] & 0x3f) || v->reply[1] || v->reply[2] || v->reply[3])
        w->base.sink.violation(w->base.sink.user, NULL, "reserved bits set in CM private data");
}

static void window_free(gpointer window)
{
    ibv_dealloc_mw(((Window *)window)->mw);
    g_free(window);
}

static void iser_close(Wire *wire)
{
    IserWire *w = (IserWire *)wire;

    for (unsigned i = 0; w->tx && i < w->slots; i++)
        if (w->tx[i].unsent)
            --*w->tx[i].unsent;
    if (w->verbs.connected)
        rdma_disconnect(w->verbs.id);
    w->verbs.connected = false;
    /* Windows go after their queue pair, which may still have them bound. */
    if (w->verbs.id && w->verbs.id->qp)
        rdma_destroy_qp(w->verbs.id);
    g_hash_table_unref(w->bound);
    g_queue_clear_full(&w->windows, window_free);
    verbs_close(&w->verbs);
    g_queue_clear(&w->tx_free);
    g_free(w->tx);
    g_free(w->broken);
    g_free(w);
}

static Wire *iser_open(const WireOptions *options, const WireSink *sink, GError **error)
{
    IserWire *w = g_new0(IserWire, 1);
    uint8_t flags = ISER_NO_ZERO_BASED | (options->invalidate ? 0 : ISER_NO_INVALIDATE);
    uint8_t hello[4] = {flags};
    VerbsOptions vo = {.host = options->host,
                       .port = options->port,
                       .timeout_ms = options->timeout_ms,
                       .windows = options->invalidate,
                       .private_data = hello,
                       .private_len = sizeof(hello)};

    w->base = (Wire){&wire_iser, *sink};
    w->use_windows = options->invalidate;
    w->receives = w->slots = options->depth + SPARE;
    w->rx_size =
        (ISER_HEADER + PDU_BHS + MAX(options->max_data, LEAST_DSL) + 64 + 63) & ~(size_t)63;
    w->data_size = (options->arena + 4095) & ~(size_t)4095;
    w->data_limit = LEAST_DSL;
    w->bound = g_hash_table_new_full(NULL, NULL, NULL, window_free);
    vo.memory = w->data_size + w->receives * w->rx_size + w->slots * (size_t)TX_SIZE;
    vo.receives = w->receives;
    vo.sends = w->sends = w->slots * (options->invalidate ? 3 : 1);
    if (options->cm_data) {
        gsize len;

        vo.private_data = g_bytes_get_data((GBytes *)options->cm_data, &len);
        vo.private_len = (uint8_t)len;
    }
    if (!verbs_prepare(&w->verbs, &vo, error) ||
        (options->invalidate && !make_windows(w, options->depth + SPARE, error)))
        goto close;
    lay_out_memory(w);
    if (!verbs_connect(&w->verbs, &vo, error))
        goto close;
    take_reply(w);
    return &w->base;
close:
    iser_close(&w->base);
    return NULL;
}

static uint8_t *iser_memory(Wire *wire)
{
    return ((IserWire *)wire)->data;
}

static void iser_add_offers(const WireOptions *options, TextKeys *offers)
{
    char number[16];

    g_snprintf(number, sizeof(number), "%u", MIN(options->max_data, LEAST_DSL));
    text_keys_set(offers, "RDMAExtensions", "Yes");
    text_keys_set(offers, "InitiatorRecvDataSegmentLength", number);
    text_keys_set(offers, "TargetRecvDataSegmentLength", number);
    g_snprintf(number, sizeof(number), "%u", SPARE / 2);
    text_keys_set(offers, "MaxOutstandingUnexpectedPDUs", number);
}

static bool iser_full_feature(Wire *wire, const Params *params, GError **error)
{
    IserWire *w = (IserWire *)wire;

    w->full_feature = true;
    w->data_limit = params->value[KEY_INITIATOR_RECV_DSL];
    /* Initiators that never say this key advertise solicited data only, so that is the usual. */
    w->solicited_only = !params->offered[KEY_SOLICITED_ONLY] || params->value[KEY_SOLICITED_ONLY];
    /* Whoever does not offer it, in discovery or to see what happens, gets what the target allows.
     */
    if (params->value[KEY_RDMA_EXTENSIONS] || !params->offered[KEY_RDMA_EXTENSIONS])
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "target refused RDMAExtensions");
    return false;
}

static bool check_completion(IserWire *w, const struct ibv_wc *wc, const char *what)
{
    if (wc->status == IBV_WC_SUCCESS)
        return true;
    break_down(w, what, ibv_wc_status_str(wc->status));
    return false;
}

/* Binds and invalidations have no slot. */
static bool reap_sends(IserWire *w)
{
    struct ibv_wc wc[POLL_BATCH];
    int n = ibv_poll_cq(w->verbs.send_cq, POLL_BATCH, wc);

    w->posted -= (unsigned)MAX(n, 0);
    for (int i = 0; i < n; i++) {
        TxSlot *slot = (TxSlot *)(uintptr_t)wc[i].wr_id;

        check_completion(w, &wc[i], "send");
        if (!slot)
            continue;
        if (slot->unsent)
            --*slot->unsent;
        slot->unsent = NULL;
        g_queue_push_tail(&w->tx_free, slot);
    }
    return n > 0;
}

static TxSlot *tx_slot(IserWire *w)
{
    while (g_queue_is_empty(&w->tx_free) && !w->broken)
        reap_sends(w);
    return g_queue_pop_head(&w->tx_free);
}

/* One signaled request. Binds and invalidations have no slot that would hold them back. */
static void post(IserWire *w, struct ibv_send_wr *wr, const char *what)
{
    struct ibv_send_wr *bad;
    int rc;

    while (w->posted == w->sends && !w->broken)
        reap_sends(w);
    if (w->broken)
        return;
    rc = ibv_post_send(w->verbs.id->qp, wr, &bad);
    if (rc == 0)
        w->posted++;
    else
        break_down(w, what, g_strerror(rc));
}

static void post_message(IserWire *w, TxSlot *slot, uint32_t len, const void *extra,
                         uint32_t extra_len)
{
    struct ibv_sge sge[2] = {{(uintptr_t)slot->memory, len, w->verbs.mr->lkey},
                             {(uintptr_t)extra, extra_len, w->verbs.mr->lkey}};
    struct ibv_send_wr wr = {.wr_id = (uintptr_t)slot,
                             .sg_list = sge,
                             .num_sge = extra_len ? 2 : 1,
                             .opcode = IBV_WR_SEND,
                             .send_flags = IBV_SEND_SIGNALED};

    post(w, &wr, "post send");
}

/* The key the target may use for `len` bytes at `base`: a window of just those, or everything. */
static uint32_t grant(IserWire *w, uint32_t itt, const uint8_t *base, uint32_t len, bool to_target)
{
    Window *window = g_queue_pop_head(&w->windows);
    struct ibv_send_wr wr = {.opcode = IBV_WR_BIND_MW};
    uint32_t rkey;

    if (!window)
        return w->verbs.mr->rkey;
    rkey = ibv_inc_rkey(window->mw->rkey);
    wr.bind_mw.mw = window->mw;
    wr.bind_mw.rkey = rkey;
    wr.bind_mw.bind_info.mr = w->verbs.mr;
    wr.bind_mw.bind_info.addr = (uintptr_t)base;
    wr.bind_mw.bind_info.length = len;
    wr.bind_mw.bind_info.mw_access_flags =
        to_target ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
    wr.send_flags = IBV_SEND_SIGNALED;
    post(w, &wr, "bind window");
    window->mw->rkey = rkey;
    window->itt = itt;
    g_hash_table_insert(w->bound, GUINT_TO_POINTER(itt), window);
    return rkey;
}

static void advertise(IserWire *w, uint8_t *header, uint32_t itt, const PduBuffer *buffer)
{
    uint32_t unsolicited = MIN(buffer->unsolicited, buffer->len);
    uint32_t skip = buffer->to_target && w->solicited_only ? unsolicited : 0;
    uint64_t base = (uintptr_t)buffer->base + skip;
    uint32_t stag;

    if (buffer->len == 0 || (buffer->to_target && unsolicited == buffer->len))
        return;
    stag = grant(w, itt, buffer->base + skip, buffer->len - skip, buffer->to_target);
    header[0] |= buffer->to_target ? ISER_WSV : ISER_RSV;
    put_be32(header + (buffer->to_target ? ISER_AT_WRITE_STAG : ISER_AT_READ_STAG), stag);
    put_be64(header + (buffer->to_target ? ISER_AT_WRITE_BASE : ISER_AT_READ_BASE), base);
}

static bool in_memory(const IserWire *w, const uint8_t *p, uint32_t len)
{
    return p >= w->data && p + len <= w->data + w->data_size;
}

static void iser_send(Wire *wire, const Pdu *pdu)
{
    IserWire *w = (IserWire *)wire;
    TxSlot *slot = tx_slot(w);
    uint32_t len = ISER_HEADER + PDU_BHS;
    const uint8_t *extra = NULL;

    if (!slot)
        return;
    memset(slot->memory, 0, ISER_HEADER);
    slot->memory[0] = ISER_CONTROL;
    memcpy(slot->memory + ISER_HEADER, pdu->bhs, PDU_BHS);
    if (pdu->buffer)
        advertise(w, slot->memory, pdu_itt(pdu), pdu->buffer);
    if (pdu->unsent && in_memory(w, pdu->data, pdu->len)) {
        extra = pdu->data;
        slot->unsent = pdu->unsent;
        ++*slot->unsent;
    } else if (pdu->len) {
        uint32_t room = MIN(pdu->len, TX_SIZE - len);

        memcpy(slot->memory + len, pdu->data, room);
        len += room;
    }
    post_message(w, slot, len, extra, extra ? pdu->len : 0);
}

static void iser_send_raw(Wire *wire, const void *bytes, size_t len)
{
    IserWire *w = (IserWire *)wire;
    TxSlot *slot = tx_slot(w);

    if (!slot)
        return;
    len = MIN(len, TX_SIZE);
    memcpy(slot->memory, bytes, len);
    post_message(w, slot, (uint32_t)len, NULL, 0);
}

static void iser_spoil_digest(Wire *wire, bool header, bool data)
{
    /* RFC 7145 section 6.2: there are no digests here to spoil. */
    (void)wire;
    (void)header;
    (void)data;
}

/* The command is over: its window must be, too. `invalidated` is what the target did itself. */
static void revoke_window(IserWire *w, const Pdu *pdu, bool invalidated, uint32_t stag)
{
    gpointer key = GUINT_TO_POINTER(pdu_itt(pdu));
    Window *window = pdu_opcode(pdu) == OP_RESPONSE ? g_hash_table_lookup(w->bound, key) : NULL;
    struct ibv_send_wr wr = {.opcode = IBV_WR_LOCAL_INV, .send_flags = IBV_SEND_SIGNALED};

    if (invalidated && !w->invalidates)
        w->base.sink.violation(w->base.sink.user, pdu, "Send-with-Invalidate was not agreed on");
    if (invalidated && (!window || window->mw->rkey != stag))
        w->base.sink.violation(w->base.sink.user, pdu, "invalidates an STag of another command");
    if (!window)
        return;
    if (!invalidated) {
        wr.invalidate_rkey = window->mw->rkey;
        post(w, &wr, "invalidate window");
    }
    g_hash_table_steal(w->bound, key);
    g_queue_push_tail(&w->windows, window);
}

static const char *judge_header(const uint8_t *p, uint32_t len, uint32_t limit)
{
    uint32_t dsl;

    if (len < ISER_HEADER + PDU_BHS)
        return "message shorter than its headers";
    if ((p[0] & 0xf0) != ISER_CONTROL)
        return "iSER opcode is not the control type";
    for (int i = 0; i < ISER_HEADER; i++)
        if (i ? p[i] : p[i] & 0x0f)
            return "target's iSER header is not zero behind the opcode";
    dsl = get_be24(p + ISER_HEADER + AT_DATA_LENGTH);
    if (dsl > limit)
        return "data segment longer than agreed";
    len -= ISER_HEADER + PDU_BHS;
    if (len != dsl && len != ((dsl + 3) & ~3U))
        return "message length is not that of the PDU";
    return NULL;
}

static void take_message(IserWire *w, const struct ibv_wc *wc)
{
    const uint8_t *p = w->rx + wc->wr_id * w->rx_size;
    const char *wrong = judge_header(p, wc->byte_len, w->data_limit);
    Pdu pdu = {0};

    if (wc->byte_len >= ISER_HEADER + PDU_BHS)
        memcpy(pdu.bhs, p + ISER_HEADER, PDU_BHS);
    if (wrong) {
        w->base.sink.violation(w->base.sink.user, &pdu, wrong);
        break_down(w, "bad message", wrong);
        return;
    }
    pdu.data = p + ISER_HEADER + PDU_BHS;
    pdu.len = get_be24(pdu.bhs + AT_DATA_LENGTH);
    if (w->use_windows || (wc->wc_flags & IBV_WC_WITH_INV))
        revoke_window(w, &pdu, wc->wc_flags & IBV_WC_WITH_INV, wc->invalidated_rkey);
    w->base.sink.received(w->base.sink.user, &pdu);
}

/* While in login one PDU at a time: what follows the last one is under other rules. */
static bool reap_receives(IserWire *w)
{
    struct ibv_wc wc[POLL_BATCH];
    int n = ibv_poll_cq(w->verbs.recv_cq, w->full_feature ? POLL_BATCH : 1, wc);

    for (int i = 0; i < n; i++) {
        if (!check_completion(w, &wc[i], "receive"))
            continue;
        take_message(w, &wc[i]);
        post_receive(w, (unsigned)wc[i].wr_id);
    }
    return n > 0;
}

static bool reap(IserWire *w)
{
    bool sends = reap_sends(w);

    return reap_receives(w) || sends;
}

static bool iser_turn(Wire *wire, int timeout_ms, GError **error)
{
    IserWire *w = (IserWire *)wire;

    if (!reap(w) && !w->broken) {
        verbs_arm(&w->verbs);
        if (!reap(w)) {
            verbs_wait(&w->verbs, timeout_ms);
            reap(w);
        }
        /* The last messages come before the news that there will be no more. */
        if (!verbs_take_events(&w->verbs, error)) {
            while (reap_receives(w))
                ;
            return false;
        }
    }
    if (w->broken)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "%s", w->broken);
    return !w->broken;
}

const WireOps wire_iser = {
    .data_in_pdus = false,
    .open = iser_open,
    .close = iser_close,
    .memory = iser_memory,
    .add_offers = iser_add_offers,
    .full_feature = iser_full_feature,
    .send = iser_send,
    .send_raw = iser_send_raw,
    .spoil_digest = iser_spoil_digest,
    .turn = iser_turn,
};
