/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operational keys an initiator offers and what the two sides agreed on (RFC 7143 section 13,
 * RFC 7145 section 6). */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "tests/initiator/text.h"

typedef enum {
    KEY_HEADER_DIGEST,
    KEY_DATA_DIGEST,
    KEY_MAX_CONNECTIONS,
    KEY_INITIAL_R2T,
    KEY_IMMEDIATE_DATA,
    KEY_MAX_RECV_DSL,
    KEY_MAX_BURST,
    KEY_FIRST_BURST,
    KEY_TIME2WAIT,
    KEY_TIME2RETAIN,
    KEY_MAX_R2T,
    KEY_PDU_IN_ORDER,
    KEY_SEQUENCE_IN_ORDER,
    KEY_RECOVERY_LEVEL,
    KEY_PROTOCOL_LEVEL,
    KEY_RDMA_EXTENSIONS,
    KEY_TARGET_RECV_DSL,
    KEY_INITIATOR_RECV_DSL,
    KEY_MAX_UNEXPECTED,
    KEY_MAX_AHS,
    KEY_SOLICITED_ONLY,
    KEY_HELLO_REQUIRED,
    KEY_COUNT,
} KeyId;

/* One thread. Values are numbers; booleans and digests are 0 or 1. */
typedef struct {
    TextKeys *offers;          /* what we send in the operational stage */
    uint32_t value[KEY_COUNT]; /* agreed, or for declared keys what the target declared */
    uint32_t mine[KEY_COUNT];  /* declared by us */
    bool offered[KEY_COUNT];
    bool answered[KEY_COUNT];
} Params;

/* The values before any negotiation; takes `offers` over. A pair with an unknown name is offered
 * too, its answer must then be NotUnderstood. */
void params_init(Params *params, TextKeys *offers);
void params_deinit(Params *params);

/* Judges what the target sent: answers to our offers and its own keys. What must be said in return
 * is added to `reply`. An illegal answer is an error that quotes it. */
bool params_take(Params *params, const TextKeys *from_target, TextKeys *reply, GError **error);

/* Whether every offer that needs an answer has one. */
bool params_complete(const Params *params, GError **error);
