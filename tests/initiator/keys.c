/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The key table, and the initiator's side of a negotiation. */
#include "tests/initiator/keys.h"

#include <gio/gio.h>
#include <string.h>

typedef enum { RULE_AND, RULE_OR, RULE_MIN, RULE_MAX, RULE_DECLARE, RULE_TELL, RULE_DIGEST } Rule;

typedef struct {
    const char *name;
    Rule rule; /* TELL is a boolean the initiator states; an answer is allowed */
    uint32_t initial, lowest, highest;
} KeyRule;

static const KeyRule rules[KEY_COUNT] = {
    [KEY_HEADER_DIGEST] = {"HeaderDigest", RULE_DIGEST, 0, 0, 1},
    [KEY_DATA_DIGEST] = {"DataDigest", RULE_DIGEST, 0, 0, 1},
    [KEY_MAX_CONNECTIONS] = {"MaxConnections", RULE_MIN, 1, 1, 65535},
    [KEY_INITIAL_R2T] = {"InitialR2T", RULE_OR, 1, 0, 1},
    [KEY_IMMEDIATE_DATA] = {"ImmediateData", RULE_AND, 1, 0, 1},
    [KEY_MAX_RECV_DSL] = {"MaxRecvDataSegmentLength", RULE_DECLARE, 8192, 512, 0xffffff},
    [KEY_MAX_BURST] = {"MaxBurstLength", RULE_MIN, 262144, 512, 0xffffff},
    [KEY_FIRST_BURST] = {"FirstBurstLength", RULE_MIN, 65536, 512, 0xffffff},
    [KEY_TIME2WAIT] = {"DefaultTime2Wait", RULE_MAX, 2, 0, 3600},
    [KEY_TIME2RETAIN] = {"DefaultTime2Retain", RULE_MIN, 20, 0, 3600},
    [KEY_MAX_R2T] = {"MaxOutstandingR2T", RULE_MIN, 1, 1, 65535},
    [KEY_PDU_IN_ORDER] = {"DataPDUInOrder", RULE_OR, 1, 0, 1},
    [KEY_SEQUENCE_IN_ORDER] = {"DataSequenceInOrder", RULE_OR, 1, 0, 1},
    [KEY_RECOVERY_LEVEL] = {"ErrorRecoveryLevel", RULE_MIN, 0, 0, 2},
    [KEY_PROTOCOL_LEVEL] = {"iSCSIProtocolLevel", RULE_MIN, 1, 0, 31},
    [KEY_RDMA_EXTENSIONS] = {"RDMAExtensions", RULE_AND, 0, 0, 1},
    [KEY_TARGET_RECV_DSL] = {"TargetRecvDataSegmentLength", RULE_MIN, 8192, 512, 0xffffff},
    [KEY_INITIATOR_RECV_DSL] = {"InitiatorRecvDataSegmentLength", RULE_MIN, 8192, 512, 0xffffff},
    [KEY_MAX_UNEXPECTED] = {"MaxOutstandingUnexpectedPDUs", RULE_DECLARE, 0, 0, 0xffffffff},
    [KEY_MAX_AHS] = {"MaxAHSLength", RULE_MIN, 256, 2, 0xffffffff},
    [KEY_SOLICITED_ONLY] = {"TaggedBufferForSolicitedDataOnly", RULE_TELL, 0, 0, 1},
    [KEY_HELLO_REQUIRED] = {"iSERHelloRequired", RULE_TELL, 0, 0, 1},
};

/* Declarations of section 13 that are no numbers; they need no answer. */
static const char *const told[] = {"TargetAlias", "TargetAddress", "TargetPortalGroupTag",
                                   "AuthMethod", "TargetName"};

G_GNUC_PRINTF(2, 3)
static bool refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error)
        *error = g_error_new_valist(G_IO_ERROR, G_IO_ERROR_INVALID_DATA, format, args);
    va_end(args);
    return false;
}

static int key_find(const char *name)
{
    for (int id = 0; id < KEY_COUNT; id++)
        if (g_str_equal(rules[id].name, name))
            return id;
    return -1;
}

/* The first word of a list of digests is the one preferred. */
static bool value_parse(const KeyRule *rule, const char *text, uint32_t *value)
{
    bool words = rule->rule == RULE_DIGEST;
    guint64 number;

    if (words || rule->highest == 1) {
        const char *yes = words ? "CRC32C" : "Yes", *no = words ? "None" : "No";

        *value = g_str_equal(text, yes);
        return *value || g_str_equal(text, no);
    }
    if (g_str_has_prefix(text, "0x") || g_str_has_prefix(text, "0X")) {
        if (!g_ascii_string_to_unsigned(text + 2, 16, rule->lowest, rule->highest, &number, NULL))
            return false;
    } else if (!g_ascii_string_to_unsigned(text, 10, rule->lowest, rule->highest, &number, NULL)) {
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

void params_init(Params *params, TextKeys *offers)
{
    const char *name, *value;

    *params = (Params){.offers = offers};
    for (int id = 0; id < KEY_COUNT; id++)
        params->value[id] = params->mine[id] = rules[id].initial;
    for (unsigned i = 0; i < text_keys_count(offers); i++) {
        int id;

        text_keys_pair(offers, i, &name, &value);
        id = key_find(name);
        if (id < 0)
            continue;
        params->offered[id] = true;
        /* Tests offer illegal values; the target then has to refuse them. */
        if (rules[id].rule != RULE_DIGEST && value_parse(&rules[id], value, &params->mine[id]) &&
            rules[id].rule == RULE_TELL)
            params->value[id] = params->mine[id];
    }
}

void params_deinit(Params *params)
{
    text_keys_free(params->offers);
    params->offers = NULL;
}

static bool result_is_legal(const KeyRule *rule, uint32_t offered, uint32_t answer)
{
    switch (rule->rule) {
    case RULE_AND:
    case RULE_MIN:
        return answer <= offered;
    case RULE_OR:
    case RULE_MAX:
        return answer >= offered;
    default:
        return true;
    }
}

static bool digest_was_offered(const Params *params, const char *name, const char *answer)
{
    g_auto(GStrv) list = g_strsplit(text_keys_get(params->offers, name), ",", -1);

    return g_strv_contains((const char *const *)list, answer);
}

static bool take_answer(Params *params, KeyId id, const char *text, GError **error)
{
    const KeyRule *rule = &rules[id];
    uint32_t value;

    if (params->answered[id])
        return refuse(error, "target answered %s a second time: %s", rule->name, text);
    params->answered[id] = true;
    if (g_str_equal(text, "Irrelevant") || g_str_equal(text, "NotUnderstood") ||
        g_str_equal(text, "Reject"))
        return rule->rule != RULE_DIGEST ||
               refuse(error, "target answered %s=%s", rule->name, text);
    if (!value_parse(rule, text, &value))
        return refuse(error, "target answered %s=%s, which is no legal value", rule->name, text);
    if (!result_is_legal(rule, params->mine[id], value))
        return refuse(error, "target answered %s=%s, offered was %s", rule->name, text,
                      text_keys_get(params->offers, rule->name));
    if (rule->rule == RULE_DIGEST && !digest_was_offered(params, rule->name, text))
        return refuse(error, "target chose %s=%s, which was not offered", rule->name, text);
    params->value[id] = value;
    return true;
}

/* A key the target brought up itself. */
static bool take_offer(Params *params, KeyId id, const char *text, TextKeys *reply, GError **error)
{
    const KeyRule *rule = &rules[id];
    g_autofree char *number = NULL;
    uint32_t value, mine = rule->initial;

    if (rule->rule == RULE_DIGEST) {
        text_keys_add(reply, rule->name, "None");
        return true;
    }
    if (!value_parse(rule, text, &value))
        return refuse(error, "target offered %s=%s, which is no legal value", rule->name, text);
    if (rule->rule == RULE_TELL)
        return refuse(error, "target sent %s=%s, which only initiators may", rule->name, text);
    params->answered[id] = true;
    params->value[id] = value;
    if (rule->rule == RULE_DECLARE)
        return true;
    if (!result_is_legal(rule, value, mine))
        mine = value;
    params->value[id] = mine;
    number = g_strdup_printf("%u", mine);
    text_keys_add(reply, rule->name, rule->highest != 1 ? number : mine ? "Yes" : "No");
    return true;
}

static bool take_unknown(const Params *params, const char *name, const char *text, TextKeys *reply,
                         GError **error)
{
    if (g_strv_contains(told, name))
        return true;
    if (!text_keys_get(params->offers, name)) {
        text_keys_add(reply, name, "NotUnderstood");
        return true;
    }
    if (!g_str_equal(text, "NotUnderstood") && !g_str_equal(text, "Reject"))
        return refuse(error, "target answered the unknown key %s with %s", name, text);
    return true;
}

bool params_take(Params *params, const TextKeys *from_target, TextKeys *reply, GError **error)
{
    const char *name, *text;

    for (unsigned i = 0; i < text_keys_count(from_target); i++) {
        int id;
        bool good;

        text_keys_pair(from_target, i, &name, &text);
        id = key_find(name);
        if (id < 0)
            good = take_unknown(params, name, text, reply, error);
        else if (params->offered[id] && rules[id].rule != RULE_DECLARE)
            good = take_answer(params, (KeyId)id, text, error);
        else
            good = take_offer(params, (KeyId)id, text, reply, error);
        if (!good)
            return false;
    }
    return true;
}

bool params_complete(const Params *params, GError **error)
{
    for (int id = 0; id < KEY_COUNT; id++)
        if (params->offered[id] && !params->answered[id] && rules[id].rule != RULE_DECLARE &&
            rules[id].rule != RULE_TELL)
            return refuse(error, "target never answered %s", rules[id].name);
    if (params->value[KEY_FIRST_BURST] > params->value[KEY_MAX_BURST])
        return refuse(error, "FirstBurstLength %u above MaxBurstLength %u",
                      params->value[KEY_FIRST_BURST], params->value[KEY_MAX_BURST]);
    return true;
}
