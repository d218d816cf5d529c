/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exchange of a LUN's engine while commands run (DESIGN.md section 5): the gates of all loops
 * are closed, what the engines have drains, the file is synchronised, and either every loop changes
 * to the new engine and file, or none does. Cutting a store off is the same with the old engine. */
#include "core/scsi/lun_impl.h"

#include <gio/gio.h>

typedef enum { DRAINING, SYNCING, OPENING } Phase;

/* The share of one loop. */
typedef struct {
    Exchange *exchange;
    LunShard *shard;
    Engine *engine; /* the new one, on the shard's loop */
    GError *error;  /* why there is none */
} Part;

struct Exchange {
    Lun *lun;
    const AioEngine *engine;
    AioParams params;
    AioMode mode;
    AioFile *file; /* the store in the new mode */
    uint64_t cut;  /* bytes the store is to have; 0: it keeps its size */
    Cache *cache;  /* that the LUN is to have; NULL: none, or the one that is there */
    LunExchanged done;
    void *arg;

    Phase phase;
    Part *parts;
    unsigned nparts, left; /* parts that have not reported in this phase */
    GSource *timer;
    GThread *syncer;
    int sync_result;
    GError *error; /* what made it fail; NULL: it goes ahead */
};

static GError *refusal(const char *format, ...) G_GNUC_PRINTF(1, 2);
static GError *refusal(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    GError *error = g_error_new_valist(G_IO_ERROR, G_IO_ERROR_FAILED, format, args);
    va_end(args);
    return error;
}

static void for_all_parts(Exchange *x, LoopFn fn)
{
    x->left = x->nparts;
    for (unsigned i = 0; i < x->nparts; i++)
        loop_call(x->parts[i].shard->loop, fn, &x->parts[i]);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void finish(Exchange *x)
{
    Lun *lun = x->lun;
    AioFile *unused = x->file;
    if (!x->error) {
        unused = lun->file;
        lun->file = x->file;
        lun->spec.engine = x->engine;
        lun->spec.params = x->params;
        lun->spec.mode = x->mode;
        if (lun_measure_atomic(lun))
            lun_attention(lun, SENSE_INQUIRY_DATA_CHANGED, NULL);
    }
    aio_file_close(unused);
    if (x->error)
        cache_free(x->cache);
    lun->exchange = NULL;
    x->done(lun, x->error, x->arg);
    g_clear_error(&x->error);
    for (unsigned i = 0; i < x->nparts; i++)
        g_clear_error(&x->parts[i].error); /* of those that were too late to tell it */
    g_free(x->parts);
    g_free(x);
    lun_exchange_ended(lun);
}

static void part_opened(void *arg)
{
    Part *part = arg;
    Exchange *x = part->exchange;
    if (--x->left == 0)
        finish(x);
}

static void open_gate(void *arg)
{
    Part *part = arg;
    Exchange *x = part->exchange;
    LunShard *shard = part->shard;
    Engine *unused = part->engine;
    if (!x->error) {
        unused = shard->engine;
        pthread_mutex_lock(&shard->lun->lock);
        shard->engine = part->engine;
        if (x->cache)
            lun_shard_set_cache(shard, x->cache);
        pthread_mutex_unlock(&shard->lun->lock);
        shard->file = x->file;
    }
    engine_put(unused);
    lun_shard_open_gate(shard);
    loop_call(shard->lun->main, part_opened, part);
}

/* The LUN has the cache before the first gate opens: who asks for statistics finds it. */
static void open_gates(Exchange *x)
{
    if (x->cache && !x->error) {
        pthread_mutex_lock(&x->lun->lock);
        x->lun->cache = x->cache;
        pthread_mutex_unlock(&x->lun->lock);
    }
    x->phase = OPENING;
    loop_timer_stop(&x->timer);
    for_all_parts(x, open_gate);
}

/* --- synchronising ---------------------------------------------------------------------------- */

static void synced(void *arg)
{
    Exchange *x = arg;
    g_thread_join(x->syncer);
    if (x->sync_result < 0)
        x->error = refusal(x->cut ? "the store cannot be cut off: %s"
                                  : "what was written could not be synchronised: %s",
                           g_strerror(-x->sync_result));
    else if (x->cut)
        lun_refresh_size(x->lun); /* before what the gates hold is looked at */
    open_gates(x);
}

static void *sync_old_file(void *arg)
{
    Exchange *x = arg;
    if (x->cut)
        x->sync_result = aio_file_resize(x->lun->file, x->cut);
    else
        x->sync_result = x->lun->spec.read_only ? 0 : aio_file_sync(x->lun->file);
    loop_call(x->lun->main, synced, x);
    return NULL;
}

/* --- draining --------------------------------------------------------------------------------- */

static void part_drained(void *arg)
{
    Part *part = arg;
    Exchange *x = part->exchange;
    if (x->phase != DRAINING) /* too late */
        return;
    if (part->error && !x->error)
        x->error = g_steal_pointer(&part->error);
    g_clear_error(&part->error);
    if (--x->left > 0)
        return;
    if (x->error) {
        open_gates(x);
        return;
    }
    x->phase = SYNCING;
    loop_timer_stop(&x->timer);
    x->syncer = g_thread_new("rtgt-sync", sync_old_file, x);
}

static void shard_drained(LunShard *shard, void *arg)
{
    loop_call(shard->lun->main, part_drained, arg);
}

static void close_gate(void *arg)
{
    Part *part = arg;
    const Exchange *x = part->exchange;
    part->engine = engine_get(part->shard->loop, memory_arena(x->lun->memory), x->engine,
                              &x->params, &part->error);
    lun_shard_close_gate(part->shard, shard_drained, part);
}

static gboolean drain_timed_out(gpointer arg)
{
    Exchange *x = arg;
    x->error = refusal("requests of the old engine did not return in time");
    open_gates(x);
    return G_SOURCE_REMOVE;
}

/* --- the beginning ---------------------------------------------------------------------------- */

static GError *prepare(Exchange *x)
{
    const Lun *lun = x->lun;
    g_autofree char *why = NULL;
    const char *refused = NULL;
    if (lun->exchange)
        return refusal("another exchange is under way");
    if (lun->closed)
        return refusal("the LUN is being closed");
    if (aio_file_is_null(lun->file) && !x->cut)
        return refusal("a LUN without a path has the null engine only");
    int res = aio_file_reopen(lun->file, x->mode, &x->file, &why);
    if (res < 0)
        return refusal("%s", why);
    if (x->engine->accepts(x->file, &x->params, &refused) < 0)
        return refusal("engine %s: %s", x->engine->name, refused);
    return NULL;
}

static void make_parts(Exchange *x)
{
    Lun *lun = x->lun;
    x->nparts = lun->nloops;
    x->parts = g_new0(Part, x->nparts);
    for (unsigned i = 0; i < x->nparts; i++) {
        x->parts[i].exchange = x;
        x->parts[i].shard = lun_shard(lun, lun->loops[i]);
    }
}

static void begin(const Exchange *wanted, unsigned drain_timeout_ms)
{
    Exchange *x = g_memdup2(wanted, sizeof *wanted);
    Lun *lun = x->lun;
    g_autoptr(GError) error = prepare(x);
    if (error) {
        aio_file_close(x->file);
        cache_free(x->cache);
        x->done(lun, error, x->arg);
        g_free(x);
        return;
    }
    lun->exchange = x;
    make_parts(x);
    x->timer = loop_timer_start(lun->main, drain_timeout_ms, drain_timed_out, x);
    for_all_parts(x, close_gate);
}

void lun_set_engine(Lun *lun, const AioEngine *engine, const AioParams *params, AioMode mode,
                    unsigned drain_timeout_ms, LunExchanged done, void *arg)
{
    const Exchange x = {
        .lun = lun, .engine = engine, .params = *params, .mode = mode, .done = done, .arg = arg};
    begin(&x, drain_timeout_ms);
}

/* --- the cache -------------------------------------------------------------------------------- */

static void resize_cache(Lun *lun, uint64_t size, LunExchanged done, void *arg)
{
    g_autoptr(GError) error = NULL;
    if (cache_resize(lun->cache, size, &error))
        lun->spec.cache_size = size;
    done(lun, error, arg);
}

void lun_set_cache(Lun *lun, uint64_t size, unsigned drain_timeout_ms, LunExchanged done, void *arg)
{
    const LunSpec *spec = &lun->spec;
    if (lun->cache) {
        resize_cache(lun, size, done, arg);
        return;
    }
    g_autoptr(GError) error = NULL;
    Exchange x = {.lun = lun,
                  .engine = spec->engine,
                  .params = spec->params,
                  .mode = spec->mode,
                  .done = done,
                  .arg = arg};
    if (size > 0 && (x.cache = cache_new(lun->memory, size, spec->cache_slot, lun->nloops, &error)))
        begin(&x, drain_timeout_ms);
    else
        done(lun, error, arg);
}

/* --- size ------------------------------------------------------------------------------------- */

static void lengthen(Lun *lun, uint64_t size, LunExchanged done, void *arg)
{
    int res = aio_file_resize(lun->file, size);
    g_autoptr(GError) error =
        res < 0 ? refusal("the store cannot grow: %s", g_strerror(-res)) : NULL;
    if (!error)
        lun_refresh_size(lun);
    done(lun, error, arg);
}

void lun_resize(Lun *lun, uint64_t size, unsigned drain_timeout_ms, LunExchanged done, void *arg)
{
    const LunSpec *spec = &lun->spec;
    const Exchange x = {.lun = lun,
                        .engine = spec->engine,
                        .params = spec->params,
                        .mode = spec->mode,
                        .cut = size,
                        .done = done,
                        .arg = arg};
    g_assert(size > 0 && size % spec->block_size == 0);
    if (size < aio_file_size(lun->file))
        begin(&x, drain_timeout_ms);
    else
        lengthen(lun, size, done, arg);
}
