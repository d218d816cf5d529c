/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine contexts of a loop: shared by reference, polled, flushed once a round. */
#include "core/scsi/engine.h"

#include "aio/request.h"

struct Engine {
    LoopPoller poller;
    LoopFlush flush;
    AioCtx *ctx;
    AioReqList waiting; /* refused by a full context, in order */
    Loop *loop;
    Arena *arena;
    unsigned chunks; /* of the arena, told to the context */
    unsigned refs;
    AioParams params;
    Engine *next;
};

static __thread Engine *engines; /* of the calling loop */

static Engine *engine_of_poller(LoopPoller *poller)
{
    return (Engine *)((char *)poller - offsetof(Engine, poller));
}

static void queue_waiting(Engine *engine)
{
    while (engine->waiting.head) {
        AioReq *req = engine->waiting.head, *next = req->next;
        if (!engine->ctx->engine->queue(engine->ctx, req))
            return;
        engine->waiting.head = next;
        loop_flush_later(engine->loop, &engine->flush);
    }
}

static unsigned engine_poll(LoopPoller *poller, unsigned budget)
{
    Engine *engine = engine_of_poller(poller);
    unsigned n = engine->ctx->engine->reap(engine->ctx, budget);
    if (n && engine->waiting.head)
        queue_waiting(engine);
    return n;
}

/* Engines are always armed: reap() that found less than its budget made the fd ready for more. */
static void engine_arm(LoopPoller *poller)
{
    (void)poller;
}

static void engine_acknowledge(LoopPoller *poller)
{
    (void)poller;
}

static const LoopPollerOps poller_ops = {
    .poll = engine_poll, .arm = engine_arm, .acknowledge = engine_acknowledge};

/* New chunks are looked for here, where the context may be touched, instead of being announced by
 * loop 0: until then the engine treats their addresses as plain memory. */
static void add_new_chunks(Engine *engine)
{
    unsigned count = arena_chunk_count(engine->arena);
    for (; engine->chunks < count; engine->chunks++)
        aio_ctx_add_memory(engine->ctx,
                           (char *)arena_base(engine->arena) + engine->chunks * ARENA_CHUNK_SIZE,
                           ARENA_CHUNK_SIZE);
}

static void engine_flush(LoopFlush *flush)
{
    Engine *engine = (Engine *)((char *)flush - offsetof(Engine, flush));
    if (engine->chunks != arena_chunk_count(engine->arena))
        add_new_chunks(engine);
    engine->ctx->engine->flush(engine->ctx);
}

static bool same_params(const AioParams *a, const AioParams *b)
{
    return a->threads == b->threads && a->depth == b->depth && a->inline_reads == b->inline_reads &&
           a->inline_max == b->inline_max && a->coalesce == b->coalesce && a->sqpoll == b->sqpoll &&
           a->unsafe_buffered == b->unsafe_buffered;
}

static Engine *find(const Loop *loop, const Arena *arena, const AioEngine *type,
                    const AioParams *params)
{
    for (Engine *e = engines; e; e = e->next)
        if (e->loop == loop && e->arena == arena && e->ctx->engine == type &&
            same_params(&e->params, params))
            return e;
    return NULL;
}

Engine *engine_get(Loop *loop, Arena *arena, const AioEngine *type, const AioParams *params,
                   GError **error)
{
    Engine *engine = find(loop, arena, type, params);
    if (engine) {
        engine->refs++;
        return engine;
    }
    AioCtx *ctx;
    int res = type->open(params, &ctx);
    if (res < 0) {
        g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(-res),
                    "engine %s cannot start: %s", type->name, g_strerror(-res));
        return NULL;
    }
    engine = g_new0(Engine, 1);
    engine->ctx = ctx;
    engine->loop = loop;
    engine->arena = arena;
    engine->refs = 1;
    engine->params = *params;
    engine->flush.run = engine_flush;
    engine->next = engines;
    engines = engine;
    add_new_chunks(engine);
    loop_add_poller(loop, &engine->poller, &poller_ops, type->event_fd(ctx));
    return engine;
}

void engine_put(Engine *engine)
{
    if (!engine || --engine->refs > 0)
        return;
    g_assert(!engine->waiting.head);
    for (Engine **at = &engines; *at; at = &(*at)->next)
        if (*at == engine) {
            *at = engine->next;
            break;
        }
    loop_flush_cancel(engine->loop, &engine->flush);
    loop_remove_poller(&engine->poller);
    engine->ctx->engine->close(engine->ctx);
    g_free(engine);
}

void engine_submit(Engine *engine, AioReq *req)
{
    if (engine->waiting.head || !engine->ctx->engine->queue(engine->ctx, req)) {
        aio_reqs_push(&engine->waiting, req);
        return;
    }
    loop_flush_later(engine->loop, &engine->flush);
}

bool engine_withdraw(Engine *engine, AioReq *req)
{
    return aio_reqs_remove(&engine->waiting, req);
}

const AioEngine *engine_type(const Engine *engine)
{
    return engine->ctx->engine;
}

const AioParams *engine_params(const Engine *engine)
{
    return &engine->params;
}

void engine_get_counters(const Engine *engine, AioCounters *out)
{
    aio_ctx_counters(engine->ctx, out);
}
