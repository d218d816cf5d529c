/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions, patterns and the witness of the protocol tests. */
#include "tests/initiator/protocol.h"

#include <string.h>

#define WITNESS_LBA 0
#define WITNESS_LEN 65536

Url *protocol_url;
static uint32_t block_size;

static bool lenient(void)
{
    return g_getenv("RTGT_LENIENT") != NULL;
}

void protocol_options(SessionOptions *options, const char *keys)
{
    g_autoptr(GError) error = NULL;

    session_options_init(options, protocol_url);
    options->wire.arena = PROTOCOL_ARENA;
    options->wire.depth = PROTOCOL_DEPTH;
    options->quiet = lenient();
    if (keys)
        options->keys = text_keys_from_list(keys, &error);
    assert_null(error);
}

Session *protocol_connect(const char *keys)
{
    g_autoptr(GError) error = NULL;
    SessionOptions options;
    Session *session;

    protocol_options(&options, keys);
    session = session_connect(&options, &error);
    text_keys_free(options.keys);
    if (!session)
        fail_msg("%s", error->message);
    session->options.keys = NULL;
    return session;
}

Session *protocol_open(const char *keys)
{
    g_autoptr(GError) error = NULL;
    Session *session = protocol_connect(keys);
    ScsiCapacity capacity;

    if (!login_run(session, PATIENCE_MS, &error) ||
        !scsi_wait_ready(&session->base, protocol_url->lun, &capacity, &error)) {
        session_free(session);
        fail_msg("%s: %s", keys ? keys : "plain login", error->message);
    }
    block_size = capacity.block_size;
    return session;
}

void protocol_close(Session *session)
{
    bool agreed = session_logout(session, PATIENCE_MS);
    unsigned violations = session->base.violations;

    session_free(session);
    assert_true(agreed);
    if (!lenient())
        assert_int_equal(violations, 0);
}

void protocol_drop(Session *session)
{
    session_free(session);
}

uint8_t *protocol_memory(Session *session)
{
    return session->wire->ops->memory(session->wire);
}

uint32_t protocol_block_size(void)
{
    return block_size;
}

static uint8_t pattern_byte(uint32_t i, uint32_t seed)
{
    uint32_t x = (i + 1) * 2654435761U ^ seed * 40503U;

    return (uint8_t)(x >> 13 ^ x >> 24);
}

void protocol_pattern(uint8_t *memory, uint32_t len, uint32_t seed)
{
    for (uint32_t i = 0; i < len; i++)
        memory[i] = pattern_byte(i, seed);
}

bool protocol_is_pattern(const uint8_t *memory, uint32_t len, uint32_t seed)
{
    for (uint32_t i = 0; i < len; i++)
        if (memory[i] != pattern_byte(i, seed))
            return false;
    return true;
}

static bool transfer(Session *session, bool write, uint64_t lba, uint32_t len)
{
    Task task = {0};
    bool good;

    /* Other sessions' resets are no news to the tests. */
    assert_true(scsi_clear_attentions(&session->base, protocol_url->lun, NULL));
    scsi_transfer(&task, protocol_url->lun, write, lba, len / block_size, block_size, false,
                  protocol_memory(session));
    good = session_run(session, &task, PATIENCE_MS) && task.response == 0 &&
           task.status == SCSI_GOOD && !task.residual;
    if (!good)
        print_error("%s of %u bytes: %s, status %02x, sense %06x\n", write ? "write" : "read", len,
                    session->base.error ? session->base.error->message : "answered", task.status,
                    scsi_sense(&task));
    return good;
}

void protocol_write(Session *session, uint64_t lba, uint32_t len, uint32_t seed)
{
    assert_int_equal(len % block_size, 0);
    protocol_pattern(protocol_memory(session), len, seed);
    assert_true(transfer(session, true, lba, len));
}

bool protocol_reads_back(Session *session, uint64_t lba, uint32_t len, uint32_t seed)
{
    uint8_t *memory = protocol_memory(session);

    memset(memory, 0xee, len + 1);
    assert_true(transfer(session, false, lba, len));
    assert_int_equal(memory[len], 0xee);
    return protocol_is_pattern(memory, len, seed);
}

void protocol_write_read(Session *session, uint64_t lba, uint32_t len, uint32_t seed)
{
    protocol_write(session, lba, len, seed);
    assert_true(protocol_reads_back(session, lba, len, seed));
}

Pdu protocol_command(Session *session, const Task *task)
{
    uint8_t flags = (uint8_t)(PDU_FINAL | (task->read ? 0x40 : 0) | (task->write ? 0x20 : 0) | 1);
    Pdu pdu = pdu_new(OP_COMMAND, flags, task->itt);

    scsi_put_lun(pdu.bhs + AT_LUN, task->lun);
    put_be32(pdu.bhs + AT_TTT, task->buffer.len);
    memcpy(pdu.bhs + 32, task->cdb, sizeof(task->cdb));
    session_number(session, &pdu);
    return pdu;
}

Outcome protocol_outcome(Session *session, const Task *task, int timeout_ms)
{
    gint64 end = g_get_monotonic_time() + timeout_ms * (gint64)1000;
    unsigned rejects = session->base.rejects;

    while (g_get_monotonic_time() < end) {
        if (!session_turn(session, 50))
            return OUTCOME_CLOSED;
        if (session->base.rejects != rejects)
            return OUTCOME_REJECT;
        if (task && task->finished)
            return task->response || task->status ? OUTCOME_STATUS : OUTCOME_GOOD;
    }
    return OUTCOME_NOTHING;
}

void protocol_ping(Session *session, uint32_t len)
{
    g_autofree uint8_t *data = g_malloc(len + 1);
    g_autoptr(Pdu) answer = NULL;
    uint32_t itt = session_new_itt(session);

    protocol_pattern(data, len, itt);
    session_nop_out(session, itt, PDU_NO_TAG, data, len);
    answer = session_await(session, OP_NOP_IN, PATIENCE_MS);
    assert_non_null(answer);
    assert_int_equal(pdu_itt(answer), itt);
    assert_int_equal(get_be32(answer->bhs + AT_TTT), PDU_NO_TAG);
    assert_int_equal(answer->len, len);
    assert_memory_equal(answer->data, data, len);
}

int protocol_setup(void **state)
{
    *state = protocol_open(NULL);
    return 0;
}

int protocol_teardown(void **state)
{
    Session *fresh = protocol_open(NULL);

    protocol_write_read(*state, WITNESS_LBA, WITNESS_LEN, g_random_int());
    protocol_write_read(fresh, WITNESS_LBA, WITNESS_LEN, g_random_int());
    protocol_close(fresh);
    protocol_close(*state);
    return 0;
}
