/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The contract between whoever wants bytes from storage and the engines that fetch them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct AioReq AioReq;
typedef struct AioCtx AioCtx;
typedef struct AioEngine AioEngine;
typedef struct AioFile AioFile; /* aio/file.h */

typedef enum {
    AIO_READ,
    AIO_WRITE,
    AIO_FLUSH,        /* everything done before is on stable storage */
    AIO_DISCARD,      /* deallocate; what is read afterwards is zeros or unchanged, see file.h */
    AIO_WRITE_ZEROES, /* reads as zeros afterwards, by deallocation where AIO_MAY_UNMAP is set */
    AIO_EXTENT,       /* how far from `offset`, at most `len`, it is all data or all a hole */
    AIO_PREFETCH,     /* into the page cache, of a buffered file */
} AioOp;
#define AIO_OPS 7

enum {
    AIO_FUA = 1u << 0,       /* WRITE, WRITE_ZEROES: on stable storage before done */
    AIO_MAY_UNMAP = 1u << 1, /* WRITE_ZEROES: may deallocate instead of writing zeros */
    /* WRITE: as a whole or not at all, even when power fails. Only of a length that
     * aio_file_atomic_unit() may return, at a multiple of it, and in one piece of memory; anything
     * else is -EOPNOTSUPP. */
    AIO_ATOMIC = 1u << 2,
    AIO_NO_WAIT = 1u << 3, /* PREFETCH: done when it has begun */
};

/* One request, embedded in the caller's task and lent to the engine from queue() until done().
 * `iov` and the memory it names are lent as well. Offsets and lengths are bytes; the sum of the
 * iov lengths is `len` for READ and WRITE, and iov is unused for the other operations.
 * The engine never changes the fields up to and including `done`. */
struct AioReq {
    AioOp op;
    unsigned flags;
    AioFile *file;
    const struct iovec *iov;
    int iovcnt;
    uint64_t offset, len;
    void (*done)(AioReq *req); /* called from reap(), on the context's thread */

    ssize_t res; /* set before done: `len` (FLUSH: 0; EXTENT: that of the extent; PREFETCH: all or
                  * 0, where there is no page cache), or -errno */
    /* EXTENT: set before done. A hole takes no space and reads as zeros; allocated space that was
     * never written may count as one. Where the store cannot tell, all is data. */
    bool hole;

    uint64_t begun; /* the caller's own */

    /* the engine's own */
    AioReq *next;
    uint64_t moved; /* bytes already transferred: short transfers are continued from here; EXTENT,
                     * PREFETCH: the result */
    void *priv;
};

/* Options of an engine, from the keyfile or SetEngine. Defaults by aio_params_init(). */
typedef struct {
    unsigned threads;     /* most workers of one context (syslet; helpers of the others) */
    unsigned depth;       /* most requests in flight in one context */
    bool inline_reads;    /* syslet: "inline", try preadv2(RWF_NOWAIT) first */
    size_t inline_max;    /* syslet: "inline-max", larger reads go to a worker at once; bytes */
    bool coalesce;        /* syslet: one event-fd write per empty -> non-empty transition */
    bool sqpoll;          /* io_uring */
    bool unsafe_buffered; /* libaio: accept buffered files, on which io_submit may block */
} AioParams;

/* Counters of one context; written by its threads with relaxed atomics, readable from anywhere. */
typedef struct {
    uint64_t submitted, completed, errors;
    uint64_t inline_hits, inline_shorts, inline_misses, inline_unsupported; /* syslet */
    uint64_t hand_offs;    /* requests given to a worker thread */
    uint64_t wake_ups;     /* workers woken */
    uint64_t event_writes; /* writes to the event fd by rtgt's own code */
    uint64_t submit_calls; /* io_submit / io_uring_enter calls that submitted */
    uint64_t bounced;      /* unaligned direct requests done through a bounce buffer */
} AioCounters;

/* A context belongs to one thread (its home loop's): all functions but counters are called there.
 */
struct AioCtx {
    const AioEngine *engine;
    AioCounters counters;
};

/* All members are required. */
struct AioEngine {
    const char *name;           /* as in the keyfile */
    const char *summary;        /* one line for --help and D-Bus */
    const char *const *options; /* names of the options it knows, NULL-terminated */

    /* 0, or -EOPNOTSUPP with *why (static text) where this engine must not be used on the file. */
    int (*accepts)(const AioFile *file, const AioParams *params, const char **why);

    /* Makes a context. 0 and *ctx (freed by close), or -errno. */
    int (*open)(const AioParams *params, AioCtx **ctx);

    /* Readable when reap() has something to do (waiting for it may end in EINTR without a signal:
     * io_uring runs its completions that way); -1 when it never needs waiting for. Level or edge
     * is the engine's affair: after reap() returned less than max, new completions make it
     * readable again. */
    int (*event_fd)(AioCtx *ctx);

    /* Takes the request; it starts at the latest with flush(). Never calls done, never blocks on
     * the disk. False: full, retry after a completion was reaped. */
    bool (*queue)(AioCtx *ctx, AioReq *req);

    /* Starts everything queued, with at most one system call where nothing must be continued.
     * Afterwards the caller calls reap() at least once before it sleeps: what was finished in
     * queue() or flush() is found there, without a sign on the event fd. */
    void (*flush)(AioCtx *ctx);

    /* Calls done for at most max finished requests (done may queue new ones); how many. A request
     * that failed in a way that leaves bytes unsure reports -errno, never a short count. */
    unsigned (*reap)(AioCtx *ctx, unsigned max);

    /* See aio_ctx_add_memory(). */
    void (*add_memory)(AioCtx *ctx, void *base, size_t len);

    /* Frees the context; the caller has seen done for every request. Joins its threads. */
    void (*close)(AioCtx *ctx);
};

/* NULL-terminated table of all engines: syslet, libaio, io_uring, null. */
extern const AioEngine *const aio_engines[];
const AioEngine *aio_engine_find(const char *name); /* NULL: no such engine */

void aio_params_init(AioParams *params);
/* Sets one option by its text; false with *error (g_free) naming the option, the value and what
 * would be right. An option the engine does not list is an error. */
bool aio_params_set(AioParams *params, const AioEngine *engine, const char *key, const char *value,
                    char **error);

/* Registered memory (a chunk of the arena) that io_uring may use as fixed buffers. Called by the
 * context's thread; an engine without use for it ignores it. Failing to register is no error: plain
 * buffers are used, and one warning logged. */
void aio_ctx_add_memory(AioCtx *ctx, void *base, size_t len);

/* A copy of the context's counters. MT-SAFE while the context is open. */
void aio_ctx_counters(const AioCtx *ctx, AioCounters *out);
