/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsers of single configuration values; no state. */
#include "core/daemon/config_text.h"

#include <gio/gio.h>
#include <string.h>

#define NAME_MAX_LEN 223 /* RFC 7143 4.2.7.1 */

static const char SIZE_UNITS[] = "KMGT";

bool text_to_number(const char *text, uint64_t *number)
{
    guint64 n;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &n, NULL))
        return false;
    *number = n;
    return true;
}

bool text_to_size(const char *text, uint64_t *bytes)
{
    size_t len = strlen(text);
    const char *unit = len ? strchr(SIZE_UNITS, g_ascii_toupper(text[len - 1])) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - SIZE_UNITS + 1) : 0;
    g_autofree char *digits = g_strndup(text, unit ? len - 1 : len);
    uint64_t number;
    if (!text_to_number(digits, &number) || number > UINT64_MAX >> shift)
        return false;
    *bytes = number << shift;
    return true;
}

char *text_from_size(uint64_t bytes)
{
    unsigned unit = 0;
    while (bytes && bytes % 1024 == 0 && unit < strlen(SIZE_UNITS)) {
        bytes /= 1024;
        unit++;
    }
    char suffix[2] = {unit ? SIZE_UNITS[unit - 1] : '\0', '\0'};
    return g_strdup_printf("%" G_GUINT64_FORMAT "%s", bytes, suffix);
}

bool text_to_bool(const char *text, bool *value)
{
    static const char *const yes[] = {"true", "on", "yes", NULL};
    static const char *const no[] = {"false", "off", "no", NULL};
    *value = g_strv_contains(yes, text);
    return *value || g_strv_contains(no, text);
}

/* The numeric address before the last ':' of text, without its brackets; NULL: not that form. */
static GInetAddress *address_part(const char *text, const char *colon)
{
    bool bracketed = *text == '[' && colon > text + 1 && colon[-1] == ']';
    g_autofree char *host = bracketed ? g_strndup(text + 1, (gsize)(colon - text) - 2)
                                      : g_strndup(text, (gsize)(colon - text));
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(host);
    bool ipv6 = address && g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV6;
    return address && ipv6 == bracketed ? g_steal_pointer(&address) : NULL;
}

bool text_to_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || !text_to_number(colon + 1, &port) || port < 1 || port > 65535)
        return false;
    g_autoptr(GInetAddress) address = address_part(text, colon);
    return address != NULL;
}

bool text_to_portal(const char *text)
{
    const char *comma = strchr(text, ',');
    uint64_t number;
    if (!comma)
        return text_to_address(text);
    g_autofree char *address = g_strndup(text, (gsize)(comma - text));
    return text_to_address(address) && text_to_number(comma + 1, &number) && number <= UINT16_MAX;
}

char *text_to_network(const char *text)
{
    g_autoptr(GInetAddressMask) mask = g_inet_address_mask_new_from_string(text, NULL);
    if (!mask)
        return NULL;
    g_autofree char *address = g_inet_address_to_string(g_inet_address_mask_get_address(mask));
    return g_strdup_printf("%s/%u", address, g_inet_address_mask_get_length(mask));
}

/* Levenshtein distance, with one row of the matrix. */
static unsigned distance(const char *a, const char *b)
{
    size_t len = strlen(b);
    g_autofree unsigned *row = g_new(unsigned, len + 1);
    for (size_t j = 0; j <= len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= len; j++) {
            unsigned swap = diagonal + (g_ascii_tolower(a[i - 1]) != g_ascii_tolower(b[j - 1]));
            diagonal = row[j];
            row[j] = MIN(swap, MIN(row[j - 1], row[j]) + 1);
        }
    }
    return row[len];
}

const char *text_suggest(const char *word, const char *const *known)
{
    const char *best = NULL;
    unsigned least = (unsigned)MIN(strlen(word) / 3 + 1, 4);
    for (; *known; known++) {
        unsigned d = distance(word, *known);
        if (d < least || (d == least && !best)) {
            least = d;
            best = *known;
        }
    }
    return best;
}

static bool all_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdefABCDEF") == len;
}

/* "2001-04." and a reversed domain name: the naming authority of an iqn (RFC 7143 4.2.7.4). */
static bool has_authority(const char *text)
{
    static const char shape[] = "dddd-dd.";
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == 'd' ? !g_ascii_isdigit(text[i]) : text[i] != shape[i])
            return false;
    unsigned month = (unsigned)(text[5] - '0') * 10 + (unsigned)(text[6] - '0');
    return month >= 1 && month <= 12 && g_ascii_isalnum(text[8]);
}

static const char *characters_complaint(const char *name, const char *more)
{
    if (strlen(name) > NAME_MAX_LEN)
        return "an iSCSI name has at most 223 bytes";
    for (const char *p = name; *p; p++) {
        if (g_ascii_isupper(*p) && g_str_has_prefix(name, "iqn."))
            return "an iqn name is written in lower case";
        bool utf8 = (unsigned char)*p >= 0x80;
        if (!utf8 && !g_ascii_isalnum(*p) && !strchr("-.:", *p) && !strchr(more, *p))
            return "an iSCSI name is made of letters, digits, '-', '.' and ':'";
    }
    return NULL;
}

const char *text_name_complaint(const char *name)
{
    if (g_str_has_prefix(name, "iqn."))
        return has_authority(name + 4)
                   ? characters_complaint(name, "")
                   : "an iqn name begins with iqn.YYYY-MM. and a reversed domain name, as in "
                     "iqn.2026-01.org.example:disk";
    if (g_str_has_prefix(name, "eui."))
        return all_hex(name + 4, 16) ? NULL : "an eui name is eui. and 16 hexadecimal digits";
    if (g_str_has_prefix(name, "naa."))
        return all_hex(name + 4, 16) || all_hex(name + 4, 32)
                   ? NULL
                   : "a naa name is naa. and 16 or 32 hexadecimal digits";
    return "an iSCSI name begins with iqn., eui. or naa., as in iqn.2026-01.org.example:disk";
}

const char *text_name_glob_complaint(const char *glob)
{
    static const char *const begins[] = {"iqn.", "eui.", "naa."};
    size_t fixed = strcspn(glob, "*?");
    bool wild = glob[fixed] != '\0';
    for (size_t i = 0; i < G_N_ELEMENTS(begins); i++)
        if (strncmp(glob, begins[i], wild ? MIN(fixed, 4) : 4) == 0)
            return wild ? characters_complaint(glob, "*?") : text_name_complaint(glob);
    return "a pattern of initiator names begins with iqn., eui., naa. or a wildcard";
}
