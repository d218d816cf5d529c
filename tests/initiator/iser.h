/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The iSER header in front of every message (RFC 7145 section 9). */
#pragma once

#include <stdint.h>

#define ISER_HEADER 28

enum { ISER_CONTROL = 0x10, ISER_HELLO = 0x20, ISER_HELLO_REPLY = 0x30 };
enum { ISER_WSV = 0x08, ISER_RSV = 0x04 };
enum {
    ISER_AT_WRITE_STAG = 4,
    ISER_AT_WRITE_BASE = 8,
    ISER_AT_READ_STAG = 16,
    ISER_AT_READ_BASE = 20
};

/* Private data of the connection manager (IBTA annex A12): what this side does not support. */
enum { ISER_NO_ZERO_BASED = 0x80, ISER_NO_INVALIDATE = 0x40 };
