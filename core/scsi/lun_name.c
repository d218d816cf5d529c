/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of a LUN that derive from where it is to be found. */
#include "core/scsi/lun.h"

static uint64_t identity(const LunSpec *spec)
{
    g_autofree char *name = g_strdup_printf("%s/%u", spec->target_name, spec->number);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, (const guchar *)name, -1);
    uint8_t digest[32];
    gsize len = sizeof digest;
    g_checksum_get_digest(sum, digest, &len);
    uint64_t id = 0;
    for (int i = 0; i < 8; i++)
        id = id << 8 | digest[i];
    return id;
}

uint64_t lun_spec_naa(const LunSpec *spec)
{
    return spec->naa ? spec->naa /* 3h: locally assigned (SPC-4 7.8.6.6.4) */
                     : UINT64_C(3) << 60 | identity(spec) >> 4;
}

char *lun_spec_serial(const LunSpec *spec)
{
    return spec->serial ? g_strdup(spec->serial)
                        : g_strdup_printf("%016" G_GINT64_MODIFIER "x", identity(spec));
}
