/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SRP target port on the software device, with a real target behind it, against an initiator in
 * a process of its own: every form of data, credits, task management, logouts, rejects, hostile
 * IUs. */
#include "core/base/bytes.h"
#include "srp/transport.h"
#include "tests/unit/softverbs.h"
#include "tests/unit/srp_peer.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>

#define NAME   "iqn.2026-01.org.rtgt:srp"
#define WAIT_S 30

extern char **environ;

/* --- the target's side ---------------------------------------------------------------------------
 */

static struct {
    Loop *main, *io[2];
    Arena *arena;
    Memory *memory;
    ReceiveBudget *budget;
    ScsiTarget *scsi;
    Lun *luns[2];
    char *dir, *path[2];
    TransportHost host;
    TransportListener *listener;
    TransportTarget *target;
    GPtrArray *records;
    atomic_uint added, removed, changed, done;
} rig;

static gboolean wake(gpointer arg)
{
    (void)arg;
    return G_SOURCE_CONTINUE; /* only makes the iteration return */
}

static bool wait_for(const atomic_uint *value, unsigned least)
{
    int64_t end = g_get_monotonic_time() + WAIT_S * G_TIME_SPAN_SECOND;
    guint timer = g_timeout_add(2, wake, NULL);
    while (*value < least && g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    return *value >= least;
}

static int peer_status(pid_t pid)
{
    int status = 0;
    int64_t end = g_get_monotonic_time() + WAIT_S * G_TIME_SPAN_SECOND;
    guint timer = g_timeout_add(2, wake, NULL);
    pid_t got;
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 && g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    return got == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static pid_t spawn_peer(const char *mode)
{
    char *argv[] = {(char *)"test_srp_channel", (char *)"peer", (char *)mode, NULL};
    pid_t pid = -1;
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    return pid;
}

static void session_added(void *arg, SessionRecord *record)
{
    (void)arg;
    record->id = ++rig.added;
    g_ptr_array_add(rig.records, record);
}

static void session_changed(void *arg, SessionRecord *record)
{
    (void)arg, (void)record;
    rig.changed++;
}

static void session_removed(void *arg, SessionRecord *record)
{
    (void)arg;
    g_ptr_array_remove(rig.records, record);
    rig.removed++;
}

static int setup(void **state)
{
    (void)state;
    rig.added = rig.removed = rig.changed = rig.done = 0;
    return 0;
}

static bool receives_are_back(void)
{
    ReceiveStats stats;
    receive_budget_get_stats(rig.budget, &stats);
    return stats.left == stats.limit && stats.sessions == 0;
}

/* Everything is back: sessions, then their channels with what they held. */
static void check_ended(void)
{
    int64_t end = g_get_monotonic_time() + WAIT_S * G_TIME_SPAN_SECOND;
    MemoryStats memory;
    assert_true(wait_for(&rig.removed, rig.added));
    assert_int_equal(rig.records->len, 0);
    while (!receives_are_back() && g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, FALSE);
    assert_true(receives_are_back());
    memory_get_stats(rig.memory, &memory);
    assert_int_equal(memory.admitted, 0);
}

static void run(const char *mode, unsigned sessions)
{
    assert_int_equal(peer_status(spawn_peer(mode)), 0);
    assert_int_equal(rig.added, sessions);
    check_ended();
}

static void test_forms_of_descriptors(void **state)
{
    (void)state;
    run("forms", 1);
}

static void test_immediate_data(void **state)
{
    (void)state;
    run("immediate", 1);
}

static void test_residuals(void **state)
{
    (void)state;
    run("residuals", 1);
}

static void test_rejects(void **state)
{
    (void)state;
    run("rejects", 0);
}

static void test_channels(void **state)
{
    (void)state;
    run("channels", 2);
    assert_true(rig.changed >= 3);
}

static void test_management(void **state)
{
    (void)state;
    run("management", 1);
}

static void test_aborts_across_channels(void **state)
{
    (void)state;
    run("aborts", 1);
}

static void test_hostile_ius(void **state)
{
    (void)state;
    run("hostile", 1);
}

static void test_senseless_descriptors(void **state)
{
    (void)state;
    run("senseless", 1);
}

static void test_greedy_initiator(void **state)
{
    (void)state;
    run("greedy", 1);
}

static void test_logout_by_initiator(void **state)
{
    (void)state;
    run("logout", 1);
}

static void test_logout_by_administrator(void **state)
{
    (void)state;
    pid_t peer = spawn_peer("stay");
    assert_true(wait_for(&rig.changed, 1));
    SessionRecord *record = rig.records->pdata[0];
    assert_string_equal(record->initiator, "0x00000000000000000000000000000001");
    guint32 channels = 0;
    assert_true(g_variant_lookup(record->negotiated, "Channels", "u", &channels));
    assert_int_equal(channels, 2);
    record->drop(record);
    assert_int_equal(peer_status(peer), 0);
    check_ended();
}

static void withdrawn(void *arg)
{
    (void)arg;
    rig.done++;
}

static void test_events(void **state)
{
    (void)state;
    pid_t peer = spawn_peer("events");
    assert_true(wait_for(&rig.added, 1));
    scsi_target_remove_lun(rig.scsi, rig.luns[1], withdrawn, NULL);
    assert_true(wait_for(&rig.done, 1));
    scsi_target_add_lun(rig.scsi, rig.luns[1]);
    SessionRecord *record = rig.records->pdata[0];
    record->drop(record);
    assert_int_equal(peer_status(peer), 0);
    check_ended();
}

static void test_killed_initiator(void **state)
{
    for (unsigned i = 0; i < 10; i++) {
        setup(state);
        pid_t peer = spawn_peer("hang");
        assert_true(wait_for(&rig.added, 1));
        const SessionRecord *record = rig.records->pdata[0];
        int64_t end = g_get_monotonic_time() + WAIT_S * G_TIME_SPAN_SECOND;
        while (__atomic_load_n(&record->commands, __ATOMIC_RELAXED) < 3 * i &&
               g_get_monotonic_time() < end)
            g_main_context_iteration(NULL, FALSE);
        kill(peer, SIGKILL);
        peer_status(peer);
        check_ended();
    }
}

/* --- the rig -------------------------------------------------------------------------------------
 */

static void no_growth(void *arg)
{
    (void)arg;
}

static void make_lun(unsigned number)
{
    g_autofree char *name = g_strdup_printf("lun%u", number);
    rig.path[number] = g_build_filename(rig.dir, name, NULL);
    LunSpec spec = {.target_name = NAME,
                    .number = number,
                    .path = rig.path[number],
                    .size = 16 << 20,
                    .create = true,
                    .write_cache = true,
                    .block_size = BLOCK,
                    .engine = aio_engine_find("syslet"),
                    .mode = AIO_BUFFERED};
    aio_params_init(&spec.params);
    rig.luns[number] = lun_new(&spec, rig.memory, rig.io, 2, NULL);
    scsi_target_add_lun(rig.scsi, rig.luns[number]);
}

static void make_host(void)
{
    static const char *const keys[] = {"ioc-guid", "max-channels", NULL};
    static const char *const values[] = {"8877665544332211", "3", NULL};
    rig.records = g_ptr_array_new();
    rig.host = (TransportHost){.main = rig.main,
                               .io_loops = rig.io,
                               .n_io_loops = 2,
                               .memory = rig.memory,
                               .receive = rig.budget,
                               .session_added = session_added,
                               .session_changed = session_changed,
                               .session_removed = session_removed,
                               .keys = keys,
                               .values = values,
                               .n_keys = 2};
}

static bool make_target(GError **error)
{
    static const char *const keys[] = {"srp-id-ext", "queue-depth"};
    static const char *const values[] = {"0011223344556677", "16"};
    static const TransportAllow allow = {.initiator_glob = "000000000000000?"};
    const TransportTargetSpec spec = {.name = NAME,
                                      .scsi = rig.scsi,
                                      .allow = &allow,
                                      .n_allow = 1,
                                      .keys = keys,
                                      .values = values,
                                      .n_keys = 2};
    rig.target = srp_transport.add_target(&spec, error);
    return rig.target != NULL;
}

static int begin(void **state)
{
    static const LoopConfig config = {.poll_us = 0};
    static const ArenaConfig arena = {.limit = 64 << 20, .initial = 64 << 20};
    g_autoptr(GError) error = NULL;
    (void)state;
    rig.arena = arena_new(&arena, no_growth, NULL, NULL);
    rig.main = loop_new_main(&config);
    rig.io[0] = loop_new(1, &config);
    rig.io[1] = loop_new(2, &config);
    rig.memory = memory_new(rig.arena, 48 << 20, rig.io, 2);
    rig.budget = receive_budget_new(rig.arena, 8 << 20);
    rig.scsi = scsi_target_new(NAME, rig.io, 2);
    rig.dir = g_dir_make_tmp("rtgt-srp-XXXXXX", NULL);
    make_lun(0);
    make_lun(1);
    make_host();
    if (srp_transport.start(&rig.host, &error) && make_target(&error))
        rig.listener = srp_transport.listen("127.0.0.1:" PORT, &error);
    if (error)
        print_message("%s\n", error->message);
    return rig.listener ? 0 : -1;
}

static void close_luns(void)
{
    setup(NULL);
    for (unsigned i = 0; i < 2; i++) {
        scsi_target_remove_lun(rig.scsi, rig.luns[i], withdrawn, NULL);
        assert_true(wait_for(&rig.done, 2 * i + 1));
        lun_close(rig.luns[i], withdrawn, NULL);
        assert_true(wait_for(&rig.done, 2 * i + 2));
        g_unlink(rig.path[i]);
        g_free(rig.path[i]);
    }
    g_rmdir(rig.dir);
    g_free(rig.dir);
}

/* The target goes while an initiator is logged in. */
static int end(void **state)
{
    setup(state);
    pid_t peer = spawn_peer("stay");
    bool there = wait_for(&rig.changed, 1);
    srp_transport.remove_target(rig.target, withdrawn, NULL);
    bool left = wait_for(&rig.done, 1) && peer_status(peer) == 0;
    srp_transport.unlisten(rig.listener);
    srp_transport.stop();
    close_luns();
    scsi_target_free(rig.scsi);
    receive_budget_free(rig.budget);
    memory_free(rig.memory);
    loop_free(rig.io[0]);
    loop_free(rig.io[1]);
    loop_free(rig.main);
    arena_free(rig.arena);
    g_ptr_array_unref(rig.records);
    return there && left && unit_skipped == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const char *const provoked[] = {" fails: ", NULL};
    int status;
    if (argc == 3 && !strcmp(argv[1], "peer"))
        _exit(srp_peer_main(argv[2])); /* its objects end with it */
    if (!softverbs_begin(argv, provoked, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_forms_of_descriptors, setup),
        cmocka_unit_test_setup(test_immediate_data, setup),
        cmocka_unit_test_setup(test_residuals, setup),
        cmocka_unit_test_setup(test_rejects, setup),
        cmocka_unit_test_setup(test_channels, setup),
        cmocka_unit_test_setup(test_management, setup),
        cmocka_unit_test_setup(test_aborts_across_channels, setup),
        cmocka_unit_test_setup(test_hostile_ius, setup),
        cmocka_unit_test_setup(test_senseless_descriptors, setup),
        cmocka_unit_test_setup(test_greedy_initiator, setup),
        cmocka_unit_test_setup(test_logout_by_initiator, setup),
        cmocka_unit_test_setup(test_logout_by_administrator, setup),
        cmocka_unit_test_setup(test_events, setup),
        cmocka_unit_test_setup(test_killed_initiator, setup),
    };
    return cmocka_run_group_tests(tests, begin, end) != 0;
}
