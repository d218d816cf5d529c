/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The accounting of a send queue: slots, order, signalling, RDMA READ depth, exactly one done(). */
#include "core/rdma/send_queue.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define WORKS 64

static Work works[WORKS];
static int results[WORKS]; /* 1: not done yet */
static unsigned done_n, order[WORKS];

static void note_done(Work *work, int error)
{
    unsigned i = (unsigned)(work - works);
    assert_int_equal(results[i], 1); /* else done twice */
    results[i] = error;
    order[done_n++] = i;
}

static int reset(void **state)
{
    (void)state;
    done_n = 0;
    for (unsigned i = 0; i < WORKS; i++) {
        works[i] = (Work){.done = note_done, .wr.opcode = IBV_WR_RDMA_WRITE};
        results[i] = 1;
    }
    return 0;
}

static void push(SendQueue *queue, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        send_queue_push(queue, &works[i]);
}

static bool is_signalled(const Work *work)
{
    return work->wr.send_flags & IBV_SEND_SIGNALED;
}

/* Checks that the chain is exactly works[first .. first + n) and only the last is signalled. */
static void check_chain(const Work *chain, unsigned first, unsigned n)
{
    const struct ibv_send_wr *wr = chain ? &chain->wr : NULL;
    for (unsigned i = first; i < first + n; i++, wr = wr->next) {
        assert_ptr_equal(wr, &works[i].wr);
        assert_int_equal(is_signalled(&works[i]), i == first + n - 1);
    }
    assert_null(wr);
}

static void test_one_chain_one_signal(void **state)
{
    (void)state;
    SendQueue queue;
    send_queue_init(&queue, 16, 4);
    assert_null(send_queue_take(&queue));
    push(&queue, 0, 5);
    assert_false(send_queue_empty(&queue));
    check_chain(send_queue_take(&queue), 0, 5);
    assert_null(send_queue_take(&queue));
    send_queue_complete(&queue, &works[4], 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(order[i], i);
        assert_int_equal(results[i], 0);
    }
    assert_true(send_queue_empty(&queue));
    assert_int_equal(queue.posted_n, 0);
    assert_int_equal(queue.posts, 1);
    assert_int_equal(queue.signalled, 1);
}

static void test_never_more_than_the_slots(void **state)
{
    (void)state;
    SendQueue queue;
    send_queue_init(&queue, 4, 4);
    push(&queue, 0, 11);
    for (unsigned first = 0; first < 8; first += 4) {
        check_chain(send_queue_take(&queue), first, 4);
        assert_null(send_queue_take(&queue)); /* full until something completes */
        send_queue_complete(&queue, &works[first + 3], 0);
    }
    check_chain(send_queue_take(&queue), 8, 3);
    send_queue_complete(&queue, &works[10], 0);
    assert_int_equal(done_n, 11);
    assert_true(send_queue_empty(&queue));
}

static void test_room_is_used_as_it_comes(void **state)
{
    (void)state;
    SendQueue queue;
    send_queue_init(&queue, 4, 4);
    push(&queue, 0, 2);
    check_chain(send_queue_take(&queue), 0, 2);
    push(&queue, 2, 4);
    check_chain(send_queue_take(&queue), 2, 2);
    send_queue_complete(&queue, &works[1], 0);
    assert_int_equal(done_n, 2);
    check_chain(send_queue_take(&queue), 4, 2);
}

static void test_prompt_work_is_signalled_too(void **state)
{
    (void)state;
    SendQueue queue;
    send_queue_init(&queue, 8, 4);
    works[1].prompt = true;
    works[1].wr.send_flags = IBV_SEND_INLINE;
    push(&queue, 0, 3);
    assert_ptr_equal(send_queue_take(&queue), &works[0]);
    assert_false(is_signalled(&works[0]));
    assert_true(is_signalled(&works[1]));
    assert_true(works[1].wr.send_flags & IBV_SEND_INLINE);
    assert_true(is_signalled(&works[2]));
    send_queue_complete(&queue, &works[1], 0);
    assert_int_equal(done_n, 2);
    send_queue_complete(&queue, &works[2], 0);
    assert_int_equal(done_n, 3);
}

static void test_reads_stop_at_their_depth(void **state)
{
    (void)state;
    SendQueue queue;
    send_queue_init(&queue, 32, 3);
    for (unsigned i = 0; i < 8; i++)
        works[i].wr.opcode = IBV_WR_RDMA_READ;
    push(&queue, 0, 9); /* eight READs, then a WRITE that must not wait for them */
    Work *chain = send_queue_take(&queue);
    assert_ptr_equal(chain, &works[0]);
    assert_int_equal(queue.posted_n, 4);
    assert_int_equal(queue.reads_n, 3);
    assert_true(is_signalled(&works[8]));
    send_queue_complete(&queue, &works[8], 0);
    assert_int_equal(queue.reads_n, 0);
    check_chain(send_queue_take(&queue), 3, 3);
    send_queue_complete(&queue, &works[5], 0);
    check_chain(send_queue_take(&queue), 6, 2);
}

static void test_no_read_depth_holds_reads(void **state)
{
    (void)state;
    SendQueue queue;
    send_queue_init(&queue, 8, 0);
    works[0].wr.opcode = IBV_WR_RDMA_READ;
    push(&queue, 0, 1);
    assert_null(send_queue_take(&queue));
    send_queue_cancel(&queue, false, -ECANCELED);
    assert_int_equal(results[0], -ECANCELED);
}

static void test_a_failure_is_told_of_its_own_work_only(void **state)
{
    (void)state;
    SendQueue queue;
    send_queue_init(&queue, 8, 4);
    push(&queue, 0, 6);
    send_queue_take(&queue);
    send_queue_complete(&queue, &works[2], -EIO); /* two before it went well, unsignalled */
    assert_int_equal(done_n, 3);
    assert_int_equal(results[1], 0);
    assert_int_equal(results[2], -EIO);
    for (unsigned i = 3; i < 6; i++)
        send_queue_complete(&queue, &works[i], -ECANCELED);
    assert_int_equal(done_n, 6);
    assert_true(send_queue_empty(&queue));
}

static void test_what_the_device_refuses_waits_again(void **state)
{
    (void)state;
    SendQueue queue;
    send_queue_init(&queue, 8, 2);
    works[3].wr.opcode = IBV_WR_RDMA_READ;
    push(&queue, 0, 5); /* posted as 3 0 1 2 4 */
    assert_ptr_equal(send_queue_take(&queue), &works[3]);
    send_queue_untake(&queue, &works[1]);
    assert_int_equal(queue.posted_n, 2);
    assert_int_equal(queue.reads_n, 1);
    send_queue_cancel(&queue, false, -ECANCELED);
    assert_int_equal(done_n, 3);
    assert_int_equal(results[0], 1);
    send_queue_cancel(&queue, true, -ECANCELED);
    assert_int_equal(done_n, 5);
    assert_int_equal(queue.posted_n, 0);
    assert_int_equal(queue.reads_n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_chain_one_signal, reset),
        cmocka_unit_test_setup(test_never_more_than_the_slots, reset),
        cmocka_unit_test_setup(test_room_is_used_as_it_comes, reset),
        cmocka_unit_test_setup(test_prompt_work_is_signalled_too, reset),
        cmocka_unit_test_setup(test_reads_stop_at_their_depth, reset),
        cmocka_unit_test_setup(test_no_read_depth_holds_reads, reset),
        cmocka_unit_test_setup(test_a_failure_is_told_of_its_own_work_only, reset),
        cmocka_unit_test_setup(test_what_the_device_refuses_waits_again, reset),
    };
    return unit_run(tests);
}
