/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options, ports and devices of identifiers. */
#include "tools/softverbs/cm_int.h"
#include "tools/softverbs/context.h"
#include "tools/softverbs/process.h"

EXPORT int rdma_set_option(struct rdma_cm_id *cid, int level, int opt, void *val, size_t len)
{
    if (level != RDMA_OPTION_ID || opt < RDMA_OPTION_ID_TOS || opt > RDMA_OPTION_ID_ACK_TIMEOUT)
        return sv_fail(ENOSYS);
    if (opt == RDMA_OPTION_ID_AFONLY && len >= sizeof(int))
        TO_ID(cid)->afonly = *(int *)val != 0;
    return 0;
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
