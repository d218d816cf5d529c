/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crash-writer: writes until the target dies, and remembers in a file what the target had to keep;
 * then tells whether it kept it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/initiator/scsi.h"
#include "tests/initiator/verify.h"

#define BLOCKS      (UINT64_C(1) << 16) /* of the LUN that are used */
#define BLOCKS_MOST 64                  /* of one command */
#define DEPTH       8
#define SYNC_EVERY  50 /* commands */
#define RUN         1
#define TIMEOUT_MS  30000

/* What is known of a block, in the journal: generations that were sent, and that must be there. */
typedef struct {
    uint32_t sent, stable;
} Mark;

typedef struct {
    Task task;
    uint8_t *memory;
    uint64_t lba;
    uint32_t blocks;
    bool fua, sync, busy;
} Slot;

typedef struct {
    Nexus *nexus;
    uint64_t lun;
    ScsiCapacity capacity;
    Mark *marks;
    uint32_t *written; /* generation of the last write that was answered */
    uint32_t *synced;  /* the same, when the running SYNCHRONIZE CACHE was sent */
    bool *busy;        /* a command has the block */
    Slot slots[DEPTH];
    Slot *syncing;
    uint64_t commands, failed;
} Writer;

static Mark *open_journal(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *marks = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, BLOCKS * sizeof(Mark)) == 0)
        marks = mmap(NULL, BLOCKS * sizeof(Mark), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (marks == MAP_FAILED) {
        g_printerr("%s: %s\n", path, g_strerror(errno));
        return NULL;
    }
    return marks;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_answered(Writer *w, const Slot *slot)
{
    for (uint64_t b = slot->lba; b < slot->lba + slot->blocks; b++) {
        w->written[b] = w->marks[b].sent;
        if (slot->fua)
            w->marks[b].stable = w->marks[b].sent;
    }
}

static void sync_answered(Writer *w)
{
    for (uint64_t b = 0; b < BLOCKS; b++)
        w->marks[b].stable = MAX(w->marks[b].stable, w->synced[b]);
}

static void done(Task *task)
{
    Writer *w = task->user;
    Slot *slot = (Slot *)task;

    slot->busy = false;
    if (slot->sync)
        w->syncing = NULL;
    else
        memset(w->busy + slot->lba, 0, slot->blocks);
    if (task->lost)
        return;
    if (task->response != 0 || task->status != SCSI_GOOD) {
        g_printerr("command %02x: status %02x, sense %06x\n", task->cdb[0], task->status,
                   scsi_sense(task));
        w->failed++;
    } else if (slot->sync) {
        sync_answered(w);
    } else {
        write_answered(w, slot);
    }
}

static void submit_sync(Writer *w, Slot *slot)
{
    slot->sync = true;
    w->syncing = slot;
    memcpy(w->synced, w->written, BLOCKS * sizeof *w->synced);
    scsi_synchronize_cache(&slot->task, w->lun);
}

/* False: another command has one of the blocks. */
static bool submit_write(Writer *w, Slot *slot, GRand *rand)
{
    uint32_t size = w->capacity.block_size;

    slot->sync = false;
    slot->blocks = (uint32_t)g_rand_int_range(rand, 1, BLOCKS_MOST + 1);
    slot->lba = (uint64_t)g_rand_int_range(rand, 0, (gint32)(BLOCKS - slot->blocks));
    slot->fua = g_rand_boolean(rand);
    if (memchr(w->busy + slot->lba, true, slot->blocks))
        return false;
    memset(w->busy + slot->lba, true, slot->blocks);
    for (uint32_t i = 0; i < slot->blocks; i++)
        verify_stamp(slot->memory + (size_t)i * size, size, slot->lba + i, RUN,
                     ++w->marks[slot->lba + i].sent);
    scsi_transfer(&slot->task, w->lun, true, slot->lba, slot->blocks, size, slot->fua,
                  slot->memory);
    return true;
}

static void write_until_lost(Writer *w)
{
    g_autoptr(GRand) rand = g_rand_new();

    while (!w->nexus->error && !w->failed) {
        for (unsigned i = 0; i < DEPTH && !w->nexus->error; i++) {
            Slot *slot = &w->slots[i];

            if (slot->busy)
                continue;
            if (!w->syncing && w->commands % SYNC_EVERY == SYNC_EVERY - 1)
                submit_sync(w, slot);
            else if (!submit_write(w, slot, rand))
                continue;
            slot->busy = true;
            slot->task.done = done;
            slot->task.user = w;
            w->commands++;
            nexus_submit(w->nexus, &slot->task);
        }
        nexus_turn(w->nexus, 100);
    }
}

/* --- checking --------------------------------------------------------------------------------- */

static bool block_kept(const Writer *w, uint64_t lba, const uint8_t *data)
{
    const Mark *mark = &w->marks[lba];
    uint64_t run;
    uint32_t generation;
    VerifyResult result = verify_stamped(data, w->capacity.block_size, lba, &run, &generation);

    if (mark->stable == 0 && result == VERIFY_FOREIGN)
        return true;
    if (result == VERIFY_GOOD && generation >= mark->stable && generation <= mark->sent)
        return true;
    g_printerr("block %" G_GUINT64_FORMAT " is %s, generation %u: sent %u, to be kept %u\n", lba,
               verify_result_name(result), generation, mark->sent, mark->stable);
    return false;
}

static uint64_t check_all(Writer *w)
{
    uint64_t lost = 0;

    for (uint64_t lba = 0; lba < BLOCKS; lba += BLOCKS_MOST) {
        Task task = {0};

        scsi_transfer(&task, w->lun, false, lba, BLOCKS_MOST, w->capacity.block_size, false,
                      w->slots[0].memory);
        if (!nexus_run(w->nexus, &task, TIMEOUT_MS) || task.status != SCSI_GOOD) {
            g_printerr("READ at %" G_GUINT64_FORMAT " failed\n", lba);
            return BLOCKS;
        }
        for (uint32_t i = 0; i < BLOCKS_MOST; i++)
            lost +=
                !block_kept(w, lba + i, w->slots[0].memory + (size_t)i * w->capacity.block_size);
    }
    return lost;
}

/* --- main ------------------------------------------------------------------------------------- */

static bool open_writer(Writer *w, Url *url, GError **error)
{
    uint32_t most = BLOCKS_MOST * 4096;
    NexusOptions options = {.url = url, .depth = DEPTH, .arena = (size_t)most * DEPTH};

    w->lun = url->lun;
    w->nexus = nexus_open(&options, error);
    if (!w->nexus || !scsi_wait_ready(w->nexus, url->lun, &w->capacity, error))
        return false;
    for (unsigned i = 0; i < DEPTH; i++)
        w->slots[i].memory = nexus_memory(w->nexus) + (size_t)i * most;
    w->written = g_new0(uint32_t, BLOCKS);
    w->synced = g_new0(uint32_t, BLOCKS);
    w->busy = g_new0(bool, BLOCKS);
    return true;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Writer w = {0};
    bool check = argc == 4 && g_str_equal(argv[1], "check");

    if (argc != 4 || (!check && !g_str_equal(argv[1], "write"))) {
        g_printerr("Usage: crash-writer write|check URL JOURNAL\n"
                   "write: until the connection is lost; check: what the journal says is there\n");
        return 2;
    }
    g_autoptr(Url) url = url_parse(argv[2], &error);
    w.marks = url ? open_journal(argv[3]) : NULL;
    if (!w.marks || !open_writer(&w, url, &error)) {
        g_printerr("crash-writer: %s\n", error ? error->message : "no journal");
        return 2;
    }
    if (check)
        w.failed = check_all(&w);
    else
        write_until_lost(&w);
    printf("%" G_GUINT64_FORMAT " commands, %" G_GUINT64_FORMAT " %s\n", w.commands, w.failed,
           check ? "blocks lost" : "failed");
    nexus_free(w.nexus);
    g_free(w.written);
    g_free(w.synced);
    g_free(w.busy);
    munmap(w.marks, BLOCKS * sizeof(Mark));
    return w.failed ? 1 : 0;
}
