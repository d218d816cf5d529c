/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transport "iscsi": iSCSI over TCP. */
#pragma once

#include "core/daemon/transport.h"

extern const Transport iscsi_transport;
