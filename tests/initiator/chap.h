/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CHAP from the initiator's side (RFC 7143 section 12.1.3). */
#pragma once

#include "tests/initiator/text.h"

#include <stdbool.h>

#define CHAP_CHALLENGE 24 /* bytes of ours */

/* What a session says and wants to hear. The strings are the caller's. */
typedef struct {
    const char *user, *secret;               /* NULL: AuthMethod=None is all there is */
    const char *target_user, *target_secret; /* NULL: the target need not prove itself */
    const char *algorithms;                  /* as in CHAP_A; NULL: all four */
    bool base64;                             /* how binary values are written */
    bool reflect;                            /* send the target's own challenge back to it */
} ChapOptions;

typedef struct {
    unsigned algorithm;   /* that the target chose; 0: it has not */
    bool sent, confirmed; /* our response; the target's, which was right */
    uint8_t identifier, challenge[CHAP_CHALLENGE];
} ChapState;

/* Takes what the target said of CHAP out of `from_target` and puts what must be said into `reply`.
 * False with error: it broke the rules, or its proof is wrong. */
bool chap_take(const ChapOptions *options, ChapState *state, TextKeys *from_target, TextKeys *reply,
               GError **error);
/* Whether everything that was wanted has been proved. */
bool chap_complete(const ChapOptions *options, const ChapState *state, GError **error);

/* Hash of identifier, secret and challenge; NULL: no such algorithm. */
GBytes *chap_response(unsigned algorithm, uint8_t identifier, const char *secret,
                      const uint8_t *challenge, size_t len);
/* "0x..." or "0b...", the caller's. */
char *chap_encode(GBytes *bytes, bool base64);
/* "0x..." alone: nothing obliges a target to anything else. NULL: it is none. */
GBytes *chap_decode(const char *text);
