/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task management requests: when they may start, what they are to the nexus, and their answers. */
#include "iser/iscsi/tmf.h"

#include "iser/iscsi/session.h"

struct TmfRequest {
    IscsiSession *session;
    TmfRequest *next;
    uint8_t bhs[ISCSI_BHS_LEN];
    bool waiting;
};

/* A row per function code. */
static const struct {
    bool known;
    TmfFunction function;
    unsigned level; /* iSCSIProtocolLevel it needs */
    bool one_task;  /* the others wait for every command before them (4.2.3.4) */
} functions[] = {
    [ISCSI_TMF_ABORT_TASK] = {true, TMF_ABORT_TASK, 0, true},
    [ISCSI_TMF_ABORT_TASK_SET] = {true, TMF_ABORT_TASK_SET, 0, false},
    [ISCSI_TMF_CLEAR_ACA] = {true, TMF_CLEAR_ACA, 0, false},
    [ISCSI_TMF_CLEAR_TASK_SET] = {true, TMF_CLEAR_TASK_SET, 0, false},
    [ISCSI_TMF_LOGICAL_UNIT_RESET] = {true, TMF_LOGICAL_UNIT_RESET, 0, false},
    [ISCSI_TMF_TARGET_WARM_RESET] = {true, TMF_TARGET_WARM_RESET, 0, false},
    [ISCSI_TMF_TARGET_COLD_RESET] = {true, TMF_TARGET_COLD_RESET, 0, false},
    [ISCSI_TMF_QUERY_TASK] = {true, TMF_QUERY_TASK, 2, true},
    [ISCSI_TMF_QUERY_TASK_SET] = {true, TMF_QUERY_TASK_SET, 2, false},
    [ISCSI_TMF_I_T_NEXUS_RESET] = {true, TMF_I_T_NEXUS_RESET, 2, false},
};

static unsigned function_of(const uint8_t *bhs)
{
    return bhs[PDU_FLAGS] & TMF_FUNCTION_MASK;
}

static void respond(IscsiSession *session, const uint8_t *request, IscsiTmfResponse response)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    pdu_begin(bhs, ISCSI_TMF_RESPONSE, PDU_FINAL, pdu_itt(request));
    bhs[TMF_RESPONSE_CODE] = (uint8_t)response;
    session_send(session, bhs, NULL, 0);
}

static void forget(TmfRequest *request)
{
    TmfList *list = &request->session->tmfs;
    TmfRequest **at = &list->first;
    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
    list->count--;
    list->waiting -= request->waiting;
    g_free(request);
}

static void finish(TmfRequest *request, IscsiTmfResponse response)
{
    IscsiSession *session = request->session;
    bool cold = function_of(request->bhs) == ISCSI_TMF_TARGET_COLD_RESET &&
                response == TMF_RESPONSE_COMPLETE;
    command_forget_orphans(session);
    respond(session, request->bhs, response);
    forget(request);
    if (cold && !session->quiet) {
        /* Not one command more: the initiator could not tell whether it ran before its session
         * was dropped, and would send it again into a new one. */
        session->quiet = true;
        session->owner->drop_all(session->owner_arg); /* 11.5.1 */
    }
}

/* 11.6.1: a task that is not there may be one whose command has not arrived, or not in turn: then
 * its number counts as received, and it is as good as aborted. */
static IscsiTmfResponse abort_undelivered(TmfRequest *request)
{
    IscsiSession *session = request->session;
    uint32_t ref_cmd_sn = get_be32(request->bhs + TMF_REF_CMD_SN);
    DmPdu *pdu;
    if (!serial_before(ref_cmd_sn, pdu_cmd_sn(request->bhs)) ||
        !cmd_window_skip(&session->window, ref_cmd_sn, &pdu))
        return TMF_RESPONSE_NO_TASK;
    if (pdu)
        session->dm->dm->release_pdu(pdu);
    return TMF_RESPONSE_COMPLETE;
}

static IscsiTmfResponse response_of(TmfRequest *request, TmfResponse response)
{
    unsigned function = function_of(request->bhs);
    switch (response) {
    case TMF_COMPLETE:
        return TMF_RESPONSE_COMPLETE;
    case TMF_SUCCEEDED:
        return TMF_RESPONSE_SUCCEEDED;
    case TMF_TASK_NOT_FOUND:
        if (function == ISCSI_TMF_ABORT_TASK)
            return abort_undelivered(request);
        return function == ISCSI_TMF_QUERY_TASK ? TMF_RESPONSE_COMPLETE : TMF_RESPONSE_NO_TASK;
    case TMF_INCORRECT_LUN:
        return TMF_RESPONSE_NO_LUN;
    case TMF_REJECTED:
        break;
    }
    return function == ISCSI_TMF_CLEAR_ACA ? TMF_RESPONSE_NOT_SUPPORTED : TMF_RESPONSE_REJECTED;
}

static void managed(TmfResponse response, void *arg)
{
    TmfRequest *request = arg;
    IscsiSession *session = request->session;
    finish(request, response_of(request, response));
    session_advance(session);
}

static void start(TmfRequest *request)
{
    IscsiSession *session = request->session;
    session->tmfs.waiting -= request->waiting;
    request->waiting = false;
    nexus_manage(session->nexus, functions[function_of(request->bhs)].function,
                 pdu_lun(request->bhs), get_be32(request->bhs + TMF_REFERENCED_TAG), managed,
                 request);
}

/* An immediate request may overtake commands it has to act on. */
static bool must_wait(const IscsiSession *session, const TmfRequest *request)
{
    return pdu_immediate(request->bhs) && !functions[function_of(request->bhs)].one_task &&
           serial_before(session->window.exp_cmd_sn, pdu_cmd_sn(request->bhs));
}

/* What can be answered without the nexus; false: nothing of that kind. */
static bool answer_at_once(IscsiSession *session, const uint8_t *bhs)
{
    unsigned function = function_of(bhs);
    if (function == ISCSI_TMF_TASK_REASSIGN)
        respond(session, bhs, TMF_RESPONSE_NO_REASSIGN);
    else if (function >= G_N_ELEMENTS(functions) || !functions[function].known ||
             functions[function].level > session->params.iscsi_protocol_level)
        respond(session, bhs, TMF_RESPONSE_NOT_SUPPORTED);
    else if (session->tmfs.count == TMF_MAX)
        respond(session, bhs, TMF_RESPONSE_REJECTED);
    else
        return false;
    return true;
}

void tmf_receive(IscsiSession *session, DmPdu *pdu)
{
    uint8_t bhs[ISCSI_BHS_LEN];
    memcpy(bhs, pdu->bhs, sizeof bhs);
    session->dm->dm->release_pdu(pdu);
    if (answer_at_once(session, bhs))
        return;
    TmfRequest *request = g_new0(TmfRequest, 1);
    TmfRequest **tail = &session->tmfs.first;
    while (*tail)
        tail = &(*tail)->next;
    *tail = request;
    session->tmfs.count++;
    request->session = session;
    memcpy(request->bhs, bhs, sizeof bhs);
    request->waiting = must_wait(session, request);
    if (request->waiting)
        session->tmfs.waiting++;
    else
        start(request);
}

void tmf_window_advanced(IscsiSession *session)
{
    for (TmfRequest *request = session->tmfs.first, *next; request && session->tmfs.waiting;
         request = next) {
        next = request->next;
        if (request->waiting && !must_wait(session, request))
            start(request);
    }
}

void tmf_forget(IscsiSession *session)
{
    while (session->tmfs.first)
        forget(session->tmfs.first);
}
