/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SRP: logins, and the information units an initiator sends; a libFuzzer program. */
#include "srp/wire.h"

#include <glib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const uint8_t *part, size_t len, const uint8_t *iu, size_t size)
{
    uint8_t sum = 0;
    if (len > 0)
        g_assert(part >= iu && part + len <= iu + size);
    for (size_t i = 0; i < len; i++)
        sum ^= part[i];
    __asm__ volatile("" ::"r"(sum)); /* the reads are not optimised away */
}

static void check_buffer(const SrpBuffer *buffer, const uint8_t *iu, size_t size)
{
    uint64_t sum = 0;
    if (!buffer->table)
        return;
    touch(buffer->table, (size_t)buffer->count * SRP_DESCRIPTOR_LEN, iu, size);
    for (unsigned i = 0; i < buffer->count; i++)
        sum += srp_buffer_descriptor(buffer, i).len;
    g_assert(sum == buffer->len);
}

static void decode_command(const uint8_t *iu, size_t size, unsigned immediate_offset)
{
    SrpCommandIu out;
    if (srp_command_decode(iu, size, immediate_offset, &out) != SRP_IU_OK)
        return;
    touch(out.cdb, 16, iu, size);
    touch(out.cdb_rest, out.cdb_rest_len, iu, size);
    check_buffer(&out.out, iu, size);
    check_buffer(&out.in, iu, size);
    if (out.immediate)
        touch(out.immediate, out.out.len, iu, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SrpLogin login;
    SrpTskMgmt tmf;
    uint64_t tag;
    if (srp_login_decode(data, size, &login))
        decode_command(data, size, login.immediate_offset);
    g_assert(srp_tsk_mgmt_decode(data, size, &tmf) == (size >= 48));
    g_assert(srp_tag_decode(data, size, &tag) == (size >= 16));
    decode_command(data, size, 0);
    decode_command(data, size, 68);
    return 0;
}
