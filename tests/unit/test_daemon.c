/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program rtgtd itself: its command line, its exit status, what it tells the service manager,
 * and two of it in each other's way. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEADLINE_MS 30000

typedef struct {
    char *dir, *notify_path;
    int notify_fd; /* where the daemon reports READY=1 */
} Fixture;

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    *state = f;
    f->dir = g_dir_make_tmp("rtgt-daemon-XXXXXX", NULL);
    f->notify_path = g_build_filename(f->dir, "notify", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, f->notify_path, sizeof address.sun_path);
    f->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return bind(f->notify_fd, (struct sockaddr *)&address, sizeof address);
}

static int teardown(void **state)
{
    Fixture *f = *state;
    static const char *const files[] = {"notify", "conf", "conf2", "disk", "disk2", "secrets"};
    close(f->notify_fd);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(f->dir, files[i], NULL);
        g_unlink(path);
    }
    assert_int_equal(g_rmdir(f->dir), 0);
    g_free(f->dir);
    g_free(f->notify_path);
    g_free(f);
    return 0;
}

/* --- running it --------------------------------------------------------------------------------*/

/* No daemon outlives a test program that dies. */
static void die_with_parent(void *arg)
{
    (void)arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static GSubprocess *start(Fixture *f, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = g_strdup_printf("tools/rtgtd %s", words);
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    g_subprocess_launcher_setenv(launcher, "NOTIFY_SOCKET", f->notify_path, TRUE);
    g_subprocess_launcher_setenv(launcher, "DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus",
                                 TRUE);
    g_subprocess_launcher_unsetenv(launcher, "JOURNAL_STREAM");
    g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
    GSubprocess *process =
        g_subprocess_launcher_spawnv(launcher, (const char *const *)argv, &error);
    if (!process)
        fail_msg("%s", error->message);
    return process;
}

/* Waits for the end; what it printed. */
static char *finish(GSubprocess *process, int status)
{
    char *text = NULL;
    assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &text, NULL, NULL));
    if (!g_subprocess_get_if_exited(process) || g_subprocess_get_exit_status(process) != status)
        fail_msg("not status %d:\n%s", status, text);
    g_object_unref(process);
    return text;
}

static void expect(Fixture *f, const char *words, int status, const char *part)
{
    g_autofree char *text = finish(start(f, words), status);
    if (!strstr(text, part))
        fail_msg("rtgtd %s printed\n%swithout\n%s", words, text, part);
}

/* The next state that a daemon reports. */
static char *next_state(Fixture *f)
{
    char state[256];
    struct pollfd pfd = {.fd = f->notify_fd, .events = POLLIN};
    if (poll(&pfd, 1, DEADLINE_MS) != 1)
        return g_strdup("nothing");
    ssize_t len = recv(f->notify_fd, state, sizeof state - 1, 0);
    return g_strndup(state, (gsize)MAX(len, 0));
}

static GSubprocess *start_ready(Fixture *f, const char *words)
{
    GSubprocess *process = start(f, words);
    g_autofree char *state = next_state(f);
    if (strcmp(state, "READY=1") != 0) {
        g_subprocess_force_exit(process);
        g_autofree char *text = NULL;
        g_subprocess_communicate_utf8(process, NULL, NULL, &text, NULL, NULL);
        fail_msg("%s instead of READY=1:\n%s", state, text);
    }
    return process;
}

static char *stop(GSubprocess *process)
{
    g_subprocess_send_signal(process, SIGTERM);
    return finish(process, 0);
}

/* --- configurations ----------------------------------------------------------------------------*/

/* A port that nobody has at the moment. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static char *write_file(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    assert_true(g_file_set_contents(path, text, -1, NULL));
    return g_strdup_printf("-c %s", path);
}

static char *write_config(Fixture *f, const char *name, unsigned port, const char *disk)
{
    g_autofree char *text =
        g_strdup_printf("[memory]\narena=16M\nhugepages=off\n[iscsi]\nlisten=127.0.0.1:%u\n"
                        "[target iqn.2026-01.org.example:a]\ntransports=iscsi\nallow=all\n"
                        "[lun iqn.2026-01.org.example:a/0]\npath=%s/%s\nsize=1M\ncreate=true\n",
                        port, f->dir, disk);
    return write_file(f, name, text);
}

/* --- the tests ---------------------------------------------------------------------------------*/

static void test_command_line(void **state)
{
    Fixture *f = *state;
    expect(f, "--version", 0, "rtgtd ");
    expect(f, "--help", 0, "--check-config");
    expect(f, "--nonsense", 2, "--nonsense");
    expect(f, "something", 2, "something: no arguments are taken");
    expect(f, "-c /nowhere/rtgt.conf", 2, "/nowhere/rtgt.conf");
}

static void test_wrong_configuration(void **state)
{
    Fixture *f = *state;
    g_autofree char *words = write_file(f, "conf", "[daemon]\nio-loops=x\npoll-us=y\n");
    g_autofree char *check = g_strconcat(words, " --check-config", NULL);
    expect(f, words, 2, "conf:2: [daemon] io-loops=x: must be auto or a number from 1 to 64\n");
    expect(f, check, 2, "conf:3: [daemon] poll-us=y: must be auto or a number from 0 to 10000\n");
}

static char *sample(void)
{
    const char *srcdir = g_getenv("srcdir");
    return g_build_filename(srcdir ? srcdir : ".", "data/rtgt.conf", NULL);
}

static void test_sample(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = sample();
    g_autofree char *words = g_strdup_printf("--check-config -c %s", path);
    expect(f, words, 0, "/data/rtgt.conf: good\n");
}

/* Those whose names the sample shows; the path of their file. */
static char *write_secrets(Fixture *f)
{
    g_free(write_file(f, "secrets",
                      "[initiator host1]\nsecret=secret of host1\n"
                      "[initiator host2]\nsecret=secret of host2\n"
                      "[target disk1]\nsecret=secret of disk1\n"
                      "[target disks]\nsecret=secret of all disks\n"));
    char *path = g_build_filename(f->dir, "secrets", NULL);
    assert_int_equal(g_chmod(path, 0600), 0);
    return path;
}

/* Every key that the sample shows behind a '#' is one, and the value it shows is right. */
static void test_sample_without_comment_signs(void **state)
{
    Fixture *f = *state;
    g_autofree char *path = sample();
    g_autofree char *text = NULL;
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_autoptr(GRegex) sign = g_regex_new("^#(?=[A-Za-z\\[])", G_REGEX_MULTILINE, 0, NULL);
    g_autofree char *all = g_regex_replace_literal(sign, text, -1, 0, "", 0, NULL);
    g_autofree char *secrets = write_secrets(f);
    g_auto(GStrv) parts = g_strsplit(all, "/etc/rtgt/secrets.conf", -1);
    g_autofree char *mine = g_strjoinv(secrets, parts);
    g_autofree char *words = write_file(f, "conf", mine);
    g_autofree char *check = g_strconcat(words, " --check-config", NULL);
    expect(f, check, 0, "conf: good\n");
}

static void test_life(void **state)
{
    Fixture *f = *state;
    unsigned port = free_port();
    g_autofree char *words = write_config(f, "conf", port, "disk");
    GSubprocess *process = start_ready(f, words);

    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    g_subprocess_send_signal(process, SIGHUP);
    g_autofree char *text = stop(process);
    g_autofree char *stopping = next_state(f);
    assert_string_equal(stopping, "STOPPING=1");
    close(fd);

    assert_non_null(strstr(text, "target iqn.2026-01.org.example:a, open to every initiator\n"));
    assert_non_null(strstr(text, "LUN iqn.2026-01.org.example:a/0: "));
    assert_non_null(strstr(text, "listening on 127.0.0.1:"));
    assert_non_null(strstr(text, "warning: D-Bus (system): "));
    assert_non_null(strstr(text, "ready\n"));
    assert_non_null(strstr(text, "stopped\n"));
}

static void test_two_daemons(void **state)
{
    Fixture *f = *state;
    unsigned port = free_port();
    g_autofree char *words = write_config(f, "conf", port, "disk");
    GSubprocess *first = start_ready(f, words);
    g_autofree char *same_file = write_config(f, "conf2", free_port(), "disk");
    expect(f, same_file, 1, "/disk");
    g_autofree char *same_port = write_config(f, "conf2", port, "disk2");
    expect(f, same_port, 1, "[iscsi] listen: ");
    g_autofree char *text = stop(first);
    assert_non_null(strstr(text, "stopped\n"));
}

static void test_bus_that_was_asked_for(void **state)
{
    Fixture *f = *state;
    g_autofree char *config = write_config(f, "conf", free_port(), "disk");
    g_autofree char *words = g_strconcat(config, " --bus unix:path=/nowhere/bus", NULL);
    expect(f, words, 1, "D-Bus (unix:path=/nowhere/bus): ");
    g_autofree char *without = g_strconcat(config, " --bus none", NULL);
    g_autofree char *text = stop(start_ready(f, without));
    assert_null(strstr(text, "D-Bus"));
}

/* Standard error is a file here, which the daemon is told is the journal's. */
static void test_journal(void **state)
{
    Fixture *f = *state;
    g_autofree char *log = g_build_filename(f->dir, "conf2", NULL);
    g_autofree char *words = write_file(f, "conf", "[daemon]\nbus=bad\n");
    int fd = g_open(log, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    g_autofree char *stream =
        g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_subprocess_launcher_setenv(launcher, "JOURNAL_STREAM", stream, TRUE);
    g_subprocess_launcher_take_stderr_fd(launcher, fd);
    g_autoptr(GSubprocess) process = g_subprocess_launcher_spawn(launcher, NULL, "tools/rtgtd",
                                                                 "-c", words + strlen("-c "), NULL);
    assert_true(g_subprocess_wait(process, NULL, NULL));
    g_autofree char *text = NULL;
    assert_true(g_file_get_contents(log, &text, NULL, NULL));
    assert_true(g_str_has_prefix(text, "<3>"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_command_line),
        TEST(test_wrong_configuration),
        TEST(test_sample),
        TEST(test_sample_without_comment_signs),
        TEST(test_life),
        TEST(test_two_daemons),
        TEST(test_bus_that_was_asked_for),
        TEST(test_journal),
    };
    return unit_run(tests);
}
