/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fakes. */
#include "tests/unit/iscsi_fake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

/* --- datamover ---------------------------------------------------------------------------------*/

typedef struct {
    DmPdu base;
    uint8_t bytes[];
} FakePdu;

static FakeConn *fake_conn(DmConn *dm)
{
    return (FakeConn *)dm;
}

static void record(FakeConn *conn, const uint8_t *bhs, const void *data, uint32_t len, bool is_put)
{
    FakeSent *sent = g_new0(FakeSent, 1);
    memcpy(sent->bhs, bhs, ISCSI_BHS_LEN);
    sent->data = g_memdup2(data, len);
    sent->len = len;
    sent->is_put = is_put;
    g_queue_push_tail(&conn->sent, sent);
}

static void fake_limit_keys(DmConn *dm, IscsiParams *offer)
{
    (void)dm;
    offer->rdma_extensions = false;
}

static unsigned fake_allocate(DmConn *dm, const IscsiParams *negotiated)
{
    fake_conn(dm)->negotiated = *negotiated;
    return fake_conn(dm)->window;
}

static void fake_enable(DmConn *dm, const IscsiParams *negotiated)
{
    fake_conn(dm)->negotiated = *negotiated;
    fake_conn(dm)->enabled = true;
}

static void fake_send_control(DmConn *dm, const uint8_t bhs[ISCSI_BHS_LEN], const void *data,
                              uint32_t len)
{
    g_assert(!fake_conn(dm)->terminated);
    record(fake_conn(dm), bhs, data, len, false);
}

static void fake_put_data(DmConn *dm, DmMove *move)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    for (int i = 0; i < move->iovcnt; i++)
        g_byte_array_append(bytes, move->iov[i].iov_base, (guint)move->iov[i].iov_len);
    g_assert_cmpuint(bytes->len, ==, move->len);
    record(fake_conn(dm), move->bhs, bytes->data, bytes->len, true);
    move->command->exp_data_sn++;
    g_queue_push_tail(&fake_conn(dm)->puts, move);
}

static void fake_get_data(DmConn *dm, DmMove *move)
{
    record(fake_conn(dm), move->bhs, NULL, 0, false);
    move->command->exp_data_sn++;
    g_queue_push_tail(&fake_conn(dm)->gets, move);
}

static void fake_cancel(DmConn *dm, DmMove *move)
{
    if (g_queue_remove(&fake_conn(dm)->gets, move) || g_queue_remove(&fake_conn(dm)->puts, move))
        move->done(move, -ECANCELED);
}

static void fake_release_pdu(DmPdu *pdu)
{
    fake_conn(pdu->conn)->pdus--;
    g_free(pdu);
}

static bool fake_retire(DmPdu *pdu)
{
    FakeConn *conn = fake_conn(pdu->conn);
    bool again = conn->scarce == 0;
    conn->scarce -= !again;
    fake_release_pdu(pdu);
    return again;
}

static unsigned fake_grow(DmConn *dm)
{
    unsigned more = fake_conn(dm)->more;
    fake_conn(dm)->more = 0;
    return more;
}

static void end_moves(GQueue *moves)
{
    DmMove *move;
    while ((move = g_queue_pop_head(moves)))
        move->done(move, -ECONNRESET);
}

static void terminate_now(void *arg)
{
    FakeConn *conn = arg;
    if (conn->terminated)
        return;
    end_moves(&conn->gets);
    end_moves(&conn->puts);
    conn->terminated = true;
    conn->base.up->terminated(&conn->base, "test");
}

static void fake_terminate(DmConn *dm, DmClose how)
{
    (void)how;
    FakeConn *conn = fake_conn(dm);
    if (!conn->terminating)
        loop_call(dm->loop, terminate_now, conn);
    conn->terminating = true;
}

static void fake_free(DmConn *dm)
{
    g_assert(fake_conn(dm)->terminated && fake_conn(dm)->pdus == 0);
    fake_conn(dm)->freed = true;
}

static const Datamover fake_datamover = {
    .name = "fake",
    .limit_keys = fake_limit_keys,
    .allocate = fake_allocate,
    .enable = fake_enable,
    .send_control = fake_send_control,
    .put_data = fake_put_data,
    .get_data = fake_get_data,
    .cancel = fake_cancel,
    .release_pdu = fake_release_pdu,
    .retire = fake_retire,
    .grow = fake_grow,
    .terminate = fake_terminate,
    .free = fake_free,
};

void fake_hang_up(FakeConn *conn)
{
    fake_terminate(&conn->base, DM_CLOSE_NOW);
}

void fake_receive(FakeConn *conn, const uint8_t bhs[ISCSI_BHS_LEN], const void *data, size_t len)
{
    FakePdu *pdu = g_malloc0(sizeof *pdu + len);
    pdu->base.conn = &conn->base;
    memcpy(pdu->base.bhs, bhs, ISCSI_BHS_LEN);
    pdu->base.data = pdu->bytes;
    pdu->base.data_len = (uint32_t)len;
    if (len)
        memcpy(pdu->bytes, data, len);
    conn->pdus++;
    conn->base.up->control(&conn->base, &pdu->base);
}

void fake_receive_ahs(FakeConn *conn, const uint8_t bhs[ISCSI_BHS_LEN], const void *ahs,
                      size_t ahs_len)
{
    FakePdu *pdu = g_malloc0(sizeof *pdu + ahs_len);
    pdu->base.conn = &conn->base;
    memcpy(pdu->base.bhs, bhs, ISCSI_BHS_LEN);
    memcpy(pdu->bytes, ahs, ahs_len);
    pdu->base.ahs = pdu->bytes;
    pdu->base.ahs_len = (uint32_t)ahs_len;
    conn->pdus++;
    conn->base.up->control(&conn->base, &pdu->base);
}

static void free_sent(void *arg)
{
    FakeSent *sent = arg;
    if (sent)
        g_free(sent->data);
    g_free(sent);
}

const FakeSent *fake_next(FakeConn *conn)
{
    static FakeSent *last;
    free_sent(last);
    last = g_queue_pop_head(&conn->sent);
    return last;
}

void fake_end_get(FakeConn *conn, uint8_t fill, int error)
{
    DmMove *move = g_queue_pop_head(&conn->gets);
    for (int i = 0; i < move->iovcnt; i++)
        memset(move->iov[i].iov_base, fill, move->iov[i].iov_len);
    move->done(move, error);
}

void fake_end_put(FakeConn *conn, int error)
{
    DmMove *move = g_queue_pop_head(&conn->puts);
    move->done(move, error);
}

/* --- the daemon --------------------------------------------------------------------------------*/

static void session_added(void *arg, SessionRecord *session)
{
    static uint64_t last_id;
    session->id = ++last_id;
    g_ptr_array_add(((Fake *)arg)->records, session);
}

static void session_removed(void *arg, SessionRecord *session)
{
    g_assert(g_ptr_array_remove(((Fake *)arg)->records, session));
}

static void quiet_log(const char *domain, GLogLevelFlags level, const char *message, void *arg)
{
    (void)domain, (void)level, (void)message, (void)arg;
}

void fake_setup(Fake *fake, unsigned max_logins, unsigned login_timeout_ms)
{
    *fake = (Fake){.loop = loop_new_main(&(LoopConfig){0})};
    fake->log_handler =
        g_log_set_handler("rtgt", G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_DEBUG, quiet_log, NULL);
    fake->host = (TransportHost){.main = fake->loop,
                                 .session_added = session_added,
                                 .session_removed = session_removed,
                                 .arg = fake};
    fake->records = g_ptr_array_new();
    fake->conns = g_ptr_array_new();
    fake->portal = iscsi_portal_new(&fake->host,
                                    &(IscsiPortalConfig){.transport = "fake",
                                                         .group_tag = 7,
                                                         .login_timeout_ms = login_timeout_ms,
                                                         .max_logins = max_logins},
                                    NULL);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(17400)};
    struct sockaddr_storage address = {0};
    memcpy(&address, &any, sizeof any);
    iscsi_portal_add_address(fake->portal, &address, 7);
}

void fake_teardown(Fake *fake)
{
    iscsi_portal_free(fake->portal);
    fake_run(fake);
    for (guint i = 0; i < fake->conns->len; i++) {
        FakeConn *conn = fake->conns->pdata[i];
        g_assert(conn->freed);
        g_queue_clear_full(&conn->sent, free_sent);
        g_free(conn);
    }
    g_assert(fake->records->len == 0 && fake_nexuses == 0);
    g_ptr_array_unref(fake->records);
    g_ptr_array_unref(fake->conns);
    g_queue_clear(&fake_moved);
    loop_free(fake->loop);
    g_log_remove_handler("rtgt", fake->log_handler);
}

void fake_run(Fake *fake)
{
    while (g_main_context_iteration(loop_context(fake->loop), FALSE))
        ;
}

bool fake_wait(Fake *fake, bool (*condition)(void *arg), void *arg)
{
    gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
    while (!condition(arg)) {
        if (g_get_monotonic_time() > end)
            return false;
        g_main_context_iteration(loop_context(fake->loop), FALSE);
    }
    return true;
}

FakeConn *fake_conn_new(Fake *fake, Loop *home)
{
    FakeConn *conn = g_new0(FakeConn, 1);
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(17400)};
    struct sockaddr_in peer = local;
    inet_pton(AF_INET, "10.1.2.3", &local.sin_addr);
    inet_pton(AF_INET, "10.9.8.7", &peer.sin_addr);
    conn->base.dm = &fake_datamover;
    conn->base.loop = home;
    memcpy(&conn->base.local, &local, sizeof local);
    memcpy(&conn->base.peer, &peer, sizeof peer);
    conn->window = 8;
    g_ptr_array_add(fake->conns, conn);
    return conn;
}

FakeConn *fake_connect(Fake *fake)
{
    FakeConn *conn = fake_conn_new(fake, fake->loop);
    if (!iscsi_accept(&conn->base, fake->portal)) {
        conn->freed = true;
        return NULL;
    }
    fake_run(fake);
    return conn;
}

uint16_t fake_cid = 5;

void fake_login(FakeConn *conn, uint8_t flags, uint64_t isid, uint16_t tsih, const char *text)
{
    uint8_t bhs[ISCSI_BHS_LEN], isid_bytes[8];
    pdu_begin(bhs, ISCSI_LOGIN_REQUEST, flags, 0x100);
    bhs[0] |= PDU_IMMEDIATE;
    put_be64(isid_bytes, isid);
    memcpy(bhs + LOGIN_ISID, isid_bytes + 2, 6);
    put_be16(bhs + LOGIN_TSIH, tsih);
    put_be16(bhs + LOGIN_CID, fake_cid);
    put_be32(bhs + PDU_CMD_SN, 1000);
    g_autofree char *copy = g_strdelimit(g_strdup(text), "\n", '\0');
    fake_receive(conn, bhs, copy, strlen(text));
}

LoginStatus fake_login_status(const FakeSent *sent)
{
    g_assert(sent && pdu_opcode(sent->bhs) == ISCSI_LOGIN_RESPONSE);
    return (LoginStatus)get_be16(sent->bhs + LOGIN_STATUS);
}

bool fake_login_to(Fake *fake, FakeConn *conn, const char *initiator, uint64_t isid,
                   const char *target, const char *keys)
{
    g_autofree char *text =
        g_strdup_printf("InitiatorName=%s\nTargetName=%s\n%s", initiator, target, keys);
    fake_login(conn, LOGIN_TRANSIT | LOGIN_STAGES(1, 3), isid, 0, text);
    fake_run(fake);
    const FakeSent *sent = fake_next(conn);
    return sent && fake_login_status(sent) == LOGIN_SUCCESS && conn->enabled;
}

/* --- SCSI --------------------------------------------------------------------------------------*/

struct Nexus {
    ScsiTarget *target;
    Loop *loop;
    char *initiator;
    const NexusEvents *events;
    void *events_arg;
    LoopFn closed;
    void *closed_arg;
};

static Nexus *first_nexus;

ScsiTarget *const fake_scsi_target = (ScsiTarget *)&fake_tasks;
GQueue fake_tasks = G_QUEUE_INIT, fake_moved = G_QUEUE_INIT;
bool fake_abort_hangs, fake_orphans;
unsigned fake_nexuses, fake_nexuses_lost, fake_port;
TmfFunction fake_last_function;

static struct {
    TmfDone done;
    void *arg;
    Nexus *nexus;
} hanging;

Nexus *nexus_new(ScsiTarget *target, Loop *home, Memory *memory, const char *initiator,
                 const uint8_t *transport_id, size_t transport_id_len)
{
    (void)memory;
    g_assert(transport_id_len % 4 == 0 && transport_id[0] == 0x45);
    Nexus *nexus = g_new0(Nexus, 1);
    *nexus = (Nexus){.target = target, .loop = home, .initiator = g_strdup(initiator)};
    if (fake_nexuses++ == 0)
        first_nexus = nexus;
    return nexus;
}

void nexus_set_port(Nexus *nexus, uint16_t port)
{
    (void)nexus;
    fake_port = port;
}

void nexus_watch(Nexus *nexus, const NexusEvents *events, void *arg)
{
    nexus->events = events;
    nexus->events_arg = arg;
}

void fake_luns_changed(void)
{
    first_nexus->events->luns_changed(first_nexus->events_arg);
}

void fake_only_hung_left(void)
{
    hanging.nexus->events->only_hung_left(hanging.nexus->events_arg);
}

bool task_is_orphaned_read(const Task *task)
{
    return task->state == TASK_ABORTED;
}

static void abort_tasks(const Nexus *nexus, bool (*matches)(const Task *, uint64_t), uint64_t tag)
{
    for (GList *l = fake_tasks.head, *next; l; l = next) {
        next = l->next;
        Task *task = l->data;
        if (task->nexus != nexus || !matches(task, tag))
            continue;
        task->state = TASK_ABORTED;
        if (!fake_orphans) {
            g_queue_delete_link(&fake_tasks, l);
            task->transport->released(task);
        }
    }
}

static bool any_task(const Task *task, uint64_t tag)
{
    (void)task, (void)tag;
    return true;
}

static bool task_has_tag(const Task *task, uint64_t tag)
{
    return task->tag == tag;
}

static bool has_task(const Nexus *nexus, uint64_t tag)
{
    for (GList *l = fake_tasks.head; l; l = l->next)
        if (((Task *)l->data)->nexus == nexus && ((Task *)l->data)->tag == tag &&
            ((Task *)l->data)->state != TASK_ABORTED)
            return true;
    return false;
}

static void finish_close(Nexus *nexus)
{
    LoopFn closed = nexus->closed;
    void *arg = nexus->closed_arg;
    fake_orphans = false;
    abort_tasks(nexus, any_task, 0);
    g_free(nexus->initiator);
    g_free(nexus);
    fake_nexuses--;
    closed(arg);
}

void nexus_lost(Nexus *nexus)
{
    (void)nexus;
    fake_nexuses_lost++;
}

void nexus_close(Nexus *nexus, LoopFn closed, void *arg)
{
    nexus->closed = closed;
    nexus->closed_arg = arg;
    if (fake_abort_hangs)
        hanging.nexus = nexus;
    else
        finish_close(nexus);
}

void nexus_manage(Nexus *nexus, TmfFunction function, uint64_t lun, uint64_t tag, TmfDone done,
                  void *arg)
{
    (void)lun;
    fake_last_function = function;
    TmfResponse response = TMF_COMPLETE;
    if (function == TMF_ABORT_TASK) {
        if (!has_task(nexus, tag))
            response = TMF_TASK_NOT_FOUND;
        abort_tasks(nexus, task_has_tag, tag);
    } else if (function == TMF_QUERY_TASK) {
        response = has_task(nexus, tag) ? TMF_SUCCEEDED : TMF_COMPLETE;
    } else if (function == TMF_CLEAR_ACA) {
        response = TMF_REJECTED;
    } else {
        abort_tasks(nexus, any_task, 0);
    }
    if (fake_abort_hangs) {
        hanging.done = done;
        hanging.arg = arg;
    } else {
        done(response, arg);
    }
}

void fake_finish_aborts(void)
{
    fake_abort_hangs = false;
    if (hanging.done)
        hanging.done(TMF_COMPLETE, hanging.arg);
    if (hanging.nexus)
        finish_close(hanging.nexus);
    memset(&hanging, 0, sizeof hanging);
}

void task_submit(Task *task)
{
    task->state = TASK_RUNNING;
    task->status = SCSI_GOOD;
    task->sense_len = 0;
    task->data_in_wanted = task->data_out_wanted = 0;
    g_queue_push_tail(&fake_tasks, task);
}

unsigned sense_build(uint8_t out[SENSE_MAX], bool descriptor, SenseCode code,
                     const SenseField *field)
{
    (void)descriptor, (void)field;
    memset(out, 0, 18);
    out[0] = 0x70;
    out[2] = (uint8_t)(code >> 16);
    out[7] = 10;
    out[12] = (uint8_t)(code >> 8);
    out[13] = (uint8_t)code;
    return 18;
}

void fake_respond(uint8_t status, const void *sense, unsigned sense_len)
{
    Task *task = g_queue_pop_head(&fake_tasks);
    task->status = status;
    if (sense_len)
        memcpy(task->sense, sense, sense_len);
    task->sense_len = sense_len;
    task->transport->respond(task, NULL);
    task->transport->released(task);
}

static void data_sent(DataMove *move, int error)
{
    Task *task = move->next ? (Task *)(void *)move->next : NULL;
    move->transport_private = GINT_TO_POINTER(error);
    g_queue_push_tail(&fake_moved, move);
    if (task)
        task->transport->released(task);
}

static struct iovec fake_iov[8];
static unsigned fake_iov_at;

static struct iovec *one_iov(void *base, size_t len)
{
    struct iovec *iov = &fake_iov[fake_iov_at++ % G_N_ELEMENTS(fake_iov)];
    *iov = (struct iovec){base, len};
    return iov;
}

void fake_respond_data(DataMove *move, const void *data, uint32_t len)
{
    Task *task = g_queue_pop_head(&fake_tasks);
    *move = (DataMove){.len = len,
                       .iov = one_iov((void *)data, len),
                       .iovcnt = 1,
                       .done = data_sent,
                       .next = (DataMove *)(void *)task};
    task->transport->respond(task, move);
}

static void data_got(DataMove *move, int error)
{
    move->transport_private = GINT_TO_POINTER(error);
    g_queue_push_tail(&fake_moved, move);
}

void fake_get(Task *task, DataMove *move, uint32_t offset, void *into, uint32_t len)
{
    *move = (DataMove){
        .offset = offset, .len = len, .iov = one_iov(into, len), .iovcnt = 1, .done = data_got};
    task->transport->get_data(task, move);
}
