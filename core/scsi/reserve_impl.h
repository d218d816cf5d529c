/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files about reservations share. */
#pragma once

#include "core/scsi/lun_impl.h"

/* Under Lun.lock: what is reserved, or for whom, is another thing now. */
void reserve_changed(Reservations *reservations);

/* The state as a file, and back (reserve_save.c). */
GBytes *reserve_to_bytes(const ReserveState *state);
/* False with error when the bytes are not what reserve_to_bytes() made. */
bool reserve_from_bytes(ReserveState *state, GBytes *bytes, GError **error);
