/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Three initiators of one LUN, and the commands of reservations: what their tests share. */
#pragma once

#include "core/scsi/reserve_action.h"
#include "tests/unit/scsi_fixture.h"

#define TUR      CDB(0, 0, 0, 0, 0, 0)
#define CONFLICT 0x18000000u /* a status, where sense codes are expected */
#define KEY_A    0x1111111111111111u
#define KEY_B    0x2222222222222222u
#define KEY_C    0x3333333333333333u

enum { SPEC_I_PT = 0x08, ALL_TG_PT = 0x04, APTPL = 0x01 }; /* byte 20 of the parameter list */

typedef struct {
    Scsi *scsi;
    Nexus *a, *b, *c;
} Trio; /* iqn.a, iqn.b, iqn.c, ISID 1; attentions taken */

Trio trio_new(void (*change)(LunSpec *spec));
/* A and B are registered, A holds a reservation of the type. */
Trio trio_reserved(void (*change)(LunSpec *spec), unsigned type, uint8_t flags);
void trio_free(Trio *trio);
Nexus *join(Scsi *scsi, char letter); /* iqn.LETTER */
size_t iscsi_id(uint8_t p[28], uint8_t format, const char *name);

/* Sense code, or status << 24; frees the command. */
unsigned result_of(Cmd *cmd);
/* With room for 64 bytes of data. */
unsigned run(Nexus *nexus, const uint8_t *cdb, unsigned len);
void clear_attentions(Nexus *nexus);
/* A task management function on LUN 0 that completes; attentions taken. */
void manage(Nexus *nexus, TmfFunction function);
void managed(TmfResponse response, void *arg); /* sets the flag */

typedef struct {
    uint8_t cdb[10], list[128];
    uint32_t len;
} OutCommand;

OutCommand out_command(ReserveAction action, unsigned type, uint64_t key, uint64_t action_key,
                       uint8_t flags);
unsigned out_run(Nexus *nexus, OutCommand *out);
unsigned pr_out(Nexus *nexus, ReserveAction action, unsigned type, uint64_t key,
                uint64_t action_key, uint8_t flags);
void expect_out_good(Nexus *nexus, ReserveAction action, unsigned type, uint64_t key,
                     uint64_t action_key, uint8_t flags);
Cmd *pr_in(Nexus *nexus, uint8_t action, uint16_t room);
/* "PRGENERATION: last digits of the keys, type T by K". */
void expect_state(Nexus *nexus, const char *expected);

/* A state directory of the test's own. */
extern StateDir *state_dir;
extern char *state_path;
int make_state_dir(void **state);
int drop_state_dir(void **state);
void keep_state(LunSpec *spec); /* for trio_new() */
char *state_file(void);         /* path of the one there is; NULL: none */
#define WITH_STATE(fn) cmocka_unit_test_setup_teardown(fn, make_state_dir, drop_state_dir)
