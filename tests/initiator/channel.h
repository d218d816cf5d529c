/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One RDMA channel of SRP, strict about everything the target sends (T10 SRP r16a). One thread;
 * nothing happens outside of channel_turn and the calls that wait by turning. */
#pragma once

#include "tests/initiator/nexus.h"
#include "tests/initiator/request.h"
#include "tests/initiator/srp.h"
#include "tests/initiator/verbs.h"

typedef struct Channel Channel;

typedef struct {
    Url *url;
    uint8_t initiator[16], target[16]; /* port identifiers */
    uint8_t opcode, flags;             /* of the login */
    uint16_t formats;                  /* those it requires */
    uint32_t iu_len;                   /* the longest IU that will be sent */
    uint16_t immediate_offset;         /* of immediate data in an SRP_CMD */
    uint32_t immediate_most;           /* bytes of data sent so; more go by descriptors */
    uint8_t login_len;                 /* bytes of the login that are sent */
    RequestForm form;                  /* how data are described */
    unsigned depth;                    /* commands outstanding at most */
    size_t arena;                      /* bytes of data memory commands may use */
    bool quiet;                        /* print no violations */
} ChannelOptions;

/* What came back for a login. */
typedef struct {
    uint8_t opcode;  /* 0: nothing that SRP knows */
    uint32_t reason; /* of a LOGIN_REJ */
    uint32_t credits, max_in_len, max_out_len;
    uint16_t formats;
    uint8_t flags;
    uint64_t tag;
} ChannelReply;

struct Channel {
    Nexus base;
    ChannelOptions options;
    ChannelReply reply;
    Verbs verbs;
    int64_t credits; /* requests the target admits now; less than 0: it was overdrawn */
    bool immediate;  /* agreed on */
    bool manual;     /* leave what the target requests to the caller, in the inbox */
    bool logged_out; /* by the target, for this reason: */
    uint32_t logout_reason;
    unsigned outstanding;
    Requests requests;
    GQueue waiting; /* tasks that there is no credit for yet */
    GQueue inbox;   /* GBytes: requests of the target, oldest first */
    uint8_t *receives;
    unsigned receive_count;
    char *broken; /* why the queue pair is of no use any more */
};

/* Fills in what most channels want: the login of the Linux initiator. */
bool channel_options_init(ChannelOptions *options, Url *url, GError **error);
/* Connects and logs in; blocks. `reply` may be NULL, and is filled in whatever came. */
Channel *channel_open(const ChannelOptions *options, ChannelReply *reply, GError **error);
/* The same behind the seam. Keys: ImmediateData and MultiChannel (all sessions are channels of one
 * nexus), Yes or No; Descriptors: Direct, Indirect, Table (not all in the command) or Mixed. */
Nexus *channel_open_nexus(const NexusOptions *options, GError **error);
/* Closes the connection at once. Takes NULL. Tasks under way are finished as lost. */
void channel_free(Channel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channel, channel_free)

/* Waits up to `timeout_ms` for something to happen. False once the connection is gone. */
bool channel_turn(Channel *channel, int timeout_ms);
bool channel_run(Channel *channel, Task *task, int timeout_ms);
/* Turns until the connection is gone. */
bool channel_await_end(Channel *channel, int timeout_ms);
/* Turns until the target has sent that, and takes it out of the inbox. NULL: not in time. */
GBytes *channel_await(Channel *channel, uint8_t opcode, int timeout_ms);
/* I_LOGOUT, then disconnects; true unless the target had ended the channel. */
bool channel_log_out(Channel *channel, int timeout_ms);

/* For those who build information units themselves. A request of the task, which has its tag and
 * is awaited from now on, as an SRP_CMD or SRP_TSK_MGMT that can be changed before it is sent; it
 * takes a credit, whether there is one or not. */
Request *channel_prepare(Channel *channel, Task *task, RequestForm form);
/* `len` zero bytes with that opcode; nothing is awaited. */
Request *channel_blank(Channel *channel, uint8_t opcode, uint32_t len);
void channel_send(Channel *channel, Request *request);

/* The task becomes a TSK_MGMT. Its answer is Task.response. */
void channel_manage(Task *task, uint8_t function, uint64_t lun, uint64_t subject);
