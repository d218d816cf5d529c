/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order and the merging of unit attention conditions. */
#include "tests/unit/unit.h"

#include "core/scsi/unit_attention.h"

typedef struct {
    SenseCode add[6];    /* up to the first 0 */
    SenseCode expect[6]; /* the same */
} Case;

static void run(const Case *c)
{
    UnitAttentions a = {0};
    for (unsigned i = 0; i < 6 && c->add[i]; i++)
        unit_attentions_add(&a, c->add[i]);
    for (unsigned i = 0; i < 6 && c->expect[i]; i++) {
        assert_true(unit_attentions_pending(&a));
        assert_int_equal(unit_attentions_take(&a), c->expect[i]);
    }
    assert_false(unit_attentions_pending(&a));
    assert_int_equal(unit_attentions_take(&a), SENSE_NO_SENSE);
}

static void others_keep_their_order(void **state)
{
    (void)state;
    run(&(Case){{SENSE_LUNS_CHANGED, SENSE_CAPACITY_CHANGED, SENSE_MODE_PARAMETERS_CHANGED},
                {SENSE_LUNS_CHANGED, SENSE_CAPACITY_CHANGED, SENSE_MODE_PARAMETERS_CHANGED}});
    run(&(Case){{SENSE_CAPACITY_CHANGED, SENSE_LUNS_CHANGED, SENSE_CAPACITY_CHANGED},
                {SENSE_CAPACITY_CHANGED, SENSE_LUNS_CHANGED}});
}

static void resets_come_first_and_lose_nothing(void **state)
{
    (void)state;
    run(&(Case){{SENSE_CAPACITY_CHANGED, SENSE_DEVICE_RESET, SENSE_LUNS_CHANGED},
                {SENSE_DEVICE_RESET, SENSE_CAPACITY_CHANGED, SENSE_LUNS_CHANGED}});
}

static void the_most_urgent_reset_is_told(void **state)
{
    static const SenseCode resets[] = {SENSE_NEXUS_LOSS, SENSE_DEVICE_RESET, SENSE_BUS_RESET,
                                       SENSE_POWER_ON_RESET};
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 4; j++)
            run(&(Case){{resets[i], SENSE_LUNS_CHANGED, resets[j]},
                        {resets[i > j ? i : j], SENSE_LUNS_CHANGED}});
}

static void commands_cleared_is_told_by_a_reset(void **state)
{
    (void)state;
    run(&(Case){{SENSE_COMMANDS_CLEARED, SENSE_CAPACITY_CHANGED, SENSE_NEXUS_LOSS},
                {SENSE_NEXUS_LOSS, SENSE_CAPACITY_CHANGED}});
    run(&(Case){{SENSE_DEVICE_RESET, SENSE_COMMANDS_CLEARED}, {SENSE_DEVICE_RESET}});
    run(&(Case){{SENSE_CAPACITY_CHANGED, SENSE_COMMANDS_CLEARED},
                {SENSE_CAPACITY_CHANGED, SENSE_COMMANDS_CLEARED}});
}

static void overflow_says_that_everything_may_have_changed(void **state)
{
    UnitAttentions a = {0};
    (void)state;
    for (unsigned i = 0; i <= UNIT_ATTENTIONS_MAX; i++)
        unit_attentions_add(&a, SENSE_CODE(6, 0x2a, i));
    assert_int_equal(unit_attentions_take(&a), SENSE_POWER_ON_RESET);
    assert_false(unit_attentions_pending(&a));
}

static void dropping(void **state)
{
    UnitAttentions a = {0};
    (void)state;
    unit_attentions_drop(&a, SENSE_LUNS_CHANGED);
    unit_attentions_add(&a, SENSE_CAPACITY_CHANGED);
    unit_attentions_add(&a, SENSE_LUNS_CHANGED);
    unit_attentions_drop(&a, SENSE_CAPACITY_CHANGED);
    assert_int_equal(unit_attentions_take(&a), SENSE_LUNS_CHANGED);
    unit_attentions_add(&a, SENSE_LUNS_CHANGED);
    unit_attentions_drop(&a, SENSE_LUNS_CHANGED);
    assert_false(unit_attentions_pending(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_keep_their_order),
        cmocka_unit_test(resets_come_first_and_lose_nothing),
        cmocka_unit_test(the_most_urgent_reset_is_told),
        cmocka_unit_test(commands_cleared_is_told_by_a_reset),
        cmocka_unit_test(overflow_says_that_everything_may_have_changed),
        cmocka_unit_test(dropping),
    };
    return unit_run(tests);
}
