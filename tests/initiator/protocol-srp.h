/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the protocol tests of SRP share; see protocol.h for the witness and RTGT_LENIENT. Every
 * channel is of an initiator port of its own unless the test says otherwise. */
#pragma once

#include "tests/initiator/channel.h"
#include "tests/initiator/protocol.h"

#define SRP_ARENA (4U << 20)

void srp_options(ChannelOptions *options);
/* Logged in and ready; fails the test if that does not work. */
Channel *srp_open(const ChannelOptions *options); /* NULL: those of srp_options */
/* The same, for a test that makes the target do odd things. */
Channel *srp_open_rogue(void);
/* Logs out; fails the test if the target did anything it may not. */
void srp_close(Channel *channel);
/* The reason for which the login is rejected; fails the test if it is not. */
uint32_t srp_rejected(const ChannelOptions *options);

uint8_t *srp_memory(Channel *channel);
/* Another LBA, or a number for a pattern, each time. */
uint32_t srp_new_number(void);

/* READ or WRITE of `len` bytes at the block, from the start of memory. */
void srp_transfer(Channel *channel, Task *task, bool write, uint64_t lba, uint32_t len);
void srp_write_read(Channel *channel, uint64_t lba, uint32_t len, RequestForm form);
/* Prepares, sends and waits. */
Outcome srp_run(Channel *channel, Task *task, RequestForm form);
/* Sends it and waits for what comes of it: an answer, or the end of the connection. */
Outcome srp_finish(Channel *channel, Task *task, Request *request);
/* All credits are back, which is at least what the login gave. */
void srp_await_credits(Channel *channel);
void srp_clear_attentions(Channel *channel);

int srp_setup(void **state);
int srp_teardown(void **state);
#define SRP_TEST(f) cmocka_unit_test_setup_teardown(f, srp_setup, srp_teardown)

/* Each runs its group and returns as unit_run does. */
int protocol_srp_login_tests(void);
int protocol_srp_data_tests(void);
int protocol_srp_manage_tests(void);
int protocol_srp_bad_tests(void);
/* Needs [srp] idle-timeout=1. */
int protocol_srp_idle_tests(void);
/* All of them, or the last one with RTGT_IDLE. */
int protocol_srp_tests(void);
