/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker pool: a stack of idle threads, one queue in, one lock-free list out. */
#include "aio/workers.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "aio/blocking.h"

#define IDLE_MS      5000
#define MOST_AT_ONCE 8
#define STACK_SIZE   (256 * 1024)

typedef struct Worker Worker;

struct Worker {
    AioWorkers *pool;
    Worker *next;  /* of all that were not joined yet */
    Worker *below; /* in the stack of idle ones */
    pthread_t thread;
    pthread_cond_t wake;
    const AioFile *file; /* of the requests it performs; NULL: none */
    bool woken, exited;
    bool signalled; /* atomic; false: who woke it is about to touch it for the last time */
};

struct AioWorkers {
    AioWorkersConfig config;
    AioCounters *counters;
    int event_fd;

    AioReqList batch;  /* pushed, not kicked; the context's thread */
    unsigned batched;  /* of batch */
    int64_t signs_due; /* events of collected requests not yet read; the context's thread */

    pthread_mutex_t lock; /* of what follows */
    AioReqList queue;
    unsigned queued;
    Worker *all, *idle;
    unsigned alive, busy;
    unsigned waking; /* started or woken, not yet at the queue */
    bool closing;

    alignas(64) AioReq *done; /* newest first; atomic */
};

void aio_workers_config_init(AioWorkersConfig *config, const AioParams *params)
{
    *config = (AioWorkersConfig){
        .threads = params->threads,
        .coalesce = params->coalesce,
        .idle_ms = IDLE_MS,
        .perform = aio_blocking_perform,
    };
}

static void workers_signal(AioWorkers *pool)
{
    uint64_t one = 1;
    ssize_t written;

    aio_count_shared(&pool->counters->event_writes, 1);
    do
        written = write(pool->event_fd, &one, sizeof(one));
    while (written < 0 && errno == EINTR);
}

/* The request may be gone as soon as it is on the list. */
static void workers_put_done(AioWorkers *pool, AioReq *req)
{
    AioReq *old = __atomic_load_n(&pool->done, __ATOMIC_RELAXED);
    do
        req->next = old;
    while (!__atomic_compare_exchange_n(&pool->done, &old, req, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
    if (!old || !pool->config.coalesce)
        workers_signal(pool);
}

static void worker_leave_stack(Worker *self)
{
    Worker **place = &self->pool->idle;
    while (*place && *place != self)
        place = &(*place)->below;
    if (*place)
        *place = self->below;
}

static struct timespec deadline_in(unsigned ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Lies on the stack until woken; false when the time to retire has come. */
static bool worker_sleep(Worker *self)
{
    AioWorkers *pool = self->pool;
    struct timespec until = deadline_in(pool->config.idle_ms);
    int res = 0;

    self->woken = false;
    self->below = pool->idle;
    pool->idle = self;
    while (!self->woken && !pool->closing && res != ETIMEDOUT) {
        if (pool->alive > 1)
            res = pthread_cond_timedwait(&self->wake, &pool->lock, &until);
        else
            res = pthread_cond_wait(&self->wake, &pool->lock);
    }
    if (self->woken)
        pool->waking--;
    else
        worker_leave_stack(self);
    return self->woken || (!pool->closing && pool->alive == 1);
}

/* A file on a disk that hangs can hold `threads` workers and no more: as many again are started for
 * requests to other files. */
static bool file_is_full(const AioWorkers *pool, const AioFile *file)
{
    unsigned busy = 0;
    if (pool->busy < pool->config.threads)
        return false;
    for (const Worker *worker = pool->all; worker; worker = worker->next)
        busy += worker->file == file;
    return busy >= pool->config.threads;
}

/* The first request that may be performed now. */
static AioReq *workers_next(const AioWorkers *pool)
{
    const AioFile *full = NULL;
    for (AioReq *req = pool->queue.head; req; req = req->next) {
        if (full && req->file == full)
            continue;
        if (!file_is_full(pool, req->file))
            return req;
        full = req->file;
    }
    return NULL;
}

static bool one_file_has_all(const AioWorkers *pool)
{
    for (const Worker *worker = pool->all; worker; worker = worker->next)
        if (worker->file && file_is_full(pool, worker->file))
            return true;
    return false;
}

static bool workers_may_grow(const AioWorkers *pool)
{
    if (pool->alive < pool->config.threads)
        return true;
    return pool->alive < 2 * pool->config.threads && one_file_has_all(pool) && workers_next(pool);
}

static void *worker_main(void *arg);

static void workers_start(AioWorkers *pool)
{
    Worker *worker = g_new0(Worker, 1);
    pthread_condattr_t clock;
    pthread_attr_t attr;
    sigset_t all, old;

    worker->pool = pool;
    worker->signalled = true;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&worker->wake, &clock);
    pthread_condattr_destroy(&clock);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int res = pthread_create(&worker->thread, &attr, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (res != 0) {
        pthread_cond_destroy(&worker->wake);
        g_free(worker);
        return;
    }
    worker->next = pool->all;
    pool->all = worker;
    pool->alive++;
    pool->waking++;
}

/* One more worker for the queue: the one that slept last, whose stack is still in the cache. None
 * while another is on its way: that one wakes the next if it leaves something. What it returns, if
 * anything, is to be signalled when the lock is free: it would run into it. */
static Worker *workers_call_one(AioWorkers *pool)
{
    Worker *worker = pool->idle;

    if (pool->waking > 0 && pool->config.coalesce)
        return NULL;
    if (worker) {
        pool->idle = worker->below;
        worker->woken = true;
        __atomic_store_n(&worker->signalled, false, __ATOMIC_RELAXED);
        pool->waking++;
        aio_count_shared(&pool->counters->wake_ups, 1);
    } else if (workers_may_grow(pool)) {
        workers_start(pool);
    }
    return worker;
}

static void worker_signal(Worker *worker)
{
    if (!worker)
        return;
    pthread_cond_signal(&worker->wake);
    __atomic_store_n(&worker->signalled, true, __ATOMIC_RELEASE);
}

/* One at a time as long as somebody else could take the next, else a share, of one file. */
static AioReqList workers_take(Worker *self)
{
    AioWorkers *pool = self->pool;
    bool others = pool->idle || pool->alive < pool->config.threads;
    unsigned share = others ? 1 : CLAMP(pool->queued / pool->alive, 1, MOST_AT_ONCE);
    AioReqList taken = {0};
    AioReq *req;

    for (; share && (req = workers_next(pool)); share--) {
        if (self->file && req->file != self->file)
            break;
        self->file = req->file;
        aio_reqs_remove(&pool->queue, req);
        aio_reqs_push(&taken, req);
        pool->queued--;
    }
    pool->busy += taken.head != NULL;
    return taken;
}

static void *worker_main(void *arg)
{
    Worker *self = arg;
    AioWorkers *pool = self->pool;

    pthread_setname_np(pthread_self(), "rtgt-worker");
    pthread_mutex_lock(&pool->lock);
    pool->waking--;
    for (;;) {
        AioReqList taken = workers_take(self);
        if (!taken.head) {
            if (pool->closing || !worker_sleep(self))
                break;
            continue;
        }
        /* each worker wakes the next, so that neither the loop nor one worker pays for all */
        bool more = pool->config.coalesce && workers_next(pool);
        Worker *next = more ? workers_call_one(pool) : NULL;
        pthread_mutex_unlock(&pool->lock);
        worker_signal(next);
        for (AioReq *req; (req = aio_reqs_pop(&taken));) {
            pool->config.perform(req, pool->counters);
            workers_put_done(pool, req);
        }
        pthread_mutex_lock(&pool->lock);
        self->file = NULL;
        pool->busy--;
    }
    self->exited = true;
    pool->alive--;
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void worker_free(Worker *worker)
{
    pthread_cond_destroy(&worker->wake);
    g_free(worker);
}

/* Retired workers have let go of the lock for good. */
static void workers_join_retired(AioWorkers *pool)
{
    for (Worker **place = &pool->all; *place;) {
        Worker *worker = *place;
        if (worker->exited && __atomic_load_n(&worker->signalled, __ATOMIC_ACQUIRE)) {
            *place = worker->next;
            pthread_join(worker->thread, NULL);
            worker_free(worker);
        } else {
            place = &worker->next;
        }
    }
}

int aio_workers_open(const AioWorkersConfig *config, AioCounters *counters, AioWorkers **workers)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    AioWorkers *pool = g_aligned_alloc0(1, sizeof(AioWorkers), alignof(AioWorkers));
    pool->config = *config;
    pool->counters = counters;
    pool->event_fd = fd;
    pthread_mutex_init(&pool->lock, NULL);
    *workers = pool;
    return 0;
}

void aio_workers_close(AioWorkers *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    assert(!pool->batch.head && !pool->queue.head && !pool->done);
    pool->closing = true;
    for (Worker *worker = pool->all; worker; worker = worker->next)
        pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&pool->lock);
    for (Worker *worker = pool->all; worker; worker = worker->next)
        pthread_join(worker->thread, NULL);
    for (Worker *worker; (worker = pool->all);) { /* none is left that could signal another */
        pool->all = worker->next;
        worker_free(worker);
    }
    pthread_mutex_destroy(&pool->lock);
    close(pool->event_fd);
    g_aligned_free(pool);
}

int aio_workers_event_fd(const AioWorkers *pool)
{
    return pool->event_fd;
}

void aio_workers_push(AioWorkers *pool, AioReq *req)
{
    aio_count(&pool->counters->hand_offs, 1);
    aio_reqs_push(&pool->batch, req);
    pool->batched++;
    if (!pool->config.coalesce)
        aio_workers_kick(pool);
}

/* Without a single thread to be had, the requests are done here: slowly rather than never. */
static void workers_perform_here(AioWorkers *pool)
{
    for (AioReq *req; (req = aio_reqs_pop(&pool->queue));) {
        pool->config.perform(req, pool->counters);
        workers_put_done(pool, req);
    }
    pool->queued = 0;
}

void aio_workers_kick(AioWorkers *pool)
{
    if (!pool->batch.head)
        return;
    pthread_mutex_lock(&pool->lock);
    workers_join_retired(pool);
    for (AioReq *req; (req = aio_reqs_pop(&pool->batch));)
        aio_reqs_push(&pool->queue, req);
    pool->queued += pool->batched;
    pool->batched = 0;
    Worker *worker = workers_call_one(pool);
    if (!pool->alive)
        workers_perform_here(pool);
    pthread_mutex_unlock(&pool->lock);
    worker_signal(worker);
}

unsigned aio_workers_collect(AioWorkers *pool, AioReqList *done)
{
    if (!__atomic_load_n(&pool->done, __ATOMIC_RELAXED))
        return 0;
    AioReq *req = __atomic_exchange_n(&pool->done, NULL, __ATOMIC_ACQUIRE);
    AioReq *oldest = NULL;
    unsigned count = 0;
    while (req) {
        AioReq *next = req->next;
        req->next = oldest;
        oldest = req;
        req = next;
        count++;
    }
    while ((req = oldest)) {
        oldest = req->next;
        aio_reqs_push(done, req);
    }
    pool->signs_due += pool->config.coalesce ? 1 : count;
    return count;
}

bool aio_workers_clear(AioWorkers *pool, uint64_t others)
{
    uint64_t signs;

    /* below zero although there was nothing left to collect: never count on signs for nothing, or
     * one would stay unread and the fd readable for ever */
    pool->signs_due = MAX(pool->signs_due + (int64_t)others, 0);
    if (pool->signs_due <= 0 || read(pool->event_fd, &signs, sizeof(signs)) < 0)
        return false;
    pool->signs_due -= (int64_t)signs;
    return pool->signs_due < 0;
}

unsigned aio_workers_alive(AioWorkers *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned alive = pool->alive;
    pthread_mutex_unlock(&pool->lock);
    return alive;
}

unsigned aio_workers_idle(AioWorkers *pool)
{
    unsigned idle = 0;
    pthread_mutex_lock(&pool->lock);
    for (const Worker *worker = pool->idle; worker; worker = worker->below)
        idle++;
    pthread_mutex_unlock(&pool->lock);
    return idle;
}
