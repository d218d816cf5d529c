/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line parser of its own rather than GKeyFile's: that one leaves copies in memory and quotes
 * lines in its errors. */
#include "core/base/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LEN_MAX ((size_t)1 << 20)

struct Secrets {
    GPtrArray *all; /* Secret, in the file's order */
};

/* Where the parser is. */
typedef struct {
    const char *file;
    unsigned line;
    Secrets *secrets;
    Secret *current; /* the group it is in, or NULL */
} Parser;

/* --- one secret --------------------------------------------------------------------------------*/

static void wipe_free(void *memory, size_t len)
{
    if (memory)
        explicit_bzero(memory, len);
    g_free(memory);
}

void secret_free(Secret *secret)
{
    if (!secret)
        return;
    wipe_free(secret->bytes, secret->len);
    g_free(secret->name);
    g_free(secret);
}

static void free_secret(void *secret)
{
    secret_free(secret);
}

Secret *secret_copy(const Secret *secret)
{
    if (!secret)
        return NULL;
    Secret *copy = g_new(Secret, 1);
    *copy = *secret;
    copy->name = g_strdup(secret->name);
    copy->bytes = g_memdup2(secret->bytes, secret->len);
    return copy;
}

/* --- lines -------------------------------------------------------------------------------------*/

static bool complain(const Parser *parser, GError **error, const char *what)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s", parser->file, parser->line,
                what);
    return false;
}

static bool end_group(const Parser *parser, GError **error)
{
    if (!parser->current || parser->current->bytes)
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "%s:%u: the group has no secret= or secret-hex=", parser->file,
                parser->current->line);
    return false;
}

static bool begin_group(Parser *parser, char *line, GError **error)
{
    size_t len = strlen(line);
    if (line[len - 1] != ']')
        return complain(parser, error, "a group is written [initiator NAME] or [target NAME]");
    line[len - 1] = '\0';
    bool initiator = g_str_has_prefix(line, "[initiator ");
    if (!initiator && !g_str_has_prefix(line, "[target "))
        return complain(parser, error, "a group is written [initiator NAME] or [target NAME]");
    if (!end_group(parser, error))
        return false;
    const char *name = g_strstrip(strchr(line, ' '));
    SecretRole role = initiator ? SECRET_OF_INITIATOR : SECRET_OF_TARGET;
    if (!*name || strlen(name) > 255 || !g_utf8_validate(name, -1, NULL))
        return complain(parser, error, "the name has 1 to 255 bytes of UTF-8");
    if (secrets_find(parser->secrets, role, name))
        return complain(parser, error, "the group is there twice");
    Secret *secret = g_new0(Secret, 1);
    *secret = (Secret){.role = role, .line = parser->line, .name = g_strdup(name)};
    g_ptr_array_add(parser->secrets->all, secret);
    parser->current = secret;
    return true;
}

/* Turns digits into bytes where they stand; false: no even number of digits. */
static bool decode_hex(char *text, size_t *len)
{
    size_t digits = strlen(text);
    for (size_t i = 0; i < digits; i++) {
        int digit = g_ascii_xdigit_value(text[i]);
        if (digit < 0 || digits % 2)
            return false;
        text[i / 2] = (char)(i % 2 ? (unsigned char)text[i / 2] | digit : digit << 4);
    }
    *len = digits / 2;
    return true;
}

/* Every entry is compared with every other: a file is short, and their order tells nothing. */
static bool is_new(const Parser *parser, const char *bytes, size_t len)
{
    for (guint i = 0; i < parser->secrets->all->len; i++) {
        const Secret *other = parser->secrets->all->pdata[i];
        if (other->len == len && !memcmp(other->bytes, bytes, len))
            return false;
    }
    return true;
}

static bool take_secret(Parser *parser, char *value, bool hex, GError **error)
{
    Secret *secret = parser->current;
    size_t len = strlen(value);
    if (secret->bytes)
        return complain(parser, error, "the group has a secret already");
    if (hex && !decode_hex(value, &len))
        return complain(parser, error, "secret-hex= is an even number of hexadecimal digits");
    if (len < SECRET_LEN_MIN || len > SECRET_LEN_MAX)
        return complain(parser, error, "a secret has 12 to 255 bytes");
    if (!is_new(parser, value, len))
        return complain(parser, error,
                        "another group has the same secret; each needs its own, or one could pose "
                        "as the other");
    secret->bytes = g_memdup2(value, len);
    secret->len = len;
    return true;
}

static bool parse_line(Parser *parser, char *line, GError **error)
{
    g_strstrip(line);
    if (!*line || *line == '#')
        return true;
    if (*line == '[')
        return begin_group(parser, line, error);
    char *value = strchr(line, '=');
    if (!value)
        return complain(parser, error, "a line is [GROUP], key=value, or begins with #");
    *value++ = '\0';
    g_strchomp(line);
    g_strchug(value);
    bool hex = !strcmp(line, "secret-hex");
    if (!hex && strcmp(line, "secret") != 0)
        return complain(parser, error, "no such key here; there are secret and secret-hex");
    if (!parser->current)
        return complain(parser, error, "the key stands before the first group");
    return take_secret(parser, value, hex, error);
}

static bool parse_lines(Parser *parser, char *text, size_t len, GError **error)
{
    for (char *end = text + len, *line = text, *next; line < end; line = next) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        next = newline ? newline + 1 : end + 1;
        *(next - 1) = '\0';
        parser->line++;
        if (strlen(line) != (size_t)(next - 1 - line))
            return complain(parser, error, "contains a NUL byte: this is no text file");
        if (!parse_line(parser, line, error))
            return false;
    }
    return end_group(parser, error);
}

Secrets *secrets_parse(const char *name, char *text, size_t len, GError **error)
{
    Secrets *secrets = g_new0(Secrets, 1);
    secrets->all = g_ptr_array_new_with_free_func(free_secret);
    /* One byte more, so that the last line can be ended too. */
    char *copy = g_malloc(len + 1);
    memcpy(copy, text, len);
    explicit_bzero(text, len);
    bool ok = parse_lines(&(Parser){.file = name, .secrets = secrets}, copy, len, error);
    wipe_free(copy, len + 1);
    if (!ok)
        g_clear_pointer(&secrets, secrets_free);
    return secrets;
}

void secrets_free(Secrets *secrets)
{
    if (!secrets)
        return;
    g_ptr_array_unref(secrets->all);
    g_free(secrets);
}

const Secret *secrets_find(const Secrets *secrets, SecretRole role, const char *name)
{
    for (guint i = 0; secrets && i < secrets->all->len; i++) {
        const Secret *secret = secrets->all->pdata[i];
        if (secret->role == role && !strcmp(secret->name, name))
            return secret;
    }
    return NULL;
}

/* --- the file ----------------------------------------------------------------------------------*/

static bool refuse_file(const char *path, GError **error, const char *what)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED, "%s: %s", path, what);
    return false;
}

/* Asked of the file that was opened, not of the name: that may be another one by now. */
static bool check_file(int fd, const char *path, size_t *len, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return refuse_file(path, error, g_strerror(errno));
    if (!S_ISREG(st.st_mode))
        return refuse_file(path, error, "is no regular file");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return refuse_file(path, error, "belongs to another user");
    if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                    "%s: has mode %04o, so that others can get at the secrets; it must be 0600 or "
                    "0400",
                    path, (unsigned)st.st_mode & 07777);
        return false;
    }
    if ((uintmax_t)st.st_size > FILE_LEN_MAX)
        return refuse_file(path, error, "is longer than 1 MiB");
    *len = (size_t)st.st_size;
    return true;
}

/* How much of it there is; -1 with errno. */
static ssize_t read_all(int fd, char *out, size_t len)
{
    size_t have = 0;
    while (have < len) {
        ssize_t got = read(fd, out + have, len - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static Secrets *load_opened(int fd, const char *path, GError **error)
{
    size_t len;
    if (!check_file(fd, path, &len, error))
        return NULL;
    g_autofree char *text = g_malloc(len + 1);
    ssize_t got = read_all(fd, text, len);
    if (got >= 0)
        return secrets_parse(path, text, (size_t)got, error); /* wipes it */
    refuse_file(path, error, g_strerror(errno));
    explicit_bzero(text, len);
    return NULL;
}

Secrets *secrets_load(const char *path, GError **error)
{
    /* A fifo must not make this wait. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        refuse_file(path, error, g_strerror(errno));
        return NULL;
    }
    Secrets *secrets = load_opened(fd, path, error);
    close(fd);
    return secrets;
}
