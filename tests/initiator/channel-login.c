/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a channel asks for, and its login (T10 SRP r16a sections 6.2 to 6.4). */
#include "tests/initiator/channel-login.h"

#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

/* Linux's: an SRP_CMD with 16 more bytes of CDB and the length of the immediate data. */
#define IMMEDIATE_OFFSET 68
#define IMMEDIATE_MOST   8192
static bool parse_port_id(const char *text, uint8_t id[16])
{
    if (strlen(text) != 33 || text[16] != '-')
        return false;
    for (unsigned i = 0; i < 16; i++) {
        const char *digits = text + 2 * i + (i >= 8);

        if (!g_ascii_isxdigit(digits[0]) || !g_ascii_isxdigit(digits[1]))
            return false;
        id[i] = (uint8_t)(g_ascii_xdigit_value(digits[0]) << 4 | g_ascii_xdigit_value(digits[1]));
    }
    return true;
}

bool channel_options_init(ChannelOptions *options, Url *url, GError **error)
{
    *options = (ChannelOptions){.url = url,
                                .opcode = SRP_LOGIN_REQ,
                                .flags = SRP_IMMEDIATE,
                                .formats = SRP_REQUIRE_DIRECT | SRP_REQUIRE_INDIRECT,
                                .iu_len = IMMEDIATE_OFFSET + IMMEDIATE_MOST,
                                .immediate_offset = IMMEDIATE_OFFSET,
                                .immediate_most = IMMEDIATE_MOST,
                                .login_len = SRP_LOGIN_LEN,
                                .depth = 32,
                                .arena = 4096};
    put_be64(options->initiator, (uint64_t)getpid());
    put_be64(options->initiator + 8, 0x0200000000000001);
    if (parse_port_id(url->target, options->target))
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                "'%s' is not ID_EXT-IOC_GUID, 16 hexadecimal digits each", url->target);
    return false;
}

void channel_login_put(const ChannelOptions *o, uint64_t tag, uint8_t login[SRP_LOGIN_LEN])
{
    memset(login, 0, SRP_LOGIN_LEN);
    put_be64(login, tag);
    put_be16(login + 8, o->formats);
    login[10] = o->flags;
    login[11] = o->opcode;
    put_be32(login + 12, o->iu_len);
    memcpy(login + 16, o->initiator, 16);
    memcpy(login + 32, o->target, 16);
    put_be16(login + 48, o->flags & SRP_IMMEDIATE ? o->immediate_offset : 0);
}

void channel_login_take(const Verbs *verbs, ChannelReply *reply)
{
    const uint8_t *p = verbs->reply;

    *reply = (ChannelReply){0};
    if (verbs->reply_len < SRP_LOGIN_REJ_LEN || (p[0] != SRP_LOGIN_RSP && p[0] != SRP_LOGIN_REJ) ||
        (p[0] == SRP_LOGIN_RSP && verbs->reply_len < SRP_LOGIN_RSP_LEN))
        return;
    reply->opcode = p[0];
    reply->tag = get_be64(p + SRP_AT_TAG);
    reply->formats = get_be16(p + 24);
    if (p[0] == SRP_LOGIN_REJ) {
        reply->reason = get_be32(p + 4);
        return;
    }
    reply->credits = get_be32(p + 4);
    reply->max_in_len = get_be32(p + 16);
    reply->max_out_len = get_be32(p + 20);
    reply->flags = p[26];
}

static bool all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

const char *channel_login_judge(const ChannelOptions *o, const ChannelReply *r, const uint8_t *raw,
                                uint64_t tag)
{
    if (r->opcode != SRP_LOGIN_RSP)
        return "accepted without a LOGIN_RSP";
    if (r->tag != tag)
        return "LOGIN_RSP of another tag";
    if ((int32_t)r->credits < 1)
        return "LOGIN_RSP without credits";
    if (r->max_out_len > CHANNEL_RECEIVE || r->max_in_len < o->iu_len)
        return "the lengths of LOGIN_RSP do not fit those of the login";
    if ((r->formats & o->formats) != o->formats)
        return "LOGIN_RSP lacks formats that were required";
    if (!all_zero(raw + 1, 3) || !all_zero(raw + 27, SRP_LOGIN_RSP_LEN - 27) || r->flags & 0x7c ||
        (r->flags & 3) == 3)
        return "reserved bits of LOGIN_RSP";
    if (r->flags & SRP_IMMEDIATE && !(o->flags & SRP_IMMEDIATE))
        return "LOGIN_RSP: immediate data was not asked for";
    return NULL;
}

bool channel_options_key(ChannelOptions *o, const char *name, const char *value)
{
    static const char *const forms[] = {"Direct", "Indirect", "Table", "Mixed"};
    bool yes = g_str_equal(value, "Yes");

    if (g_str_equal(name, "Descriptors")) {
        for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++)
            if (g_str_equal(value, forms[i])) {
                o->form = (RequestForm)i;
                return true;
            }
        return false;
    }
    if (!yes && !g_str_equal(value, "No"))
        return false;
    if (g_str_equal(name, "ImmediateData"))
        o->flags = (uint8_t)(yes ? o->flags | SRP_IMMEDIATE : o->flags & ~SRP_IMMEDIATE);
    else if (g_str_equal(name, "MultiChannel"))
        o->flags |= yes ? SRP_MULTICHANNEL : 0;
    else
        return false;
    return true;
}
