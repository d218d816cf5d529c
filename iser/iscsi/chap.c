/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CHAP: challenge, response, and the same the other way round. */
#include "iser/iscsi/chap.h"

#include "iser/iscsi/binary.h"
#include "iser/iscsi/keys.h"

#include <errno.h>
#include <nettle/memops.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha3.h>
#include <string.h>
#include <sys/random.h>

typedef enum { KEY_A, KEY_N, KEY_R, KEY_I, KEY_C } ChapKey;

static const char *const key_names[] = {"CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"};

#define BIT(key) (1u << (key))

/* Hash contexts hold the secret: they live on the stack and are wiped. */
#define CONTEXT_MAX 512

static const struct nettle_hash *find_hash(unsigned algorithm)
{
    switch (algorithm) {
    case CHAP_MD5:
        return &nettle_md5;
    case CHAP_SHA1:
        return &nettle_sha1;
    case CHAP_SHA256:
        return &nettle_sha256;
    case CHAP_SHA3_256:
        return &nettle_sha3_256;
    default:
        return NULL;
    }
}

size_t chap_hash(unsigned algorithm, uint8_t identifier, const Secret *secret,
                 const uint8_t *challenge, size_t len, uint8_t out[CHAP_HASH_MAX])
{
    const struct nettle_hash *hash = find_hash(algorithm);
    _Alignas(max_align_t) uint8_t context[CONTEXT_MAX];
    if (!hash)
        return 0;
    g_assert(hash->context_size <= sizeof context && hash->digest_size <= CHAP_HASH_MAX);
    hash->init(context);
    hash->update(context, 1, &identifier);
    hash->update(context, secret->len, secret->bytes);
    hash->update(context, len, challenge);
    hash->digest(context, hash->digest_size, out);
    explicit_bzero(context, sizeof context);
    return hash->digest_size;
}

/* --- keys of a request -------------------------------------------------------------------------*/

void chap_init(Chap *chap, const AuthPolicy *policy)
{
    *chap = (Chap){.policy = policy};
}

static void forget_keys(Chap *chap)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(chap->given); i++)
        g_clear_pointer(&chap->given[i], g_free);
}

void chap_clear(Chap *chap)
{
    forget_keys(chap);
}

void chap_begin(Chap *chap)
{
    chap->state = CHAP_WAITS_ALGORITHM;
}

bool chap_take_key(Chap *chap, const char *key, const char *value)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(key_names); i++) {
        if (strcmp(key_names[i], key) != 0)
            continue;
        if (chap->given[i])
            return false;
        chap->given[i] = g_strdup(value);
        return true;
    }
    return false;
}

static unsigned given_keys(const Chap *chap)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(chap->given); i++)
        bits |= chap->given[i] ? BIT(i) : 0;
    return bits;
}

/* --- steps -------------------------------------------------------------------------------------*/

static bool fail(Chap *chap, const char *reason)
{
    chap->reason = reason;
    return false;
}

static bool is_offered(const char *list, unsigned algorithm)
{
    g_auto(GStrv) items = g_strsplit(list, ",", -1);
    uint32_t number;
    for (char **item = items; *item; item++)
        if (keys_parse_number(*item, &number) && number == algorithm)
            return true;
    return false;
}

/* Ours decides, not the initiator's order: it is not the one that is asked for proof. */
static bool choose_algorithm(Chap *chap)
{
    for (unsigned i = 0; i < CHAP_ALGORITHMS && chap->policy->algorithms[i]; i++) {
        chap->algorithm = chap->policy->algorithms[i];
        if (is_offered(chap->given[KEY_A], chap->algorithm))
            return true;
    }
    return fail(chap, "CHAP: no common algorithm");
}

static bool fill_random(void *out, size_t len)
{
    ssize_t got;
    do
        got = getrandom(out, len, 0); /* so little comes whole or not at all */
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)len;
}

static void write_number(TextWriter *answer, const char *key, unsigned number)
{
    char text[16];
    g_snprintf(text, sizeof text, "%u", number);
    text_write(answer, key, text);
}

static void write_binary(TextWriter *answer, const char *key, const uint8_t *bytes, size_t len)
{
    char text[2 * CHAP_HASH_MAX + 3];
    binary_encode(bytes, len, text);
    text_write(answer, key, text);
}

/* The challenge is as long as the hash, which is all the proof there can be. */
static bool send_challenge(Chap *chap, TextWriter *answer)
{
    if (given_keys(chap) != BIT(KEY_A))
        return fail(chap, "CHAP: CHAP_A and nothing else must come first");
    if (!choose_algorithm(chap))
        return false;
    chap->challenge_len = find_hash(chap->algorithm)->digest_size;
    if (!fill_random(chap->challenge, chap->challenge_len) || !fill_random(&chap->identifier, 1))
        return fail(chap, "CHAP: no random bytes");
    write_number(answer, "CHAP_A", chap->algorithm);
    write_number(answer, "CHAP_I", chap->identifier);
    write_binary(answer, "CHAP_C", chap->challenge, chap->challenge_len);
    chap->state = CHAP_WAITS_RESPONSE;
    return true;
}

/* An unknown user costs the same hash as a wrong secret. */
static bool check_response(Chap *chap)
{
    static const Secret nobody = {.bytes = (uint8_t *)"", .len = 0};
    uint8_t response[CHAP_HASH_MAX], wanted[CHAP_HASH_MAX];
    const Secret *user = auth_policy_user(chap->policy, chap->given[KEY_N]);
    size_t len, wanted_len = chap_hash(chap->algorithm, chap->identifier, user ? user : &nobody,
                                       chap->challenge, chap->challenge_len, wanted);
    if (!binary_decode(chap->given[KEY_R], response, sizeof response, &len))
        return fail(chap, "CHAP: malformed CHAP_R");
    bool right = len == wanted_len && memeql_sec(response, wanted, len);
    explicit_bzero(wanted, sizeof wanted);
    if (!user)
        return fail(chap, "CHAP: unknown user");
    if (!right)
        return fail(chap, "CHAP: wrong secret");
    chap->user = user->name;
    return true;
}

/* The initiator asks who we are. Its challenge must not be ours: the answer to it would be one that
 * it could use (RFC 7143 9.2.1). */
static bool prove_ourselves(Chap *chap, TextWriter *answer)
{
    uint8_t challenge[CHAP_BINARY_MAX], response[CHAP_HASH_MAX];
    uint32_t identifier;
    size_t len;
    if (!chap->policy->own)
        return fail(chap, "CHAP: the initiator wants proof of the target, which has no "
                          "chap-mutual-user");
    if (!keys_parse_number(chap->given[KEY_I], &identifier) || identifier > UINT8_MAX ||
        !binary_decode(chap->given[KEY_C], challenge, sizeof challenge, &len))
        return fail(chap, "CHAP: malformed CHAP_I or CHAP_C");
    if (len == chap->challenge_len && !memcmp(challenge, chap->challenge, len))
        return fail(chap, "CHAP: our own challenge came back");
    size_t response_len = chap_hash(chap->algorithm, (uint8_t)identifier, chap->policy->own,
                                    challenge, len, response);
    text_write(answer, "CHAP_N", chap->policy->own->name);
    write_binary(answer, "CHAP_R", response, response_len);
    chap->mutual = true;
    return true;
}

static bool take_response(Chap *chap, TextWriter *answer)
{
    const unsigned one_way = BIT(KEY_N) | BIT(KEY_R), both = one_way | BIT(KEY_I) | BIT(KEY_C);
    unsigned given = given_keys(chap);
    if (given != one_way && given != both)
        return fail(chap, "CHAP: CHAP_N and CHAP_R must come next, with both or none of CHAP_I and "
                          "CHAP_C");
    if (!check_response(chap) || (given == both && !prove_ourselves(chap, answer)))
        return false;
    chap->state = CHAP_PROVED;
    return true;
}

static bool run_step(Chap *chap, TextWriter *answer)
{
    switch (chap->state) {
    case CHAP_WAITS_ALGORITHM:
        return send_challenge(chap, answer);
    case CHAP_WAITS_RESPONSE:
        return take_response(chap, answer);
    default:
        return fail(chap, "CHAP: keys out of turn");
    }
}

bool chap_step(Chap *chap, TextWriter *answer)
{
    if (!given_keys(chap))
        return true;
    bool ok = run_step(chap, answer);
    forget_keys(chap);
    return ok;
}
