/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completion channels. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/objects.h"
#include "tools/softverbs/process.h"

EXPORT struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *c)
{
    struct sv_chan *ch = calloc(1, sizeof(*ch));
    char path[64];
    int p[2];

    if (!ch)
        return NULL;
    if (pipe2(p, O_CLOEXEC)) {
        free(ch);
        return NULL;
    }
    ch->ch.context = c;
    ch->ch.fd = p[0];
    /* Both ends of the pipe in one descriptor that never blocks, whatever its user sets for the
     * other. Who holds it to write is a reader, too: no SIGPIPE when the channel's process dies. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
    ch->wfd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    close(p[1]);
    if (ch->wfd < 0) {
        close(p[0]);
        free(ch);
        return NULL;
    }
    return &ch->ch;
}

EXPORT int ibv_destroy_comp_channel(struct ibv_comp_channel *ibch)
{
    struct sv_chan *ch = (struct sv_chan *)ibch;

    if (ch->refs) {
        sv_diag("ibv_destroy_comp_channel: %d CQs still use it", ch->refs);
        return EBUSY;
    }
    close(ch->ch.fd);
    close(ch->wfd);
    free(ch);
    return 0;
}

EXPORT int ibv_get_cq_event(struct ibv_comp_channel *ch, struct ibv_cq **ibcq, void **ctx)
{
    uint64_t cookie;
    ssize_t n;

    for (;;) {
        struct sv_cq *cq;

        n = read(ch->fd, &cookie, 8);
        if (n != 8)
            return -1;
        pthread_mutex_lock(&g.obj);
        cq = atomic_load(&g.cq[(uint32_t)cookie % SV_MAX_CQ]);
        if (cq && cq->gen == cookie >> 32) {
            pthread_mutex_lock(&cq->cq.mutex);
            cq->delivered++;
            pthread_mutex_unlock(&cq->cq.mutex);
            pthread_mutex_unlock(&g.obj);
            *ibcq = &cq->cq;
            *ctx = cq->cq.cq_context;
            return 0;
        }
        pthread_mutex_unlock(&g.obj);
    }
}

EXPORT void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int n)
{
    pthread_mutex_lock(&cq->mutex);
    cq->comp_events_completed += n;
    pthread_cond_broadcast(&cq->cond);
    pthread_mutex_unlock(&cq->mutex);
}
