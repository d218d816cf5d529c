/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TransportIDs: both formats of iSCSI, SRP, and what must be refused. */
#include "tests/unit/unit.h"

#include "core/base/bytes.h"
#include "core/scsi/transport_id.h"

#include <glib.h>
#include <string.h>

/* An iSCSI TransportID as an initiator may write it, `len` bytes of name field. */
static size_t make_iscsi(uint8_t *p, uint8_t first, const char *name, uint16_t len)
{
    memset(p, 0, 4u + len);
    p[0] = first;
    put_be16(p + 2, len);
    memcpy(p + 4, name, MIN(strlen(name), len));
    return 4u + len;
}

/* In memory of its own size, so that a read past the end is seen. */
static size_t parse(TransportId *id, const uint8_t *p, size_t len)
{
    g_autofree uint8_t *copy = g_memdup2(p, MAX(len, 1));
    return transport_id_parse(id, copy, len);
}

static void accept_iscsi(uint8_t first, const char *name, uint16_t len, const char *text)
{
    uint8_t p[600];
    TransportId id;
    size_t n = make_iscsi(p, first, name, len);
    assert_int_equal(parse(&id, p, n), n);
    g_autofree char *found = transport_id_text(&id);
    assert_string_equal(found, text);
    assert_int_equal(id.len % 4, 0);
    assert_int_equal(get_be16(id.bytes + 2), id.len - 4);
    assert_true(id.len >= 24);
}

static void refuse_iscsi(uint8_t first, const char *name, uint16_t len)
{
    uint8_t p[600];
    TransportId id;
    size_t n = make_iscsi(p, first, name, len);
    assert_int_equal(parse(&id, p, n), 0);
}

static void iscsi_names(void **state)
{
    (void)state;
    accept_iscsi(0x05, "iqn.2026-01.org.example:a", 28, "iqn.2026-01.org.example:a");
    accept_iscsi(0x05, "iqn.a", 20, "iqn.a");
    accept_iscsi(0x45, "iqn.2026-01.org.example:a,i,0x00023d000001", 44,
                 "iqn.2026-01.org.example:a,i,0x00023d000001");
    /* case and leading zeros do not make another name */
    accept_iscsi(0x45, "IQN.2026-01.Org.Example:A,i,0x23D00ABCD", 60,
                 "iqn.2026-01.org.example:a,i,0x00023d00abcd");
    accept_iscsi(0x45, "eui.02004567a425678d,i,0x1", 28, "eui.02004567a425678d,i,0x000000000001");
    accept_iscsi(0x05, "iqn.\xc3\xa4", 20, "iqn.\xc3\xa4");
}

static void iscsi_longest(void **state)
{
    (void)state;
    char name[300] = "";
    memset(name, 'x', 224);
    refuse_iscsi(0x05, name, 256);
    name[223] = 0;
    accept_iscsi(0x05, name, 224, name);
    strcat(name, ",i,0x123456789abc");
    accept_iscsi(0x45, name, 244, name);
    accept_iscsi(0x45, name, 508, name); /* more padding than is needed */
}

static void iscsi_malformed(void **state)
{
    (void)state;
    refuse_iscsi(0x05, "", 20);                          /* no name */
    refuse_iscsi(0x05, "iqn.a", 16);                     /* shorter than 20 */
    refuse_iscsi(0x05, "iqn.a", 22);                     /* not a multiple of four */
    refuse_iscsi(0x05, "iqn.aaaaaaaaaaaaaaaaaaaaa", 20); /* no NUL */
    refuse_iscsi(0x05, "iqn.a,i,0x1", 20);               /* a port, called a device */
    refuse_iscsi(0x05, "iqn.a b", 20);
    refuse_iscsi(0x05, "iqn.a\n", 20);
    refuse_iscsi(0x45, "iqn.a", 20); /* a device, called a port */
    refuse_iscsi(0x45, "iqn.a,i,0x", 20);
    refuse_iscsi(0x45, "iqn.a,i,0xg", 20);
    refuse_iscsi(0x45, "iqn.a,i,0x1 ", 20);
    refuse_iscsi(0x45, "iqn.a,i,0x1234567890abc", 24); /* 13 digits */
    refuse_iscsi(0x45, ",i,0x1", 20);
    refuse_iscsi(0x45, "iqn.a,t,0x1", 20);
    refuse_iscsi(0x45, "iqn.a,i,0x1,i,0x2", 20);
    refuse_iscsi(0x85, "iqn.a", 20); /* formats 10b and 11b */
    refuse_iscsi(0xc5, "iqn.a,i,0x1", 20);
}

static void srp(void **state)
{
    (void)state;
    uint8_t p[24] = {0x04, [1] = 0xee, [8] = 0xfe, 0x80, [23] = 0x01};
    TransportId id, other;
    assert_int_equal(parse(&id, p, 24), 24);
    g_autofree char *text = transport_id_text(&id);
    assert_string_equal(text, "0xfe800000000000000000000000000001");
    p[1] = p[7] = 0; /* reserved */
    assert_int_equal(parse(&other, p, 24), 24);
    assert_true(transport_id_equal(&id, &other));
    p[23] = 2;
    parse(&other, p, 24);
    assert_false(transport_id_equal(&id, &other));
    assert_int_equal(parse(&id, p, 23), 0);
    p[0] = 0x44;
    assert_int_equal(parse(&id, p, 24), 0);
}

static void other_protocols(void **state)
{
    (void)state;
    uint8_t p[64] = {0};
    TransportId id;
    for (unsigned protocol = 0; protocol < 16; protocol++) {
        if (protocol == TRANSPORT_SRP || protocol == TRANSPORT_ISCSI)
            continue;
        p[0] = (uint8_t)protocol;
        assert_int_equal(parse(&id, p, sizeof p), 0);
    }
    assert_int_equal(parse(&id, p, 0), 0);
}

/* Every prefix of a good one is refused; so is what lies about its length. */
static void cut_off(void **state)
{
    (void)state;
    uint8_t p[600];
    TransportId id;
    size_t n = make_iscsi(p, 0x45, "iqn.2026-01.org.example:a,i,0x00023d000001", 44);
    for (size_t len = 0; len < n; len++)
        assert_int_equal(parse(&id, p, len), 0);
    put_be16(p + 2, 0xfffc);
    assert_int_equal(parse(&id, p, n), 0);
}

static void garbage(void **state)
{
    (void)state;
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    uint8_t p[300];
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = make_iscsi(p, round & 1 ? 0x45 : 0x05, "iqn.a,i,0x123", 40);
        for (int i = g_rand_int_range(rand, 1, 8); i > 0; i--)
            p[g_rand_int_range(rand, 0, (gint)len)] = (uint8_t)g_rand_int(rand);
        len = (size_t)g_rand_int_range(rand, 0, (gint)len + 1);
        TransportId id, again;
        size_t used = parse(&id, p, len);
        assert_true(used <= len);
        if (used > 0) { /* what is accepted is in the form that it is kept in */
            assert_int_equal(parse(&again, id.bytes, id.len), id.len);
            assert_true(transport_id_equal(&id, &again));
        }
    }
}

static void devices_and_ports(void **state)
{
    (void)state;
    uint8_t p[100];
    TransportId device, port, longer;
    transport_id_parse(&device, p, make_iscsi(p, 0x05, "iqn.a", 20));
    transport_id_parse(&port, p, make_iscsi(p, 0x45, "iqn.A,i,0x1", 20));
    transport_id_parse(&longer, p, make_iscsi(p, 0x45, "iqn.ab,i,0x1", 20));
    assert_true(transport_id_is_device(&device));
    assert_false(transport_id_is_device(&port));
    assert_true(transport_id_is_port_of(&port, &device));
    assert_false(transport_id_is_port_of(&longer, &device));
    assert_false(transport_id_is_port_of(&device, &device));
    assert_false(transport_id_equal(&device, &port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iscsi_names),     cmocka_unit_test(iscsi_longest),
        cmocka_unit_test(iscsi_malformed), cmocka_unit_test(srp),
        cmocka_unit_test(other_protocols), cmocka_unit_test(cut_off),
        cmocka_unit_test(garbage),         cmocka_unit_test(devices_and_ports),
    };
    return unit_run(tests);
}
