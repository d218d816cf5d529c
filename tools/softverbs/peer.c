/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes that this one talks to. */
#include "tools/softverbs/peer.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/process.h"

#include <sys/mman.h>

/* Takes over the two fds.  The result carries a reference. */
struct sv_peer *sv_peer_get(uint64_t uuid, pid_t pid, int arenafd, int kickfd)
{
    struct sv_peer *p;

    pthread_mutex_lock(&g.obj);
    for (p = g.peers; p; p = p->next)
        if (p->uuid == uuid && !p->dead)
            break;
    if (p) {
        p->refs++;
        goto out;
    }
    p = calloc(1, sizeof(*p));
    if (!p)
        goto out;
    p->uuid = uuid;
    p->pid = pid;
    p->refs = 1;
    p->sock = -1;
    p->self = uuid == g.a->uuid;
    if (p->self) {
        p->a = g.a;
        p->kickfd = g.kickfd;
    } else {
        p->a = sv_arena_map(arenafd);
        if (!p->a || p->a->magic != SV_MAGIC) {
            if (p->a)
                munmap(p->a, SV_ARENA_SIZE);
            free(p);
            p = NULL;
            goto out;
        }
        p->kickfd = kickfd;
        kickfd = -1;
    }
    p->next = g.peers;
    g.peers = p;
out:
    pthread_mutex_unlock(&g.obj);
    if (arenafd >= 0)
        close(arenafd);
    if (kickfd >= 0)
        close(kickfd);
    return p;
}

void sv_peer_put(struct sv_peer *p)
{
    struct sv_peer **pp;

    if (!p)
        return;
    pthread_mutex_lock(&g.obj);
    if (--p->refs) {
        pthread_mutex_unlock(&g.obj);
        return;
    }
    for (pp = &g.peers; *pp; pp = &(*pp)->next)
        if (*pp == p) {
            *pp = p->next;
            break;
        }
    if (p->sock >= 0)
        close(p->sock);
    pthread_mutex_unlock(&g.obj);
    if (!p->self) {
        munmap(p->a, SV_ARENA_SIZE);
        close(p->kickfd);
    }
    free(p);
}
