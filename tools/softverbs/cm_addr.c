/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses and the port space. */
#include "tools/softverbs/arena.h"
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/process.h"

#include <arpa/inet.h>
#include <ifaddrs.h>

socklen_t sv_sa_len(const struct sockaddr *a)
{
    return a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

__be16 *sv_sa_port(struct sockaddr *a)
{
    return a->sa_family == AF_INET6 ? &((struct sockaddr_in6 *)a)->sin6_port
                                    : &((struct sockaddr_in *)a)->sin_port;
}

/* Hex of the address; "any" for a wildcard. */
static void sa_name(const struct sockaddr *a, char *out)
{
    const uint8_t *b;
    int n = 4;

    if (a->sa_family == AF_INET6) {
        const struct in6_addr *s = &((const struct sockaddr_in6 *)a)->sin6_addr;

        b = s->s6_addr;
        n = 16;
        if (IN6_IS_ADDR_V4MAPPED(s))
            b += 12, n = 4;
    } else {
        b = (const void *)&((const struct sockaddr_in *)a)->sin_addr;
    }
    bool any = true;

    for (int i = 0; i < n; i++) {
        any &= !b[i];
        sprintf(out + 2 * i, "%02x", b[i]);
    }
    if (any)
        strcpy(out, "any");
}

bool sv_sa_local(const struct sockaddr *a)
{
    struct ifaddrs *l, *i;
    char want[40], have[40];
    bool ok = false;

    sa_name(a, want);
    if (!strcmp(want, "any") || !strncmp(want, "7f", 2) ||
        !strcmp(want, "00000000000000000000000000000001"))
        return true;
    if (getifaddrs(&l))
        return false;
    for (i = l; i && !ok; i = i->ifa_next) {
        if (!i->ifa_addr ||
            (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        sa_name(i->ifa_addr, have);
        ok = !strcmp(want, have);
    }
    freeifaddrs(l);
    return ok;
}

/* The name a listener goes by: an address, any4, any6, or any for both. */
void sv_listen_name(const struct sv_id *id, char *name)
{
    const struct sockaddr *a = &id->id.route.addr.src_addr;

    sa_name(a, name);
    if (!strcmp(name, "any") && (a->sa_family == AF_INET || id->afonly))
        strcat(name, a->sa_family == AF_INET ? "4" : "6");
}

/* The port space: byte ranges of the lock file, that die with their owner. */
int sv_port_lock(uint16_t port, const char *name)
{
    bool any = !strncmp(name, "any", 3);
    bool v6 = any ? name[3] != '4' : strlen(name) > 8, both = any && !name[3];
    char path[128];
    uint32_t h = 5381;
    int fd;

    while (*name)
        h = h * 33 + (unsigned char)*name++;
    snprintf(path, sizeof(path), "%s/locks", g.dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        if (i != v6 && !both)
            continue;
        fl.l_start = ((off_t)1 << (i ? 40 : 33)) + ((off_t)port << 16) + (any ? 0 : h & 0xffff);
        fl.l_len = any ? 1 << 16 : 1;
        if (fcntl(fd, F_OFD_SETLK, &fl)) {
            close(fd);
            errno = EADDRINUSE;
            return -1;
        }
    }
    return fd;
}

uint16_t sv_ephemeral(void)
{
    static _Atomic uint32_t n;

    return 32768 + (((uint32_t)g.a->uuid >> 3) + n++ * 7919u) % 28000;
}

int sv_find_listener(const struct sockaddr *dst)
{
    static const char *const wild[] = {"any4", "any6", "any"};
    uint16_t port = ntohs(*sv_sa_port((struct sockaddr *)dst));
    struct sockaddr_un un;
    char name[40];
    int fd = -1;

    sa_name(dst, name);
    if (!strcmp(name, "any"))
        strcpy(name, dst->sa_family == AF_INET ? "7f000001" : "00000000000000000000000000000001");
    for (int i = 0; i < 4 && fd < 0; i++) {
        if ((i == 1 && strlen(name) > 8) || (i == 2 && strlen(name) <= 8))
            continue;
        if (!sv_unix_addr(&un, "t%u.%s", port, i ? wild[i - 1] : name))
            fd = sv_unix_connect(&un);
        if (fd < 0 && errno != ENOENT && errno != ECONNREFUSED)
            break;
    }
    return fd;
}
