/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What carries PDUs: TCP or iSER. A wire belongs to the thread that opened it. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "tests/initiator/keys.h"
#include "tests/initiator/pdu.h"

typedef struct Wire Wire;
typedef struct WireOps WireOps;

/* How the wire reports to the session above; both are called inside `turn` only. */
typedef struct {
    void (*received)(void *user, const Pdu *pdu); /* the PDU is lent for the call */
    void (*violation)(void *user, const Pdu *pdu, const char *what); /* `pdu` may be NULL */
    void *user;
} WireSink;

typedef struct {
    const char *host;
    const char *port;
    size_t arena;          /* bytes of data memory commands may use */
    unsigned depth;        /* commands outstanding at most */
    uint32_t max_data;     /* the longest data segment we will receive */
    int timeout_ms;        /* for connecting */
    bool invalidate;       /* iSER: offer Send-with-Invalidate */
    const GBytes *cm_data; /* iSER: private data instead of ours; NULL: ours */
} WireOptions;

struct WireOps {
    bool
        data_in_pdus; /* Data-In, R2T and solicited Data-Out exist; else data are placed remotely */
    /* Blocks until connected. `sink` is copied. */
    Wire *(*open)(const WireOptions *options, const WireSink *sink, GError **error);
    void (*close)(Wire *wire);
    /* Memory for data, at least `arena` bytes; the wire's. */
    uint8_t *(*memory)(Wire *wire);
    /* The keys this wire needs beside those of every session. */
    void (*add_offers)(const WireOptions *options, TextKeys *offers);
    /* Login is over: digests, data segment lengths and the like hold from the next PDU on. */
    bool (*full_feature)(Wire *wire, const Params *params, GError **error);
    /* Queues; `turn` sends. */
    void (*send)(Wire *wire, const Pdu *pdu);
    /* Queues bytes as they are: any stream on TCP, one message on iSER. Copied. */
    void (*send_raw)(Wire *wire, const void *bytes, size_t len);
    /* Spoils the digests of the PDUs queued from now on. */
    void (*spoil_digest)(Wire *wire, bool header, bool data);
    /* Sends what is queued and hands over what has arrived; waits up to `timeout_ms` (-1: for
     * ever) when there was nothing to do. False: the connection is gone, `error` says why. */
    bool (*turn)(Wire *wire, int timeout_ms, GError **error);
};

struct Wire {
    const WireOps *ops;
    WireSink sink;
};

extern const WireOps wire_tcp;
extern const WireOps wire_iser;
