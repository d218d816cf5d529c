/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saved persistent reservations. The first byte says whether the harness puts a right checksum in
 * front, without which nothing gets far. */
#include "core/scsi/reserve_impl.h"
#include "tests/fuzz/fuzz.h"

static GBytes *seal(const uint8_t *data, size_t size)
{
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);
    GString *text = g_string_new("# rtgt reservations 1 sha256=");
    g_string_append_printf(text, "%s\n", sum);
    g_string_append_len(text, (const char *)data, (gssize)size);
    return g_string_free_to_bytes(text);
}

/* What was read is what is written. */
static void check_state(const ReserveState *state)
{
    g_autoptr(GBytes) bytes = reserve_to_bytes(state);
    ReserveState again;
    GError *error = NULL;
    reserve_state_init(&again);
    g_assert(reserve_from_bytes(&again, bytes, &error));
    g_autoptr(GBytes) twice = reserve_to_bytes(&again);
    g_assert(g_bytes_equal(bytes, twice));
    g_assert_cmpuint(state->registrations->len, ==, again.registrations->len);
    reserve_state_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    g_autoptr(GBytes) bytes =
        data[0] & 1 ? seal(data + 1, size - 1) : g_bytes_new(data + 1, size - 1);
    ReserveState state;
    g_autoptr(GError) error = NULL;
    reserve_state_init(&state);
    bool read = reserve_from_bytes(&state, bytes, &error);
    g_assert(read == !error);
    if (read)
        check_state(&state);
    reserve_state_clear(&state);
    return 0;
}
