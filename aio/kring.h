/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The completion ring of Linux AIO, which the kernel maps into the process. */
#pragma once

#include <libaio.h>
#include <stdbool.h>

/* Whether the ring has the layout known here. */
bool aio_kring_usable(io_context_t kernel_ctx);

/* Takes at most max events, without a system call if `mapped`; how many. Does not wait. */
unsigned aio_kring_take(io_context_t kernel_ctx, bool mapped, struct io_event *events,
                        unsigned max);
