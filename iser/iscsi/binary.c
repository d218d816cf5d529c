/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Binary values in text. */
#include "iser/iscsi/binary.h"

#include <glib.h>
#include <string.h>

static bool decode_hex(const char *digits, size_t n, uint8_t *out, size_t max, size_t *len)
{
    if (n % 2 || n / 2 > max)
        return false;
    for (size_t i = 0; i < n; i++) {
        int digit = g_ascii_xdigit_value(digits[i]);
        if (digit < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | digit : digit << 4);
    }
    *len = n / 2;
    return true;
}

/* GLib's decoder passes over what is not base64, so that is looked for first. */
static bool decode_base64(const char *text, size_t n, uint8_t *out, size_t max, size_t *len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = strspn(text, alphabet);
    size_t padding = n - digits;
    if (n % 4 || padding > 2 || strspn(text + digits, "=") != padding || n / 4 * 3 - padding > max)
        return false;
    gsize got;
    g_autofree guchar *bytes = g_base64_decode(text, &got);
    memcpy(out, bytes, got);
    *len = got;
    return true;
}

bool binary_decode(const char *text, uint8_t *out, size_t max, size_t *len)
{
    if (text[0] != '0' || !text[1] || !text[2])
        return false;
    size_t n = strlen(text + 2);
    switch (text[1]) {
    case 'x':
    case 'X':
        return decode_hex(text + 2, n, out, max, len);
    case 'b':
    case 'B':
        return decode_base64(text + 2, n, out, max, len);
    default:
        return false;
    }
}

void binary_encode(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    *out++ = '0';
    *out++ = 'x';
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}
