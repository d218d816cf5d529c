/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening: what is made, what is refused and why, and who holds the lock. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aio/file.h"
#include "tests/unit/aio_fixture.h"

static char folder[256], path[300];

static int setup(void **state)
{
    (void)state;
    g_snprintf(folder, sizeof(folder), "%s/rtgt-file-XXXXXX", g_getenv("TMPDIR") ?: ".");
    assert_non_null(g_mkdtemp(folder));
    g_snprintf(path, sizeof(path), "%s/store", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static AioFile *open_ok(const AioFileSpec *spec)
{
    AioFile *file = NULL;
    char *why = NULL;
    int res = aio_file_open(spec, &file, &why);
    if (res < 0)
        print_message("%s\n", why);
    assert_int_equal(res, 0);
    assert_null(why);
    return file;
}

/* Fails with this error, naming the path and the matter. */
static void open_fails(const AioFileSpec *spec, int error, const char *matter)
{
    AioFile *file = NULL;
    char *why = NULL;
    assert_int_equal(aio_file_open(spec, &file, &why), error);
    assert_non_null(strstr(why, spec->path));
    assert_non_null(strstr(why, matter));
    g_free(why);
}

static void make_file(size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static void test_create(void **state)
{
    (void)state;
    AioFileSpec spec = {.path = path, .create = true, .size = 1 << 20};
    struct stat st;

    AioFile *file = open_ok(&spec);
    assert_int_equal(aio_file_size(file), 1 << 20);
    aio_file_close(file);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    spec.size = 4 << 20; /* never changes an existing one */
    file = open_ok(&spec);
    assert_int_equal(aio_file_size(file), 1 << 20);
    aio_file_close(file);
}

static void test_refusals(void **state)
{
    (void)state;
    open_fails(&(AioFileSpec){.path = path}, -ENOENT, "no such file");
    open_fails(&(AioFileSpec){.path = path, .create = true}, -EINVAL, "size");
    open_fails(&(AioFileSpec){.path = path, .create = true, .read_only = true, .size = 4096},
               -ENOENT, "no such file");
    open_fails(&(AioFileSpec){.path = folder}, -EISDIR, "directory");
    open_fails(&(AioFileSpec){.path = "/dev/null"}, -EINVAL, "neither");
    open_fails(&(AioFileSpec){.path = "/dev/null/x", .create = true, .size = 1}, -ENOTDIR, "/x");
    assert_int_equal(mkfifo(path, 0600), 0);
    open_fails(&(AioFileSpec){.path = path}, -EINVAL, "neither");
}

static void test_no_direct_io(void **state)
{
    (void)state;
    /* sysfs files are regular, and never take O_DIRECT */
    AioFileSpec spec = {.path = "/sys/kernel/mm/transparent_hugepage/enabled",
                        .read_only = true,
                        .mode = AIO_DIRECT};
    if (access(spec.path, R_OK) != 0)
        unit_skip("no %s", spec.path);
    open_fails(&spec, -EINVAL, "direct");
}

static void test_lock_in_one_process(void **state)
{
    (void)state;
    AioFileSpec writer = {.path = path}, reader = {.path = path, .read_only = true};

    make_file(4096);
    AioFile *file = open_ok(&writer);
    open_fails(&writer, -EBUSY, "in use");
    open_fails(&reader, -EBUSY, "in use");
    aio_file_close(file);
    file = open_ok(&reader);
    AioFile *second = open_ok(&reader);
    open_fails(&writer, -EBUSY, "in use");
    aio_file_close(file);
    open_fails(&writer, -EBUSY, "in use");
    aio_file_close(second);
    aio_file_close(open_ok(&writer));
}

/* Whether another process gets the file: its errno, 0 for success. */
static int other_process_opens(const AioFileSpec *spec)
{
    pid_t child = fork();
    if (child == 0) {
        AioFile *file;
        char *why;
        _exit(-aio_file_open(spec, &file, &why));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static void test_lock_between_processes(void **state)
{
    (void)state;
    AioFileSpec spec = {.path = path};

    make_file(4096);
    AioFile *file = open_ok(&spec);
    assert_int_equal(other_process_opens(&spec), EBUSY);
    aio_file_close(file);
    assert_int_equal(other_process_opens(&spec), 0);
}

/* The lock is there while both are open, and stays with either of them. */
static void test_reopen_keeps_the_lock(void **state)
{
    (void)state;
    AioFileSpec spec = {.path = path};
    AioFile *other = NULL;
    char *why;

    make_file(1 << 20);
    for (unsigned keep_old = 0; keep_old < 2; keep_old++) {
        AioFile *file = open_ok(&spec);
        assert_int_equal(aio_file_reopen(file, AIO_BUFFERED, &other, &why), 0);
        assert_int_equal(other_process_opens(&spec), EBUSY);
        aio_file_close(keep_old ? other : file);
        assert_int_equal(other_process_opens(&spec), EBUSY);
        assert_int_equal(aio_file_size(keep_old ? file : other), 1 << 20);
        aio_file_close(keep_old ? file : other);
        assert_int_equal(other_process_opens(&spec), 0);
    }
}

static void test_reopen_is_the_same_file(void **state)
{
    (void)state;
    AioFileSpec spec = {.path = path};
    AioFile *other = NULL;
    char *why;

    make_file(1 << 20);
    AioFile *file = open_ok(&spec);
    unlink(path);
    make_file(4096); /* another one by the same name */
    assert_int_equal(aio_file_reopen(file, AIO_DIRECT, &other, &why), 0);
    assert_int_equal(aio_file_refresh_size(other), 0);
    assert_int_equal(aio_file_size(other), 1 << 20);
    assert_int_equal(aio_file_mode(other), AIO_DIRECT);
    assert_true(aio_file_offset_align(other) >= 512);
    assert_int_equal(aio_file_offset_align(file), 1);
    aio_file_close(file);
    aio_file_close(other);
}

static void test_resize_is_seen(void **state)
{
    (void)state;
    make_file(4096);
    AioFile *file = open_ok(&(AioFileSpec){.path = path});
    assert_int_equal(truncate(path, 8192), 0);
    assert_int_equal(aio_file_size(file), 4096);
    assert_int_equal(aio_file_refresh_size(file), 0);
    assert_int_equal(aio_file_size(file), 8192);
    aio_file_close(file);
}

static void test_null_store(void **state)
{
    (void)state;
    AioFile *file = open_ok(&(AioFileSpec){.size = 12345});
    assert_true(aio_file_is_null(file));
    assert_int_equal(aio_file_size(file), 12345);
    assert_int_equal(aio_file_refresh_size(file), 0);
    assert_int_equal(aio_file_sync(file), 0);
    aio_file_close(file);
    aio_file_close(NULL);
}

static void test_block_device(void **state)
{
    (void)state;
    const char *why = NULL, *device = place_make(PLACE_LOOP, &why);
    if (!device)
        unit_skip("%s", why);
    AioFileSpec spec = {.path = device, .mode = AIO_DIRECT};
    AioFile *file = open_ok(&spec), *other = NULL;
    char *text;
    assert_true(aio_file_is_block_device(file));
    assert_int_equal(aio_file_size(file), FILE_SIZE);
    assert_true(aio_file_offset_align(file) >= 512);
    assert_true(aio_file_can_discard(file));
    assert_false(aio_file_discard_zeroes(file));
    open_fails(&spec, -EBUSY, "in use");
    assert_int_equal(aio_file_reopen(file, AIO_BUFFERED, &other, &text), 0);
    aio_file_close(file);
    assert_int_equal(other_process_opens(&spec), EBUSY);
    aio_file_close(other);
    aio_file_close(open_ok(&spec));
}

static void test_what_a_file_can_do(void **state)
{
    (void)state;
    make_file(4096);
    AioFile *file = open_ok(&(AioFileSpec){.path = path});
    /* every file system Linux has been given in earnest for this can punch holes */
    assert_int_equal(aio_file_can_discard(file), aio_file_discard_granularity(file) > 0);
    assert_int_equal(aio_file_can_discard(file), aio_file_discard_zeroes(file));
    assert_int_equal(aio_file_refresh_size(file), 0);
    assert_int_equal(aio_file_size(file), 4096);
    aio_file_close(file);
    file = open_ok(&(AioFileSpec){.path = path, .read_only = true});
    assert_false(aio_file_can_discard(file));
    assert_int_equal(aio_file_discard_granularity(file), 0);
    aio_file_close(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(create),
        TEST(refusals),
        TEST(no_direct_io),
        TEST(lock_in_one_process),
        TEST(lock_between_processes),
        TEST(reopen_keeps_the_lock),
        TEST(reopen_is_the_same_file),
        TEST(resize_is_seen),
        TEST(null_store),
        TEST(block_device),
        TEST(what_a_file_can_do),
    };
    return unit_run(tests);
}
