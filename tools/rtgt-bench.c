/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares the I/O engines on a file, in interleaved rounds. */
#include <glib.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "tools/bench/load.h"
#include "tools/bench/plan.h"
#include "tools/bench/run.h"
#include "tools/bench/store.h"
#include "tools/report/report_json.h"
#include "tools/report/report_page.h"
#include "tools/report/report_text.h"

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

static bool show(const Plan *plan, const Report *report, GError **error)
{
    g_autofree char *text = report_text(report);

    fputs(text, stdout);
    return (!plan->json || report_write_json(report, plan->json, error)) &&
           (!plan->html || report_write_page(report, plan->html, error));
}

static int bench(Plan *plan, GError **error)
{
    Store store;
    int status = 1;

    if (store_open(&store, plan, error)) {
        g_autoptr(Report) report = run_report(plan, &store);
        catch_signals();
        status = run_plan(plan, report) ? 0 : 1;
        if (!show(plan, report, error))
            status = 1;
        else if (load_stopped)
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
