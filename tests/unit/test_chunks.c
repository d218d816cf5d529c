/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chunks of the arena where the kernel refuses: the reservation of addresses stays whole. chunks.c
 * is compiled so that it calls the functions below for mmap() and mremap(). */
#undef mmap
#undef mremap
#include "core/mem/chunks.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

void *kernel_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *kernel_mremap(void *old, size_t old_len, size_t len, int flags, ...);

typedef enum { HUGE_NONE, HUGE_MOVES, MOVE_LEAVES_GAP, MOVE_LEAVES_ALL, GAP_IS_TAKEN } Kernel;
static Kernel kernel;
static void *taken;

/* There need not be huge pages for the tests. */
void *kernel_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    if ((flags & MAP_HUGETLB) && kernel == HUGE_NONE) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (flags & MAP_HUGETLB)
        flags = MAP_PRIVATE | MAP_ANONYMOUS;
    return mmap(at, len, protection, flags, fd, offset);
}

void *kernel_mremap(void *old, size_t old_len, size_t len, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    void *at = va_arg(arguments, void *);
    va_end(arguments);
    if (kernel == HUGE_MOVES)
        return mremap(old, old_len, len, flags, at);
    if (kernel == MOVE_LEAVES_GAP || kernel == GAP_IS_TAKEN)
        munmap(at, len);
    if (kernel == GAP_IS_TAKEN)
        taken = mmap(at, 4096, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    errno = EINVAL;
    return MAP_FAILED;
}

/* Addresses that nobody else can be given. */
static bool is_reserved(void *at)
{
    void *mine =
        mmap(at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (mine == MAP_FAILED)
        return errno == EEXIST;
    munmap(mine, 4096);
    return false;
}

static void begin(Chunks *chunks, ArenaHuge huge)
{
    ArenaConfig config = {.limit = 3 * ARENA_CHUNK_SIZE, .huge = huge};
    assert_true(chunks_init(chunks, &config, NULL));
}

static void map_and_use(Chunks *chunks)
{
    g_autoptr(GError) error = NULL;
    uint8_t *chunk = chunks_map_next(chunks, &error);
    if (!chunk)
        fail_msg("%s", error->message);
    assert_ptr_equal(chunk, chunks->base + (chunks->mapped - 1) * ARENA_CHUNK_SIZE);
    chunk[0] = chunk[ARENA_CHUNK_SIZE - 1] = 1;
    for (unsigned i = 0; i < 3; i++)
        assert_true(is_reserved(chunks->base + i * ARENA_CHUNK_SIZE));
}

static void every_way_to_map_keeps_the_reservation(void **state)
{
    static const ArenaHuge huge[] = {ARENA_HUGE_OFF, ARENA_HUGE_AUTO, ARENA_HUGE_AUTO,
                                     ARENA_HUGE_AUTO};
    static const Kernel kernels[] = {HUGE_NONE, HUGE_NONE, HUGE_MOVES, MOVE_LEAVES_GAP};
    (void)state;
    for (unsigned i = 0; i < G_N_ELEMENTS(huge); i++) {
        Chunks chunks;
        kernel = kernels[i];
        begin(&chunks, huge[i]);
        for (unsigned k = 0; k < 3; k++)
            map_and_use(&chunks);
        assert_false(chunks_can_grow(&chunks));
        chunks_deinit(&chunks);
    }
}

static void expect_no_chunk(Chunks *chunks, const char *why)
{
    g_autoptr(GError) error = NULL;
    assert_null(chunks_map_next(chunks, &error));
    assert_non_null(strstr(error->message, why));
}

static void without_huge_pages_the_next_try_may_work(void **state)
{
    (void)state;
    Chunks chunks;
    begin(&chunks, ARENA_HUGE_ON);
    kernel = HUGE_NONE;
    expect_no_chunk(&chunks, "no huge pages");
    kernel = MOVE_LEAVES_GAP;
    expect_no_chunk(&chunks, "no huge pages");
    assert_true(is_reserved(chunks.base));
    kernel = HUGE_MOVES;
    map_and_use(&chunks);
    chunks_deinit(&chunks);
}

/* What came into the gap is somebody else's: it is neither used nor unmapped. */
static void a_gap_that_is_taken_ends_the_arena(void **state)
{
    (void)state;
    Chunks chunks;
    begin(&chunks, ARENA_HUGE_AUTO);
    kernel = HUGE_MOVES;
    map_and_use(&chunks);
    kernel = GAP_IS_TAKEN;
    expect_no_chunk(&chunks, "cannot be moved");
    assert_ptr_equal(taken, chunks.base + ARENA_CHUNK_SIZE);
    assert_false(chunks_can_grow(&chunks));
    memset(taken, 7, 4096);
    chunks_deinit(&chunks);
    assert_int_equal(*(uint8_t *)taken, 7);
    munmap(taken, 4096);
}

static void a_move_that_fails_at_once_is_not_trusted(void **state)
{
    (void)state;
    Chunks chunks;
    begin(&chunks, ARENA_HUGE_AUTO);
    kernel = MOVE_LEAVES_ALL; /* cannot be told from a gap that is taken */
    expect_no_chunk(&chunks, "cannot be moved");
    assert_true(is_reserved(chunks.base));
    chunks_deinit(&chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_map_keeps_the_reservation),
        cmocka_unit_test(without_huge_pages_the_next_try_may_work),
        cmocka_unit_test(a_gap_that_is_taken_ends_the_arena),
        cmocka_unit_test(a_move_that_fails_at_once_is_not_trusted),
    };
    return unit_run(tests);
}
