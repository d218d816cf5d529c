/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pr-hammer: changes a registration and its reservation, persistently, until the target dies; says
 * before each command where it leads ("to KEY TYPE"), and after it where it stands ("at KEY TYPE").
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/initiator/scsi.h"
#include "tests/initiator/session.h"
#include "tests/initiator/text.h"

#define PATIENCE_MS 30000
#define ROOM        4096

enum { READ_KEYS = 0, READ_RESERVATION = 1 };
enum { RESERVE = 1, RELEASE = 2, REGISTER_AND_IGNORE = 6 };
enum { WRITE_EXCLUSIVE = 1, APTPL = 1 };

typedef struct {
    uint64_t key;
    unsigned type;
} Place;

typedef struct {
    Session *session;
    uint64_t lun;
    uint8_t *memory;
} Hammer;

static bool run(Hammer *hammer, Task *task)
{
    bool good;

    task->lun = hammer->lun;
    task->attribute = 1;
    good = session_run(hammer->session, task, PATIENCE_MS) && task->status == SCSI_GOOD;
    if (!good && task->finished && !task->lost)
        printf("status %02x sense %06x\n", task->status, scsi_sense(task));
    return good;
}

static bool reserve_in(Hammer *hammer, uint8_t action)
{
    Task task = {.cdb = {0x5e, action, [7] = ROOM >> 8},
                 .read = true,
                 .buffer = {.base = hammer->memory, .len = ROOM}};

    memset(hammer->memory, 0, ROOM);
    return run(hammer, &task);
}

static bool reserve_out(Hammer *hammer, uint8_t action, uint64_t key, uint64_t new_key)
{
    Task task = {.cdb = {0x5f, action, WRITE_EXCLUSIVE, [8] = 24},
                 .write = true,
                 .buffer = {.base = hammer->memory, .len = 24}};

    memset(hammer->memory, 0, 24);
    put_be64(hammer->memory, key);
    put_be64(hammer->memory + 8, new_key);
    hammer->memory[20] = APTPL;
    return run(hammer, &task);
}

static void say(const char *word, const Place *place)
{
    printf("%s %" PRIu64 " %u\n", word, place->key, place->type);
    fflush(stdout);
}

static bool look(Hammer *hammer, Place *place)
{
    *place = (Place){0};
    if (!reserve_in(hammer, READ_KEYS))
        return false;
    if (get_be32(hammer->memory + 4) > 0)
        place->key = get_be64(hammer->memory + 8);
    if (!reserve_in(hammer, READ_RESERVATION))
        return false;
    if (get_be32(hammer->memory + 4) > 0)
        place->type = hammer->memory[21] & 0x0f;
    return true;
}

/* A new key, a reservation, a new key, none. */
static bool step(Hammer *hammer, uint64_t n, Place *place)
{
    Place to = *place;
    uint8_t action = REGISTER_AND_IGNORE;

    if (n % 2 == 0)
        to.key = n;
    else
        action = n % 4 == 1 ? RESERVE : RELEASE;
    if (n % 2 == 1)
        to.type = n % 4 == 1 ? WRITE_EXCLUSIVE : 0;
    say("to", &to);
    if (!reserve_out(hammer, action, place->key, to.key))
        return false;
    *place = to;
    say("at", place);
    return true;
}

static bool open_session(Hammer *hammer, Url *url, GError **error)
{
    SessionOptions options;
    ScsiCapacity capacity;

    session_options_init(&options, url);
    options.isid = 0x800000000042; /* the same I_T nexus in every life */
    hammer->lun = url->lun;
    hammer->session = session_open(&options, error);
    if (!hammer->session || !scsi_wait_ready(&hammer->session->base, hammer->lun, &capacity, error))
        return false;
    hammer->memory = hammer->session->wire->ops->memory(hammer->session->wire);
    return true;
}

int main(int argc, char **argv)
{
    bool show = argc == 3 && strcmp(argv[1], "--show") == 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(Url) url = NULL;
    Hammer hammer = {0};
    Place place;

    if (argc != (show ? 3 : 2) || !(url = url_parse(argv[argc - 1], &error))) {
        g_printerr("usage: pr-hammer [--show] URL\n");
        return 2;
    }
    if (!open_session(&hammer, url, &error) || !look(&hammer, &place)) {
        g_printerr("pr-hammer: %s\n", error ? error->message : "no answer");
        session_free(hammer.session);
        return 1;
    }
    say("at", &place);
    if (!show)
        for (uint64_t n = (place.key / 4 + 1) * 4; step(&hammer, n, &place); n++)
            ;
    session_free(hammer.session);
    return 0;
}
