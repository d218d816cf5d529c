/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transport "iser": iSCSI over RDMA. */
#pragma once

#include "core/daemon/transport.h"

extern const Transport iser_transport;
