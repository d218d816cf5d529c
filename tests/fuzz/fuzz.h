/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all fuzzers share: libFuzzer's entry, quiet logs, pieces of an input. A fuzzer keeps nothing
 * from one input to the next that could change what an input does. */
#pragma once

#include "core/base/bytes.h"

#include <glib.h>

/* Called by libFuzzer; `data` is a heap block of exactly `size` bytes. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every byte, so that AddressSanitizer sees what a decoder pointed at. NULL only with 0. */
void fuzz_touch(const void *data, size_t len);

/* The next `len` bytes of the input, or what is left of it: *len is set to how many. Never NULL. */
const uint8_t *fuzz_take(ByteReader *input, size_t *len);

/* A heap block of its own with exactly these bytes: what is read beyond it is found. g_free(). */
uint8_t *fuzz_copy(const void *data, size_t len);
