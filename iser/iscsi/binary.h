/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Binary values in text (RFC 7143 6.1): "0x" and hexadecimal digits, "0b" and base64. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strict: an even number of digits, or whole groups of base64. False: malformed, empty, or more
 * than `max` bytes. */
bool binary_decode(const char *text, uint8_t *out, size_t max, size_t *len);
/* "0x..." into out[2 * len + 3]. */
void binary_encode(const uint8_t *bytes, size_t len, char *out);
