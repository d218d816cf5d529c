/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of keys and what is done with a row of it. */
#include "iser/iscsi/keys.h"

#include "iser/iscsi/settings.h"

#include <string.h>

#define MAX24       0xffffffu
#define MAX32       0xffffffffu
#define TEXT_LENGTH 255 /* bytes (6.1) */

#define BOTH  (KEY_BY_INITIATOR | KEY_BY_TARGET)
#define LOGIN (KEY_IN_OPERATIONAL)
#define NAMES (KEY_IN_SECURITY | KEY_IN_OPERATIONAL)
#define ALL   (KEY_IN_SECURITY | KEY_IN_OPERATIONAL | KEY_IN_FULL_FEATURE)
#define TUNED (KEY_IN_FILE | KEY_SHOWN)

#define FIELD(member) .offset = offsetof(IscsiParams, member), .peer_offset = KEY_NOWHERE
#define PEER(member, theirs) \
    .offset = offsetof(IscsiParams, member), .peer_offset = offsetof(IscsiParams, theirs)
#define RANGE(low, high) .min = (low), .max = (high), .file_min = (low), .file_max = (high)
#define LIMITED(low, high, file_low, file_high) \
    .min = (low), .max = (high), .file_min = (file_low), .file_max = (file_high)
#define VALUES(standard, rtgt) .initial = (standard), .ours = (rtgt)

static const char *const digests[] = {"None", "CRC32C", NULL};
static const char *const reports[] = {"RFC3720", "ResponseFence", "FastAbort", NULL};

#define DIGESTS (ISCSI_DIGEST_NONE | ISCSI_DIGEST_CRC32C)
#define REPORTS (ISCSI_REPORT_RFC3720 | ISCSI_REPORT_RESPONSE_FENCE)

/* clang-format off */
const KeyRow iscsi_keys[] = {
    /* RFC 7143 section 13 */
    {"HeaderDigest", KEY_LIST, BOTH | LOGIN | TUNED, LIMITED(0, 0, 0, DIGESTS),
     VALUES(ISCSI_DIGEST_NONE, DIGESTS), FIELD(header_digest), .choices = digests},
    {"DataDigest", KEY_LIST, BOTH | LOGIN | TUNED, LIMITED(0, 0, 0, DIGESTS),
     VALUES(ISCSI_DIGEST_NONE, DIGESTS), FIELD(data_digest), .choices = digests},
    {"MaxConnections", KEY_MIN, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, LIMITED(1, 65535, 1, 1),
     VALUES(1, 1), FIELD(max_connections)},
    {"SendTargets", KEY_TEXT, KEY_BY_INITIATOR | KEY_IN_FULL_FEATURE},
    {"TargetName", KEY_TEXT, BOTH | NAMES},
    {"InitiatorName", KEY_TEXT, KEY_BY_INITIATOR | NAMES},
    {"TargetAlias", KEY_TEXT, KEY_BY_TARGET | ALL | KEY_IN_FILE},
    {"InitiatorAlias", KEY_TEXT, KEY_BY_INITIATOR | ALL},
    {"TargetAddress", KEY_TEXT, KEY_BY_TARGET | ALL},
    {"TargetPortalGroupTag", KEY_TEXT, KEY_BY_TARGET | NAMES},
    {"InitialR2T", KEY_OR, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, RANGE(0, 1), VALUES(1, 0),
     FIELD(initial_r2t)},
    {"ImmediateData", KEY_AND, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, RANGE(0, 1), VALUES(1, 1),
     FIELD(immediate_data)},
    {"MaxRecvDataSegmentLength", KEY_DECLARED, BOTH | LOGIN | KEY_IN_FULL_FEATURE | TUNED,
     LIMITED(512, MAX24, 512, MAX24), VALUES(8192, 262144),
     PEER(max_recv_data_segment_length, peer_max_recv_data_segment_length)},
    {"MaxBurstLength", KEY_MIN, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, RANGE(512, MAX24),
     VALUES(262144, 1048576), FIELD(max_burst_length)},
    {"FirstBurstLength", KEY_MIN, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, RANGE(512, MAX24),
     VALUES(65536, 16384), FIELD(first_burst_length)},
    {"DefaultTime2Wait", KEY_MAX, BOTH | LOGIN | TUNED, RANGE(0, 3600), VALUES(2, 2),
     FIELD(default_time2wait)},
    {"DefaultTime2Retain", KEY_MIN, BOTH | LOGIN | TUNED, RANGE(0, 3600), VALUES(20, 0),
     FIELD(default_time2retain)},
    {"MaxOutstandingR2T", KEY_MIN, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, RANGE(1, 65535),
     VALUES(1, 16), FIELD(max_outstanding_r2t)},
    {"DataPDUInOrder", KEY_OR, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, LIMITED(0, 1, 1, 1),
     VALUES(1, 1), FIELD(data_pdu_in_order)},
    {"DataSequenceInOrder", KEY_OR, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, LIMITED(0, 1, 1, 1),
     VALUES(1, 1), FIELD(data_sequence_in_order)},
    {"ErrorRecoveryLevel", KEY_MIN, BOTH | LOGIN | TUNED, LIMITED(0, 2, 0, 0), VALUES(0, 0),
     FIELD(error_recovery_level)},
    {"SessionType", KEY_TEXT, KEY_BY_INITIATOR | NAMES},
    {"TaskReporting", KEY_LIST, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, LIMITED(0, 0, 0, REPORTS),
     VALUES(ISCSI_REPORT_RFC3720, REPORTS), FIELD(task_reporting), .choices = reports},
    {"AuthMethod", KEY_TEXT, BOTH | KEY_IN_SECURITY},
    {"CHAP_A", KEY_TEXT, BOTH | KEY_IN_SECURITY},
    {"CHAP_N", KEY_TEXT, BOTH | KEY_IN_SECURITY},
    {"CHAP_R", KEY_TEXT, BOTH | KEY_IN_SECURITY},
    {"CHAP_I", KEY_TEXT, BOTH | KEY_IN_SECURITY},
    {"CHAP_C", KEY_TEXT, BOTH | KEY_IN_SECURITY},
    {"OFMarker", KEY_REFUSED, BOTH | LOGIN},
    {"IFMarker", KEY_REFUSED, BOTH | LOGIN},
    {"OFMarkInt", KEY_REFUSED, BOTH | LOGIN},
    {"IFMarkInt", KEY_REFUSED, BOTH | LOGIN},
    /* RFC 7144 */
    {"iSCSIProtocolLevel", KEY_MIN, BOTH | LOGIN | TUNED | KEY_NORMAL_ONLY, LIMITED(0, 31, 0, 2),
     VALUES(1, 2), FIELD(iscsi_protocol_level)},
    /* RFC 7145 section 6 */
    {"RDMAExtensions", KEY_AND, BOTH | LOGIN | KEY_SHOWN, RANGE(0, 1), VALUES(0, 1),
     FIELD(rdma_extensions)},
    {"TargetRecvDataSegmentLength", KEY_MIN, BOTH | LOGIN | TUNED | KEY_RDMA_ONLY,
     LIMITED(512, MAX24, 512, 262144), VALUES(8192, 8192), FIELD(target_recv_data_segment_length)},
    {"InitiatorRecvDataSegmentLength", KEY_MIN, BOTH | LOGIN | TUNED | KEY_RDMA_ONLY,
     RANGE(512, MAX24), VALUES(8192, 8192), FIELD(initiator_recv_data_segment_length)},
    {"MaxOutstandingUnexpectedPDUs", KEY_DECLARED, BOTH | LOGIN | TUNED | KEY_RDMA_ONLY,
     RANGE(0, MAX32), VALUES(0, 0),
     PEER(max_outstanding_unexpected_pdus, peer_max_outstanding_unexpected_pdus)},
    {"MaxAHSLength", KEY_DECLARED, BOTH | LOGIN | TUNED | KEY_RDMA_ONLY, LIMITED(0, MAX32, 0, 1020),
     VALUES(256, 256), FIELD(max_ahs_length)},
    {"TaggedBufferForSolicitedDataOnly", KEY_DECLARED_BOOL,
     KEY_BY_INITIATOR | LOGIN | KEY_SHOWN | KEY_RDMA_ONLY, RANGE(0, 1),
     VALUES(1, 0), /* No by the standard, but the initiators in use declare nothing and mean Yes */
     FIELD(tagged_buffer_for_solicited_data_only)},
    {"iSERHelloRequired", KEY_DECLARED_BOOL, KEY_BY_INITIATOR | LOGIN | KEY_SHOWN | KEY_RDMA_ONLY,
     RANGE(0, 1), VALUES(0, 0), FIELD(iser_hello_required)},
    /* rtgt's own */
    {"queue-depth", KEY_OWN, KEY_IN_FILE, RANGE(8, 4096), VALUES(128, 128), FIELD(queue_depth)},
    {"nop-interval", KEY_OWN, KEY_IN_FILE, RANGE(0, 3600), VALUES(30, 30), FIELD(nop_interval)},
    {"nop-timeout", KEY_OWN, KEY_IN_FILE, RANGE(1, 3600), VALUES(10, 10), FIELD(nop_timeout)},
    {"max-sessions", KEY_OWN, KEY_IN_FILE, RANGE(0, 65535), VALUES(0, 0), FIELD(max_sessions)},
    {"max-sessions-per-initiator", KEY_OWN, KEY_IN_FILE, RANGE(0, 65535), VALUES(0, 0),
     FIELD(max_sessions_per_initiator)},
    {"chap-user", KEY_SETTING, KEY_IN_FILE},
    {"chap-mutual-user", KEY_SETTING, KEY_IN_FILE},
    {"chap-algorithms", KEY_SETTING, KEY_IN_FILE},
    {"portal-groups", KEY_SETTING, KEY_IN_FILE},
    {"redirect", KEY_SETTING, KEY_IN_FILE},
    {"redirect-permanently", KEY_SETTING, KEY_IN_FILE},
};
/* clang-format on */
const unsigned iscsi_keys_count = G_N_ELEMENTS(iscsi_keys);
G_STATIC_ASSERT(G_N_ELEMENTS(iscsi_keys) <= 64);

const char *const iscsi_file_keys[] = {
    "HeaderDigest",
    "DataDigest",
    "MaxConnections",
    "TargetAlias",
    "InitialR2T",
    "ImmediateData",
    "MaxRecvDataSegmentLength",
    "MaxBurstLength",
    "FirstBurstLength",
    "DefaultTime2Wait",
    "DefaultTime2Retain",
    "MaxOutstandingR2T",
    "DataPDUInOrder",
    "DataSequenceInOrder",
    "ErrorRecoveryLevel",
    "TaskReporting",
    "iSCSIProtocolLevel",
    "TargetRecvDataSegmentLength",
    "InitiatorRecvDataSegmentLength",
    "MaxOutstandingUnexpectedPDUs",
    "MaxAHSLength",
    "queue-depth",
    "nop-interval",
    "nop-timeout",
    "max-sessions",
    "max-sessions-per-initiator",
    "chap-user",
    "chap-mutual-user",
    "chap-algorithms",
    "portal-groups",
    "redirect",
    "redirect-permanently",
    NULL,
};

const KeyRow *keys_find(const char *name)
{
    for (unsigned i = 0; i < iscsi_keys_count; i++)
        if (!strcmp(iscsi_keys[i].name, name))
            return &iscsi_keys[i];
    return NULL;
}

/* --- values ------------------------------------------------------------------------------------*/

static bool row_is_bool(const KeyRow *row)
{
    return row->type == KEY_AND || row->type == KEY_OR || row->type == KEY_DECLARED_BOOL;
}

static bool row_has_value(const KeyRow *row)
{
    return row->type != KEY_TEXT && row->type != KEY_REFUSED && row->type != KEY_SETTING;
}

static uint32_t row_get(const KeyRow *row, const IscsiParams *params, size_t offset)
{
    const char *field = (const char *)params + offset;
    return row_is_bool(row) ? *(const bool *)field : *(const uint32_t *)field;
}

static void row_put(const KeyRow *row, IscsiParams *params, size_t offset, uint32_t value)
{
    char *field = (char *)params + offset;
    if (row_is_bool(row))
        *(bool *)field = value;
    else
        *(uint32_t *)field = value;
}

void keys_initial(IscsiParams *out)
{
    *out = (IscsiParams){0};
    for (const KeyRow *row = iscsi_keys; row < iscsi_keys + iscsi_keys_count; row++) {
        if (!row_has_value(row))
            continue;
        row_put(row, out, row->offset, row->initial);
        if (row->peer_offset != KEY_NOWHERE)
            row_put(row, out, row->peer_offset, row->initial);
    }
}

void keys_ours(IscsiParams *out)
{
    keys_initial(out);
    for (const KeyRow *row = iscsi_keys; row < iscsi_keys + iscsi_keys_count; row++)
        if (row_has_value(row))
            row_put(row, out, row->offset, row->ours);
}

bool keys_parse_number(const char *text, uint32_t *out)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *p = hex ? text + 2 : text;
    uint64_t value = 0;
    if (!*p)
        return false;
    for (; *p; p++) {
        int digit = hex ? g_ascii_xdigit_value(*p) : g_ascii_digit_value(*p);
        if (digit < 0)
            return false;
        value = value * (hex ? 16 : 10) + (unsigned)digit;
        if (value > MAX32)
            return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool parse_bool(const char *text, uint32_t *out)
{
    *out = !strcmp(text, "Yes");
    return *out || !strcmp(text, "No");
}

/* The bit of the choice that `name`, `len` long, is; 0: none. */
static uint32_t choice_bit(const KeyRow *row, const char *name, size_t len)
{
    for (unsigned i = 0; row->choices[i]; i++)
        if (strlen(row->choices[i]) == len && !memcmp(row->choices[i], name, len))
            return 1u << i;
    return 0;
}

/* The first value of a list that is in `allowed`; 0: none. */
static uint32_t first_choice(const KeyRow *row, const char *list, uint32_t allowed)
{
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        uint32_t bit = choice_bit(row, p, len) & allowed;
        if (bit)
            return bit;
        p += len;
        if (!*p)
            return 0;
    }
}

static const char *choice_name(const KeyRow *row, uint32_t bit)
{
    for (unsigned i = 0; row->choices[i]; i++)
        if (bit & 1u << i)
            return row->choices[i];
    return "None";
}

static void print_value(const KeyRow *row, uint32_t value, char out[KEY_ANSWER_MAX])
{
    if (row->type == KEY_LIST)
        g_strlcpy(out, choice_name(row, value), KEY_ANSWER_MAX);
    else if (row_is_bool(row))
        g_strlcpy(out, value ? "Yes" : "No", KEY_ANSWER_MAX);
    else
        g_snprintf(out, KEY_ANSWER_MAX, "%u", value);
}

bool keys_declare(KeyNegotiation *n, const char *key, char out[KEY_ANSWER_MAX])
{
    const KeyRow *row = keys_find(key);
    uint32_t ours = row_get(row, n->offer, row->offset);
    row_put(row, n->negotiated, row->offset, ours);
    print_value(row, ours, out);
    return !(n->seen & UINT64_C(1) << (row - iscsi_keys));
}

GVariant *keys_to_variant(const IscsiParams *params)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (const KeyRow *row = iscsi_keys; row < iscsi_keys + iscsi_keys_count; row++) {
        if (!(row->use & KEY_SHOWN))
            continue;
        uint32_t value = row_get(row, params, row->offset);
        GVariant *v = row->type == KEY_LIST ? g_variant_new_string(choice_name(row, value))
                      : row_is_bool(row)    ? g_variant_new_boolean(value != 0)
                                            : g_variant_new_uint32(value);
        g_variant_builder_add(&builder, "{sv}", row->name, v);
    }
    g_variant_builder_add(&builder, "{sv}", "InitiatorMaxRecvDataSegmentLength",
                          g_variant_new_uint32(params->peer_max_recv_data_segment_length));
    return g_variant_builder_end(&builder);
}

/* --- keyfile -----------------------------------------------------------------------------------*/

static bool complain(GError **error, const KeyRow *row, const char *value, const char *right)
{
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "%s=%s: must be %s",
                row->name, value, right);
    return false;
}

static bool set_list(const KeyRow *row, const char *value, uint32_t *out, GError **error)
{
    *out = 0;
    for (const char *p = value;; p++) {
        size_t len = strcspn(p, ",");
        uint32_t bit = choice_bit(row, p, len) & row->file_max;
        if (!bit) {
            g_autofree char *names = g_strjoinv(" or ", (char **)row->choices);
            return complain(error, row, value, names);
        }
        *out |= bit;
        p += len;
        if (!*p)
            return true;
    }
}

static bool set_bool(const KeyRow *row, const char *value, uint32_t *out, GError **error)
{
    if (!parse_bool(value, out) || *out < row->file_min || *out > row->file_max)
        return complain(error, row, value,
                        row->file_min == row->file_max ? (row->file_min ? "Yes" : "No")
                                                       : "Yes or No");
    return true;
}

static bool set_number(const KeyRow *row, const char *value, uint32_t *out, GError **error)
{
    if (keys_parse_number(value, out) && *out >= row->file_min && *out <= row->file_max)
        return true;
    char right[64];
    if (row->file_min == row->file_max)
        g_snprintf(right, sizeof right, "%u", row->file_min);
    else
        g_snprintf(right, sizeof right, "a number from %u to %u", row->file_min, row->file_max);
    return complain(error, row, value, right);
}

bool keys_set(IscsiParams *offer, const char *name, const char *value, GError **error)
{
    const KeyRow *row = keys_find(name);
    if (!row || !(row->use & KEY_IN_FILE)) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND,
                    "%s: no such iSCSI parameter", name);
        return false;
    }
    if (row->type == KEY_SETTING)
        return settings_check(name, value, error);
    if (row->type == KEY_TEXT)
        return strlen(value) <= TEXT_LENGTH || complain(error, row, value, "at most 255 bytes");
    uint32_t number;
    bool ok = row->type == KEY_LIST ? set_list(row, value, &number, error)
              : row_is_bool(row)    ? set_bool(row, value, &number, error)
                                    : set_number(row, value, &number, error);
    if (ok && offer)
        row_put(row, offer, row->offset, number);
    return ok;
}

/* --- negotiation -------------------------------------------------------------------------------*/

/* An answer to something this side declared: it ends there. */
static bool is_reserved_answer(const char *value)
{
    return !strcmp(value, "NotUnderstood") || !strcmp(value, "Reject") ||
           !strcmp(value, "Irrelevant");
}

static KeyOutcome answer_with(char answer[KEY_ANSWER_MAX], const char *text)
{
    g_strlcpy(answer, text, KEY_ANSWER_MAX);
    return KEY_ANSWER;
}

static bool is_irrelevant(const KeyNegotiation *n, const KeyRow *row)
{
    return (n->discovery && row->use & KEY_NORMAL_ONLY) ||
           (row->use & KEY_RDMA_ONLY && !n->offer->rdma_extensions);
}

static KeyOutcome negotiate_list(const KeyNegotiation *n, const KeyRow *row, const char *value,
                                 char answer[KEY_ANSWER_MAX])
{
    uint32_t bit = first_choice(row, value, row_get(row, n->offer, row->offset));
    if (!bit)
        return answer_with(answer, "Reject");
    row_put(row, n->negotiated, row->offset, bit);
    return answer_with(answer, choice_name(row, bit));
}

static KeyOutcome negotiate_bool(const KeyNegotiation *n, const KeyRow *row, const char *value,
                                 char answer[KEY_ANSWER_MAX])
{
    uint32_t theirs;
    if (!parse_bool(value, &theirs))
        return answer_with(answer, "Reject");
    uint32_t ours = row_get(row, n->offer, row->offset);
    if (row->type != KEY_DECLARED_BOOL)
        theirs = row->type == KEY_AND ? (theirs & ours) : (theirs | ours);
    row_put(row, n->negotiated, row->offset, theirs);
    if (row->type == KEY_DECLARED_BOOL)
        return KEY_SILENT;
    print_value(row, theirs, answer);
    return KEY_ANSWER;
}

static KeyOutcome negotiate_number(const KeyNegotiation *n, const KeyRow *row, const char *value,
                                   char answer[KEY_ANSWER_MAX])
{
    uint32_t theirs;
    if (!keys_parse_number(value, &theirs) || theirs < row->min || theirs > row->max)
        return answer_with(answer, "Reject");
    if (row->type == KEY_DECLARED) {
        if (row->peer_offset != KEY_NOWHERE)
            row_put(row, n->negotiated, row->peer_offset, theirs);
    }
    uint32_t ours = row_get(row, n->offer, row->offset);
    uint32_t result = row->type == KEY_MIN   ? MIN(theirs, ours)
                      : row->type == KEY_MAX ? MAX(theirs, ours)
                                             : ours;
    row_put(row, n->negotiated, row->offset, result);
    print_value(row, result, answer);
    return KEY_ANSWER;
}

KeyOutcome keys_negotiate(KeyNegotiation *n, const char *key, const char *value,
                          char answer[KEY_ANSWER_MAX])
{
    const KeyRow *row = keys_find(key);
    if (!row || row->type == KEY_OWN || row->type == KEY_SETTING)
        return is_reserved_answer(value) ? KEY_SILENT : answer_with(answer, "NotUnderstood");
    if (is_reserved_answer(value))
        return KEY_SILENT;
    if (row->type == KEY_REFUSED || !(row->use & KEY_BY_INITIATOR) || !(row->use & n->phase))
        return answer_with(answer, "Reject");
    if (row->type == KEY_TEXT)
        return KEY_CALLER;
    uint64_t bit = UINT64_C(1) << (row - iscsi_keys);
    if (n->seen & bit)
        return KEY_DUPLICATE;
    n->seen |= bit;
    if (is_irrelevant(n, row))
        return answer_with(answer, "Irrelevant");
    if (row->type == KEY_LIST)
        return negotiate_list(n, row, value, answer);
    return row_is_bool(row) ? negotiate_bool(n, row, value, answer)
                            : negotiate_number(n, row, value, answer);
}
