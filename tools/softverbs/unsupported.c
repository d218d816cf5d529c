/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the device does not do: address handles, multicast, imports, ECE, dma-buf. */
#include "tools/softverbs/sv.h"

EXPORT int ibv_fork_init(void)
{
    return 0;
}

EXPORT enum ibv_fork_status ibv_is_fork_initialized(void)
{
    return IBV_FORK_UNNEEDED;
}

EXPORT struct ibv_ah *ibv_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *a)
{
    (void)pd;
    (void)a;
    errno = ENOSYS;
    return NULL;
}

EXPORT struct ibv_ah *ibv_create_ah_from_wc(struct ibv_pd *pd, struct ibv_wc *wc,
                                            struct ibv_grh *grh, uint8_t port)
{
    (void)wc;
    (void)grh;
    (void)port;
    return ibv_create_ah(pd, NULL);
}

EXPORT int ibv_destroy_ah(struct ibv_ah *ah)
{
    (void)ah;
    return ENOSYS;
}

EXPORT int ibv_attach_mcast(struct ibv_qp *q, const union ibv_gid *gid, uint16_t lid)
{
    (void)q;
    (void)gid;
    (void)lid;
    return ENOSYS;
}

EXPORT int ibv_detach_mcast(struct ibv_qp *q, const union ibv_gid *gid, uint16_t lid)
{
    return ibv_attach_mcast(q, gid, lid);
}

EXPORT int ibv_set_ece(struct ibv_qp *q, struct ibv_ece *e)
{
    (void)q;
    return e->vendor_id ? EOPNOTSUPP : 0;
}

EXPORT int ibv_query_ece(struct ibv_qp *q, struct ibv_ece *e)
{
    (void)q;
    memset(e, 0, sizeof(*e));
    return 0;
}

EXPORT int ibv_query_qp_data_in_order(struct ibv_qp *q, enum ibv_wr_opcode op, uint32_t flags)
{
    (void)q;
    (void)op;
    (void)flags;
    return 0;
}

EXPORT struct ibv_context *ibv_import_device(int fd)
{
    (void)fd;
    errno = EOPNOTSUPP;
    return NULL;
}

EXPORT struct ibv_pd *ibv_import_pd(struct ibv_context *c, uint32_t h)
{
    (void)c;
    (void)h;
    errno = EOPNOTSUPP;
    return NULL;
}

EXPORT struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t off, size_t len, uint64_t iova,
                                        int fd, int acc)
{
    (void)pd, (void)off, (void)len, (void)iova, (void)fd, (void)acc;
    errno = EOPNOTSUPP;
    return NULL;
}

EXPORT int ibv_rereg_mr(struct ibv_mr *mr, int flags, struct ibv_pd *pd, void *addr, size_t len,
                        int access)
{
    (void)mr, (void)flags, (void)pd, (void)addr, (void)len, (void)access;
    errno = EOPNOTSUPP;
    return IBV_REREG_MR_ERR_INPUT;
}

EXPORT int rdma_notify(struct rdma_cm_id *cid, enum ibv_event_type e)
{
    (void)cid;
    (void)e;
    return 0;
}

EXPORT int rdma_set_local_ece(struct rdma_cm_id *cid, struct ibv_ece *e)
{
    (void)cid;
    (void)e;
    return 0;
}

EXPORT int rdma_get_remote_ece(struct rdma_cm_id *cid, struct ibv_ece *e)
{
    (void)cid;
    memset(e, 0, sizeof(*e));
    return 0;
}

EXPORT int rdma_join_multicast(struct rdma_cm_id *cid, struct sockaddr *a, void *c)
{
    (void)cid, (void)a, (void)c;
    return sv_fail(ENOSYS);
}

EXPORT int rdma_leave_multicast(struct rdma_cm_id *cid, struct sockaddr *a)
{
    (void)cid, (void)a;
    return sv_fail(ENOSYS);
}

EXPORT int rdma_join_multicast_ex(struct rdma_cm_id *cid, struct rdma_cm_join_mc_attr_ex *a,
                                  void *c)
{
    (void)cid, (void)a, (void)c;
    return sv_fail(ENOSYS);
}
