/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sanitizers cannot see of the arena, told by hand: jemalloc is not built with them, so blocks
 * are poisoned here, and a free that hands memory to another thread's alloc is an ordering. */
#pragma once

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RTGT_SEES_ADDRESSES 1
#endif
#if __has_feature(thread_sanitizer)
#define RTGT_SEES_THREADS 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define RTGT_SEES_ADDRESSES 1
#endif
#ifdef __SANITIZE_THREAD__
#define RTGT_SEES_THREADS 1
#endif

#ifdef RTGT_SEES_ADDRESSES
#include <sanitizer/asan_interface.h>
#endif
#ifdef RTGT_SEES_THREADS
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#endif

static inline void memory_poison(const void *at, size_t len)
{
#ifdef RTGT_SEES_ADDRESSES
    __asan_poison_memory_region(at, len);
#endif
    (void)at, (void)len;
}

static inline void memory_unpoison(const void *at, size_t len)
{
#ifdef RTGT_SEES_ADDRESSES
    __asan_unpoison_memory_region(at, len);
#endif
    (void)at, (void)len;
}

static inline void memory_handed_over(void *at)
{
#ifdef RTGT_SEES_THREADS
    __tsan_release(at);
#endif
    (void)at;
}

static inline void memory_taken_over(void *at)
{
#ifdef RTGT_SEES_THREADS
    __tsan_acquire(at);
#endif
    (void)at;
}
