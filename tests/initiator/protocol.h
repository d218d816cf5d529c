/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the protocol tests share. They write to the first 64 MiB of the LUN in RTGT_URL.
 *
 * Around every test a witness session stays logged in; afterwards it, and a new session, must still
 * read back what they write. Breaches of the standard fail a test, unless RTGT_LENIENT is set. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/initiator/login.h"
#include "tests/initiator/scsi.h"

/* How long a target may take for an answer before it counts as none, and to say nothing at all. */
#define PATIENCE_MS 10000
#define SILENCE_MS  300

#define PROTOCOL_ARENA (33U << 20)
#define PROTOCOL_DEPTH 512

extern Url *protocol_url;

typedef enum {
    OUTCOME_NOTHING,
    OUTCOME_GOOD,
    OUTCOME_STATUS, /* any other status or response */
    OUTCOME_REJECT,
    OUTCOME_CLOSED,
} Outcome;

/* The options of a session with the keys of a comma-separated list, which may be NULL. */
void protocol_options(SessionOptions *options, const char *keys);
/* Connected, not logged in; fails the test if that does not work. */
Session *protocol_connect(const char *keys);
/* Logged in and ready; fails the test if that does not work. */
Session *protocol_open(const char *keys);
/* Logs out; fails the test if the target did anything it may not. */
void protocol_close(Session *session);
/* Closes without a word. */
void protocol_drop(Session *session);

uint8_t *protocol_memory(Session *session);
/* Known once protocol_open has succeeded. */
uint32_t protocol_block_size(void);

/* Fills memory with a pattern of its own, or tells whether it holds that. */
void protocol_pattern(uint8_t *memory, uint32_t len, uint32_t seed);
bool protocol_is_pattern(const uint8_t *memory, uint32_t len, uint32_t seed);
/* Writes `len` bytes of a pattern at the block, reads them back and compares. */
void protocol_write_read(Session *session, uint64_t lba, uint32_t len, uint32_t seed);
/* Just one way; the command must succeed. */
void protocol_write(Session *session, uint64_t lba, uint32_t len, uint32_t seed);
bool protocol_reads_back(Session *session, uint64_t lba, uint32_t len, uint32_t seed);

/* A SCSI Command PDU for a task of session_expect, with all fields right. */
Pdu protocol_command(Session *session, const Task *task);
/* What comes of it: of the task if there is one, or a Reject, or the end of the connection. */
Outcome protocol_outcome(Session *session, const Task *task, int timeout_ms);
/* The session still answers a ping. */
void protocol_ping(Session *session, uint32_t len);

int protocol_setup(void **state);
int protocol_teardown(void **state);
#define PROTOCOL_TEST(f) cmocka_unit_test_setup_teardown(f, protocol_setup, protocol_teardown)

/* Each runs its group and returns as unit_run does. */
int protocol_auth_tests(void); /* for a target with CHAP alone */
int protocol_login_tests(void);
int protocol_data_tests(void);
int protocol_session_tests(void);
int protocol_tmf_tests(void);
int protocol_bad_tests(void);
/* Needs a LUN 0 whose disk hangs while the file RTGT_HANG exists, and RTGT_URL with another LUN. */
int protocol_hang_tests(void);
int protocol_stream_tests(void);
int protocol_iser_tests(void);
