/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making, naming and closing logical units. */
#include "core/scsi/lun.h"

#include "core/scsi/itl.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/on_loops.h"

#include <string.h>

static void name_lun(Lun *lun, const LunSpec *spec)
{
    lun->serial = lun_spec_serial(spec);
    lun->spec.serial = lun->serial;
    lun->spec.naa = lun_spec_naa(spec);
    if (!lun->spec.physical_block_size)
        lun->spec.physical_block_size = 4096;
    if (!lun->spec.cache_slot)
        lun->spec.cache_slot = LUN_CACHE_SLOT;
}

static bool load_state(Lun *lun, GError **error)
{
    if (mode_load_saved(lun, error) && operation_load(lun, error))
        return true;
    g_prefix_error(error, "LUN %s/%u: ", lun->spec.target_name, lun->spec.number);
    return false;
}

static bool open_store(Lun *lun, GError **error)
{
    const LunSpec *spec = &lun->spec;
    const AioFileSpec file = {.path = spec->path,
                              .mode = spec->mode,
                              .read_only = spec->read_only,
                              .create = spec->create,
                              .size = spec->size};
    g_autofree char *why = NULL;
    int res = aio_file_open(&file, &lun->file, &why);
    if (res < 0) {
        g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(-res), "LUN %s/%u: path: %s",
                    spec->target_name, spec->number, why);
        return false;
    }
    const char *refusal = NULL;
    if (spec->engine->accepts(lun->file, &spec->params, &refusal) < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "LUN %s/%u: engine=%s: %s",
                    spec->target_name, spec->number, spec->engine->name, refusal);
        return false;
    }
    return true;
}

static bool measure(Lun *lun, GError **error)
{
    const LunSpec *spec = &lun->spec;
    uint64_t size = aio_file_size(lun->file);
    lun->block_shift = (unsigned)__builtin_ctz(spec->block_size);
    lun->blocks = size >> lun->block_shift;
    lun->spec.size = lun->blocks << lun->block_shift;
    if (lun->blocks == 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "LUN %s/%u: %s: smaller than one block of %u bytes", spec->target_name,
                    spec->number, spec->path ? spec->path : "size", spec->block_size);
        return false;
    }
    bool can = aio_file_can_discard(lun->file);
    if (spec->thin == LUN_THIN_ON && !can) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "LUN %s/%u: thin=on: this store cannot deallocate", spec->target_name,
                    spec->number);
        return false;
    }
    lun->thin = can && spec->thin != LUN_THIN_OFF;
    lun->unmap_reads_zeros = lun->thin && aio_file_discard_zeroes(lun->file);
    lun_measure_atomic(lun);
    lun->discard_granularity = aio_file_discard_granularity(lun->file);
    return true;
}

bool lun_measure_atomic(Lun *lun)
{
    size_t most = ARENA_BUFFER_MAX;
    while (lun->spec.max_transfer > 0 && most > lun->spec.max_transfer)
        most /= 2;
    size_t unit = aio_file_atomic_unit(lun->file, most);
    unsigned blocks = (unsigned)(unit >> lun->block_shift);
    return __atomic_exchange_n(&lun->atomic_blocks, blocks, __ATOMIC_RELAXED) != blocks;
}

static bool find_zeros(Lun *lun, GError **error)
{
    if (!aio_file_reads_zeros(lun->file) || (lun->zeros = memory_zeros(lun->memory)))
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
                "LUN %s/%u: no memory in the arena for zeros (arena= in [memory])",
                lun->spec.target_name, lun->spec.number);
    return false;
}

static bool make_cache(Lun *lun, GError **error)
{
    if (lun->spec.cache_size == 0)
        return true;
    lun->cache =
        cache_new(lun->memory, lun->spec.cache_size, lun->spec.cache_slot, lun->nloops, error);
    if (!lun->cache)
        g_prefix_error(error, "LUN %s/%u: cache: ", lun->spec.target_name, lun->spec.number);
    return lun->cache != NULL;
}

typedef struct {
    Lun *lun;
    pthread_mutex_t lock;
    GError *error; /* the first; lock */
} MakeShards;

static void make_shard(Loop *loop, void *arg)
{
    MakeShards *make = arg;
    Lun *lun = make->lun;
    GError *error = NULL;
    Engine *engine =
        engine_get(loop, memory_arena(lun->memory), lun->spec.engine, &lun->spec.params, &error);
    if (engine) {
        LunShard *shard = lun_shard_new(lun, loop, lun->file, engine);
        if (lun->cache)
            lun_shard_set_cache(shard, lun->cache);
        lun->shards[loop_index(loop)] = shard;
        return;
    }
    pthread_mutex_lock(&make->lock);
    if (make->error)
        g_error_free(error);
    else
        make->error = error;
    pthread_mutex_unlock(&make->lock);
}

static void drop_shard(Loop *loop, void *arg)
{
    Lun *lun = arg;
    lun_shard_free(lun->shards[loop_index(loop)]);
    lun->shards[loop_index(loop)] = NULL;
}

static bool make_shards(Lun *lun, GError **error)
{
    for (unsigned i = 0; i < lun->nloops; i++)
        lun->nshards = MAX(lun->nshards, loop_index(lun->loops[i]) + 1);
    lun->shards = g_new0(LunShard *, lun->nshards);
    MakeShards make = {.lun = lun};
    pthread_mutex_init(&make.lock, NULL);
    on_loops(lun->loops, lun->nloops, make_shard, &make);
    pthread_mutex_destroy(&make.lock);
    if (!make.error)
        return true;
    on_loops(lun->loops, lun->nloops, drop_shard, lun);
    g_propagate_prefixed_error(error, make.error, "LUN %s/%u: ", lun->spec.target_name,
                               lun->spec.number);
    return false;
}

static void lun_free(Lun *lun)
{
    g_assert(g_queue_is_empty(&lun->claims));
    aio_file_close(lun->file);
    operation_free(lun->operation.interrupted);
    cache_free(lun->cache);
    reserve_close(lun);
    pthread_mutex_destroy(&lun->lock);
    g_free(lun->shards);
    g_free(lun->loops);
    g_free(lun->target_name);
    g_free(lun->path);
    g_free(lun->serial);
    g_free(lun);
}

Lun *lun_new(const LunSpec *spec, Memory *memory, Loop *const *loops, unsigned nloops,
             GError **error)
{
    Lun *lun = g_new0(Lun, 1);
    lun->spec = *spec;
    lun->spec.target_name = lun->target_name = g_strdup(spec->target_name);
    lun->spec.path = lun->path = g_strdup(spec->path);
    lun->memory = memory;
    lun->main = loop_self();
    ArenaStats arena;
    arena_get_stats(memory_arena(memory), &arena);
    lun->arena = arena.limit;
    lun->loops = g_memdup2(loops, nloops * sizeof *loops);
    lun->nloops = nloops;
    pthread_mutex_init(&lun->lock, NULL);
    name_lun(lun, spec);
    if (load_state(lun, error) && reserve_open(lun, error) && open_store(lun, error) &&
        measure(lun, error) && find_zeros(lun, error) && make_cache(lun, error) &&
        make_shards(lun, error)) {
        operation_resume(lun);
        return lun;
    }
    lun_free(lun);
    return NULL;
}

/* --- closing ---------------------------------------------------------------------------------- */

/* Synchronising blocks, so a thread does it; a target may have thousands of LUNs, so few do. */
#define CLOSERS_MAX 16
static unsigned closers;               /* running; loop 0 */
static GQueue to_close = G_QUEUE_INIT; /* Lun, which wait for one; loop 0 */

static void start_closer(Lun *lun);

static void close_finished(void *arg)
{
    Lun *lun = arg;
    g_thread_join(lun->closer);
    closers--;
    if (!g_queue_is_empty(&to_close))
        start_closer(g_queue_pop_head(&to_close));
    if (lun->close_result < 0)
        g_warning("LUN %s/%u: data may be lost: %s", lun->spec.target_name, lun->spec.number,
                  g_strerror(-lun->close_result));
    LoopFn closed = lun->closed;
    void *closed_arg = lun->closed_arg;
    lun_free(lun);
    closed(closed_arg);
}

static void *sync_before_close(void *arg)
{
    Lun *lun = arg;
    lun->close_result = lun->spec.read_only ? 0 : aio_file_sync(lun->file);
    loop_call(lun->main, close_finished, lun);
    return NULL;
}

static void start_closer(Lun *lun)
{
    closers++;
    lun->closer = g_thread_new("rtgt-close", sync_before_close, lun);
}

static void begin_close(Lun *lun)
{
    on_loops(lun->loops, lun->nloops, drop_shard, lun);
    if (closers < CLOSERS_MAX)
        start_closer(lun);
    else
        g_queue_push_tail(&to_close, lun);
}

static void close_when_idle(Lun *lun)
{
    if (lun->closed && !lun->exchange && !operation_running(lun))
        begin_close(lun);
}

void lun_close(Lun *lun, LoopFn done, void *arg)
{
    lun->closed = done;
    lun->closed_arg = arg;
    operation_stop(lun);
    close_when_idle(lun);
}

void lun_exchange_ended(Lun *lun)
{
    close_when_idle(lun);
}

void lun_operation_ended(Lun *lun)
{
    close_when_idle(lun);
}

/* --- what others ask -------------------------------------------------------------------------- */

void lun_attention(Lun *lun, SenseCode code, const Itl *except)
{
    pthread_mutex_lock(&lun->lock);
    for (GList *l = lun->itls.head; l; l = l->next) {
        Itl *itl = l->data;
        if (itl != except)
            unit_attentions_add(&itl->attentions, code);
    }
    pthread_mutex_unlock(&lun->lock);
}

bool lun_refresh_size(Lun *lun)
{
    if (aio_file_refresh_size(lun->file) < 0)
        return false;
    uint64_t blocks = aio_file_size(lun->file) >> lun->block_shift;
    uint64_t before = lun_blocks(lun);
    if (blocks == before)
        return false;
    __atomic_store_n(&lun->blocks, blocks, __ATOMIC_RELAXED);
    if (lun->cache)
        cache_drop(lun->cache, MIN(before, blocks) << lun->block_shift);
    lun->spec.size = blocks << lun->block_shift;
    lun_attention(lun, SENSE_CAPACITY_CHANGED, NULL);
    return true;
}

const LunSpec *lun_spec(const Lun *lun)
{
    return &lun->spec;
}

uint64_t lun_blocks(const Lun *lun)
{
    return __atomic_load_n(&lun->blocks, __ATOMIC_RELAXED);
}

const AioEngine *lun_engine(const Lun *lun)
{
    return lun->spec.engine;
}

const AioParams *lun_params(const Lun *lun)
{
    return &lun->spec.params;
}

AioMode lun_mode(const Lun *lun)
{
    return lun->spec.mode;
}

uint64_t lun_cache_size(const Lun *lun)
{
    return lun->cache ? cache_size(lun->cache) : 0;
}

int lun_sync_error(const Lun *lun)
{
    return aio_file_sync_error(lun->file);
}

void lun_clear_sync_error(Lun *lun)
{
    aio_file_clear_sync_error(lun->file);
}

bool lun_write_cache(const Lun *lun)
{
    return lun_flag(&lun->write_cache);
}

bool lun_is_block_device(const Lun *lun)
{
    return aio_file_is_block_device(lun->file);
}

unsigned lun_atomic_blocks(const Lun *lun)
{
    return __atomic_load_n(&lun->atomic_blocks, __ATOMIC_RELAXED);
}

bool lun_hung(const Lun *lun)
{
    return __atomic_load_n(&lun->hung_shards, __ATOMIC_RELAXED) > 0;
}

bool lun_thin(const Lun *lun)
{
    return lun->thin;
}

LunShard *lun_shard(Lun *lun, const Loop *loop)
{
    unsigned index = loop_index(loop);
    return index < lun->nshards ? lun->shards[index] : NULL;
}

/* --- statistics ------------------------------------------------------------------------------- */

#define SUM(member) out->member += counter_get(&shard->stats.member)

static void add_engine_counters(const Engine *engine, AioCounters *sum)
{
    AioCounters counters;
    engine_get_counters(engine, &counters);
    const uint64_t *from = (const uint64_t *)&counters;
    uint64_t *to = (uint64_t *)sum;
    for (size_t i = 0; i < sizeof counters / sizeof *from; i++)
        to[i] += from[i];
}

void lun_get_stats(Lun *lun, LunStats *out)
{
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&lun->lock); /* holds the engines */
    for (unsigned i = 0; i < lun->nshards; i++) {
        const LunShard *shard = lun->shards[i];
        if (!shard)
            continue;
        SUM(reads), SUM(writes), SUM(flushes), SUM(unmaps), SUM(others), SUM(errors);
        SUM(read_bytes), SUM(write_bytes), SUM(queued_by_gate);
        SUM(read_errors), SUM(write_errors);
        add_engine_counters(shard->engine, &out->engine);
        if (shard->lane)
            cache_lane_add_stats(shard->lane, &out->cache);
    }
    if (lun->cache)
        cache_add_stats(lun->cache, &out->cache);
    pthread_mutex_unlock(&lun->lock);
}

void lun_add_latency(Lun *lun, LatencySums *sums)
{
    for (unsigned i = 0; i < lun->nshards; i++)
        if (lun->shards[i])
            latency_sums_add(sums, &lun->shards[i]->latency);
}

void lun_each_engine(Lun *lun, void (*fn)(const Engine *engine, void *arg), void *arg)
{
    pthread_mutex_lock(&lun->lock);
    for (unsigned i = 0; i < lun->nshards; i++)
        if (lun->shards[i])
            fn(lun->shards[i]->engine, arg);
    pthread_mutex_unlock(&lun->lock);
}
