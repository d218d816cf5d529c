/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening, filling and warming the file under test. */
#include "tools/bench/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FILL_BYTES (1 << 20)

static bool fail(GError **error, int res, char *why)
{
    g_set_error_literal(error, G_FILE_ERROR, g_file_error_from_errno(-res), why);
    g_free(why);
    return false;
}

/* Only ever a file that this run makes. */
static bool store_create(const Plan *plan, GError **error)
{
    int fd = open(plan->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    g_autoptr(GRand) random = g_rand_new();
    g_autofree guint32 *words = g_new(guint32, FILL_BYTES / 4);
    for (unsigned i = 0; i < FILL_BYTES / 4; i++)
        words[i] = g_rand_int(random);
    int res = fd < 0 ? -errno : 0;
    for (uint64_t done = 0; res == 0 && done < plan->create;) {
        ssize_t n = write(fd, words, MIN(plan->create - done, FILL_BYTES));
        if (n < 0 && errno != EINTR)
            res = -errno;
        else if (n > 0)
            done += (uint64_t)n;
    }
    if (res == 0 && fsync(fd) < 0)
        res = -errno;
    if (fd >= 0) {
        close(fd);
        if (res < 0)
            unlink(plan->path);
    }
    if (res < 0)
        return fail(error, res, g_strdup_printf("%s: %s", plan->path, g_strerror(-res)));
    return true;
}

static bool store_open_mode(Store *store, const Plan *plan, AioMode mode, GError **error)
{
    AioFile *other = store->modes[!mode];
    AioFileSpec spec = {.path = plan->path, .mode = mode, .read_only = !plan_writes(plan)};
    char *why = NULL;

    if (store->modes[mode])
        return true;
    int res = other ? aio_file_reopen(other, mode, &store->modes[mode], &why)
                    : aio_file_open(&spec, &store->modes[mode], &why);
    return res == 0 || fail(error, res, why);
}

static bool store_open_null(Store *store, GError **error)
{
    AioFileSpec spec = {.size = aio_file_size(store->modes[0] ?: store->modes[1])};
    char *why = NULL;

    if (store->null)
        return true;
    int res = aio_file_open(&spec, &store->null, &why);
    return res == 0 || fail(error, res, why);
}

static bool store_assign(Store *store, Plan *plan, GError **error)
{
    for (unsigned i = 0; i < plan->contenders->len;) {
        Contender *contender = plan->contenders->pdata[i];
        bool null = g_str_equal(contender->engine->name, "null");
        const char *why;

        if (!store_open_mode(store, plan, contender->mode, error) ||
            (null && !store_open_null(store, error)))
            return false;
        contender->file = null ? store->null : store->modes[contender->mode];
        if (contender->engine->accepts(contender->file, &contender->params, &why) == 0) {
            i++;
            continue;
        }
        fprintf(stderr, "rtgt-bench: %s: left out (%s): %s\n", contender->label,
                plan_mode_name(contender->mode), why);
        g_ptr_array_remove_index(plan->contenders, i);
    }
    return true;
}

static const char *writing_load(const Plan *plan)
{
    const Workload *workload = NULL;

    for (guint i = 0; !workload || !rw_writes(workload->rw); i++)
        workload = plan->workloads->pdata[i];
    return rw_name(workload->rw);
}

bool store_open(Store *store, Plan *plan, GError **error)
{
    *store = (Store){.null = NULL};
    bool missing = access(plan->path, F_OK) != 0;
    if (plan_writes(plan) && !plan->write_allowed && !(missing && plan->create))
        return fail(error, -EPERM,
                    g_strdup_printf("%s: %s would overwrite it: give --write-allowed if that is "
                                    "meant",
                                    plan->path, writing_load(plan)));
    if (plan->create && missing && !store_create(plan, error))
        return false;
    if (!store_assign(store, plan, error))
        return false;
    if (plan->contenders->len == 0)
        return fail(error, -EINVAL, g_strdup("no engine is left to measure"));
    AioFile *any = store->modes[0] ?: store->modes[1];
    if (aio_file_size(any) < plan_largest_block(plan))
        return fail(error, -EINVAL,
                    g_strdup_printf("%s: smaller than one request of %" G_GUINT64_FORMAT " bytes",
                                    plan->path, plan_largest_block(plan)));
    return true;
}

void store_close(Store *store)
{
    aio_file_close(store->modes[0]);
    aio_file_close(store->modes[1]);
    aio_file_close(store->null);
}

void store_warm(const Plan *plan)
{
    g_autofree char *bytes = g_malloc(FILL_BYTES);
    int fd = open(plan->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    while (read(fd, bytes, FILL_BYTES) > 0)
        ;
    close(fd);
}
