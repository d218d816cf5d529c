/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The load loop: keep `depth` requests in flight, reap, sleep only when there is nothing to do. */
#include "tools/bench/load.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define REAP_AT_ONCE 64
#define SHORTEST     0.1 /* s; an interrupted round below it says nothing */
#define MOST_TRIES   64  /* to find a block that no other request has */

volatile sig_atomic_t load_stopped;

typedef struct Load Load;

typedef struct {
    AioReq req;
    struct iovec iov;
    uint64_t block;
    uint64_t started; /* ns */
    Load *load;
} Slot;

struct Load {
    const Workload *workload;
    AioFile *file;
    const AioEngine *engine;
    Verify *verify; /* NULL: nobody asked */
    AioCtx *ctx;
    Slot *slots;
    Slot **free;
    unsigned free_count;
    uint64_t random, next, blocks;
    uint64_t now; /* ns, as of the last look at the clock */
    char *memory;
    Round *round;
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double cpu_seconds(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* xorshift64* */
static uint64_t load_random(Load *load)
{
    load->random ^= load->random >> 12;
    load->random ^= load->random << 25;
    load->random ^= load->random >> 27;
    return load->random * 0x2545f4914f6cdd1du;
}

static void slot_done(AioReq *req)
{
    Slot *slot = (Slot *)req;
    Load *load = slot->load;
    Round *round = load->round;
    bool write = req->op == AIO_WRITE;
    int res = req->res < 0 ? (int)req->res : 0;

    load->now = clock_ns();
    histogram_record(write ? &round->writes : &round->reads, load->now - slot->started);
    round->requests++;
    if (load->verify &&
        !verify_done(load->verify, slot->block, write, res == 0, slot->iov.iov_base))
        res = -EBADMSG;
    if (res < 0 && !round->errors++)
        round->first_error = res;
    load->free[load->free_count++] = slot;
}

/* Chooses an operation and a block; false when verification leaves none at present. */
static bool slot_aim(Load *load, Slot *slot)
{
    Rw rw = load->workload->rw;
    bool sequential = rw == RW_SEQREAD || rw == RW_SEQWRITE, write;

    for (int tries = 0; tries < MOST_TRIES; tries++) {
        uint64_t dice = load_random(load);
        write = rw == RW_RANDRW ? dice & 1 : rw_writes(rw);
        slot->block = sequential ? load->next++ % load->blocks : (dice >> 8) % load->blocks;
        slot->req.op = write ? AIO_WRITE : AIO_READ;
        slot->req.offset = slot->block * load->workload->block;
        slot->started = load->now;
        if (!load->verify)
            return true;
        if (!verify_claim(load->verify, slot->block, write))
            continue;
        if (write)
            verify_fill(load->verify, slot->block, slot->iov.iov_base);
        return true;
    }
    return false;
}

static void load_refill(Load *load)
{
    load->now = clock_ns();
    while (load->free_count) {
        Slot *slot = load->free[load->free_count - 1];
        if (!slot_aim(load, slot))
            return;
        if (!load->engine->queue(load->ctx, &slot->req)) {
            if (load->verify)
                verify_release(load->verify, slot->block, slot->req.op == AIO_WRITE);
            return;
        }
        load->free_count--;
    }
}

static void load_wait(Load *load)
{
    struct pollfd event = {.fd = load->engine->event_fd(load->ctx), .events = POLLIN};
    if (event.fd >= 0)
        poll(&event, 1, 100);
}

static void load_loop(Load *load, uint64_t end)
{
    unsigned depth = (unsigned)load->workload->depth;
    bool stop = false;

    while (!stop || load->free_count < depth) {
        if (!stop)
            load_refill(load);
        load->engine->flush(load->ctx);
        if (!load->engine->reap(load->ctx, REAP_AT_ONCE) && load->free_count < depth) {
            load_wait(load);
            load->now = clock_ns();
        }
        stop = stop || load_stopped || load->now >= end;
    }
}

/* One mapping for all buffers, as the arena is; random bytes, so that nothing can compress them. */
static int load_memory(Load *load, size_t size)
{
    load->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (load->memory == MAP_FAILED)
        return -errno;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t random = load_random(load);
        memcpy(load->memory + i, &random, 8);
    }
    aio_ctx_add_memory(load->ctx, load->memory, size);
    return 0;
}

static void load_slots(Load *load)
{
    const Workload *workload = load->workload;

    load->slots = g_new0(Slot, (unsigned)workload->depth);
    load->free = g_new0(Slot *, (unsigned)workload->depth);
    for (int i = 0; i < workload->depth; i++) {
        Slot *slot = &load->slots[i];
        slot->load = load;
        slot->iov = (struct iovec){load->memory + (size_t)i * workload->block, workload->block};
        slot->req = (AioReq){.file = load->file,
                             .iov = &slot->iov,
                             .iovcnt = 1,
                             .len = workload->block,
                             .done = slot_done};
        load->free[load->free_count++] = slot;
    }
}

static void load_measure(Load *load, double seconds)
{
    Round *round = load->round;
    double cpu = cpu_seconds(RUSAGE_SELF), own = cpu_seconds(RUSAGE_THREAD);
    uint64_t start = load->now = clock_ns();

    load_loop(load, start + (uint64_t)(seconds * 1e9));
    round->seconds = (double)(clock_ns() - start) / 1e9;
    round->cpu_seconds = cpu_seconds(RUSAGE_SELF) - cpu;
    own = cpu_seconds(RUSAGE_THREAD) - own;
    round->engine_cpu_seconds = MAX(round->cpu_seconds - own, 0);
    aio_ctx_counters(load->ctx, &round->counters);
    round->valid = !load_stopped || round->seconds >= SHORTEST;
}

int load_run(const Workload *workload, const Contender *contender, double seconds, uint64_t seed,
             Verify *verify, Round *round)
{
    size_t size = workload->block * (size_t)workload->depth;
    AioParams params = contender->params;
    Load load = {
        .workload = workload,
        .file = contender->file,
        .engine = contender->engine,
        .verify = verify,
        .random = 0x9e3779b97f4a7c15u ^ (seed + 1),
        .blocks = aio_file_size(contender->file) / workload->block,
        .round = round,
    };

    memset(round, 0, sizeof(*round));
    if (!contender->own_depth)
        params.depth = (unsigned)workload->depth;
    int res = load.engine->open(&params, &load.ctx);
    if (res < 0)
        return res;
    res = load_memory(&load, size);
    if (res == 0) {
        load_slots(&load);
        load_measure(&load, seconds);
    }
    load.engine->close(load.ctx);
    if (load.slots)
        munmap(load.memory, size);
    g_free(load.slots);
    g_free(load.free);
    return res;
}
