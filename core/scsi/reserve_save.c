/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A reservation as a file: a line with the checksum of what follows, then a keyfile. PRGENERATION
 * is not in it, it begins anew (SPC-4 6.15.2). */
#include "core/scsi/reserve_impl.h"

#include <gio/gio.h>
#include <string.h>

#define HEADER     "# rtgt reservations 1 sha256="
#define DIGITS     64
#define HEADER_LEN (sizeof HEADER - 1 + DIGITS + 1)

/* --- to a file -------------------------------------------------------------------------------- */

static void write_registration(GKeyFile *file, unsigned i, const Registration *registration)
{
    const TransportId *id = &registration->nexus.initiator;
    g_autofree char *group = g_strdup_printf("registration %u", i);
    g_autofree char *name = transport_id_text(id);
    g_autofree char *key = g_strdup_printf("0x%016" G_GINT64_MODIFIER "x", registration->key);
    GString *hex = g_string_new(NULL);
    for (unsigned n = 0; n < id->len; n++)
        g_string_append_printf(hex, "%02x", id->bytes[n]);
    g_key_file_set_string(file, group, "initiator", name); /* for people */
    g_key_file_set_string(file, group, "transport-id", hex->str);
    g_key_file_set_integer(file, group, "target-port", registration->nexus.port);
    g_key_file_set_string(file, group, "key", key);
    g_key_file_set_boolean(file, group, "holder", registration->holder);
    g_string_free(hex, TRUE);
}

GBytes *reserve_to_bytes(const ReserveState *state)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_set_string(file, "reservation", "type", reserve_type_text(state->type));
    g_key_file_set_integer(file, "reservation", "registrations", (gint)state->registrations->len);
    for (unsigned i = 0; i < state->registrations->len; i++)
        write_registration(file, i, reserve_registration(state, i));
    g_autofree char *body = g_key_file_to_data(file, NULL, NULL);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, body, -1);
    char *text = g_strdup_printf(HEADER "%s\n%s", sum, body);
    return g_bytes_new_take(text, strlen(text));
}

/* --- and back --------------------------------------------------------------------------------- */

static bool damaged(GError **error, const char *what)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "the file is damaged (%s); once no initiator relies on them, remove it", what);
    return false;
}

static bool check_sum(const char *text, gsize len)
{
    if (len < HEADER_LEN || memcmp(text, HEADER, sizeof HEADER - 1) != 0 ||
        text[HEADER_LEN - 1] != '\n')
        return false;
    g_autofree char *sum = g_compute_checksum_for_data(
        G_CHECKSUM_SHA256, (const guchar *)text + HEADER_LEN, len - HEADER_LEN);
    return memcmp(sum, text + sizeof HEADER - 1, DIGITS) == 0;
}

static bool read_transport_id(TransportId *id, const char *hex)
{
    uint8_t bytes[TRANSPORT_ID_MAX];
    size_t len = hex ? strlen(hex) / 2 : 0;
    if (len == 0 || len > sizeof bytes)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = g_ascii_xdigit_value(hex[2 * i]), low = g_ascii_xdigit_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return transport_id_parse(id, bytes, len) == len;
}

static bool read_registration(ReserveState *state, GKeyFile *file, unsigned i)
{
    g_autofree char *group = g_strdup_printf("registration %u", i);
    g_autofree char *hex = g_key_file_get_string(file, group, "transport-id", NULL);
    g_autofree char *key = g_key_file_get_string(file, group, "key", NULL);
    Registration registration = {
        .nexus.port = (uint16_t)g_key_file_get_integer(file, group, "target-port", NULL),
        .key = key ? g_ascii_strtoull(key, NULL, 0) : 0,
        .holder = g_key_file_get_boolean(file, group, "holder", NULL)};
    if (registration.key == 0 || !read_transport_id(&registration.nexus.initiator, hex) ||
        reserve_find(state, &registration.nexus))
        return false;
    g_array_append_val(state->registrations, registration);
    return true;
}

/* As many holders as the type has. */
static bool check_holders(const ReserveState *state)
{
    unsigned holders = 0;
    for (unsigned i = 0; i < state->registrations->len; i++)
        holders += reserve_registration(state, i)->holder;
    if (reserve_type_all_registrants(state->type))
        return holders == 0 && state->registrations->len > 0;
    return holders == (state->type == RESERVE_NONE ? 0 : 1);
}

static bool read_state(ReserveState *state, GKeyFile *file)
{
    g_autofree char *type = g_key_file_get_string(file, "reservation", "type", NULL);
    int count = g_key_file_get_integer(file, "reservation", "registrations", NULL);
    state->type = type ? reserve_type_from_text(type) : RESERVE_NONE;
    if (!type || (*type && state->type == RESERVE_NONE) || count < 0 || count > REGISTRATIONS_MAX)
        return false;
    for (int i = 0; i < count; i++)
        if (!read_registration(state, file, (unsigned)i))
            return false;
    return check_holders(state);
}

bool reserve_from_bytes(ReserveState *state, GBytes *bytes, GError **error)
{
    gsize len;
    const char *text = g_bytes_get_data(bytes, &len);
    if (!text || !check_sum(text, len))
        return damaged(error, "its checksum is wrong");
    g_autoptr(GKeyFile) file = g_key_file_new();
    ReserveState read;
    reserve_state_init(&read);
    read.aptpl = true;
    if (!g_key_file_load_from_data(file, text + HEADER_LEN, len - HEADER_LEN, G_KEY_FILE_NONE,
                                   NULL) ||
        !read_state(&read, file)) {
        reserve_state_clear(&read);
        return damaged(error, "its contents make no sense");
    }
    reserve_state_clear(state);
    *state = read;
    return true;
}
