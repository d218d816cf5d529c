/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Start of a fuzzer. */
#include "tests/fuzz/fuzz.h"

static void drop_message(const char *domain, GLogLevelFlags level, const char *message, void *arg)
{
    (void)domain, (void)level, (void)message, (void)arg;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    /* Foreign bytes may cause warnings, which are dropped, but no failed g_return_if_fail(). */
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
    g_log_set_handler(
        "rtgt", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG,
        drop_message, NULL);
    return 0;
}

void fuzz_touch(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint8_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum ^= p[i];
    __asm__ volatile("" ::"r"(sum));
}

const uint8_t *fuzz_take(ByteReader *input, size_t *len)
{
    *len = MIN(*len, byte_reader_left(input));
    return byte_reader_take(input, *len);
}

uint8_t *fuzz_copy(const void *data, size_t len)
{
    uint8_t *copy = g_malloc(len + !len);
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}
