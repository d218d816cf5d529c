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

volatile sig_atomic_t load_stopped;

typedef struct Load Load;

typedef struct {
    AioReq req;
    struct iovec iov;
    uint64_t started; /* ns */
    Load *load;
} Slot;

struct Load {
    const Plan *plan;
    AioFile *file;
    const AioEngine *engine;
    AioCtx *ctx;
    Slot *slots;
    Slot **free;
    unsigned free_count;
    uint64_t random, next, blocks;
    uint64_t now; /* ns, as of the last look at the clock */
    char *memory;
    Latency *latency;
    Round *round;
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
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

    load->now = clock_ns();
    latency_add(load->latency, load->now - slot->started);
    load->round->requests++;
    if (req->res < 0 && !load->round->errors++)
        load->round->first_error = (int)req->res;
    load->free[load->free_count++] = slot;
}

static void slot_aim(Load *load, Slot *slot)
{
    const Plan *plan = load->plan;
    bool sequential = plan->rw == RW_SEQREAD || plan->rw == RW_SEQWRITE;
    uint64_t dice = load_random(load);
    uint64_t block = sequential ? load->next++ % load->blocks : (dice >> 8) % load->blocks;
    bool write = plan->rw == RW_RANDRW ? dice & 1 : plan_writes(plan);

    slot->req.op = write ? AIO_WRITE : AIO_READ;
    slot->req.offset = block * plan->block;
    slot->started = load->now;
}

static void load_refill(Load *load)
{
    load->now = clock_ns();
    while (load->free_count) {
        Slot *slot = load->free[load->free_count - 1];
        slot_aim(load, slot);
        if (!load->engine->queue(load->ctx, &slot->req))
            return;
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
    unsigned depth = (unsigned)load->plan->depth;
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
    const Plan *plan = load->plan;

    load->slots = g_new0(Slot, (unsigned)plan->depth);
    load->free = g_new0(Slot *, (unsigned)plan->depth);
    for (int i = 0; i < plan->depth; i++) {
        Slot *slot = &load->slots[i];
        slot->load = load;
        slot->iov = (struct iovec){load->memory + (size_t)i * plan->block, plan->block};
        slot->req = (AioReq){.file = load->file,
                             .iov = &slot->iov,
                             .iovcnt = 1,
                             .len = plan->block,
                             .done = slot_done};
        load->free[load->free_count++] = slot;
    }
}

static void load_measure(Load *load)
{
    Round *round = load->round;
    double cpu = cpu_seconds();
    uint64_t start = load->now = clock_ns();

    load_loop(load, start + (uint64_t)(load->plan->runtime * 1e9));
    round->seconds = (double)(clock_ns() - start) / 1e9;
    round->cpu_seconds = cpu_seconds() - cpu;
    aio_ctx_counters(load->ctx, &round->counters);
    round->valid = !load_stopped || round->seconds >= SHORTEST;
}

int load_run(const Plan *plan, Contender *contender, unsigned seed, Round *round)
{
    size_t size = plan->block * (size_t)plan->depth;
    g_autofree Latency *latency = g_new0(Latency, 1);
    Load load = {
        .plan = plan,
        .file = contender->file,
        .engine = contender->engine,
        .random = 0x9e3779b97f4a7c15u + seed,
        .blocks = aio_file_size(contender->file) / plan->block,
        .latency = latency,
        .round = round,
    };

    *round = (Round){.valid = false};
    int res = load.engine->open(&contender->params, &load.ctx);
    if (res < 0)
        return res;
    res = load_memory(&load, size);
    if (res == 0) {
        load_slots(&load);
        load_measure(&load);
        if (round->valid)
            latency_merge(&contender->latency, latency);
    }
    load.engine->close(load.ctx);
    if (load.slots)
        munmap(load.memory, size);
    g_free(load.slots);
    g_free(load.free);
    return res;
}
