/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads of a LUN with a cache: answered from its slots, which the store fills where they are not
 * valid. What cannot be done that way takes the way without a cache. */
#pragma once

#include "core/scsi/transfer.h"

/* For transfer_read(), with transfer->loaded set: true when the read has begun, false when it is to
 * go without the cache. loaded() may come inside. */
bool cached_read_begin(Transfer *transfer, uint32_t offset, uint32_t len, size_t size);
/* Lets go of the slots; the store has no request of the transfer. */
void cached_read_end(Transfer *transfer);
