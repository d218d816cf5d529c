/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options, ports and devices of identifiers. */
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/process.h"

EXPORT int rdma_set_option(struct rdma_cm_id *cid, int level, int opt, void *val, size_t len)
{
    struct sv_id *id = TO_ID(cid);

    if (level != RDMA_OPTION_ID)
        return sv_fail(ENOSYS);
    switch (opt) {
    case RDMA_OPTION_ID_TOS:
    case RDMA_OPTION_ID_ACK_TIMEOUT:
        return len == sizeof(uint8_t) ? 0 : sv_fail(EINVAL);
    case RDMA_OPTION_ID_REUSEADDR: /* two listeners still cannot share a port */
    case RDMA_OPTION_ID_AFONLY:
        if (len != sizeof(int) || (id->state != S_IDLE && id->state != S_BOUND))
            return sv_fail(EINVAL);
        if (opt == RDMA_OPTION_ID_AFONLY)
            id->afonly = *(int *)val != 0;
        return 0;
    default:
        return sv_fail(ENOSYS);
    }
}

EXPORT __be16 rdma_get_src_port(struct rdma_cm_id *cid)
{
    return cid->route.addr.src_addr.sa_family ? *sv_sa_port(&cid->route.addr.src_addr) : 0;
}

EXPORT __be16 rdma_get_dst_port(struct rdma_cm_id *cid)
{
    return cid->route.addr.dst_addr.sa_family ? *sv_sa_port(&cid->route.addr.dst_addr) : 0;
}

EXPORT struct ibv_context **rdma_get_devices(int *num)
{
    struct ibv_context **l = calloc(2, sizeof(*l));
    int n = 0;

    if (l && !sv_init() && !g.gone && sv_cm_context())
        l[n++] = sv_cm_context();
    if (num)
        *num = n;
    return l;
}

EXPORT void rdma_free_devices(struct ibv_context **l)
{
    free(l);
}
