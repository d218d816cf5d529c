/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a LUN says of itself. */
#include "core/scsi/inquiry.h"

#include "core/base/bytes.h"
#include "core/scsi/atomics.h"
#include "core/scsi/copy_results.h"
#include "core/scsi/disk.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/provisioning.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"

#define VENDOR       "RTGT    "
#define PRODUCT      "DISK            "
#define PRODUCT_NULL "NULL            "
#define REVISION     "0001"
#define INQUIRY_MAX  1024

enum { RMB = 0x80 };
enum { NO_SUCH_LUN = 0x7f }; /* peripheral qualifier 011b, device type 1Fh */

static unsigned standard_data(Task *task, uint8_t *p)
{
    static const uint16_t versions[] = {0x00a0 /* SAM-5 */, 0x0460 /* SPC-4 */, 0x04c0 /* SBC-3 */};
    const LunShard *shard = task->itl->shard;
    p[0] = shard ? 0x00 : NO_SUCH_LUN;
    p[1] = shard && shard->lun->spec.removable ? RMB : 0;
    p[2] = 0x06; /* SPC-4 */
    p[3] = 0x12; /* HISUP, response data format 2 */
    p[4] = 96 - 5;
    p[5] = shard ? 0x08 : 0; /* 3PC */
    p[7] = 0x02;             /* CMDQUE */
    memcpy(p + 8, VENDOR, 8);
    memcpy(p + 16, shard && !shard->lun->spec.path ? PRODUCT_NULL : PRODUCT, 16);
    memcpy(p + 32, REVISION, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++)
        put_be16(p + 58 + 2 * i, versions[i]);
    return 96;
}

/* --- vital product data: each writes what follows the 4 bytes of header, returns its length ----
 */

typedef unsigned (*PageBuild)(const Task *task, uint8_t *p);
typedef struct {
    uint8_t code;
    PageBuild build;
} Page;

static unsigned supported_pages(const Task *task, uint8_t *p);

static unsigned serial_number(const Task *task, uint8_t *p)
{
    size_t len = MIN(strlen(task_lun(task)->serial), 255);
    memcpy(p, task_lun(task)->serial, len);
    return (unsigned)len;
}

/* One designation descriptor (SPC-4 7.8.6.1). */
static unsigned designator(uint8_t *p, uint8_t code_set, uint8_t association_type, const void *id,
                           size_t len)
{
    p[0] = code_set;
    p[1] = association_type;
    p[3] = (uint8_t)len;
    memcpy(p + 4, id, len);
    return 4 + (unsigned)len;
}

enum { BINARY = 1, ASCII = 2, UTF8 = 3 };

static unsigned t10_vendor_id(const Lun *lun, uint8_t *p)
{
    char id[255];
    size_t len = (size_t)g_snprintf(id, sizeof id, VENDOR "%s", lun->serial);
    return designator(p, ASCII, 0x01, id, MIN(len, sizeof id - 1));
}

static unsigned naa(const Lun *lun, uint8_t *p)
{
    uint8_t id[8];
    put_be64(id, lun->spec.naa);
    return designator(p, BINARY, 0x03, id, sizeof id);
}

/* Of the target device: its name, as a SCSI name string padded to four bytes. */
static unsigned device_name(const char *name, uint8_t *p)
{
    char id[256] = {0};
    size_t len = g_strlcpy(id, name, 224);
    return designator(p, UTF8, 0x28, id, (MIN(len, 223) + 4) & ~(size_t)3);
}

unsigned inquiry_lun_designators(const Lun *lun, uint8_t *out)
{
    unsigned n = naa(lun, out);
    return n + t10_vendor_id(lun, out + n);
}

static unsigned device_identification(const Task *task, uint8_t *p)
{
    static const uint8_t first_port[4] = {0, 0, 0, 1};
    const Lun *lun = task_lun(task);
    unsigned n = inquiry_lun_designators(lun, p);
    n += designator(p + n, BINARY, 0x14, first_port, sizeof first_port);
    n += device_name(scsi_target_name(task->nexus->target), p + n);
    return n;
}

static unsigned extended_inquiry(const Task *task, uint8_t *p)
{
    p[1] = 0x07;                            /* HEADSUP, ORDSUP, SIMPSUP */
    p[2] = lun_write_cache(task_lun(task)); /* V_SUP */
    return 60;
}

static unsigned block_limits(const Task *task, uint8_t *p)
{
    const Lun *lun = task_lun(task);
    uint64_t max = disk_max_transfer_blocks(lun), best = SEGMENT_MAX >> lun->block_shift;
    p[0] = 0x01; /* WSNZ */
    p[1] = (uint8_t)compare_and_write_max_blocks(lun);
    put_be16(p + 2, (uint16_t)MAX(4096 >> lun->block_shift, 1));
    put_be32(p + 4, (uint32_t)MIN(max, UINT32_MAX));
    put_be32(p + 8, (uint32_t)(max ? MIN(max, best) : best));
    if (lun->thin) {
        put_be32(p + 16, UNMAP_MAX_BLOCKS);
        put_be32(p + 20, UNMAP_MAX_DESCRIPTORS);
        uint64_t granularity = lun->discard_granularity >> lun->block_shift;
        put_be32(p + 24, (uint32_t)CLAMP(granularity, 1, UINT32_MAX));
    }
    put_be64(p + 32, write_same_max_blocks(lun));
    unsigned atomic = lun_atomic_blocks(lun);
    put_be32(p + 40, atomic); /* the largest atomic transfer, its alignment and granularity */
    put_be32(p + 44, atomic);
    put_be32(p + 48, atomic);
    return 60;
}

static unsigned block_characteristics(const Task *task, uint8_t *p)
{
    (void)task;
    put_be16(p, 1); /* does not rotate */
    return 60;
}

static unsigned logical_block_provisioning(const Task *task, uint8_t *p)
{
    const Lun *lun = task_lun(task);
    if (lun->thin) {
        p[1] = 0xe0 | (lun->unmap_reads_zeros ? 0x04 : 0); /* LBPU, LBPWS, LBPWS10, LBPRZ */
        p[2] = 0x02;                                       /* thin */
    }
    return 4;
}

static const Page pages[] = {
    {0x00, supported_pages},       {0x80, serial_number},
    {0x83, device_identification}, {0x86, extended_inquiry},
    {0x8f, copy_page_build},       {0xb0, block_limits},
    {0xb1, block_characteristics}, {0xb2, logical_block_provisioning},
};

static unsigned supported_pages(const Task *task, uint8_t *p)
{
    (void)task;
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++)
        p[i] = pages[i].code;
    return G_N_ELEMENTS(pages);
}

static unsigned vital_product_data(Task *task, uint8_t *p)
{
    uint8_t code = task->cdb[2];
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++)
        if (pages[i].code == code && task->itl->shard) {
            unsigned len = pages[i].build(task, p + 4);
            p[1] = code;
            put_be16(p + 2, (uint16_t)len);
            return len + 4;
        }
    task_fail_cdb(task, 2, 7);
    return 0;
}

void inquiry_run(Task *task)
{
    bool evpd = task->cdb[1] & 1;
    if (!evpd && task->cdb[2] != 0)
        task_fail_cdb(task, 2, 7);
    else
        reply(task, INQUIRY_MAX, get_be16(task->cdb + 3),
              evpd ? vital_product_data : standard_data);
}
