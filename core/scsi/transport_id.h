/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TransportIDs (SPC-4 7.6.4): the names of initiator ports, brought into one form so that equal
 * names are equal bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* iSCSI: 4 bytes, then "NAME,i,0xISID" of at most 223 + 5 + 12 bytes with its NUL, padded to four.
 */
#define TRANSPORT_ID_MAX 248

enum { TRANSPORT_SRP = 0x4, TRANSPORT_ISCSI = 0x5 };

/* Reserved bytes are zero, iSCSI names in lower case, ISIDs of 12 digits; len == 0: none. */
typedef struct {
    uint8_t len;
    uint8_t bytes[TRANSPORT_ID_MAX];
} TransportId;

/* Reads the TransportID that begins at p, of which `left` bytes are there. Returns its length as it
 * stands, or 0 when it is cut off, malformed, or of a protocol that no port here has. Any bytes are
 * allowed. */
size_t transport_id_parse(TransportId *id, const uint8_t *p, size_t left);

bool transport_id_equal(const TransportId *a, const TransportId *b);
/* An iSCSI initiator device, format 00b: all its ports are meant. */
bool transport_id_is_device(const TransportId *id);
/* True for an iSCSI initiator port of that device. */
bool transport_id_is_port_of(const TransportId *port, const TransportId *device);

/* For people: the iSCSI name, with ",i,0xISID" of a port; an SRP port identifier in hex. Owned by
 * the caller. */
char *transport_id_text(const TransportId *id);
