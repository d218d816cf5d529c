/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One thread that saves files durably: write, fsync, rename, fsync of the directory. */
#include "core/base/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <unistd.h>

struct StateDir {
    char *path;
    int fd;
    GThread *saver;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    GQueue saves; /* lock */
    bool closing; /* lock */
};

typedef struct {
    char *path;
    GBytes *bytes;
    Loop *loop;
    StateSaved done;
    void *arg;
    GError *error;
} Save;

static void set_errno(GError **error, const char *path)
{
    int saved = errno;
    g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(saved), "%s: %s", path,
                g_strerror(saved));
}

/* --- saving ----------------------------------------------------------------------------------- */

static bool replace(const Save *save, GError **error)
{
    gsize len;
    const char *data = g_bytes_get_data(save->bytes, &len);
    return g_file_set_contents_full(save->path, data ? data : "", (gssize)len,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                    0600, error);
}

static bool remove_file(const Save *save, GError **error)
{
    if (g_unlink(save->path) == 0 || errno == ENOENT)
        return true;
    set_errno(error, save->path);
    return false;
}

static void tell(void *arg)
{
    Save *save = arg;
    save->done(save->error, save->arg);
    g_clear_error(&save->error);
    if (save->bytes)
        g_bytes_unref(save->bytes);
    g_free(save->path);
    g_free(save);
}

static void run(const StateDir *dir, Save *save)
{
    bool ok = save->bytes ? replace(save, &save->error) : remove_file(save, &save->error);
    if (ok && fsync(dir->fd) < 0)
        set_errno(&save->error, dir->path);
    loop_call(save->loop, tell, save);
}

static void *save_all(void *arg)
{
    StateDir *dir = arg;
    pthread_mutex_lock(&dir->lock);
    while (!dir->closing || !g_queue_is_empty(&dir->saves)) {
        Save *save = g_queue_pop_head(&dir->saves);
        if (!save) {
            pthread_cond_wait(&dir->changed, &dir->lock);
            continue;
        }
        pthread_mutex_unlock(&dir->lock);
        run(dir, save);
        pthread_mutex_lock(&dir->lock);
    }
    pthread_mutex_unlock(&dir->lock);
    return NULL;
}

void state_dir_save(StateDir *dir, const char *name, GBytes *bytes, Loop *loop, StateSaved done,
                    void *arg)
{
    Save *save = g_new0(Save, 1);
    *save = (Save){.path = g_build_filename(dir->path, name, NULL),
                   .bytes = bytes ? g_bytes_ref(bytes) : NULL,
                   .loop = loop,
                   .done = done,
                   .arg = arg};
    pthread_mutex_lock(&dir->lock);
    g_queue_push_tail(&dir->saves, save);
    pthread_cond_signal(&dir->changed);
    pthread_mutex_unlock(&dir->lock);
}

/* --- the directory ---------------------------------------------------------------------------- */

StateDir *state_dir_open(const char *path, GError **error)
{
    int fd =
        g_mkdir_with_parents(path, 0700) == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0) {
        set_errno(error, path);
        return NULL;
    }
    StateDir *dir = g_new0(StateDir, 1);
    dir->path = g_strdup(path);
    dir->fd = fd;
    pthread_mutex_init(&dir->lock, NULL);
    pthread_cond_init(&dir->changed, NULL);
    dir->saver = g_thread_new("rtgt-state", save_all, dir);
    return dir;
}

void state_dir_close(StateDir *dir)
{
    if (!dir)
        return;
    pthread_mutex_lock(&dir->lock);
    dir->closing = true;
    pthread_cond_signal(&dir->changed);
    pthread_mutex_unlock(&dir->lock);
    g_thread_join(dir->saver);
    pthread_cond_destroy(&dir->changed);
    pthread_mutex_destroy(&dir->lock);
    close(dir->fd);
    g_free(dir->path);
    g_free(dir);
}

GBytes *state_dir_load(StateDir *dir, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(dir->path, name, NULL);
    g_autoptr(GError) why = NULL;
    char *data;
    gsize len;
    if (g_file_get_contents(path, &data, &len, &why))
        return g_bytes_new_take(data, len);
    if (!g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}
