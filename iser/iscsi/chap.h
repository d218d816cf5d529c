/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CHAP exchange of a login (RFC 7143 12.1.3, RFC 1994), in the role of the target: which keys
 * must come in which request, and what they prove. It sends nothing itself. */
#pragma once

#include "iser/iscsi/auth.h"
#include "iser/iscsi/text.h"

#define CHAP_HASH_MAX   32
#define CHAP_BINARY_MAX 1024 /* bytes of a challenge or response (12.1.3) */

typedef enum {
    CHAP_WAITS_METHOD,    /* AuthMethod is not negotiated */
    CHAP_WAITS_ALGORITHM, /* for CHAP_A */
    CHAP_WAITS_RESPONSE,  /* for CHAP_N and CHAP_R, perhaps CHAP_I and CHAP_C */
    CHAP_PROVED,          /* the initiator is who it says */
} ChapState;

typedef struct {
    const AuthPolicy *policy; /* outlives this */
    ChapState state;
    unsigned algorithm; /* ChapAlgorithm, chosen */
    const char *user;   /* who has proved itself; the policy's */
    bool mutual;        /* and so have we */
    const char *reason; /* of a failure: static text */

    uint8_t identifier;
    uint8_t challenge[CHAP_HASH_MAX];
    size_t challenge_len;
    char *given[5]; /* values of the keys in the request at work, by ChapKey */
} Chap;

void chap_init(Chap *chap, const AuthPolicy *policy);
void chap_clear(Chap *chap);

/* AuthMethod=CHAP was agreed on. */
void chap_begin(Chap *chap);
/* A key that begins with CHAP_; false: unknown, or twice in a request. */
bool chap_take_key(Chap *chap, const char *key, const char *value);
/* All keys of a request are there: answers them. False: the login has failed (`reason`). */
bool chap_step(Chap *chap, TextWriter *answer);

/* The response to a challenge: hash of identifier, secret and challenge. Returns its length, 0: no
 * such algorithm. Pure. */
size_t chap_hash(unsigned algorithm, uint8_t identifier, const Secret *secret,
                 const uint8_t *challenge, size_t len, uint8_t out[CHAP_HASH_MAX]);
