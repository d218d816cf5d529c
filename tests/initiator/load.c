/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drives commands through sessions and judges what comes back. */
#include "tests/initiator/load.h"

#include <gio/gio.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "tests/initiator/scsi.h"
#include "tests/initiator/verify.h"

#define FAILURES_PRINTED 10
#define TURN_MS          100
#define RETRY_MS         200
/* What one session's buffers may take where what is in them does not matter: its commands then
 * share them, so that many sessions can have many commands. */
#define MEMORY_MOST ((size_t)16 << 20)
/* Verification keeps five bytes per block. */
#define VERIFY_BLOCKS_MOST (UINT64_C(1) << 28)

typedef struct Runner Runner;

typedef struct {
    Task task;
    Runner *runner;
    uint8_t *memory;
    uint64_t lba;
    uint32_t blocks;
    bool write;
    bool again;       /* to be sent once more as it is; then it is the head of Runner.idle */
    uint64_t started; /* ns */
} Slot;

typedef struct {
    const LoadOptions *options;
    pthread_barrier_t start;
    pthread_barrier_t filled;
    atomic_uint running;
} Shared;

struct Runner {
    Shared *shared;
    const LoadOptions *options;
    unsigned index;
    GThread *thread;
    Nexus *nexus;
    Verifier *verifier;
    GRand *rand;
    ScsiCapacity capacity;
    uint64_t first, blocks, next; /* the stripe, and where sequential I/O goes on */
    Slot *slots;
    GQueue idle;
    bool begun, filling, stopping;
    uint64_t to_submit, deadline, last_done, managed; /* commands left; ns */
    LoadResult result;
    atomic_uint_fast64_t done, bytes; /* for the rate report */
};

static atomic_bool stopped;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint32_t largest_size(const LoadOptions *options)
{
    uint32_t largest = 0;

    for (unsigned i = 0; i < options->size_count; i++)
        largest = MAX(largest, options->sizes[i]);
    return largest;
}

static void report_failure(Runner *r, const Slot *slot)
{
    const Task *task = &slot->task;

    if (r->result.failed++ >= FAILURES_PRINTED)
        return;
    g_printerr("session %u: %s of %u blocks at %" G_GUINT64_FORMAT " failed: %s, response %02x, "
               "status %02x, sense %06x, residual %s%u\n",
               r->index, slot->write ? "write" : "read", slot->blocks, slot->lba,
               task->lost ? "no answer" : "answered", task->response, task->status,
               scsi_sense(task),
               task->overflow    ? "over "
               : task->underflow ? "under "
                                 : "",
               task->residual);
}

static void report_corrupt(Runner *r, const VerifyFault *fault)
{
    if (r->result.corrupt++ >= FAILURES_PRINTED)
        return;
    g_printerr("session %u: block %" G_GUINT64_FORMAT " is %s: generation %u of run %016" PRIx64
               " expected, found block %" G_GUINT64_FORMAT " generation %u of run %016" PRIx64 "\n",
               r->index, fault->lba, verify_result_name(fault->result), fault->generation,
               r->options->seed, fault->found_lba, fault->found_generation, fault->found_run);
}

static void settle_verification(Runner *r, Slot *slot, bool good)
{
    VerifyFault fault;

    if (!r->verifier)
        return;
    if (slot->write && good)
        verifier_commit(r->verifier, slot->lba, slot->blocks);
    else if (slot->write)
        verifier_doubt(r->verifier, slot->lba, slot->blocks);
    else if (good && !verifier_check(r->verifier, slot->lba, slot->blocks, slot->memory, &fault))
        report_corrupt(r, &fault);
    verifier_release(r->verifier, slot->lba, slot->blocks);
}

static bool is_attention(const Task *task)
{
    return !task->lost && task->response == 0 && task->status == SCSI_CHECK_CONDITION &&
           scsi_sense(task) >> 16 == SENSE_KEY_UNIT_ATTENTION;
}

static void slot_done(Task *task)
{
    Slot *slot = task->user;
    Runner *r = slot->runner;
    LoadSide *side = slot->write ? &r->result.write : &r->result.read;
    bool good = !task->lost && task->response == 0 && task->status == SCSI_GOOD && !task->residual;

    r->last_done = now_ns();
    if (is_attention(task)) { /* told, not done: the same again, as every initiator does */
        r->result.attentions++;
        slot->again = true;
        g_queue_push_head(&r->idle, slot);
        return;
    }
    if (!good)
        report_failure(r, slot);
    settle_verification(r, slot, good);
    if (good && !r->filling) {
        histogram_add(&side->latency, r->last_done - slot->started);
        side->bytes += task->buffer.len;
        atomic_fetch_add_explicit(&r->done, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&r->bytes, task->buffer.len, memory_order_relaxed);
    }
    g_queue_push_head(&r->idle, slot);
}

static uint32_t pick_blocks(Runner *r)
{
    const LoadOptions *o = r->options;
    unsigned i = o->size_count > 1 ? (unsigned)g_rand_int_range(r->rand, 0, (int)o->size_count) : 0;

    return (r->filling ? largest_size(o) : o->sizes[i]) / r->capacity.block_size;
}

/* Sequential commands run through the stripe and start again; the last one may be short while
 * filling. False: the blocks are in use. */
static bool pick_place(Runner *r, Slot *slot)
{
    uint64_t places = r->blocks / slot->blocks;

    if (r->filling) {
        slot->blocks = (uint32_t)MIN(slot->blocks, r->first + r->blocks - r->next);
        slot->lba = r->next;
    } else if (r->options->random) {
        slot->lba = r->first + slot->blocks * (uint64_t)(g_rand_double(r->rand) * (double)places);
    } else {
        if (r->next + slot->blocks > r->first + r->blocks)
            r->next = r->first;
        slot->lba = r->next;
    }
    if (r->verifier && !verifier_reserve(r->verifier, slot->lba, slot->blocks))
        return false;
    r->next = slot->lba + slot->blocks;
    return true;
}

/* False: nothing can be submitted in this place now. */
static bool choose(Runner *r, Slot *slot)
{
    const LoadOptions *o = r->options;

    slot->write = r->filling || (o->write_percent &&
                                 (o->write_percent == 100 ||
                                  (unsigned)g_rand_int_range(r->rand, 0, 100) < o->write_percent));
    slot->blocks = pick_blocks(r);
    if (!pick_place(r, slot))
        return false;
    r->to_submit--;
    return true;
}

static bool submit(Runner *r, Slot *slot)
{
    const LoadOptions *o = r->options;

    if (!slot->again && !choose(r, slot))
        return false;
    scsi_transfer(&slot->task, o->url->lun, slot->write, slot->lba, slot->blocks,
                  r->capacity.block_size, slot->write && o->fua, slot->memory);
    if (slot->again)
        slot->again = false; /* its data is in place */
    else if (r->verifier && slot->write)
        verifier_fill(r->verifier, slot->lba, slot->blocks, slot->memory);
    else if (r->verifier)
        memset(slot->memory, 0xa5, slot->task.buffer.len);
    slot->task.done = slot_done;
    slot->task.user = slot;
    slot->started = now_ns();
    nexus_submit(r->nexus, &slot->task);
    return true;
}

static bool may_submit(const Runner *r)
{
    if (r->stopping || atomic_load(&stopped) || r->nexus->error || r->to_submit == 0)
        return false;
    if (r->filling)
        return r->next < r->first + r->blocks;
    return !r->deadline || now_ns() < r->deadline;
}

/* Commands that were told something are not over, whatever the end condition says. */
static bool must_submit(const Runner *r)
{
    const Slot *head = g_queue_peek_head((GQueue *)&r->idle);

    return head && head->again && !r->stopping && !atomic_load(&stopped) && !r->nexus->error;
}

static void submit_idle(Runner *r)
{
    for (unsigned n = g_queue_get_length(&r->idle); n > 0 && (must_submit(r) || may_submit(r));
         n--) {
        Slot *slot = g_queue_pop_head(&r->idle);

        if (!submit(r, slot))
            g_queue_push_tail(&r->idle, slot);
    }
}

/* Task management in its turn, while commands come and go. */
static bool manage(Runner *r)
{
    const LoadOptions *o = r->options;
    uint64_t begin = now_ns();

    if (!o->manage_ms || r->filling || begin - r->managed < o->manage_ms * UINT64_C(1000000))
        return true;
    if (!nexus_manage(r->nexus, o->url->lun, (int)o->timeout_s * 1000)) {
        g_printerr("session %u: no answer to task management for %u s\n", r->index, o->timeout_s);
        r->result.failed++;
        return false;
    }
    r->managed = now_ns();
    histogram_add(&r->result.management, r->managed - begin);
    return true;
}

/* Submits until the end condition, then lets everything finish. */
static void run_phase(Runner *r, bool filling)
{
    uint64_t patience = r->options->timeout_s * UINT64_C(1000000000), begin = now_ns();

    r->filling = filling;
    r->next = r->first;
    r->last_done = begin;
    r->to_submit = filling || !r->options->count ? UINT64_MAX : r->options->count;
    r->deadline =
        filling || r->options->count ? 0 : begin + r->options->runtime_s * UINT64_C(1000000000);
    do {
        submit_idle(r);
        if (!nexus_turn(r->nexus, TURN_MS) || !manage(r))
            break;
        if (now_ns() - r->last_done > patience &&
            g_queue_get_length(&r->idle) < r->options->depth) {
            g_printerr("session %u: no completion for %u s\n", r->index, r->options->timeout_s);
            break;
        }
        /* A target that rejects a PDU of ours never completes its command. */
        r->stopping |= r->nexus->rejects > 0;
    } while (must_submit(r) || may_submit(r) ||
             (g_queue_get_length(&r->idle) < r->options->depth && !r->nexus->rejects));
    r->result.seconds = (double)(now_ns() - begin) / 1e9;
    r->result.least = r->result.read.latency.count + r->result.write.latency.count;
}

/* No command at all: the target's pings are answered in passing. */
static void run_idle(Runner *r)
{
    uint64_t begin = now_ns(), end = begin + r->options->runtime_s * UINT64_C(1000000000);

    while (now_ns() < end && !atomic_load(&stopped) && nexus_turn(r->nexus, TURN_MS))
        ;
    r->result.seconds = (double)(now_ns() - begin) / 1e9;
}

static bool place_stripe(Runner *r, GError **error)
{
    const LoadOptions *o = r->options;
    uint32_t bs = r->capacity.block_size, largest = largest_size(o);
    uint64_t first = o->region_start / bs,
             blocks = r->capacity.blocks - MIN(first, r->capacity.blocks);
    const char *why = NULL;

    if (o->region_length)
        blocks = MIN(blocks, o->region_length / bs);
    r->blocks = blocks / o->sessions;
    r->first = r->next = first + r->index * r->blocks;
    for (unsigned i = 0; i < o->size_count; i++)
        if (o->sizes[i] % bs)
            why = "a size is no multiple of the block size";
    if (r->blocks < largest / bs)
        why = "the region is too small for the sizes and sessions";
    if (o->verify && r->blocks > VERIFY_BLOCKS_MOST / o->sessions)
        why = "the region is too large to verify: give --region";
    if (o->verify && r->blocks < (uint64_t)(largest / bs) * o->depth)
        why = "the region is too small to verify at this depth";
    if (why)
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s", why);
    return !why;
}

static unsigned buffer_count(const LoadOptions *o)
{
    size_t most = MAX(MEMORY_MOST / largest_size(o), 1);

    return o->verify ? o->depth : (unsigned)MIN(o->depth, most);
}

static void begin_with_others(Runner *r)
{
    if (!r->begun)
        pthread_barrier_wait(&r->shared->start);
    r->begun = true;
}

/* A target that has no room now may have some soon: initiators try again. */
static Nexus *log_in(Runner *r, const NexusOptions *no, GError **error)
{
    uint64_t end = now_ns() + r->options->timeout_s * UINT64_C(1000000000);
    Nexus *nexus;

    while (!(nexus = nexus_open(no, error)) &&
           g_error_matches(*error, G_IO_ERROR, G_IO_ERROR_BUSY) && now_ns() < end &&
           !atomic_load(&stopped)) {
        g_clear_error(error);
        r->result.refused++;
        begin_with_others(r); /* their work is what makes room */
        g_usleep(RETRY_MS * 1000);
    }
    return nexus;
}

static bool open_session(Runner *r, GError **error)
{
    const LoadOptions *o = r->options;
    uint32_t largest = largest_size(o);
    unsigned buffers = buffer_count(o);
    NexusOptions no = {.url = o->url,
                       .keys = o->keys,
                       .index = r->index,
                       .depth = o->depth,
                       .arena = (size_t)largest * buffers,
                       .invalidate = o->invalidate,
                       .quiet = o->lenient};
    uint8_t *memory;

    r->nexus = log_in(r, &no, error);
    if (o->idle)
        return r->nexus != NULL;
    if (!r->nexus || !scsi_wait_ready(r->nexus, o->url->lun, &r->capacity, error) ||
        !place_stripe(r, error))
        return false;
    memory = nexus_memory(r->nexus);
    for (unsigned i = 0; i < o->depth; i++) {
        r->slots[i] = (Slot){.runner = r, .memory = memory + (size_t)(i % buffers) * largest};
        g_queue_push_tail(&r->idle, &r->slots[i]);
    }
    if (o->verify)
        r->verifier = verifier_new(r->first, r->blocks, r->capacity.block_size, o->seed);
    return true;
}

static void close_session(Runner *r)
{
    if (!r->nexus)
        return;
    if (r->nexus->error) {
        r->result.lost_sessions++;
        g_printerr("session %u: %s\n", r->index, r->nexus->error->message);
    } else if (!nexus_log_out(r->nexus, 5000)) {
        g_printerr("session %u: logout was not answered\n", r->index);
        r->result.lost_sessions++;
    }
    r->result.violations = r->nexus->violations;
    r->result.rejects = r->nexus->rejects;
    nexus_free(r->nexus);
}

static gpointer runner_main(gpointer data)
{
    Runner *r = data;
    const LoadOptions *o = r->options;
    g_autoptr(GError) error = NULL;
    bool ready;

    r->slots = g_new0(Slot, o->depth);
    r->rand = g_rand_new_with_seed((guint32)(o->seed + r->index));
    ready = open_session(r, &error);
    if (!ready) {
        g_printerr("session %u: %s\n", r->index, error->message);
        r->result.lost_sessions++;
    }
    begin_with_others(r);
    if (ready && o->verify && o->fill)
        run_phase(r, true);
    if (o->verify)
        pthread_barrier_wait(&r->shared->filled);
    if (ready && o->idle)
        run_idle(r);
    else if (ready && !r->nexus->error)
        run_phase(r, false);
    atomic_fetch_sub(&r->shared->running, 1);
    if (ready)
        close_session(r);
    else
        nexus_free(r->nexus);
    verifier_free(r->verifier);
    g_queue_clear(&r->idle);
    g_rand_free(r->rand);
    g_free(r->slots);
    return NULL;
}

static void report_rates(Shared *shared, Runner *runners)
{
    uint64_t before = 0, bytes_before = 0, last = now_ns();

    while (atomic_load(&shared->running)) {
        uint64_t done = 0, bytes = 0, now;
        double seconds;

        g_usleep(G_USEC_PER_SEC);
        for (unsigned i = 0; i < shared->options->sessions; i++) {
            done += atomic_load_explicit(&runners[i].done, memory_order_relaxed);
            bytes += atomic_load_explicit(&runners[i].bytes, memory_order_relaxed);
        }
        now = now_ns();
        seconds = (double)(now - last) / 1e9;
        g_print("%.0f IOPS, %.1f MB/s\n", (double)(done - before) / seconds,
                (double)(bytes - bytes_before) / seconds / 1e6);
        before = done;
        bytes_before = bytes;
        last = now;
    }
}

static void merge(LoadResult *into, const LoadResult *from)
{
    histogram_merge(&into->read.latency, &from->read.latency);
    histogram_merge(&into->write.latency, &from->write.latency);
    into->read.bytes += from->read.bytes;
    into->write.bytes += from->write.bytes;
    histogram_merge(&into->management, &from->management);
    into->least = MIN(into->least, from->least);
    into->seconds = MAX(into->seconds, from->seconds);
    into->attentions += from->attentions;
    into->failed += from->failed;
    into->refused += from->refused;
    into->corrupt += from->corrupt;
    into->violations += from->violations;
    into->rejects += from->rejects;
    into->lost_sessions += from->lost_sessions;
}

void load_run(const LoadOptions *options, LoadResult *result)
{
    g_autofree Runner *runners = g_new0(Runner, options->sessions);
    Shared shared = {.options = options, .running = options->sessions};

    memset(result, 0, sizeof(*result));
    result->least = UINT64_MAX;
    pthread_barrier_init(&shared.start, NULL, options->sessions);
    pthread_barrier_init(&shared.filled, NULL, options->sessions);
    for (unsigned i = 0; i < options->sessions; i++) {
        runners[i] = (Runner){.shared = &shared, .options = options, .index = i};
        runners[i].thread = g_thread_new("session", runner_main, &runners[i]);
    }
    if (options->rate_report)
        report_rates(&shared, runners);
    for (unsigned i = 0; i < options->sessions; i++) {
        g_thread_join(runners[i].thread);
        merge(result, &runners[i].result);
    }
    pthread_barrier_destroy(&shared.start);
    pthread_barrier_destroy(&shared.filled);
}

void load_stop(void)
{
    atomic_store(&stopped, true);
}

bool load_result_good(const LoadOptions *options, const LoadResult *result)
{
    return !result->failed && !result->corrupt && !result->rejects && !result->lost_sessions &&
           (options->lenient || !result->violations);
}
