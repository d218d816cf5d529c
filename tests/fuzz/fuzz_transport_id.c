/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TransportIDs, one after the other as in a parameter list. */
#include "core/scsi/transport_id.h"
#include "tests/fuzz/fuzz.h"

/* The form they are brought into stays what it is. */
static void check_form(const TransportId *id)
{
    TransportId again;
    g_autofree uint8_t *exact = fuzz_copy(id->bytes, id->len);
    g_assert_cmpuint(transport_id_parse(&again, exact, id->len), ==, id->len);
    g_assert(transport_id_equal(&again, id));
    g_autofree char *text = transport_id_text(id);
    g_assert(*text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TransportId before = {0}, id;
    for (size_t len; (len = transport_id_parse(&id, data, size)) > 0; before = id) {
        g_assert_cmpuint(len, <=, size);
        check_form(&id);
        if (transport_id_is_device(&before))
            fuzz_touch(&before, transport_id_is_port_of(&id, &before));
        data += len;
        size -= len;
    }
    g_assert_cmpuint(id.len, ==, 0);
    return 0;
}
