/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An experiment: engines take turns on a LUN under the load there is, and each turn is measured.
 * However it ends, the LUN gets back what an administrator had chosen. All on loop 0. */
#pragma once

#include "core/daemon/manager.h"
#include "core/daemon/variant.h"

typedef enum {
    EXPERIMENT_RUNNING,
    EXPERIMENT_RESTORING, /* the original engine is being put back, tried until it works */
    EXPERIMENT_FINISHED,
    EXPERIMENT_CANCELLED,
    EXPERIMENT_FAILED,
} ExperimentState;

typedef struct {
    GPtrArray *variants; /* Variant *, the baseline first */
    unsigned rounds, dwell_ms, settle_ms;
    uint64_t seed; /* of the order within the rounds */
    bool keep;     /* whoever began it may leave the bus */
    char *owner;   /* on the bus; NULL: it ends by itself only */
} ExperimentPlan;

/* As Lun1.Compare takes it. False with error (MANAGER_ERROR); experiment_plan_clear() in any case.
 */
bool experiment_plan_parse(ExperimentPlan *plan, const char *const *engines,
                           const ConfigSettings *options, GError **error);
void experiment_plan_clear(ExperimentPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ExperimentPlan, experiment_plan_clear)
/* Indexes of the variants in the order of their turns, round by round; g_array_unref(). */
GArray *experiment_plan_order(const ExperimentPlan *plan);

/* Begins; takes what the plan holds. NULL with error (MANAGER_ERROR). The manager has it until
 * experiment_remove(). */
Experiment *experiment_start(Manager *manager, ExportLun *lun, ExperimentPlan *plan,
                             GError **error);
/* Ends it early; nothing where it has ended. */
void experiment_cancel(Experiment *experiment);
/* Cancels it and forgets it when it has ended, then removed(arg); possibly inside. Calls after the
 * first are told, too. */
void experiment_remove(Experiment *experiment, LoopFn removed, void *arg);
/* Its LUN is going: nothing can be put back any more. */
void experiment_lun_removed(Experiment *experiment);
/* What nobody has removed, when all LUNs are gone. */
void experiments_free(Manager *manager);

uint64_t experiment_id(const Experiment *experiment);
const char *experiment_target(const Experiment *experiment);
unsigned experiment_lun(const Experiment *experiment);
const ExperimentPlan *experiment_plan(const Experiment *experiment);
ExperimentState experiment_state(const Experiment *experiment);
const char *experiment_state_name(ExperimentState state);
const char *experiment_error(const Experiment *experiment); /* "": none */
/* What the LUN had, and has again in the end. */
ExchangeRequest experiment_original(const Experiment *experiment);
const char *experiment_original_text(const Experiment *experiment);
/* Those of Experiment1.GetResults: GVariant *, a{sv}; one for each turn that was measured. */
const GPtrArray *experiment_results(const Experiment *experiment);
unsigned experiment_slots(const Experiment *experiment); /* turns in all */
/* Whose turn it is; NULL: nobody's. *round from 1. */
const char *experiment_current(const Experiment *experiment, unsigned *round);
