/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task management requests (SRP 6.7): what they are to the nexus, and their answers. */
#include "srp/channel.h"
#include "srp/session.h"

/* The nexus has it until it answers or is closed. Its receive is kept: an initiator has no more of
 * them under way than it has credits. */
struct SrpTmf {
    SrpNexus *nexus;
    SrpIu *iu; /* NULL: the channel is gone */
    SrpTskMgmt in;
};

static void respond(SrpIu *iu, const SrpTskMgmt *in, SrpRspCode code)
{
    SrpChannel *channel = iu->channel;
    uint8_t out[SRP_RSP_MAX];
    bool solicited = code == SRP_TMF_DONE ? in->solicit_success : in->solicit_failure;
    srp_ring_release(iu, true);
    uint32_t credits = srp_channel_take_credits(channel);
    size_t len = srp_tmf_rsp_encode(in->tag, credits, solicited, code, out);
    srp_send(channel, out, len, solicited, NULL);
}

static SrpRspCode code_of(TmfResponse response)
{
    switch (response) {
    case TMF_COMPLETE:
    case TMF_SUCCEEDED:
    case TMF_TASK_NOT_FOUND: /* it has ended, and its answer is on its way (SAM-5 7.2) */
        return SRP_TMF_DONE;
    case TMF_INCORRECT_LUN:
        return SRP_TMF_FIELDS_INVALID;
    case TMF_REJECTED:
        break;
    }
    return SRP_TMF_FAILED;
}

static void managed(TmfResponse response, void *arg)
{
    g_autofree SrpTmf *tmf = arg;
    tmf->nexus->tmfs = g_slist_remove(tmf->nexus->tmfs, tmf);
    for (GList *l = tmf->nexus->channels.head; l; l = l->next)
        srp_commands_forget_orphans(l->data);
    if (tmf->iu)
        respond(tmf->iu, &tmf->in, code_of(response));
}

/* False: there is no such function. */
static bool find_function(uint8_t code, TmfFunction *function)
{
    static const struct {
        uint8_t code;
        TmfFunction function;
    } known[] = {
        {SRP_TMF_ABORT_TASK, TMF_ABORT_TASK},          {SRP_TMF_ABORT_TASK_SET, TMF_ABORT_TASK_SET},
        {SRP_TMF_CLEAR_TASK_SET, TMF_CLEAR_TASK_SET},  {SRP_TMF_LUN_RESET, TMF_LOGICAL_UNIT_RESET},
        {SRP_TMF_TARGET_RESET, TMF_TARGET_WARM_RESET},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
        if (known[i].code == code) {
            *function = known[i].function;
            return true;
        }
    return false;
}

void srp_tsk_mgmt_receive(SrpIu *iu)
{
    SrpChannel *channel = iu->channel;
    SrpNexus *nexus = channel->nexus;
    SrpTskMgmt in;
    TmfFunction function;
    if (!srp_tsk_mgmt_decode(iu->buffer + channel->ring.pad, iu->len, &in)) {
        srp_channel_close(channel, "a request shorter than an SRP_TSK_MGMT");
        srp_ring_release(iu, true);
        return;
    }
    if (!find_function(in.function, &function)) { /* CLEAR ACA too: NormACA = 0 */
        respond(iu, &in, SRP_TMF_NOT_SUPPORTED);
        return;
    }
    SrpTmf *tmf = g_new(SrpTmf, 1);
    *tmf = (SrpTmf){.nexus = nexus, .iu = iu, .in = in};
    nexus->tmfs = g_slist_prepend(nexus->tmfs, tmf);
    nexus_manage(nexus->nexus, function, in.lun, in.task_tag, managed, tmf);
}

void srp_tsk_mgmt_leave(SrpChannel *channel)
{
    for (GSList *l = channel->nexus->tmfs; l; l = l->next) {
        SrpTmf *tmf = l->data;
        if (tmf->iu && tmf->iu->channel == channel)
            srp_ring_release(g_steal_pointer(&tmf->iu), true);
    }
}

bool srp_tsk_mgmt_is_busy(const SrpChannel *channel)
{
    for (GSList *l = channel->nexus->tmfs; l; l = l->next) {
        const SrpTmf *tmf = l->data;
        if (tmf->iu && tmf->iu->channel == channel)
            return true;
    }
    return false;
}

void srp_tsk_mgmt_forget(SrpNexus *nexus)
{
    g_slist_free_full(g_steal_pointer(&nexus->tmfs), g_free);
}
