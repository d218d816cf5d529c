/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC32C against the examples of RFC 7143 appendix A.4. */
#include "iser/tcp/digest.h"

#include "tests/unit/unit.h"

#include <string.h>

static void assert_digest(const uint8_t *bytes, size_t len, const char *wire)
{
    uint8_t out[DIGEST_LEN];
    digest_put(digest_add(DIGEST_BEGIN, bytes, len), out);
    assert_memory_equal(out, wire, DIGEST_LEN);
    assert_true(digest_matches(digest_add(DIGEST_BEGIN, bytes, len), (const uint8_t *)wire));
}

static void examples_of_the_standard(void **state)
{
    static const uint8_t read_pdu[48] = {0x01, 0xc0, 0, 0,    0,    0, 0, 0,    0,    0, 0,    0,
                                         0,    0,    0, 0,    0x14, 0, 0, 0,    0,    0, 0x04, 0,
                                         0,    0,    0, 0x14, 0,    0, 0, 0x18, 0x28, 0, 0,    0,
                                         0,    0,    0, 0,    0x02, 0, 0, 0,    0,    0, 0,    0};
    uint8_t bytes[32];
    (void)state;
    memset(bytes, 0, sizeof bytes);
    assert_digest(bytes, sizeof bytes, "\xaa\x36\x91\x8a");
    memset(bytes, 0xff, sizeof bytes);
    assert_digest(bytes, sizeof bytes, "\x43\xab\xa8\x62");
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_digest(bytes, sizeof bytes, "\x4e\x79\xdd\x46");
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_digest(bytes, sizeof bytes, "\x5c\xdb\x3f\x11");
    assert_digest(read_pdu, sizeof read_pdu, "\x56\x3a\x96\xd9");
}

static void pieces_give_what_the_whole_gives(void **state)
{
    uint8_t bytes[300];
    (void)state;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    uint32_t whole = digest_add(DIGEST_BEGIN, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        uint32_t digest = digest_add(DIGEST_BEGIN, bytes, cut);
        assert_int_equal(digest_add(digest, bytes + cut, sizeof bytes - cut), whole);
    }
}

static void one_wrong_bit_shows(void **state)
{
    uint8_t bytes[48] = {1, 2, 3}, wire[DIGEST_LEN];
    (void)state;
    digest_put(digest_add(DIGEST_BEGIN, bytes, sizeof bytes), wire);
    for (unsigned bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(digest_matches(digest_add(DIGEST_BEGIN, bytes, sizeof bytes), wire));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_standard),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
        cmocka_unit_test(one_wrong_bit_shows),
    };
    return unit_run(tests);
}
