/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slices of scattered memory, and what a direct file takes. */
#include "tests/unit/unit.h"

#include "aio/file_impl.h"
#include "aio/request.h"

static char memory[1000];

static void test_slices(void **state)
{
    (void)state;
    const struct iovec iov[] = {{memory, 10}, {NULL, 0}, {memory + 100, 20}, {memory + 200, 30}};
    struct iovec out[4];
    size_t bytes;

    assert_int_equal(aio_iov_slice(iov, 4, 0, 0, out, 4, &bytes), 3);
    assert_int_equal(bytes, 60);
    assert_int_equal(aio_iov_slice(iov, 4, 10, 0, out, 4, &bytes), 2);
    assert_ptr_equal(out[0].iov_base, memory + 100);
    assert_int_equal(bytes, 50);
    assert_int_equal(aio_iov_slice(iov, 4, 35, 0, out, 4, &bytes), 1);
    assert_ptr_equal(out[0].iov_base, memory + 205);
    assert_int_equal(bytes, 25);
    assert_int_equal(aio_iov_slice(iov, 4, 5, 0, out, 2, &bytes), 2);
    assert_int_equal(bytes, 25);
    assert_int_equal(aio_iov_slice(iov, 4, 5, 7, out, 4, &bytes), 2);
    assert_int_equal(out[1].iov_len, 2);
    assert_int_equal(bytes, 7);
    assert_int_equal(aio_iov_slice(iov, 4, 60, 0, out, 4, &bytes), 0);
    assert_int_equal(bytes, 0);
}

static bool takes(const AioFile *file, uintptr_t base, size_t len, uint64_t offset)
{
    struct iovec iov[2] = {{(void *)base, len}, {(void *)(base + len), len}};
    return aio_file_takes(file, iov, 2, offset, 2 * len);
}

static void test_alignment(void **state)
{
    (void)state;
    AioFile direct = {.mode = AIO_DIRECT, .offset_align = 512, .memory_align = 4};
    AioFile buffered = {.mode = AIO_BUFFERED, .offset_align = 1, .memory_align = 1};

    assert_true(takes(&direct, 4096, 512, 512));
    assert_true(takes(&direct, 4100, 512, 512));
    assert_false(takes(&direct, 4098, 512, 512));
    assert_false(takes(&direct, 4096, 512, 100));
    assert_false(takes(&direct, 4096, 511, 512));
    assert_false(takes(&direct, 4096, 256, 512)); /* the sum would be aligned */
    assert_true(takes(&buffered, 4097, 3, 5));
}

static void test_list_is_fifo(void **state)
{
    (void)state;
    AioReqList list = {0};
    AioReq reqs[3] = {0};

    assert_null(aio_reqs_pop(&list));
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++)
            aio_reqs_push(&list, &reqs[i]);
        for (unsigned i = 0; i < 3; i++)
            assert_ptr_equal(aio_reqs_pop(&list), &reqs[i]);
        assert_null(aio_reqs_pop(&list));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_list_is_fifo),
    };
    return unit_run(tests);
}
