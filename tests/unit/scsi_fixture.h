/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A LUN on a file of its own, and a transport that records: what tests of SCSI commands share. The
 * main loop is the I/O loop. */
#pragma once

#include "aio/aio.h"
#include "core/base/bytes.h"
#include "core/base/loop.h"
#include "core/scsi/lun.h"
#include "core/scsi/nexus.h"
#include "core/scsi/target.h"
#include "core/scsi/task.h"

#include <glib.h>

typedef struct {
    Loop *loop;
    Arena *arena;
    Memory *memory;
    ScsiTarget *target;
    Lun *lun; /* number 0 */
    Nexus *nexus;
    char *dir, *path;
    LunSpec spec;
} Scsi;

#define SCSI_NAME "iqn.2026-01.org.rtgt:unit"
#define MIB       (1024 * 1024)

/* A 64 MiB file, syslet, buffered, 512-byte blocks; `change` may alter the spec before. */
Scsi *scsi_new(void (*change)(LunSpec *spec));
void scsi_free(Scsi *scsi);
/* The same for cmocka, *state being a Scsi; the POWER ON attention is taken already. */
int scsi_setup(void **state);
int scsi_teardown(void **state);

Nexus *scsi_nexus(Scsi *scsi); /* one more */
void scsi_close_nexus(Nexus *nexus);
/* The file's bytes, past the daemon's back. */
void scsi_file_read(const Scsi *scsi, void *data, size_t len, uint64_t offset);
void scsi_file_write(const Scsi *scsi, const void *data, size_t len, uint64_t offset);

/* Runs the main loop until the flag is set; aborts the program after a deadline. */
void wait_for(const bool *flag);
void wait_turns(unsigned turns); /* for what must not happen */

/* One command. */
typedef struct Cmd Cmd;
struct Cmd {
    Task task;
    const uint8_t *out;
    GByteArray *in; /* what was sent to the initiator */
    unsigned moves; /* put_data and get_data calls */
    bool hold;      /* moves are not answered, but by cancel */
    DataMove *held[4];
    bool responded, released, aborted; /* aborted: released without an answer */
    GQueue *order;                     /* Cmd, as they are answered; may be NULL */
    void (*ended)(Cmd *cmd);           /* as the last act of its loop with it; may be NULL */
    void *arg;                         /* the test's */
};

/* A command of the nexus to LUN 0, with its CDB; released with cmd_free(). */
Cmd *cmd_new(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len);
void cmd_free(Cmd *cmd); /* released by the SCSI side (asserted) */
void cmd_submit(Cmd *cmd);
void cmd_wait(Cmd *cmd); /* until released */

/* Command with data-in room / data-out, submitted and waited for. */
#define CDB(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})
Cmd *cmd_run(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, uint32_t in);
Cmd *cmd_run_out(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, const void *out, uint32_t len);

/* 0 for GOOD, else the sense code of a CHECK CONDITION (either format). */
SenseCode cmd_sense(const Cmd *cmd);
/* Runs, checks the result, frees. */
void expect(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, uint32_t in, SenseCode sense);
void expect_out(Nexus *nexus, const uint8_t *cdb, unsigned cdb_len, const void *out, uint32_t len,
                SenseCode sense);

/* READ (16) / WRITE (16) CDBs. */
void cdb_rw16(uint8_t cdb[16], uint8_t opcode, uint64_t lba, uint32_t blocks);

/* --- an engine whose requests end when the test says so; one context at a time ---------------- */

extern const AioEngine slow_engine;
unsigned slow_waiting(void);                 /* requests it holds */
const AioReq *slow_peek(unsigned index);     /* in order of arrival */
void slow_finish(unsigned index, int error); /* ends one on the next round; 0: success */
void slow_finish_all(int error);
