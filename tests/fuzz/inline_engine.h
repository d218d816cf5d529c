/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An engine that does every request at once, without threads: what an input does is the same each
 * time. */
#pragma once

#include "aio/aio.h"

extern const AioEngine inline_engine;
