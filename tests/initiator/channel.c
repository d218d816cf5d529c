/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connecting, credits, what comes, and waiting. */
#include "tests/initiator/channel.h"

#include <gio/gio.h>
#include <string.h>

#include "tests/initiator/channel-login.h"
#include "tests/initiator/scsi.h"

#define TIMEOUT_MS 10000
#define NO_TASK    UINT64_C(0xfffffffffffffffe)
/* Requests and receives beside those of commands. */
#define SPARE      32U
#define POLL_BATCH 32
/* Beyond this many the target is broken, and the count says it. */
#define VIOLATIONS_PRINTED 5

static const NexusOps channel_ops;

G_GNUC_PRINTF(4, 5)
static void violation(Channel *c, const uint8_t *iu, uint32_t len, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    if (++c->base.violations > VIOLATIONS_PRINTED || c->options.quiet)
        return;
    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("violation: %s (credits %" G_GINT64_FORMAT ", outstanding %u)\n   ", what,
               c->credits, c->outstanding);
    for (uint32_t i = 0; iu && i < MIN(len, 96); i++)
        g_printerr(" %02x", iu[i]);
    g_printerr("\n");
}

static void break_down(Channel *c, const char *what, const char *why)
{
    if (!c->broken)
        c->broken = g_strdup_printf("%s: %s", what, why);
}

/* --- sending ---------------------------------------------------------------------------------- */

void channel_send(Channel *c, Request *request)
{
    const struct ibv_mr *mr = c->verbs.mr;
    struct ibv_sge sge[2] = {{(uintptr_t)request->iu, request->len, mr->lkey},
                             {(uintptr_t)request->data, request->data_len, mr->lkey}};
    struct ibv_send_wr wr = {.wr_id = (uintptr_t)request,
                             .sg_list = sge,
                             .num_sge = request->data ? 2 : 1,
                             .opcode = IBV_WR_SEND,
                             .send_flags = IBV_SEND_SIGNALED};
    struct ibv_send_wr *bad;
    int rc = ibv_post_send(c->verbs.id->qp, &wr, &bad);

    request->sending = rc == 0;
    if (rc != 0)
        break_down(c, "post send", g_strerror(rc));
}

static bool reap_sends(Channel *c)
{
    struct ibv_wc wc[POLL_BATCH];
    int n = ibv_poll_cq(c->verbs.send_cq, POLL_BATCH, wc);

    for (int i = 0; i < n; i++) {
        Request *request = (Request *)(uintptr_t)wc[i].wr_id;

        if (wc[i].status != IBV_WC_SUCCESS)
            break_down(c, "send", ibv_wc_status_str(wc[i].status));
        request->sending = false;
        requests_settle(&c->requests, request);
    }
    return n > 0;
}

static Request *take_request(Channel *c)
{
    Request *request;

    while (!(request = requests_take(&c->requests)) && !c->broken && reap_sends(c))
        ;
    if (!request)
        g_error("more requests than there is memory for");
    return request;
}

Request *channel_prepare(Channel *c, Task *task, RequestForm form)
{
    const ChannelOptions *o = &c->options;
    Request *request = take_request(c);
    bool small = task->buffer.len <= MIN(o->immediate_most, o->iu_len - o->immediate_offset);

    task->finished = task->lost = task->overflow = task->underflow = false;
    task->response = task->status = 0;
    task->residual = task->sense_len = 0;
    request_fill(&c->requests, request, task, form,
                 c->immediate && task->write && task->buffer.len && small ? o->immediate_offset
                                                                          : 0);
    c->outstanding++;
    c->credits--;
    return request;
}

Request *channel_blank(Channel *c, uint8_t opcode, uint32_t len)
{
    Request *request = take_request(c);

    g_assert(len <= REQUEST_IU_MAX);
    memset(request->iu, 0, MAX(len, 1));
    request->iu[0] = opcode;
    request->len = len;
    return request;
}

/* Like the Linux initiator, keeps a credit for task management. */
static bool may_send(const Channel *c, const Task *task)
{
    return task->management ? c->credits > 0 : c->credits > 1 && c->outstanding < c->options.depth;
}

static void start_waiting(Channel *c)
{
    while (!g_queue_is_empty(&c->waiting) && may_send(c, g_queue_peek_head(&c->waiting)))
        channel_send(c, channel_prepare(c, g_queue_pop_head(&c->waiting), c->options.form));
}

/* --- what comes ------------------------------------------------------------------------------- */

static void take_credits(Channel *c, const uint8_t *iu, uint32_t len)
{
    int32_t delta = (int32_t)get_be32(iu + SRP_AT_CREDITS);

    if (delta < 0)
        violation(c, iu, len, "REQUEST LIMIT DELTA is negative");
    c->credits += delta;
    if (c->credits < 0)
        violation(c, iu, len, "the request limit is negative");
}

static void answer(Channel *c, uint8_t opcode, const uint8_t *iu)
{
    Request *request = channel_blank(c, opcode, SRP_SHORT_LEN);

    memcpy(request->iu + SRP_AT_TAG, iu + SRP_AT_TAG, 8);
    channel_send(c, request);
}

static void finish(Channel *c, Request *request)
{
    Task *task = request->task;

    request->task = NULL;
    c->outstanding--;
    requests_settle(&c->requests, request);
    task->finished = true;
    if (task->done)
        task->done(task);
}

static void take_residual(Channel *c, Task *task, const uint8_t *iu, uint32_t len)
{
    uint8_t flags = iu[SRP_AT_RSP_FLAGS];
    bool out = task->write && !task->read;
    unsigned over = out ? SRP_DOOVER : SRP_DIOVER, under = out ? SRP_DOUNDER : SRP_DIUNDER;

    task->overflow = flags & over;
    task->underflow = flags & under;
    task->residual = get_be32(iu + (out ? SRP_AT_OUT_RESIDUAL : SRP_AT_IN_RESIDUAL));
    if (!task->read && !task->write && (flags & SRP_DOOVER)) {
        task->overflow = true;
        task->residual = get_be32(iu + SRP_AT_OUT_RESIDUAL);
    }
    if (task->underflow && task->residual > task->buffer.len)
        violation(c, iu, len, "residual underflow of more than there is");
}

static void check_residuals(Channel *c, const uint8_t *iu, uint32_t len)
{
    uint8_t flags = iu[SRP_AT_RSP_FLAGS];
    bool out = flags & (SRP_DOOVER | SRP_DOUNDER), in = flags & (SRP_DIOVER | SRP_DIUNDER);

    if ((flags & SRP_DOOVER && flags & SRP_DOUNDER) || (flags & SRP_DIOVER && flags & SRP_DIUNDER))
        violation(c, iu, len, "over and under at once");
    if (out != (get_be32(iu + SRP_AT_OUT_RESIDUAL) != 0) ||
        in != (get_be32(iu + SRP_AT_IN_RESIDUAL) != 0))
        violation(c, iu, len, "flags and residual counts are not of one opinion");
}

static const char *judge_response(const Task *task, const uint8_t *iu, uint32_t len)
{
    uint8_t flags = iu[SRP_AT_RSP_FLAGS];
    uint64_t sense = flags & SRP_SNSVALID ? get_be32(iu + SRP_AT_SENSE_LEN) : 0;
    uint64_t response = flags & SRP_RSPVALID ? get_be32(iu + SRP_AT_RESPONSE_LEN) : 0;
    bool failed = flags & SRP_RSPVALID ? len < SRP_RSP_LEN + 4 || iu[SRP_RSP_LEN + 3]
                                       : iu[SRP_AT_STATUS] != 0;

    if (len != SRP_RSP_LEN + response + sense)
        return "the lengths are not that of the IU";
    if (flags & 0xc0 || iu[2] || iu[3] || iu[16] || iu[17] || iu[1] & ~SRP_SOLNT)
        return "reserved bits are set";
    if (!(flags & SRP_SNSVALID) != !get_be32(iu + SRP_AT_SENSE_LEN) ||
        !(flags & SRP_RSPVALID) != !get_be32(iu + SRP_AT_RESPONSE_LEN))
        return "flags and list lengths are not of one opinion";
    if (!(flags & SRP_RSPVALID) == !!task->management)
        return task->management ? "no response data for a TSK_MGMT" : "response data for a command";
    if (flags & SRP_RSPVALID && (response != 4 || get_be24(iu + SRP_RSP_LEN)))
        return "response data of another form";
    if (!(iu[1] & SRP_SOLNT) == !!(task->solicit & (failed ? SRP_UCSOLNT : SRP_SCSOLNT)))
        return "SOLNT is not what was asked for";
    if (sense && iu[SRP_AT_STATUS] != SCSI_CHECK_CONDITION)
        return "sense data without CHECK CONDITION";
    return NULL;
}

static void take_response(Channel *c, const uint8_t *iu, uint32_t len)
{
    Request *request = requests_find(&c->requests, get_be64(iu + SRP_AT_TAG));
    const char *wrong = request ? judge_response(request->task, iu, len) : "nothing has that tag";
    uint32_t sense_at = SRP_RSP_LEN;
    Task *task;

    take_credits(c, iu, len);
    if (wrong)
        violation(c, iu, len, "%s", wrong);
    if (!request)
        return;
    task = request->task;
    if (iu[SRP_AT_RSP_FLAGS] & SRP_RSPVALID && len >= SRP_RSP_LEN + 4) {
        task->response = iu[SRP_RSP_LEN + 3];
        sense_at += 4;
    }
    task->status = iu[SRP_AT_STATUS];
    task->sense_len = (uint32_t)MIN(len - sense_at, sizeof(task->sense));
    memcpy(task->sense, iu + sense_at, task->sense_len);
    check_residuals(c, iu, len);
    take_residual(c, task, iu, len);
    finish(c, request);
}

/* CRED_REQ and AER_REQ. */
static void take_target_request(Channel *c, const uint8_t *iu, uint32_t len)
{
    bool event = iu[0] == SRP_AER_REQ;
    uint32_t want = event ? SRP_AER_REQ_LEN + get_be32(iu + 28) : SRP_SHORT_LEN;
    bool solicited = c->options.flags & (event ? SRP_AESOLNT : SRP_CRSOLNT);

    if (len != want || iu[2] || iu[3])
        violation(c, iu, len, "lengths or reserved bytes of a target's request");
    if (iu[1] != (solicited ? SRP_SOLNT : 0))
        violation(c, iu, len, "SOLNT is not what the login asked for");
    take_credits(c, iu, len);
    if (c->manual)
        g_queue_push_tail(&c->inbox, g_bytes_new(iu, len));
    else
        answer(c, event ? SRP_AER_RSP : SRP_CRED_RSP, iu);
}

static void take_logout(Channel *c, const uint8_t *iu, uint32_t len)
{
    if (len != SRP_SHORT_LEN || iu[1] != (c->options.flags & SRP_LOSOLNT ? SRP_SOLNT : 0))
        violation(c, iu, len, "length or SOLNT of a T_LOGOUT");
    c->logged_out = true;
    c->logout_reason = get_be32(iu + SRP_AT_CREDITS);
}

static void take_iu(Channel *c, const uint8_t *iu, uint32_t len)
{
    static const uint32_t least[] = {
        [SRP_RSP - 0x80] = SRP_RSP_LEN,
        [SRP_CRED_REQ - 0x80] = SRP_SHORT_LEN,
        [SRP_AER_REQ - 0x80] = SRP_AER_REQ_LEN,
        [SRP_T_LOGOUT - 0x80] = SRP_SHORT_LEN,
    };
    unsigned type = len && iu[0] >= 0x80 ? iu[0] - 0x80U : G_MAXUINT;

    if (type >= G_N_ELEMENTS(least) || !least[type] || len < least[type]) {
        violation(c, iu, len, "no IU that a target sends");
        return;
    }
    if (c->logged_out)
        violation(c, iu, len, "there is more behind a T_LOGOUT");
    if (len > c->reply.max_out_len)
        violation(c, iu, len, "longer than the login response allows");
    if (iu[0] == SRP_RSP)
        take_response(c, iu, len);
    else if (iu[0] == SRP_T_LOGOUT)
        take_logout(c, iu, len);
    else
        take_target_request(c, iu, len);
}

static void post_receive(Channel *c, unsigned index)
{
    struct ibv_sge sge = {(uintptr_t)(c->receives + (size_t)index * CHANNEL_RECEIVE),
                          CHANNEL_RECEIVE, c->verbs.mr->lkey};
    struct ibv_recv_wr wr = {.wr_id = index, .sg_list = &sge, .num_sge = 1}, *bad;
    int rc = ibv_post_recv(c->verbs.id->qp, &wr, &bad);

    if (rc != 0)
        break_down(c, "post receive", g_strerror(rc));
}

static bool reap_receives(Channel *c)
{
    struct ibv_wc wc[POLL_BATCH];
    int n = ibv_poll_cq(c->verbs.recv_cq, POLL_BATCH, wc);

    for (int i = 0; i < n; i++) {
        if (wc[i].status != IBV_WC_SUCCESS) {
            break_down(c, "receive", ibv_wc_status_str(wc[i].status));
            continue;
        }
        take_iu(c, c->receives + wc[i].wr_id * CHANNEL_RECEIVE, wc[i].byte_len);
        post_receive(c, (unsigned)wc[i].wr_id);
    }
    return n > 0;
}

static bool reap(Channel *c)
{
    bool sends = reap_sends(c);

    return reap_receives(c) || sends;
}

/* --- turning ---------------------------------------------------------------------------------- */

static void lose(Task *task)
{
    task->lost = task->finished = true;
    if (task->done)
        task->done(task);
}

static void lose_all(Channel *c)
{
    Task *task;

    for (unsigned i = 0; i < c->requests.count; i++) {
        task = c->requests.all[i].task;
        if (!task)
            continue;
        c->requests.all[i].task = NULL;
        c->outstanding--;
        lose(task);
    }
    while ((task = g_queue_pop_head(&c->waiting)))
        lose(task);
}

/* The target's own words are a better reason than that the connection has ended. */
static bool end(Channel *c, GError *why)
{
    c->base.error =
        why ? why : g_error_new(G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "%s", c->broken);
    if (c->logged_out)
        g_prefix_error(&c->base.error, "logged out by the target, reason %u: ", c->logout_reason);
    lose_all(c);
    return false;
}

bool channel_turn(Channel *c, int timeout_ms)
{
    GError *error = NULL;

    if (c->base.error)
        return false;
    start_waiting(c);
    if (!reap(c) && !c->broken) {
        verbs_arm(&c->verbs);
        if (!reap(c)) {
            verbs_wait(&c->verbs, timeout_ms);
            reap(c);
        }
        /* The last messages come before the news that there will be no more. */
        if (!verbs_take_events(&c->verbs, &error)) {
            while (reap_receives(c))
                ;
            return end(c, error);
        }
    }
    return c->broken ? end(c, NULL) : true;
}

static void submit(Nexus *nexus, Task *task)
{
    Channel *c = (Channel *)nexus;

    task->finished = task->lost = false;
    if (c->base.error) {
        lose(task);
        return;
    }
    g_queue_push_tail(&c->waiting, task);
    start_waiting(c);
}

bool channel_run(Channel *c, Task *task, int timeout_ms)
{
    return nexus_run(&c->base, task, timeout_ms);
}

static void give_up(Nexus *nexus, Task *task)
{
    Channel *c = (Channel *)nexus;
    Request *request = requests_find(&c->requests, task->tag);

    g_queue_remove(&c->waiting, task);
    if (request && request->task == task) {
        request->task = NULL;
        c->outstanding--;
        requests_settle(&c->requests, request);
    }
    lose(task);
}

bool channel_await_end(Channel *c, int timeout_ms)
{
    const bool never = false;

    nexus_turn_until(&c->base, &never, timeout_ms);
    return c->base.error != NULL;
}

GBytes *channel_await(Channel *c, uint8_t opcode, int timeout_ms)
{
    gint64 end_us = g_get_monotonic_time() + timeout_ms * (gint64)1000;

    do {
        for (GList *link = c->inbox.head; link; link = link->next) {
            GBytes *iu = link->data;

            if (*(const uint8_t *)g_bytes_get_data(iu, NULL) != opcode)
                continue;
            g_queue_delete_link(&c->inbox, link);
            return iu;
        }
    } while (g_get_monotonic_time() < end_us && channel_turn(c, 50));
    return NULL;
}

/* The target may end the connection, too: whoever is first. */
bool channel_log_out(Channel *c, int timeout_ms)
{
    gint64 last = g_get_monotonic_time() + timeout_ms * (gint64)1000;
    Request *request;

    if (c->base.error)
        return false;
    request = channel_blank(c, SRP_I_LOGOUT, SRP_SHORT_LEN);
    channel_send(c, request);
    while (request->sending && g_get_monotonic_time() < last && channel_turn(c, 50))
        ;
    if (request->sending && !c->base.error)
        return false;
    if (!c->base.error)
        rdma_disconnect(c->verbs.id);
    c->verbs.connected = false;
    return channel_await_end(c, timeout_ms) && !c->logged_out;
}

void channel_manage(Task *task, uint8_t function, uint64_t lun, uint64_t subject)
{
    *task = (Task){.lun = lun, .management = function, .subject = subject};
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void take_login(Channel *c, uint64_t tag)
{
    const uint8_t *p = c->verbs.reply;
    const char *wrong = channel_login_judge(&c->options, &c->reply, p, tag);

    if (wrong)
        violation(c, p, c->verbs.reply_len, "%s", wrong);
    if (c->reply.opcode != SRP_LOGIN_RSP)
        break_down(c, "login", "no LOGIN_RSP");
    c->credits = c->reply.credits;
    c->immediate = c->reply.flags & SRP_IMMEDIATE;
}

static bool connect_channel(Channel *c, GError **error)
{
    const ChannelOptions *o = &c->options;
    size_t arena = (MAX(o->arena, 4096) + 4095) & ~(size_t)4095;
    unsigned requests = o->depth + SPARE;
    uint64_t tag = (uint64_t)g_random_int() << 32 | g_random_int();
    uint8_t login[SRP_LOGIN_LEN];
    VerbsOptions vo = {.host = o->url->host,
                       .port = o->url->port,
                       .timeout_ms = TIMEOUT_MS,
                       .memory = arena + (size_t)requests * (REQUEST_SIZE + CHANNEL_RECEIVE),
                       .sends = requests,
                       .receives = requests,
                       .private_data = login,
                       .private_len = o->login_len};

    channel_login_put(o, tag, login);
    if (!verbs_prepare(&c->verbs, &vo, error))
        return false;
    requests_init(&c->requests, requests, c->verbs.memory + arena, c->verbs.mr->rkey);
    c->receives = c->verbs.memory + arena + (size_t)requests * REQUEST_SIZE;
    for (unsigned i = 0; i < requests; i++)
        post_receive(c, i);
    if (!verbs_connect(&c->verbs, &vo, error)) {
        channel_login_take(&c->verbs, &c->reply);
        if (c->reply.opcode && error && c->reply.reason == SRP_REJ_NO_RESOURCES) {
            (*error)->domain = G_IO_ERROR;
            (*error)->code = G_IO_ERROR_BUSY;
        }
        if (c->reply.opcode)
            g_prefix_error(error, "login rejected, reason %#x: ", c->reply.reason);
        return false;
    }
    channel_login_take(&c->verbs, &c->reply);
    take_login(c, tag);
    return true;
}

Channel *channel_open(const ChannelOptions *options, ChannelReply *reply, GError **error)
{
    Channel *c = g_new0(Channel, 1);
    bool good;

    c->base.ops = &channel_ops;
    c->options = *options;
    good = connect_channel(c, error);
    if (reply)
        *reply = c->reply;
    if (good)
        return c;
    channel_free(c);
    return NULL;
}

void channel_free(Channel *c)
{
    if (!c)
        return;
    verbs_close(&c->verbs);
    lose_all(c);
    g_queue_clear_full(&c->inbox, (GDestroyNotify)g_bytes_unref);
    requests_deinit(&c->requests);
    g_clear_error(&c->base.error);
    g_free(c->broken);
    g_free(c);
}

/* --- the seam --------------------------------------------------------------------------------- */

static uint8_t *memory(Nexus *nexus)
{
    return ((Channel *)nexus)->verbs.memory;
}

static bool turn(Nexus *nexus, int timeout_ms)
{
    return channel_turn((Channel *)nexus, timeout_ms);
}

static bool log_out(Nexus *nexus, int timeout_ms)
{
    return channel_log_out((Channel *)nexus, timeout_ms);
}

static void free_nexus(Nexus *nexus)
{
    channel_free((Channel *)nexus);
}

/* Ahead of the commands that wait. */
static bool manage(Nexus *nexus, uint64_t lun, int timeout_ms)
{
    Channel *c = (Channel *)nexus;
    Task task;

    channel_manage(&task, SRP_ABORT_TASK, lun, NO_TASK);
    g_queue_push_head(&c->waiting, &task);
    start_waiting(c);
    if (nexus_turn_until(nexus, &task.finished, timeout_ms))
        return !task.lost;
    give_up(nexus, &task);
    return false;
}

static const NexusOps channel_ops = {
    .memory = memory,
    .turn = turn,
    .submit = submit,
    .give_up = give_up,
    .manage = manage,
    .log_out = log_out,
    .free = free_nexus,
};

Nexus *channel_open_nexus(const NexusOptions *options, GError **error)
{
    const char *name, *value;
    ChannelOptions o;
    Channel *c;

    if (!channel_options_init(&o, options->url, error))
        return NULL;
    o.depth = options->depth;
    o.arena = options->arena;
    o.quiet = options->quiet;
    for (unsigned i = 0; options->keys && i < text_keys_count(options->keys); i++) {
        text_keys_pair(options->keys, i, &name, &value);
        if (channel_options_key(&o, name, value))
            continue;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s=%s is nothing for SRP",
                    name, value);
        return NULL;
    }
    if (!(o.flags & SRP_MULTICHANNEL))
        put_be32(o.initiator, options->index + 1);
    c = channel_open(&o, NULL, error);
    return c ? &c->base : NULL;
}
