/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of iSCSI: every one of RFC 7143 section 13, RFC 7145 section 6 and RFC 7144 as one row
 * of a table, which negotiates it, checks and sets it from the keyfile, and shows its value. Pure,
 * any thread. */
#pragma once

#include "iser/iscsi/params.h"

#include <glib.h>

typedef enum {
    KEY_AND,           /* boolean, result is AND */
    KEY_OR,            /* boolean, result is OR */
    KEY_MIN,           /* number, result is the smaller */
    KEY_MAX,           /* number, result is the larger */
    KEY_LIST,          /* first of the offered values that is allowed here */
    KEY_DECLARED,      /* number, each side declares its own */
    KEY_DECLARED_BOOL, /* boolean, the same */
    KEY_TEXT,          /* for the login and text phases themselves: names, SendTargets, ... */
    KEY_REFUSED,       /* obsolete: always Reject */
    KEY_OWN,           /* a number of rtgt's own: keyfile only */
    KEY_SETTING,       /* text of rtgt's own, for settings.c to check: keyfile only */
} KeyType;

/* Where a key may come from and when. */
enum {
    KEY_BY_INITIATOR = 1 << 0,
    KEY_BY_TARGET = 1 << 1,
    KEY_IN_SECURITY = 1 << 2,
    KEY_IN_OPERATIONAL = 1 << 3,
    KEY_IN_FULL_FEATURE = 1 << 4,
    KEY_NORMAL_ONLY = 1 << 5, /* Irrelevant in a discovery session */
    KEY_RDMA_ONLY = 1 << 6,   /* Irrelevant without RDMAExtensions */
    KEY_IN_FILE = 1 << 7,     /* may be set in the keyfile */
    KEY_SHOWN = 1 << 8,       /* among the negotiated values of a session */
};

typedef struct {
    const char *name;
    KeyType type;
    unsigned use;
    uint32_t min, max;           /* of the standard */
    uint32_t file_min, file_max; /* of what rtgt can do; lists: the set of allowed bits */
    uint32_t initial;            /* the standard's default */
    uint32_t ours;               /* what rtgt offers unless told otherwise */
    size_t offset;               /* in IscsiParams: ours, and the result */
    size_t peer_offset;          /* KEY_DECLARED: theirs; KEY_NOWHERE: not kept */
    const char *const *choices;  /* KEY_LIST: names of the bits; NULL-terminated */
} KeyRow;

#define KEY_NOWHERE ((size_t)-1)

extern const KeyRow iscsi_keys[];
extern const unsigned iscsi_keys_count; /* at most 64 */
/* The names with KEY_IN_FILE; NULL-terminated. */
extern const char *const iscsi_file_keys[];

const KeyRow *keys_find(const char *name); /* NULL: unknown */

/* The values that hold before any negotiation (the standard's defaults). */
void keys_initial(IscsiParams *out);
/* What rtgt offers unless configured otherwise. */
void keys_ours(IscsiParams *out);

/* Checks a keyfile value and sets it in `offer` (which may be NULL: only check). Of a KEY_TEXT key
 * (TargetAlias) and of a KEY_SETTING the value is the caller's to keep. */
bool keys_set(IscsiParams *offer, const char *name, const char *value, GError **error);

/* Negotiated values by standard name: a floating a{sv}. */
GVariant *keys_to_variant(const IscsiParams *params);

/* --- negotiation, in the role of the responder -------------------------------------------------*/

#define KEY_ANSWER_MAX 64

typedef struct {
    const IscsiParams *offer; /* what this side allows */
    IscsiParams *negotiated;  /* results; begins as keys_initial() */
    bool discovery;
    unsigned phase; /* one of KEY_IN_SECURITY, _OPERATIONAL, _FULL_FEATURE */
    uint64_t seen;  /* bit per row of iscsi_keys: was offered or declared by the initiator */
} KeyNegotiation;

typedef enum {
    KEY_ANSWER,    /* answer is to be sent back; to a declaration: this side's own */
    KEY_SILENT,    /* nothing to send: one-sided, or an answer to ours */
    KEY_CALLER,    /* a KEY_TEXT key in its right place: the caller's affair */
    KEY_DUPLICATE, /* offered twice: the negotiation has failed (7143 6.3) */
} KeyOutcome;

KeyOutcome keys_negotiate(KeyNegotiation *negotiation, const char *key, const char *value,
                          char answer[KEY_ANSWER_MAX]);
/* Sets this side's value of a declared key among the results and prints it; true: the initiator has
 * not declared its own, so that this one has not gone out as an answer. */
bool keys_declare(KeyNegotiation *negotiation, const char *key, char out[KEY_ANSWER_MAX]);

/* Decimal or 0x hexadecimal without sign or blanks, at most 2^32-1. */
bool keys_parse_number(const char *text, uint32_t *out);
