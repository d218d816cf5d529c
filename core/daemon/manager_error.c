/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The quark of the manager's errors. */
#include "core/daemon/manager_error.h"

G_DEFINE_QUARK(rtgt - manager - error - quark, manager_error)
