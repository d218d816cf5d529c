/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The login of an SRP channel in the private data of the connection manager: 56 bytes there, a
 * LOGIN_RSP or LOGIN_REJ back (T10 SRP r16a sections 6.2 to 6.4). */
#pragma once

#include "tests/initiator/channel.h"

#define CHANNEL_RECEIVE 1024U /* the longest IU that a channel takes */

/* A key of channel_open_nexus(); false: there is none like that. */
bool channel_options_key(ChannelOptions *options, const char *name, const char *value);

void channel_login_put(const ChannelOptions *options, uint64_t tag, uint8_t login[SRP_LOGIN_LEN]);
/* Complete in any case; without an opcode when nothing came that SRP knows. */
void channel_login_take(const Verbs *verbs, ChannelReply *reply);
/* What is wrong with the answer to an accepted login, of which `raw` are the bytes; NULL: nothing.
 */
const char *channel_login_judge(const ChannelOptions *options, const ChannelReply *reply,
                                const uint8_t *raw, uint64_t tag);
