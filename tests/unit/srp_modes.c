/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the initiator does in each test of test_srp_channel. */
#include "core/base/bytes.h"
#include "tests/unit/srp_peer.h"

#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static uint8_t pattern(size_t i, unsigned seed)
{
    return (uint8_t)(i * 13 + (i >> 9) + seed * 101);
}

/* --- the initiator's side: each returns 0, or the line where it went wrong
 * ------------------------
 */

#define CHECK(condition)                                                  \
    do {                                                                  \
        if (!(condition)) {                                               \
            fprintf(stderr, "peer: line %d: %s\n", __LINE__, #condition); \
            return 1;                                                     \
        }                                                                 \
    } while (0)

static PeerLogin good_login(uint8_t flags)
{
    return (PeerLogin){.initiator = 1,
                       .flags = (uint8_t)(0x80 | flags),
                       .formats = 6,
                       .iu_len = 1000,
                       .immediate_offset = IMM_AT,
                       .id_ext = ID_EXT,
                       .ioc_guid = IOC_GUID};
}

static int log_in(Peer *peer, uint8_t flags)
{
    PeerLogin login = good_login(flags);
    CHECK(peer_open(peer, PORT, &login) == 0);
    CHECK(peer->credits == DEPTH && (peer->rsp_flags & 0x80));
    return 0;
}

typedef enum { DIRECT, INDIRECT, PARTIAL, FORMS } Form;

/* `len` bytes of the peer's memory from `at` on, as descriptors of 700 bytes or so. */
static void describe(Peer *peer, PeerIu *iu, Form form, size_t at, uint32_t len, bool out)
{
    uint32_t key = peer->data_mr->rkey;
    uintptr_t base = (uintptr_t)peer->data;
    if (form == DIRECT) {
        peer_describe(iu, base + at, key, len);
        return;
    }
    static PeerIu table;
    table.len = 0;
    for (uint32_t done = 0, n; done < len; done += n) {
        n = MIN(700, len - done);
        peer_describe(&table, base + at + done, key, n);
    }
    unsigned all = (unsigned)table.len / 16, here = form == PARTIAL ? MIN(all / 2, 3) : all;
    uint8_t *place = peer->data + PEER_DATA - sizeof table.bytes;
    memcpy(place, table.bytes, table.len);
    peer_describe(iu, (uintptr_t)place, key, all * 16);
    put_be32(iu->bytes + iu->len, len);
    memcpy(iu->bytes + iu->len + 4, table.bytes, here * 16);
    iu->len += 4 + here * 16;
    iu->bytes[out ? 6 : 7] = (uint8_t)here;
}

static int check_no_residual(const Peer *peer)
{
    CHECK((peer->got[18] & 0x3c) == 0);
    return 0;
}

static int write_and_read(Peer *peer, Form out, Form in, uint16_t blocks, unsigned seed)
{
    PeerIu iu;
    uint32_t len = blocks * BLOCK;
    for (size_t i = 0; i < len; i++)
        peer->data[i] = pattern(i, seed);
    peer_rw(peer, &iu, true, out == DIRECT ? 0x10 : 0x20, 8 * seed, blocks);
    describe(peer, &iu, out, 0, len, true);
    CHECK(peer_run(peer, &iu) == 0 && check_no_residual(peer) == 0);
    memset(peer->data, 0, len);
    peer_rw(peer, &iu, false, in == DIRECT ? 0x01 : 0x02, 8 * seed, blocks);
    describe(peer, &iu, in, 0, len, false);
    CHECK(peer_run(peer, &iu) == 0 && check_no_residual(peer) == 0);
    for (size_t i = 0; i < len; i++)
        CHECK(peer->data[i] == pattern(i, seed));
    CHECK(peer->credits == peer->first_credits);
    return 0;
}

static int peer_forms(void)
{
    Peer peer;
    CHECK(log_in(&peer, 0) == 0 && (peer.rsp_flags & 3) == 0);
    CHECK(peer_test_unit_ready(&peer) == 2 && (peer.got[18] & 2)); /* power on */
    CHECK(peer_test_unit_ready(&peer) == 0);
    for (unsigned out = 0; out < FORMS; out++)
        for (unsigned in = 0; in < FORMS; in++) {
            uint16_t most = out == INDIRECT || in == INDIRECT ? 40 : 1500;
            CHECK(write_and_read(&peer, out, in, most, 1 + 3 * out + in) == 0);
            CHECK(write_and_read(&peer, out, in, 1, 1 + 3 * out + in) == 0);
        }
    peer_close(&peer);
    return 0;
}

static int peer_immediate(void)
{
    Peer peer;
    PeerIu iu;
    CHECK(log_in(&peer, 0) == 0);
    peer_test_unit_ready(&peer);
    peer_rw(&peer, &iu, true, 0x30, 5, 1);
    put_be32(iu.bytes + 48, BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        iu.bytes[IMM_AT + i] = pattern(i, 9);
    iu.len = IMM_AT + BLOCK;
    CHECK(peer_run(&peer, &iu) == 0 && check_no_residual(&peer) == 0);
    peer_rw(&peer, &iu, false, 0x01, 5, 1);
    describe(&peer, &iu, DIRECT, 0, BLOCK, false);
    CHECK(peer_run(&peer, &iu) == 0);
    for (size_t i = 0; i < BLOCK; i++)
        CHECK(peer.data[i] == pattern(i, 9));
    peer_close(&peer);
    return 0;
}

/* Less and more room than the command wants, both directions; solicited events as asked for. */
static int peer_residuals(void)
{
    Peer peer;
    PeerIu iu;
    CHECK(log_in(&peer, 0) == 0);
    peer_test_unit_ready(&peer);
    memset(peer.data, 0x5a, 4096);
    peer_rw(&peer, &iu, false, 0x01, 0, 2);
    describe(&peer, &iu, DIRECT, 0, 512, false);
    iu.bytes[1] = 0x02;
    CHECK(peer_run(&peer, &iu) == 0 && peer.got[18] == 0x10 && get_be32(peer.got + 24) == 512);
    CHECK(peer.got[1] == 1 && peer.data[512] == 0x5a);
    peer_rw(&peer, &iu, false, 0x01, 0, 2);
    describe(&peer, &iu, DIRECT, 0, 2048, false);
    CHECK(peer_run(&peer, &iu) == 0 && peer.got[18] == 0x20 && get_be32(peer.got + 24) == 1024);
    CHECK(peer.got[1] == 0 && peer.data[1024] == 0x5a);
    peer_rw(&peer, &iu, true, 0x10, 0, 2);
    describe(&peer, &iu, DIRECT, 0, 2048, true);
    CHECK(peer_run(&peer, &iu) == 0 && peer.got[18] == 0x08 && get_be32(peer.got + 20) == 1024);
    peer_rw(&peer, &iu, true, 0x10, 0, 2);
    describe(&peer, &iu, DIRECT, 0, 512, true);
    uint8_t status = peer_run(&peer, &iu);
    CHECK(status != 0xff && (peer.got[18] & 0x0c) == 0x04 && get_be32(peer.got + 20) == 512);
    peer_rw(&peer, &iu, false, 0x11, 0, 1); /* both directions, of which the read wants one */
    describe(&peer, &iu, DIRECT, 0, 512, true);
    describe(&peer, &iu, DIRECT, 512, 512, false);
    CHECK(peer_run(&peer, &iu) == 0 && peer.got[18] == 0x08 && get_be32(peer.got + 20) == 512);
    peer_close(&peer);
    return 0;
}

static int peer_rejects(void)
{
    static const struct {
        uint32_t reason, iu_len;
        uint16_t formats;
        uint8_t flags;
        uint64_t id_ext, ioc_guid;
    } cases[] = {
        {0x10000, 63, 6, 0, ID_EXT, IOC_GUID},       {0x10002, 1 << 20, 6, 0, ID_EXT, IOC_GUID},
        {0x10003, 1000, 6, 0, ID_EXT + 1, IOC_GUID}, {0x10003, 1000, 6, 0, ID_EXT, IOC_GUID + 1},
        {0x10004, 1000, 7, 0, ID_EXT, IOC_GUID},     {0x10005, 1000, 6, 2, ID_EXT, IOC_GUID},
    };
    Peer peer;
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        PeerLogin login = good_login(cases[i].flags);
        login.iu_len = cases[i].iu_len;
        login.formats = cases[i].formats;
        login.id_ext = cases[i].id_ext;
        login.ioc_guid = cases[i].ioc_guid;
        CHECK(peer_open(&peer, PORT, &login) == cases[i].reason);
    }
    PeerLogin stranger = good_login(0);
    stranger.initiator = 0xbb; /* not in the access list */
    CHECK(peer_open(&peer, PORT, &stranger) == 0x10003);
    uint8_t junk[56];
    memset(junk, 0xff, sizeof junk);
    CHECK(peer_open_raw(&peer, PORT, junk, sizeof junk) == 0x10000);
    CHECK(peer_open_raw(&peer, PORT, junk, 5) == 0x10000);
    CHECK(peer_open_raw(&peer, PORT, NULL, 0) == 0x10000);
    return 0;
}

static int peer_channels(void)
{
    Peer a, b, c, single;
    PeerLogin login = good_login(1);
    CHECK(log_in(&a, 0) == 0 && log_in(&b, 1) == 0 && (b.rsp_flags & 3) == 2);
    CHECK(peer_test_unit_ready(&a) == 2); /* power on, once for the nexus */
    CHECK(peer_test_unit_ready(&b) == 0);
    CHECK(log_in(&c, 1) == 0);
    Peer fourth;
    CHECK(peer_open(&fourth, PORT, &login) == 0x10006);
    peer_close(&c);
    CHECK(peer_test_unit_ready(&b) == 0 && peer_test_unit_ready(&a) == 0);
    CHECK(log_in(&single, 0) == 0 && (single.rsp_flags & 3) == 1);
    CHECK(peer_logged_out(&a, 4) && peer_logged_out(&b, 4));
    CHECK(peer_test_unit_ready(&single) == 2 && peer_test_unit_ready(&single) == 0);
    peer_close(&single);
    return 0;
}

static int peer_management(void)
{
    Peer peer, other;
    CHECK(log_in(&peer, 0) == 0 && log_in(&other, 1) == 0);
    peer_test_unit_ready(&peer);
    CHECK(peer_manage(&peer, 0x01, 0, 12345) == 0);
    CHECK(peer_manage(&peer, 0x02, 0, 0) == 0);
    CHECK(peer_manage(&other, 0x04, 0, 0) == 0);
    CHECK(peer_manage(&peer, 0x08, 0, 0) == 0);
    CHECK(peer_test_unit_ready(&other) == 2 && peer.credits == peer.first_credits);
    CHECK(peer_manage(&peer, 0x40, 0, 0) == 4);
    CHECK(peer_manage(&peer, 0x03, 0, 0) == 4);
    CHECK(peer_manage(&peer, 0x08, UINT64_C(7) << 48, 0) == 2);
    peer_close(&peer);
    peer_close(&other);
    return 0;
}

/* Commands held up behind an ordered one, on two channels, aborted by the first channel. */
static int peer_aborts(void)
{
    Peer a, b;
    PeerIu iu;
    CHECK(log_in(&a, 0) == 0 && log_in(&b, 1) == 0);
    peer_test_unit_ready(&a);
    for (unsigned round = 0; round < 20; round++) {
        peer_rw(&b, &iu, true, 0x10, 0, 1024);
        describe(&b, &iu, DIRECT, 0, 1024 * BLOCK, true);
        uint64_t tag = b.tag;
        b.credits--;
        peer_send(&b, iu.bytes, iu.len);
        CHECK(peer_manage(&a, 0x01, 0, tag) == 0);
        CHECK(peer_manage(&a, 0x02, 0, 0) == 0);
        /* answered or aborted: the credit comes back in both cases */
        while (b.credits < b.first_credits) {
            PeerIu none;
            peer_command(&b, &none, 0, (const uint8_t[6]){0}, 6);
            b.credits--;
            peer_send(&b, none.bytes, none.len);
            do
                CHECK(peer_receive(&b));
            while (memcmp(b.got + 8, none.bytes + 8, 8) != 0);
        }
    }
    peer_close(&a);
    peer_close(&b);
    return 0;
}

/* Each of these costs the channel it comes by, and no other. */
static int peer_hostile(void)
{
    static const struct {
        uint8_t bytes[64];
        size_t len;
        int reason; /* of the logout; -1: only disconnected */
    } cases[] = {
        {{0x55}, 48, 2},
        {{0x00}, 48, 2},
        {{0xc1}, 48, 2},
        {{0x41}, 16, 3},
        {{0x42}, 16, 3},
        {{0x41}, 15, -1},
        {{0x02}, 47, -1},
        {{0x02}, 1, -1},
        {{0x01}, 47, -1},
        {{2, 0, 0, 0, 0, 0x40}, 64, 6},
        {{2, 0, 0, 0, 0, 0x03}, 64, 7},
    };
    Peer good, bad;
    CHECK(log_in(&good, 0) == 0);
    peer_test_unit_ready(&good);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        CHECK(log_in(&bad, 1) == 0);
        peer_send(&bad, cases[i].bytes, cases[i].len);
        CHECK(cases[i].reason < 0 ? peer_disconnected(&bad)
                                  : peer_logged_out(&bad, (uint32_t)cases[i].reason));
        peer_close(&bad);
        CHECK(peer_test_unit_ready(&good) == 0);
    }
    peer_close(&good);
    return 0;
}

/* Descriptors that make no sense: sense data, and the channel goes on. */
static int peer_senseless(void)
{
    Peer peer;
    PeerIu iu;
    CHECK(log_in(&peer, 0) == 0);
    peer_test_unit_ready(&peer);
    for (unsigned i = 0; i < 6; i++) {
        peer_rw(&peer, &iu, false, i == 0 ? 0x01 : 0x02, 0, 8);
        if (i > 0)
            describe(&peer, &iu, i == 5 ? PARTIAL : INDIRECT, 0, 4096, false);
        if (i == 1)
            put_be32(iu.bytes + 64, 4097); /* not the sum */
        else if (i == 2)
            put_be32(iu.bytes + 60, 0xfffffff0); /* of a table of 4 GiB */
        else if (i == 3)
            iu.bytes[7] = 200; /* more than there are */
        else if (i == 4)
            iu.len -= 1;
        else if (i == 5)
            put_be32(iu.bytes + 64, 5000); /* not the sum of what is fetched */
        CHECK(peer_run(&peer, &iu) == 2 && (peer.got[18] & 2) && (peer.got[36 + 2] & 15) == 5);
        CHECK(peer.got[36 + 12] == 0x0e && peer.credits == peer.first_credits);
    }
    peer_command(&peer, &iu, 0, (const uint8_t[6]){0}, 6);
    iu.bytes[31] = 0x14; /* a CDB of 36 bytes */
    iu.len += 20;
    CHECK(peer_run(&peer, &iu) == 2 && peer.got[36 + 12] == 0x0e);
    CHECK(peer_test_unit_ready(&peer) == 0);
    peer_close(&peer);
    return 0;
}

/* More commands than credits: caught. */
static int peer_greedy(void)
{
    Peer peer, other;
    PeerIu iu;
    CHECK(log_in(&peer, 0) == 0 && log_in(&other, 1) == 0);
    peer_test_unit_ready(&peer);
    for (unsigned i = 0; i < 280; i++) { /* faster than any can be answered */
        peer_rw(&peer, &iu, true, 0x10, 0, 1500);
        describe(&peer, &iu, DIRECT, 0, 1500 * BLOCK, true);
        peer_send(&peer, iu.bytes, iu.len);
    }
    CHECK(peer_disconnected(&peer));
    CHECK(peer_test_unit_ready(&other) == 0);
    peer_close(&peer);
    peer_close(&other);
    return 0;
}

static int peer_logout(void)
{
    Peer peer;
    uint8_t iu[16] = {0x03};
    CHECK(log_in(&peer, 0) == 0);
    peer_send(&peer, iu, sizeof iu);
    CHECK(peer_disconnected(&peer));
    peer_close(&peer);
    return 0;
}

/* Until the target ends it. */
static int peer_stay(void)
{
    Peer peer, other;
    CHECK(log_in(&peer, 0) == 0 && log_in(&other, 1) == 0);
    CHECK(peer_logged_out(&peer, 0) && peer_logged_out(&other, 0));
    peer_close(&peer);
    peer_close(&other);
    return 0;
}

/* An event for new LUNs; one that stays quiet is asked, and answers. */
static int peer_events(void)
{
    Peer peer;
    uint8_t rsp[16] = {0x42};
    CHECK(log_in(&peer, 0) == 0);
    CHECK(peer_receive(&peer) && peer.got[0] == 0x82 && get_be32(peer.got + 28) >= 14);
    CHECK(peer.got[36 + 12] == 0x3f && peer.got[36 + 13] == 0x0e);
    memcpy(rsp + 8, peer.got + 8, 8);
    peer_send(&peer, rsp, sizeof rsp);
    CHECK(peer_logged_out(&peer, 0));
    peer_close(&peer);
    return 0;
}

static int peer_hang(void)
{
    Peer peer;
    PeerIu iu;
    CHECK(log_in(&peer, 0) == 0);
    peer_test_unit_ready(&peer);
    for (unsigned i = 0;; i++) {
        peer_rw(&peer, &iu, i % 2, i % 2 ? 0x10 : 0x01, 0, 1500);
        describe(&peer, &iu, DIRECT, 0, 1500 * BLOCK, i % 2);
        while (peer.credits == 0)
            CHECK(peer_receive(&peer));
        peer.credits--;
        peer_send(&peer, iu.bytes, iu.len);
    }
}

static const struct {
    const char *name;
    int (*run)(void);
} modes[] = {
    {"forms", peer_forms},     {"immediate", peer_immediate}, {"residuals", peer_residuals},
    {"rejects", peer_rejects}, {"channels", peer_channels},   {"management", peer_management},
    {"aborts", peer_aborts},   {"hostile", peer_hostile},     {"senseless", peer_senseless},
    {"greedy", peer_greedy},   {"logout", peer_logout},       {"stay", peer_stay},
    {"events", peer_events},   {"hang", peer_hang},
};

int srp_peer_main(const char *mode)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++)
        if (!strcmp(modes[i].name, mode))
            return modes[i].run();
    return 99;
}
