/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PERSISTENT RESERVE IN (SPC-4 6.15): keys, the reservation, both in full, and what there could be.
 */
#include "core/base/bytes.h"
#include "core/scsi/nexus_impl.h"
#include "core/scsi/reply.h"
#include "core/scsi/reserve_impl.h"
#include "core/scsi/task_impl.h"

/* Appends n zero bytes; valid until the next call. */
static uint8_t *extend(GByteArray *data, unsigned n)
{
    unsigned at = data->len;
    g_byte_array_set_size(data, at + n);
    memset(data->data + at, 0, n);
    return data->data + at;
}

static void put_keys(const ReserveState *state, GByteArray *data)
{
    for (unsigned i = 0; i < state->registrations->len; i++)
        put_be64(extend(data, 8), reserve_registration(state, i)->key);
}

static void put_reservation(const ReserveState *state, GByteArray *data)
{
    if (state->type == RESERVE_NONE)
        return;
    uint8_t *p = extend(data, 16);
    put_be64(p, reserve_holder_key(state));
    p[13] = (uint8_t)state->type; /* scope 0: the logical unit */
}

static void put_full_status(const ReserveState *state, GByteArray *data)
{
    for (unsigned i = 0; i < state->registrations->len; i++) {
        const Registration *registration = reserve_registration(state, i);
        const TransportId *id = &registration->nexus.initiator;
        uint8_t *p = extend(data, 24u + id->len);
        put_be64(p, registration->key);
        if (reserve_holds(state, registration)) {
            p[12] = 0x01; /* R_HOLDER */
            p[13] = (uint8_t)state->type;
        }
        put_be16(p + 18, registration->nexus.port);
        put_be32(p + 20, id->len);
        memcpy(p + 24, id->bytes, id->len);
    }
}

/* PRGENERATION, the length of what there is however much of it is asked for, and that. */
static unsigned build(Task *task, uint8_t *to, void (*put)(const ReserveState *, GByteArray *))
{
    Lun *lun = task_lun(task);
    g_autoptr(GByteArray) data = g_byte_array_new();
    extend(data, 8);
    pthread_mutex_lock(&lun->lock);
    put_be32(data->data, lun->reservations.state.generation);
    put(&lun->reservations.state, data);
    pthread_mutex_unlock(&lun->lock);
    put_be32(data->data + 4, data->len - 8);
    unsigned len = MIN(data->len, (unsigned)task->transfers[0].segment.len);
    memcpy(to, data->data, len);
    return len;
}

static unsigned keys(Task *task, uint8_t *p)
{
    return build(task, p, put_keys);
}

static unsigned reservation(Task *task, uint8_t *p)
{
    return build(task, p, put_reservation);
}

static unsigned full_status(Task *task, uint8_t *p)
{
    return build(task, p, put_full_status);
}

static unsigned capabilities(Task *task, uint8_t *p)
{
    enum { CRH = 0x10, SIP_C = 0x08, ATP_C = 0x04, PTPL_C = 0x01 };
    /* 100b: TEST UNIT READY and RECEIVE COPY RESULTS pass every reservation; MODE SENSE, REPORT
     * SUPPORTED OPERATION CODES and their like pass write exclusive ones */
    enum { TMV = 0x80, ALLOW_COMMANDS = 0x40, PTPL_A = 0x01 };
    Lun *lun = task_lun(task);
    pthread_mutex_lock(&lun->lock);
    bool aptpl = lun->reservations.state.aptpl;
    pthread_mutex_unlock(&lun->lock);
    put_be16(p, 8);
    p[2] = CRH | SIP_C | ATP_C | (reserve_can_persist(lun) ? PTPL_C : 0);
    p[3] = TMV | ALLOW_COMMANDS | (aptpl ? PTPL_A : 0);
    p[4] = 0xea; /* all types */
    p[5] = 0x01;
    return 8;
}

static void run(Task *task, ReplyBuild reply_build)
{
    uint32_t allocation_length = get_be16(task->cdb + 7);
    if (reserve_is_reserved_6(task_lun(task)))
        reserve_conflict(task);
    else
        reply(task, MAX(allocation_length, 8), allocation_length, reply_build);
}

void read_keys_run(Task *task)
{
    run(task, keys);
}

void read_reservation_run(Task *task)
{
    run(task, reservation);
}

void report_capabilities_run(Task *task)
{
    run(task, capabilities);
}

void read_full_status_run(Task *task)
{
    run(task, full_status);
}
