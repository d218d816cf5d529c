/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The turns: exchange, settle, dwell, measure; and the way back, which is taken from every one of
 * them. */
#include "core/daemon/experiment.h"

#include "core/daemon/manager_impl.h"
#include "core/daemon/slot.h"

#define BUSY_MS    20   /* until a change of the LUN that somebody else makes is asked for again */
#define RESTORE_MS 1000 /* until the original engine is tried again */

#define NOBODY UINT_MAX /* the variant at work is the original */

typedef struct {
    LoopFn removed;
    void *arg;
} Waiter;

struct Experiment {
    Manager *manager;
    ExportLun *lun; /* NULL: has ended, or the LUN is gone */
    char *target;
    unsigned lun_number;
    uint64_t id;
    ExperimentPlan plan;
    Variant *original;

    ExperimentState state;
    ExperimentState outcome; /* what it will be when the engine is back */
    char *error;
    GArray *order;      /* unsigned: the variant of each slot */
    unsigned slot;      /* whose turn it is */
    unsigned at_work;   /* variant; NOBODY: the original */
    bool exchanging;    /* its own exchange is under way */
    bool stopping;      /* no further turn */
    uint64_t started;   /* nanoseconds, as of a Slot */
    Slot before;        /* of the slot that is being measured */
    GSource *timer;     /* the step after this one */
    GPtrArray *results; /* GVariant */
    GArray *waiters;    /* Waiter; not empty: to be removed */
};

static void next_turn(Experiment *x);
static void restore(Experiment *x);
static void settle_down(Experiment *x);

#define TELL(x, what)                                \
    do {                                             \
        const Manager *told = (x)->manager;          \
        if (told->watch)                             \
            told->watch->what(told->watch_arg, (x)); \
    } while (0)

static void wait_for(Experiment *x, unsigned ms, GSourceFunc step)
{
    loop_timer_stop(&x->timer);
    x->timer = loop_timer_start(x->manager->main, ms, step, x);
}

/* --- the end -----------------------------------------------------------------------------------*/

static void experiment_free(Experiment *x)
{
    g_assert(!x->lun && !x->timer);
    g_free(x->target);
    g_free(x->error);
    variant_free(x->original);
    experiment_plan_clear(&x->plan);
    slot_clear(&x->before);
    g_array_unref(x->order);
    g_ptr_array_unref(x->results);
    g_array_unref(x->waiters);
    g_free(x);
}

static void forget(Experiment *x)
{
    g_autoptr(GArray) waiters = g_array_ref(x->waiters);
    TELL(x, experiment_removed);
    g_ptr_array_remove(x->manager->experiments, x);
    experiment_free(x);
    for (guint i = 0; i < waiters->len; i++) {
        const Waiter *waiter = &g_array_index(waiters, Waiter, i);
        waiter->removed(waiter->arg);
    }
}

static void end(Experiment *x)
{
    ExportLun *lun = g_steal_pointer(&x->lun);
    loop_timer_stop(&x->timer);
    x->state = x->outcome;
    if (lun)
        lun->experiment = NULL;
    g_message("experiment %" G_GUINT64_FORMAT ": %s%s%s", x->id, experiment_state_name(x->state),
              *x->error ? ": " : "", x->error);
    if (lun && lun->lun && x->manager->watch)
        x->manager->watch->lun_changed(x->manager->watch_arg, lun);
    TELL(x, experiment_changed);
    TELL(x, experiment_ended);
    if (x->waiters->len > 0)
        forget(x);
}

/* No turn comes after this; the first reason counts. */
static void stop(Experiment *x, ExperimentState outcome, const char *why)
{
    if (x->stopping)
        return;
    x->stopping = true;
    x->outcome = outcome;
    g_free(x->error);
    x->error = g_strdup(why);
    if (!x->exchanging)
        settle_down(x);
}

static gboolean try_again(void *arg)
{
    restore(arg);
    return G_SOURCE_REMOVE;
}

static void settle_down(Experiment *x)
{
    loop_timer_stop(&x->timer);
    x->state = EXPERIMENT_RESTORING;
    TELL(x, experiment_changed);
    restore(x);
}

/* --- exchanges ---------------------------------------------------------------------------------*/

static bool begin_exchange(Experiment *x, const Variant *variant, ExchangeDone done, GError **error)
{
    ExchangeRequest request = variant_request(variant);
    if (!request.mode)
        request.mode = x->original->mode;
    request.by = x;
    x->exchanging = true;
    if (exchange_start(x->lun, &request, done, x, error))
        return true;
    x->exchanging = false;
    return false;
}

/* What is to be said of the LUN's engine now; false: the LUN has gone meanwhile. */
static bool exchange_ended(Experiment *x, ExportLun *lun)
{
    x->exchanging = false;
    if (!x->lun) {
        end(x);
        return false;
    }
    if (x->manager->watch)
        x->manager->watch->lun_changed(x->manager->watch_arg, lun);
    return true;
}

static void restored(ExportLun *lun, const GError *error, void *arg)
{
    Experiment *x = arg;
    if (!exchange_ended(x, lun))
        return;
    if (!error) {
        x->at_work = NOBODY;
        end(x);
        return;
    }
    g_warning("experiment %" G_GUINT64_FORMAT ": the original engine cannot be restored yet: %s",
              x->id, error->message);
    wait_for(x, RESTORE_MS, try_again);
}

static void restore(Experiment *x)
{
    g_autoptr(GError) error = NULL;
    loop_timer_stop(&x->timer);
    if (x->at_work == NOBODY || !x->lun)
        end(x);
    else if (!begin_exchange(x, x->original, restored, &error))
        wait_for(x, BUSY_MS, try_again); /* while the LUN is being resized */
}

/* --- a turn ------------------------------------------------------------------------------------*/

static unsigned variant_of_turn(const Experiment *x)
{
    return g_array_index(x->order, unsigned, x->slot);
}

static const Variant *variant_at(const Experiment *x, unsigned index)
{
    return x->plan.variants->pdata[index];
}

static void note(Experiment *x, const Slot *measured)
{
    GVariantBuilder dict;
    unsigned variant = variant_of_turn(x);
    g_variant_builder_init(&dict, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&dict, "{sv}", "Slot", g_variant_new_uint64(x->slot));
    g_variant_builder_add(&dict, "{sv}", "Round",
                          g_variant_new_uint32(x->slot / x->plan.variants->len + 1));
    g_variant_builder_add(&dict, "{sv}", "Variant", g_variant_new_uint32(variant));
    g_variant_builder_add(&dict, "{sv}", "Engine",
                          g_variant_new_string(variant_at(x, variant)->text));
    g_variant_builder_add(&dict, "{sv}", "Start", g_variant_new_uint64(x->before.at - x->started));
    slot_describe(measured, &dict);
    g_ptr_array_add(x->results, g_variant_ref_sink(g_variant_builder_end(&dict)));
}

static gboolean dwelt(void *arg)
{
    Experiment *x = arg;
    g_auto(Slot) after = {0};
    loop_timer_stop(&x->timer);
    slot_read(&after, x->lun->lun);
    slot_subtract(&after, &x->before);
    note(x, &after);
    slot_clear(&x->before);
    x->slot++;
    TELL(x, experiment_measured);
    next_turn(x);
    return G_SOURCE_REMOVE;
}

static gboolean settled(void *arg)
{
    Experiment *x = arg;
    slot_clear(&x->before);
    slot_read(&x->before, x->lun->lun);
    wait_for(x, x->plan.dwell_ms, dwelt);
    return G_SOURCE_REMOVE;
}

static void exchanged(ExportLun *lun, const GError *error, void *arg)
{
    Experiment *x = arg;
    if (!error)
        x->at_work = variant_of_turn(x);
    if (!exchange_ended(x, lun))
        return;
    if (x->stopping)
        settle_down(x);
    else if (error)
        stop(x, EXPERIMENT_FAILED, error->message);
    else
        wait_for(x, x->plan.settle_ms, settled);
}

static gboolean turn_again(void *arg)
{
    next_turn(arg);
    return G_SOURCE_REMOVE;
}

static void next_turn(Experiment *x)
{
    g_autoptr(GError) error = NULL;
    loop_timer_stop(&x->timer);
    if (x->slot == x->order->len) {
        stop(x, EXPERIMENT_FINISHED, "");
        return;
    }
    TELL(x, experiment_changed);
    if (begin_exchange(x, variant_at(x, variant_of_turn(x)), exchanged, &error))
        return;
    if (error->code == MANAGER_ERROR_BUSY)
        wait_for(x, BUSY_MS, turn_again);
    else
        stop(x, EXPERIMENT_FAILED, error->message);
}

/* --- what others do with it --------------------------------------------------------------------*/

static bool check(const Manager *manager, const ExportLun *lun, GError **error)
{
    if (!lun->config->spec.path)
        g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_NOT_SUPPORTED,
                    "the null engine has no store: there is nothing to compare it with");
    else if (lun->experiment)
        g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_BUSY,
                    "experiment %" G_GUINT64_FORMAT " compares engines on this LUN already",
                    lun->experiment->id);
    else if (manager->changing)
        g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_BUSY, "a reload goes on");
    else if (lun->exchanging)
        g_set_error(error, MANAGER_ERROR, MANAGER_ERROR_BUSY, "another change of this LUN goes on");
    else
        return true;
    return false;
}

static void drop_variant(gpointer variant)
{
    g_variant_unref(variant);
}

static gboolean first_turn(void *arg)
{
    Experiment *x = arg;
    x->started = (uint64_t)g_get_monotonic_time() * 1000;
    next_turn(x);
    return G_SOURCE_REMOVE;
}

Experiment *experiment_start(Manager *manager, ExportLun *lun, ExperimentPlan *plan, GError **error)
{
    if (!check(manager, lun, error))
        return NULL;
    const ExchangeRequest chosen = exchange_chosen(lun);
    Experiment *x = g_new(Experiment, 1);
    *x = (Experiment){.manager = manager,
                      .lun = lun,
                      .target = g_strdup(lun->config->spec.target_name),
                      .lun_number = lun->config->spec.number,
                      .id = ++manager->last_experiment,
                      .plan = *plan,
                      .original = variant_of(&chosen),
                      .error = g_strdup(""),
                      .order = experiment_plan_order(plan),
                      .at_work = NOBODY,
                      .results = g_ptr_array_new_with_free_func(drop_variant),
                      .waiters = g_array_new(FALSE, FALSE, sizeof(Waiter))};
    *plan = (ExperimentPlan){0};
    lun->experiment = x;
    g_ptr_array_add(manager->experiments, x);
    g_message("experiment %" G_GUINT64_FORMAT ": %u engines take turns on LUN %s/%u", x->id,
              x->plan.variants->len, x->target, x->lun_number);
    TELL(x, experiment_added);
    if (manager->watch)
        manager->watch->lun_changed(manager->watch_arg, lun);
    wait_for(x, 0, first_turn); /* whoever asked hears of it before it goes on */
    return x;
}

void experiment_cancel(Experiment *x)
{
    if (x->state == EXPERIMENT_RUNNING)
        stop(x, EXPERIMENT_CANCELLED, "");
}

void experiment_remove(Experiment *x, LoopFn removed, void *arg)
{
    const Waiter waiter = {removed, arg};
    bool ended = x->state > EXPERIMENT_RESTORING;
    g_array_append_val(x->waiters, waiter);
    if (ended)
        forget(x);
    else
        experiment_cancel(x);
}

void experiment_lun_removed(Experiment *x)
{
    x->lun->experiment = NULL;
    x->lun = NULL;
    if (!x->stopping)
        stop(x, EXPERIMENT_FAILED, "the LUN was removed");
    else if (!x->exchanging)
        end(x);
}

void experiments_free(Manager *manager)
{
    for (guint i = 0; i < manager->experiments->len; i++)
        experiment_free(manager->experiments->pdata[i]);
    g_ptr_array_unref(manager->experiments);
}

/* --- what others ask ---------------------------------------------------------------------------*/

uint64_t experiment_id(const Experiment *x)
{
    return x->id;
}

const char *experiment_target(const Experiment *x)
{
    return x->target;
}

unsigned experiment_lun(const Experiment *x)
{
    return x->lun_number;
}

const ExperimentPlan *experiment_plan(const Experiment *x)
{
    return &x->plan;
}

ExperimentState experiment_state(const Experiment *x)
{
    return x->state;
}

const char *experiment_state_name(ExperimentState state)
{
    static const char *const names[] = {"running", "restoring", "finished", "cancelled", "failed"};
    return names[state];
}

const char *experiment_error(const Experiment *x)
{
    return x->error;
}

ExchangeRequest experiment_original(const Experiment *x)
{
    return variant_request(x->original);
}

const char *experiment_original_text(const Experiment *x)
{
    return x->original->text;
}

const GPtrArray *experiment_results(const Experiment *x)
{
    return x->results;
}

unsigned experiment_slots(const Experiment *x)
{
    return x->order->len;
}

const char *experiment_current(const Experiment *x, unsigned *round)
{
    if (x->state != EXPERIMENT_RUNNING || x->slot == x->order->len) {
        *round = x->plan.rounds;
        return NULL;
    }
    *round = x->slot / x->plan.variants->len + 1;
    return variant_at(x, variant_of_turn(x))->text;
}
