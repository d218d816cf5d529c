/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parameter list of EXTENDED COPY: what is decoded, and what is refused with which sense code.
 */
#include "tests/unit/unit.h"

#include "core/base/bytes.h"
#include "core/scsi/copy_list.h"

#include <glib.h>

static CopyList list;
static SenseField field;

/* `cscds` identification descriptors and `segments` block to block; *len is its length. */
static uint8_t *make(unsigned cscds, unsigned segments, size_t *len)
{
    *len = COPY_HEADER_LEN + cscds * COPY_CSCD_LEN + segments * COPY_SEGMENT_LEN;
    uint8_t *data = g_malloc0(*len), *p = data + COPY_HEADER_LEN;
    data[0] = 7;
    put_be16(data + 2, (uint16_t)(cscds * COPY_CSCD_LEN));
    put_be32(data + 8, segments * COPY_SEGMENT_LEN);
    for (unsigned i = 0; i < cscds; i++, p += COPY_CSCD_LEN) {
        p[0] = 0xe4;
        p[4] = 1;
        p[5] = 3;
        p[7] = 8;
        put_be64(p + 8, i);
        put_be24(p + 29, 512);
    }
    for (unsigned i = 0; i < segments; i++, p += COPY_SEGMENT_LEN) {
        p[0] = 0x02;
        put_be16(p + 2, COPY_SEGMENT_LEN - 4);
        put_be16(p + 4, 1);
        put_be16(p + 6, 2);
        put_be16(p + 10, (uint16_t)(100 + i));
        put_be64(p + 12, UINT64_C(0x100000000) + i);
        put_be64(p + 20, UINT64_C(0x200000000) + i);
    }
    return data;
}

/* Parses the bytes where a read beyond their end is seen (ASan). */
static SenseCode parse(const uint8_t *data, size_t len)
{
    g_autofree uint8_t *exact = g_memdup2(data, len);
    return copy_list_parse(&list, exact, len, &field);
}

/* Of a list of 2 CSCDs and 1 segment with one byte changed. */
static SenseCode parse_changed(size_t at, uint8_t value)
{
    size_t len;
    g_autofree uint8_t *data = make(2, 1, &len);
    data[at] = value;
    return parse(data, len);
}

static void expect_field(size_t at, uint8_t value, int byte)
{
    assert_int_equal(parse_changed(at, value), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    assert_int_equal(field.byte, byte);
    assert_false(field.in_cdb);
}

static void decodes_everything(void **state)
{
    (void)state;
    size_t len;
    g_autofree uint8_t *data = make(3, 2, &len);
    data[1] = 0x20 | COPY_ID_DISCARD << 3 | 5;            /* STR, and a priority */
    data[COPY_HEADER_LEN + 1] = 0x24;                     /* NUL, an optical device */
    data[COPY_HEADER_LEN + 3 * COPY_CSCD_LEN + 1] = 0x03; /* DC, CAT */
    assert_int_equal(parse(data, len), 0);
    assert_int_equal(list.id, 7);
    assert_int_equal(list.usage, COPY_ID_DISCARD);
    assert_int_equal(list.ncscds, 3);
    assert_true(list.cscds[0].null);
    assert_int_equal(list.cscds[0].device_type, 4);
    assert_false(list.cscds[2].null);
    assert_int_equal(list.cscds[2].code_set, 1);
    assert_int_equal(list.cscds[2].type, 3);
    assert_int_equal(list.cscds[2].len, 8);
    assert_int_equal(list.cscds[2].id[7], 2);
    assert_int_equal(list.cscds[2].block_size, 512);
    assert_int_equal(list.nsegments, 2);
    const CopySegment *s = &list.segments[1];
    assert_true(list.segments[0].destination_blocks);
    assert_false(s->destination_blocks);
    assert_int_equal(s->source, 1);
    assert_int_equal(s->destination, 2);
    assert_int_equal(s->blocks, 101);
    assert_true(s->source_lba == UINT64_C(0x100000001));
    assert_true(s->destination_lba == UINT64_C(0x200000001));
}

static void truncated(void **state)
{
    (void)state;
    size_t len;
    g_autofree uint8_t *data = make(2, 2, &len);
    for (size_t n = 0; n < len; n++)
        assert_int_equal(parse(data, n), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    assert_int_equal(parse(data, len), 0);
    data = g_realloc(data, len + 1); /* more than the header tells of is no error */
    assert_int_equal(parse(data, len + 1), 0);
    /* the segment list ends within a descriptor */
    put_be32(data + 8, 2 * COPY_SEGMENT_LEN - 1);
    assert_int_equal(parse(data, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
}

static void lengths_that_overflow(void **state)
{
    (void)state;
    size_t len;
    g_autofree uint8_t *data = make(1, 1, &len);
    static const uint32_t hostile[] = {0xffffffff, 0xfffffff0, 0x80000000, 0xffffffe0, 29};
    for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++) {
        put_be32(data + 8, hostile[i]);
        assert_int_equal(parse(data, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
    }
    put_be32(data + 8, COPY_SEGMENT_LEN);
    put_be16(data + 2, 0xffff);
    assert_int_equal(parse(data, len), SENSE_PARAMETER_LIST_LENGTH_ERROR);
}

static void bad_fields(void **state)
{
    (void)state;
    const int segment = COPY_HEADER_LEN + 2 * COPY_CSCD_LEN;
    expect_field(1, 0x40, 1);
    expect_field(1, 1 << 3, 1);            /* reserved LIST ID USAGE */
    expect_field(1, COPY_ID_NONE << 3, 0); /* and yet a list identifier */
    expect_field(COPY_HEADER_LEN + 7, 21, COPY_HEADER_LEN + 7);
    expect_field((size_t)segment + 1, 0x04, segment + 1);
    expect_field((size_t)segment + 3, 0x14, segment + 2);
    size_t len;
    g_autofree uint8_t *data = make(2, 1, &len);
    put_be16(data + 2, 2 * COPY_CSCD_LEN - 1);
    assert_int_equal(parse(data, len), SENSE_INVALID_FIELD_IN_PARAMETER_LIST);
    assert_int_equal(field.byte, 2);
}

static void what_is_not_supported(void **state)
{
    (void)state;
    assert_int_equal(parse_changed(15, 1), SENSE_INLINE_DATA_LENGTH_EXCEEDED);
    assert_int_equal(parse_changed(COPY_HEADER_LEN, 0xe0), SENSE_UNSUPPORTED_CSCD_TYPE);
    assert_int_equal(parse_changed(COPY_HEADER_LEN + 2 * COPY_CSCD_LEN, 0x0d),
                     SENSE_UNSUPPORTED_SEGMENT_TYPE);
    assert_int_equal(field.byte, -1);
}

static void limits(void **state)
{
    (void)state;
    static const struct {
        unsigned cscds, segments;
        SenseCode sense;
    } cases[] = {
        {0, 0, 0},
        {COPY_CSCDS_MAX, COPY_SEGMENTS_MAX, 0},
        {COPY_CSCDS_MAX + 1, 1, SENSE_TOO_MANY_CSCDS},
        {1, COPY_SEGMENTS_MAX + 1, SENSE_TOO_MANY_SEGMENTS},
        {COPY_CSCDS_MAX + 1, COPY_SEGMENTS_MAX, SENSE_PARAMETER_LIST_LENGTH_ERROR},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t len;
        g_autofree uint8_t *data = make(cases[i].cscds, cases[i].segments, &len);
        assert_int_equal(parse(data, len), cases[i].sense);
        assert_true(list.ncscds <= COPY_CSCDS_MAX && list.nsegments <= COPY_SEGMENTS_MAX);
    }
}

/* Whatever the bytes are, what is decoded lies within the arrays. */
static void random_changes(void **state)
{
    (void)state;
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    unsigned good = 0;
    for (unsigned round = 0; round < 20000; round++) {
        size_t len;
        g_autofree uint8_t *data = make((unsigned)g_rand_int_range(rand, 0, 4),
                                        (unsigned)g_rand_int_range(rand, 0, 4), &len);
        for (int n = g_rand_int_range(rand, 0, 4); n > 0; n--)
            data[g_rand_int_range(rand, 0, (gint32)len)] = (uint8_t)g_rand_int(rand);
        good += parse(data, (size_t)g_rand_int_range(rand, 0, (gint32)len + 1)) == 0;
        assert_true(list.ncscds <= 3 && list.nsegments <= 3);
    }
    assert_true(good > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_everything),    cmocka_unit_test(truncated),
        cmocka_unit_test(lengths_that_overflow), cmocka_unit_test(bad_fields),
        cmocka_unit_test(what_is_not_supported), cmocka_unit_test(limits),
        cmocka_unit_test(random_changes),
    };
    return unit_run(tests);
}
