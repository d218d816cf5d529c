/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration file, with the keys of the iSCSI family, and its way back to paper. */
#include "core/daemon/config.h"
#include "core/daemon/config_edit.h"
#include "core/daemon/config_text.h"
#include "iser/iscsi/keys.h"
#include "iser/iscsi/portal.h"
#include "tests/fuzz/fuzz.h"

#define VALUE_MAX 256u /* bytes of an input that is tried as a value, too */

static const Transport iscsi = {.name = "iscsi",
                                .keys = iscsi_portal_keys,
                                .target_keys = iscsi_file_keys,
                                .default_listen = "0.0.0.0:3260;[::]:3260",
                                .check_key = iscsi_portal_check_key,
                                .check_keys = iscsi_portal_check_keys};
static const Transport iser = {.name = "iser",
                               .keys = iscsi_portal_keys,
                               .target_keys = iscsi_file_keys,
                               .default_listen = "0.0.0.0:3260",
                               .check_key = iscsi_portal_check_key,
                               .check_keys = iscsi_portal_check_keys};
static const Transport *const transports[] = {&iscsi, &iser, NULL};

static Config *parse(const char *text, size_t size)
{
    g_autoptr(GError) error = NULL;
    Config *config = config_parse("f", text, size, transports, &error);
    g_assert(!config == !!error);
    return config;
}

/* The text of the settings is sound, and edits of it lead to the same settings. */
static void check_edit(const Config *config, const char *text)
{
    g_autofree char *same = config_edit(text, config->keys);
    g_autofree char *whole = config_edit("", config->keys);
    g_autoptr(Config) from_same = parse(same, strlen(same));
    g_autoptr(Config) from_whole = parse(whole, strlen(whole));
    g_assert(from_same && from_whole);
    g_autoptr(GPtrArray) first = config_difference(config->keys, from_same->keys);
    g_autoptr(GPtrArray) second = config_difference(config->keys, from_whole->keys);
    g_assert_cmpuint(first->len, ==, 0);
    g_assert_cmpuint(second->len, ==, 0);
}

/* The readers of values by themselves, for what no file gets to. */
static void read_values(const char *text)
{
    uint64_t number;
    bool yes;
    if (text_to_size(text, &number)) {
        g_autofree char *back = text_from_size(number);
        uint64_t again;
        g_assert(text_to_size(back, &again) && again == number);
    }
    (void)text_to_number(text, &number);
    (void)text_to_bool(text, &yes);
    (void)text_to_address(text);
    g_autofree char *network = text_to_network(text);
    if (network) {
        g_autofree char *again = text_to_network(network);
        g_assert_cmpstr(network, ==, again);
    }
    (void)text_name_complaint(text);
    (void)text_name_glob_complaint(text);
    (void)text_suggest(text, iscsi_file_keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(Config) config = parse((const char *)data, size);
    if (config && strlen(text) == size)
        check_edit(config, text);
    if (size < VALUE_MAX)
        read_values(text);
    return 0;
}
