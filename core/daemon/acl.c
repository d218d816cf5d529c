/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Matching of initiators against an access list. */
#include "core/daemon/acl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

typedef struct {
    GPatternSpec *initiator; /* NULL: any */
    bool any_address;
    uint8_t prefix[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
} AclRow;

struct Acl {
    bool allow_all;
    unsigned n;
    AclRow rows[];
};

static void map_ipv4(uint8_t out[16], const void *ipv4)
{
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
    memcpy(out + 12, ipv4, 4);
}

static bool parse_range(const char *text, AclRow *row)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    struct in_addr ipv4;
    unsigned most = 128, base = 0;
    if (inet_pton(AF_INET, parts[0], &ipv4) == 1) {
        map_ipv4(row->prefix, &ipv4);
        most = 32;
        base = 96;
    } else if (inet_pton(AF_INET6, parts[0], row->prefix) != 1) {
        return false;
    }
    guint64 bits = most;
    if (parts[1] && !g_ascii_string_to_unsigned(parts[1], 10, 0, most, &bits, NULL))
        return false;
    row->bits = base + (unsigned)bits;
    return true;
}

static bool row_init(AclRow *row, const TransportAllow *allow, GError **error)
{
    row->any_address = !allow->address;
    if (allow->address && !parse_range(allow->address, row)) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "allow=%s: must be ADDRESS or ADDRESS/BITS", allow->address);
        return false;
    }
    if (allow->initiator_glob) {
        g_autofree char *lower = g_ascii_strdown(allow->initiator_glob, -1);
        row->initiator = g_pattern_spec_new(lower);
    }
    return true;
}

Acl *acl_new(bool allow_all, const TransportAllow *allow, unsigned n, GError **error)
{
    Acl *acl = g_malloc0(sizeof *acl + n * sizeof acl->rows[0]);
    acl->allow_all = allow_all;
    acl->n = n;
    for (unsigned i = 0; i < n; i++) {
        if (!row_init(&acl->rows[i], &allow[i], error)) {
            acl_free(acl);
            return NULL;
        }
    }
    return acl;
}

void acl_free(Acl *acl)
{
    for (unsigned i = 0; acl && i < acl->n; i++)
        g_clear_pointer(&acl->rows[i].initiator, g_pattern_spec_free);
    g_free(acl);
}

static bool in_range(const AclRow *row, const uint8_t address[16])
{
    unsigned bytes = row->bits / 8, rest = row->bits % 8;
    return !memcmp(row->prefix, address, bytes) &&
           (!rest || !((row->prefix[bytes] ^ address[bytes]) >> (8 - rest)));
}

static bool peer_address(const struct sockaddr_storage *peer, uint8_t out[16])
{
    if (peer->ss_family == AF_INET)
        map_ipv4(out, &((const struct sockaddr_in *)peer)->sin_addr);
    else if (peer->ss_family == AF_INET6)
        memcpy(out, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
    else
        return false;
    return true;
}

static bool row_admits(const AclRow *row, const char *initiator,
                       const struct sockaddr_storage *peer)
{
    uint8_t address[16];
    if (row->initiator && !g_pattern_spec_match_string(row->initiator, initiator))
        return false;
    return row->any_address || (peer_address(peer, address) && in_range(row, address));
}

bool acl_admits(const Acl *acl, const char *initiator, const struct sockaddr_storage *peer)
{
    for (unsigned i = 0; i < acl->n; i++)
        if (row_admits(&acl->rows[i], initiator, peer))
            return true;
    return acl->allow_all;
}
