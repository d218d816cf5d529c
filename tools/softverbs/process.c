/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Set-up of a process: configuration, arena, slot number, diagnostics. */
#include "tools/softverbs/process.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cm.h"
#include "tools/softverbs/fault.h"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>

struct sv_global g = {.obj = PTHREAD_MUTEX_INITIALIZER, .procfd = -1, .lockfd = -1};
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t init_pid;

uint64_t sv_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void sv_diag(const char *fmt, ...)
{
    char b[512];
    va_list ap;
    int n;

    if (!g.strict)
        return;
    n = snprintf(b, sizeof(b), "softverbs[%d]: ", (int)getpid());
    va_start(ap, fmt);
    n += vsnprintf(b + n, sizeof(b) - n - 1, fmt, ap);
    va_end(ap);
    if (n > (int)sizeof(b) - 2)
        n = sizeof(b) - 2;
    b[n++] = '\n';
    (void)!write(2, b, n);
}

uint32_t sv_generation(void)
{
    static _Atomic uint32_t generation;

    return ++generation;
}

void sv_kick(void)
{
    uint64_t one = 1;

    (void)!write(g.kickfd, &one, 8);
}

static uint64_t env_ms(const char *name, uint64_t dflt)
{
    const char *s = getenv(name);

    return (s && *s ? strtoull(s, NULL, 0) : dflt) * 1000000ull;
}

static bool env_on(const char *name)
{
    const char *s = getenv(name);

    return s && *s && *s != '0';
}

static void print_stats(void)
{
    if (g.a && init_pid == getpid() && env_on("SOFTVERBS_STATS"))
        fprintf(stderr,
                "softverbs[%d]: writes %lu reads %lu sends %lu (direct %lu) "
                "bytes %lu rnr %lu events %lu\n"
                "softverbs[%d]: calls: post_send %lu (signalled %lu) post_recv %lu poll_cq %lu "
                "(empty %lu) req_notify %lu reg_mr %lu\n",
                (int)getpid(), (unsigned long)g.n_write, (unsigned long)g.n_read,
                (unsigned long)g.n_send, (unsigned long)g.n_direct, (unsigned long)g.n_bytes,
                (unsigned long)g.n_rnr, (unsigned long)g.n_event, (int)getpid(),
                (unsigned long)g.n_post_send, (unsigned long)g.n_signalled,
                (unsigned long)g.n_post_recv, (unsigned long)g.n_poll,
                (unsigned long)g.n_poll_empty, (unsigned long)g.n_arm, (unsigned long)g.n_reg_mr);
}

static void fork_child(void)
{
    /* Like a real adapter: nothing opened before the fork is usable here. */
    if (g.a)
        g.gone = true;
}

static void read_env(void)
{
    const char *s;

    g.retry_ns = env_ms("SOFTVERBS_RETRY_MS", 200);
    g.timewait_ns = env_ms("SOFTVERBS_TIMEWAIT_MS", 20);
    g.cm_timeout_ns = env_ms("SOFTVERBS_CM_TIMEOUT_MS", 20000);
    g.dreq_flush = env_on("SOFTVERBS_DREQ_FLUSH");
    s = getenv("SOFTVERBS_YIELD");
    g.yield = !s || *s != '0';
    g.reject_ms = env_ms("SOFTVERBS_REJECT_MS", 50) / 1000000;
    s = getenv("SOFTVERBS_LINK");
    g.link_ib = s && !strcasecmp(s, "ib");
    g.iwarp = s && !strcasecmp(s, "iwarp");
}

/* Where the processes meet. */
static int make_dir(void)
{
    const char *s = getenv("SOFTVERBS_DIR");
    struct stat st;

    if (s && strlen(s) >= sizeof(g.dir)) {
        fprintf(stderr, "softverbs: SOFTVERBS_DIR is too long\n");
        return ENAMETOOLONG;
    }
    if (s && *s)
        snprintf(g.dir, sizeof(g.dir), "%s", s);
    else
        snprintf(g.dir, sizeof(g.dir), "%s/softverbs-%u",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (unsigned)geteuid());
    if (mkdir(g.dir, 0700) && errno != EEXIST) {
        int e = errno;

        fprintf(stderr, "softverbs: %s: %s\n", g.dir, strerror(e));
        return e;
    }
    /* the default name can be guessed by other users */
    if (!(s && *s) && (lstat(g.dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())) {
        fprintf(stderr, "softverbs: %s is not a directory of this user\n", g.dir);
        return EPERM;
    }
    return 0;
}

/* A slot number, unique among live processes of this directory, makes QP numbers unique too.
 * The lock dies with the process. */
static int take_slot(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/locks", g.dir);
    g.lockfd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (g.lockfd < 0) {
        int e = errno;

        fprintf(stderr, "softverbs: %s: %s\n", path, strerror(e));
        return e;
    }
    for (int slot = 1; slot < (int)SV_MAX_SLOT; slot++) {
        struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};

        if (!fcntl(g.lockfd, F_OFD_SETLK, &fl)) {
            g.a->slot = slot;
            return 0;
        }
    }
    fprintf(stderr, "softverbs: %s: all of %u processes are there\n", g.dir, SV_MAX_SLOT - 1);
    return EAGAIN;
}

static int init_once(void)
{
    int r;

    read_env();
    r = make_dir();
    if (!r)
        r = sv_arena_make();
    if (r)
        return r;
    g.kickfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (g.kickfd < 0)
        return errno;
    r = take_slot();
    if (r)
        return r;
    g.dev.node_type = g.iwarp ? IBV_NODE_RNIC : IBV_NODE_CA;
    g.dev.transport_type = g.iwarp ? IBV_TRANSPORT_IWARP : IBV_TRANSPORT_IB;
    strcpy(g.dev.name, "softverbs0");
    strcpy(g.dev.dev_name, "uverbs0");
    strcpy(g.dev.dev_path, "/sys/class/infiniband_verbs/uverbs0");
    strcpy(g.dev.ibdev_path, "/sys/class/infiniband/softverbs0");
    init_pid = getpid();
    pthread_atfork(NULL, NULL, fork_child);
    atexit(print_stats);
    sv_cm_start();
    return 0;
}

int sv_init(void)
{
    static int done, err;

    if (likely(__atomic_load_n(&done, __ATOMIC_ACQUIRE)))
        return err;
    pthread_mutex_lock(&init_lock);
    if (!done) {
        err = init_once();
        __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&init_lock);
    return err;
}

__attribute__((constructor)) static void ctor(void)
{
    const char *s = getenv("SOFTVERBS_FAULT");

    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    g.strict = env_on("SOFTVERBS_STRICT");
    g.poison = env_on("SOFTVERBS_POISON");
    if (s)
        sv_fault_parse(s);
    /* We run after the libraries we stand in for.  Theirs (libnl) leave an
     * errno behind that tgtd takes for a failure of its own strtol(). */
    errno = 0;
}
