/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queue pairs: posting once a round, and ending so that everything posted comes back. */
#include "core/rdma/qp.h"

#include "core/rdma/cq.h"
#include "core/rdma/private.h"
#include "core/rdma/send_queue.h"

#include <errno.h>
#include <gio/gio.h>
#include <rdma/rdma_cma.h>

#define GRACE_MS   5000 /* for what was submitted to be acknowledged by the peer */
#define LINGER_MS  2000 /* for the peer to disconnect first */
#define ABANDON_MS 5000 /* for the device to flush a broken queue pair */

typedef enum {
    QP_NEW,     /* not accepted yet */
    QP_OPEN,    /* works */
    QP_CLOSING, /* graceful close: waits for the sends */
    QP_LINGER,  /* graceful close: waits for the peer to disconnect */
    QP_ERROR,   /* disconnected: waits for the device to flush */
    QP_DRAINED, /* nothing is left in the device */
} QpState;

typedef struct {
    Recv *head, *tail; /* by wr.next */
    unsigned n;
} RecvList;

struct QueuePair {
    QpState state;
    CmId *id;
    Device *device;
    CompletionQueue *cq;
    struct ibv_qp *verbs; /* NULL: destroyed */
    Loop *loop;
    LoopFlush flush;
    GSource *timer;
    const QueuePairEvents *events;
    void *owner;

    SendQueue sends;
    RecvList recv_waiting, recv_posted;
    unsigned send_slots, recv_slots, inline_max;
    char *lost;     /* reason the owner is to be told */
    bool peer_left; /* it disconnected first */
};

/* --- receives --------------------------------------------------------------------------------- */

static Recv *recv_of(struct ibv_recv_wr *wr)
{
    return wr ? (Recv *)((char *)wr - offsetof(Recv, wr)) : NULL;
}

static void recv_append(RecvList *list, Recv *recv)
{
    recv->wr.next = NULL;
    if (list->tail)
        list->tail->wr.next = &recv->wr;
    else
        list->head = recv;
    list->tail = recv;
    list->n++;
}

static Recv *recv_pop(RecvList *list)
{
    Recv *recv = list->head;
    if (recv) {
        list->head = recv_of(recv->wr.next);
        list->n--;
    }
    if (!list->head)
        list->tail = NULL;
    return recv;
}

static void cancel_receives(RecvList *list)
{
    Recv *recv;
    while ((recv = recv_pop(list)))
        recv->done(recv, -ECANCELED, 0);
}

/* --- ending ----------------------------------------------------------------------------------- */

static void flush_later(QueuePair *qp)
{
    loop_flush_later(qp->loop, &qp->flush);
}

static gboolean abandon_on_timeout(gpointer arg)
{
    QueuePair *qp = arg;
    qp_abandon(qp, "the RDMA device did not flush a queue pair");
    return G_SOURCE_REMOVE;
}

/* Everything posted is flushed from now on; `reason` NULL: the owner wanted it. */
static void enter_error(QueuePair *qp, const char *reason)
{
    if (qp->state >= QP_ERROR)
        return;
    if (reason && qp->state == QP_OPEN)
        qp->lost = g_strdup(reason);
    qp->state = QP_ERROR;
    loop_timer_stop(&qp->timer);
    qp->timer = loop_timer_start(qp->loop, ABANDON_MS, abandon_on_timeout, qp);
    struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};
    /* A peer that left gets its answer when the id is destroyed: some initiators have freed what
     * they need to take it. Others: refused where the connection is not complete. */
    if (qp->peer_left || rdma_disconnect(cm_id_verbs(qp->id)) != 0)
        ibv_modify_qp(qp->verbs, &attr, IBV_QP_STATE);
    flush_later(qp);
}

static void destroy_verbs(QueuePair *qp)
{
    if (!qp->verbs)
        return;
    rdma_destroy_qp(cm_id_verbs(qp->id));
    qp->verbs = NULL;
}

void qp_abandon(QueuePair *qp, const char *why)
{
    if (qp->state == QP_DRAINED)
        return;
    if (!qp->lost && qp->state == QP_OPEN)
        qp->lost = g_strdup(why);
    qp->state = QP_ERROR;
    loop_timer_stop(&qp->timer);
    rdma_disconnect(cm_id_verbs(qp->id)); /* tells the peer, where that is still possible */
    destroy_verbs(qp);
    cq_drain(qp->cq); /* what names it in the queue must go before it does */
    cancel_receives(&qp->recv_posted);
    send_queue_cancel(&qp->sends, true, -ECANCELED);
    flush_later(qp);
}

static void release_verbs(QueuePair *qp)
{
    loop_timer_stop(&qp->timer);
    destroy_verbs(qp);
    if (qp->cq)
        cq_remove_qp(qp->cq, qp, qp->send_slots + qp->recv_slots);
    qp->cq = NULL;
    if (qp->id)
        cm_id_release(qp->id, qp->peer_left);
    qp->id = NULL;
}

static void finish_error(QueuePair *qp)
{
    if (qp->lost) {
        g_autofree char *reason = g_steal_pointer(&qp->lost);
        qp->events->lost(qp, reason);
    }
    cancel_receives(&qp->recv_waiting);
    send_queue_cancel(&qp->sends, false, -ECANCELED);
    if (qp->recv_posted.n > 0 || !send_queue_empty(&qp->sends))
        return;
    qp->state = QP_DRAINED;
    release_verbs(qp);
    loop_flush_cancel(qp->loop, &qp->flush);
    qp->events->drained(qp);
}

static gboolean close_on_timeout(gpointer arg)
{
    enter_error(arg, NULL); /* which ends this timer */
    return G_SOURCE_REMOVE;
}

void qp_close(QueuePair *qp, bool graceful)
{
    g_assert(qp->state != QP_NEW);
    if (!graceful) {
        enter_error(qp, NULL);
    } else if (qp->state == QP_OPEN) {
        qp->state = QP_CLOSING;
        qp->timer = loop_timer_start(qp->loop, GRACE_MS, close_on_timeout, qp);
        flush_later(qp);
    }
    g_clear_pointer(&qp->lost, g_free);
}

/* Some initiators cannot bear that the target disconnects while they are doing so. */
static void linger(QueuePair *qp)
{
    qp->state = QP_LINGER;
    loop_timer_stop(&qp->timer);
    qp->timer = loop_timer_start(qp->loop, LINGER_MS, close_on_timeout, qp);
}

/* --- posting ---------------------------------------------------------------------------------- */

static void post_receives(QueuePair *qp)
{
    struct ibv_recv_wr *bad = NULL;
    if (!qp->recv_waiting.head)
        return;
    g_assert(qp->recv_posted.n + qp->recv_waiting.n <= qp->recv_slots);
    int code = ibv_post_recv(qp->verbs, &qp->recv_waiting.head->wr, &bad);
    Recv *refused = code != 0 ? recv_of(bad) : NULL;
    while (qp->recv_waiting.head && qp->recv_waiting.head != refused)
        recv_append(&qp->recv_posted, recv_pop(&qp->recv_waiting));
    if (code != 0)
        enter_error(qp, "the RDMA device refused a receive");
}

static void post_sends(QueuePair *qp)
{
    struct ibv_send_wr *bad = NULL;
    Work *chain = send_queue_take(&qp->sends);
    if (!chain || ibv_post_send(qp->verbs, &chain->wr, &bad) == 0)
        return;
    send_queue_untake(&qp->sends, (Work *)((char *)bad - offsetof(Work, wr)));
    /* what went before may not be signalled: its end would never be told */
    qp_abandon(qp, "the RDMA device refused a work request");
}

static bool is_working(const QueuePair *qp)
{
    return qp->state == QP_OPEN || qp->state == QP_CLOSING || qp->state == QP_LINGER;
}

static void run_flush(LoopFlush *flush)
{
    QueuePair *qp = (QueuePair *)((char *)flush - offsetof(QueuePair, flush));
    if (is_working(qp))
        post_receives(qp);
    if (is_working(qp))
        post_sends(qp);
    if (qp->state == QP_CLOSING && send_queue_empty(&qp->sends))
        linger(qp);
    if (qp->state == QP_ERROR)
        finish_error(qp);
}

void qp_receive(QueuePair *qp, Recv *recv)
{
    recv->qp = qp;
    recv->wr.wr_id = (uintptr_t)recv | 1;
    recv->wr.sg_list = &recv->sge;
    recv->wr.num_sge = 1;
    recv_append(&qp->recv_waiting, recv);
    flush_later(qp);
}

void qp_submit(QueuePair *qp, Work *work)
{
    work->qp = qp;
    work->wr.wr_id = (uintptr_t)work;
    work->wr.sg_list = work->sge;
    send_queue_push(&qp->sends, work);
    flush_later(qp);
}

/* --- completions ------------------------------------------------------------------------------ */

static const char *opcode_name(enum ibv_wr_opcode opcode)
{
    switch (opcode) {
    case IBV_WR_RDMA_WRITE:
        return "RDMA WRITE";
    case IBV_WR_RDMA_READ:
        return "RDMA READ";
    default:
        return "SEND";
    }
}

/* The value for done(). A failure ends the connection: the queue pair is in error by itself. */
static int note_status(QueuePair *qp, const char *what, enum ibv_wc_status status)
{
    if (status == IBV_WC_SUCCESS)
        return 0;
    if (status == IBV_WC_WR_FLUSH_ERR) {
        enter_error(qp, "the connection broke");
        return -ECANCELED;
    }
    g_autofree char *reason = g_strdup_printf("%s failed: %s", what, ibv_wc_status_str(status));
    enter_error(qp, reason);
    return -EIO;
}

void qp_work_completed(QueuePair *qp, Work *work, const struct ibv_wc *wc)
{
    int error = note_status(qp, opcode_name(work->wr.opcode), wc->status);
    send_queue_complete(&qp->sends, work, error);
    if (qp->state != QP_OPEN || qp->sends.waiting.head || qp->sends.waiting_reads.head)
        flush_later(qp);
}

void qp_recv_completed(QueuePair *qp, Recv *recv, const struct ibv_wc *wc)
{
    int error = note_status(qp, "receive", wc->status);
    Recv *oldest = recv_pop(&qp->recv_posted);
    g_assert(oldest == recv); /* a receive queue completes in order */
    if (qp->state != QP_OPEN)
        flush_later(qp);
    recv->done(recv, error, error == 0 ? wc->byte_len : 0);
}

void qp_cm_event(QueuePair *qp, enum rdma_cm_event_type event, int status)
{
    g_autofree char *reason = NULL;
    switch (event) {
    case RDMA_CM_EVENT_ESTABLISHED:
    case RDMA_CM_EVENT_ADDR_CHANGE:
    case RDMA_CM_EVENT_TIMEWAIT_EXIT: /* the kernel keeps the number of the queue pair for so long
                                       */
        break;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        qp_abandon(qp, "the RDMA device was removed");
        break;
    case RDMA_CM_EVENT_DISCONNECTED:
        if (qp->state == QP_OPEN) /* a completion that failed says better why */
            cq_drain(qp->cq);
        qp->peer_left = true;
        enter_error(qp, "the peer disconnected");
        break;
    default:
        reason = g_strdup_printf("%s (%d)", rdma_event_str(event), status);
        enter_error(qp, reason);
    }
}

void qp_device_event(QueuePair *qp, enum ibv_event_type event)
{
    if (qp->state == QP_DRAINED)
        return;
    if (event == IBV_EVENT_COMM_EST)
        rdma_notify(cm_id_verbs(qp->id), event);
    else
        enter_error(qp, ibv_event_type_str(event));
}

/* --- making ----------------------------------------------------------------------------------- */

static bool create_verbs(QueuePair *qp, GError **error)
{
    const DeviceCaps *caps = device_caps(qp->device);
    struct ibv_qp_init_attr attr = {
        .qp_context = qp->id, /* for the device's events */
        .send_cq = cq_verbs(qp->cq),
        .recv_cq = cq_verbs(qp->cq),
        .cap = {.max_send_wr = qp->send_slots,
                .max_recv_wr = qp->recv_slots,
                .max_send_sge = caps->max_sge,
                .max_recv_sge = 1,
                .max_inline_data = qp->inline_max},
        .qp_type = IBV_QPT_RC,
    };
    struct ibv_qp_init_attr plain = attr;
    if (rdma_create_qp(cm_id_verbs(qp->id), device_pd(qp->device), &attr) != 0) {
        /* no way to ask what it can put inline but to try */
        plain.cap.max_inline_data = qp->inline_max = 0;
        if (rdma_create_qp(cm_id_verbs(qp->id), device_pd(qp->device), &plain) != 0) {
            g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: no queue pair: %s",
                        device_name(qp->device), g_strerror(errno));
            return false;
        }
    }
    qp->verbs = cm_id_verbs(qp->id)->qp;
    return true;
}

QueuePair *qp_new(ConnectRequest *request, const QueuePairConfig *config,
                  const QueuePairEvents *events, void *owner, GError **error)
{
    const DeviceCaps *caps = device_caps(request->device);
    QueuePair *qp = g_new0(QueuePair, 1);
    qp->device = request->device;
    qp->loop = loop_self();
    qp->flush.run = run_flush;
    qp->events = events;
    qp->owner = owner;
    qp->send_slots = CLAMP(config->send_slots, 2, caps->max_work);
    qp->recv_slots = CLAMP(config->recv_slots, 1, caps->max_work);
    qp->inline_max = config->inline_max;
    send_queue_init(&qp->sends, qp->send_slots, MIN(request->peer_reads, caps->max_reads));

    CompletionQueue *cq = device_cq(qp->device, error);
    if (!cq || !cq_add_qp(cq, qp, qp->send_slots + qp->recv_slots, error)) {
        fabric_reject(request, NULL, 0);
        g_free(qp);
        return NULL;
    }
    qp->cq = cq;
    qp->id = request->id;
    if (!create_verbs(qp, error)) {
        qp_free(qp);
        return NULL;
    }
    cm_id_set_qp(qp->id, qp);
    return qp;
}

void qp_reject(QueuePair *qp, const void *private_data, uint8_t len)
{
    if (qp->state == QP_NEW && qp->id) /* fails where the answer was given already */
        rdma_reject(cm_id_verbs(qp->id), private_data, len);
    loop_flush_cancel(qp->loop, &qp->flush);
    release_verbs(qp);
    g_free(qp->lost);
    g_free(qp);
}

void qp_free(QueuePair *qp)
{
    if (!qp)
        return;
    g_assert(qp->state == QP_NEW || qp->state == QP_DRAINED);
    qp_reject(qp, NULL, 0);
}

bool qp_accept(QueuePair *qp, const void *private_data, uint8_t len, GError **error)
{
    struct rdma_conn_param param = {
        .private_data = private_data,
        .private_data_len = len,
        .responder_resources = 0, /* nobody may read from us */
        .initiator_depth = (uint8_t)qp->sends.read_depth,
        .flow_control = 1,
        .rnr_retry_count = 7, /* for ever: a dead peer is noticed by other means */
    };
    post_receives(qp);
    if (qp->state != QP_NEW || rdma_accept(cm_id_verbs(qp->id), &param) != 0) {
        qp->state = QP_NEW;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot accept: %s",
                    g_strerror(errno));
        return false;
    }
    qp->state = QP_OPEN;
    return true;
}

/* --- what it is ------------------------------------------------------------------------------- */

void *qp_owner(const QueuePair *qp)
{
    return qp->owner;
}

Device *qp_device(const QueuePair *qp)
{
    return qp->device;
}

unsigned qp_recv_slots(const QueuePair *qp)
{
    return qp->recv_slots;
}

unsigned qp_inline_max(const QueuePair *qp)
{
    return qp->inline_max;
}

unsigned qp_read_depth(const QueuePair *qp)
{
    return qp->sends.read_depth;
}

void qp_get_counters(const QueuePair *qp, QueuePairCounters *out)
{
    *out = (QueuePairCounters){.posts = qp->sends.posts, .signalled = qp->sends.signalled};
}
