/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Coding of SRP information units: layouts byte by byte, every descriptor form, and hostile bytes,
 * of which each copy ends where its allocation does, so that a sanitizer sees a read beyond it. */
#include "core/base/bytes.h"
#include "srp/wire.h"
#include "tests/unit/unit.h"

#include <glib.h>

#define IMMEDIATE_AT 68

/* --- building -----------------------------------------------------------------------------------
 */

typedef struct {
    uint8_t bytes[512];
    size_t len;
} Iu;

static Iu command(uint8_t formats, uint8_t out_count, uint8_t in_count)
{
    Iu iu = {.len = 48};
    iu.bytes[0] = SRP_CMD;
    iu.bytes[1] = 0x06; /* SCSOLNT, UCSOLNT */
    iu.bytes[5] = formats;
    iu.bytes[6] = out_count;
    iu.bytes[7] = in_count;
    put_be64(iu.bytes + 8, 0x1122334455667788);
    put_be64(iu.bytes + 20, 0x0001000000000000);
    iu.bytes[29] = 2;
    for (unsigned i = 0; i < 16; i++)
        iu.bytes[32 + i] = (uint8_t)(0xa0 + i);
    return iu;
}

static void add_descriptor(Iu *iu, uint64_t address, uint32_t key, uint32_t len)
{
    put_be64(iu->bytes + iu->len, address);
    put_be32(iu->bytes + iu->len + 8, key);
    put_be32(iu->bytes + iu->len + 12, len);
    iu->len += 16;
}

static void add_u32(Iu *iu, uint32_t value)
{
    put_be32(iu->bytes + iu->len, value);
    iu->len += 4;
}

/* From a block of exactly that length, which stays until the next call. */
static SrpIuError decode(const Iu *iu, unsigned immediate_offset, SrpCommandIu *out)
{
    static uint8_t *copy;
    g_free(copy);
    copy = g_memdup2(iu->bytes, MAX(iu->len, 1));
    return srp_command_decode(copy, iu->len, immediate_offset, out);
}

/* --- login --------------------------------------------------------------------------------------
 */

static void test_login(void **state)
{
    uint8_t bytes[SRP_LOGIN_LEN] = {0};
    SrpLogin login;
    (void)state;
    put_be64(bytes, 42);
    put_be16(bytes + 8, 0x0006);
    bytes[10] = 0xf1; /* multichannel, the three notifications, immediate data */
    put_be32(bytes + 12, 8260);
    memset(bytes + 16, 0x11, 16);
    memset(bytes + 32, 0x22, 16);
    put_be16(bytes + 48, 68);
    assert_true(srp_login_decode(bytes, sizeof bytes, &login));
    assert_int_equal(login.tag, 42);
    assert_int_equal(login.formats, SRP_FORMAT_DIRECT | SRP_FORMAT_INDIRECT);
    assert_true(login.multichannel && login.immediate && login.solicit_logout &&
                login.solicit_credit && login.solicit_event && !login.unknown_action);
    assert_int_equal(login.iu_len, 8260);
    assert_int_equal(login.initiator[15], 0x11);
    assert_int_equal(login.target[0], 0x22);
    assert_int_equal(login.immediate_offset, 68);
    bytes[10] = 0x02;
    assert_true(srp_login_decode(bytes, sizeof bytes, &login));
    assert_true(login.unknown_action && !login.multichannel && !login.immediate);
    for (size_t len = 0; len < sizeof bytes; len++) {
        g_autofree uint8_t *copy = g_memdup2(bytes, MAX(len, 1));
        assert_false(srp_login_decode(copy, len, &login));
    }
    bytes[11] = SRP_CMD;
    assert_false(srp_login_decode(bytes, sizeof bytes, &login));
}

static void test_login_answers(void **state)
{
    uint8_t rsp[SRP_LOGIN_RSP_LEN], rej[SRP_LOGIN_REJ_LEN];
    const SrpLoginRsp answer = {.tag = 7,
                                .credits = 62,
                                .max_in_len = 8260,
                                .max_out_len = 104,
                                .channels = SRP_CHANNELS_MAINTAINED,
                                .immediate = true};
    (void)state;
    srp_login_rsp_encode(&answer, rsp);
    assert_int_equal(rsp[0], 0xc0);
    assert_int_equal(get_be32(rsp + 4), 62);
    assert_int_equal(get_be64(rsp + 8), 7);
    assert_int_equal(get_be32(rsp + 16), 8260);
    assert_int_equal(get_be32(rsp + 20), 104);
    assert_int_equal(get_be16(rsp + 24), 6);
    assert_int_equal(rsp[26], 0x82);
    srp_login_rej_encode(9, SRP_REJ_CHANNEL_LIMIT, rej);
    assert_int_equal(rej[0], 0xc2);
    assert_int_equal(get_be32(rej + 4), 0x10006);
    assert_int_equal(get_be64(rej + 8), 9);
    assert_int_equal(get_be16(rej + 24), 6);
}

/* --- commands -----------------------------------------------------------------------------------
 */

static void test_command_without_data(void **state)
{
    SrpCommandIu out;
    Iu iu = command(0, 0, 0);
    (void)state;
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_OK);
    assert_int_equal(out.tag, 0x1122334455667788);
    assert_int_equal(out.lun, 0x0001000000000000);
    assert_int_equal(out.attribute, 2);
    assert_true(out.solicit_success && out.solicit_failure);
    assert_int_equal(out.cdb[15], 0xaf);
    assert_int_equal(out.out.len, 0);
    assert_int_equal(out.in.len, 0);
    for (iu.len = 0; iu.len < 48; iu.len++)
        assert_int_equal(decode(&iu, 0, &out), SRP_IU_SHORT);
}

static void test_additional_cdb(void **state)
{
    SrpCommandIu out;
    Iu iu = command(0x01, 0, 1);
    (void)state;
    iu.bytes[31] = 0x13; /* 4 words; the low bits are reserved */
    memset(iu.bytes + 48, 0x77, 16);
    iu.len += 16;
    add_descriptor(&iu, 1, 2, 3);
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_OK);
    assert_int_equal(out.cdb_rest_len, 16);
    assert_int_equal(out.cdb_rest[15], 0x77);
    assert_int_equal(out.in.len, 3);
    iu.bytes[31] = 0xfc;
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_INVALID);
}

static void test_direct(void **state)
{
    SrpCommandIu out;
    Iu iu = command(0x11, 0, 0);
    (void)state;
    add_descriptor(&iu, 0x1000, 5, 512);
    add_descriptor(&iu, 0x2000, 6, 0xffffffff);
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_OK);
    SrpDescriptor d = srp_buffer_descriptor(&out.out, 0);
    assert_int_equal(d.address, 0x1000);
    assert_int_equal(d.key, 5);
    assert_int_equal(out.out.len, 512);
    assert_int_equal(out.in.len, 0xffffffff);
    assert_int_equal(srp_buffer_descriptor(&out.in, 0).key, 6);
    for (iu.len--; iu.len >= 48; iu.len--)
        assert_int_equal(decode(&iu, 0, &out), SRP_IU_INVALID);
}

static Iu indirect(unsigned in_iu, uint32_t table_len, uint32_t len)
{
    Iu iu = command(0x02, 0, (uint8_t)in_iu);
    add_descriptor(&iu, 0x9000, 9, table_len);
    add_u32(&iu, len);
    return iu;
}

static void test_indirect(void **state)
{
    SrpCommandIu out;
    Iu iu = indirect(2, 32, 4608);
    (void)state;
    add_descriptor(&iu, 0x1000, 5, 512);
    add_descriptor(&iu, 0x2000, 6, 4096);
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_OK);
    assert_int_equal(out.in.count, 2);
    assert_int_equal(out.in.len, 4608);
    assert_int_equal(srp_buffer_descriptor(&out.in, 1).address, 0x2000);
    put_be32(iu.bytes + 48 + 16, 4609); /* not what the descriptors add up to */
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_INVALID);
    put_be32(iu.bytes + 48 + 16, 4608);
    put_be32(iu.bytes + 48 + 12, 31); /* no whole descriptors */
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_INVALID);
    put_be32(iu.bytes + 48 + 12, 16); /* more in the IU than in the table */
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_INVALID);
    put_be32(iu.bytes + 48 + 12, 32);
    for (iu.len--; iu.len >= 48; iu.len--) /* the table reaches beyond the IU */
        assert_int_equal(decode(&iu, 0, &out), SRP_IU_INVALID);
}

/* 2^32 bytes in all do not become 0. */
static void test_indirect_sum_overflows(void **state)
{
    SrpCommandIu out;
    Iu iu = indirect(2, 32, 0);
    (void)state;
    add_descriptor(&iu, 0, 5, 0x80000000);
    add_descriptor(&iu, 0, 5, 0x80000000);
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_INVALID);
}

static void test_partial_table(void **state)
{
    SrpCommandIu out;
    Iu iu = indirect(1, 48, 1536);
    uint8_t table[48];
    (void)state;
    add_descriptor(&iu, 0x1000, 5, 512);
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_OK);
    assert_null(out.in.table);
    assert_int_equal(out.in.count, 3);
    assert_int_equal(out.in.where.address, 0x9000);
    assert_int_equal(out.in.where.key, 9);
    for (unsigned i = 0; i < 3; i++)
        put_be32(table + 16 * i + 12, 512);
    assert_true(srp_buffer_set_table(&out.in, table));
    put_be32(table + 12, 513);
    assert_false(srp_buffer_set_table(&out.in, table));
    iu = indirect(0, 0, 0); /* no table at all, for no data */
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_OK);
    iu = indirect(0, 0, 1);
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_INVALID);
}

static void test_immediate(void **state)
{
    SrpCommandIu out;
    Iu iu = command(0x30, 0, 0);
    (void)state;
    add_u32(&iu, 100);
    iu.len = IMMEDIATE_AT + 100;
    iu.bytes[IMMEDIATE_AT] = 0x5a;
    assert_int_equal(decode(&iu, IMMEDIATE_AT, &out), SRP_IU_OK);
    assert_int_equal(out.out.len, 100);
    assert_int_equal(out.out.count, 0);
    assert_int_equal(out.immediate[0], 0x5a);
    assert_int_equal(decode(&iu, 0, &out), SRP_IU_FORMAT_OUT); /* not agreed on */
    assert_int_equal(decode(&iu, 51, &out), SRP_IU_INVALID);   /* in the descriptor */
    put_be32(iu.bytes + 48, 101);
    assert_int_equal(decode(&iu, IMMEDIATE_AT, &out), SRP_IU_INVALID);
    put_be32(iu.bytes + 48, 0xffffffff);
    assert_int_equal(decode(&iu, IMMEDIATE_AT, &out), SRP_IU_INVALID);
    put_be32(iu.bytes + 48, 0);
    iu.len = 52;
    assert_int_equal(decode(&iu, IMMEDIATE_AT, &out), SRP_IU_INVALID); /* ends before */
}

static void test_unknown_formats(void **state)
{
    SrpCommandIu out;
    (void)state;
    for (unsigned format = 3; format < 16; format++) {
        Iu in = command((uint8_t)format, 0, 0), other = command((uint8_t)(format << 4), 0, 0);
        in.len = other.len = 512;
        assert_int_equal(decode(&in, IMMEDIATE_AT, &out), SRP_IU_FORMAT_IN);
        assert_int_equal(decode(&other, 0, &out), SRP_IU_FORMAT_OUT);
    }
}

/* What is accepted is within the IU and makes sense. */
static void check_command(const SrpCommandIu *out, const uint8_t *iu, size_t len)
{
    const SrpBuffer *buffers[] = {&out->out, &out->in};
    for (unsigned b = 0; b < 2; b++) {
        uint64_t sum = 0;
        if (!buffers[b]->table)
            continue;
        assert_true(buffers[b]->table >= iu &&
                    buffers[b]->table + 16 * (size_t)buffers[b]->count <= iu + len);
        for (unsigned i = 0; i < buffers[b]->count; i++)
            sum += srp_buffer_descriptor(buffers[b], i).len;
        assert_int_equal(sum, buffers[b]->len);
    }
    if (out->immediate)
        assert_true(out->immediate >= iu + 52 && out->immediate + out->out.len <= iu + len);
}

static void test_random_bytes(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(20260101);
    unsigned accepted = 0;
    (void)state;
    for (unsigned round = 0; round < 200000; round++) {
        size_t len = (size_t)g_rand_int_range(rand, 1, 200);
        g_autofree uint8_t *iu = g_malloc(len);
        for (size_t i = 0; i < len; i++)
            iu[i] = (uint8_t)g_rand_int(rand);
        if (len > 31 && round % 2) { /* likelier to get far */
            iu[5] &= 0x33;
            iu[6] &= 3;
            iu[7] &= 3;
            iu[31] &= 0x0f;
        }
        for (size_t i = 48; i < len && round % 4 == 1; i++)
            iu[i] = i % 16 == 15 ? (uint8_t)(g_rand_int(rand) & 0x30) : 0;
        SrpCommandIu out;
        if (srp_command_decode(iu, len, round % 3 ? IMMEDIATE_AT : 0, &out) == SRP_IU_OK) {
            accepted++;
            check_command(&out, iu, len);
        }
        SrpTskMgmt tmf;
        uint64_t tag;
        assert_int_equal(srp_tsk_mgmt_decode(iu, len, &tmf), len >= 48);
        assert_int_equal(srp_tag_decode(iu, len, &tag), len >= 16);
    }
    assert_true(accepted > 1000);
}

/* --- the rest -----------------------------------------------------------------------------------
 */

static void test_tsk_mgmt(void **state)
{
    uint8_t iu[48] = {SRP_TSK_MGMT, 0x04}, out[SRP_RSP_MAX];
    SrpTskMgmt in;
    (void)state;
    put_be64(iu + 8, 3);
    put_be64(iu + 20, 0x0005000000000000);
    iu[30] = SRP_TMF_ABORT_TASK;
    put_be64(iu + 32, 77);
    assert_true(srp_tsk_mgmt_decode(iu, sizeof iu, &in));
    assert_int_equal(in.tag, 3);
    assert_int_equal(in.lun, 0x0005000000000000);
    assert_int_equal(in.function, 1);
    assert_int_equal(in.task_tag, 77);
    assert_true(in.solicit_failure && !in.solicit_success);
    assert_int_equal(srp_tmf_rsp_encode(3, 2, true, SRP_TMF_FAILED, out), 40);
    assert_int_equal(out[1], 1);
    assert_int_equal(get_be32(out + 4), 2);
    assert_int_equal(out[18], 0x01);
    assert_int_equal(get_be32(out + 32), 4);
    assert_int_equal(get_be32(out + 36), 5);
}

static void test_response(void **state)
{
    uint8_t out[SRP_RSP_MAX], sense[18] = {0x70, 0, 6};
    (void)state;
    SrpRsp rsp = {.tag = 5,
                  .credits = 1,
                  .status = 2,
                  .out = {.over = true, .count = 10},
                  .in = {.under = true, .count = 20},
                  .sense = sense,
                  .sense_len = sizeof sense};
    assert_int_equal(srp_rsp_encode(&rsp, out), 54);
    assert_int_equal(out[0], 0xc1);
    assert_int_equal(get_be32(out + 4), 1);
    assert_int_equal(get_be64(out + 8), 5);
    assert_int_equal(out[18], 0x02 | 0x04 | 0x20);
    assert_int_equal(out[19], 2);
    assert_int_equal(get_be32(out + 20), 10);
    assert_int_equal(get_be32(out + 24), 20);
    assert_int_equal(get_be32(out + 28), 18);
    assert_int_equal(get_be32(out + 32), 0);
    assert_int_equal(out[38], 6);
}

static void test_requests(void **state)
{
    uint8_t out[SRP_REQUEST_LEN], aer[SRP_AER_REQ_MAX], sense[18] = {0x70};
    (void)state;
    srp_t_logout_encode(1, true, SRP_LOGOUT_OTHER_CHANNEL, out);
    assert_int_equal(out[0], 0x80);
    assert_int_equal(out[1], 1);
    assert_int_equal(get_be32(out + 4), 4);
    srp_cred_req_encode(2, false, 9, out);
    assert_int_equal(out[0], 0x81);
    assert_int_equal(get_be32(out + 4), 9);
    assert_int_equal(get_be64(out + 8), 2);
    assert_int_equal(srp_aer_req_encode(3, false, 1, 0x0002000000000000, sense, 18, aer), 54);
    assert_int_equal(aer[0], 0x82);
    assert_int_equal(get_be64(aer + 20), 0x0002000000000000);
    assert_int_equal(get_be32(aer + 28), 18);
    assert_int_equal(aer[36], 0x70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_login_answers),
        cmocka_unit_test(test_command_without_data),
        cmocka_unit_test(test_additional_cdb),
        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_indirect),
        cmocka_unit_test(test_indirect_sum_overflows),
        cmocka_unit_test(test_partial_table),
        cmocka_unit_test(test_immediate),
        cmocka_unit_test(test_unknown_formats),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_tsk_mgmt),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_requests),
    };
    return unit_run(tests);
}
