/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device, its port, and what they say of themselves. */
#include "tools/softverbs/device.h"
#include "tools/softverbs/arena.h"
#include "tools/softverbs/process.h"

EXPORT struct ibv_device **ibv_get_device_list(int *num)
{
    struct ibv_device **l = calloc(2, sizeof(*l));
    int n = 0;

    if (l && !sv_init() && !g.gone)
        l[n++] = &g.dev;
    if (num)
        *num = l ? n : 0;
    return l;
}

EXPORT void ibv_free_device_list(struct ibv_device **l)
{
    free(l);
}

EXPORT const char *ibv_get_device_name(struct ibv_device *d)
{
    return d->name;
}

EXPORT int ibv_get_device_index(struct ibv_device *d)
{
    (void)d;
    return 0;
}

static __be64 guid(void)
{
    return htobe64(0x0253560000000000ull | (g.a ? (uint32_t)g.a->slot : 0));
}

EXPORT __be64 ibv_get_device_guid(struct ibv_device *d)
{
    (void)d;
    return guid();
}

int sv_query_port(struct ibv_context *c, uint8_t port, struct ibv_port_attr *attr, size_t len)
{
    struct ibv_port_attr a = {
        .state = g.gone ? IBV_PORT_DOWN : IBV_PORT_ACTIVE,
        .max_mtu = IBV_MTU_4096,
        .active_mtu = IBV_MTU_4096,
        .gid_tbl_len = 2,
        .port_cap_flags = IBV_PORT_CM_SUP | IBV_PORT_IP_BASED_GIDS,
        .max_msg_sz = SV_MAX_MSG,
        .pkey_tbl_len = 1,
        .active_width = 2,
        .active_speed = 32,
        .phys_state = g.gone ? 3 : 5,
        .max_vl_num = 1,
    };

    (void)c;
    if (port != 1)
        return EINVAL;
    if (g.link_ib) {
        a.link_layer = IBV_LINK_LAYER_INFINIBAND;
        a.lid = g.a->slot;
        a.sm_lid = 1;
    } else {
        a.link_layer = IBV_LINK_LAYER_ETHERNET;
    }
    memset(attr, 0, len);
    memcpy(attr, &a, len < sizeof(a) ? len : sizeof(a));
    return 0;
}

EXPORT int ibv_query_port(struct ibv_context *c, uint8_t port, struct _compat_ibv_port_attr *attr)
{
    return sv_query_port(c, port, (struct ibv_port_attr *)attr,
                         offsetof(struct ibv_port_attr, flags) + 1);
}

EXPORT int ibv_query_device(struct ibv_context *c, struct ibv_device_attr *a)
{
    (void)c;
    memset(a, 0, sizeof(*a));
    strcpy(a->fw_ver, "1.0.0");
    a->node_guid = a->sys_image_guid = guid();
    a->max_mr_size = UINT64_MAX;
    a->page_size_cap = 0xfffff000;
    a->vendor_id = 0x5356;
    a->vendor_part_id = 1;
    a->max_qp = SV_MAX_QP - 1;
    a->max_qp_wr = SV_MAX_WR;
    a->device_cap_flags = IBV_DEVICE_RC_RNR_NAK_GEN | IBV_DEVICE_SRQ_RESIZE |
                          IBV_DEVICE_MEM_WINDOW | IBV_DEVICE_MEM_WINDOW_TYPE_2B |
                          IBV_DEVICE_MEM_MGT_EXTENSIONS | IBV_DEVICE_SYS_IMAGE_GUID;
    a->max_sge = SV_MAX_SGE;
    a->max_sge_rd = g.iwarp ? 1 : SV_MAX_SGE;
    a->max_cq = SV_MAX_CQ - 1;
    a->max_cqe = SV_MAX_CQE;
    a->max_mr = a->max_mw = SV_MAX_MR - 1;
    a->max_pd = SV_MAX_PD;
    a->max_qp_rd_atom = a->max_qp_init_rd_atom = SV_MAX_RD;
    a->max_res_rd_atom = SV_MAX_RD * (SV_MAX_QP - 1);
    a->atomic_cap = IBV_ATOMIC_NONE;
    a->max_srq = SV_MAX_SRQ - 1;
    a->max_srq_wr = SV_MAX_WR;
    a->max_srq_sge = SV_MAX_SGE;
    a->max_pkeys = 1;
    a->local_ca_ack_delay = 15;
    a->phys_port_cnt = 1;
    return 0;
}

int sv_query_device_ex(struct ibv_context *c, const struct ibv_query_device_ex_input *in,
                       struct ibv_device_attr_ex *attr, size_t size)
{
    struct ibv_device_attr_ex a;

    (void)in;
    memset(&a, 0, sizeof(a));
    ibv_query_device(c, &a.orig_attr);
    a.device_cap_flags_ex = a.orig_attr.device_cap_flags;
    a.phys_port_cnt_ex = 1;
    a.completion_timestamp_mask = UINT64_MAX;
    a.hca_core_clock = 1000000;
    memset(attr, 0, size);
    memcpy(attr, &a, size < sizeof(a) ? size : sizeof(a));
    return 0;
}

int sv_query_rt_values(struct ibv_context *c, struct ibv_values_ex *v)
{
    (void)c;
    clock_gettime(CLOCK_MONOTONIC, &v->raw_clock);
    v->comp_mask = IBV_VALUES_MASK_RAW_CLOCK;
    return 0;
}

EXPORT int ibv_query_gid(struct ibv_context *c, uint8_t port, int index, union ibv_gid *gid)
{
    static const uint8_t lo[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
    static const uint8_t ll[8] = {0xfe, 0x80};

    (void)c;
    if (port != 1 || index < 0 || index > 1) {
        errno = EINVAL;
        return -1;
    }
    if (index != g.link_ib) { /* link-local */
        __be64 id = guid();

        memcpy(gid->raw, ll, 8);
        memcpy(gid->raw + 8, &id, 8);
    } else {
        memcpy(gid->raw, lo, 16);
    }
    return 0;
}

EXPORT int _ibv_query_gid_ex(struct ibv_context *c, uint32_t port, uint32_t index,
                             struct ibv_gid_entry *e, uint32_t flags, size_t size)
{
    struct ibv_gid_entry x = {.gid_index = index,
                              .port_num = port,
                              .ndev_ifindex = 1,
                              .gid_type = g.link_ib ? IBV_GID_TYPE_IB : IBV_GID_TYPE_ROCE_V2};

    if (flags || ibv_query_gid(c, port, index, &x.gid))
        return EINVAL;
    memcpy(e, &x, size < sizeof(x) ? size : sizeof(x));
    return 0;
}

EXPORT ssize_t _ibv_query_gid_table(struct ibv_context *c, struct ibv_gid_entry *e, size_t max,
                                    uint32_t flags, size_t size)
{
    size_t n;

    for (n = 0; n < 2 && n < max; n++)
        if (_ibv_query_gid_ex(c, 1, n, (void *)((char *)e + n * size), flags, size))
            break;
    return n;
}

int ibv_query_gid_type(struct ibv_context *c, uint8_t port, unsigned int index, int *type);

EXPORT int ibv_query_gid_type(struct ibv_context *c, uint8_t port, unsigned int index, int *type)
{
    (void)c;
    if (port != 1 || index > 1) {
        errno = EINVAL;
        return -1;
    }
    *type = g.link_ib ? 0 : 1; /* sysfs types: IB/RoCE v1, RoCE v2 */
    return 0;
}

EXPORT int ibv_query_pkey(struct ibv_context *c, uint8_t port, int index, __be16 *pkey)
{
    (void)c;
    if (port != 1 || index) {
        errno = EINVAL;
        return -1;
    }
    *pkey = htobe16(0xffff);
    return 0;
}

EXPORT int ibv_get_pkey_index(struct ibv_context *c, uint8_t port, __be16 pkey)
{
    (void)c;
    (void)port;
    return be16toh(pkey) == 0xffff ? 0 : -1;
}
