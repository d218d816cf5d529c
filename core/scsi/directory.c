/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding logical units by designator. */
#include "core/scsi/directory.h"

#include "core/scsi/inquiry.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/target_impl.h"

#include <string.h>

bool directory_between_targets;

/* LunShard; a loop is a thread. */
static _Thread_local GQueue shown = G_QUEUE_INIT;

typedef struct {
    uint8_t code_set, type, len;
    const uint8_t *id;
} Designator;

void directory_add(LunShard *shard)
{
    shard->directory_link.data = shard;
    g_queue_push_tail_link(&shown, &shard->directory_link);
}

void directory_remove(LunShard *shard)
{
    g_queue_unlink(&shown, &shard->directory_link);
}

static bool has(const Lun *lun, const Designator *wanted)
{
    uint8_t list[LUN_DESIGNATORS_MAX];
    unsigned len = inquiry_lun_designators(lun, list);
    for (unsigned at = 0; at < len; at += 4 + list[at + 3]) {
        const uint8_t *d = list + at;
        if (d[0] == wanted->code_set && d[1] == wanted->type && d[3] == wanted->len &&
            memcmp(d + 4, wanted->id, wanted->len) == 0)
            return true;
    }
    return false;
}

static bool is_known_to(Lun *lun, const char *initiator)
{
    bool known = false;
    pthread_mutex_lock(&lun->lock);
    for (GList *l = lun->itls.head; l && !known; l = l->next) {
        const Itl *itl = l->data;
        known = strcmp(nexus_initiator(itl->nexus), initiator) == 0;
    }
    pthread_mutex_unlock(&lun->lock);
    return known;
}

LunShard *directory_find(const Nexus *nexus, uint8_t code_set, uint8_t type, const uint8_t *id,
                         uint8_t len)
{
    const Designator wanted = {.code_set = code_set, .type = type, .len = len, .id = id};
    const TargetView *view = target_view(nexus->target, nexus->loop);
    for (unsigned i = 0; i < view->numbers; i++)
        if (view->luns[i] && has(view->luns[i]->lun, &wanted))
            return view->luns[i];
    for (GList *l = shown.head; l && directory_between_targets; l = l->next) {
        LunShard *shard = l->data;
        if (has(shard->lun, &wanted) && is_known_to(shard->lun, nexus_initiator(nexus)))
            return shard;
    }
    return NULL;
}
