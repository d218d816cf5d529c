/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completion queues. */
#include "core/rdma/cq.h"

#include "core/rdma/private.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>

#define CQ_BATCH     32
#define CQ_FIRST_CQE 1024
#define CQ_ACK_BATCH 64 /* an acknowledgement takes a mutex */

struct CompletionQueue {
    LoopPoller poller;
    Device *device;
    struct ibv_comp_channel *channel;
    struct ibv_cq *verbs;
    unsigned capacity, reserved; /* entries */
    unsigned unacknowledged;     /* events */
    bool armed;
    GPtrArray *qps;
};

static void dispatch(const struct ibv_wc *wc)
{
    if (wc->wr_id & 1) {
        Recv *recv = (Recv *)(uintptr_t)(wc->wr_id & ~(uint64_t)1);
        qp_recv_completed(recv->qp, recv, wc);
    } else {
        Work *work = (Work *)(uintptr_t)wc->wr_id;
        qp_work_completed(work->qp, work, wc);
    }
}

static unsigned cq_poll(LoopPoller *poller, unsigned budget)
{
    CompletionQueue *cq = (CompletionQueue *)poller;
    struct ibv_wc wc[CQ_BATCH];
    unsigned done = 0;
    while (done < budget) {
        int want = (int)MIN(budget - done, CQ_BATCH);
        int n = ibv_poll_cq(cq->verbs, want, wc);
        for (int i = 0; i < n; i++)
            dispatch(&wc[i]);
        if (n > 0)
            done += (unsigned)n;
        if (n < want)
            break;
    }
    return done;
}

static void cq_arm(LoopPoller *poller)
{
    CompletionQueue *cq = (CompletionQueue *)poller;
    if (!cq->armed)
        cq->armed = ibv_req_notify_cq(cq->verbs, 0) == 0;
}

static void cq_acknowledge(LoopPoller *poller)
{
    CompletionQueue *cq = (CompletionQueue *)poller;
    struct ibv_cq *verbs;
    void *context;
    while (ibv_get_cq_event(cq->channel, &verbs, &context) == 0) {
        cq->armed = false;
        cq->unacknowledged++;
    }
    if (cq->unacknowledged >= CQ_ACK_BATCH) {
        ibv_ack_cq_events(cq->verbs, cq->unacknowledged);
        cq->unacknowledged = 0;
    }
}

static const LoopPollerOps cq_ops = {.poll = cq_poll, .arm = cq_arm, .acknowledge = cq_acknowledge};

static bool set_errno(GError **error, const Device *device, const char *what, int code)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), "%s: %s: %s", device_name(device),
                what, g_strerror(code));
    return false;
}

CompletionQueue *cq_new(Device *device, Loop *loop, GError **error)
{
    CompletionQueue *cq = g_new0(CompletionQueue, 1);
    cq->device = device;
    cq->capacity = MIN(CQ_FIRST_CQE, device_caps(device)->max_cqe);
    cq->channel = ibv_create_comp_channel(device_verbs(device));
    if (!cq->channel) {
        set_errno(error, device, "no completion channel", errno);
        goto free_cq;
    }
    int flags = fcntl(cq->channel->fd, F_GETFL);
    if (flags < 0 || fcntl(cq->channel->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        set_errno(error, device, "completion channel", errno);
        goto destroy_channel;
    }
    unsigned vector = loop_index(loop) % (unsigned)MAX(1, device_verbs(device)->num_comp_vectors);
    cq->verbs =
        ibv_create_cq(device_verbs(device), (int)cq->capacity, cq, cq->channel, (int)vector);
    if (!cq->verbs) {
        set_errno(error, device, "no completion queue", errno);
        goto destroy_channel;
    }
    cq->qps = g_ptr_array_new();
    loop_add_poller(loop, &cq->poller, &cq_ops, cq->channel->fd);
    return cq;

destroy_channel:
    ibv_destroy_comp_channel(cq->channel);
free_cq:
    g_free(cq);
    return NULL;
}

void cq_free(CompletionQueue *cq)
{
    g_assert(cq->qps->len == 0 && cq->reserved == 0);
    loop_remove_poller(&cq->poller);
    if (cq->unacknowledged > 0) /* destroying waits for them */
        ibv_ack_cq_events(cq->verbs, cq->unacknowledged);
    ibv_destroy_cq(cq->verbs);
    ibv_destroy_comp_channel(cq->channel);
    g_ptr_array_free(cq->qps, TRUE);
    g_free(cq);
}

static bool grow(CompletionQueue *cq, unsigned needed, GError **error)
{
    unsigned max = device_caps(cq->device)->max_cqe;
    if (needed > max) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    "%s: its completion queues end at %u entries: use more io-loops or a smaller "
                    "queue depth",
                    device_name(cq->device), max);
        return false;
    }
    unsigned capacity = MIN(MAX(needed, 2 * cq->capacity), max);
    int code = ibv_resize_cq(cq->verbs, (int)capacity);
    if (code != 0)
        return set_errno(error, cq->device, "cannot grow a completion queue", code);
    cq->capacity = capacity;
    return true;
}

bool cq_add_qp(CompletionQueue *cq, QueuePair *qp, unsigned entries, GError **error)
{
    if (cq->reserved + entries > cq->capacity && !grow(cq, cq->reserved + entries, error))
        return false;
    cq->reserved += entries;
    g_ptr_array_add(cq->qps, qp);
    return true;
}

void cq_remove_qp(CompletionQueue *cq, QueuePair *qp, unsigned entries)
{
    cq->reserved -= entries;
    g_ptr_array_remove_fast(cq->qps, qp);
}

void cq_drain(CompletionQueue *cq)
{
    while (cq_poll(&cq->poller, CQ_BATCH) > 0)
        ;
}

void cq_fail(CompletionQueue *cq, const char *why)
{
    /* the list changes only when a queue pair has drained, in the round's flush */
    for (unsigned i = 0; i < cq->qps->len; i++)
        qp_abandon(cq->qps->pdata[i], why);
}

struct ibv_cq *cq_verbs(const CompletionQueue *cq)
{
    return cq->verbs;
}
