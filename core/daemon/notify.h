/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tells the service manager how far the daemon is (the protocol of sd_notify(3)). */
#pragma once

/* "READY=1", "STOPPING=1", "STATUS=..."; nothing happens where no service manager asked for it. */
void notify_service_manager(const char *state);
