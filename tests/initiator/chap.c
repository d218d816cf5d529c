/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Responses to challenges, and challenges of our own. */
#include "tests/initiator/chap.h"

#include <gio/gio.h>
#include <nettle/sha3.h>
#include <string.h>

static const char *const chap_keys[] = {"CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R"};

G_GNUC_PRINTF(2, 3)
static bool refuse(GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, text);
    return false;
}

static GBytes *hash_sha3(const GByteArray *text)
{
    struct sha3_256_ctx context;
    uint8_t out[SHA3_256_DIGEST_SIZE];

    sha3_256_init(&context);
    sha3_256_update(&context, text->len, text->data);
    sha3_256_digest(&context, sizeof(out), out);
    return g_bytes_new(out, sizeof(out));
}

static GBytes *hash_glib(GChecksumType type, const GByteArray *text)
{
    g_autoptr(GChecksum) sum = g_checksum_new(type);
    uint8_t out[64];
    gsize len = sizeof(out);

    g_checksum_update(sum, text->data, text->len);
    g_checksum_get_digest(sum, out, &len);
    return g_bytes_new(out, len);
}

GBytes *chap_response(unsigned algorithm, uint8_t identifier, const char *secret,
                      const uint8_t *challenge, size_t len)
{
    static const GChecksumType types[] = {G_CHECKSUM_MD5, G_CHECKSUM_SHA1, G_CHECKSUM_SHA256};
    g_autoptr(GByteArray) text = g_byte_array_new();

    g_byte_array_append(text, &identifier, 1);
    g_byte_array_append(text, (const uint8_t *)secret, (guint)strlen(secret));
    g_byte_array_append(text, challenge, (guint)len);
    if (algorithm == 8)
        return hash_sha3(text);
    return algorithm >= 5 && algorithm <= 7 ? hash_glib(types[algorithm - 5], text) : NULL;
}

char *chap_encode(GBytes *bytes, bool base64)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    GString *text = g_string_new(base64 ? "0b" : "0x");

    if (base64) {
        g_autofree char *digits = g_base64_encode(data, len);

        g_string_append(text, digits);
    }
    for (gsize i = 0; !base64 && i < len; i++)
        g_string_append_printf(text, "%02X", data[i]);
    return g_string_free(text, FALSE);
}

GBytes *chap_decode(const char *text)
{
    size_t digits = strlen(text);
    g_autofree uint8_t *bytes = g_malloc0(digits / 2 + 1);

    if (digits < 4 || digits % 2 || text[0] != '0' || text[1] != 'x')
        return NULL;
    for (size_t i = 2; i < digits; i++) {
        int digit = g_ascii_xdigit_value(text[i]);

        if (digit < 0)
            return NULL;
        bytes[i / 2 - 1] = (uint8_t)(bytes[i / 2 - 1] << 4 | digit);
    }
    return g_bytes_new(bytes, digits / 2 - 1);
}

static void say_bytes(const ChapOptions *options, TextKeys *reply, const char *key, GBytes *bytes)
{
    g_autofree char *text = chap_encode(bytes, options->base64);

    text_keys_add(reply, key, text);
}

/* Our turn to ask. */
static void ask_back(const ChapOptions *options, ChapState *state, GBytes *theirs, TextKeys *reply)
{
    g_autoptr(GBytes) challenge = NULL;
    g_autofree char *identifier = NULL;

    for (size_t i = 0; i < sizeof(state->challenge); i++)
        state->challenge[i] = (uint8_t)g_random_int();
    state->identifier = (uint8_t)g_random_int();
    challenge = options->reflect ? g_bytes_ref(theirs)
                                 : g_bytes_new(state->challenge, sizeof(state->challenge));
    identifier = g_strdup_printf("%u", state->identifier);
    text_keys_add(reply, "CHAP_I", identifier);
    say_bytes(options, reply, "CHAP_C", challenge);
}

static bool offered(const ChapOptions *options, const char *algorithm)
{
    g_auto(GStrv) list = g_strsplit(options->algorithms ? options->algorithms : "5,6,7,8", ",", -1);

    return g_strv_contains((const char *const *)list, algorithm);
}

static bool answer_challenge(const ChapOptions *options, ChapState *state, const TextKeys *said,
                             TextKeys *reply, GError **error)
{
    const char *algorithm = text_keys_get(said, "CHAP_A"), *identifier;
    const char *text = text_keys_get(said, "CHAP_C");
    g_autoptr(GBytes) challenge = text ? chap_decode(text) : NULL, response = NULL;
    guint64 number;
    gsize len;
    const uint8_t *bytes;

    identifier = text_keys_get(said, "CHAP_I");
    if (!algorithm || !identifier || !challenge || !offered(options, algorithm) ||
        !g_ascii_string_to_unsigned(identifier, 10, 0, 255, &number, NULL))
        return refuse(error, "no challenge: CHAP_A=%s CHAP_I=%s CHAP_C=%s", algorithm, identifier,
                      text);
    bytes = g_bytes_get_data(challenge, &len);
    if (len < 16)
        return refuse(error, "a challenge of %zu bytes", len);
    state->algorithm = (unsigned)atoi(algorithm);
    response = chap_response(state->algorithm, (uint8_t)number, options->secret, bytes, len);
    text_keys_add(reply, "CHAP_N", options->user);
    say_bytes(options, reply, "CHAP_R", response);
    if (options->target_user || options->reflect)
        ask_back(options, state, challenge, reply);
    state->sent = true;
    return true;
}

static bool check_proof(const ChapOptions *options, ChapState *state, const TextKeys *said,
                        GError **error)
{
    const char *name = text_keys_get(said, "CHAP_N"), *text = text_keys_get(said, "CHAP_R");
    g_autoptr(GBytes) got = text ? chap_decode(text) : NULL, wanted = NULL;

    if (!state->sent || !options->target_user)
        return refuse(error, "the target proves what nobody asked for");
    wanted = chap_response(state->algorithm, state->identifier, options->target_secret,
                           state->challenge, sizeof(state->challenge));
    if (g_strcmp0(name, options->target_user) != 0 || !got || !g_bytes_equal(got, wanted))
        return refuse(error, "the target is not %s", options->target_user);
    state->confirmed = true;
    return true;
}

bool chap_take(const ChapOptions *options, ChapState *state, TextKeys *from_target, TextKeys *reply,
               GError **error)
{
    const char *method = text_keys_get(from_target, "AuthMethod");
    bool ok = true;

    if (g_strcmp0(method, "CHAP") == 0)
        text_keys_add(reply, "CHAP_A", options->algorithms ? options->algorithms : "5,6,7,8");
    if (text_keys_get(from_target, "CHAP_A"))
        ok = answer_challenge(options, state, from_target, reply, error);
    else if (text_keys_get(from_target, "CHAP_N") || text_keys_get(from_target, "CHAP_R"))
        ok = check_proof(options, state, from_target, error);
    for (size_t i = 0; i < G_N_ELEMENTS(chap_keys); i++)
        text_keys_set(from_target, chap_keys[i], NULL);
    return ok;
}

bool chap_complete(const ChapOptions *options, const ChapState *state, GError **error)
{
    if (options->target_user && !state->confirmed)
        return refuse(error, "the target did not prove that it is %s", options->target_user);
    return true;
}
