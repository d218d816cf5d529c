/* SPDX-License-Identifier: GPL-2.0-or-later */
/* protocol-test: drives the target at RTGT_URL (iscsi:// or iser://) through right and wrong
 * conduct. Needs a running target; overwrites its LUN. An argument is a pattern of test names. With
 * RTGT_HANG, see protocol.h. */
#include "tests/initiator/protocol.h"

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    const char *text = g_getenv("RTGT_URL");
    int failed = 0;

    if (!text || !(protocol_url = url_parse(text, &error))) {
        g_printerr("protocol-test: %s\n", error ? error->message : "RTGT_URL is not set");
        return 2;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (g_getenv("RTGT_HANG")) {
        failed = protocol_hang_tests() == 1;
        url_free(protocol_url);
        return failed;
    }
    /* Those of the login speak of targets that want no proof. */
    failed |= (protocol_url->user ? protocol_auth_tests() : protocol_login_tests()) == 1;
    failed |= protocol_data_tests() == 1;
    failed |= protocol_session_tests() == 1;
    failed |= protocol_tmf_tests() == 1;
    failed |= protocol_bad_tests() == 1;
    if (protocol_url->ops->data_in_pdus)
        failed |= protocol_stream_tests() == 1;
    else
        failed |= protocol_iser_tests() == 1;
    url_free(protocol_url);
    return failed;
}
