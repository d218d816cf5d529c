/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two places that know the kernel's data structures: libaio's ring, io_uring's buffers. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "aio/fixed.h"
#include "aio/kring.h"

#define DEPTH 8

/* More requests than the ring has places, so that it wraps; both ways of reading agree. */
static void ring_round_trips(bool mapped)
{
    io_context_t ctx = NULL;
    char page[DEPTH][16];
    struct iocb iocbs[DEPTH], *list[DEPTH];
    struct io_event events[DEPTH];
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (io_setup(DEPTH, &ctx) < 0)
        unit_skip("no Linux AIO");
    assert_true(aio_kring_usable(ctx));
    for (unsigned round = 0; round < 500; round++) {
        for (unsigned i = 0; i < DEPTH; i++) {
            io_prep_pread(&iocbs[i], fd, page[i], i + 1, 0);
            iocbs[i].data = GUINT_TO_POINTER(i + 1);
            list[i] = &iocbs[i];
        }
        assert_int_equal(io_submit(ctx, DEPTH, list), DEPTH);
        unsigned seen = 0, sum = 0;
        gint64 deadline = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
        while (seen < DEPTH && g_get_monotonic_time() < deadline) {
            unsigned count = aio_kring_take(ctx, mapped, events, 3);
            assert_true(count <= 3);
            for (unsigned i = 0; i < count; i++) {
                assert_int_equal(events[i].res, GPOINTER_TO_UINT(events[i].data));
                sum += (unsigned)events[i].res;
            }
            seen += count;
        }
        assert_int_equal(sum, DEPTH * (DEPTH + 1) / 2);
        assert_int_equal(aio_kring_take(ctx, mapped, events, DEPTH), 0);
    }
    io_destroy(ctx);
    close(fd);
}

static void test_mapped_ring(void **state)
{
    (void)state;
    ring_round_trips(true);
}

static void test_ring_by_system_call(void **state)
{
    (void)state;
    ring_round_trips(false);
}

#define CHUNK ((size_t)1 << 16)

static void test_fixed_buffers(void **state)
{
    (void)state;
    struct io_uring ring;
    AioFixed fixed;

    if (io_uring_queue_init(4, &ring, 0) < 0)
        unit_skip("no io_uring");
    aio_fixed_init(&fixed);
    char *base = aligned_alloc(CHUNK, 4 * CHUNK);
    assert_int_equal(aio_fixed_find(&fixed, base, 1), -1);
    aio_fixed_add(&fixed, &ring, base + 2 * CHUNK, CHUNK);
    aio_fixed_add(&fixed, &ring, base, CHUNK);
    if (fixed.refused)
        unit_skip("no fixed buffers");
    assert_int_equal(aio_fixed_find(&fixed, base + 2 * CHUNK, CHUNK), 0);
    assert_int_equal(aio_fixed_find(&fixed, base, CHUNK), 1);
    assert_int_equal(aio_fixed_find(&fixed, base + CHUNK - 1, 1), 1);
    assert_int_equal(aio_fixed_find(&fixed, base + CHUNK - 1, 2), -1);
    assert_int_equal(aio_fixed_find(&fixed, base + CHUNK, 1), -1);
    assert_int_equal(aio_fixed_find(&fixed, base + 3 * CHUNK, 1), -1);
    assert_int_equal(aio_fixed_find(&fixed, base + 2 * CHUNK - 1, 2), -1);
    assert_int_equal(aio_fixed_find(&fixed, base, SIZE_MAX), -1);
    io_uring_queue_exit(&ring);
    aio_fixed_deinit(&fixed);
    free(base);
}

/* Refused memory is not found, does no harm, and is not asked for again. */
static void test_memory_that_cannot_be_registered(void **state)
{
    (void)state;
    struct io_uring ring;
    AioFixed fixed;

    if (io_uring_queue_init(4, &ring, 0) < 0)
        unit_skip("no io_uring");
    aio_fixed_init(&fixed);
    void *nowhere = mmap(NULL, CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    aio_fixed_add(&fixed, &ring, nowhere, CHUNK);
    assert_true(fixed.refused);
    assert_int_equal(aio_fixed_find(&fixed, nowhere, 1), -1);
    munmap(nowhere, CHUNK);
    io_uring_queue_exit(&ring);
    aio_fixed_deinit(&fixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapped_ring),
        cmocka_unit_test(test_ring_by_system_call),
        cmocka_unit_test(test_fixed_buffers),
        cmocka_unit_test(test_memory_that_cannot_be_registered),
    };
    return unit_run(tests);
}
