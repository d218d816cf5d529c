/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and comparing TransportIDs. */
#include "core/scsi/transport_id.h"

#include "core/base/bytes.h"

#include <glib.h>

#define ISCSI_NAME_MAX 223
#define ISID_DIGITS    12
#define SEPARATOR      ",i,0x"
#define SRP_LEN        24

enum { FORMAT_DEVICE = 0x00, FORMAT_PORT = 0x40, FORMAT_MASK = 0xc0, PROTOCOL_MASK = 0x0f };

static size_t parse_srp(TransportId *id, const uint8_t *p, size_t left)
{
    if (left < SRP_LEN || (p[0] & FORMAT_MASK) != 0)
        return 0;
    id->len = SRP_LEN;
    id->bytes[0] = TRANSPORT_SRP;
    memcpy(id->bytes + 8, p + 8, 16);
    return SRP_LEN;
}

/* RFC 7143 4.2.7: what stringprep leaves of ASCII; bytes of UTF-8 sequences are taken as they are.
 */
static bool is_name(const char *name, size_t len)
{
    if (len == 0 || len > ISCSI_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if ((c & 0x80) == 0 && !g_ascii_isalnum(c) && c != '-' && c != '.' && c != ':')
            return false;
    }
    return true;
}

/* ISID of 1 to 12 hexadecimal digits; false for anything else. */
static bool read_isid(const char *text, uint64_t *isid)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > ISID_DIGITS || text[digits])
        return false;
    *isid = g_ascii_strtoull(text, NULL, 16);
    return true;
}

static void write_iscsi(TransportId *id, uint8_t format, const char *name, size_t name_len,
                        uint64_t isid)
{
    char *to = (char *)id->bytes + 4;
    for (size_t i = 0; i < name_len; i++)
        to[i] = g_ascii_tolower(name[i]);
    if (format == FORMAT_PORT)
        name_len += (size_t)g_snprintf(to + name_len, sizeof SEPARATOR + ISID_DIGITS,
                                       SEPARATOR "%012" G_GINT64_MODIFIER "x", isid);
    size_t padded = MAX((name_len + 4) & ~(size_t)3, 20);
    id->bytes[0] = format | TRANSPORT_ISCSI;
    put_be16(id->bytes + 2, (uint16_t)padded);
    id->len = (uint8_t)(4 + padded);
}

static size_t parse_iscsi(TransportId *id, const uint8_t *p, size_t left)
{
    uint8_t format = p[0] & FORMAT_MASK;
    size_t len = left < 4 ? 0 : get_be16(p + 2);
    if (len < 20 || len % 4 != 0 || len > left - 4 || format > FORMAT_PORT)
        return 0;
    char text[TRANSPORT_ID_MAX] = {0};
    size_t text_len = strnlen((const char *)p + 4, len);
    if (text_len == len || text_len >= sizeof text)
        return 0;
    memcpy(text, p + 4, text_len);

    uint64_t isid = 0;
    size_t name_len = text_len;
    if (format == FORMAT_PORT) {
        const char *separator = strstr(text, SEPARATOR);
        if (!separator || !read_isid(separator + strlen(SEPARATOR), &isid))
            return 0;
        name_len = (size_t)(separator - text);
    }
    if (!is_name(text, name_len))
        return 0;
    write_iscsi(id, format, text, name_len, isid);
    return 4 + len;
}

size_t transport_id_parse(TransportId *id, const uint8_t *p, size_t left)
{
    memset(id, 0, sizeof *id);
    if (left == 0)
        return 0;
    switch (p[0] & PROTOCOL_MASK) {
    case TRANSPORT_SRP:
        return parse_srp(id, p, left);
    case TRANSPORT_ISCSI:
        return parse_iscsi(id, p, left);
    default:
        return 0;
    }
}

bool transport_id_equal(const TransportId *a, const TransportId *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool transport_id_is_device(const TransportId *id)
{
    return id->len > 0 && id->bytes[0] == (FORMAT_DEVICE | TRANSPORT_ISCSI);
}

bool transport_id_is_port_of(const TransportId *port, const TransportId *device)
{
    if (port->len == 0 || port->bytes[0] != (FORMAT_PORT | TRANSPORT_ISCSI))
        return false;
    const char *name = (const char *)device->bytes + 4, *of = (const char *)port->bytes + 4;
    size_t len = strlen(name);
    return strncmp(of, name, len) == 0 && g_str_has_prefix(of + len, SEPARATOR);
}

char *transport_id_text(const TransportId *id)
{
    if (id->len > 0 && (id->bytes[0] & PROTOCOL_MASK) == TRANSPORT_ISCSI)
        return g_strdup((const char *)id->bytes + 4);
    GString *text = g_string_new("0x");
    for (unsigned i = id->len == SRP_LEN ? 8 : 0; i < id->len; i++)
        g_string_append_printf(text, "%02x", id->bytes[i]);
    return g_string_free(text, FALSE);
}
