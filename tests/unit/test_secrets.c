/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file of secrets: what is read, what is refused, and that errors tell no secret. */
#include "tests/unit/unit.h"

#include "core/base/secrets.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Secrets *parse(const char *text, GError **error)
{
    g_autofree char *copy = g_strdup(text);
    return secrets_parse("f", copy, strlen(text), error);
}

static void expect_error(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    assert_null(parse(text, &error));
    assert_string_equal(error->message, message);
}

static void entries_are_found_by_role_and_name(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Secrets) secrets = parse("# comment\n\n"
                                       "[initiator iqn.a:b c]\n secret = twelve = bytes \n"
                                       "[target iqn.a:b c]\r\nsecret-hex=00FFaa112233445566778899",
                                       &error);
    assert_null(error);
    const Secret *secret = secrets_find(secrets, SECRET_OF_INITIATOR, "iqn.a:b c");
    assert_int_equal(secret->len, 14);
    assert_memory_equal(secret->bytes, "twelve = bytes", 14);
    secret = secrets_find(secrets, SECRET_OF_TARGET, "iqn.a:b c");
    assert_int_equal(secret->len, 12);
    assert_memory_equal(secret->bytes, "\0\xff\xaa\x11\x22\x33\x44\x55\x66\x77\x88\x99", 12);
    assert_null(secrets_find(secrets, SECRET_OF_TARGET, "iqn.a"));
    assert_null(secrets_find(NULL, SECRET_OF_TARGET, "iqn.a"));
    Secret *copy = secret_copy(secret);
    assert_memory_equal(copy->bytes, secret->bytes, 12);
    assert_ptr_not_equal(copy->bytes, secret->bytes);
    secret_free(copy);
    secret_free(secret_copy(NULL));
}

static void the_text_is_wiped(void **state)
{
    (void)state;
    char text[] = "[initiator a]\nsecret=verysecretthing\n";
    static const char zeros[sizeof text - 1];
    g_autoptr(Secrets) secrets = secrets_parse("f", text, sizeof text - 1, NULL);
    assert_non_null(secrets);
    assert_memory_equal(text, zeros, sizeof zeros);
}

static void bad_text_is_refused(void **state)
{
    (void)state;
    static const char group[] = "f:1: a group is written [initiator NAME] or [target NAME]";
    expect_error("[initiator a", group);
    expect_error("[user a]", group);
    expect_error("[initiator]", group);
    expect_error("[initiator  ]", "f:1: the name has 1 to 255 bytes of UTF-8");
    expect_error("secret=123456789012", "f:1: the key stands before the first group");
    expect_error("[target a]\n[target b]\n", "f:1: the group has no secret= or secret-hex=");
    expect_error("\n[target a]\n", "f:2: the group has no secret= or secret-hex=");
    expect_error("[target a]\nsecret=123456789012\n[target a]\n", "f:3: the group is there twice");
    expect_error("[target a]\nsecret=123456789012\nsecret=123456789013\n",
                 "f:3: the group has a secret already");
    expect_error("[target a]\nsecret=12345678901\n", "f:2: a secret has 12 to 255 bytes");
    g_autofree char *filler = g_strnfill(256, 'x');
    g_autofree char *text = g_strdup_printf("[target a]\nsecret=%s\n", filler);
    expect_error(text, "f:2: a secret has 12 to 255 bytes");
    static const char hex[] = "f:2: secret-hex= is an even number of hexadecimal digits";
    expect_error("[target a]\nsecret-hex=0123456789012345678901234\n", hex);
    expect_error("[target a]\nsecret-hex=01234567890123456789012x\n", hex);
    expect_error("[target a]\nmy-very-own-secret\n",
                 "f:2: a line is [GROUP], key=value, or begins with #");
    expect_error("[target a]\nmy-very-own=secret\n",
                 "f:2: no such key here; there are secret and secret-hex");
    char with_nul[] = "[target a]\nsec\0ret";
    assert_null(secrets_parse("f", with_nul, sizeof with_nul - 1, NULL));
}

static void no_secret_is_there_twice(void **state)
{
    (void)state;
    expect_error("[initiator a]\nsecret=123456789012\n[target b]\n"
                 "secret-hex=313233343536373839303132\n",
                 "f:4: another group has the same secret; each needs its own, or one could pose as "
                 "the other");
}

static void only_a_closed_file_is_read(void **state)
{
    (void)state;
    static const char text[] = "[target a]\nsecret=123456789012\n";
    g_autofree char *dir = g_dir_make_tmp("rtgt-secrets-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "secrets", NULL);
    assert_true(g_file_set_contents(path, text, -1, NULL));
    static const mode_t open_modes[] = {0644, 0640, 0604, 0620, 0602, 0611};
    for (unsigned i = 0; i < G_N_ELEMENTS(open_modes); i++) {
        g_autoptr(GError) error = NULL;
        assert_int_equal(chmod(path, open_modes[i]), 0);
        assert_null(secrets_load(path, &error));
        g_autofree char *mode = g_strdup_printf("%s: has mode %04o", path, open_modes[i]);
        assert_true(g_str_has_prefix(error->message, mode));
    }
    assert_int_equal(chmod(path, 0600), 0);
    g_autoptr(Secrets) secrets = secrets_load(path, NULL);
    assert_non_null(secrets_find(secrets, SECRET_OF_TARGET, "a"));

    g_autoptr(GError) folder = NULL, missing = NULL;
    assert_null(secrets_load(dir, &folder));
    assert_non_null(strstr(folder->message, "no regular file"));
    assert_int_equal(g_unlink(path), 0);
    assert_null(secrets_load(path, &missing));
    assert_true(g_str_has_prefix(missing->message, path));
    assert_int_equal(g_rmdir(dir), 0);
}

static void strangers_files_are_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        unit_skip("only root can give files away");
    g_autofree char *dir = g_dir_make_tmp("rtgt-secrets-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "secrets", NULL);
    assert_true(g_file_set_contents(path, "", 0, NULL));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chown(path, 12345, 0), 0);
    g_autoptr(GError) error = NULL;
    assert_null(secrets_load(path, &error));
    assert_non_null(strstr(error->message, "belongs to another user"));
    g_unlink(path);
    g_rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_by_role_and_name),
        cmocka_unit_test(the_text_is_wiped),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(no_secret_is_there_twice),
        cmocka_unit_test(only_a_closed_file_is_read),
        cmocka_unit_test(strangers_files_are_refused),
    };
    return unit_run(tests);
}
