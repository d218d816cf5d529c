/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares the I/O engines on a file, in interleaved rounds. */
#include <glib.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/bench/load.h"
#include "tools/bench/plan.h"
#include "tools/bench/report.h"
#include "tools/bench/store.h"

static void on_signal(int number)
{
    (void)number;
    load_stopped = 1;
}

/* The second Ctrl-C kills, in case the disk hangs. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void show_progress(const Plan *plan, int round, const Contender *contender)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[Kround %d of %d: %s, %s", round + 1, plan->rounds, contender->label,
                plan_mode_name(contender->mode));
}

/* False when a contender could not run or had failed requests. */
static bool run_one(const Plan *plan, Contender *contender, int round)
{
    Round *result = &contender->rounds[round];

    show_progress(plan, round, contender);
    if (contender->mode == AIO_BUFFERED && !plan->cold && !plan_writes(plan))
        store_warm(plan);
    int res = load_stopped ? 0 : load_run(plan, contender, (unsigned)round, result);
    if (res == 0 && !result->errors)
        return true;
    fprintf(stderr, "%srtgt-bench: %s, %s: ", isatty(STDERR_FILENO) ? "\r\033[K" : "",
            contender->label, plan_mode_name(contender->mode));
    if (res < 0)
        fprintf(stderr, "cannot be opened: %s\n", g_strerror(-res));
    else
        fprintf(stderr, "%" G_GUINT64_FORMAT " requests failed, the first with: %s\n",
                result->errors, g_strerror(-result->first_error));
    return false;
}

static bool run_rounds(const Plan *plan)
{
    bool ok = true;

    for (int round = 0; round < plan->rounds && !load_stopped; round++)
        for (unsigned i = 0; i < plan->contenders->len && !load_stopped; i++)
            ok = run_one(plan, plan->contenders->pdata[i], round) && ok;
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    return ok;
}

static int bench(Plan *plan, GError **error)
{
    Store store;
    int status = 1;

    if (store_open(&store, plan, error)) {
        catch_signals();
        status = run_rounds(plan) ? 0 : 1;
        report_table(plan, stdout);
        if (plan->json && !report_json(plan, plan->json, error))
            status = 1;
        if (load_stopped)
            status = 130;
    }
    store_close(&store);
    return status;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    g_autoptr(Plan) plan = plan_new(&argc, &argv, &error);
    int status = plan ? bench(plan, &error) : 2;
    if (error)
        fprintf(stderr, "rtgt-bench: %s\n", error->message);
    return status;
}
