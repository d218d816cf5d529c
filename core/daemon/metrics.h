/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All statistics in the text format of Prometheus (exposition format 0.0.4). */
#pragma once

#include "core/daemon/manager.h"

/* A new text; g_free(). On loop 0. */
char *metrics_text(Manager *manager);
