/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration: what a good file gives, and the whole message for every way to get it wrong.
 */
#include "core/daemon/config.h"
#include "core/daemon/config_text.h"
#include "tests/unit/unit.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* --- two transports that only know their keys --- */

static bool check_key(const char *key, const char *value, bool in_target, GError **error)
{
    (void)in_target;
    if (strcmp(value, "bad") != 0)
        return true;
    g_set_error(error, CONFIG_ERROR, 0, "%s=%s: must not be bad", key, value);
    return false;
}

/* "with-secret" wants an entry of the file of secrets, as a transport with passwords does. */
static bool check_keys(const char *const *keys, const char *const *values, bool in_target,
                       const Secrets *secrets, const char **culprit, GError **error)
{
    for (; *keys; keys++, values++) {
        if (strcmp(*keys, "with-secret") != 0 ||
            secrets_find(secrets, SECRET_OF_INITIATOR, *values))
            continue;
        *culprit = *keys;
        g_set_error(error, CONFIG_ERROR, 0, "there is no secret%s", in_target ? "" : " here");
        return false;
    }
    return true;
}

static const char *const alpha_keys[] = {"login-timeout", "with-secret", NULL};
static const char *const target_keys[] = {"max-burst-length", "queue-depth", "with-secret", NULL};
static const char *const no_keys[] = {NULL};
static const Transport alpha = {.name = "alpha",
                                .keys = alpha_keys,
                                .target_keys = target_keys,
                                .default_listen = "0.0.0.0:3260;[::]:3260",
                                .check_key = check_key,
                                .check_keys = check_keys};
static const Transport beta = {.name = "beta",
                               .keys = no_keys,
                               .target_keys = no_keys,
                               .default_listen = "0.0.0.0:3261",
                               .check_key = check_key,
                               .check_keys = check_keys};
static const Transport *const transports[] = {&alpha, &beta, NULL};

#define TARGET "[target iqn.2026-01.org.example:a]\nallow=all\n"
#define LUN    "[lun iqn.2026-01.org.example:a/0]\n"

static Config *parse(const char *text, GError **error)
{
    return config_parse("f", text, strlen(text), transports, error);
}

static void expect_error(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(text, &error);
    assert_null(config);
    assert_string_equal(error->message, message);
}

static void expect_warning(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(text, &error);
    assert_null(error);
    assert_non_null(config->warnings[0]);
    assert_string_equal(config->warnings[0], message);
    assert_null(config->warnings[1]);
}

static void test_defaults(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse("", &error);
    assert_null(error);
    assert_int_equal(config->io_loops, 0);
    assert_true(config->poll_auto);
    assert_string_equal(config->bus, "system");
    assert_false(config->bus_chosen);
    assert_string_equal(config->state_dir, "/var/lib/rtgt");
    assert_int_equal(config->arena.limit, 64 << 20);
    assert_int_equal(config->arena.initial, 16 << 20);
    assert_int_equal(config->arena.huge, ARENA_HUGE_AUTO);
    assert_int_equal(config->recv_memory, 16 << 20);
    assert_int_equal(config->targets->len, 0);
    assert_null(config->warnings[0]);
    const ConfigTransport *transport = config_find_transport(config, &alpha);
    assert_string_equal(transport->listen[0], "0.0.0.0:3260");
    assert_string_equal(transport->listen[1], "[::]:3260");
    assert_false(transport->listen_chosen);
}

/* Its length ends the text, no NUL. */
static void test_text_ends_at_its_length(void **state)
{
    (void)state;
    static const char text[] = "[daemon]\nbus=none\n[nonsense]\n";
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config =
        config_parse("f", text, strlen("[daemon]\nbus=none\n"), transports, &error);
    assert_null(error);
    assert_string_equal(config->bus, "none");
}

static void test_fixed_groups(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse("# comment\n\n"
                                     "[daemon]\n io-loops = 3 \npoll-us=0\nbus=none\n"
                                     "state-dir=/s\ntmf-timeout=2\n"
                                     "copy-between-targets=true\n"
                                     "[memory]\narena=256M\narena-initial=32m\nrecv-memory=8M\n"
                                     "hugepages=off\n"
                                     "[alpha]\nlisten=127.0.0.1:1 ; [::1]:65535;\n"
                                     "login-timeout=9\n",
                                     &error);
    assert_null(error);
    assert_int_equal(config->io_loops, 3);
    assert_int_equal(config->tmf_timeout_ms, 2000);
    assert_true(config->copy_between_targets);
    assert_false(config->poll_auto);
    assert_int_equal(config->poll_us, 0);
    assert_string_equal(config->bus, "none");
    assert_true(config->bus_chosen);
    assert_string_equal(config->state_dir, "/s");
    assert_int_equal(config->arena.limit, 256 << 20);
    assert_int_equal(config->arena.initial, 32 << 20);
    assert_int_equal(config->arena.huge, ARENA_HUGE_OFF);
    assert_int_equal(config->recv_memory, 8 << 20);
    const ConfigTransport *transport = config_find_transport(config, &alpha);
    assert_true(transport->listen_chosen);
    assert_string_equal(transport->listen[0], "127.0.0.1:1");
    assert_string_equal(transport->listen[1], "[::1]:65535");
    assert_null(transport->listen[2]);
    assert_string_equal(transport->keys[0], "login-timeout");
    assert_string_equal(transport->values[0], "9");
    assert_null(transport->keys[1]);
}

static void test_target(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse("[target iqn.2026-01.org.example:a]\n"
                                     "transports=beta;alpha\n"
                                     "allow=iqn.2026-01.org.example:h*;10.0.0.0/8;::1\n"
                                     "queue-depth=16\n",
                                     &error);
    assert_null(error);
    const ConfigTarget *target = config->targets->pdata[0];
    assert_string_equal(target->name, "iqn.2026-01.org.example:a");
    assert_int_equal(target->transports->len, 2);
    assert_ptr_equal(target->transports->pdata[0], &beta);
    assert_false(target->allow_all);
    const TransportAllow *allow = (const TransportAllow *)target->allow->data;
    assert_int_equal(target->allow->len, 3);
    assert_string_equal(allow[0].initiator_glob, "iqn.2026-01.org.example:h*");
    assert_null(allow[0].address);
    assert_string_equal(allow[1].address, "10.0.0.0/8");
    assert_null(allow[1].initiator_glob);
    assert_string_equal(allow[2].address, "::1/128");
    assert_string_equal(target->keys[0], "queue-depth");
    assert_string_equal(target->values[0], "16");
}

static void test_lun(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(
        TARGET
        "[lun iqn.2026-01.org.example:a/7]\npath=/nowhere/x\nsize=1G\ncreate=true\n"
        "engine=syslet\nengine-options=inline=off;threads=8\nmode=direct\n"
        "block-size=4096\nphysical-block-size=4096\nwrite-cache=off\nmax-transfer=1M\nserial=S1\n"
        "naa=0x3000000000000001\nthin=on\n" LUN
        "path=/nowhere/y\nread-only=yes\nremovable=yes\nphysical-block-size=512\n",
        &error);
    assert_null(error);
    const ConfigTarget *target = config->targets->pdata[0];
    assert_int_equal(target->luns->len, 2);
    const ConfigLun *lun = target->luns->pdata[1];
    assert_int_equal(lun->spec.number, 7);
    assert_string_equal(lun->spec.target_name, "iqn.2026-01.org.example:a");
    assert_string_equal(lun->spec.path, "/nowhere/x");
    assert_int_equal(lun->spec.size, 1 << 30);
    assert_true(lun->spec.create);
    assert_ptr_equal(lun->spec.engine, aio_engine_find("syslet"));
    assert_false(lun->spec.params.inline_reads);
    assert_int_equal(lun->spec.params.threads, 8);
    assert_string_equal(lun->option_keys[1], "threads");
    assert_string_equal(lun->option_values[1], "8");
    assert_int_equal(lun->spec.mode, AIO_DIRECT);
    assert_int_equal(lun->spec.block_size, 4096);
    assert_int_equal(lun->spec.physical_block_size, 4096);
    assert_false(lun->spec.write_cache);
    assert_int_equal(lun->spec.max_transfer, 1 << 20);
    assert_string_equal(lun->spec.serial, "S1");
    assert_true(lun->spec.naa == 0x3000000000000001);
    assert_int_equal(lun->spec.thin, LUN_THIN_ON);
    assert_false(lun->spec.removable);

    lun = target->luns->pdata[0]; /* sorted by number, defaults */
    assert_int_equal(lun->spec.number, 0);
    assert_true(lun->spec.removable);
    assert_true(lun->spec.read_only && lun->spec.write_cache && !lun->spec.create);
    assert_int_equal(lun->spec.mode, AIO_BUFFERED);
    assert_int_equal(lun->spec.block_size, 512);
    assert_int_equal(lun->spec.physical_block_size, 512);
    assert_int_equal(lun->spec.max_transfer, 0);
    assert_int_equal(lun->spec.thin, LUN_THIN_AUTO);
}

typedef struct {
    const char *text, *message;
} Case;

static void expect_each(const Case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect_error(cases[i].text, cases[i].message);
}

static void test_unsound_lines(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"a=1\n", "f:1: a: stands before the first [group]"},
        {"\n[daemon]\nnonsense\n", "f:3: [daemon]: a line must be [group], key=value, empty, or a "
                                   "comment that starts with #"},
        {"[daemon\n", "f:1: a group header must be one [name] alone on its line"},
        {"[daemon] x\n", "f:1: a group header must be one [name] alone on its line"},
        {"[daemon]\n[memory]\n[daemon]\n",
         "f:3: [daemon]: the group a second time, the first is on line 1"},
        {"[daemon]\nbus=none\n\nbus=none\n",
         "f:4: [daemon] bus: the key a second time, the first is on line 2"},
        {"[daemon]\nbus[de]=none\n",
         "f:2: [daemon] bus[de]: a key is made of letters, digits, '-', '_' and '.'"},
        {"[daemon]\n=x\n", "f:2: [daemon] : a key is made of letters, digits, '-', '_' and '.'"},
        {"[daemon]\nbus=\xff\n", "f:2: [daemon]: the line is not UTF-8 text"},
    };
    expect_each(cases, G_N_ELEMENTS(cases));

    g_autoptr(GError) error = NULL;
    assert_null(config_parse("f", "a\0b", 3, transports, &error));
    assert_string_equal(error->message, "f: contains a NUL byte: this is no text file");
}

#define SIZES  "a number of bytes from "
#define SUFFIX ", with a suffix K, M, G or T or without"

static void test_wrong_fixed_groups(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"[deamon]\n", "f:1: [deamon]: no such group; there are [daemon], [memory], [metrics], "
                       "[alpha], [beta], [target NAME], [port-group NAME/NUMBER] and [lun "
                       "NAME/NUMBER]; is [daemon] meant?"},
        {"[daemon]\nio-loop=1\n", "f:2: [daemon] io-loop=1: no such key here; is io-loops meant?"},
        {"[memory]\nzzzzzzzz=1\n", "f:2: [memory] zzzzzzzz=1: no such key here; there are: arena, "
                                   "arena-initial, recv-memory, hugepages"},
        {"[daemon]\nio-loops=0\n",
         "f:2: [daemon] io-loops=0: must be auto or a number from 1 to 64"},
        {"[daemon]\npoll-us=-1\n",
         "f:2: [daemon] poll-us=-1: must be auto or a number from 0 to 10000"},
        {"[daemon]\nbus=sytem\n", "f:2: [daemon] bus=sytem: must be system, session, none or a "
                                  "D-Bus address, as in unix:path=/run/bus"},
        {"[daemon]\nbus=\n",
         "f:2: [daemon] bus=: the value is empty; leave the key out for its default"},
        {"[daemon]\nbus=a\\qb\n", "f:2: [daemon] bus=a\\qb: \\ begins one of \\s \\n \\t \\r \\\\"},
        {"[daemon]\nstate-dir=x\n",
         "f:2: [daemon] state-dir=x: must be an absolute path, beginning with /"},
        {"[daemon]\ntmf-timeout=0\n",
         "f:2: [daemon] tmf-timeout=0: must be a number from 1 to 3600"},
        {"[memory]\narena=1M\n", "f:2: [memory] arena=1M: must be " SIZES "16M to 4T" SUFFIX},
        {"[memory]\narena=64MB\n", "f:2: [memory] arena=64MB: must be " SIZES "16M to 4T" SUFFIX},
        {"[memory]\narena=99999999999999999999T\n",
         "f:2: [memory] arena=99999999999999999999T: must be " SIZES "16M to 4T" SUFFIX},
        {"[memory]\narena=17179869184G\n",
         "f:2: [memory] arena=17179869184G: must be " SIZES "16M to 4T" SUFFIX},
        {"[memory]\narena=32M\narena-initial=33M\n",
         "f:3: [memory] arena-initial=33M: must be " SIZES "16M to 32M" SUFFIX},
        {"[memory]\nrecv-memory=60M\n",
         "f:2: [memory] recv-memory=60M: must be auto or " SIZES "1M to 32M" SUFFIX},
        {"[memory]\nhugepages=maybe\n",
         "f:2: [memory] hugepages=maybe: must be one of: auto, on, off"},
        {"[metrics]\nlisten=9810\n", "f:2: [metrics] listen=9810: must be a numeric address with a "
                                     "port, as in 127.0.0.1:9810 or [::1]:9810"},
        {"[metrics]\nlisten=::1:9810\n",
         "f:2: [metrics] listen=::1:9810: must be a numeric address "
         "with a port, as in 127.0.0.1:9810 or [::1]:9810"},
        {"[metrics]\nlisten=[::1]:0\n", "f:2: [metrics] listen=[::1]:0: must be a numeric address "
                                        "with a port, as in 127.0.0.1:9810 or [::1]:9810"},
        {"[alpha]\nlisten=3260\n",
         "f:2: [alpha] listen=3260: 3260 is no address to listen on; write ADDRESS:PORT or "
         "[ADDRESS]:PORT, with numbers, and perhaps ,GROUP"},
        {"[alpha]\nlisten=1.1.1.1:1,65536\n",
         "f:2: [alpha] listen=1.1.1.1:1,65536: 1.1.1.1:1,65536 is no address to listen on; write "
         "ADDRESS:PORT or [ADDRESS]:PORT, with numbers, and perhaps ,GROUP"},
        {"[alpha]\nlisten=1.1.1.1:1;1.1.1.1:1\n",
         "f:2: [alpha] listen=1.1.1.1:1;1.1.1.1:1: 1.1.1.1:1 is there twice"},
        {"[alpha]\nlisten=;\n", "f:2: [alpha] listen=;: the list is empty"},
        {"[alpha]\nlogin-timeout=bad\n", "f:2: [alpha] login-timeout=bad: must not be bad"},
        {"[beta]\nlogin-timeout=1\n",
         "f:2: [beta] login-timeout=1: no such key here; there are: listen"},
        {"[daemon]\nio-loops=x\n[memory]\nhugepages=x\n",
         "f:2: [daemon] io-loops=x: must be auto or a number from 1 to 64\n"
         "f:4: [memory] hugepages=x: must be one of: auto, on, off"},
    };
    expect_each(cases, G_N_ELEMENTS(cases));
}

#define T "[target iqn.2026-01.org.example:a]\n"

static void test_wrong_targets(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"[target x]\n", "f:1: [target x]: an iSCSI name begins with iqn., eui. or naa., as in "
                         "iqn.2026-01.org.example:disk"},
        {TARGET "[target  iqn.2026-01.org.example:a]\nallow=all\n",
         "f:3: [target  iqn.2026-01.org.example:a]: is the same target as on line 1"},
        {T "allow=all;10.0.0.1\n",
         "f:2: [target iqn.2026-01.org.example:a] allow=all;10.0.0.1: all must stand alone"},
        {T "allow=10.0.0.1/8\n",
         "f:2: [target iqn.2026-01.org.example:a] allow=10.0.0.1/8: 10.0.0.1/8: a pattern of "
         "initiator names begins with iqn., eui., naa. or a wildcard; or write an address or a "
         "range of addresses, as in 10.0.0.0/8 (no bits set beyond the mask)"},
        {T "allow=all\ntransports=gamma\n",
         "f:3: [target iqn.2026-01.org.example:a] transports=gamma: there is no transport gamma"},
        {T "allow=all\ntransports=beta;beta\n",
         "f:3: [target iqn.2026-01.org.example:a] transports=beta;beta: beta is there twice"},
        {T "allow=all\nqueue-depth=bad\n", "f:3: [target iqn.2026-01.org.example:a] "
                                           "queue-depth=bad: must not be bad"},
        {T "allow=all\ntransports=beta\nqueue-depth=1\n",
         "f:4: [target iqn.2026-01.org.example:a] queue-depth=1: no such key here; there are: "
         "transports, allow, alua"},
        {T "allow=all\nqueue-dept=1\n", "f:3: [target iqn.2026-01.org.example:a] queue-dept=1: no "
                                        "such key here; is queue-depth meant?"},
    };
    expect_each(cases, G_N_ELEMENTS(cases));
    expect_warning(T, "f:1: [target iqn.2026-01.org.example:a]: no initiator may log in: there is "
                      "no allow=; write allow=all, or a list of initiator names and addresses");
}

#define AT   "f:4: [lun iqn.2026-01.org.example:a/0] "
#define HEAD "f:3: [lun iqn.2026-01.org.example:a/0]: "
#define BAD_NAME                                                                      \
    "the name of a LUN is that of its target, / and a number from 0 to 16383, as in " \
    "[lun iqn.2026-01.org.example:disk/0]"

static void test_wrong_luns(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"[lun iqn.2026-01.org.example:a]\npath=/x\n",
         "f:1: [lun iqn.2026-01.org.example:a]: " BAD_NAME},
        {"[lun iqn.2026-01.org.example:a/16384]\npath=/x\n",
         "f:1: [lun iqn.2026-01.org.example:a/16384]: " BAD_NAME},
        {"[lun iqn.2026-01.org.example:b/0]\npath=/nowhere/x\n",
         "f:1: [lun iqn.2026-01.org.example:b/0]: there is no group "
         "[target iqn.2026-01.org.example:b] for it"},
        {TARGET LUN, HEAD "there is no path=: name the file or block device"},
        {TARGET LUN "path=x\n", AT "path=x: must be an absolute path, beginning with /"},
        {TARGET LUN "path=\n", AT "path=: the value is empty; leave the key out for its default"},
        {TARGET LUN "create=maybe\npath=/nowhere/x\n",
         AT "create=maybe: must be true or false (or on, off, yes, no)"},
        {TARGET LUN "create=true\npath=/nowhere/x\n",
         AT "create=true: add size=, the size of the file to make"},
        {TARGET LUN "create=true\nsize=1M\nread-only=true\npath=/nowhere/x\n",
         AT "create=true: a read-only LUN cannot make its file"},
        {TARGET LUN "size=1000\ncreate=true\npath=/nowhere/x\n",
         AT "size=1000: must be a multiple of block-size=512"},
        {TARGET LUN "size=0\ncreate=true\npath=/nowhere/x\n",
         AT "size=0: must be " SIZES "512 to 9223372036854775807" SUFFIX},
        {TARGET LUN "block-size=1024\npath=/nowhere/x\n",
         AT "block-size=1024: must be one of: 512, 4096"},
        {TARGET LUN "physical-block-size=512\nblock-size=4096\npath=/nowhere/x\n",
         AT "physical-block-size=512: must be at least block-size=4096"},
        {TARGET LUN "mode=fast\npath=/nowhere/x\n",
         AT "mode=fast: must be one of: buffered, direct"},
        {TARGET LUN "max-transfer=32M\npath=/nowhere/x\n",
         AT "max-transfer=32M: must be auto or " SIZES "4K to 16M" SUFFIX},
        {TARGET LUN "max-transfer=5000\npath=/nowhere/x\n",
         AT "max-transfer=5000: must be a multiple of block-size=512"},
        {TARGET LUN "serial=a b\npath=/nowhere/x\n",
         AT "serial=a b: must be 1 to 36 ASCII letters, digits and signs, without spaces"},
        {TARGET LUN "naa=6000000000000001\npath=/nowhere/x\n",
         AT "naa=6000000000000001: must be 16 hexadecimal digits that begin with 2, 3 or 5 (3: "
            "locally assigned)"},
        {TARGET LUN "thin=very\npath=/nowhere/x\n", AT "thin=very: must be one of: auto, on, off"},
        {TARGET LUN "cache=1G\npath=/nowhere/x\n", AT
         "cache=1G: the caches need more of the arena than commands can spare: of arena=64M, 28M "
         "are left for this one"},
        {TARGET LUN "cache=1M\nengine=null\nsize=1M\n",
         AT "cache=1M: engine=null has no store: take this key out"},
        {TARGET LUN "cache-mode=write-back\npath=/nowhere/x\n",
         AT "cache-mode=write-back: this version has no write-back cache: take write-through"},
        {TARGET LUN "cache-slot=12K\npath=/nowhere/x\n",
         AT "cache-slot=12K: must be a power of two, 4K to 256K"},
        {TARGET LUN "engine=null\n", AT "engine=null: the null engine has no store: add size="},
        {TARGET LUN "path=/nowhere/x\nengine=null\nsize=1M\n",
         AT "path=/nowhere/x: engine=null has no store: take this key out"},
        {TARGET LUN "engine-options=inline\npath=/nowhere/x\n",
         AT "engine-options=inline: inline: an option is written name=value"},
        {TARGET LUN "engine-options=inline=maybe\npath=/nowhere/x\n",
         AT "engine-options=inline=maybe: inline=maybe: must be on or off"},
        {TARGET LUN "pth=/x\npath=/nowhere/x\n", AT "pth=/x: no such key here; is path meant?"},
        {TARGET LUN "path=/nowhere/x\n[lun  iqn.2026-01.org.example:a/0]\npath=/nowhere/y\n",
         "f:5: [lun  iqn.2026-01.org.example:a/0]: is the same LUN as "
         "[lun iqn.2026-01.org.example:a/0] on line 3"},
        {TARGET LUN "path=/tmp/\n[lun iqn.2026-01.org.example:a/1]\npath=//tmp/.\n",
         "f:6: [lun iqn.2026-01.org.example:a/1] path=//tmp/.: is the same store as "
         "[lun iqn.2026-01.org.example:a/0] on line 3"},
        {TARGET LUN "path=/tmp/no-such-store\n[lun iqn.2026-01.org.example:a/1]\n"
                    "path=/tmp/./no-such-store\n",
         "f:6: [lun iqn.2026-01.org.example:a/1] path=/tmp/./no-such-store: is the same store as "
         "[lun iqn.2026-01.org.example:a/0] on line 3"},
    };
    expect_each(cases, G_N_ELEMENTS(cases));
    expect_warning(TARGET LUN "size=1M\npath=/nowhere/x\n",
                   AT "size=1M: has no effect without create=true: the size is the file's own");
}

/* The last one gives a LUN what another one's name makes of it. */
static void test_names_of_two_luns(void **state)
{
#define SECOND "[lun iqn.2026-01.org.example:a/1]\npath=/nowhere/y\n"
#define SAME                                                                                     \
    "initiators would take the two for one disk: the same as [lun iqn.2026-01.org.example:a/0] " \
    "on line 3"
    (void)state;
    static const Case cases[] = {
        {TARGET LUN "path=/nowhere/x\nnaa=3000000000000001\n" SECOND "naa=3000000000000001\n",
         "f:8: [lun iqn.2026-01.org.example:a/1] naa=3000000000000001: " SAME},
        {TARGET LUN "path=/nowhere/x\nserial=A1\n" SECOND "serial=A1\n",
         "f:8: [lun iqn.2026-01.org.example:a/1] serial=A1: " SAME},
        {TARGET LUN "path=/nowhere/x\nserial=2acdb90975ce7e50\n" SECOND,
         "f:6: [lun iqn.2026-01.org.example:a/1]: " SAME},
        {TARGET LUN "path=/nowhere/x\nnaa=32acdb90975ce7e5\n" SECOND,
         "f:6: [lun iqn.2026-01.org.example:a/1]: " SAME},
    };
    expect_each(cases, G_N_ELEMENTS(cases));
}

static void test_unknown_engine(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    assert_null(parse(TARGET LUN "engine=sislet\npath=/nowhere/x\n", &error));
    assert_true(g_str_has_prefix(error->message, AT "engine=sislet: must be one of: syslet"));
}

static void test_hard_link_is_the_same_store(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("rtgt-config-XXXXXX", &error);
    g_autofree char *one = g_build_filename(dir, "one", NULL);
    g_autofree char *two = g_build_filename(dir, "two", NULL);
    assert_true(g_file_set_contents(one, "x", 1, NULL));
    assert_int_equal(link(one, two), 0);
    g_autofree char *text = g_strdup_printf(
        TARGET LUN "path=%s\n[lun iqn.2026-01.org.example:a/1]\npath=%s\n", one, two);
    assert_null(parse(text, &error));
    assert_non_null(strstr(error->message, "is the same store as"));
    g_unlink(one);
    g_unlink(two);
    g_rmdir(dir);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"iqn.2026-01.org.example", "iqn.2026-12.org.example:a.b-c",
                                       "eui.02004567A425678D", "naa.52004567BA64678D",
                                       "naa.62004567BA64678D0123456789ABCDEF"};
    static const char *const bad[] = {"",
                                      "iqn.",
                                      "iqn.2026-13.org",
                                      "iqn.2026-00.org",
                                      "iqn.26-01.org.example",
                                      "iqn.2026-01.",
                                      "iqn.2026-01.org.Example",
                                      "iqn.2026-01.org.example:a b",
                                      "iqn.2026-01.org.example/1",
                                      "iqn.2026-01.org.example:*",
                                      "eui.0200",
                                      "naa.52004567BA64678",
                                      "naa.52004567BA64678G"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        assert_null(text_name_complaint(good[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_non_null(text_name_complaint(bad[i]));
    g_autofree char *long_name = g_strnfill(224, 'a');
    memcpy(long_name, "iqn.2026-01.", strlen("iqn.2026-01."));
    assert_non_null(text_name_complaint(long_name));
    long_name[223] = '\0';
    assert_null(text_name_complaint(long_name));
    assert_null(text_name_glob_complaint("*"));
    assert_null(text_name_glob_complaint("iq*"));
    assert_null(text_name_glob_complaint("iqn.2026-01.org.example:host-??"));
    assert_non_null(text_name_glob_complaint("host*"));
    assert_null(text_name_glob_complaint("0x0000000000000000505400fffe123456"));
    assert_null(text_name_glob_complaint("505400fffe123456"));
    assert_null(text_name_glob_complaint("*505400fffe??????"));
    assert_non_null(text_name_glob_complaint("505400fffe12345"));
    assert_non_null(text_name_glob_complaint("0x505400fffe12345g"));
    assert_non_null(text_name_glob_complaint("iqn.2026-01.org.example:[ab]*"));
}

static void test_sizes(void **state)
{
    (void)state;
    uint64_t bytes;
    assert_true(text_to_size("18014398509481983K", &bytes));
    assert_true(bytes == UINT64_MAX - 1023);
    assert_false(text_to_size("18014398509481984K", &bytes));
    assert_false(text_to_size("K", &bytes));
    assert_false(text_to_size("1KK", &bytes));
    assert_false(text_to_size("", &bytes));
    assert_false(text_to_size("+1", &bytes));
    g_autofree char *text = text_from_size((uint64_t)3 << 40);
    assert_string_equal(text, "3T");
    g_autofree char *odd = text_from_size(1025);
    assert_string_equal(odd, "1025");
    g_autofree char *zero = text_from_size(0);
    assert_string_equal(zero, "0");
}

/* The file of secrets in place of %s. */
static void expect_secrets_error(const char *format, const char *path, const char *message)
{
    g_autofree char *text = g_strdup_printf(format, path);
    g_autofree char *wanted = g_strdup_printf(message, path, path);
    expect_error(text, wanted);
}

static void test_secrets(void **state)
{
    (void)state;
    static const char body[] = "[initiator alice]\nsecret=0123456789ab\n";
    g_autofree char *dir = g_dir_make_tmp("rtgt-config-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "secrets", NULL);
    assert_true(g_file_set_contents(path, body, -1, NULL));
    assert_int_equal(g_chmod(path, 0600), 0);
    g_autofree char *text =
        g_strdup_printf("[daemon]\nsecrets=%s\n[alpha]\nwith-secret=alice\n"
                        "listen=1.1.1.1:1;[::1]:2,7\n" TARGET "with-secret=alice\n",
                        path);
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = parse(text, &error);
    assert_null(error);
    assert_non_null(secrets_find(config->secrets, SECRET_OF_INITIATOR, "alice"));
    expect_secrets_error(
        "[daemon]\nsecrets=%s\n[alpha]\nwith-secret=bob\n" TARGET "with-secret=carol\n", path,
        "f:4: [alpha] with-secret=bob: there is no secret here\n"
        "f:7: [target iqn.2026-01.org.example:a] with-secret=carol: there is no "
        "secret");
    expect_error("[daemon]\nsecrets=s\n", "f:2: [daemon] secrets=s: must be an absolute path, "
                                          "beginning with /");
    assert_int_equal(g_chmod(path, 0644), 0);
    expect_secrets_error("[daemon]\nsecrets=%s\n[alpha]\nwith-secret=alice\n", path,
                         "f:2: [daemon] secrets=%s: %s: has mode 0644, so that others can get at "
                         "the secrets; it must be 0600 or 0400");
    g_unlink(path);
    g_rmdir(dir);
}

static void test_missing_file(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    assert_null(config_load("/nowhere/rtgt.conf", transports, &error));
    assert_non_null(strstr(error->message, "/nowhere/rtgt.conf"));
}

/* --- target port groups --- */

#define NAME       "iqn.2026-01.org.example:a"
#define PORT_GROUP "[port-group " NAME "/"

static void test_port_groups(void **state)
{
    (void)state;
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config =
        parse(TARGET "alua=both\n" PORT_GROUP "7]\nports=3\nstate=standby\n" PORT_GROUP
                     "2]\nports=1;65535\npreferred=true\n",
              &error);
    assert_null(error);
    const ConfigTarget *target = config->targets->pdata[0];
    assert_string_equal(config_alua[target->alua], "both");
    assert_int_equal(target->port_groups->len, 2);
    const AluaGroupSpec *first = &((ConfigPortGroup *)target->port_groups->pdata[0])->spec;
    const AluaGroupSpec *second = &((ConfigPortGroup *)target->port_groups->pdata[1])->spec;
    assert_int_equal(first->id, 2);
    assert_int_equal(first->n_ports, 2);
    assert_int_equal(first->ports[1], 65535);
    assert_true(first->preferred);
    assert_int_equal(first->state, ALUA_OPTIMIZED);
    assert_int_equal(second->id, 7);
    assert_int_equal(second->state, ALUA_STANDBY);
}

static void test_wrong_port_groups(void **state)
{
    (void)state;
    static const Case cases[] = {
        {PORT_GROUP "1]\nports=1\n",
         "f:1: [port-group " NAME "/1]: there is no group [target " NAME "] for it"},
        {TARGET PORT_GROUP "0]\nports=1\n",
         "f:3: [port-group " NAME "/0]: the name of a port group is that of its target, / and a "
         "number from 1 to 65535, as in [port-group iqn.2026-01.org.example:disk/1]"},
        {TARGET PORT_GROUP "1]\n",
         "f:3: [port-group " NAME "/1]: there is no ports=: list the tags "
         "of its portal groups"},
        {TARGET PORT_GROUP "1]\nports=0\n", "f:4: [port-group " NAME "/1] ports=0: 0: a port is a "
                                            "number from 1 to 65535"},
        {TARGET PORT_GROUP "1]\nports=4\n" PORT_GROUP "2]\nports=3;4\n",
         "f:6: [port-group " NAME "/2] ports=3;4: one of them is in [port-group " NAME "/1] too"},
        {TARGET PORT_GROUP "1]\nports=1\nstate=asleep\n",
         "f:5: [port-group " NAME "/1] state=asleep: must be one of: active/optimized, "
         "active/non-optimized, standby, unavailable, offline, transitioning"},
    };
    expect_each(cases, G_N_ELEMENTS(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults),
                                       cmocka_unit_test(test_text_ends_at_its_length),
                                       cmocka_unit_test(test_fixed_groups),
                                       cmocka_unit_test(test_target),
                                       cmocka_unit_test(test_lun),
                                       cmocka_unit_test(test_unsound_lines),
                                       cmocka_unit_test(test_wrong_fixed_groups),
                                       cmocka_unit_test(test_wrong_targets),
                                       cmocka_unit_test(test_wrong_luns),
                                       cmocka_unit_test(test_unknown_engine),
                                       cmocka_unit_test(test_names_of_two_luns),
                                       cmocka_unit_test(test_hard_link_is_the_same_store),
                                       cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_missing_file),
                                       cmocka_unit_test(test_port_groups),
                                       cmocka_unit_test(test_wrong_port_groups),
                                       cmocka_unit_test(test_secrets)};
    return unit_run(tests);
}
