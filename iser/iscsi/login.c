/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The login state machine: header rules, stages, security and operational negotiation. */
#include "iser/iscsi/login.h"

#define INVALID LOGIN_FAILED

/* State x stage the request is in x what it asks for (CSG, then NSG where T is set, the same stage
 * where it is not): the state after it (7143 6.3, 11.12.3). */
static const LoginState stage_table[LOGIN_FAILED + 1][2][4] = {
    [LOGIN_FIRST] = {{LOGIN_IN_SECURITY, LOGIN_IN_OPERATIONAL, INVALID, LOGIN_REGISTERING},
                     {INVALID, LOGIN_IN_OPERATIONAL, INVALID, LOGIN_REGISTERING}},
    [LOGIN_IN_SECURITY] = {{LOGIN_IN_SECURITY, LOGIN_IN_OPERATIONAL, INVALID, LOGIN_REGISTERING},
                           {INVALID, INVALID, INVALID, INVALID}},
    [LOGIN_IN_OPERATIONAL] = {{INVALID, INVALID, INVALID, INVALID},
                              {INVALID, LOGIN_IN_OPERATIONAL, INVALID, LOGIN_REGISTERING}},
    [LOGIN_RESOLVING] = {{INVALID, INVALID, INVALID, INVALID},
                         {INVALID, INVALID, INVALID, INVALID}},
    [LOGIN_REGISTERING] = {{INVALID, INVALID, INVALID, INVALID},
                           {INVALID, INVALID, INVALID, INVALID}},
    [LOGIN_COMPLETE] = {{INVALID, INVALID, INVALID, INVALID}, {INVALID, INVALID, INVALID, INVALID}},
    [LOGIN_FAILED] = {{INVALID, INVALID, INVALID, INVALID}, {INVALID, INVALID, INVALID, INVALID}},
};

void login_init(Login *login)
{
    *login = (Login){.state = LOGIN_FIRST, .answer = text_writer(LOGIN_DATA_MAX)};
    keys_ours(&login->offer);
    keys_initial(&login->negotiated);
    login->keys = (KeyNegotiation){.offer = &login->offer, .negotiated = &login->negotiated};
}

void login_clear(Login *login)
{
    text_collector_clear(&login->text);
    text_writer_clear(&login->answer);
    chap_clear(&login->chap);
    g_clear_pointer(&login->initiator_name, g_free);
    g_clear_pointer(&login->initiator_alias, g_free);
    g_clear_pointer(&login->target_name, g_free);
    g_clear_pointer(&login->session_type, g_free);
}

char *iscsi_name_normalize(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > ISCSI_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f)
            return NULL;
    return g_ascii_strdown(name, -1);
}

/* --- replies -----------------------------------------------------------------------------------*/

static void build_reply(Login *login, uint8_t flags, LoginStatus status)
{
    uint8_t *bhs = login->reply;
    pdu_begin(bhs, ISCSI_LOGIN_RESPONSE, flags, login->itt);
    memcpy(bhs + LOGIN_ISID, login->isid, sizeof login->isid);
    put_be16(bhs + LOGIN_TSIH, login->tsih);
    put_be32(bhs + PDU_STAT_SN, login->stat_sn++);
    put_be32(bhs + PDU_EXP_CMD_SN, login->cmd_sn);
    put_be32(bhs + PDU_MAX_CMD_SN, login->cmd_sn);
    put_be16(bhs + LOGIN_STATUS, (uint16_t)status);
    login->status = status;
}

LoginAction login_refuse(Login *login, LoginStatus status, const char *reason)
{
    g_byte_array_set_size(login->answer.bytes, 0);
    login->reason = reason;
    login->state = LOGIN_FAILED;
    build_reply(login, login->flags & (LOGIN_STAGES(3, 0)), status);
    return LOGIN_FAIL;
}

/* The current stage with T where the request had it; the next state holds from now on. */
static LoginAction accept_request(Login *login)
{
    uint8_t mask = login->flags & LOGIN_TRANSIT ? 0xff : LOGIN_STAGES(3, 0);
    login->state = login->next;
    build_reply(login, login->flags & mask & ~LOGIN_CONTINUE, LOGIN_SUCCESS);
    return LOGIN_REPLY;
}

/* --- the header --------------------------------------------------------------------------------*/

static void take_first_header(Login *login, const uint8_t *bhs)
{
    memcpy(login->isid, bhs + LOGIN_ISID, sizeof login->isid);
    login->tsih = get_be16(bhs + LOGIN_TSIH);
    login->cid = get_be16(bhs + LOGIN_CID);
    login->itt = pdu_itt(bhs);
    login->cmd_sn = pdu_cmd_sn(bhs);
    login->stat_sn = pdu_exp_stat_sn(bhs);
}

static bool same_header(const Login *login, const uint8_t *bhs)
{
    return !memcmp(login->isid, bhs + LOGIN_ISID, sizeof login->isid) &&
           login->tsih == get_be16(bhs + LOGIN_TSIH) && login->cid == get_be16(bhs + LOGIN_CID) &&
           login->itt == pdu_itt(bhs) && login->cmd_sn == pdu_cmd_sn(bhs);
}

/* NULL, or what is wrong with the flags. Sets the state after the request. */
static const char *check_stage(Login *login)
{
    unsigned current = LOGIN_CSG(login->flags);
    bool transit = login->flags & LOGIN_TRANSIT;
    unsigned wanted = transit ? LOGIN_NSG(login->flags) : current;
    if (transit && login->flags & LOGIN_CONTINUE)
        return "T and C both set";
    if (current > LOGIN_STAGE_OPERATIONAL || (transit && wanted <= current))
        return "impossible stage";
    login->next = stage_table[login->state][current][wanted];
    return login->next == INVALID ? "stage out of turn" : NULL;
}

/* --- names -------------------------------------------------------------------------------------*/

/* A name may be repeated, but not change. */
static bool set_name(char **name, const char *value)
{
    g_autofree char *normal = iscsi_name_normalize(value);
    if (!normal || (*name && strcmp(*name, normal) != 0))
        return false;
    if (!*name)
        *name = g_steal_pointer(&normal);
    return true;
}

static bool set_session_type(Login *login, const char *value)
{
    if (login->session_type && strcmp(login->session_type, value) != 0)
        return false;
    if (!login->session_type)
        login->session_type = g_strdup(value);
    return true;
}

static bool take_name(Login *login, const char *key, const char *value)
{
    if (!strcmp(key, "InitiatorName"))
        return set_name(&login->initiator_name, value);
    if (!strcmp(key, "TargetName"))
        return set_name(&login->target_name, value);
    if (!strcmp(key, "SessionType"))
        return set_session_type(login, value);
    return true;
}

/* The parameters of the offer depend on the target, so the names are picked out of the first
 * request before anything is negotiated. False: the login has failed. */
static bool find_names(Login *login)
{
    TextReader reader = text_reader(login->text.bytes->data, login->text.bytes->len);
    TextResult result;
    while ((result = text_read(&reader)) == TEXT_PAIR) {
        if (!take_name(login, reader.key, reader.value)) {
            login_refuse(login, LOGIN_INITIATOR_ERROR, "bad name or session type");
            return false;
        }
    }
    if (result == TEXT_BAD)
        login_refuse(login, LOGIN_INITIATOR_ERROR, "malformed text");
    return result == TEXT_END;
}

static LoginAction check_names(Login *login)
{
    login->discovery = login->session_type && !strcmp(login->session_type, "Discovery");
    if (!login->initiator_name)
        return login_refuse(login, LOGIN_MISSING_PARAMETER, "no InitiatorName");
    if (login->session_type && !login->discovery && strcmp(login->session_type, "Normal") != 0)
        return login_refuse(login, LOGIN_SESSION_TYPE_NOT_SUPPORTED, "unknown SessionType");
    if (!login->discovery && !login->target_name)
        return login_refuse(login, LOGIN_MISSING_PARAMETER, "no TargetName");
    login->names_known = true;
    login->keys.discovery = login->discovery;
    login->state = LOGIN_RESOLVING;
    return LOGIN_RESOLVE;
}

/* --- negotiation -------------------------------------------------------------------------------*/

static bool list_has(const char *list, const char *name)
{
    g_auto(GStrv) names = g_strsplit(list, ",", -1);
    return g_strv_contains((const char *const *)names, name);
}

/* SecurityNegotiation: the one method this target accepts. False: the login has failed. */
static bool choose_auth_method(Login *login, const char *offered)
{
    const char *method = login->chap.policy ? "CHAP" : "None";
    if (login->method_agreed) {
        login_refuse(login, LOGIN_INITIATOR_ERROR, "key offered twice");
        return false;
    }
    if (!list_has(offered, method)) {
        login_refuse(login, LOGIN_AUTHENTICATION_FAILURE,
                     login->chap.policy ? "CHAP is required" : "no common AuthMethod");
        return false;
    }
    text_write(&login->answer, "AuthMethod", method);
    login->method_agreed = true;
    if (login->chap.policy)
        chap_begin(&login->chap);
    return true;
}

static bool take_chap_key(Login *login, const char *key, const char *value)
{
    if (login->chap.policy && chap_take_key(&login->chap, key, value))
        return true;
    login_refuse(login, LOGIN_INITIATOR_ERROR,
                 login->chap.policy ? "key offered twice" : "CHAP was not agreed on");
    return false;
}

/* The keys that the table leaves to the login. False: the login has failed. */
static bool take_login_key(Login *login, const char *key, const char *value)
{
    if (!strcmp(key, "AuthMethod"))
        return choose_auth_method(login, value);
    if (g_str_has_prefix(key, "CHAP_"))
        return take_chap_key(login, key, value);
    if (!strcmp(key, "InitiatorAlias") && !login->initiator_alias)
        login->initiator_alias = g_strdup(value);
    if (!take_name(login, key, value)) {
        login_refuse(login, LOGIN_INITIATOR_ERROR, "name or session type changed");
        return false;
    }
    return true;
}

static bool negotiate_pair(Login *login, const char *key, const char *value)
{
    char answer[KEY_ANSWER_MAX];
    switch (keys_negotiate(&login->keys, key, value, answer)) {
    case KEY_ANSWER:
        text_write(&login->answer, key, answer);
        return true;
    case KEY_SILENT:
        return true;
    case KEY_CALLER:
        return take_login_key(login, key, value);
    case KEY_DUPLICATE:
        break;
    }
    login_refuse(login, LOGIN_INITIATOR_ERROR, "key offered twice");
    return false;
}

/* Our MaxRecvDataSegmentLength, where the initiator did not ask for it by declaring its own. */
static void declare_own(Login *login)
{
    char value[KEY_ANSWER_MAX];
    login->own_declared = true;
    if (keys_declare(&login->keys, "MaxRecvDataSegmentLength", value))
        text_write(&login->answer, "MaxRecvDataSegmentLength", value);
}

/* Who has to prove something does not leave the security stage before (12.1): its wish for transit
 * goes unheard until then, and without an AuthMethod, or in another stage, it is in vain. False:
 * the login has failed. */
static bool authenticate(Login *login, bool operational)
{
    Chap *chap = &login->chap;
    if (!chap->policy)
        return true;
    if (!chap_step(chap, &login->answer)) {
        login_refuse(login, LOGIN_AUTHENTICATION_FAILURE, chap->reason);
        return false;
    }
    if (chap->state == CHAP_PROVED)
        return true;
    if (operational || (login->flags & LOGIN_TRANSIT && !login->method_agreed)) {
        login_refuse(login, LOGIN_AUTHENTICATION_FAILURE, "CHAP is required");
        return false;
    }
    login->flags &= (uint8_t)~LOGIN_TRANSIT;
    login->next = LOGIN_IN_SECURITY;
    return true;
}

/* Works through the collected text and decides on the transition. */
static LoginAction negotiate(Login *login)
{
    bool operational = LOGIN_CSG(login->flags) == LOGIN_STAGE_OPERATIONAL;
    login->keys.phase = operational ? KEY_IN_OPERATIONAL : KEY_IN_SECURITY;
    TextReader reader = text_reader(login->text.bytes->data, login->text.bytes->len);
    TextResult result;
    while ((result = text_read(&reader)) == TEXT_PAIR)
        if (!negotiate_pair(login, reader.key, reader.value))
            return LOGIN_FAIL;
    if (result == TEXT_BAD)
        return login_refuse(login, LOGIN_INITIATOR_ERROR, "malformed text");
    if (!authenticate(login, operational))
        return LOGIN_FAIL;
    if (operational && !login->own_declared)
        declare_own(login);
    text_collector_clear(&login->text);
    if (login->answer.full)
        return login_refuse(login, LOGIN_INITIATOR_ERROR, "too many keys");
    if (login->next != LOGIN_REGISTERING)
        return accept_request(login);
    login->state = LOGIN_REGISTERING;
    return LOGIN_REGISTER;
}

/* --- events ------------------------------------------------------------------------------------*/

LoginAction login_request(Login *login, const uint8_t bhs[ISCSI_BHS_LEN], const void *data,
                          size_t len)
{
    g_byte_array_set_size(login->answer.bytes, 0);
    if (login->state == LOGIN_FIRST)
        take_first_header(login, bhs);
    if (pdu_opcode(bhs) != ISCSI_LOGIN_REQUEST)
        return login_refuse(login, LOGIN_INVALID_DURING_LOGIN, pdu_opcode_name(bhs[0]));
    login->flags = bhs[PDU_FLAGS];
    if (bhs[LOGIN_VERSION_MIN] > 0)
        return login_refuse(login, LOGIN_UNSUPPORTED_VERSION, "no common version");
    if (!same_header(login, bhs))
        return login_refuse(login, LOGIN_INITIATOR_ERROR, "header changed during login");
    const char *wrong = check_stage(login);
    if (wrong)
        return login_refuse(login, LOGIN_INVALID_DURING_LOGIN, wrong);
    if (!text_collect(&login->text, data, len))
        return login_refuse(login, LOGIN_INITIATOR_ERROR, "too much text");
    if (login->flags & LOGIN_CONTINUE)
        return accept_request(login);
    if (login->names_known)
        return negotiate(login);
    return find_names(login) ? check_names(login) : LOGIN_FAIL;
}

static void introduce_target(Login *login, const LoginTarget *target)
{
    char tag[8];
    g_snprintf(tag, sizeof tag, "%u", target->portal_group_tag);
    text_write(&login->answer, "TargetPortalGroupTag", tag);
    if (target->alias)
        text_write(&login->answer, "TargetAlias", target->alias);
}

static LoginAction refuse_target(Login *login, const LoginTarget *target)
{
    LoginAction action = login_refuse(login, target->status, login_status_name(target->status));
    if (target->moved_to)
        text_write(&login->answer, "TargetAddress", target->moved_to);
    return action;
}

LoginAction login_resolved(Login *login, const LoginTarget *target)
{
    if (target->status != LOGIN_SUCCESS)
        return refuse_target(login, target);
    chap_init(&login->chap, target->auth);
    login->offer = target->offer;
    login->negotiated.queue_depth = login->offer.queue_depth;
    login->negotiated.nop_interval = login->offer.nop_interval;
    login->negotiated.nop_timeout = login->offer.nop_timeout;
    if (login->discovery) /* RFC 7145 6.3: the key does not matter there; the wire decides */
        login->negotiated.rdma_extensions = login->offer.rdma_extensions;
    else
        introduce_target(login, target);
    return negotiate(login);
}

LoginAction login_registered(Login *login, LoginStatus status, uint16_t tsih, unsigned window)
{
    if (status != LOGIN_SUCCESS)
        return login_refuse(login, status, login_status_name(status));
    login->tsih = tsih;
    login->next = LOGIN_COMPLETE;
    accept_request(login);
    put_be32(login->reply + PDU_MAX_CMD_SN, login->cmd_sn + window - 1);
    return LOGIN_SUCCEED;
}
