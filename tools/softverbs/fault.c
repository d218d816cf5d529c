/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults injected by SOFTVERBS_FAULT and SOFTVERBS_FAULT_FILE. */
#include "tools/softverbs/fault.h"
#include "tools/softverbs/process.h"

#include <sys/stat.h>

void sv_fault_parse(const char *s)
{
    static const struct {
        const char *name;
        _Atomic uint64_t *v;
    } k[] = {
        {"disconnect-after", &g.f.disconnect_after},
        {"wc-error-every", &g.f.wc_error_every},
        {"delay-us", &g.f.delay_us},
        {"rnr-every", &g.f.rnr_every},
        {"mr-fail-after", &g.f.mr_fail_after},
        {"devgone-after", &g.f.devgone_after},
    };
    char buf[512], *p, *save, *eq;
    bool on = false;

    for (size_t i = 0; i < sizeof(k) / sizeof(*k); i++)
        *k[i].v = 0;
    snprintf(buf, sizeof(buf), "%s", s);
    for (p = strtok_r(buf, ", \t\n", &save); p; p = strtok_r(NULL, ", \t\n", &save)) {
        bool known = false;

        eq = strchr(p, '=');
        if (!eq)
            continue;
        *eq = 0;
        if (!strcmp(p, "seed")) {
            g.f.seed = strtoull(eq + 1, NULL, 0);
            g.f.rng = g.f.seed;
            continue;
        }
        for (size_t i = 0; i < sizeof(k) / sizeof(*k); i++)
            if (!strcmp(p, k[i].name)) {
                *k[i].v = strtoull(eq + 1, NULL, 0);
                on |= *k[i].v != 0;
                known = true;
            }
        if (!known)
            fprintf(stderr, "softverbs: unknown fault '%s'\n", p);
    }
    g.f.on = on;
}

void sv_fault_poll(const char *path)
{
    static struct timespec seen;
    struct stat st;
    char b[512];
    ssize_t n;
    int fd;

    if (stat(path, &st)) {
        if (seen.tv_sec) {
            seen.tv_sec = 0;
            sv_fault_parse("");
        }
        return;
    }
    if (st.st_mtim.tv_sec == seen.tv_sec && st.st_mtim.tv_nsec == seen.tv_nsec)
        return;
    seen = st.st_mtim;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    n = read(fd, b, sizeof(b) - 1);
    close(fd);
    if (n < 0)
        return;
    b[n] = 0;
    g.f.wrs = g.f.sends = g.f.mrs = 0;
    sv_fault_parse(b);
}

/* True for every Nth call; with a seed, for a random one in N. */
bool sv_fault_every(_Atomic uint64_t *every, uint64_t count)
{
    uint64_t n = *every, x, y;

    if (!n)
        return false;
    if (!g.f.seed)
        return count % n == 0;
    x = atomic_load(&g.f.rng);
    do {
        y = x ^ (x << 13);
        y ^= y >> 7;
        y ^= y << 17;
    } while (!atomic_compare_exchange_weak(&g.f.rng, &x, y));
    return y % n == 0;
}
