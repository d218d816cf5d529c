/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transport "srp": SCSI over RDMA. */
#pragma once

#include "core/daemon/transport.h"

extern const Transport srp_transport;
